//! How a refusal reads in HTTP: a status, and a short JSON text with a code.
//!
//! Processor thread; pure. Always: nothing of the node's inside is in it, and no cache keeps it.

use super::bad::Bad;
use super::exchange::Line;
use super::reply::ReplyHead;
use crate::request::{Refusal, Status};
use bytes::Bytes;

/// Methods that a resource may have, for Allow.
pub(super) const METHODS: &str = "GET, HEAD, PUT, DELETE";
/// Those of an origin that is only read.
pub(super) const METHODS_READ: &str = "GET, HEAD";
/// Those of an object.
pub(super) const METHODS_OBJECT: &str = "GET, HEAD, DELETE";
/// Those of the place where objects get their ids.
pub(super) const METHODS_IDS: &str = "POST";

/// Why a request is not done, and what its client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failure {
    /// The HTTP status.
    pub(super) status: u16,
    /// The same for programs.
    pub(super) code: &'static str,
    /// What is wrong, for people.
    pub(super) detail: &'static str,
    /// Seconds after which to try again.
    pub(super) retry_after_s: Option<u32>,
    /// What Allow says.
    pub(super) allow: Option<&'static str>,
    /// The size of what a range was asked of.
    pub(super) size: Option<u64>,
}

impl Failure {
    pub(super) const fn new(status: u16, code: &'static str, detail: &'static str) -> Self {
        Self { status, code, detail, retry_after_s: None, allow: None, size: None }
    }

    pub(super) const fn not_found() -> Self {
        Self::new(404, "NOT_FOUND", "there is nothing here")
    }

    /// RFC 9110, 15.5.6: the answer says which methods there are.
    pub(super) const fn method(allow: &'static str) -> Self {
        Self { allow: Some(allow), ..Self::new(405, "METHOD_NOT_ALLOWED", "this method is not offered here") }
    }

    pub(super) const fn precondition() -> Self {
        Self::new(412, "PRECONDITION_FAILED", "a condition of the request does not hold")
    }

    /// RFC 9110, 15.5.17: the answer says how long it is.
    pub(super) const fn range(size: u64) -> Self {
        let told = Self::new(416, "RANGE_NOT_SATISFIABLE", "no byte of it is in the range");
        Self { size: Some(size), ..told }
    }

    pub(super) const fn internal() -> Self {
        Self::new(500, "INTERNAL", "the node failed to do this")
    }

    /// No session for uploads is open: the master is out of service, or just coming into it.
    pub(super) const fn no_session() -> Self {
        let told = Self::new(503, "UNAVAILABLE", "names cannot be changed now");
        Self { retry_after_s: Some(1), ..told }
    }

    /// What a refusal of the service is told as. `writes`: the request would change something.
    pub(super) fn of(refusal: &Refusal, writes: bool) -> Self {
        let (status, detail) = status_of(refusal.status, writes);
        let again = matches!(status, 503 | 504 | 507);
        Self {
            retry_after_s: again.then(|| refusal.retry_after_ms.div_ceil(1000).clamp(1, 60)),
            ..Self::new(status, refusal.status.name(), detail)
        }
    }

    /// The whole answer.
    pub(super) fn bytes(&self, line: &Line, now_ms: u64) -> Bytes {
        let mut head = ReplyHead::begin(self.status, line, now_ms);
        head.field("Content-Type", b"application/json").field("Cache-Control", b"no-store");
        if let Some(seconds) = self.retry_after_s {
            head.number("Retry-After", seconds.into());
        }
        if let Some(allow) = self.allow {
            head.field("Allow", allow.as_bytes());
        }
        if let Some(size) = self.size {
            head.field("Content-Range", format!("bytes */{size}").as_bytes());
        }
        head.end_with(line, self.text().as_bytes())
    }

    /// The text has no byte that JSON would escape: all of it is ours.
    fn text(&self) -> String {
        format!("{{\"code\":\"{}\",\"detail\":\"{}\"}}\n", self.code, self.detail)
    }
}

impl From<Bad> for Failure {
    fn from(bad: Bad) -> Self {
        Self::new(bad.status, bad.code, bad.detail)
    }
}

fn status_of(status: Status, writes: bool) -> (u16, &'static str) {
    match status {
        Status::NotFound => (404, "there is nothing here"),
        Status::ParentNotFound => (if writes { 409 } else { 404 }, "a directory above it is not there"),
        Status::NotADirectory => (if writes { 409 } else { 404 }, "a name above it is a file"),
        Status::IsADirectory => (409, "it is a directory"),
        Status::DirectoryNotEmpty => (409, "the directory holds something"),
        Status::IntoItself | Status::Refused => (409, "this is not allowed for it"),
        Status::AlreadyExists | Status::VersionMismatch => (412, "it was changed, or made, by somebody else"),
        Status::RangeNotSatisfiable => (416, "no byte of it is in the range"),
        Status::ChecksumMismatch => (400, "the content is not that of its digest"),
        Status::BadRequest | Status::BadFrame | Status::BadPath => (400, "the request says something that cannot be"),
        Status::BadCursor => (400, "the cursor is not one of this directory"),
        Status::PathTooLong => (414, "the path, or a name in it, is too long"),
        Status::TooLarge => (413, "the content is over a limit"),
        Status::TooSlow => (408, "the request came too slowly"),
        Status::UnknownOperation => (501, "this is not offered here"),
        Status::UnsupportedVersion => (505, "only HTTP/1.0 and HTTP/1.1 are spoken here"),
        Status::Full => (507, "no disk has room for it"),
        Status::Busy => (503, "the node has as much to do as it may; try again"),
        Status::Unavailable => (503, "what would answer is out of service now"),
        Status::ShuttingDown => (503, "the node is stopping"),
        Status::SessionUnknown | Status::OutcomeForgotten => (503, "names cannot be changed now; try again"),
        Status::TimedOut => (504, "it took too long; a change may have been made or not"),
        Status::Damaged => (500, "what is stored is damaged; nothing wrong was sent"),
        Status::Ok | Status::NoSuchChunk | Status::ForeignChunk | Status::Internal => {
            (500, "the node failed to do this")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Stage;

    #[test]
    fn every_status_has_a_status_of_http() {
        for status in Status::ALL.into_iter().filter(|status| *status != Status::Ok) {
            for writes in [false, true] {
                let failure = Failure::of(&Refusal::new(status, "secret of the node"), writes);
                assert!((400..=599).contains(&failure.status), "{status:?}");
                assert_eq!(failure.retry_after_s.is_some(), matches!(failure.status, 503 | 504 | 507), "{status:?}");
                let text = String::from_utf8(failure.bytes(&Line::for_tests(), 0).to_vec()).unwrap();
                assert!(!text.contains("secret") && text.contains("Cache-Control: no-store\r\n"), "{text}");
                let (_, body) = text.split_once("\r\n\r\n").unwrap();
                let json: serde_json::Value = serde_json::from_str(body).unwrap();
                assert_eq!(json["code"], status.name());
            }
        }
        let busy = Refusal::busy(Stage::Disk, 2500, "");
        assert_eq!(Failure::of(&busy, false).retry_after_s, Some(3));
    }
}
