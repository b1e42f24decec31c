//! One segment as readers see it: its slots, its published end, its file.
//!
//! Filled by the append lane, read by any thread. Always: a slot is stored before the sequence behind it is published,
//! so whoever sees a sequence sees its slot; the published end only grows.

use super::handles::Handle;
use super::slots::{Slot, Slots};
use crate::base::ids::{Sequence, VolumeId};
use crate::disk::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// One segment.
#[derive(Debug)]
pub struct Segment {
    volume: VolumeId,
    base: Sequence,
    salt: u64,
    handle: Arc<Handle>,
    slots: Slots,
    end: AtomicU64,
    next: AtomicU64,
    counts: Counts,
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
            slots: Slots::new(capacity),
            end: AtomicU64::new(end),
            next: AtomicU64::new(base.0),
            counts: Counts::default(),
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

    /// The needles from `from` on that the index knows, in order of sequence, which is that of position; several may
    /// share a position when they are damaged.
    pub(super) fn entries(&self, from: Sequence) -> impl Iterator<Item = (Sequence, Slot)> + '_ {
        let known = self.next().0 - self.base.0;
        let offsets = from.0.saturating_sub(self.base.0)..known;
        offsets.map(|offset| (self.base.plus(offset), self.slots.load(offset))).filter(|(_, slot)| !slot.is_absent())
    }

    /// Looks a sequence up that belongs to this segment.
    #[must_use]
    pub fn locate(self: &Arc<Self>, sequence: Sequence) -> Located {
        let next = self.next();
        let Some(offset) = sequence.0.checked_sub(self.base.0).filter(|_| sequence < next) else {
            return Located::Absent;
        };
        let slot = self.slots.load(offset);
        if slot.is_absent() {
            return Located::Absent;
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
        let used = (offset + 1..next.0 - self.base.0)
            .map(|later| self.slots.load(later))
            .find(|slot| slot.position() > position);
        used.map_or_else(|| self.end(), Slot::position)
    }

    pub(super) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    /// How many needles the index has room for.
    pub(super) fn capacity(&self) -> u64 {
        self.slots.capacity()
    }

    /// Whether so many more needles fit the index.
    pub(super) fn has_room(&self, count: u64) -> bool {
        (self.next().0 - self.base.0).saturating_add(count) <= self.slots.capacity()
    }

    /// Stores a slot that is not published yet, or is being rebuilt.
    pub(super) fn store(&self, sequence: Sequence, slot: Slot) {
        self.slots.store(sequence.0 - self.base.0, slot);
    }

    pub(super) fn slot(&self, sequence: Sequence) -> Slot {
        self.slots.load(sequence.0 - self.base.0)
    }

    /// Publishes everything below `next`, and the bytes up to `end`.
    pub(super) fn publish(&self, end: u64, next: Sequence) {
        let before = self.end.fetch_max(end, Ordering::AcqRel);
        assert!(before <= end, "the published end only grows");
        self.next.store(next.0, Ordering::Release);
    }

    /// Marks a needle as damaged; false if there is none, or it was marked before.
    pub(super) fn damage(&self, sequence: Sequence) -> bool {
        let Some(offset) = sequence.0.checked_sub(self.base.0).filter(|_| sequence < self.next()) else {
            return false;
        };
        if self.slots.load(offset).is_absent() || self.slots.damage(offset).is_damaged() {
            return false;
        }
        self.counts.damaged.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Marks an object as deleted; false if there is none, or it was deleted before.
    pub(super) fn delete(&self, sequence: Sequence) -> bool {
        let Some(offset) = sequence.0.checked_sub(self.base.0).filter(|_| sequence < self.next()) else {
            return false;
        };
        let slot = self.slots.load(offset);
        if slot.is_absent() || slot.is_deleted() || (slot.is_other_kind() && !slot.is_damaged()) {
            return false;
        }
        self.slots.delete(offset);
        let bytes = self.bound(offset, slot.position(), self.next()) - slot.position();
        self.counts.deleted.fetch_add(1, Ordering::Relaxed);
        self.counts.deleted_bytes.fetch_add(bytes, Ordering::Relaxed);
        true
    }
}
