//! Believes an index file, or not: the hook of recovery, and the check of the offline tools.
//!
//! Runs where a disk is opened or looked at. Always: an index file is believed only if it verifies, is of this very
//! segment, and the manifest, the log or the mark file says that the log passes through its point; see the folder's head.

use super::draft::holes_of;
use super::format::{Header, INDEX_HEADER_BYTES, Owner, Snapshot, Unfit};
use crate::base::ids::{Epoch, Sequence};
use crate::base::limits::{ATTRIBUTE_BYTES_MAX, BLOCKS_MAX};
use crate::base::planted::{self, Bug};
use crate::base::progress::Progress;
use crate::disk::{Disk, File, Open};
use crate::journal::{Case, FRAME_BYTES, Frame, Plan, Sight, sector_end};
use crate::store::error::StoreError;
use crate::store::names;
use crate::store::needle::{HEAD_BYTES_FIXED, Head};
use crate::store::recovery::{Mended, Recovery};
use crate::store::recovery_copy::damage_known;
use crate::store::replay::{From, Replayed, Which, first_behind, replay_from};
use crate::store::segment::Segment;
use crate::store::sparse::Sparse;
use std::io;
use std::sync::Arc;

/// What a needle's head takes at most.
const HEAD_BYTES_MAX: usize = HEAD_BYTES_FIXED + ATTRIBUTE_BYTES_MAX + 4 * BLOCKS_MAX;

/// How far an index file that fits reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// To the end: nothing is to be walked.
    All,
    /// To its point.
    Point,
}

impl Recovery<'_> {
    /// A segment by its index file, walked from there on; `None` if it has none that fits.
    pub(in crate::store) fn resume(&mut self, which: &Which<'_>, last: bool) -> Result<Option<Mended>, StoreError> {
        match self.try_resume(which, last) {
            Ok(mended) => Ok(mended),
            Err(Stop::Unfit(reason)) => {
                self.report.snapshots_refused.push(format!("{}: {reason}", index_name(which)));
                Ok(None)
            }
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    fn try_resume(&mut self, which: &Which<'_>, last: bool) -> Result<Option<Mended>, Stop> {
        let Some(snapshot) = read(&**self.disk, which)? else { return Ok(None) };
        let open = which.closed.is_none();
        let name = which.name();
        let file = match self.disk.open(&name, if open { Open::Write } else { Open::Read }) {
            Ok(file) => file,
            // Its loss is told by who walks it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io(&**self.disk, &name, "open")(error).into()),
        };
        let clean = open && last && self.marks.clean && is_marked(&snapshot, which);
        if open && !clean {
            // After a failed sync the page cache shows what the disk lacks: write what is dirty, then look at the disk.
            file.sync_all().map_err(StoreError::io(&**self.disk, &name, "sync"))?;
            file.drop_pages().map_err(StoreError::io(&**self.disk, &name, "drop the pages of"))?;
        }
        // The mark file of a clean stop says that nothing was written behind the point.
        let reach = match reach(&*file, &snapshot, which)? {
            // A clean stop leaves nothing behind the end; what lies there all the same is walked, and put aside.
            Reach::Point if clean => {
                let bytes = file.len().map_err(StoreError::io(&**self.disk, &name, "stat"))?;
                if bytes <= sector_end(snapshot.facts.end) { Reach::All } else { Reach::Point }
            }
            reach => reach,
        };
        self.report.segments_loaded += 1;
        // Nothing may follow a closed segment, whoever says where it ends.
        let behind = match which.closed {
            Some(closed) => file.len().and_then(|bytes| first_behind(&*file, closed.end, bytes)),
            None => Ok(None),
        };
        let behind = behind.map_err(StoreError::io(&**self.disk, &name, "read"))?;
        if reach == Reach::All && snapshot.is_sparse() {
            self.note_behind(&name, behind);
        }
        if reach == Reach::All && snapshot.is_sparse() {
            return Ok(Some(self.compacted(which, &snapshot)?));
        }
        let mut replayed = match reach {
            Reach::All => at_the_point(&*file, snapshot).map_err(StoreError::io(&**self.disk, &name, "stat"))?,
            Reach::Point => {
                walk_on(&*file, which, snapshot, self.progress).map_err(StoreError::io(&**self.disk, &name, "read"))?
            }
        };
        replayed.sight.behind = behind;
        Ok(Some(self.settle(which, last, file, replayed)?))
    }

    /// A compacted segment, all of which is in its index file.
    fn compacted(&mut self, which: &Which<'_>, snapshot: &Snapshot) -> Result<Mended, Stop> {
        let closed = which.closed.ok_or(Unfit::Numbers("its form"))?;
        let sparse = Sparse::new(closed.next.0 - which.base.0, &snapshot.entries());
        let handle = self.handles.handle(which.name());
        let (volume, base, salt) = (which.volume, which.base, which.state.salt);
        let segment = Arc::new(Segment::compacted(volume, base, salt, handle, closed, sparse, Vec::new()));
        snapshot.enter(&segment);
        segment.progress().set_written(closed.next, closed.end);
        damage_known(which, &segment, closed.next);
        let plan = Plan {
            cases: vec![Case::A],
            cut: None,
            damaged: Vec::new(),
            next: closed.next,
            end: closed.end,
            chain: closed.chain,
            close: true,
        };
        let (tombstones, sealed) = (snapshot.targets.clone(), snapshot.facts.sealed);
        Ok(Mended { segment, tombstones, plan, sealed, file: None, last_epoch: snapshot.facts.epoch, lost: false })
    }
}

/// Why an index file is not used.
enum Stop {
    /// It does not fit.
    Unfit(Unfit),
    /// The segment's file cannot be worked with, so the disk cannot be opened.
    Failed(StoreError),
}

impl std::convert::From<Unfit> for Stop {
    fn from(unfit: Unfit) -> Self {
        Self::Unfit(unfit)
    }
}

impl std::convert::From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

/// Whether a segment's index file fits, for the offline tools; `None` if there is none.
pub fn check(disk: &dyn Disk, which: &Which<'_>, file: &dyn File) -> Option<Result<(), Unfit>> {
    match read(disk, which) {
        Ok(None) => None,
        Ok(Some(snapshot)) => Some(reach(file, &snapshot, which).map(|_| ())),
        Err(unfit) => Some(Err(unfit)),
    }
}

/// The name of a segment's index file.
pub fn index_name(which: &Which<'_>) -> String {
    names::index(which.volume, which.base, which.closed.map_or(0, |closed| closed.edition))
}

/// The index file of a segment, verified; `None` if there is none.
fn read(disk: &dyn Disk, which: &Which<'_>) -> Result<Option<Snapshot>, Unfit> {
    let unreadable = |error: io::Error| Unfit::Unreadable(error.to_string());
    let file = match disk.open(&index_name(which), Open::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let owner = Owner { disk: which.identity.disk, volume: which.volume, salt: which.state.salt };
    let mut head = [0; INDEX_HEADER_BYTES];
    let filled = file.read_at(&mut head, 0).map_err(unreadable)?;
    let edition = which.closed.map_or(0, |closed| closed.edition);
    let header = Header::parse(head.get(..filled).unwrap_or_default(), &owner, (which.base, edition))?;
    // Memory is taken only for what is there.
    if file.len().map_err(unreadable)? != header.file_bytes as u64 && !planted::on(Bug::TrustIndex) {
        return Err(Unfit::Broken);
    }
    let mut bytes = vec![0; header.file_bytes];
    let filled = file.read_at(&mut bytes, 0).map_err(unreadable)?;
    bytes.truncate(filled);
    Snapshot::parse(bytes, &header, which.state.salt).map(Some)
}

/// How far it reaches, if the log passes through its point.
fn reach(file: &dyn File, snapshot: &Snapshot, which: &Which<'_>) -> Result<Reach, Unfit> {
    let unreadable = |error: io::Error| Unfit::Unreadable(error.to_string());
    if file.len().map_err(unreadable)? < snapshot.facts.end {
        return Err(Unfit::Shorter);
    }
    if which.closed.is_some_and(|closed| snapshot.facts.covers(&closed)) {
        return Ok(Reach::All);
    }
    let within = which.closed.is_none_or(|closed| closed.edition == 0 && snapshot.facts.next < closed.next);
    if snapshot.is_sparse() || !within || !last_is_whole(file, snapshot, which)? {
        return Err(Unfit::Log);
    }
    let agrees = is_marked(snapshot, which) || goes_on(file, snapshot, which).map_err(unreadable)?;
    if agrees || planted::on(Bug::TrustIndex) {
        return Ok(Reach::Point);
    }
    Err(Unfit::Log)
}

/// Whether the mark file names its point.
fn is_marked(snapshot: &Snapshot, which: &Which<'_>) -> bool {
    let facts = &snapshot.facts;
    which.mark.is_some_and(|mark| {
        mark.base == which.base && (mark.mark, mark.position, mark.chain) == (facts.next, facts.end, facts.chain)
    })
}

/// Whether a whole frame goes on where it ends.
fn goes_on(file: &dyn File, snapshot: &Snapshot, which: &Which<'_>) -> io::Result<bool> {
    let position = sector_end(snapshot.facts.end);
    let mut bytes = [0; FRAME_BYTES];
    let filled = file.read_at(&mut bytes, position)?;
    let frame = Frame::parse(bytes.get(..filled).unwrap_or_default(), which.state.salt);
    Ok(frame.is_ok_and(|frame| {
        (frame.volume, frame.generation, frame.position) == (which.volume, which.state.generation, position)
            && (frame.first, frame.chain) == (snapshot.facts.next, snapshot.facts.chain)
    }))
}

/// Whether the last needle is where it says.
fn last_is_whole(file: &dyn File, snapshot: &Snapshot, which: &Which<'_>) -> Result<bool, Unfit> {
    let Some((sequence, slot)) = snapshot.last() else { return Ok(true) };
    let mut bytes = vec![0; HEAD_BYTES_MAX];
    let filled = file.read_at(&mut bytes, slot.position()).map_err(|error| Unfit::Unreadable(error.to_string()))?;
    let bytes = bytes.get(..filled).unwrap_or_default();
    Ok(Head::parse(bytes, which.state.salt, which.volume, sequence).is_ok())
}

/// What a walk from its point on finds when nothing is there.
fn at_the_point(file: &dyn File, snapshot: Snapshot) -> io::Result<Replayed> {
    let facts = &snapshot.facts;
    let sight = Sight { epoch: facts.epoch, ..Sight::nothing(facts.end, facts.next, Some(facts.chain)) };
    let file_bytes = file.len()?;
    Ok(Replayed { file_bytes, before: Some(Box::new(snapshot)), ..Replayed::nothing(sight) })
}

/// Walks a segment from the point on.
fn walk_on(file: &dyn File, which: &Which<'_>, snapshot: Snapshot, progress: &Progress) -> io::Result<Replayed> {
    let facts = snapshot.facts;
    let from = From { position: sector_end(facts.end), first: facts.next, chain: Some(facts.chain) };
    let proof = which.proof();
    let verify_from = if which.closed.is_none() { proof.synced } else { Sequence(u64::MAX) };
    let mut replayed = replay_from(file, which, &from, verify_from, &mut |_| (), progress)?;
    let sight = &mut replayed.sight;
    // What is whole ends with the last needle, not with the zeros behind it.
    for run in sight.runs.iter_mut().filter(|run| run.end == from.position) {
        run.end = facts.end;
    }
    if sight.end == from.position {
        sight.end = facts.end;
    }
    if sight.used == from.position {
        sight.used = facts.end;
    }
    sight.epoch = Epoch(sight.epoch.0.max(facts.epoch.0));
    replayed.before = Some(Box::new(snapshot));
    Ok(replayed)
}

/// Puts the holes of an index file before what the walk behind it has found.
pub fn with_holes(plan: &mut Plan, snapshot: &Snapshot) {
    if snapshot.holes.is_empty() {
        return;
    }
    let holes = snapshot.holes.iter().map(|hole| (hole.first.0..hole.first.0 + hole.count, hole.position));
    plan.damaged.splice(0..0, holes);
    plan.cases.insert(0, Case::C);
}

/// Takes note of what a segment was built from: which sequences have no needle, and what its index file covers.
pub fn note(segment: &Segment, plan: &Plan, replayed: &Replayed) {
    segment.progress().set_holes(holes_of(plan));
    if replayed.unreadable > 0 {
        // It may be sound once the device gives it again.
        segment.progress().set_unfit();
    }
    if let Some(before) = &replayed.before {
        segment.progress().set_written(before.facts.next, before.facts.end);
    }
}
