//! What is refused before it is a request: a head, a target or a body that this node does not take.
//!
//! Any thread; pure. Always: whatever is refused so ends the connection, because where the next request begins is not
//! sure any more (RFC 9112, 11.2).

/// A refusal: the status to answer with before the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bad {
    /// The HTTP status.
    pub(super) status: u16,
    /// The same for programs.
    pub(super) code: &'static str,
    /// What is wrong, for people.
    pub(super) detail: &'static str,
}

impl Bad {
    /// 400: it is not what the grammar says, or it could be read in two ways.
    pub(super) const fn request(detail: &'static str) -> Self {
        Self { status: 400, code: "BAD_REQUEST", detail }
    }

    /// 414: the request line or the path in it is over its limit.
    pub(super) const fn target_too_long(detail: &'static str) -> Self {
        Self { status: 414, code: "TARGET_TOO_LONG", detail }
    }

    /// 417: an expectation other than `100-continue`.
    pub(super) const fn expectation(detail: &'static str) -> Self {
        Self { status: 417, code: "EXPECTATION_FAILED", detail }
    }

    /// 431: too many header fields, or too large ones.
    pub(super) const fn head_too_large(detail: &'static str) -> Self {
        Self { status: 431, code: "HEAD_TOO_LARGE", detail }
    }

    /// 501: a method or a coding that this node does not know.
    pub(super) const fn not_implemented(detail: &'static str) -> Self {
        Self { status: 501, code: "NOT_IMPLEMENTED", detail }
    }

    /// 505: another version than HTTP/1.0 and HTTP/1.1.
    pub(super) const fn version(detail: &'static str) -> Self {
        Self { status: 505, code: "VERSION_NOT_SUPPORTED", detail }
    }
}
