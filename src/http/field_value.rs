//! What may stand as the value of a header line.
//!
//! Any thread; pure. Always: stored attributes come from any client of the binary protocol, so nothing of them is sent in a
//! head before it was checked here; a line end in one would make a second answer.

use crate::request::Attributes;

/// Whether bytes are the value of a field: visible ASCII, bytes above ASCII, and blanks that are neither first nor last
/// (RFC 9110, 5.5).
#[must_use]
pub fn is_field_value(value: &[u8]) -> bool {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..))
        && !blank(value.first())
        && !blank(value.last())
}

/// The value of a stored attribute, if it is there, fit for a header line, and not empty.
#[must_use]
pub fn stored(attributes: &Attributes, tag: u8) -> Option<&[u8]> {
    attributes.value(tag).filter(|value| !value.is_empty() && is_field_value(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_in_its_line_is_sent() {
        for good in [&b"a"[..], b"", b"a b\tc", b"caf\xc3\xa9", b"\xff", b"\"~"] {
            assert!(is_field_value(good), "{good:?}");
        }
        for bad in [&b" a"[..], b"a ", b"\t", b"a\rb", b"a\nb", b"a\r\nSet-Cookie: b", b"\0", b"a\x7f", b"a\x1bb"] {
            assert!(!is_field_value(bad), "{bad:?}");
        }
        let tag = Attributes::CACHE_CONTROL;
        let of = |value| Attributes::of(&[(tag, value)]).unwrap();
        assert_eq!(stored(&of(b"no-store"), tag), Some(&b"no-store"[..]));
        assert_eq!(stored(&of(b"no-store\r\n"), tag), None);
        assert_eq!(stored(&of(b""), tag), None);
        assert_eq!(stored(&Attributes::default(), tag), None);
    }
}
