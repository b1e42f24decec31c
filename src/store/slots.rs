//! The index of one segment: four bytes a needle, addressed by sequence, without hashing.
//!
//! ```text
//!  bit 31       30          29        28 .. 0
//!  damaged | other kind | deleted | position / 8      (0 = no needle here)
//! ```
//! Written by the append lane (and recovery before it), read by any thread. Chunks are made when they are first written
//! and never move, so readers need no lock. Always: a deleted or damaged needle keeps its position.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Slots of one chunk: 16 KiB, the step in which an open segment's index grows.
const CHUNK_SLOTS: usize = 4096;

const POSITION_MASK: u32 = (1 << 29) - 1;
const DELETED: u32 = 1 << 29;
const OTHER_KIND: u32 = 1 << 30;
const DAMAGED: u32 = 1 << 31;

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(u32);

impl Slot {
    /// A needle at `position`, a multiple of 8 below 4 GiB.
    #[must_use]
    pub fn at(position: u64) -> Self {
        assert!(position.is_multiple_of(8), "needles lie on multiples of 8");
        let units = u32::try_from(position / 8).ok().filter(|&units| units > 0 && units <= POSITION_MASK);
        Self(units.expect("a segment is smaller than 4 GiB and begins with its header"))
    }

    /// The same, of another kind than PUT.
    #[must_use]
    pub fn other_kind(self) -> Self {
        Self(self.0 | OTHER_KIND)
    }

    /// The same, damaged.
    #[must_use]
    pub fn damaged(self) -> Self {
        Self(self.0 | DAMAGED)
    }

    /// Where the needle lies.
    #[must_use]
    pub fn position(self) -> u64 {
        u64::from(self.0 & POSITION_MASK) * 8
    }

    /// Nothing is known of this sequence.
    #[must_use]
    pub fn is_absent(self) -> bool {
        self.0 & POSITION_MASK == 0
    }

    /// Deleted.
    #[must_use]
    pub fn is_deleted(self) -> bool {
        self.0 & DELETED != 0
    }

    /// No object.
    #[must_use]
    pub fn is_other_kind(self) -> bool {
        self.0 & OTHER_KIND != 0
    }

    /// Does not verify.
    #[must_use]
    pub fn is_damaged(self) -> bool {
        self.0 & DAMAGED != 0
    }
}

type Chunk = Box<[AtomicU32]>;

/// The slots of one segment.
pub struct Slots(Box<[OnceLock<Chunk>]>);

impl std::fmt::Debug for Slots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slots").field("chunks", &self.0.len()).finish()
    }
}

impl Slots {
    /// Room for `count` needles; memory is taken as they come.
    #[must_use]
    pub fn new(count: u64) -> Self {
        let chunks = usize::try_from(count).expect("counts are bounded by the segment's size").div_ceil(CHUNK_SLOTS);
        Self((0..chunks).map(|_| OnceLock::new()).collect())
    }

    /// How many needles fit.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        (self.0.len() * CHUNK_SLOTS) as u64
    }

    /// The slot of the needle that is `offset` behind the segment's first.
    #[must_use]
    pub fn load(&self, offset: u64) -> Slot {
        let cell = split(offset).and_then(|(chunk, slot)| self.0.get(chunk)?.get()?.get(slot));
        Slot(cell.map_or(0, |cell| cell.load(Ordering::Acquire)))
    }

    /// Sets a slot. The writer has checked the capacity.
    pub fn store(&self, offset: u64, slot: Slot) {
        self.cell(offset).store(slot.0, Ordering::Release);
    }

    /// Marks a needle as deleted and returns what was there before.
    pub fn delete(&self, offset: u64) -> Slot {
        Slot(self.cell(offset).fetch_or(DELETED, Ordering::AcqRel))
    }

    /// Marks a needle as damaged and returns what was there before.
    pub fn damage(&self, offset: u64) -> Slot {
        Slot(self.cell(offset).fetch_or(DAMAGED, Ordering::AcqRel))
    }

    fn cell(&self, offset: u64) -> &AtomicU32 {
        let place = split(offset).and_then(|(chunk, slot)| Some((self.0.get(chunk)?, slot)));
        let (chunk, slot) = place.expect("the writer checked the capacity");
        let chunk = chunk.get_or_init(|| (0..CHUNK_SLOTS).map(|_| AtomicU32::new(0)).collect());
        &chunk[slot]
    }
}

fn split(offset: u64) -> Option<(usize, usize)> {
    let offset = usize::try_from(offset).ok()?;
    Some((offset / CHUNK_SLOTS, offset % CHUNK_SLOTS))
}
