//! The mark file: how far each open segment was synced, and whether the last run stopped cleanly.
//!
//! A pair of slots (see `journal`) of 16 KiB. The body of a slot:
//! ```text
//!  0 clean u8 | 1 zeros | 4 count u32 | 8 entries, 48 bytes each:
//!     0 volume u32 | 4 epoch u32 | 8 mark u64 | 16 segment base u64 | 24 position u64 | 32 chain digest u128
//! ```
//! - *clean*: 1 = the writer stopped and everything was synced; cleared durably before the first append of a run.
//! - *mark*: everything of the volume below this sequence is synced here. *position*: the byte of the segment behind it.
//! - *chain digest*: over everything below the mark.
//!
//! Written by the append lane, at idle and stop and at most a second late while busy.

use crate::base::ids::{Epoch, Sequence, VolumeId};
use crate::journal::{Fields, SLOT_OVERHEAD_BYTES, u32_at, u64_at, u128_at};

/// Says that a file is a mark file.
pub const MARK_MAGIC: u64 = u64::from_le_bytes(*b"LARDMARK");
/// The version of its format.
pub const MARK_VERSION: u32 = 1;
/// Bytes of one of its slots.
pub const MARK_SLOT_BYTES: usize = 16 << 10;

const HEAD_BYTES: usize = 8;
const ENTRY_BYTES: usize = 48;

/// Segments that may be open for appending at once: each has an entry here. The one that rested longest is closed first.
pub const OPEN_TAILS_MAX: usize = 256;

const _: () = assert!(SLOT_OVERHEAD_BYTES + HEAD_BYTES + OPEN_TAILS_MAX * ENTRY_BYTES <= MARK_SLOT_BYTES);

/// How far one open segment was synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The volume.
    pub volume: VolumeId,
    /// Its epoch then.
    pub epoch: Epoch,
    /// Everything below is synced.
    pub mark: Sequence,
    /// The segment that is open.
    pub base: Sequence,
    /// The byte of the segment behind the last synced needle.
    pub position: u64,
    /// The chain digest over everything below the mark.
    pub chain: u128,
}

/// What the mark file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marks {
    /// The last run stopped cleanly.
    pub clean: bool,
    /// One for each open segment.
    pub marks: Vec<Mark>,
}

impl Marks {
    /// The body of a slot.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let count = u32::try_from(self.marks.len()).expect("open segments are bounded");
        let mut body = Fields::<HEAD_BYTES>::default().u8(0, u8::from(self.clean)).u32(4, count).0.to_vec();
        for mark in &self.marks {
            let entry = Fields::<ENTRY_BYTES>::default()
                .u32(0, mark.volume.0)
                .u32(4, mark.epoch.0)
                .u64(8, mark.mark.0)
                .u64(16, mark.base.0)
                .u64(24, mark.position)
                .u128(32, mark.chain);
            body.extend_from_slice(&entry.0);
        }
        body
    }

    /// Reads the body of a slot; `None` if its length contradicts its count.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let (head, entries) = body.split_first_chunk::<HEAD_BYTES>()?;
        let count = usize::try_from(u32_at(head, 4)).ok()?;
        if entries.len() != count.checked_mul(ENTRY_BYTES)? {
            return None;
        }
        let marks = entries.chunks_exact(ENTRY_BYTES).filter_map(<[u8]>::first_chunk::<ENTRY_BYTES>);
        let marks = marks.map(|entry| Mark {
            volume: VolumeId(u32_at(entry, 0)),
            epoch: Epoch(u32_at(entry, 4)),
            mark: Sequence(u64_at(entry, 8)),
            base: Sequence(u64_at(entry, 16)),
            position: u64_at(entry, 24),
            chain: u128_at(entry, 32),
        });
        Some(Self { clean: head.first() == Some(&1), marks: marks.collect() })
    }
}
