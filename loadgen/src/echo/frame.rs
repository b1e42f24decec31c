//! The one header of the echo protocol.
//!
//! ```text
//!  0 "ECHO" | 4 zero [4] | 8 correlation u64 | 16 body_bytes u64 | 24 answer_bytes u64 | 32 zero [8]         40 bytes
//! ```
//!
//! Any thread. A request says how many bytes follow it, which are thrown away, and how many its answer is to have behind
//! its header. Always: frames are as long as those of Larder's that they stand for.

use larder::base::limits::CHUNK_BYTES_MAX;
use larder::wire::{ContentFront, DELETED_BYTES, GET_BYTES, HEADER_BYTES, OBJECT_ID_BYTES, PutHead, STORED_BYTES};

/// Bytes of the header.
pub const ECHO_BYTES: usize = HEADER_BYTES;
/// No frame has more behind its header.
pub const BODY_BYTES_MAX: u64 = (CHUNK_BYTES_MAX + HEADER_BYTES + ContentFront::BYTES) as u64;
/// What stands before content in an answer to a get.
pub const CONTENT_HEAD_BYTES: u64 = ContentFront::BYTES as u64;
/// Bytes of the answer to a STAT without attributes.
const STAT_BYTES: u64 = 40;

const MAGIC: [u8; 4] = *b"ECHO";

/// A frame, but for what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo {
    /// The client's number, repeated in the answer.
    pub correlation: u64,
    /// Bytes behind this header.
    pub body_bytes: u64,
    /// Of a request: bytes behind the header of its answer.
    pub answer_bytes: u64,
}

impl Echo {
    /// As long as a PUT and its receipt.
    #[must_use]
    pub fn put(correlation: u64, bytes: u64) -> Self {
        Self { correlation, body_bytes: PutHead::BYTES as u64 + bytes, answer_bytes: STORED_BYTES as u64 }
    }

    /// As long as a GET and its content.
    #[must_use]
    pub fn get(correlation: u64, bytes: u64) -> Self {
        Self { correlation, body_bytes: GET_BYTES as u64, answer_bytes: CONTENT_HEAD_BYTES + bytes }
    }

    /// As long as a STAT and its answer.
    #[must_use]
    pub fn head(correlation: u64) -> Self {
        Self { correlation, body_bytes: OBJECT_ID_BYTES as u64, answer_bytes: STAT_BYTES }
    }

    /// As long as a DELETE and its answer.
    #[must_use]
    pub fn delete(correlation: u64) -> Self {
        Self { correlation, body_bytes: OBJECT_ID_BYTES as u64, answer_bytes: DELETED_BYTES as u64 }
    }

    /// The bytes of the header.
    #[must_use]
    pub fn encode(&self) -> [u8; ECHO_BYTES] {
        let mut bytes = [0; ECHO_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.correlation.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.answer_bytes.to_le_bytes());
        bytes
    }

    /// The header in these bytes; `None` if it is none, or over the bounds.
    #[must_use]
    pub fn parse(bytes: &[u8; ECHO_BYTES]) -> Option<Self> {
        let number = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let echo = Self { correlation: number(8)?, body_bytes: number(16)?, answer_bytes: number(24)? };
        let is_bounded = echo.body_bytes.max(echo.answer_bytes) <= BODY_BYTES_MAX;
        (bytes.starts_with(&MAGIC) && is_bounded).then_some(echo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_they_were_written_and_bounded() {
        for echo in [Echo::put(1, 8 << 20), Echo::get(u64::MAX, 4096), Echo::head(3), Echo::delete(4)] {
            assert_eq!(Echo::parse(&echo.encode()), Some(echo));
        }
        assert_eq!(Echo::parse(&Echo::get(1, BODY_BYTES_MAX).encode()), None);
        assert_eq!(Echo::parse(&Echo { body_bytes: u64::MAX, ..Echo::head(1) }.encode()), None);
        assert_eq!(Echo::parse(&[0; ECHO_BYTES]), None);
    }

    #[test]
    fn frames_are_as_long_as_those_of_the_protocol() {
        assert_eq!((Echo::get(1, 4096).body_bytes, Echo::get(1, 4096).answer_bytes), (40, 56 + 4096));
        assert_eq!((Echo::put(1, 4096).body_bytes, Echo::put(1, 4096).answer_bytes), (24 + 4096, 48));
    }
}
