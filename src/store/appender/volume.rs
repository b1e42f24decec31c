//! Where each volume stands for its writer: its next sequence, its epoch, and the segment that is open.
//!
//! Owned by the append lane. Always: `synced` <= `next`; one setter moves each and asserts the order.

use super::group::{Placed, Start};
use crate::base::clock::Moment;
use crate::base::ids::{Epoch, Sequence, VolumeId};
use crate::base::planted::{self, Bug};
use crate::disk::File;
use crate::journal::sector_end;
use crate::store::manifest::Closed;
use crate::store::mark::Mark;
use crate::store::needle::Kind;
use crate::store::segment::Segment;
use crate::store::slots::Slot;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How far a tail was synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Synced {
    pub next: Sequence,
    pub position: u64,
    pub chain: u128,
}

/// The segment of a volume that is open for appending.
#[derive(Debug)]
pub(in crate::store) struct Tail {
    pub segment: Arc<Segment>,
    pub file: Arc<dyn File>,
    /// The byte behind the last needle or frame.
    pub end: u64,
    /// Zeros were written up to here.
    pub filled: u64,
    /// Room was reserved up to here.
    pub allocated: u64,
    pub synced: Synced,
    /// The last closing frame was written at this sequence.
    pub closing_at: Option<Sequence>,
    /// A group is in the file that the writer does not stand behind yet: the segment may not be closed now.
    pub pending: bool,
    /// When it was last appended to.
    pub touched: Moment,
}

/// One volume.
#[derive(Debug)]
pub(in crate::store) struct Writer {
    pub volume: VolumeId,
    pub salt: u64,
    pub generation: u64,
    /// The highest epoch that may have been used.
    pub epoch: Epoch,
    /// The next group begins a new epoch.
    pub epoch_due: bool,
    /// It is due for bytes that were cut back, which nothing on the disk tells yet.
    pub cut_back: bool,
    pub sealed: bool,
    pub next: Sequence,
    pub chain: u128,
    /// Bytes of its closed segments.
    pub closed_bytes: u64,
    pub tail: Option<Tail>,
}

impl Writer {
    /// Bytes that the volume takes.
    pub fn bytes(&self) -> u64 {
        self.closed_bytes + self.tail.as_ref().map_or(0, |tail| tail.end)
    }

    pub fn start(&self, tail: &Tail, stored_ms: u64) -> Start {
        Start {
            volume: self.volume,
            epoch: self.epoch,
            generation: self.generation,
            salt: self.salt,
            position: sector_end(tail.end),
            first: self.next,
            mark: if planted::on(Bug::FrameMarkTooEarly) { self.next } else { tail.synced.next },
            chain: self.chain,
            stored_ms,
        }
    }

    /// Something is written that no sync has covered.
    pub fn unsynced(&self) -> bool {
        self.tail.as_ref().is_some_and(|tail| tail.synced.next < self.next)
    }

    /// A sync that began after the last write has succeeded.
    pub fn set_synced(&mut self) {
        let synced = Synced { next: self.next, position: 0, chain: self.chain };
        if let Some(tail) = &mut self.tail {
            assert!(tail.synced.next <= synced.next, "a mark never goes back");
            tail.synced = Synced { position: tail.end, ..synced };
        }
    }

    pub fn mark(&self) -> Option<Mark> {
        self.tail.as_ref().map(|tail| Mark {
            volume: self.volume,
            epoch: self.epoch,
            mark: if planted::on(Bug::MarkTooEarly) { self.next } else { tail.synced.next },
            base: tail.segment.base(),
            position: tail.synced.position,
            chain: tail.synced.chain,
        })
    }

    /// What the manifest will say of the tail.
    pub fn closed(&self, tail: &Tail) -> Closed {
        let counts = tail.segment.counts();
        Closed {
            end: tail.end,
            next: self.next,
            needles: counts.needles.load(Ordering::Relaxed),
            objects: counts.objects.load(Ordering::Relaxed),
            tombstones: counts.tombstones.load(Ordering::Relaxed),
            chain: self.chain,
            ..Closed::default()
        }
    }
}

/// Enters needles into the index of their segment, and counts them.
pub(in crate::store) fn enter(segment: &Segment, sequence: Sequence, position: u64, bytes: u64, kind: Kind) {
    let counts = segment.counts();
    let slot = Slot::at(position);
    counts.needles.fetch_add(1, Ordering::Relaxed);
    match kind {
        Kind::Put => {
            segment.store(sequence, slot);
            counts.objects.fetch_add(1, Ordering::Relaxed);
            counts.object_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        Kind::Tombstone => {
            segment.store(sequence, slot.other_kind());
            counts.tombstones.fetch_add(1, Ordering::Relaxed);
        }
        Kind::EpochStart | Kind::Seal => segment.store(sequence, slot.other_kind()),
    }
}

/// Publishes a group: slots first, then the end, then the sequence.
pub(super) fn publish(segment: &Segment, placed: &[Placed], end: u64, next: Sequence) {
    for needle in placed {
        enter(segment, needle.sequence, needle.position, needle.bytes, needle.kind);
    }
    segment.publish(end, next);
}
