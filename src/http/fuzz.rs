//! The bodies of the fuzz targets of the origin: plain functions, fed by the tests with bytes near to requests and by a
//! fuzzer with cleverer ones.

use super::bad::Bad;
use super::chunked::{Chunked, Step};
use super::digest::Expected;
use super::framing::Framing;
use super::head::{Head, Parsed, Version, parse};
use super::target::{Place, route};
use crate::base::limits::HTTP_HEAD_BYTES_MAX;
use crate::base::path::NamePath;

/// Cuts of one input that are tried: all of a short one, evenly spread over a long one.
const CUTS_MAX: usize = 256;

/// Reads bytes as the head of a request and routes its target; says whether it was one.
///
/// # Panics
/// When reading panics, when more bytes change what was already said, or when what was accepted is not what RFC 9112 lets
/// through. None may happen.
pub fn fuzz_head(bytes: &[u8]) -> bool {
    let whole = parse(bytes);
    for cut in cuts(bytes.len()) {
        let front = bytes.get(..cut).expect("a cut is within");
        match (parse(front), &whole) {
            (Parsed::More, Parsed::More) => {}
            (Parsed::More, Parsed::Head { head_bytes, .. }) => assert!(cut < *head_bytes, "a whole head is not read"),
            (Parsed::More, Parsed::Bad(_)) => {}
            (Parsed::Bad(before), Parsed::Bad(after)) => assert_eq!(before, *after, "more bytes change the refusal"),
            (front, whole) => assert_eq!(front, *whole, "more bytes change what was said"),
        }
    }
    match whole {
        Parsed::More => assert!(!has_end(bytes) && bytes.len() < HTTP_HEAD_BYTES_MAX, "an end is not seen"),
        Parsed::Bad(bad) => check_refusal(bad),
        Parsed::Head { head_bytes, head } => {
            let text = bytes.get(..head_bytes).expect("a head is within the input");
            check_head(text, &head);
            return true;
        }
    }
    false
}

/// Whether there is an empty line behind another one.
fn has_end(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(after) = rest.strip_prefix(b"\r\n") {
        rest = after;
    }
    rest.windows(4).any(|four| four == b"\r\n\r\n")
}

fn check_refusal(bad: Bad) {
    assert!(matches!(bad.status, 400 | 414 | 417 | 431 | 501 | 505) && !bad.detail.is_empty());
}

fn check_head(text: &[u8], head: &Head<'_>) {
    assert!(text.len() <= HTTP_HEAD_BYTES_MAX && text.ends_with(b"\r\n\r\n"));
    let ends = text.windows(2).filter(|two| two == b"\r\n").count();
    assert!(text.iter().filter(|byte| **byte == b'\r').count() == ends, "a lone CR");
    assert!(text.iter().filter(|byte| **byte == b'\n').count() == ends, "a lone LF");
    assert!(text.iter().all(|byte| !byte.is_ascii_control() || matches!(byte, b'\r' | b'\n' | b'\t')));
    assert!(head.target.iter().all(u8::is_ascii_graphic));
    assert!(head.version == Version::Http11 || head.framing != Framing::Chunked);
    assert!(head.version == Version::Http10 || head.host.is_some());
    for values in [head.if_match, head.if_none_match, head.cache_control, head.content_digest] {
        assert_eq!(values.is_empty(), values.iter().next().is_none());
    }
    assert!(head.meta().all(|(name, _)| !name.is_empty()));
    check_target(head.target);
}

fn check_target(target: &[u8]) {
    match route(target) {
        Err(bad) => check_refusal(bad),
        Ok(target_read) => match target_read.place {
            Place::Name(path) | Place::Directory(path) => {
                assert_eq!(NamePath::parse(path.as_str().as_bytes()).as_ref(), Ok(&path));
            }
            Place::Id(id) => {
                // One spelling: what leads to an id holds its text.
                let text = id.to_string();
                assert!(target.windows(text.len()).any(|window| window == text.as_bytes()));
            }
            Place::Ids | Place::Live | Place::Ready | Place::Metrics | Place::Nothing => {}
        },
    }
}

fn cuts(bytes: usize) -> impl Iterator<Item = usize> {
    (0..bytes).step_by(bytes.div_ceil(CUTS_MAX).max(1))
}

/// Reads bytes as a chunked body, cut in several ways, and as digests of one.
///
/// # Panics
/// When reading panics, or when what is read depends on where it is cut. Neither may happen.
pub fn fuzz_body(bytes: &[u8]) {
    let whole = decode(bytes, |_| usize::MAX);
    for pieces in 1..4 {
        assert_eq!(decode(bytes, |_| pieces), whole, "a cut changes a body");
    }
    // Pieces as long as the bytes of the body itself say.
    let wild = decode(bytes, |at| bytes.get(at).map_or(1, |byte| usize::from(*byte % 32) + 1));
    assert_eq!(wild, whole, "a cut changes a body");
    fuzz_digest(bytes);
}

/// The data, and how it ended: where the body ends, not yet, or refused.
fn decode(bytes: &[u8], piece_at: impl Fn(usize) -> usize) -> (Vec<u8>, Result<Option<usize>, Bad>) {
    let (mut chunked, mut data, mut at) = (Chunked::begin(), Vec::new(), 0);
    while at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let piece = rest.get(..piece_at(at)).unwrap_or(rest);
        match chunked.next(piece) {
            Ok(Step::More) => at += piece.len(),
            Ok(Step::Data { skip, take }) => {
                assert!(take > 0, "data of no bytes");
                data.extend_from_slice(piece.get(skip..skip + take).expect("data is within what was given"));
                at += skip + take;
            }
            Ok(Step::End { skip }) => {
                assert!(skip <= piece.len());
                return (data, Ok(Some(at + skip)));
            }
            Err(bad) => {
                check_refusal(bad);
                assert_eq!(chunked.next(rest), Err(bad), "what is broken stays so");
                return (data, Err(bad));
            }
        }
    }
    (data, Ok(None))
}

/// Lines of the input: Content-MD5, the lines of Content-Digest, and as a body all of it.
fn fuzz_digest(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let md5 = lines.next().filter(|line| !line.is_empty());
    let Ok(Some(expected)) = Expected::parse(md5, lines) else {
        return;
    };
    let (mut whole, mut pieces) = (expected.clone().begin(), expected.begin());
    whole.update(bytes);
    bytes.chunks(3).for_each(|piece| pieces.update(piece));
    assert_eq!(whole.verify(), pieces.verify(), "a cut changes a digest");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::select;

    /// What stands in heads: sound parts, and now and then an odd one.
    fn line() -> impl Strategy<Value = String> {
        let name = prop_oneof![
            8 => select(vec![
                "Host", "Connection", "Content-Length", "Transfer-Encoding", "Range", "If-Match", "if-none-match", "Expect",
                "X-Larder-Meta-A", "x-larder-meta-", "Content_Length", "Cache-Control", "Content-Digest", "X",
            ]).prop_map(String::from),
            1 => "[ -~\u{e4}\t]{0,6}",
        ];
        let value = prop_oneof![
            8 => select(vec![
                "h", "5", "0", "chunked", "gzip, chunked", "close", "keep-alive", "100-continue", "a:80", "", "\"a\", W/\"b\"", "[::1]",
            ]).prop_map(String::from),
            1 => "[ -~\u{e4}\t]{0,8}",
        ];
        let between = prop_oneof![9 => Just(": "), 1 => Just(":"), 1 => Just(" :")];
        (name, between, value).prop_map(|(name, between, value)| format!("{name}{between}{value}"))
    }

    fn target() -> impl Strategy<Value = String> {
        let part = select(vec![
            "/",
            "/a",
            "/.id/",
            "3-1f-00c0ffee00c0ffee",
            "/.live",
            "%2e",
            "%2F",
            "%C3%A4",
            "%",
            "..",
            "?",
            "limit=1",
            "&",
            "cursor=a",
            "filename=%22",
            "http://h",
            "//",
            "#",
            "/.metrics",
            "%69",
            "*",
            "+",
        ]);
        proptest::collection::vec(part, 0..5).prop_map(|parts| parts.concat())
    }

    fn head() -> impl Strategy<Value = Vec<u8>> {
        let method = select(vec!["GET", "PUT", "POST", "get", "OPTIONS", "PRI", "GET "]);
        let version =
            prop_oneof![9 => Just("HTTP/1.1"), 2 => Just("HTTP/1.0"), 1 => Just("HTTP/2.0"), 1 => Just("http/1.1")];
        let empty = prop_oneof![9 => Just(0usize), 1 => 0usize..4];
        let end = prop_oneof![20 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just("\r\n ")];
        let host = prop_oneof![9 => Just("Host: h\r\n"), 1 => Just("")];
        let lines = proptest::collection::vec((line(), end), 0..5);
        (empty, method, target(), version, host, lines, "[ -~\r\n]{0,6}").prop_map(
            |(empty, method, target, version, host, lines, rest)| {
                let lines: String = lines.into_iter().map(|(line, end)| format!("{line}{end}")).collect();
                format!("{}{method} {target} {version}\r\n{host}{lines}\r\n{rest}", "\r\n".repeat(empty)).into_bytes()
            },
        )
    }

    fn body() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            6 => (0usize..20).prop_map(|bytes| format!("{bytes:x}\r\n{}\r\n", "d".repeat(bytes))),
            2 => select(vec!["0\r\n", "\r\n", "X: y\r\n", "5;a=b\r\nhello\r\n", "1;a=\"\\\"\"\r\nx\r\n", "0\r\n\r\n"]).prop_map(String::from),
            1 => "[ -~\r\n\t]{0,6}",
        ];
        proptest::collection::vec(part, 0..8).prop_map(|parts| parts.concat().into_bytes())
    }

    fn flip(mut bytes: Vec<u8>, flip: Option<(prop::sample::Index, u8)>) -> Vec<u8> {
        if let Some((at, byte)) = flip
            && !bytes.is_empty()
        {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    }

    fn wrong_byte() -> impl Strategy<Value = Option<(prop::sample::Index, u8)>> {
        proptest::option::of((any::<prop::sample::Index>(), any::<u8>()))
    }

    proptest! {
        #[test]
        fn random_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            fuzz_head(&bytes);
            fuzz_body(&bytes);
        }

        #[test]
        fn heads_are_survived_also_when_a_byte_is_wrong(head in head(), wrong in wrong_byte()) {
            fuzz_head(&flip(head, wrong));
        }

        #[test]
        fn targets_are_survived(target in target(), wrong in wrong_byte()) {
            check_target(&flip(target.into_bytes(), wrong));
        }

        #[test]
        fn bodies_are_survived_also_when_a_byte_is_wrong(body in body(), wrong in wrong_byte()) {
            fuzz_body(&flip(body, wrong));
        }

        #[test]
        fn long_heads_are_survived(path_bytes in 0usize..13_000, lines in 0usize..110, value_bytes in 0usize..300) {
            let lines = format!("X: {}\r\n", "y".repeat(value_bytes)).repeat(lines);
            fuzz_head(format!("GET /{} HTTP/1.1\r\nHost: h\r\n{lines}\r\n", "x".repeat(path_bytes)).as_bytes());
        }

        #[test]
        fn sound_chunks_come_out_as_they_went_in(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..6)) {
            let mut body: Vec<u8> = Vec::new();
            for piece in &pieces {
                body.extend(format!("{:X}\r\n", piece.len()).bytes());
                body.extend(piece);
                body.extend(b"\r\n");
            }
            body.extend(b"0\r\n\r\n");
            fuzz_body(&body);
            prop_assert_eq!(decode(&body, |_| 7), (pieces.concat(), Ok(Some(body.len()))));
        }

        #[test]
        fn digests_are_survived(lines in proptest::collection::vec(
            prop_oneof![
                4 => select(vec!["sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:", "CY9rzUYh03PK3k6DJie09g==", "md5=:AA:", ""]).prop_map(String::from),
                1 => "[a-z0-9=:,\"; ]{0,12}",
            ], 0..4)) {
            fuzz_body(lines.join("\n").as_bytes());
        }

        #[test]
        fn sound_heads_are_heads(target in "/[a-z0-9._~-]{1,20}", value in "[!-~]([ -~]{0,20}[!-~])?") {
            let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\nX: {value}\r\nUser-Agent: {value}\r\n\r\n");
            prop_assert!(fuzz_head(head.as_bytes()));
        }
    }
}
