//! The request line: method, target, version, one space between them (RFC 9112, 3).
//!
//! Runs on the processor's thread; pure.

use crate::http::bad::Bad;
use crate::http::grammar::is_token;
/// A method that is known, and allowed nowhere here, is `Other`: 405.
pub(in crate::http) use crate::metrics::HttpMethod as Method;

/// The version of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// Methods that HTTP and WebDAV know and this node does not offer.
const OTHERS: [&[u8]; 16] = [
    b"OPTIONS",
    b"PATCH",
    b"TRACE",
    b"CONNECT",
    b"MKCOL",
    b"MOVE",
    b"COPY",
    b"PROPFIND",
    b"PROPPATCH",
    b"LOCK",
    b"UNLOCK",
    b"SEARCH",
    b"REPORT",
    b"LINK",
    b"UNLINK",
    b"PURGE",
];

/// The three parts of a request line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    pub(super) method: Method,
    /// As it was sent; a token.
    pub(super) method_name: &'a [u8],
    /// As it was sent: visible ASCII.
    pub(super) target: &'a [u8],
    pub(super) version: Version,
}

impl<'a> RequestLine<'a> {
    /// Reads a line without its end.
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, Bad> {
        // RFC 9112, 3: one space each. 3.2: a line with other blanks should be refused, not repaired.
        let mut parts = line.split(|byte| *byte == b' ');
        let (Some(method_name), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Bad::request("the request line is not: method, space, target, space, version"));
        };
        if !is_token(method_name) {
            return Err(Bad::request("the method is not a name"));
        }
        if target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
            return Err(Bad::request("the target is empty or holds bytes that must be escaped"));
        }
        let version = version_of(version)?;
        Ok(Self { method: method_of(method_name)?, method_name, target, version })
    }
}

/// RFC 9110, 9.1: the case of letters matters; a method that is not known is answered 501.
fn method_of(name: &[u8]) -> Result<Method, Bad> {
    Ok(match name {
        b"GET" => Method::Get,
        b"HEAD" => Method::Head,
        b"PUT" => Method::Put,
        b"DELETE" => Method::Delete,
        b"POST" => Method::Post,
        _ if OTHERS.contains(&name) => Method::Other,
        _ => return Err(Bad::not_implemented("the method is unknown")),
    })
}

/// RFC 9112, 2.3: `HTTP/`, in capitals, a digit, a point and a digit.
fn version_of(text: &[u8]) -> Result<Version, Bad> {
    match text {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            Err(Bad::version("only HTTP/1.0 and HTTP/1.1 are spoken here"))
        }
        _ => Err(Bad::request("the version is not one of HTTP")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_has_three_parts() {
        for (line, want) in [
            ("GET / HTTP/1.1", Ok((Method::Get, "/", Version::Http11))),
            ("HEAD /a?b HTTP/1.0", Ok((Method::Head, "/a?b", Version::Http10))),
            ("PUT * HTTP/1.1", Ok((Method::Put, "*", Version::Http11))),
            ("DELETE a:80 HTTP/1.1", Ok((Method::Delete, "a:80", Version::Http11))),
            ("POST http://h/a HTTP/1.1", Ok((Method::Post, "http://h/a", Version::Http11))),
            ("OPTIONS * HTTP/1.1", Ok((Method::Other, "*", Version::Http11))),
            ("get / HTTP/1.1", Err(501)),
            ("GETS / HTTP/1.1", Err(501)),
            ("G{T / HTTP/1.1", Err(400)),
            (" GET / HTTP/1.1", Err(400)),
            ("GET  / HTTP/1.1", Err(400)),
            ("GET /  HTTP/1.1", Err(400)),
            ("GET / HTTP/1.1 ", Err(400)),
            ("GET /a b HTTP/1.1", Err(400)),
            ("GET\t/ HTTP/1.1", Err(400)),
            ("GET /\t HTTP/1.1", Err(400)),
            ("GET /\u{e4} HTTP/1.1", Err(400)),
            ("GET /\x7f HTTP/1.1", Err(400)),
            ("GET HTTP/1.1", Err(400)),
            ("GET /", Err(400)),
            ("GET", Err(400)),
            ("GET / http/1.1", Err(400)),
            ("GET / HTTP/1", Err(400)),
            ("GET / HTTP/1.10", Err(400)),
            ("GET / HTTP/01.1", Err(400)),
            ("GET / HTTPS/1.1", Err(400)),
            ("GET / HTTP/1.2", Err(505)),
            ("GET / HTTP/0.9", Err(505)),
            ("PRI * HTTP/2.0", Err(505)),
        ] {
            let given = RequestLine::parse(line.as_bytes());
            let given = given.map(|line| (line.method, std::str::from_utf8(line.target).unwrap(), line.version));
            assert_eq!(given.map_err(|bad| bad.status), want, "{line:?}");
        }
    }
}
