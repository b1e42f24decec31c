//! Why bytes are not the needle that was looked for.
//!
//! A value, never a panic: the caller decides whether to look once more, to report, or to read more bytes.

use serde::Serialize;

/// What is wrong with bytes that should hold a needle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
pub enum Damage {
    /// The head takes this many bytes in all, or at least; read more and ask again.
    #[error("the head takes at least {needed} bytes")]
    Short {
        /// Bytes from the needle's start.
        needed: usize,
    },
    /// Only zeros: nothing was written here, or it was given back.
    #[error("zeros where a needle should be")]
    Zeros,
    /// Other bytes than a needle begins with.
    #[error("no needle begins here")]
    Magic,
    /// The checksum of the head does not match.
    #[error("the head's checksum does not match")]
    Checksum,
    /// A version that this program does not know.
    #[error("needle version {0} is newer than this program")]
    Version(u8),
    /// A kind that this program does not know.
    #[error("needle kind {0} is newer than this program")]
    Kind(u8),
    /// A length above the format's bounds.
    #[error("a length in the head is out of bounds")]
    Lengths,
    /// A whole needle, but another one.
    #[error("another needle lies here: volume {volume}, sequence {sequence}")]
    Another {
        /// The volume that it names.
        volume: u32,
        /// The sequence that it names.
        sequence: u64,
    },
    /// A block of the payload does not verify.
    #[error("block {0} of the payload does not verify")]
    Block(usize),
    /// The bytes between payload and next needle are not zeros.
    #[error("the bytes behind the payload are not zeros")]
    Padding,
}
