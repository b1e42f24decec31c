//! The Range header: which parts of a representation a client asks for (RFC 9110, 14.1, 14.2 and 17.15).
//!
//! Any thread; pure. A header that is of another unit or malformed is as if it were not there. Always: what resolves to
//! parts lies within the representation, no part is empty, and parts neither overlap nor lie close together. One range, as
//! nearly all requests have, takes no memory.

use std::ops::Range;

/// Specs of one header that are looked at: a head holds thousands, and nobody needs them.
const SPECS_MAX: usize = 200;

/// Parts of one answer. RFC 9110, 17.15: many small parts cost the origin far more than they bring; players and readers of
/// documents ask for a few.
pub const PARTS_MAX: usize = 8;

/// A gap smaller than this costs less to send than the head of another part (RFC 9110, 15.3.7.2).
const GAP_BYTES: u64 = 80;

/// A valid set of byte ranges, not yet held against a size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranges {
    first: Spec,
    more: Vec<Spec>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spec {
    /// From the first position to the last, which is behind every end when the range is open.
    Span { first: u64, last: u64 },
    /// So many bytes at the end.
    Suffix(u64),
}

/// What a set of ranges means in a representation of some size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// An absurd set: the whole is sent, with 200.
    Whole,
    /// One part, which may be all of it: 206 with Content-Range.
    One(Range<u64>),
    /// Two to eight parts: 206 as multipart/byteranges.
    Several(Vec<Range<u64>>),
    /// 416 with the size.
    Unsatisfiable,
}

impl Ranges {
    /// Reads the value; `None` when it is to be ignored: another unit, malformed, or more than 200 specs.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let value = value.trim_ascii();
        let (unit, set) = value.split_at_checked(value.iter().position(|byte| *byte == b'=')?)?;
        // RFC 9110, 14.1: names of units have no case.
        if !unit.eq_ignore_ascii_case(b"bytes") {
            return None;
        }
        // 5.6.1.2: blanks around elements, and empty elements, which do not count.
        let elements = set.strip_prefix(b"=")?.split(|byte| *byte == b',').map(blanks_trimmed);
        let mut specs = elements.filter(|element| !element.is_empty()).map(Spec::parse);
        let first = specs.next()??;
        let mut more = Vec::new();
        for spec in specs {
            if more.len() + 1 == SPECS_MAX {
                return None;
            }
            more.push(spec?);
        }
        Some(Self { first, more })
    }

    /// What they mean in a representation of `size` bytes.
    ///
    /// Ranges that overlap or nearly touch become one part. A part stands where the first of its ranges stood in the
    /// request, so parts keep the order that the client asked for (15.3.7.2) and are not sorted.
    #[must_use]
    pub fn resolve(&self, size: u64) -> Resolved {
        // 14.2 lets a server ignore Range. Of nothing it has to: a cache that asks for content slice by slice begins with a
        // range, and would take 416 for its answer; and no Content-Range can say what a suffix of nothing is.
        if size == 0 {
            return Resolved::Whole;
        }
        if self.more.is_empty() {
            return self.first.within(size).map_or(Resolved::Unsatisfiable, Resolved::One);
        }
        let specs = std::iter::once(&self.first).chain(&self.more);
        let asked: Vec<Range<u64>> = specs.filter_map(|spec| spec.within(size)).collect();
        // 17.15: overlapping ranges would make an answer many times as large as the representation.
        let bytes = asked.iter().fold(0u64, |sum, range| sum.saturating_add(range.end - range.start));
        if bytes > size {
            return Resolved::Whole;
        }
        let mut parts = coalesced(asked);
        match parts.len() {
            0 => Resolved::Unsatisfiable,
            1 => parts.pop().map_or(Resolved::Unsatisfiable, Resolved::One),
            2..=PARTS_MAX => Resolved::Several(parts),
            _ => Resolved::Whole,
        }
    }
}

impl Spec {
    /// RFC 9110, 14.1.1: `first-pos "-" [ last-pos ]` or `"-" suffix-length`, no blanks within. The bytes unit has no other.
    fn parse(element: &[u8]) -> Option<Self> {
        let dash = element.iter().position(|byte| *byte == b'-')?;
        let (before, after) = element.split_at_checked(dash)?;
        let after = after.strip_prefix(b"-")?;
        if before.is_empty() {
            return number(after).map(Self::Suffix);
        }
        let first = number(before)?;
        let last = if after.is_empty() { u64::MAX } else { number(after)? };
        // 14.1.1: a range whose last position is less than its first is invalid, and a set with one is.
        (first <= last).then_some(Self::Span { first, last })
    }

    /// The bytes that it means; `None` when it is unsatisfiable.
    fn within(&self, size: u64) -> Option<Range<u64>> {
        let range = match *self {
            // 14.1.2: a last position behind the end means the end.
            Self::Span { first, last } => first..last.saturating_add(1).min(size),
            // 14.1.2: a suffix longer than the representation is all of it.
            Self::Suffix(length) => size.saturating_sub(length)..size,
        };
        (range.start < range.end).then_some(range)
    }
}

/// Merges what overlaps or nearly touches; each part stands at the place of its first range.
fn coalesced(asked: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut by_start: Vec<(usize, Range<u64>)> = asked.into_iter().enumerate().collect();
    by_start.sort_by_key(|(_, range)| range.start);
    let mut parts: Vec<(usize, Range<u64>)> = Vec::with_capacity(PARTS_MAX);
    for (place, range) in by_start {
        match parts.last_mut() {
            Some((first, part)) if range.start < part.end.saturating_add(GAP_BYTES) => {
                part.end = part.end.max(range.end);
                *first = place.min(*first);
            }
            _ => parts.push((place, range)),
        }
    }
    parts.sort_by_key(|(place, _)| *place);
    parts.into_iter().map(|(_, part)| part).collect()
}

/// A decimal number of any length; one that is too large is as large as can be, which is behind every end.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(digits.iter().fold(0, add))
}

fn blanks_trimmed(mut element: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = element {
        element = rest;
    }
    element
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn resolve(value: &str, size: u64) -> Option<Resolved> {
        Ranges::parse(value.as_bytes()).map(|ranges| ranges.resolve(size))
    }

    #[test]
    fn headers_that_are_ignored() {
        for bad in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes= ,\t,",
            "=0-1",
            "items=0-1",
            "bytes 0-1",
            "bytes =0-1",
            "bytes=0",
            "bytes=-",
            "bytes=--1",
            "bytes=0--1",
            "bytes=0-1-2",
            "bytes=1-0",
            "bytes=0-1,5-4",
            "bytes=0 -1",
            "bytes=0- 1",
            "bytes=+0-1",
            "bytes=0x0-1",
            "bytes=a-b",
            "bytes=0-1;2-3",
            "bytes=0-1 2-3",
            "bytes=0-1,x",
            "bytes=0-1=",
            "bytes=99999999999999999999-5",
        ] {
            assert_eq!(Ranges::parse(bad.as_bytes()), None, "{bad:?}");
        }
        let many = |count| format!("bytes={}", vec!["0-0"; count].join(","));
        assert!(Ranges::parse(many(SPECS_MAX).as_bytes()).is_some());
        assert!(Ranges::parse(many(SPECS_MAX + 1).as_bytes()).is_none());
    }

    #[test]
    fn sets_and_what_they_mean() {
        use Resolved::{One, Several, Unsatisfiable, Whole};
        let several = |parts: &[(u64, u64)]| Several(parts.iter().map(|(start, end)| *start..*end).collect());
        for (value, size, want) in [
            // RFC 9110, 14.1.2: the examples.
            ("bytes=0-499", 10_000, One(0..500)),
            ("bytes=500-999", 10_000, One(500..1000)),
            ("bytes=-500", 10_000, One(9500..10_000)),
            ("bytes=9500-", 10_000, One(9500..10_000)),
            ("bytes=0-0,-1", 10_000, several(&[(0, 1), (9999, 10_000)])),
            ("bytes= 0-999, 4500-5499, -1000", 10_000, several(&[(0, 1000), (4500, 5500), (9000, 10_000)])),
            ("bytes=500-600,601-999", 10_000, One(500..1000)),
            ("bytes=500-700,601-999", 10_000, One(500..1000)),
            ("BYTES=0-0", 1, One(0..1)),
            ("bytes=0-", 10, One(0..10)),
            ("bytes=0-9", 10, One(0..10)),
            ("bytes=9-99999999999999999999999", 10, One(9..10)),
            ("bytes=-99999999999999999999999", 10, One(0..10)),
            ("bytes=007-0008", 10, One(7..9)),
            // Unsatisfiable alone; left out among others.
            ("bytes=10-", 10, Unsatisfiable),
            ("bytes=10-12,-0", 10, Unsatisfiable),
            ("bytes=99999999999999999999-", u64::MAX, Unsatisfiable),
            ("bytes=99999999999999999999-99999999999999999999", 10, Unsatisfiable),
            ("bytes=-0", 10, Unsatisfiable),
            ("bytes=0-", 0, Whole),
            ("bytes=-5", 0, Whole),
            ("bytes=-0", 0, Whole),
            ("bytes=0-1,-1", 0, Whole),
            ("bytes=50-,3-4", 10, One(3..5)),
            // A gap of 79 bytes is sent, one of 80 is not.
            ("bytes=0-9,89-99", 1000, One(0..100)),
            ("bytes=0-9,90-99", 1000, several(&[(0, 10), (90, 100)])),
            // The order of the request; a part stands where its first range stood.
            ("bytes=900-,0-9", 1000, several(&[(900, 1000), (0, 10)])),
            ("bytes=500-509,900-,0-9,510-519", 1000, several(&[(500, 520), (900, 1000), (0, 10)])),
            // Absurd: more bytes than there are, or more than eight parts.
            ("bytes=0-,0-", 1000, Whole),
            ("bytes=0-,-1", 1000, Whole),
            ("bytes=0-499,500-999", 1000, One(0..1000)),
            (
                "bytes=0-0,100-100,200-200,300-300,400-400,500-500,600-600,700-700",
                1000,
                several(&[(0, 1), (100, 101), (200, 201), (300, 301), (400, 401), (500, 501), (600, 601), (700, 701)]),
            ),
            ("bytes=0-0,100-100,200-200,300-300,400-400,500-500,600-600,700-700,800-800", 1000, Whole),
        ] {
            assert_eq!(resolve(value, size), Some(want), "{value} of {size}");
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Model {
        Span(usize, usize),
        Open(usize),
        Suffix(usize),
    }

    fn specs() -> impl Strategy<Value = Vec<Model>> {
        let spec = prop_oneof![
            6 => (0usize..1500, 0usize..60).prop_map(|(first, more)| Model::Span(first, first + more)),
            1 => (0usize..1500).prop_map(Model::Open),
            1 => (0usize..300).prop_map(Model::Suffix),
        ];
        proptest::collection::vec(spec, 1..14)
    }

    fn text(spec: &Model) -> String {
        match spec {
            Model::Span(first, last) => format!("{first}-{last}"),
            Model::Open(first) => format!("{first}-"),
            Model::Suffix(length) => format!("-{length}"),
        }
    }

    /// The bytes of a representation of `size`, each asked about alone.
    fn bitmap(spec: Model, size: usize) -> Vec<bool> {
        (0..size)
            .map(|byte| match spec {
                Model::Span(first, last) => first <= byte && byte <= last,
                Model::Open(first) => first <= byte,
                Model::Suffix(length) => byte + length >= size,
            })
            .collect()
    }

    /// The answer by painting bytes: gaps shorter than 80 between painted bytes are painted too, and runs are the parts.
    fn model(specs: &[Model], size: usize) -> Resolved {
        let asked: Vec<Vec<bool>> =
            specs.iter().map(|spec| bitmap(*spec, size)).filter(|map| map.contains(&true)).collect();
        if asked.is_empty() {
            return if size == 0 { Resolved::Whole } else { Resolved::Unsatisfiable };
        }
        if asked.iter().flatten().filter(|asked| **asked).count() > size {
            return Resolved::Whole;
        }
        let mut painted: Vec<bool> = (0..size).map(|byte| asked.iter().any(|map| map[byte])).collect();
        let set: Vec<usize> = (0..size).filter(|byte| painted[*byte]).collect();
        set.windows(2).filter(|pair| pair[1] - pair[0] - 1 < 80).for_each(|pair| painted[pair[0]..pair[1]].fill(true));
        let mut parts: Vec<Range<u64>> = Vec::new();
        for map in &asked {
            let inside = map.iter().position(|asked| *asked).unwrap();
            let start = (0..=inside).rev().take_while(|byte| painted[*byte]).last().unwrap();
            let end = (inside..size).take_while(|byte| painted[*byte]).last().unwrap() + 1;
            let part = start as u64..end as u64;
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        match &parts[..] {
            [part] => Resolved::One(part.clone()),
            parts if parts.len() > 8 => Resolved::Whole,
            _ => Resolved::Several(parts),
        }
    }

    proptest! {
        #[test]
        fn sets_mean_what_painting_their_bytes_means(
            specs in specs(),
            size in prop_oneof![0usize..4, 0usize..2000],
            blanks in "[ \t]{0,2},{1,2}[ \t]{0,2}",
        ) {
            let value = format!("bytes={}", specs.iter().map(text).collect::<Vec<_>>().join(&blanks));
            prop_assert_eq!(resolve(&value, size as u64), Some(model(&specs, size)), "{} of {}", value, size);
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..60), text in "bytes=[0-9, -]{0,60}", size: u64) {
            for value in [&bytes[..], text.as_bytes()] {
                let _ = Ranges::parse(value).map(|ranges| ranges.resolve(size));
            }
        }
    }
}
