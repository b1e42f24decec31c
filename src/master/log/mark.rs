//! The mark file: how far the log was synced, and what held there.
//!
//! A pair of slots (see `journal`) of 4 KiB. The body of a slot, 96 bytes:
//! ```text
//!  0 clean u8 | 1 zeros | 4 epoch u32 | 8 mark u64 | 16 index u64 | 24 term u64 | 32 hard state: term, vote, commit u64
//!  | 56 zero u64 | 64 salt u64 | 72 zero u64 | 80 owner u128
//! ```
//! - *clean*: 1 = the writer stopped and everything was synced; cleared durably when the log is opened.
//! - *mark*: every record below this sequence is synced. *index*, *term*: the last entry below the mark; the *hard state*
//!   is that of the last record below it.
//! - *salt*, *owner*: as in the segments' headers.
//!
//! Written at a start, at rest, at a stop, and at most about a second late while records come. Any thread; pure.

use super::content::Applied;
use super::record::HardState;
use crate::base::ids::{Epoch, Sequence};
use crate::journal::{Fields, SLOT_OVERHEAD_BYTES, u32_at, u64_at, u128_at};

/// Says that a file is the mark file of a log.
pub const MARK_MAGIC: u64 = u64::from_le_bytes(*b"LARDLMRK");
/// The version of its format.
pub const MARK_VERSION: u32 = 1;
/// Bytes of one of its slots.
pub const MARK_SLOT_BYTES: usize = 4096;

const BODY_BYTES: usize = 96;

const _: () = assert!(SLOT_OVERHEAD_BYTES + BODY_BYTES <= MARK_SLOT_BYTES);

/// What the mark file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The last run stopped cleanly.
    pub clean: bool,
    /// The log's epoch.
    pub epoch: Epoch,
    /// Everything below is synced.
    pub mark: Sequence,
    /// The last entry below the mark.
    pub last: Applied,
    /// The hard state below the mark.
    pub hard: HardState,
    /// The key of the log.
    pub salt: u64,
    /// The directory.
    pub owner: u128,
}

impl Mark {
    /// The body of a slot.
    #[must_use]
    pub fn encode(&self) -> [u8; BODY_BYTES] {
        Fields::<BODY_BYTES>::default()
            .u8(0, u8::from(self.clean))
            .u32(4, self.epoch.0)
            .u64(8, self.mark.0)
            .u64(16, self.last.index)
            .u64(24, self.last.term)
            .u64(32, self.hard.term)
            .u64(40, self.hard.vote)
            .u64(48, self.hard.commit)
            .u64(64, self.salt)
            .u128(80, self.owner)
            .0
    }

    /// Reads the body of a slot; `None` if it has another length.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let body = body.first_chunk::<BODY_BYTES>().filter(|_| body.len() == BODY_BYTES)?;
        Some(Self {
            clean: body.first() == Some(&1),
            epoch: Epoch(u32_at(body, 4)),
            mark: Sequence(u64_at(body, 8)),
            last: Applied { index: u64_at(body, 16), term: u64_at(body, 24) },
            hard: HardState { term: u64_at(body, 32), vote: u64_at(body, 40), commit: u64_at(body, 48) },
            salt: u64_at(body, 64),
            owner: u128_at(body, 80),
        })
    }
}
