//! Entity tags: ours written, and the lists of If-Match and If-None-Match read.
//!
//! Any thread; pure. Our tags are strong: the content hash in 32 lower-case hexadecimal digits, within quotes, so a tag of
//! another shape can never be one of ours. Always: work and memory are bounded by the request head that the lists stand in,
//! and a list of one tag takes no memory.

use crate::base::ids::ContentHash;

/// Bytes of one of our tags, quotes included.
pub const ETAG_BYTES: usize = 34;

/// Hexadecimal digits of a hash.
const DIGITS: usize = 32;

/// Writes the tag of a content: `"`, 32 digits, `"`.
pub fn write(hash: ContentHash, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in hash.0.to_be_bytes() {
        out.extend([digit(byte >> 4), digit(byte & 15)]);
    }
    out.push(b'"');
}

const fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

/// A tag of the shape of ours, as a peer sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    hash: ContentHash,
    weak: bool,
}

impl Tag {
    /// RFC 9110, 8.8.3.2: in the strong comparison two tags are equal if neither is weak and their opaque parts are the same.
    #[must_use]
    pub fn is_strongly(self, current: ContentHash) -> bool {
        !self.weak && self.hash == current
    }

    /// RFC 9110, 8.8.3.2: in the weak comparison only the opaque parts count. A proxy that compresses makes tags weak.
    #[must_use]
    pub fn is_weakly(self, current: ContentHash) -> bool {
        self.hash == current
    }
}

/// What the lines of If-Match, or of If-None-Match, say together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Tags {
    /// There is no such line.
    #[default]
    Absent,
    /// `*` alone.
    Any,
    /// A list. Tags that cannot be ours are left out, so it may hold none.
    Listed(TagList),
    /// The lines are neither. Such a list matches nothing: If-Match fails, and If-None-Match hinders nothing.
    Malformed,
}

/// The tags of a list that may be ours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TagList {
    first: Option<Tag>,
    more: Vec<Tag>,
}

impl TagList {
    fn push(&mut self, tag: Tag) {
        match self.first {
            None => self.first = Some(tag),
            Some(_) => self.more.push(tag),
        }
    }

    fn iter(&self) -> impl Iterator<Item = Tag> {
        self.first.into_iter().chain(self.more.iter().copied())
    }
}

impl Tags {
    /// Reads all lines of the field. RFC 9110, 5.3: several lines are one list.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut values = values.into_iter();
        let Some(first) = values.next() else {
            return Self::Absent;
        };
        let second = values.next();
        // RFC 9110, 13.1.1 and 13.1.2: `"*" / #entity-tag`, so the star is the whole value.
        if second.is_none() && first.trim_ascii() == b"*" {
            return Self::Any;
        }
        let mut list = TagList::default();
        for line in std::iter::once(first).chain(second).chain(values) {
            if list_line(line, &mut list).is_none() {
                return Self::Malformed;
            }
        }
        Self::Listed(list)
    }

    /// Whether a tag of the list is that of the current content by the strong comparison, or the list is `*`.
    #[must_use]
    pub fn match_strongly(&self, current: ContentHash) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(list) => list.iter().any(|tag| tag.is_strongly(current)),
            Self::Absent | Self::Malformed => false,
        }
    }

    /// As [`match_strongly`](Self::match_strongly), by the weak comparison.
    #[must_use]
    pub fn match_weakly(&self, current: ContentHash) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(list) => list.iter().any(|tag| tag.is_weakly(current)),
            Self::Absent | Self::Malformed => false,
        }
    }

    /// Whether there is no such line.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// Reads one line: `[ element ] *( OWS "," OWS [ element ] )` (RFC 9110, 5.6.1.2: empty elements are taken).
fn list_line(line: &[u8], list: &mut TagList) -> Option<()> {
    let mut rest = blanks_skipped(line);
    while !rest.is_empty() {
        if let Some(next) = rest.strip_prefix(b",") {
            rest = blanks_skipped(next);
            continue;
        }
        let (tag, next) = element(rest)?;
        tag.into_iter().for_each(|tag| list.push(tag));
        rest = blanks_skipped(next);
        if !rest.is_empty() && !rest.starts_with(b",") {
            return None;
        }
    }
    Some(())
}

/// A value that is one tag. The tag is `None` when it cannot be ours; the whole is when it is not a tag.
pub fn single(value: &[u8]) -> Option<Option<Tag>> {
    let (tag, rest) = element(value.trim_ascii())?;
    rest.is_empty().then_some(tag)
}

/// RFC 9110, 8.8.3: `entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE`, in which W is a capital and nothing is escaped.
fn element(rest: &[u8]) -> Option<(Option<Tag>, &[u8])> {
    let (weak, quoted) = match rest.strip_prefix(b"W/") {
        Some(quoted) => (true, quoted),
        None => (false, rest),
    };
    let opaque = quoted.strip_prefix(b"\"")?;
    let end = opaque.iter().position(|byte| *byte == b'"')?;
    let (opaque, tail) = opaque.split_at_checked(end)?;
    if !opaque.iter().all(|byte| is_etagc(*byte)) {
        return None;
    }
    Some((hash_of(opaque).map(|hash| Tag { hash, weak }), tail.strip_prefix(b"\"")?))
}

/// RFC 9110, 8.8.3: visible characters but the quote, and bytes above ASCII.
const fn is_etagc(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x7e | 0x80..=0xff)
}

fn hash_of(opaque: &[u8]) -> Option<ContentHash> {
    if opaque.len() != DIGITS {
        return None;
    }
    let value = opaque.iter().try_fold(0u128, |sum, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(sum << 4 | u128::from(digit))
    })?;
    Some(ContentHash(value))
}

fn blanks_skipped(mut rest: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', tail @ ..] = rest {
        rest = tail;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HASH: ContentHash = ContentHash(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
    const OURS: &str = "\"0123456789abcdef0011223344556677\"";

    fn parse(lines: &[&str]) -> Tags {
        Tags::parse(lines.iter().map(|line| line.as_bytes()))
    }

    fn listed(tags: &[(ContentHash, bool)]) -> Tags {
        let mut list = TagList::default();
        tags.iter().for_each(|(hash, weak)| list.push(Tag { hash: *hash, weak: *weak }));
        Tags::Listed(list)
    }

    #[test]
    fn our_tag_has_one_form() {
        let mut out = Vec::new();
        write(HASH, &mut out);
        assert_eq!(out, OURS.as_bytes());
        assert_eq!(out.len(), ETAG_BYTES);
        assert_eq!(single(&out), Some(Some(Tag { hash: HASH, weak: false })));
    }

    #[test]
    fn lists_are_read_as_the_rfc_writes_them() {
        let (one, weak) = ((HASH, false), (HASH, true));
        for (lines, want) in [
            (&[][..], Tags::Absent),
            (&["*"], Tags::Any),
            (&[" *\t"], Tags::Any),
            (&[OURS], listed(&[one])),
            (&[" \"x\" ,\t \"0123456789abcdef0011223344556677\" "], listed(&[one])),
            (&["W/\"0123456789abcdef0011223344556677\""], listed(&[weak])),
            (&[OURS, "W/\"0123456789abcdef0011223344556677\""], listed(&[one, weak])),
            // Not ours, but there: of another length, with capitals, with a comma or a backslash inside.
            (&["\"\""], listed(&[])),
            (&["\"0123456789ABCDEF0011223344556677\""], listed(&[])),
            (&["\"a,b\", \"\\\", \"\u{e9}\""], listed(&[])),
            // RFC 9110, 5.6.1.2: empty elements.
            (&[""], listed(&[])),
            (&[",,"], listed(&[])),
            (&[", \"0123456789abcdef0011223344556677\",, ,"], listed(&[one])),
            // Neither a star nor a list.
            (&["*", "*"], Tags::Malformed),
            (&["*, \"a\""], Tags::Malformed),
            (&["\"a\"", "*"], Tags::Malformed),
            (&["", "*"], Tags::Malformed),
            (&["**"], Tags::Malformed),
            (&["0123456789abcdef0011223344556677"], Tags::Malformed),
            (&["\"0123456789abcdef0011223344556677"], Tags::Malformed),
            (&["w/\"0123456789abcdef0011223344556677\""], Tags::Malformed),
            (&["W/ \"0123456789abcdef0011223344556677\""], Tags::Malformed),
            (&["\"a\" \"b\""], Tags::Malformed),
            (&["\"a\"\"b\""], Tags::Malformed),
            (&["\"a b\""], Tags::Malformed),
            (&["\"a", "b\""], Tags::Malformed),
            (&["\"a\"; \"b\""], Tags::Malformed),
        ] {
            assert_eq!(parse(lines), want, "{lines:?}");
        }
    }

    #[test]
    fn weak_and_strong_comparison_differ_in_weak_tags_only() {
        // The table of RFC 9110, 8.8.3.2; ours is always strong.
        for (lines, strong, weak) in [
            (&["W/\"0123456789abcdef0011223344556677\""][..], false, true),
            (&[OURS], true, true),
            (&["\"0123456789abcdef0011223344556678\""], false, false),
            (&["*"], true, true),
            (&["\"a\", \"0123456789abcdef0011223344556678\"", OURS], true, true),
            (&["*", OURS], false, false),
            (&[], false, false),
        ] {
            let tags = parse(lines);
            assert_eq!((tags.match_strongly(HASH), tags.match_weakly(HASH)), (strong, weak), "{lines:?}");
        }
    }

    #[test]
    fn one_value_is_one_tag() {
        assert_eq!(single(b" W/\"0123456789abcdef0011223344556677\" "), Some(Some(Tag { hash: HASH, weak: true })));
        assert_eq!(single(b"\"x\""), Some(None));
        for bad in ["", "*", "x", "\"x\",", "\"x\", \"y\"", "\"x"] {
            assert_eq!(single(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn lists_come_out_as_they_went_in(
            tags in proptest::collection::vec((any::<u128>(), any::<bool>(), "[ \t]{0,2}", "[ \t]{0,2},{1,2}"), 0..20),
            lines in 1usize..4,
        ) {
            let mut texts = vec![String::new(); lines];
            for (at, (hash, weak, before, after)) in tags.iter().enumerate() {
                let weak = if *weak { "W/" } else { "" };
                texts[at * lines / tags.len()] += &format!("{before}{weak}\"{hash:032x}\"{after}");
            }
            let want: Vec<_> = tags.iter().map(|(hash, weak, ..)| (ContentHash(*hash), *weak)).collect();
            prop_assert_eq!(Tags::parse(texts.iter().map(|text| text.as_bytes())), listed(&want));
        }

        #[test]
        fn any_bytes_are_survived(lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..3)) {
            let _ = Tags::parse(lines.iter().map(|line| &line[..]));
        }
    }
}
