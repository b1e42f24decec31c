//! Brings a compacted segment back when no snapshot of its index can be used: reads its heads one behind another.
//!
//! Runs while a disk is opened. Always: the file is only read; where bytes do not verify, every sequence that may have been
//! there answers as damaged, for what a gap held cannot be known.

use super::copy_walk::{CopyFacts, CopyWalk};
use super::error::StoreError;
use super::manifest::{Closed, Record};
use super::needle::Kind;
use super::recovery::{Finding, Mended, Recovery, known_runs};
use super::replay::{Found, Which, first_behind};
use super::segment::Segment;
use super::segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::slots::Slot;
use super::snapshot::Hole;
use super::sparse::Sparse;
use crate::base::ids::{Epoch, Sequence};
use crate::base::limits::SEGMENT_BYTES_MAX;
use crate::disk::{File, Open};
use crate::journal::{Case, Plan};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What is walked before it is told where the walk stands: so much comes from a slow disk long before it is given up.
const STEP_BYTES: u64 = 8 << 20;

/// What a walk over a copy found.
#[derive(Debug, Default)]
pub(super) struct CopySight {
    pub found: Vec<Found>,
    /// Sequences that may have been where bytes do not verify, and where that is.
    pub doubts: Vec<(Range<u64>, u64)>,
    /// The chain digest over its needles.
    pub digest: u128,
    /// The needles are those that were copied.
    pub digest_fits: bool,
    pub header_whole: bool,
    pub epoch: Epoch,
    pub file_bytes: u64,
    pub unreadable: u64,
    /// Blocks of payload.
    pub blocks: u64,
}

/// Reads a compacted segment; with `verify` every payload too. `watch` is told where it stands.
pub(super) fn read_copy(
    file: &dyn File,
    which: &Which<'_>,
    closed: &Closed,
    verify: bool,
    watch: &mut dyn FnMut(u64),
) -> io::Result<CopySight> {
    let end = closed.end.min(SEGMENT_BYTES_MAX);
    let facts = CopyFacts { volume: which.volume, salt: which.state.salt, base: which.base, next: closed.next, end };
    let mut sector = [0; SEGMENT_HEADER_BYTES];
    // A sector that cannot be read does not verify either; zeros then stand for it.
    let read = file.read_at(&mut sector, 0).unwrap_or(0);
    let header_whole = SegmentHeader::parse(sector.get(..read).unwrap_or_default()).is_some_and(|header| {
        (header.volume, header.base, header.disk) == (which.volume, which.base, which.identity.disk)
            && (header.edition, header.next) == (closed.edition, closed.next)
    });
    let mut sight = CopySight { header_whole, file_bytes: file.len()?, ..CopySight::default() };
    let mut walk = CopyWalk::new(&facts);
    while !walk.step(file, &facts, verify, STEP_BYTES, &mut |found, head| {
        sight.found.push(found);
        sight.blocks += head.block_count() as u64;
    })? {
        watch(walk.position());
    }
    sight.digest = walk.digest;
    sight.digest_fits = walk.doubts.is_empty() && walk.digest == closed.digest;
    (sight.doubts, sight.epoch, sight.unreadable) = (walk.doubts, walk.epoch, walk.unreadable);
    Ok(sight)
}

/// What the manifest says of a copy that was read, by its needles, and whether it ends with one of them. A copy is cut to
/// that before it is published.
pub(super) fn closed_of(sight: &CopySight, all: &Closed) -> (Closed, bool) {
    let count = |kind| sight.found.iter().filter(|found| found.kind == kind).count() as u64;
    let end = sight.found.last().map_or(SEGMENT_HEADER_BYTES as u64, |last| last.position + last.bytes);
    let closed = Closed {
        needles: sight.found.len() as u64,
        objects: count(Kind::Put),
        tombstones: count(Kind::Tombstone),
        digest: sight.digest,
        ..*all
    };
    (closed, end == all.end)
}

impl Recovery<'_> {
    /// The index of a compacted segment, from its file.
    pub(super) fn copied(&mut self, which: &Which<'_>, closed: Closed) -> Result<Mended, StoreError> {
        let name = which.name();
        let lost = self.directory.lost.contains(&which.key());
        let nothing =
            || CopySight { doubts: vec![(which.base.0..closed.next.0, 0)], header_whole: true, ..CopySight::default() };
        let opened = if lost { Err(io::ErrorKind::NotFound.into()) } else { self.disk.open(&name, Open::Read) };
        let sight = match opened {
            Ok(file) => {
                let mut watch = |_| self.progress.advance();
                let mut read = || -> io::Result<(CopySight, Option<u64>)> {
                    let sight = read_copy(&*file, which, &closed, false, &mut watch)?;
                    let behind = first_behind(&*file, closed.end, sight.file_bytes)?;
                    Ok((sight, behind))
                };
                let (sight, behind) = read().map_err(StoreError::io(&**self.disk, &name, "read"))?;
                self.note_behind(&name, behind);
                sight
            }
            // What is lost is in the directory's findings.
            Err(_) if lost => nothing(),
            Err(error) => return Err(StoreError::io(&**self.disk, &name, "open")(error)),
        };
        self.report.segments += 1;
        self.report.scanned_bytes += sight.file_bytes;
        self.report.headers_damaged += u64::from(!sight.header_whole);
        self.report.unreadable_bytes += sight.unreadable;
        self.report.chain_breaks += u64::from(sight.doubts.is_empty() && !sight.digest_fits);
        for (range, position) in &sight.doubts {
            // What the device would not give may be sound, and what is lost may be put back: nothing is said for good.
            self.doubt(which, range, *position, !lost && sight.unreadable == 0);
        }
        let mut mended = self.mend_copy(which, closed, sight);
        mended.lost = lost;
        Ok(mended)
    }

    fn doubt(&mut self, which: &Which<'_>, range: &Range<u64>, position: u64, lasting: bool) {
        let count = range.end.saturating_sub(range.start);
        let known = known_runs(which.state).iter().any(|run| run.start <= range.start && range.end <= run.end);
        self.report.damages.push(Finding {
            volume: which.volume.0,
            first: range.start,
            count,
            file: which.name(),
            position,
            new: !known,
        });
        if !known && lasting {
            self.news.push(Record::DamageFound { volume: which.volume, first: Sequence(range.start), count });
        }
    }

    fn mend_copy(&mut self, which: &Which<'_>, closed: Closed, sight: CopySight) -> Mended {
        let slot = |found: &Found| {
            let slot = Slot::at(found.position);
            let offset = u32::try_from(found.sequence.0 - which.base.0).ok()?;
            Some((offset, if found.kind == Kind::Put { slot } else { slot.other_kind() }))
        };
        let entries: Vec<_> = sight.found.iter().filter_map(slot).collect();
        let sparse = Sparse::new(closed.next.0.saturating_sub(which.base.0), &entries);
        let handle = self.handles.handle(which.name());
        let doubts: Vec<_> = sight.doubts.iter().map(|(range, _)| range.clone()).collect();
        let segment = Segment::compacted(which.volume, which.base, which.state.salt, handle, closed, sparse, doubts);
        let counts = segment.counts();
        let of = |kind| sight.found.iter().filter(move |found| found.kind == kind);
        counts.needles.store(sight.found.len() as u64, Ordering::Relaxed);
        counts.objects.store(of(Kind::Put).count() as u64, Ordering::Relaxed);
        counts.object_bytes.store(of(Kind::Put).map(|found| found.bytes).sum(), Ordering::Relaxed);
        counts.tombstones.store(of(Kind::Tombstone).count() as u64, Ordering::Relaxed);
        counts.damaged.store(sight.doubts.len() as u64, Ordering::Relaxed);
        damage_known(which, &segment, closed.next);
        // Where a gap may hide a needle the index is not all that was there: it is walked at each start.
        let hole = |(range, position): &(Range<u64>, u64)| Hole {
            first: Sequence(range.start),
            count: range.end.saturating_sub(range.start),
            position: *position,
        };
        segment.progress().set_holes(sight.doubts.iter().map(hole).collect());
        let case = if sight.doubts.is_empty() { Case::A } else { Case::C };
        Mended {
            segment: Arc::new(segment),
            tombstones: sight.found.iter().filter_map(|found| found.target).map(|(target, _)| target).collect(),
            plan: Plan {
                cases: vec![case],
                cut: None,
                damaged: sight.doubts,
                next: closed.next,
                end: closed.end,
                chain: closed.chain,
                close: true,
            },
            sealed: of(Kind::Seal).next().is_some(),
            file: None,
            last_epoch: sight.epoch,
            lost: false,
        }
    }
}

/// Marks what the manifest knows as damaged in a compacted segment.
pub(super) fn damage_known(which: &Which<'_>, segment: &Segment, next: Sequence) {
    for (&first, &count) in which.state.damaged.range(which.base..next) {
        let past = Sequence(first.0.saturating_add(count));
        let mut at = first;
        while let Some((sequence, _)) = segment.needle_from(at).filter(|(sequence, _)| *sequence < past) {
            segment.damage(sequence);
            at = sequence.plus(1);
        }
    }
}
