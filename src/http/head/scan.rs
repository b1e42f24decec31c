//! The first look at a head: where its lines end, and that they end as they must.
//!
//! Runs on the processor's thread; pure. Always: what passes has no control character but tabs, and CR and LF only
//! together, so that whoever splits the lines after it cannot find other lines. What is wrong is found in the order of the
//! bytes, so more bytes behind a refused head never change why it is refused.

use super::line::RequestLine;
use crate::base::limits::HTTP_HEAD_BYTES_MAX;
use crate::http::bad::Bad;

/// The longest request line: a path of 4,096 bytes, each of them escaped.
const LINE_BYTES_MAX: usize = 12 << 10;

/// The most header fields: browsers send some twenty, and a chain of proxies a few each.
pub(super) const FIELDS_MAX: usize = 100;

/// Empty lines before the request line that are forgiven: old clients send one after a body.
const EMPTY_LINES_MAX: usize = 2;

/// What the first look has found.
#[derive(Debug)]
pub(super) struct Scanned<'a> {
    /// The request line.
    pub(super) line: RequestLine<'a>,
    /// The head from the request line to the empty line.
    pub(super) head: &'a [u8],
    /// Of it, the lines after the request line.
    pub(super) fields: &'a [u8],
    /// Bytes of the whole head, with empty lines before it.
    pub(super) head_bytes: usize,
}

/// Finds the end of a head; `None` when it has not come yet.
pub(super) fn scan(input: &[u8]) -> Result<Option<Scanned<'_>>, Bad> {
    let input = input.get(..HTTP_HEAD_BYTES_MAX).unwrap_or(input);
    let mut look = Look { input, line: None, line_start: 0, head_start: 0, fields_start: 0, fields: 0, empty_lines: 0 };
    let mut from = 0;
    while let Some(at) = next_control(input, from) {
        look.check_line_bytes(at)?;
        from = match (input.get(at), input.get(at + 1)) {
            (Some(b'\t'), _) => at + 1,
            (Some(b'\r'), None) => break,
            (Some(b'\r'), Some(b'\n')) => at + 2,
            // RFC 9112, 2.2: a CR without LF is invalid. A lone LF might be taken as the end of a line, but a proxy that does
            // not would see other fields. RFC 9110, 5.5: CR, LF and NUL are dangerous in values.
            _ => return Err(Bad::request("a control character in the head, or a line that does not end in CR LF")),
        };
        if from == at + 2 && look.end_line(at)? {
            let line = look.line.ok_or(Bad::request("no request line"))?;
            let fields = input.get(look.fields_start..from).unwrap_or_default();
            let head = input.get(look.head_start..from).unwrap_or_default();
            return Ok(Some(Scanned { line, head, fields, head_bytes: from }));
        }
    }
    look.check_line_bytes(input.strip_suffix(b"\r").unwrap_or(input).len())?;
    if input.len() == HTTP_HEAD_BYTES_MAX {
        return Err(Bad::head_too_large("the head is over 16 KiB"));
    }
    Ok(None)
}

struct Look<'a> {
    input: &'a [u8],
    /// The request line, once it has ended.
    line: Option<RequestLine<'a>>,
    /// Where the line begins that has not ended.
    line_start: usize,
    head_start: usize,
    fields_start: usize,
    fields: usize,
    empty_lines: usize,
}

impl Look<'_> {
    /// A request line that goes on up to `at` is not too long.
    fn check_line_bytes(&self, at: usize) -> Result<(), Bad> {
        if self.line.is_none() && at.saturating_sub(self.line_start) > LINE_BYTES_MAX {
            return Err(Bad::target_too_long("the request line is over 12 KiB"));
        }
        Ok(())
    }

    /// A line ends at `at`; says whether it ends the head.
    fn end_line(&mut self, at: usize) -> Result<bool, Bad> {
        let start = std::mem::replace(&mut self.line_start, at + 2);
        let line = self.input.get(start..at).unwrap_or_default();
        if self.line.is_some() {
            return Ok(line.is_empty() || self.count_field()?);
        }
        if line.is_empty() {
            return self.count_empty_line();
        }
        self.line = Some(RequestLine::parse(line)?);
        (self.head_start, self.fields_start) = (start, self.line_start);
        Ok(false)
    }

    fn count_field(&mut self) -> Result<bool, Bad> {
        self.fields += 1;
        if self.fields > FIELDS_MAX {
            return Err(Bad::head_too_large("more than 100 header fields"));
        }
        Ok(false)
    }

    /// RFC 9112, 2.2: a server ignores at least one empty line before the request line.
    fn count_empty_line(&mut self) -> Result<bool, Bad> {
        self.empty_lines += 1;
        if self.empty_lines > EMPTY_LINES_MAX {
            return Err(Bad::request("empty lines before the request line"));
        }
        Ok(false)
    }
}

/// The place of the first byte below 0x20, eight bytes at a time: a line has one such byte.
fn next_control(input: &[u8], from: usize) -> Option<usize> {
    let (words, rest) = input.get(from..)?.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let controls = controls_of(u64::from_le_bytes(*word));
        if controls != 0 {
            return Some(from + index * 8 + controls.trailing_zeros() as usize / 8);
        }
    }
    let found = rest.iter().position(|byte| *byte < 0x20)?;
    Some(from + words.len() * 8 + found)
}

/// The top bit of each byte below 0x20 is set, the lowest such byte exactly: subtracting borrows only from higher ones.
fn controls_of(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    word.wrapping_sub(EACH * 0x20) & !word & (EACH * 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn status(input: &[u8]) -> Option<u16> {
        scan(input).err().map(|bad| bad.status)
    }

    #[test]
    fn a_head_ends_within_its_limits() {
        let line = |target_bytes: usize| format!("GET /{} HTTP/1.1\r\n", "x".repeat(target_bytes)).into_bytes();
        let longest = line(LINE_BYTES_MAX - 14);
        assert_eq!(longest.len(), LINE_BYTES_MAX + 2);
        let whole = [&longest[..], b"\r\n"].concat();
        assert!((0..whole.len()).all(|bytes| matches!(scan(&whole[..bytes]), Ok(None))));
        assert_eq!(scan(&whole).unwrap().unwrap().head_bytes, whole.len());
        let longer = line(LINE_BYTES_MAX - 13);
        assert!(matches!(scan(&longer[..LINE_BYTES_MAX]), Ok(None)));
        assert!((LINE_BYTES_MAX + 1..longer.len()).all(|bytes| status(&longer[..bytes]) == Some(414)));

        let mut full = [&longest[..], b"a: "].concat();
        full.resize(HTTP_HEAD_BYTES_MAX - 4, b'b');
        full.extend_from_slice(b"\r\n\r\nGET");
        assert_eq!(scan(&full).unwrap().unwrap().head_bytes, HTTP_HEAD_BYTES_MAX);
        full.insert(longest.len(), b'a');
        assert!(matches!(scan(&full[..HTTP_HEAD_BYTES_MAX - 1]), Ok(None)));
        assert_eq!(status(&full[..HTTP_HEAD_BYTES_MAX]), Some(431));
        assert_eq!(status(&full), Some(431));
    }

    #[test]
    fn the_fields_and_the_empty_lines_are_counted() {
        let head = |empty: usize, fields: usize| {
            format!("{}GET / HTTP/1.1\r\n{}\r\n", "\r\n".repeat(empty), "a:b\r\n".repeat(fields)).into_bytes()
        };
        assert!(scan(&head(2, 100)).unwrap().is_some());
        assert_eq!(status(&head(3, 0)), Some(400));
        assert_eq!(status(&head(0, 101)), Some(431));
    }

    #[test]
    fn a_request_line_is_judged_before_the_head_has_ended() {
        assert_eq!(status(b"GET /\r\n"), Some(400));
        assert_eq!(status(b"\x16\x03\x01"), Some(400));
        assert!(matches!(scan(b"\r\n\r\nGET /"), Ok(None)));
    }

    proptest! {
        #[test]
        fn words_find_what_bytes_find(bytes in proptest::collection::vec(prop_oneof![8 => 0x20u8..=0xff, 1 => 0u8..0x20], 0..60), from in 0usize..70) {
            let want = bytes.iter().enumerate().skip(from).find(|(_, byte)| **byte < 0x20).map(|(at, _)| at);
            prop_assert_eq!(next_control(&bytes, from), want);
        }
    }
}
