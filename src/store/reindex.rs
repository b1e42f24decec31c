//! Makes anew what can be derived from the segments: the index files, and the manifest if its head is gone.
//!
//! Runs in the command line's process, under the directory's lock. Always: no segment file is written, cut or renamed;
//! the manifest that was there is kept under another name; doing it again gives the same.
//!
//! How a manifest comes from segments is in [`rebuild`](super::rebuild).

use super::damage::Damage;
use super::error::StoreError;
use super::manifest::{Closed, ManifestState, VolumeState};
use super::mark::Marks;
use super::offline::DamageAt;
use super::open::{is_formatted, read_manifest, read_marks, take_lock};
use super::recovery::mark_of;
use super::recovery_copy::{CopySight, read_copy};
use super::replay::{Replayed, Which, replay};
use super::snapshot::{self, Draft};
use super::superblock::SuperblockContent;
use super::{Identity, names};
use crate::base::ids::{Sequence, VolumeId};
use crate::disk::{Disk, File, Lock, Open};
use crate::journal::{CHAIN_START, Case, Plan, plan};
use serde::Serialize;
use std::io;
use std::sync::Arc;

/// What was made anew.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Reindexed {
    /// The manifest was made from the segments.
    pub manifest_rebuilt: bool,
    /// Where the manifest is that was there before.
    pub manifest_aside: Option<String>,
    /// Volumes.
    pub volumes: u64,
    /// Bytes of segments that were read.
    pub bytes: u64,
    /// Index files that were written.
    pub written: Vec<String>,
    /// Files that got no index file, or no place in the manifest, and why.
    pub left: Vec<Left>,
    /// Durable needles that do not verify, as far as a walk over the heads shows.
    pub damages: Vec<DamageAt>,
}

/// A file that nothing was derived from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// The file.
    pub file: String,
    /// Why.
    pub why: String,
}

/// Writes the index files anew, and the manifest if it is missing or its head is damaged. `progress` is told bytes done
/// and bytes in all.
///
/// # Errors
/// [`StoreError`]: in use, not ours, newer, without a superblock, or the device fails.
pub fn reindex(disk: &dyn Disk, progress: &mut dyn FnMut(u64, u64)) -> Result<Reindexed, StoreError> {
    if !is_formatted(disk)? {
        return Err(StoreError::NotLarder { place: disk.place(), found: "no superblock".to_string() });
    }
    let lock = take_lock(disk)?;
    let identity = SuperblockContent::read(disk)?.identity;
    let marks = match disk.open(names::MARK, Open::Read) {
        Ok(file) => read_marks(disk, &file)?.marks,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Marks::default(),
        Err(error) => return Err(StoreError::io(disk, names::MARK, "open")(error)),
    };
    let mut work =
        Work { disk, identity, marks, outcome: Reindexed::default(), done: 0, total: 0, progress, _lock: lock };
    let state = match read_manifest(disk, &identity) {
        Ok((state, _)) => {
            work.total = work.bytes_of(&state)?;
            state
        }
        Err(StoreError::Manifest { .. }) => work.rebuild()?,
        Err(error) => return Err(error),
    };
    snapshot::sweep(disk, &state)?;
    work.outcome.volumes = state.volumes.len() as u64;
    for (&volume, volume_state) in &state.volumes {
        work.index_volume(volume, volume_state)?;
    }
    Ok(work.outcome)
}

/// What both parts work with.
pub(super) struct Work<'a> {
    pub disk: &'a dyn Disk,
    pub identity: Identity,
    pub marks: Marks,
    pub outcome: Reindexed,
    pub done: u64,
    pub total: u64,
    progress: &'a mut dyn FnMut(u64, u64),
    _lock: Box<dyn Lock>,
}

impl Work<'_> {
    fn bytes_of(&self, state: &ManifestState) -> Result<u64, StoreError> {
        let entries = self.disk.list().map_err(StoreError::io(self.disk, "", "list"))?;
        let named = |name: &str| {
            let (volume, base, edition) = names::parse_edition(name)?;
            let (_, closed) = state.volumes.get(&volume)?.segments.get(&base)?;
            (closed.map_or(0, |closed| closed.edition) == edition).then_some(())
        };
        Ok(entries.iter().filter(|entry| named(&entry.name).is_some()).map(|entry| entry.bytes).sum())
    }

    pub(super) fn open(&self, name: &str) -> Result<Option<Arc<dyn File>>, StoreError> {
        match self.disk.open(name, Open::Read) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io(self.disk, name, "open")(error)),
        }
    }

    pub(super) fn leave(&mut self, file: String, why: &str) {
        self.outcome.left.push(Left { file, why: why.to_string() });
    }

    /// Walks a segment, telling of progress.
    pub(super) fn walk(
        &mut self,
        which: &Which<'_>,
        file: &dyn File,
        verify_from: Sequence,
    ) -> Result<Replayed, StoreError> {
        let (done, total) = (self.done, self.total);
        let progress = &mut self.progress;
        let walked = replay(file, which, verify_from, &mut |within| progress(done + within, total));
        let replayed = walked.map_err(StoreError::io(self.disk, &which.name(), "read"))?;
        self.outcome.bytes += replayed.file_bytes;
        self.pass(replayed.file_bytes);
        Ok(replayed)
    }

    /// Walks a compacted segment, telling of progress.
    pub(super) fn walk_copy(
        &mut self,
        which: &Which<'_>,
        closed: &Closed,
        file: &dyn File,
        verify: bool,
    ) -> Result<CopySight, StoreError> {
        let (done, total) = (self.done, self.total);
        let progress = &mut self.progress;
        let read = read_copy(file, which, closed, verify, &mut |within| progress(done + within, total));
        let sight = read.map_err(StoreError::io(self.disk, &which.name(), "read"))?;
        self.outcome.bytes += sight.file_bytes;
        self.pass(sight.file_bytes);
        Ok(sight)
    }

    /// So many bytes are done, or need not be read.
    pub(super) fn pass(&mut self, bytes: u64) {
        self.done += bytes;
        (self.progress)(self.done, self.total);
    }

    fn index_volume(&mut self, volume: VolumeId, state: &VolumeState) -> Result<(), StoreError> {
        let mut chain = Some(CHAIN_START);
        let identity = self.identity;
        let marks = self.marks.clone();
        for (&base, &(_, closed)) in &state.segments {
            let which =
                Which { identity: &identity, volume, state, base, closed, mark: mark_of(&marks, volume), chain };
            let plan = self.index_segment(&which)?;
            chain = plan.filter(|plan| plan.cases.iter().all(|case| *case == Case::A)).map(|plan| plan.chain);
        }
        Ok(())
    }

    /// Writes one index file, if the segment takes one; gives what the walk came to.
    fn index_segment(&mut self, which: &Which<'_>) -> Result<Option<Plan>, StoreError> {
        let name = which.name();
        let Some(file) = self.open(&name)? else {
            let what = "the file is gone".to_string();
            self.outcome.damages.push(DamageAt {
                volume: Some(which.volume.0),
                file: name,
                sequence: None,
                count: 1,
                offset: 0,
                what,
            });
            return Ok(None);
        };
        if let Some(closed) = which.closed.filter(|closed| closed.edition > 0) {
            return self.index_copy(which, &closed, &*file);
        }
        let proof = which.proof();
        let verify_from = if which.closed.is_none() { proof.synced } else { Sequence(u64::MAX) };
        let replayed = self.walk(which, &*file, verify_from)?;
        let plan = plan(&replayed.sight, &proof);
        self.note_damage(which, &plan);
        let point = match which.closed {
            Some(closed) if (plan.next, plan.end) == (closed.next, closed.end) => Some(closed),
            Some(_) => None,
            None => self.clean_point(which, &plan),
        };
        let Some(closed) = point.filter(|_| replayed.unreadable == 0) else {
            self.leave(name, "its end is not settled; the next start reads it");
            return Ok(Some(plan));
        };
        let draft = Draft::of_walk(which, &replayed.found, &plan, replayed.sight.epoch, &closed);
        self.put(which, &closed, &draft)?;
        Ok(Some(plan))
    }

    fn put(&mut self, which: &Which<'_>, closed: &Closed, draft: &Draft) -> Result<(), StoreError> {
        let index = names::index(which.volume, which.base, closed.edition);
        let bytes = draft.encode(self.identity.disk, which.volume, which.state.salt);
        let put = snapshot::put(self.disk, &index, &bytes).map_err(io::Error::from);
        put.map_err(StoreError::io(self.disk, &index, "write"))?;
        self.outcome.written.push(index);
        Ok(())
    }

    /// As [`index_segment`](Self::index_segment), of a compacted segment: only if its needles are those that were copied.
    fn index_copy(&mut self, which: &Which<'_>, closed: &Closed, file: &dyn File) -> Result<Option<Plan>, StoreError> {
        let sight = self.walk_copy(which, closed, file, false)?;
        let case = if sight.doubts.is_empty() { Case::A } else { Case::C };
        let plan = Plan {
            cases: vec![case],
            cut: None,
            damaged: sight.doubts.clone(),
            next: closed.next,
            end: closed.end,
            chain: closed.chain,
            close: true,
        };
        self.note_damage(which, &plan);
        match Draft::of_copy(which, &sight, closed).filter(|_| sight.digest_fits && sight.unreadable == 0) {
            Some(draft) => self.put(which, closed, &draft)?,
            None => self.leave(which.name(), "its needles are not those that were copied; the next start reads it"),
        }
        Ok(Some(plan))
    }

    /// Where an open segment ends, if the last stop was clean and the mark file says the same.
    fn clean_point(&self, which: &Which<'_>, plan: &Plan) -> Option<Closed> {
        let mark = which.mark.filter(|mark| self.marks.clean && mark.base == which.base)?;
        let there = (plan.next, plan.end, plan.chain) == (mark.mark, mark.position, mark.chain);
        let whole = plan.cut.is_none() && !plan.close;
        (there && whole).then(|| Closed { end: plan.end, next: plan.next, chain: plan.chain, ..Closed::default() })
    }

    fn note_damage(&mut self, which: &Which<'_>, plan: &Plan) {
        for (range, position) in plan.damaged.iter().filter(|(range, _)| !range.is_empty()) {
            self.outcome.damages.push(DamageAt {
                volume: Some(which.volume.0),
                file: which.name(),
                sequence: Some(range.start),
                count: range.end - range.start,
                offset: *position,
                what: Damage::Checksum.to_string(),
            });
        }
    }
}
