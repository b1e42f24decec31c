//! The head of an answer.
//!
//! A worker's thread. Always: where the body ends is known, or it is said that it is not.

use super::{Body, Garbage};
use crate::driver::line::decimal;

/// No server that is measured sends more.
const HEAD_BYTES_MAX: usize = 32 << 10;
const HEADERS_MAX: usize = 96;

/// What a head says, as far as it matters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) code: u16,
    /// How its body comes, unless it can have none.
    pub(super) framing: Body,
    /// The connection goes on behind it.
    pub(super) is_kept: bool,
}

impl Head {
    /// The head at the front, and its bytes; `None` until it is whole.
    pub(super) fn parse(input: &[u8]) -> Result<Option<(Self, usize)>, Garbage> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response
            .parse(input)
            .map_err(|error| Garbage::instead_of(&format!("the head of an answer ({error})"), input))?;
        let httparse::Status::Complete(taken) = parsed else {
            if input.len() < HEAD_BYTES_MAX {
                return Ok(None);
            }
            return Err(Garbage::instead_of("a head of at most 32 KiB", input));
        };
        let code = response.code.ok_or_else(|| Garbage::instead_of("a status", input))?;
        let mut head = Self { code, framing: Body::ToTheEnd, is_kept: response.version == Some(1) };
        let mut is_chunked = false;
        for header in &*response.headers {
            if header.name.eq_ignore_ascii_case("content-length") {
                let bytes = decimal(header.value.trim_ascii());
                let bytes = bytes.ok_or_else(|| Garbage::instead_of("a Content-Length", header.value))?;
                if !matches!(head.framing, Body::ToTheEnd) && head.framing != Body::Length(bytes) {
                    return Err(Garbage::instead_of("one Content-Length", header.value));
                }
                head.framing = Body::Length(bytes);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                if is_chunked || !header.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(Garbage::instead_of("Transfer-Encoding: chunked", header.value));
                }
                is_chunked = true;
            } else if header.name.eq_ignore_ascii_case("connection") {
                head.connection(header.value);
            }
        }
        if is_chunked {
            head.framing = Body::CHUNKED;
        }
        Ok(Some((head, taken)))
    }

    fn connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',') {
            let option = option.trim_ascii();
            if option.eq_ignore_ascii_case(b"close") {
                self.is_kept = false;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.is_kept = true;
            }
        }
    }

    /// Whether the answer itself is still to come.
    pub(super) fn is_interim(&self) -> Result<bool, Garbage> {
        match self.code {
            101 => Err(Garbage("expected HTTP/1.1, came a change to another protocol".to_owned())),
            code => Ok((100..200).contains(&code)),
        }
    }
}

/// The statuses that are told apart.
pub(super) fn code_name(code: u16) -> &'static str {
    const NAMES: [(u16, &str); 34] = [
        (200, "200"),
        (201, "201"),
        (202, "202"),
        (204, "204"),
        (206, "206"),
        (301, "301"),
        (302, "302"),
        (303, "303"),
        (304, "304"),
        (307, "307"),
        (308, "308"),
        (400, "400"),
        (401, "401"),
        (403, "403"),
        (405, "405"),
        (406, "406"),
        (408, "408"),
        (409, "409"),
        (411, "411"),
        (412, "412"),
        (413, "413"),
        (414, "414"),
        (415, "415"),
        (416, "416"),
        (417, "417"),
        (422, "422"),
        (431, "431"),
        (499, "499"),
        (500, "500"),
        (501, "501"),
        (502, "502"),
        (504, "504"),
        (505, "505"),
        (507, "507"),
    ];
    NAMES.into_iter().find(|(known, _)| *known == code).map_or("other", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_say_where_bodies_end() {
        for (headers, framing, is_kept) in [
            ("Content-Length: 5\r\n", Body::Length(5), true),
            ("content-length: 5\r\nContent-Length: 5\r\n", Body::Length(5), true),
            ("Transfer-Encoding: Chunked\r\nContent-Length: 5\r\n", Body::CHUNKED, true),
            ("Connection: x, Close\r\n", Body::ToTheEnd, false),
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{headers}\r\nbody");
            let expected = Head { code: 200, framing, is_kept };
            assert_eq!(Head::parse(text.as_bytes()), Ok(Some((expected, text.len() - 4))), "{headers}");
        }
        let old =
            |headers: &str| Head::parse(format!("HTTP/1.0 200 OK\r\n{headers}\r\n").as_bytes()).unwrap().unwrap().0;
        assert!(!old("").is_kept && old("Connection: keep-alive\r\n").is_kept);
    }

    #[test]
    fn heads_that_say_two_things_are_garbage() {
        for headers in [
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: -5\r\n",
            "Content-Length: \r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "no colon\r\n",
        ] {
            assert!(Head::parse(format!("HTTP/1.1 200 OK\r\n{headers}\r\n").as_bytes()).is_err(), "{headers}");
        }
        let endless = [b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &[b'a'; HEAD_BYTES_MAX]].concat();
        assert!(Head::parse(&endless).is_err());
    }

    #[test]
    fn every_status_has_a_name() {
        assert_eq!((code_name(500), code_name(418)), ("500", "other"));
        for code in 100..600 {
            assert!(code_name(code) == "other" || code_name(code) == code.to_string());
        }
    }
}
