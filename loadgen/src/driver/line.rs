//! Lines that end in CR LF, as several protocols have them.
//!
//! A worker's thread.

use super::Garbage;

/// Longer lines are nothing that a server answers to a load.
const LINE_BYTES_MAX: usize = 8 << 10;

/// The line at the front without its end, and the bytes that it takes with it; `None` when its end is not here.
pub(super) fn line(input: &[u8]) -> Result<Option<(&[u8], usize)>, Garbage> {
    let Some(end) = input.iter().take(LINE_BYTES_MAX).position(|byte| *byte == b'\n') else {
        if input.len() < LINE_BYTES_MAX {
            return Ok(None);
        }
        return Err(Garbage::instead_of("a line of at most 8 KiB", input));
    };
    let text = input.get(..end).and_then(|text| text.strip_suffix(b"\r"));
    match text {
        Some(text) => Ok(Some((text, end + 1))),
        None => Err(Garbage::instead_of("a line that ends in CR LF", input)),
    }
}

/// A decimal number that is all of a text, without signs.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_and_bounded() {
        assert_eq!(line(b"OK\r\nmore"), Ok(Some((&b"OK"[..], 4))));
        assert_eq!(line(b"\r\n"), Ok(Some((&b""[..], 2))));
        assert_eq!(line(b"OK\r"), Ok(None));
        assert!(line(b"OK\n").is_err());
        assert_eq!(line(&[b'a'; LINE_BYTES_MAX - 1]), Ok(None));
        assert!(line(&[b'a'; LINE_BYTES_MAX]).is_err());
    }

    #[test]
    fn numbers_are_digits_alone() {
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        for wrong in [&b""[..], b"-1", b"+1", b"1 ", b"18446744073709551616", b"0x1"] {
            assert_eq!(decimal(wrong), None);
        }
    }
}
