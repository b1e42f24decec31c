//! What a line of the access log tells of a request.

use std::net::SocketAddr;

/// Bytes of a method that are shown: the longest that is registered has 17.
const METHOD_BYTES_MAX: usize = 32;
/// Bytes of a target that are shown.
const TARGET_BYTES_MAX: usize = 4096;
/// Bytes of a Referer, and of a User-Agent, that are shown.
const FIELD_BYTES_MAX: usize = 512;

/// One request and its answer. The bytes are as the peer sent them; a form of the log escapes them.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Who asked: the other end of the connection.
    pub peer: SocketAddr,
    /// When the answer was complete, in milliseconds since 1970.
    pub wall_ms: u64,
    /// The method; empty if no request line could be read.
    pub method: &'a [u8],
    /// The target as it stood in the request line; empty as the method is.
    pub target: &'a [u8],
    /// The version, as `HTTP/1.1`; empty as the method is.
    pub version: &'a str,
    /// The status of the answer.
    pub status: u16,
    /// Bytes of the answer's body that were sent.
    pub body_bytes: u64,
    /// The field Referer, if there was one.
    pub referer: Option<&'a [u8]>,
    /// The field User-Agent, if there was one.
    pub user_agent: Option<&'a [u8]>,
    /// From the whole head of the request to the last byte of the answer, in microseconds.
    pub duration_us: u64,
}

/// Bytes of a peer, cut to what a line may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown<'a> {
    pub(super) bytes: &'a [u8],
    /// Whether more was there.
    pub(super) is_cut: bool,
}

impl<'a> Entry<'a> {
    pub(super) fn method(&self) -> Shown<'a> {
        cut(self.method, METHOD_BYTES_MAX)
    }

    pub(super) fn target(&self) -> Shown<'a> {
        cut(self.target, TARGET_BYTES_MAX)
    }

    pub(super) fn referer(&self) -> Option<Shown<'a>> {
        self.referer.map(|field| cut(field, FIELD_BYTES_MAX))
    }

    pub(super) fn user_agent(&self) -> Option<Shown<'a>> {
        self.user_agent.map(|field| cut(field, FIELD_BYTES_MAX))
    }

    /// Room that is enough for the line of a request without odd bytes.
    pub(super) fn usual_bytes(&self) -> usize {
        const REST: usize = 256;
        let field = |field: Option<Shown<'_>>| field.map_or(0, |shown| shown.bytes.len());
        REST + self.target().bytes.len() + field(self.referer()) + field(self.user_agent())
    }
}

/// At most `max` bytes, and no half of a character of UTF-8 at their end.
fn cut(bytes: &[u8], max: usize) -> Shown<'_> {
    if bytes.len() <= max {
        return Shown { bytes, is_cut: false };
    }
    let is_within = |at: &usize| bytes.get(*at).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    // A character has at most three bytes after its first.
    let end = (max.saturating_sub(3)..=max).rev().find(|at| !is_within(at)).unwrap_or(max);
    Shown { bytes: bytes.get(..end).unwrap_or(bytes), is_cut: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_leaves_characters_whole() {
        for (bytes, max, want) in [
            (&b"abc"[..], 3, &b"abc"[..]),
            (b"abcd", 3, b"abc"),
            ("aä".as_bytes(), 2, b"a"),
            ("aäb".as_bytes(), 3, "aä".as_bytes()),
            ("a\u{1f600}".as_bytes(), 4, b"a"),
            (b"\x80\x80\x80\x80\x80\x80", 4, b"\x80\x80\x80\x80"),
            (b"", 0, b""),
            (b"a", 0, b""),
        ] {
            let shown = cut(bytes, max);
            assert_eq!((shown.bytes, shown.is_cut), (want, bytes.len() > max), "{bytes:?} at {max}");
        }
    }
}
