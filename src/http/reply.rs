//! The head of an answer.
//!
//! Processor thread; pure. Always: the fields that every answer has come first (Server, Date, Connection where it is needed), and
//! the peer can tell where the answer ends.

use super::date;
use super::exchange::Line;
use crate::base::ids::ContentHash;
use crate::http::etag;
use bytes::Bytes;
use std::io::Write;

/// Most heads fit.
const HEAD_BYTES_USUAL: usize = 480;

/// What stands before the date in the head of a 200.
const BEFORE_DATE: &str = "HTTP/1.1 200 OK\r\nServer: larder\r\nDate: ";

/// The place of the date in the head of a 200.
pub(super) const DATE_AT: usize = BEFORE_DATE.len();

/// A head that is being written.
pub(super) struct ReplyHead(Vec<u8>);

impl ReplyHead {
    /// The head of an answer to the request of this line, at a moment in milliseconds since 1970.
    pub(super) fn begin(status: u16, line: &Line, now_ms: u64) -> Self {
        let mut head = Self(Vec::with_capacity(HEAD_BYTES_USUAL));
        // RFC 9112, 2.3: the version is the highest that the sender knows, whatever the client's minor one is.
        head.0.extend_from_slice(b"HTTP/1.1 ");
        head.0.extend_from_slice(status_text(status).as_bytes());
        head.0.extend_from_slice(b"\r\nServer: larder\r\nDate: ");
        head.0.extend_from_slice(&date::date(now_ms));
        head.0.extend_from_slice(b"\r\n");
        if !line.keep_alive {
            // RFC 9112, 9.6: who ends the connection after this answer says so.
            head.0.extend_from_slice(b"Connection: close\r\n");
        } else if line.is_old {
            // Such a client takes the connection to end, unless it is told.
            head.0.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        head
    }

    /// A field. Values that came from outside were checked when they came in.
    pub(super) fn field(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        self.0.extend_from_slice(value);
        self.0.extend_from_slice(b"\r\n");
        self
    }

    /// A field whose value is a number.
    pub(super) fn number(&mut self, name: &str, value: u64) -> &mut Self {
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut left = value;
        loop {
            at -= 1;
            if let Some(digit) = digits.get_mut(at) {
                *digit = b'0' + u8::try_from(left % 10).unwrap_or(0);
            }
            left /= 10;
            if left == 0 {
                break;
            }
        }
        self.field(name, digits.get(at..).unwrap_or_default())
    }

    /// ETag.
    pub(super) fn etag(&mut self, hash: ContentHash) -> &mut Self {
        self.0.extend_from_slice(b"ETag: ");
        etag::write(hash, &mut self.0);
        self.0.extend_from_slice(b"\r\n");
        self
    }

    /// Content-Range of one range (RFC 9110, 14.4).
    pub(super) fn content_range(&mut self, range: &std::ops::Range<u64>, size: u64) -> &mut Self {
        let last = range.end.saturating_sub(1);
        // A vector takes all that is written.
        let _ = write!(self.0, "Content-Range: bytes {}-{last}/{size}\r\n", range.start);
        self
    }

    /// Where further fields are written to.
    pub(super) fn raw(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    /// The whole head.
    pub(super) fn end(mut self) -> Bytes {
        self.0.extend_from_slice(b"\r\n");
        self.0.into()
    }

    /// The whole head, and a short text behind it unless the request was HEAD.
    pub(super) fn end_with(mut self, line: &Line, text: &[u8]) -> Bytes {
        self.number("Content-Length", text.len() as u64);
        self.0.extend_from_slice(b"\r\n");
        if !line.is_head {
            self.0.extend_from_slice(text);
        }
        self.0.into()
    }
}

#[test]
fn the_date_is_where_it_is_said_to_be() {
    let head = ReplyHead::begin(200, &Line::for_tests(), 0).end();
    assert_eq!(&head[..DATE_AT], BEFORE_DATE.as_bytes());
    assert_eq!(&head[DATE_AT..DATE_AT + date::DATE_BYTES], &date::date(0));
}

/// Code and phrase of a status (RFC 9110, 15).
fn status_text(status: u16) -> &'static str {
    match status {
        200 => "200 OK",
        201 => "201 Created",
        204 => "204 No Content",
        206 => "206 Partial Content",
        301 => "301 Moved Permanently",
        304 => "304 Not Modified",
        400 => "400 Bad Request",
        403 => "403 Forbidden",
        404 => "404 Not Found",
        405 => "405 Method Not Allowed",
        408 => "408 Request Timeout",
        409 => "409 Conflict",
        411 => "411 Length Required",
        412 => "412 Precondition Failed",
        413 => "413 Content Too Large",
        414 => "414 URI Too Long",
        415 => "415 Unsupported Media Type",
        416 => "416 Range Not Satisfiable",
        417 => "417 Expectation Failed",
        431 => "431 Request Header Fields Too Large",
        501 => "501 Not Implemented",
        503 => "503 Service Unavailable",
        504 => "504 Gateway Timeout",
        505 => "505 HTTP Version Not Supported",
        507 => "507 Insufficient Storage",
        _ => "500 Internal Server Error",
    }
}
