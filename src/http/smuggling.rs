//! Goal: no request is read here otherwise than by a proxy in front, nor by two readers at all.
//!
//! Method: a table of requests that were used, or could be used, to smuggle another one, each with the status that it must
//! be answered with. Those that are taken say what body they have and what is behind it, so that a request that hides in
//! a body stays hidden, and one behind it is found where it begins. Each is read whole and byte by byte.

use super::chunked::{Chunked, Step};
use super::framing::Framing;
use super::head::{Parsed, parse};
use super::target::route;

/// How a request is taken: its body, and the bytes behind it.
type Taken = (Vec<u8>, Vec<u8>);

const MORE: u16 = 0;

/// Reads one request as a node does; the status of the refusal, or [`MORE`] when it has not ended.
fn read(input: &[u8]) -> Result<Taken, u16> {
    let (head_bytes, head) = match parse(input) {
        Parsed::Head { head_bytes, head } => (head_bytes, head),
        Parsed::Bad(bad) => return Err(bad.status),
        Parsed::More => return Err(MORE),
    };
    route(head.target).map_err(|bad| bad.status)?;
    let rest = &input[head_bytes..];
    let length = match head.framing {
        Framing::None => 0,
        Framing::Length(length) => length,
        Framing::Chunked => return read_chunks(rest),
    };
    match usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length)) {
        Some((body, rest)) => Ok((body.into(), rest.into())),
        None => Err(MORE),
    }
}

fn read_chunks(mut input: &[u8]) -> Result<Taken, u16> {
    let (mut chunked, mut data) = (Chunked::begin(), Vec::new());
    loop {
        match chunked.next(input).map_err(|bad| bad.status)? {
            Step::More => return Err(MORE),
            Step::End { skip } => return Ok((data, input[skip..].into())),
            Step::Data { skip, take } => {
                data.extend_from_slice(&input[skip..skip + take]);
                input = &input[skip + take..];
            }
        }
    }
}

/// The same, as the bytes come one by one: what is refused is refused for good, and for the same reason.
fn read_slowly(input: &[u8]) -> Result<Taken, u16> {
    for bytes in 0..input.len() {
        match read(&input[..bytes]) {
            Err(MORE) => {}
            Err(status) => return Err(status),
            Ok((body, rest)) => return Ok((body, [&rest[..], &input[bytes..]].concat())),
        }
    }
    read(input)
}

fn refused(cases: &[(u16, &str)], request: impl Fn(&str) -> Vec<u8>) {
    for (status, case) in cases {
        let request = request(case);
        let shown = String::from_utf8_lossy(&request);
        assert_eq!(read(&request), Err(*status), "{shown:?}");
        assert_eq!(read_slowly(&request), Err(*status), "{shown:?}, byte by byte");
    }
}

/// A request with these header lines, and a body that a reader of either framing would find something in.
fn with_lines(lines: &str) -> Vec<u8> {
    format!("POST /a HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\nHost: h\r\n\r\n")
        .into_bytes()
}

#[test]
fn two_ways_to_find_the_end_of_a_body_are_refused() {
    refused(
        &[
            (400, "Content-Length: 5\r\nTransfer-Encoding: chunked"),
            (400, "Transfer-Encoding: chunked\r\nContent-Length: 5"),
            (400, "Transfer-Encoding: chunked\r\nContent-Length: 0"),
            (400, "transfer-encoding: CHUNKED\r\ncontent-length: 5"),
            (400, "Transfer-Encoding: identity\r\nContent-Length: 5"),
            (400, "Transfer-Encoding: xchunked\r\nContent-Length: 5"),
            (400, "Content-Length: 5\r\nContent-Length: 5"),
            (400, "Content-Length: 5\r\nContent-Length: 0"),
            (400, "Content-Length: 5\r\nX: y\r\ncontent-length: 6"),
            (400, "Content-Length: 5\r\nContent_Length: 6"),
            (400, "Content-Length: 5\r\nTransfer_Encoding: chunked"),
            (400, "Transfer_Encoding: chunked"),
            (400, "TRANSFER_ENCODING: chunked"),
            (400, "Content-Length: 5\r\nConnection: Content-Length"),
            (400, "Connection: close, transfer-encoding\r\nTransfer-Encoding: chunked"),
            (400, "Connection: transfer_encoding"),
            (400, "Connection: Host"),
        ],
        with_lines,
    );
}

#[test]
fn a_coding_that_is_not_chunked_once_is_refused() {
    refused(
        &[
            (400, "Transfer-Encoding: xchunked"),
            (400, "Transfer-Encoding: chunkedx"),
            (400, "Transfer-Encoding: chunke"),
            (400, "Transfer-Encoding: identity"),
            (400, "Transfer-Encoding: gzip"),
            (400, "Transfer-Encoding: chunked, identity"),
            (400, "Transfer-Encoding: chunked, gzip"),
            (400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
            (400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: x"),
            (501, "Transfer-Encoding: chunked, chunked"),
            (501, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            (501, "Transfer-Encoding: gzip, chunked"),
            (501, "Transfer-Encoding: identity\r\ntransfer-encoding: chunked"),
            (400, "Transfer-Encoding: chunked;q=1"),
            (400, "Transfer-Encoding: \"chunked\""),
            (400, "Transfer-Encoding: 'chunked'"),
            (400, "Transfer-Encoding: chunked chunked"),
            (400, "Transfer-Encoding: chunk\ted"),
            (400, "Transfer-Encoding: ,chunked"),
            (400, "Transfer-Encoding: chunked,"),
            (400, "Transfer-Encoding: chunked,,chunked"),
            (400, "Transfer-Encoding:"),
            (400, "Transfer-Encoding: \u{e4}chunked"),
            (400, "Transfer-Encoding: chunked\u{a0}"),
            (400, "Transfer-Encoding: \x0bchunked"),
            (400, "Transfer-Encoding: chunked\x0c"),
            (400, "Transfer-Encoding: \0chunked"),
            (400, "Transfer-Encoding: chunked\x7f"),
        ],
        with_lines,
    );
}

#[test]
fn a_field_that_hides_its_name_is_refused() {
    refused(
        &[
            (400, "Transfer-Encoding : chunked"),
            (400, "Transfer-Encoding\t: chunked"),
            (400, "Transfer-Encoding\x0b: chunked"),
            (400, "Transfer-Encoding\0: chunked"),
            (400, "Transfer-Encoding"),
            (400, "Transfer-Encoding chunked"),
            (400, " Transfer-Encoding: chunked"),
            (400, "\tTransfer-Encoding: chunked"),
            (400, "Transfer Encoding: chunked"),
            (400, "Transfer-Encod\u{130}ng: chunked"),
            (400, "\"Transfer-Encoding\": chunked"),
            (400, "Transfer-Encoding:\r\n chunked"),
            (400, "Transfer-Encoding:\r\n\tchunked"),
            (400, "X: y\r\n Transfer-Encoding: chunked"),
            (400, "X: y\r\n\r Transfer-Encoding: chunked"),
            (400, "X: y\nTransfer-Encoding: chunked"),
            (400, "X: y\rTransfer-Encoding: chunked"),
            (400, "X: y\r\rTransfer-Encoding: chunked"),
            (400, "X: y\r\r\nTransfer-Encoding: chunked"),
            (400, "X: y\n\rTransfer-Encoding: chunked"),
            (400, "X: y\n\nGET /admin HTTP/1.1"),
            (400, "X: y\0\r\nTransfer-Encoding: chunked"),
            (400, ": chunked"),
            (400, ":Transfer-Encoding: chunked"),
            (400, "X(y): z"),
            (400, "X@y: z"),
            (400, "X[y]: z"),
            (400, "X: \x1b[2J"),
            (400, "X: \x08"),
        ],
        with_lines,
    );
}

#[test]
fn a_length_that_is_not_digits_is_refused() {
    refused(
        &[
            (400, ""),
            (400, "+5"),
            (400, "-5"),
            (400, "-0"),
            (400, "5,5"),
            (400, "5, 5"),
            (400, "5 5"),
            (400, "5\t5"),
            (400, "0x5"),
            (400, "5h"),
            (400, "5;"),
            (400, "5.0"),
            (400, "5e1"),
            (400, "\"5\""),
            (400, "5_0"),
            (400, "\x0b5"),
            (400, "5\0"),
            (400, "\u{665}"),
            (400, "18446744073709551615"),
            (400, "18446744073709551621"),
            (400, "99999999999999999999999999"),
            (400, "00000000000000000005"),
            (MORE, "9999999999999999999"),
        ],
        |length| with_lines(&format!("Content-Length: {length}")),
    );
}

#[test]
fn a_request_line_that_could_be_another_is_refused() {
    refused(
        &[
            (400, "GET  / HTTP/1.1"),
            (400, "GET /  HTTP/1.1"),
            (400, "GET / HTTP/1.1 "),
            (400, " GET / HTTP/1.1"),
            (400, "\tGET / HTTP/1.1"),
            (400, "GET\t/ HTTP/1.1"),
            (400, "GET /\tHTTP/1.1"),
            (400, "GET /a b HTTP/1.1"),
            (400, "GET / HTTP/1.1\nX: y"),
            (400, "GET /\r HTTP/1.1"),
            (400, "GET /\0 HTTP/1.1"),
            (400, "GET /\u{e4} HTTP/1.1"),
            (400, "GET /a\x7f HTTP/1.1"),
            (400, "GET /"),
            (400, "GET"),
            (400, "GET HTTP/1.1"),
            (400, "/ HTTP/1.1"),
            (400, "G\"T / HTTP/1.1"),
            (400, "GET: / HTTP/1.1"),
            (501, "get / HTTP/1.1"),
            (501, "XGET / HTTP/1.1"),
            (400, "GET / http/1.1"),
            (400, "GET / HTTP /1.1"),
            (400, "GET / HTTP/ 1.1"),
            (400, "GET / HTTP/1,1"),
            (400, "GET / HTTP/1.11"),
            (400, "GET / HTTP/\u{661}.1"),
            (400, "GET / XHTTP/1.1"),
            (505, "GET / HTTP/0.9"),
            (505, "GET / HTTP/1.2"),
            (505, "GET / HTTP/2.0"),
            (505, "GET / HTTP/3.0"),
            (400, "GET / HTTP/2"),
            (505, "PRI * HTTP/2.0"),
            (400, "GET /a#b HTTP/1.1"),
            (400, "GET * HTTP/1.1"),
            (400, "GET h:80 HTTP/1.1"),
            (400, "GET a HTTP/1.1"),
            (400, "GET //h/a HTTP/1.1"),
            (400, "GET \\a HTTP/1.1"),
            (400, "GET /..%2fa HTTP/1.1"),
            (400, "GET /%2e%2e/a HTTP/1.1"),
            (400, "GET /%0d%0aX:y HTTP/1.1"),
            (400, "GET /%00 HTTP/1.1"),
            (400, "GET /%u0041 HTTP/1.1"),
            (400, "GET https://h/ HTTP/1.1"),
            (400, "GET http:/h/ HTTP/1.1"),
            (400, "GET http:///a HTTP/1.1"),
            (400, "GET http://u@h/a HTTP/1.1"),
            (400, "GET http://h@i/a HTTP/1.1"),
            (400, "GET http://h,i/a HTTP/1.1"),
            (400, "GET http://h:80:80/a HTTP/1.1"),
            (400, "GET http://h#@i/a HTTP/1.1"),
            (400, "GET http://h\\i/a HTTP/1.1"),
            (400, "GET http://h//a HTTP/1.1"),
            (400, "\r\n\r\n\r\nGET / HTTP/1.1"),
            (400, "\nGET / HTTP/1.1"),
            (400, "\x16\x03\x01\x02"),
        ],
        |line| format!("{line}\r\nHost: h\r\n\r\n").into_bytes(),
    );
}

#[test]
fn a_host_that_could_be_another_is_refused() {
    refused(
        &[
            (400, "X: y"),
            (400, "Host: h\r\nHost: h"),
            (400, "Host: h\r\nhost: i"),
            (400, "Host:\r\nHost: h"),
            (400, "Host: h\r\n Host: i"),
            (400, "Host : h"),
            (400, "Host: h, i"),
            (400, "Host: h,i"),
            (400, "Host: h i"),
            (400, "Host: u@h"),
            (400, "Host: u:p@h"),
            (400, "Host: h/a"),
            (400, "Host: http://h"),
            (400, "Host: h:80x"),
            (400, "Host: h:65536"),
            (400, "Host: :80"),
            (400, "Host: [::1"),
            (400, "Host: ::1"),
            (400, "Host: h?x"),
            (400, "Host: h#x"),
            (400, "Host: h\\i"),
            (400, "Host: \u{e4}"),
            (400, "Host: h\r\nRange: bytes=0-0\r\nRange: bytes=1-1"),
            (400, "Host: h\r\nIf-Range: a\r\nIf-Range: b"),
            (400, "Host: h\r\nContent-Type: a/b\r\nContent-Type: c/d"),
            (400, "Host: h\r\nExpect: 100-continue\r\nExpect: 100-continue"),
            (417, "Host: h\r\nExpect: 200-ok"),
            (417, "Host: h\r\nExpect: 100-continue, x"),
        ],
        |lines| format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n").into_bytes(),
    );
    assert_eq!(read(b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), Err(400));
    assert_eq!(read(b"GET / HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n"), Err(400));
}

#[test]
fn a_chunk_that_could_end_elsewhere_is_refused() {
    refused(
        &[
            (400, "0x5\r\nhello\r\n0\r\n\r\n"),
            (400, "5;\r\nhello\r\n0\r\n\r\n"),
            (400, " 5\r\nhello\r\n0\r\n\r\n"),
            (400, "5 \r\nhello\r\n0\r\n\r\n"),
            (400, "5\t\r\nhello\r\n0\r\n\r\n"),
            (400, "5 ;a=b\r\nhello\r\n0\r\n\r\n"),
            (400, "-5\r\nhello\r\n0\r\n\r\n"),
            (400, "+5\r\nhello\r\n0\r\n\r\n"),
            (400, "5.\r\nhello\r\n0\r\n\r\n"),
            (400, "5_\r\nhello\r\n0\r\n\r\n"),
            (400, "5,5\r\nhello\r\n0\r\n\r\n"),
            (400, "g\r\nhello\r\n0\r\n\r\n"),
            (400, "\r\nhello\r\n0\r\n\r\n"),
            (400, "\r\n5\r\nhello\r\n0\r\n\r\n"),
            (400, ";a=b\r\nhello\r\n0\r\n\r\n"),
            (400, "\x005\r\nhello\r\n0\r\n\r\n"),
            (400, "00000000000000005\r\nhello\r\n0\r\n\r\n"),
            (400, "10000000000000005\r\nhello\r\n0\r\n\r\n"),
            (400, "5\nhello\r\n0\r\n\r\n"),
            (400, "5\rhello\r\n0\r\n\r\n"),
            (400, "5\r\r\nhello\r\n0\r\n\r\n"),
            (400, "5\n\r\nhello\r\n0\r\n\r\n"),
            (400, "5\r\nhello0\r\n\r\n"),
            (400, "5\r\nhello\n0\r\n\r\n"),
            (400, "5\r\nhello\r0\r\n\r\n"),
            (400, "5\r\nhello!\r\n0\r\n\r\n"),
            (400, "6\r\nhello\r\n0\r\n\r\n"),
            (400, "4\r\nhello\r\n0\r\n\r\n"),
            (400, "5;a\rb\r\nhello\r\n0\r\n\r\n"),
            (400, "5;a\nb\r\nhello\r\n0\r\n\r\n"),
            (400, "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n"),
            (400, "5;a=\"\r\nhello\r\n0\r\n\r\n"),
            (400, "5;a=b \r\nhello\r\n0\r\n\r\n"),
            (400, "5;\0\r\nhello\r\n0\r\n\r\n"),
            (400, "5;\u{e4}\r\nhello\r\n0\r\n\r\n"),
            (400, "0\n\n"),
            (400, "0\r\n\n"),
            (400, "0\r\n\rX"),
            (400, "0\r\nTransfer-Encoding: chunked\r\n\r\n"),
            (400, "0\r\ncontent-length: 5\r\n\r\n"),
            (400, "0\r\nContent_Length: 5\r\n\r\n"),
            (400, "0\r\nX: y\r\nHost: h\r\n\r\n"),
            (400, "0\r\nX : y\r\n\r\n"),
            (400, "0\r\n X: y\r\n\r\n"),
            (400, "0\r\nX: y\r\n z\r\n\r\n"),
            (400, "0\r\nX\r\n\r\n"),
            (400, "0\r\n: y\r\n\r\n"),
            (400, "0\r\nX: y\n\r\n"),
            (400, "0\r\nX: \0\r\n\r\n"),
            (400, "0\r\nGET /admin HTTP/1.1\r\nHost: h\r\n\r\n"),
            (MORE, "ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
            (MORE, "5\r\nhello\r\n0\r\n"),
            (MORE, "5\r\nhello\r\n0\r\nX: y\r\n"),
        ],
        |body| format!("PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}").into_bytes(),
    );
}

#[test]
fn what_is_taken_ends_where_it_says() {
    let hidden = "GET /admin HTTP/1.1\r\nHost: h\r\n\r\n";
    for (request, body, rest) in [
        (format!("GET / HTTP/1.1\r\nHost: h\r\n\r\n{hidden}"), "", hidden),
        (format!("\r\nGET / HTTP/1.1\r\nHost:h\t\r\n\r\n{hidden}"), "", hidden),
        (format!("GET / HTTP/1.0\r\n\r\n{hidden}"), "", hidden),
        (format!("GET http://i/ HTTP/1.1\r\nHost: h\r\n\r\n{hidden}"), "", hidden),
        (format!("GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 32\r\n\r\n{hidden}"), hidden, ""),
        (format!("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length:  5\t\r\n\r\nhello{hidden}"), "hello", hidden),
        (format!("PUT /a HTTP/1.1\r\nHost: h\r\ncONTENT-lENGTH: 0005\r\n\r\nhello{hidden}"), "hello", hidden),
        (format!("PUT /a HTTP/1.1\r\nHost: h\r\nX-Content-Length: 9\r\n\r\n{hidden}"), "", hidden),
        (format!("PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encodings: chunked\r\n\r\n{hidden}"), "", hidden),
        (format!("PUT /a HTTP/1.1\r\nHost: h\r\nX: Transfer-Encoding: chunked\r\n\r\n{hidden}"), "", hidden),
        (format!("PUT /a HTTP/1.1\r\nHost: h\r\nTE: chunked\r\n\r\n{hidden}"), "", hidden),
        (format!("PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\tChunked \r\n\r\n0\r\n\r\n{hidden}"), "", hidden),
        (
            format!(
                "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{hidden}\r\n0\r\n\r\n{hidden}"
            ),
            hidden,
            hidden,
        ),
        (
            format!(
                "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0005;a=\"0;\"\r\n0\r\n\r\n\r\n0\r\n\r\n{hidden}"
            ),
            "0\r\n\r\n",
            hidden,
        ),
        (
            format!(
                "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Digest: x\r\n\r\n{hidden}"
            ),
            "",
            hidden,
        ),
    ] {
        let want = Ok((body.as_bytes().to_vec(), rest.as_bytes().to_vec()));
        assert_eq!(read(request.as_bytes()), want, "{request:?}");
        assert_eq!(read_slowly(request.as_bytes()), want, "{request:?}, byte by byte");
    }
}
