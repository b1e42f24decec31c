//! The small words of HTTP: tokens, optional blanks, hosts (RFC 9110, 5.6; RFC 3986, 3.2).
//!
//! Any thread; pure.

use std::net::Ipv6Addr;

/// Whether a byte may be in a token (RFC 9110, 5.6.2).
pub(super) const fn is_token_byte(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z')
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

/// Whether it is a token: at least one byte, no blanks, no delimiters.
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| is_token_byte(*byte))
}

/// Without the spaces and tabs around it: the only blanks that HTTP knows.
pub(super) fn trim_blanks(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// The elements of a list `a, b`; empty ones are among them.
pub(super) fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',').map(trim_blanks)
}

/// Whether it is `host` or `host:port`, with nothing else in it. RFC 3986, 3.2.2 would allow a comma in a name; here it
/// would more likely be two hosts that somebody joined.
pub(super) fn is_authority(text: &[u8]) -> bool {
    let (host, port) = match text {
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
            let (address, after) = rest.split_at(end);
            if !is_ipv6(address) {
                return false;
            }
            match after {
                [_] => return true,
                [_, b':', port @ ..] => (address, port),
                _ => return false,
            }
        }
        _ => match text.iter().position(|byte| *byte == b':') {
            Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default()),
            None => (text, &[][..]),
        },
    };
    !host.is_empty() && (text.first() == Some(&b'[') || is_registered_name(host)) && is_port(port)
}

fn is_ipv6(address: &[u8]) -> bool {
    std::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// RFC 3986, 3.2.3: digits, possibly none.
fn is_port(port: &[u8]) -> bool {
    port.len() <= 5
        && port.iter().all(u8::is_ascii_digit)
        && port.iter().fold(0u32, |number, digit| number * 10 + u32::from(digit - b'0')) <= 0xffff
}

fn is_registered_name(name: &[u8]) -> bool {
    let mut rest = name;
    loop {
        rest = match rest {
            [] => return true,
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest,
            [byte, rest @ ..] if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(byte) => rest,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_nothing_beside_it_but_a_port() {
        for good in [
            "a",
            "a.b-c_d",
            "127.0.0.1:7480",
            "[::1]",
            "[::1]:80",
            "[::ffff:1.2.3.4]:",
            "a:",
            "a:65535",
            "a%20b",
            "x!$;",
        ] {
            assert!(is_authority(good.as_bytes()), "{good:?} was refused");
        }
        for bad in [
            "",
            ":80",
            "a b",
            "a,b",
            "u@h",
            "u:p@h",
            "a:b",
            "a:65536",
            "a:000080",
            "a:-1",
            "a:+1",
            "a:80:80",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]:x",
            "[]",
            "[fe80::1%25eth0]",
            "[v1.x]",
            "[::1]]",
            "a%2",
            "a%zz",
            "\u{e4}",
            "a\t",
            " a",
            "\"a\"",
            "<a>",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad:?} was taken");
        }
    }

    #[test]
    fn blanks_are_spaces_and_tabs() {
        assert_eq!(trim_blanks(b" \t a b\t "), b"a b");
        assert_eq!(trim_blanks(b"\x0ba\r"), b"\x0ba\r");
        assert_eq!(trim_blanks(b" \t"), b"");
        assert_eq!(elements(b"a ,\tb,,").collect::<Vec<_>>(), [&b"a"[..], b"b", b"", b""]);
    }
}
