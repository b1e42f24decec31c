//! Makes anew what can be derived from the segments: the index files, and the manifest if its head is gone.
//!
//! Runs in the command line's process, under the directory's lock. Always: no segment file is written, cut or renamed;
//! the manifest that was there is kept under another name; doing it again gives the same.
//!
//! A manifest from segments says: salt and generation as their headers have them; each segment closed where its needles
//! end, but those that the mark file names as open; sealed if the SEAL is there; damaged what does not verify. Which
//! epochs were begun and never used is lost with the old one, so each volume goes on two epochs higher.

use super::damage::Damage;
use super::error::StoreError;
use super::manifest::{Closed, MANIFEST_MAGIC, MANIFEST_VERSION, ManifestState, Record, VolumeState};
use super::mark::Marks;
use super::needle::Kind;
use super::offline::DamageAt;
use super::open::{is_formatted, read_manifest, read_marks, take_lock};
use super::recovery::mark_of;
use super::recovery_copy::read_copy;
use super::replay::{Found, Replayed, Which, replay};
use super::segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::snapshot::{self, Draft};
use super::superblock::SuperblockContent;
use super::{Identity, names};
use crate::base::ids::{Epoch, Sequence, VolumeId};
use crate::base::random::Random;
use crate::disk::{Disk, File, Lock, Open};
use crate::journal::{CHAIN_START, Case, Plan, Proof, RecordLog, plan};
use serde::Serialize;
use std::collections::BTreeMap;
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

struct Work<'a> {
    disk: &'a dyn Disk,
    identity: Identity,
    marks: Marks,
    outcome: Reindexed,
    done: u64,
    total: u64,
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

    fn open(&self, name: &str) -> Result<Option<Arc<dyn File>>, StoreError> {
        match self.disk.open(name, Open::Read) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io(self.disk, name, "open")(error)),
        }
    }

    fn leave(&mut self, file: String, why: &str) {
        self.outcome.left.push(Left { file, why: why.to_string() });
    }

    /// Walks a segment, telling of progress.
    fn walk(&mut self, which: &Which<'_>, file: &dyn File, verify_from: Sequence) -> Result<Replayed, StoreError> {
        let (done, total) = (self.done, self.total);
        let progress = &mut self.progress;
        let walked = replay(file, which, verify_from, &mut |within| progress(done + within, total));
        let replayed = walked.map_err(StoreError::io(self.disk, &which.name(), "read"))?;
        self.done += replayed.file_bytes;
        self.outcome.bytes += replayed.file_bytes;
        (self.progress)(self.done, total);
        Ok(replayed)
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
        let (done, total) = (self.done, self.total);
        let progress = &mut self.progress;
        let read = read_copy(file, which, closed, false, &mut |within| progress(done + within, total));
        let sight = read.map_err(StoreError::io(self.disk, &which.name(), "read"))?;
        self.done += sight.file_bytes;
        self.outcome.bytes += sight.file_bytes;
        (self.progress)(self.done, total);
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

    /// Makes the manifest from the segments.
    fn rebuild(&mut self) -> Result<ManifestState, StoreError> {
        let found = self.headers()?;
        let mut state = ManifestState::default();
        for (volume, (header, bases)) in found {
            let mut volume_state =
                VolumeState { salt: header.salt, generation: header.generation, ..VolumeState::default() };
            for base in bases {
                volume_state.segments.insert(base, (Epoch(0), None));
            }
            self.facts(volume, &mut volume_state)?;
            state.volumes.insert(volume, volume_state);
        }
        let taken = self.disk.list().map_err(StoreError::io(self.disk, "", "list"))?;
        if taken.iter().any(|entry| entry.name == names::MANIFEST) {
            let free = (0..u32::MAX).map(|number| names::aside(names::MANIFEST, number));
            let aside = free.into_iter().find(|aside| taken.iter().all(|entry| entry.name != *aside));
            let aside = aside.expect("a directory holds fewer files than there are numbers");
            let set_aside = self.disk.rename(names::MANIFEST, &aside);
            set_aside.map_err(StoreError::io(self.disk, names::MANIFEST, "set aside"))?;
            self.outcome.manifest_aside = Some(aside);
        }
        let replace = || -> io::Result<RecordLog> {
            let records: Vec<_> = state.records().iter().map(Record::encode).collect();
            let head = (MANIFEST_MAGIC, MANIFEST_VERSION, Random::default().number()?, self.identity.disk.0);
            RecordLog::replace(self.disk, names::MANIFEST, head, &records)
        };
        replace().map_err(StoreError::io(self.disk, names::MANIFEST, "write"))?;
        self.outcome.manifest_rebuilt = true;
        Ok(state)
    }

    /// The segments of this disk by volume: a whole header of one of them, and where each begins.
    fn headers(&mut self) -> Result<BTreeMap<VolumeId, (SegmentHeader, Vec<Sequence>)>, StoreError> {
        let entries = self.disk.list().map_err(StoreError::io(self.disk, "", "list"))?;
        let mut found: BTreeMap<VolumeId, (Option<SegmentHeader>, Vec<Sequence>)> = BTreeMap::new();
        for entry in entries {
            let Some((volume, base, edition)) = names::parse_edition(&entry.name) else { continue };
            if edition > 0 {
                // Which of two that overlap counts, only the manifest knew.
                return Err(StoreError::Compacted { place: format!("{}/{}", self.disk.place(), entry.name) });
            }
            let mut sector = [0; SEGMENT_HEADER_BYTES];
            let Some(file) = self.open(&entry.name)? else { continue };
            file.read_at(&mut sector, 0).map_err(StoreError::io(self.disk, &entry.name, "read"))?;
            let header = SegmentHeader::parse(&sector);
            if header.is_some_and(|its| (its.disk, its.volume, its.base) != (self.identity.disk, volume, base)) {
                self.leave(entry.name, "its header names another disk or segment; the next start sets it aside");
                continue;
            }
            let (known, bases) = found.entry(volume).or_default();
            *known = known.or(header);
            bases.push(base);
            // Read once for the manifest, and once for the index file.
            self.total += 2 * entry.bytes;
        }
        let mut whole = BTreeMap::new();
        for (volume, (header, bases)) in found {
            match header {
                Some(header) => {
                    whole.insert(volume, (header, bases));
                }
                None => {
                    for base in bases {
                        let file = names::segment(volume, base);
                        self.leave(
                            file,
                            "no header of its volume verifies, so its key is lost; the next start sets it aside",
                        );
                    }
                }
            }
        }
        Ok(whole)
    }

    /// What the segments of a volume say: where each ends, epochs, the seal, damage.
    fn facts(&mut self, volume: VolumeId, state: &mut VolumeState) -> Result<(), StoreError> {
        let (identity, marks) = (self.identity, self.marks.clone());
        let mark = mark_of(&marks, volume);
        let mut chain = Some(CHAIN_START);
        let (mut epoch, mut next, mut sealed) = (Epoch(0), Sequence(0), false);
        let bases: Vec<Sequence> = state.segments.keys().copied().collect();
        for base in bases {
            let which = Which { identity: &identity, volume, state, base, closed: None, mark, chain };
            let name = which.name();
            let Some(file) = self.open(&name)? else { continue };
            let is_open = mark.is_some_and(|mark| mark.base == base);
            let proof = Proof { closed: !is_open, ..which.proof() };
            let verify_from = if is_open { proof.synced } else { Sequence(u64::MAX) };
            let replayed = self.walk(&which, &*file, verify_from)?;
            let plan = plan(&replayed.sight, &proof);
            chain = plan.cases.iter().all(|case| *case == Case::A).then_some(plan.chain);
            epoch = epoch.max(replayed.sight.epoch);
            next = next.max(plan.next);
            sealed |= replayed.found.iter().any(|found| found.kind == Kind::Seal);
            if !is_open {
                state.segments.insert(base, (Epoch(0), Some(closed(&replayed.found, &plan))));
                let damaged = plan.damaged.iter().filter(|(range, _)| !range.is_empty());
                state.damaged.extend(damaged.map(|(range, _)| (Sequence(range.start), range.end - range.start)));
            }
        }
        state.sealed = sealed;
        state.epochs.insert(Epoch(epoch.0.saturating_add(1)), next);
        Ok(())
    }
}

fn closed(found: &[Found], plan: &Plan) -> Closed {
    let count = |kind: Kind| found.iter().filter(|found| found.kind == kind).count() as u64;
    Closed {
        end: plan.end,
        next: plan.next,
        needles: found.len() as u64,
        objects: count(Kind::Put),
        tombstones: count(Kind::Tombstone),
        chain: plan.chain,
        ..Closed::default()
    }
}
