//! Makes the content of an index file: from a segment in memory, or from a walk over one.
//!
//! Runs where it may wait for the disk. A segment in memory knows where its needles lie, but not what its tombstones
//! delete: those are read from its file, each verified. Always: only what lies below the point goes in; a needle that
//! should be whole and is not makes no index file, so the next start walks the segment and finds it.

use super::format::{Content, Facts, Hole, Owner, Slots};
use super::writer::Point;
use crate::base::ids::{DiskId, Epoch, Sequence, VolumeId};
use crate::disk::File;
use crate::journal::{Plan, Window};
use crate::store::Damage;
use crate::store::manifest::Closed;
use crate::store::needle::{HEAD_BYTES_FIXED, Head, Kind, TOMBSTONE_BYTES};
use crate::store::recovery_copy::CopySight;
use crate::store::replay::{Found, Which};
use crate::store::segment::Segment;
use crate::store::slots::Slot;
use std::io;

/// What is read at once while tombstones are looked at: they lie together, or far from each other.
const PIECE_BYTES: usize = 64 << 10;
const HEAD_BYTES_LIKELY: usize = HEAD_BYTES_FIXED + TOMBSTONE_BYTES + 32;

/// An index file that is being made.
#[derive(Debug)]
pub struct Draft(Content);

/// What needles other than objects say.
#[derive(Default)]
struct Others {
    targets: Vec<Sequence>,
    sealed: bool,
    epoch: Epoch,
}

impl Draft {
    /// Of a segment in memory, below a point; `None` if something in it does not verify.
    pub fn of(segment: &Segment, point: &Point, file: &dyn File) -> io::Result<Option<Self>> {
        let holes = segment.progress().holes();
        if point.next < segment.base() || (segment.is_sparse() && !holes.is_empty()) {
            return Ok(None);
        }
        let mut window = Window::new(file, point.end, PIECE_BYTES);
        let mut others = Others::default();
        let span = usize::try_from(point.next.0 - segment.base().0).expect("a segment's needles are bounded");
        let (mut slots, mut entries) = (vec![0; if segment.is_sparse() { 0 } else { span }], Vec::new());
        let mut last = None;
        for (sequence, slot) in segment.entries(segment.base()).take_while(|(sequence, _)| *sequence < point.next) {
            if slot.is_damaged() && is_hole(holes, sequence) {
                continue;
            }
            let bare = Slot::at(slot.position());
            let bare = if slot.is_other_kind() { bare.other_kind() } else { bare };
            let offset = sequence.0 - segment.base().0;
            match usize::try_from(offset).ok().and_then(|offset| slots.get_mut(offset)) {
                Some(place) => *place = bare.bits(),
                None => match u32::try_from(offset) {
                    Ok(offset) => entries.push((offset, bare)),
                    Err(_) => return Ok(None),
                },
            }
            last = Some((sequence, bare));
            if slot.is_other_kind() && !others.read(&mut window, segment, (sequence, bare))? {
                return Ok(None);
            }
        }
        // Epochs ascend: the highest is that of the last needle.
        if let Some(last) = last.filter(|(_, slot)| !slot.is_other_kind())
            && !others.read(&mut window, segment, last)?
        {
            return Ok(None);
        }
        let (edition, digest) = segment.closed().map_or((0, 0), |closed| (closed.edition, closed.digest));
        let facts = Facts {
            base: segment.base(),
            edition,
            end: point.end,
            next: point.next,
            chain: point.chain,
            digest,
            epoch: others.epoch,
            sealed: others.sealed,
            object_bytes: point.object_bytes,
        };
        let slots = if segment.is_sparse() { Slots::Sparse(entries) } else { Slots::Dense(slots) };
        Ok(Some(Self(Content { facts, slots, holes: holes.to_vec(), targets: others.targets })))
    }

    /// Of a segment as it was appended that was walked to its end, and of which nothing is to be cut.
    pub fn of_walk(which: &Which<'_>, found: &[Found], plan: &Plan, epoch: Epoch, closed: &Closed) -> Self {
        let slot = |found: &Found| match found.kind {
            Kind::Put => Slot::at(found.position),
            Kind::Tombstone | Kind::EpochStart | Kind::Seal => Slot::at(found.position).other_kind(),
        };
        let objects = found.iter().filter(|found| found.kind == Kind::Put);
        let facts = Facts {
            base: which.base,
            edition: closed.edition,
            end: closed.end,
            next: closed.next,
            chain: closed.chain,
            digest: closed.digest,
            epoch,
            sealed: found.iter().any(|found| found.kind == Kind::Seal),
            object_bytes: objects.map(|found| found.bytes).sum(),
        };
        let slots = dense(which.base, closed.next, found.iter().map(|found| (found.sequence, slot(found))));
        let targets = found.iter().filter_map(|found| found.target).map(|(target, _)| target).collect();
        Self(Content { facts, slots, holes: holes_of(plan), targets })
    }

    /// Of a compacted segment that was walked to its end; `None` if a sequence lies beyond what one can hold.
    pub fn of_copy(which: &Which<'_>, sight: &CopySight, closed: &Closed) -> Option<Self> {
        let entry = |found: &Found| {
            let slot = Slot::at(found.position);
            let offset = u32::try_from(found.sequence.0 - which.base.0).ok()?;
            Some((offset, if found.kind == Kind::Put { slot } else { slot.other_kind() }))
        };
        let entries = sight.found.iter().map(entry).collect::<Option<Vec<_>>>()?;
        let objects = sight.found.iter().filter(|found| found.kind == Kind::Put);
        let facts = Facts {
            base: which.base,
            edition: closed.edition,
            end: closed.end,
            next: closed.next,
            chain: closed.chain,
            digest: closed.digest,
            epoch: sight.epoch,
            sealed: sight.found.iter().any(|found| found.kind == Kind::Seal),
            object_bytes: objects.map(|found| found.bytes).sum(),
        };
        let targets = sight.found.iter().filter_map(|found| found.target).map(|(target, _)| target).collect();
        Some(Self(Content { facts, slots: Slots::Sparse(entries), holes: Vec::new(), targets }))
    }

    /// The file.
    pub fn encode(&self, disk: DiskId, volume: VolumeId, salt: u64) -> Vec<u8> {
        self.0.encode(&Owner { disk, volume, salt })
    }
}

/// What a plan marks as damaged, as holes.
pub fn holes_of(plan: &Plan) -> Vec<Hole> {
    let hole = |(range, position): &(std::ops::Range<u64>, u64)| Hole {
        first: Sequence(range.start),
        count: range.end.saturating_sub(range.start),
        position: *position,
    };
    plan.damaged.iter().map(hole).filter(|hole| hole.count > 0).collect()
}

fn dense(base: Sequence, next: Sequence, needles: impl Iterator<Item = (Sequence, Slot)>) -> Slots {
    let span = usize::try_from(next.0.saturating_sub(base.0)).expect("a segment's needles are bounded");
    let mut slots = vec![0; span];
    for (sequence, slot) in needles {
        let place = usize::try_from(sequence.0 - base.0).ok().and_then(|at| slots.get_mut(at));
        if let Some(place) = place {
            *place = slot.bits();
        }
    }
    Slots::Dense(slots)
}

fn is_hole(holes: &[Hole], sequence: Sequence) -> bool {
    let behind = holes.partition_point(|hole| hole.first <= sequence);
    let hole = behind.checked_sub(1).and_then(|index| holes.get(index));
    hole.is_some_and(|hole| sequence.0 - hole.first.0 < hole.count)
}

impl Others {
    /// Reads one needle; false if it is not what the index says.
    fn read(&mut self, window: &mut Window<'_>, segment: &Segment, needle: (Sequence, Slot)) -> io::Result<bool> {
        let (sequence, slot) = needle;
        let Some(head) = head_at(window, segment, sequence, slot.position())? else { return Ok(false) };
        if (head.kind == Kind::Put) == slot.is_other_kind() {
            return Ok(false);
        }
        self.epoch = self.epoch.max(head.epoch);
        self.sealed |= head.kind == Kind::Seal;
        if head.kind == Kind::Tombstone {
            let Some(target) = target(window, &head, slot.position())? else { return Ok(false) };
            self.targets.push(target);
        }
        Ok(true)
    }
}

fn head_at(window: &mut Window<'_>, segment: &Segment, sequence: Sequence, at: u64) -> io::Result<Option<Head>> {
    let mut want = HEAD_BYTES_LIKELY;
    loop {
        let bytes = window.bytes(at, want)?;
        match Head::parse(bytes, segment.salt(), segment.volume(), sequence) {
            Ok(head) => return Ok(Some(head)),
            Err(Damage::Short { needed }) if needed > want && bytes.len() == want => want = needed,
            Err(_) => return Ok(None),
        }
    }
}

fn target(window: &mut Window<'_>, head: &Head, at: u64) -> io::Result<Option<Sequence>> {
    let bytes = window.bytes(at, head.payload_offset() + TOMBSTONE_BYTES)?;
    let payload = bytes.get(head.payload_offset()..).unwrap_or_default();
    let target = head.verify_payload(payload).ok().and_then(|()| head.tombstone_target(payload));
    Ok(target.map(|(target, _)| target))
}
