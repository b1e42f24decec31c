//! One segment as readers see it: its slots, its published end, its file.
//!
//! Filled by the append lane, read by any thread. Always: a slot is stored before the sequence behind it is published,
//! so whoever sees a sequence sees its slot; the published end only grows.

use super::handles::Handle;
use super::manifest::Closed;
use super::slots::{Slot, Slots};
use super::snapshot::Progress;
use super::sparse::Sparse;
use crate::base::ids::{Sequence, VolumeId};
use crate::disk::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Where a needle lies: the bytes `position..bound` of the segment's file contain it, and perhaps more behind it.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its segment.
    pub segment: Arc<Segment>,
    /// Where it begins.
    pub position: u64,
    /// Where it has ended.
    pub bound: u64,
}

/// What the index knows of a sequence.
#[derive(Debug, Clone)]
pub enum Located {
    /// An object.
    Object(Place),
    /// An object that is deleted.
    Deleted(Place),
    /// Something that does not verify; it may have been an object.
    Damaged(Place),
    /// A needle that is no object.
    OtherKind,
    /// No such sequence in the volume.
    Absent,
    /// The volume is not on this disk.
    NoVolume,
}

/// What a segment holds, for statistics.
#[derive(Debug, Default)]
pub struct Counts {
    /// Needles of all kinds.
    pub needles: AtomicU64,
    /// Objects, living and dead.
    pub objects: AtomicU64,
    /// Bytes of their needles.
    pub object_bytes: AtomicU64,
    /// Objects that are deleted.
    pub deleted: AtomicU64,
    /// Bytes of their needles.
    pub deleted_bytes: AtomicU64,
    /// Tombstones.
    pub tombstones: AtomicU64,
    /// Needles that do not verify.
    pub damaged: AtomicU64,
}

/// The slots of a segment, in the form that suits what it holds.
#[derive(Debug)]
enum Index {
    /// One for each sequence: the segment is as it was appended.
    Dense(Slots),
    /// One for each needle that compaction kept, and ranges in which one may be lost.
    Sparse { sparse: Sparse, doubts: Box<[Range<u64>]> },
}

/// One segment.
#[derive(Debug)]
pub struct Segment {
    volume: VolumeId,
    base: Sequence,
    salt: u64,
    handle: Arc<Handle>,
    index: Index,
    end: AtomicU64,
    next: AtomicU64,
    /// From here on every needle is lost, and has no slot.
    lost_from: AtomicU64,
    counts: Counts,
    /// What the manifest says of it, once it takes no more.
    closed: OnceLock<Closed>,
    /// It takes no more, and the manifest does not say so.
    lost: AtomicBool,
    /// How far its index file covers it.
    progress: Progress,
}

impl Segment {
    /// An empty segment with room for `capacity` needles.
    #[must_use]
    pub fn new(volume: VolumeId, base: Sequence, salt: u64, handle: Arc<Handle>, capacity: u64, end: u64) -> Self {
        Self {
            volume,
            base,
            salt,
            handle,
            index: Index::Dense(Slots::new(capacity)),
            end: AtomicU64::new(end),
            next: AtomicU64::new(base.0),
            lost_from: AtomicU64::new(u64::MAX),
            counts: Counts::default(),
            closed: OnceLock::new(),
            lost: AtomicBool::new(false),
            progress: Progress::default(),
        }
    }

    /// A compacted segment. In `doubts`, ranges of sequences, a needle may have been that cannot be found any more.
    #[must_use]
    pub(super) fn compacted(
        volume: VolumeId,
        base: Sequence,
        salt: u64,
        handle: Arc<Handle>,
        closed: Closed,
        sparse: Sparse,
        doubts: Vec<Range<u64>>,
    ) -> Self {
        Self {
            volume,
            base,
            salt,
            handle,
            index: Index::Sparse { sparse, doubts: doubts.into() },
            end: AtomicU64::new(closed.end),
            next: AtomicU64::new(closed.next.0),
            counts: Counts::default(),
            lost_from: AtomicU64::new(u64::MAX),
            closed: OnceLock::from(closed),
            lost: AtomicBool::new(false),
            progress: Progress::default(),
        }
    }

    /// Its volume.
    #[must_use]
    pub fn volume(&self) -> VolumeId {
        self.volume
    }

    /// Its first sequence.
    #[must_use]
    pub fn base(&self) -> Sequence {
        self.base
    }

    /// The key of its checksums; never leaves the node.
    #[must_use]
    pub fn salt(&self) -> u64 {
        self.salt
    }

    /// Its file's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.handle.name()
    }

    /// The file, if it is open already; for threads that may not wait.
    #[must_use]
    pub fn open_file(&self) -> Option<Arc<dyn File>> {
        self.handle.open_already()
    }

    /// The file, opened if it is not.
    ///
    /// # Errors
    /// Those of opening.
    pub fn file(&self) -> io::Result<Arc<dyn File>> {
        self.handle.file()
    }

    /// The file, opened anew for reading around the page cache.
    ///
    /// # Errors
    /// Those of opening.
    pub fn open_direct(&self) -> io::Result<Arc<dyn File>> {
        self.handle.open_direct()
    }

    /// The byte behind what is published.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// The sequence behind what is published.
    #[must_use]
    pub fn next(&self) -> Sequence {
        Sequence(self.next.load(Ordering::Acquire))
    }

    /// What it holds.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Its file is not there, or not to be read, and the manifest has not closed it.
    pub(super) fn set_lost(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    /// Whether it takes needles, or will when its volume is written to again.
    pub(super) fn is_open(&self) -> bool {
        self.closed.get().is_none() && !self.lost.load(Ordering::Relaxed)
    }

    /// What the manifest says of it; `None` while it takes needles.
    #[must_use]
    pub(super) fn closed(&self) -> Option<Closed> {
        self.closed.get().copied()
    }

    /// It takes no more.
    pub(super) fn set_closed(&self, closed: Closed) {
        // Said once, and by one thread.
        let said = *self.closed.get_or_init(|| closed);
        debug_assert_eq!(said, closed, "a segment is closed once");
    }

    /// How far its index file covers it.
    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Whether it was compacted.
    pub(super) fn is_sparse(&self) -> bool {
        matches!(self.index, Index::Sparse { .. })
    }

    /// Bytes of memory that its index takes.
    #[must_use]
    pub fn index_bytes(&self) -> u64 {
        match &self.index {
            Index::Dense(slots) => slots.bytes(),
            Index::Sparse { sparse, .. } => sparse.bytes(),
        }
    }

    /// The needles from `from` on that the index knows, in order of sequence, which is that of position; several may
    /// share a position when they are damaged.
    pub(super) fn entries(&self, from: Sequence) -> impl Iterator<Item = (Sequence, Slot)> + '_ {
        let mut at = from;
        std::iter::from_fn(move || {
            let found = self.needle_from(at)?;
            at = found.0.plus(1);
            Some(found)
        })
    }

    /// Looks a sequence up that belongs to this segment.
    #[must_use]
    pub fn locate(self: &Arc<Self>, sequence: Sequence) -> Located {
        let next = self.next();
        let Some(offset) = sequence.0.checked_sub(self.base.0).filter(|_| sequence < next) else {
            return Located::Absent;
        };
        let slot = self.load(offset);
        if sequence.0 >= self.lost_from.load(Ordering::Acquire) {
            return Located::Damaged(Place { segment: Arc::clone(self), position: self.end(), bound: self.end() });
        }
        if slot.is_absent() {
            return if self.is_doubtful(sequence) { self.damaged_somewhere() } else { Located::Absent };
        }
        if slot.is_other_kind() && !slot.is_damaged() {
            return Located::OtherKind;
        }
        let place = Place {
            segment: Arc::clone(self),
            position: slot.position(),
            bound: self.bound(offset, slot.position(), next),
        };
        if slot.is_deleted() {
            Located::Deleted(place)
        } else if slot.is_damaged() {
            Located::Damaged(place)
        } else {
            Located::Object(place)
        }
    }

    /// Where the needle at `offset` has ended: the next used position, or the published end.
    fn bound(&self, offset: u64, position: u64, next: Sequence) -> u64 {
        let used = match &self.index {
            Index::Dense(slots) => (offset + 1..(next.0 - self.base.0).min(slots.capacity()))
                .map(|later| slots.load(later))
                .find(|slot| slot.position() > position),
            Index::Sparse { sparse, .. } => Some(sparse.following(offset)).filter(|slot| slot.position() > position),
        };
        used.map_or_else(|| self.end(), Slot::position)
    }

    fn is_doubtful(&self, sequence: Sequence) -> bool {
        match &self.index {
            Index::Dense(_) => false,
            Index::Sparse { doubts, .. } => {
                // In the order of their sequences, as the walk met them.
                let before = doubts.partition_point(|range| range.end <= sequence.0);
                doubts.get(before).is_some_and(|range| range.contains(&sequence.0))
            }
        }
    }

    fn damaged_somewhere(self: &Arc<Self>) -> Located {
        Located::Damaged(Place { segment: Arc::clone(self), position: 0, bound: self.end() })
    }

    /// The first needle at or behind a sequence.
    pub(super) fn needle_from(&self, sequence: Sequence) -> Option<(Sequence, Slot)> {
        let offset = sequence.0.saturating_sub(self.base.0);
        let found = match &self.index {
            Index::Dense(slots) => {
                let all = offset..self.next().0.saturating_sub(self.base.0).min(slots.capacity());
                all.map(|offset| (offset, slots.load(offset))).find(|(_, slot)| !slot.is_absent())
            }
            Index::Sparse { sparse, .. } => sparse.from(offset),
        };
        found.map(|(offset, slot)| (Sequence(self.base.0 + offset), slot))
    }

    fn load(&self, offset: u64) -> Slot {
        match &self.index {
            Index::Dense(slots) => slots.load(offset),
            Index::Sparse { sparse, .. } => sparse.load(offset),
        }
    }

    fn mark(&self, offset: u64, flags: Slot) -> Slot {
        match &self.index {
            Index::Dense(slots) => slots.mark(offset, flags),
            Index::Sparse { sparse, .. } => sparse.mark(offset, flags),
        }
    }

    pub(super) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    /// How many sequences from its first on the index can hold.
    pub(super) fn capacity(&self) -> u64 {
        match &self.index {
            Index::Dense(slots) => slots.capacity(),
            Index::Sparse { .. } => self.next().0 - self.base.0,
        }
    }

    /// Whether so many more needles fit the index.
    pub(super) fn has_room(&self, count: u64) -> bool {
        (self.next().0 - self.base.0).saturating_add(count) <= self.capacity()
    }

    /// Stores a slot of a dense index that is not published yet, or is being rebuilt.
    pub(super) fn store(&self, sequence: Sequence, slot: Slot) {
        match &self.index {
            Index::Dense(slots) => slots.store(sequence.0 - self.base.0, slot),
            Index::Sparse { .. } => unreachable!("a compacted segment takes no needles"),
        }
    }

    /// Everything from `sequence` up to the published end is damaged, without a slot for each: there may be more of them
    /// than a file can hold.
    pub(super) fn set_lost_from(&self, sequence: Sequence) {
        self.lost_from.store(sequence.0, Ordering::Release);
    }

    pub(super) fn slot(&self, sequence: Sequence) -> Slot {
        sequence.0.checked_sub(self.base.0).map_or(Slot::ABSENT, |offset| self.load(offset))
    }

    /// Marks a needle that the index knows as damaged; false if it was before, or is not there.
    pub(super) fn damage(&self, sequence: Sequence) -> bool {
        let Some(offset) = sequence.0.checked_sub(self.base.0).filter(|_| sequence < self.next()) else {
            return false;
        };
        let slot = self.load(offset);
        if slot.is_absent() || slot.is_damaged() {
            return false;
        }
        self.mark(offset, Slot::ABSENT.damaged());
        self.counts.damaged.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Publishes everything below `next`, and the bytes up to `end`.
    pub(super) fn publish(&self, end: u64, next: Sequence) {
        let before = self.end.fetch_max(end, Ordering::AcqRel);
        assert!(before <= end, "the published end only grows");
        self.next.store(next.0, Ordering::Release);
    }

    /// Marks an object as deleted; false if there is none, or it was deleted before.
    pub(super) fn delete(&self, sequence: Sequence) -> bool {
        let Some(offset) = sequence.0.checked_sub(self.base.0).filter(|_| sequence < self.next()) else {
            return false;
        };
        let slot = self.load(offset);
        if slot.is_absent() || slot.is_deleted() || (slot.is_other_kind() && !slot.is_damaged()) {
            return false;
        }
        self.mark(offset, Slot::ABSENT.deleted());
        // Damaged needles may share a place, and what they took is not known.
        let bytes =
            if slot.is_damaged() { 0 } else { self.bound(offset, slot.position(), self.next()) - slot.position() };
        self.counts.deleted.fetch_add(1, Ordering::Relaxed);
        self.counts.deleted_bytes.fetch_add(bytes, Ordering::Relaxed);
        true
    }
}
