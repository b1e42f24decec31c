//! Makes the manifest from the segment files.
//!
//! Runs in the command line's process, as a part of [`reindex`](super::reindex). It says: salt and generation as the headers
//! have them; each segment closed where its needles end, but those that the mark file names as open; sealed if the SEAL is
//! there; damaged what does not verify. Which epochs were begun and never used is lost with the old manifest, so each
//! volume goes on two epochs higher.
//!
//! Of a compacted segment and what it was made of, both may lie there. The room of a copy is taken before the first needle
//! is written and cut when all are, so a copy that walks whole to its exact length is finished, and stands for all in its
//! range, the highest edition first: a later copy elsewhere may have left out a tombstone because this one lacks the target.
//! One that is not finished yields to what covers its range without a gap, and is taken as damaged if nothing does. A copy
//! without needles looks the same as one that was just begun, so it yields too.
//! Always: no segment file is touched; one that is not named is reported; what no file covers is named as lost.

use super::error::StoreError;
use super::manifest::{Closed, MANIFEST_MAGIC, MANIFEST_VERSION, ManifestState, Record, VolumeState};
use super::names;
use super::needle::Kind;
use super::recovery::mark_of;
use super::recovery_copy::{closed_of, read_copy};
use super::reindex::Work;
use super::replay::{Found, Which, replay};
use super::segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::base::ids::{Epoch, Sequence, VolumeId};
use crate::base::random::Random;
use crate::disk::File;
use crate::journal::{CHAIN_START, Case, FRAME_BYTES, Frame, Plan, Proof, RecordLog, plan};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

const REPLACED: &str = "a compacted segment stands for all of it; the next start deletes it or sets it aside";
const UNFINISHED: &str =
    "it is not whole, and what it was made of is all there; the next start deletes it or sets it aside";
const ACROSS: &str = "another compacted segment has a part of its sequences; the next start sets it aside";
const NOTHING_WHOLE: &str = "nothing in it verifies, so its range is not known; the next start sets it aside";
const NO_KEY: &str = "no header of its volume verifies, so its key is lost; the next start sets it aside";
const FOREIGN: &str = "its header names another disk or segment; the next start sets it aside";

/// One segment file of a volume.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    base: Sequence,
    edition: u32,
    /// Where its range ends, if it is compacted and its header verifies.
    next: Option<Sequence>,
    bytes: u64,
}

/// A compacted segment that the manifest will name.
#[derive(Debug)]
struct Copy {
    closed: Closed,
    doubts: Vec<Range<u64>>,
    epoch: Epoch,
    sealed: bool,
}

/// What is known of a volume while its segments are read.
#[derive(Debug, Default)]
struct Sum {
    epoch: Epoch,
    next: Sequence,
    sealed: bool,
}

impl Work<'_> {
    /// Makes the manifest from the segments.
    pub(super) fn rebuild(&mut self) -> Result<ManifestState, StoreError> {
        let found = self.headers()?;
        let mut state = ManifestState::default();
        for (volume, (header, files)) in found {
            let mut volume_state =
                VolumeState { salt: header.salt, generation: header.generation, ..VolumeState::default() };
            let copies = self.choose(volume, &volume_state, &files)?;
            for file in files.iter().filter(|file| file.edition == 0) {
                if covering(&copies, file.base..Sequence(file.base.0.saturating_add(1))).is_some() {
                    self.pass(2 * file.bytes);
                    self.leave(names::segment(volume, file.base), REPLACED);
                } else {
                    volume_state.segments.insert(file.base, (Epoch(0), None));
                }
            }
            let closed = copies.iter().map(|(&base, copy)| (base, (Epoch(0), Some(copy.closed))));
            volume_state.segments.extend(closed);
            name_gaps(&mut volume_state);
            self.facts(volume, &mut volume_state, &copies)?;
            state.volumes.insert(volume, volume_state);
        }
        self.write_manifest(&state)?;
        Ok(state)
    }

    fn write_manifest(&mut self, state: &ManifestState) -> Result<(), StoreError> {
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
        Ok(())
    }

    /// The segment files of this disk by volume, with a whole header of one of them.
    fn headers(&mut self) -> Result<BTreeMap<VolumeId, (SegmentHeader, Vec<Candidate>)>, StoreError> {
        let entries = self.disk.list().map_err(StoreError::io(self.disk, "", "list"))?;
        let mut found: BTreeMap<VolumeId, (Option<SegmentHeader>, Vec<Candidate>)> = BTreeMap::new();
        for entry in entries {
            let Some((volume, base, edition)) = names::parse_edition(&entry.name) else { continue };
            let mut sector = [0; SEGMENT_HEADER_BYTES];
            let Some(file) = self.open(&entry.name)? else { continue };
            let read = file.read_at(&mut sector, 0).map_err(StoreError::io(self.disk, &entry.name, "read"))?;
            let header = SegmentHeader::parse(sector.get(..read).unwrap_or_default());
            let is_it = |its: SegmentHeader| {
                (its.disk, its.volume, its.base, its.edition) == (self.identity.disk, volume, base, edition)
            };
            if header.is_some_and(|its| !is_it(its)) {
                self.leave(entry.name, FOREIGN);
                continue;
            }
            let (known, files) = found.entry(volume).or_default();
            *known = known.or(header);
            let next = header.filter(|its| edition > 0 && range_is_sane(its)).map(|its| its.next);
            files.push(Candidate { base, edition, next, bytes: entry.bytes });
            // Read once for the manifest, and once for the index file.
            self.total += 2 * entry.bytes;
        }
        let mut whole = BTreeMap::new();
        for (volume, (header, files)) in found {
            match header {
                Some(header) => {
                    whole.insert(volume, (header, files));
                }
                None => {
                    for file in files {
                        self.pass(2 * file.bytes);
                        self.leave(names::edition(volume, file.base, file.edition), NO_KEY);
                    }
                }
            }
        }
        Ok(whole)
    }

    /// The compacted segments of a volume that count.
    fn choose(
        &mut self,
        volume: VolumeId,
        state: &VolumeState,
        files: &[Candidate],
    ) -> Result<BTreeMap<Sequence, Copy>, StoreError> {
        let mut chosen = BTreeMap::new();
        let mut copies: Vec<&Candidate> = files.iter().filter(|file| file.edition > 0).collect();
        copies.sort_by_key(|copy| (std::cmp::Reverse(copy.edition), copy.base));
        for copy in copies {
            let name = names::edition(volume, copy.base, copy.edition);
            let Some(file) = self.open(&name)? else { continue };
            let Some(next) = self.range_end(volume, state, files, copy, &*file)? else {
                self.pass(2 * copy.bytes);
                self.leave(name, NOTHING_WHOLE);
                continue;
            };
            if let Some(range) = covering(&chosen, copy.base..next) {
                let why = if range.start <= copy.base && next <= range.end { REPLACED } else { ACROSS };
                self.pass(2 * copy.bytes);
                self.leave(name, why);
                continue;
            }
            // Payloads too where there is a choice: of the last needles only the heads may have become durable.
            let is_older = |other: &&Candidate| other.edition < copy.edition;
            let contested = files.iter().filter(is_older).any(|other| (copy.base..next).contains(&other.base));
            let all = Closed {
                end: file.len().map_err(StoreError::io(self.disk, &name, "stat"))?,
                next,
                edition: copy.edition,
                ..Closed::default()
            };
            let identity = self.identity;
            let which = Which {
                identity: &identity,
                volume,
                state,
                base: copy.base,
                closed: Some(all),
                mark: None,
                chain: None,
            };
            let sight = self.walk_copy(&which, &all, &*file, contested)?;
            let (closed, ends) = closed_of(&sight, &all);
            let finished = ends && sight.header_whole && sight.doubts.is_empty();
            if (!finished || (contested && sight.found.is_empty()))
                && self.is_covered(volume, state, files, copy, next)?
            {
                self.pass(copy.bytes);
                self.leave(name, UNFINISHED);
                continue;
            }
            let doubts = sight.doubts.iter().map(|(range, _)| range.clone());
            let sealed = sight.found.iter().any(|found| found.kind == Kind::Seal);
            // What the device would not give may be sound: nothing is said of it for good.
            let doubts = doubts.filter(|range| sight.unreadable == 0 && !range.is_empty()).collect();
            chosen.insert(copy.base, Copy { closed, doubts, epoch: sight.epoch, sealed });
        }
        Ok(chosen)
    }

    /// Where the range of a compacted segment ends. If its header is damaged: where the next file behind its last needle
    /// begins, for nothing else says it.
    fn range_end(
        &self,
        volume: VolumeId,
        state: &VolumeState,
        files: &[Candidate],
        copy: &Candidate,
        file: &dyn File,
    ) -> Result<Option<Sequence>, StoreError> {
        if copy.next.is_some() {
            return Ok(copy.next);
        }
        let next = Sequence(copy.base.0.saturating_add(u64::from(u32::MAX)));
        let all = Closed { end: copy.bytes, next, edition: copy.edition, ..Closed::default() };
        let (identity, base) = (self.identity, copy.base);
        let which = Which { identity: &identity, volume, state, base, closed: Some(all), mark: None, chain: None };
        let sight = read_copy(file, &which, &all, false, &mut |_| ());
        let sight = sight.map_err(StoreError::io(self.disk, &which.name(), "read"))?;
        let Some(last) = sight.found.last() else { return Ok(None) };
        let behind = files.iter().map(|file| file.base).filter(|&base| base > last.sequence).min();
        Ok(Some(behind.unwrap_or(Sequence(last.sequence.0 + 1))))
    }

    /// Whether older files follow one another from the first to the last sequence of a copy. Whether each of them is whole
    /// is another question: what is damaged in them is so in what was copied, too.
    fn is_covered(
        &self,
        volume: VolumeId,
        state: &VolumeState,
        files: &[Candidate],
        copy: &Candidate,
        next: Sequence,
    ) -> Result<bool, StoreError> {
        let older: Vec<_> = files.iter().filter(|other| other.edition < copy.edition).collect();
        let mut at = copy.base;
        while at < next {
            let mut reach = at;
            for other in older.iter().filter(|other| other.base == at) {
                let end = match other.next {
                    Some(end) => end,
                    None if other.edition == 0 => self.plain_end(volume, state, files, other)?,
                    None => continue,
                };
                reach = reach.max(end);
            }
            if reach == at {
                return Ok(false);
            }
            at = reach;
        }
        Ok(at == next)
    }

    /// The sequence behind a segment as it was appended; where its tail does not verify, the base of the next file.
    fn plain_end(
        &self,
        volume: VolumeId,
        state: &VolumeState,
        files: &[Candidate],
        plain: &Candidate,
    ) -> Result<Sequence, StoreError> {
        let name = names::segment(volume, plain.base);
        let Some(file) = self.open(&name)? else { return Ok(plain.base) };
        let (identity, base) = (self.identity, plain.base);
        let which = Which { identity: &identity, volume, state, base, closed: None, mark: None, chain: None };
        let replayed = replay(&*file, &which, Sequence(u64::MAX), &mut |_| ());
        let sight = replayed.map_err(StoreError::io(self.disk, &name, "read"))?.sight;
        let behind = files.iter().map(|file| file.base).filter(|&base| base >= sight.next && base > plain.base).min();
        Ok(behind.filter(|_| sight.used > sight.end).unwrap_or(sight.next))
    }

    /// What the segments of a volume say: where each ends, epochs, the seal, damage.
    fn facts(
        &mut self,
        volume: VolumeId,
        state: &mut VolumeState,
        copies: &BTreeMap<Sequence, Copy>,
    ) -> Result<(), StoreError> {
        let mut chain = Some(CHAIN_START);
        let mut sum = Sum::default();
        let segments: Vec<_> = state.segments.iter().map(|(&base, &(_, closed))| (base, closed)).collect();
        for (base, closed) in segments {
            let Some(closed) = closed else {
                chain = self.plain_facts(volume, state, base, chain, &mut sum)?;
                continue;
            };
            sum.next = sum.next.max(closed.next);
            chain = None;
            if let Some(copy) = copies.get(&base) {
                chain = self.chain_before(volume, state, closed.next)?;
                state.segments.insert(base, (Epoch(0), Some(Closed { chain: chain.unwrap_or_default(), ..closed })));
                sum.epoch = sum.epoch.max(copy.epoch);
                sum.sealed |= copy.sealed;
                let doubts = copy.doubts.iter().map(|range| (Sequence(range.start), range.end - range.start));
                state.damaged.extend(doubts);
            }
        }
        state.sealed = sum.sealed;
        state.epochs.insert(Epoch(sum.epoch.0.saturating_add(1)), sum.next);
        Ok(())
    }

    /// The same of one segment as it was appended; gives the volume's digest behind it.
    fn plain_facts(
        &mut self,
        volume: VolumeId,
        state: &mut VolumeState,
        base: Sequence,
        chain: Option<u128>,
        sum: &mut Sum,
    ) -> Result<Option<u128>, StoreError> {
        let (identity, marks) = (self.identity, self.marks.clone());
        let mark = mark_of(&marks, volume);
        let which = Which { identity: &identity, volume, state, base, closed: None, mark, chain };
        let Some(file) = self.open(&which.name())? else { return Ok(None) };
        let is_open = mark.is_some_and(|mark| mark.base == base);
        let proof = Proof { closed: !is_open, ..which.proof() };
        let verify_from = if is_open { proof.synced } else { Sequence(u64::MAX) };
        let replayed = self.walk(&which, &*file, verify_from)?;
        let plan = plan(&replayed.sight, &proof);
        sum.epoch = sum.epoch.max(replayed.sight.epoch);
        sum.next = sum.next.max(plan.next);
        sum.sealed |= replayed.found.iter().any(|found| found.kind == Kind::Seal);
        // The last one may have been made a moment before a crash: the next needle belongs into it.
        let is_fresh = plan.next == base && plan.damaged.is_empty();
        if !is_open && !is_fresh {
            state.segments.insert(base, (Epoch(0), Some(closed(&replayed.found, &plan))));
            let damaged = plan.damaged.iter().filter(|(range, _)| !range.is_empty());
            state.damaged.extend(damaged.map(|(range, _)| (Sequence(range.start), range.end - range.start)));
        }
        Ok(plan.cases.iter().all(|case| *case == Case::A).then_some(plan.chain))
    }

    /// The volume's chain digest before the segment that begins there, as its first frame has it.
    fn chain_before(&self, volume: VolumeId, state: &VolumeState, next: Sequence) -> Result<Option<u128>, StoreError> {
        if !matches!(state.segments.get(&next), Some((_, None))) {
            return Ok(None);
        }
        let name = names::segment(volume, next);
        let Some(file) = self.open(&name)? else { return Ok(None) };
        let mut bytes = [0; FRAME_BYTES];
        let position = SEGMENT_HEADER_BYTES as u64;
        // A frame that cannot be read does not verify either.
        let read = file.read_at(&mut bytes, position).unwrap_or(0);
        let frame = Frame::parse(bytes.get(..read).unwrap_or_default(), state.salt).ok();
        let place = (volume, state.generation, position, next);
        let is_it = |frame: &Frame| (frame.volume, frame.generation, frame.position, frame.first) == place;
        Ok(frame.filter(is_it).map(|frame| frame.chain))
    }
}

/// The sequences of a compacted segment fit the index of one.
fn range_is_sane(header: &SegmentHeader) -> bool {
    header.next > header.base && header.next.0 - header.base.0 <= u64::from(u32::MAX)
}

/// The range of a chosen copy that has one of these sequences.
fn covering(chosen: &BTreeMap<Sequence, Copy>, range: Range<Sequence>) -> Option<Range<Sequence>> {
    let (&base, copy) = chosen.range(..range.end).next_back()?;
    (range.start < copy.closed.next).then_some(base..copy.closed.next)
}

/// What no file covers is named as closed and lost, for its objects are damaged and not absent. Behind a segment as it was
/// appended that needs no name: its successor proves where it ended.
fn name_gaps(state: &mut VolumeState) {
    let mut expected = Some(Sequence(0));
    let mut gaps = Vec::new();
    for (&base, (_, closed)) in &state.segments {
        if let Some(first) = expected.filter(|&first| first < base) {
            gaps.push((first, base));
        }
        expected = closed.map(|closed| closed.next);
    }
    for (first, next) in gaps {
        let lost = Closed { end: SEGMENT_HEADER_BYTES as u64, next, ..Closed::default() };
        state.segments.insert(first, (Epoch(0), Some(lost)));
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
