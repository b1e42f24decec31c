//! Looks at a data directory without changing it: what it holds, and whether every byte verifies.
//!
//! Runs in the command line's process. Refuses a directory that is in use; holds its lock while it looks.
//! Always: writes nothing and cuts nothing; what recovery would do at the next start is not done here.

use super::damage::Damage;
use super::directory;
use super::directory_plan::DirectoryPlan;
use super::error::StoreError;
use super::manifest::{Closed, ManifestState, VolumeState};
use super::mark::Marks;
use super::needle::{Head, Kind, TOMBSTONE_BYTES};
use super::open::{MarksRead, is_formatted, read_manifest, read_marks, small_file, small_findings, take_lock};
use super::recovery::{behind, mark_of};
use super::recovery_copy::{CopySight, read_copy};
use super::replay::{Found, Replayed, Which, replay};
use super::superblock::SuperblockContent;
use super::{Identity, names, snapshot};
use crate::base::ids::{Sequence, VolumeId};
use crate::disk::{Disk, File, Lock, Open};
use crate::journal::{CHAIN_START, Case, FRAME_BYTES, plan, sector_end};
use serde::Serialize;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

/// What a data directory holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The cluster, as 32 hex digits.
    pub cluster: String,
    /// The node.
    pub node: String,
    /// The data directory.
    pub disk: String,
    /// The highest volume number that the node ever gave out, as far as this disk knows.
    pub volume_highest: u32,
    /// The last run stopped cleanly.
    pub clean: bool,
    /// Records of the manifest that do not verify.
    pub manifest_damaged: u64,
    /// Index files that do not fit; the next start walks their segments and writes them anew.
    pub indexes_unfit: Vec<String>,
    /// Its volumes.
    pub volumes: Vec<VolumeInspection>,
}

/// What a volume holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VolumeInspection {
    /// Its number.
    pub volume: u32,
    /// It takes no more objects.
    pub sealed: bool,
    /// The highest epoch that may have been used.
    pub epoch: u32,
    /// The life of this replica.
    pub generation: u64,
    /// The mark file's mark: everything below is synced. None if nothing is open, or nothing was marked yet.
    pub mark: Option<u64>,
    /// Objects that can be read, by their heads.
    pub objects: u64,
    /// Bytes of their needles.
    pub object_bytes: u64,
    /// Objects that are deleted and still take room.
    pub deleted: u64,
    /// Bytes of their needles.
    pub deleted_bytes: u64,
    /// Its segments.
    pub segments: Vec<SegmentInspection>,
}

/// What a segment holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SegmentInspection {
    /// Its file.
    pub file: String,
    /// Its first sequence.
    pub base: u64,
    /// The sequence behind its last whole needle.
    pub next: u64,
    /// It takes no more needles.
    pub closed: bool,
    /// The file is gone, or not to be read.
    pub missing: bool,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// The byte behind its last whole needle or frame.
    pub end: u64,
    /// Groups whose frames are whole.
    pub groups: u64,
    /// The highest mark in a frame.
    pub mark: u64,
    /// Needles of all kinds.
    pub needles: u64,
    /// Objects, living and dead.
    pub objects: u64,
    /// Bytes of the needles of objects that can be read.
    pub living_bytes: u64,
    /// Bytes of those that are deleted: what compaction can bring back.
    pub dead_bytes: u64,
    /// Tombstones.
    pub tombstones: u64,
    /// Places that do not verify, torn ones included.
    pub bad_places: u64,
}

/// The outcome of a full check.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Verification {
    /// Needles whose every byte verified.
    pub needles: u64,
    /// Blocks of their payloads.
    pub blocks: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// What does not verify and was durable.
    pub damages: Vec<DamageAt>,
    /// Torn tails that the next start will cut; nothing in them was acknowledged as synced.
    pub torn: Vec<DamageAt>,
    /// Index files that do not fit, which is no damage: the next start walks their segments and writes them anew.
    pub indexes_unfit: Vec<String>,
}

/// One thing that does not verify.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DamageAt {
    /// The volume, if it is in one.
    pub volume: Option<u32>,
    /// The file.
    pub file: String,
    /// The sequence, if it is known.
    pub sequence: Option<u64>,
    /// How many needles from there on.
    pub count: u64,
    /// The byte in the file.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
}

/// A directory that is held for looking.
struct Look<'a> {
    disk: &'a dyn Disk,
    content: SuperblockContent,
    state: ManifestState,
    manifest_damaged: u64,
    /// What a power cut may have left of small files: the file, where, and what it is.
    torn: Vec<(&'static str, u64, &'static str)>,
    marks: Marks,
    /// What opening would make of the segment files.
    directory: DirectoryPlan,
    _lock: Box<dyn Lock>,
}

impl<'a> Look<'a> {
    fn at(disk: &'a dyn Disk) -> Result<Self, StoreError> {
        if !is_formatted(disk)? {
            return Err(StoreError::NotLarder { place: disk.place(), found: "no superblock".to_string() });
        }
        let lock = take_lock(disk)?;
        let content = SuperblockContent::read(disk)?;
        let (mut state, log) = read_manifest(disk, &content.identity)?;
        let read = match disk.open(names::MARK, Open::Read) {
            Ok(file) => read_marks(disk, &file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => MarksRead::default(),
            Err(error) => return Err(StoreError::io(disk, names::MARK, "open")(error)),
        };
        let mut directory = directory::plan(disk, &content.identity, &state, &read.marks)?;
        directory.records.iter().for_each(|record| state.apply(record));
        directory.findings.extend(small_findings(&content, &log));
        let mut torn: Vec<_> = log
            .torn
            .map(|(from, _)| (names::MANIFEST, from, "an append that was never reported as done"))
            .into_iter()
            .collect();
        match read.wrong {
            Some(what) if read.perhaps_torn => torn.push((names::MARK, 0, what)),
            wrong => directory.findings.extend(wrong.map(|what| small_file(names::MARK, what))),
        }
        Ok(Self {
            disk,
            content,
            state,
            manifest_damaged: log.damaged,
            torn,
            marks: read.marks,
            directory,
            _lock: lock,
        })
    }

    fn identity(&self) -> &Identity {
        &self.content.identity
    }

    fn which<'b>(
        &'b self,
        volume: VolumeId,
        state: &'b VolumeState,
        base: Sequence,
        closed: Option<Closed>,
    ) -> Which<'b> {
        let chain = (base == Sequence(0)).then_some(CHAIN_START);
        Which { identity: self.identity(), volume, state, base, closed, mark: mark_of(&self.marks, volume), chain }
    }

    /// The index files that do not fit, and why.
    fn indexes_unfit(&self) -> Result<Vec<String>, StoreError> {
        let mut unfit = Vec::new();
        for (&volume, state) in &self.state.volumes {
            for (&base, &(_, closed)) in &state.segments {
                let which = self.which(volume, state, base, closed);
                if let Some(file) = self.file(&which)?
                    && let Some(Err(reason)) = snapshot::check(self.disk, &which, &*file)
                {
                    unfit.push(format!("{}: {reason}", snapshot::index_name(&which)));
                }
            }
        }
        Ok(unfit)
    }

    /// Bytes of all segments that are there.
    fn segment_bytes(&self) -> Result<u64, StoreError> {
        let mut total = 0;
        for (&volume, state) in &self.state.volumes {
            for (&base, &(_, closed)) in &state.segments {
                let which = self.which(volume, state, base, closed);
                if let Some(file) = self.file(&which)? {
                    total += file.len().map_err(StoreError::io(self.disk, &which.name(), "stat"))?;
                }
            }
        }
        Ok(total)
    }

    /// The file of a segment, or `None` if it is gone or not to be read.
    fn file(&self, which: &Which<'_>) -> Result<Option<Arc<dyn File>>, StoreError> {
        if self.directory.lost.contains(&which.key()) {
            return Ok(None);
        }
        match self.disk.open(&which.name(), Open::Read) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io(self.disk, &which.name(), "open")(error)),
        }
    }
}

/// Says what a data directory holds, by the heads of its needles. `progress` is told bytes done and bytes in all.
///
/// # Errors
/// [`StoreError`]: in use, not ours, newer, damaged beyond reading, or the device fails.
pub fn inspect(disk: &dyn Disk, progress: &mut dyn FnMut(u64, u64)) -> Result<Inspection, StoreError> {
    let look = Look::at(disk)?;
    let mut track = Track { done: 0, total: look.segment_bytes()?, progress };
    track.tell(0);
    let mut volumes = Vec::new();
    for (&volume, state) in &look.state.volumes {
        volumes.push(inspect_volume(&look, volume, state, &mut track)?);
    }
    let indexes_unfit = look.indexes_unfit()?;
    Ok(Inspection {
        cluster: look.identity().cluster.to_string(),
        node: look.identity().node.to_string(),
        disk: look.identity().disk.to_string(),
        volume_highest: look.content.highest.0,
        clean: look.marks.clean,
        manifest_damaged: look.manifest_damaged,
        indexes_unfit,
        volumes,
    })
}

/// How far a look at all segments is.
struct Track<'a> {
    done: u64,
    total: u64,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl Track<'_> {
    fn tell(&mut self, within: u64) {
        (self.progress)(self.done.saturating_add(within).min(self.total), self.total);
    }

    fn segment_done(&mut self, bytes: u64) {
        self.done += bytes;
        self.tell(0);
    }
}

fn inspect_volume(
    look: &Look<'_>,
    volume: VolumeId,
    state: &VolumeState,
    track: &mut Track<'_>,
) -> Result<VolumeInspection, StoreError> {
    let mut all: Vec<Found> = Vec::new();
    let mut segments = Vec::new();
    for (&base, &(_, closed)) in &state.segments {
        let which = look.which(volume, state, base, closed);
        let Some(file) = look.file(&which)? else {
            segments.push(missing(&which));
            continue;
        };
        let name = which.name();
        let failed = StoreError::io(look.disk, &name, "read");
        let mut watch = |within: u64| track.tell(within);
        let (found, inspection) = match closed.filter(|closed| closed.edition > 0) {
            Some(closed) => {
                let sight = read_copy(&*file, &which, &closed, false, &mut watch).map_err(failed)?;
                let inspection = inspect_copy(&which, &closed, &sight);
                (sight.found, inspection)
            }
            None => {
                let replayed = replay(&*file, &which, Sequence(u64::MAX), &mut watch).map_err(failed)?;
                let inspection = inspect_segment(&which, &replayed);
                (replayed.found, inspection)
            }
        };
        track.segment_done(inspection.file_bytes);
        segments.push(inspection);
        all.extend(found);
    }
    let dead: BTreeSet<Sequence> = all.iter().filter_map(|found| found.target).map(|(target, _)| target).collect();
    let mut inspection = VolumeInspection {
        volume: volume.0,
        sealed: state.sealed,
        epoch: state.epoch().0,
        generation: state.generation,
        mark: mark_of(&look.marks, volume).map(|mark| mark.mark.0),
        objects: 0,
        object_bytes: 0,
        deleted: 0,
        deleted_bytes: 0,
        segments,
    };
    for object in all.iter().filter(|found| found.kind == Kind::Put) {
        // Segments do not overlap, and lie in the order of their sequences.
        let behind = inspection.segments.partition_point(|segment| segment.base <= object.sequence.0);
        let segment = behind.checked_sub(1).and_then(|index| inspection.segments.get_mut(index));
        let mut nowhere = 0;
        let (count, bytes, within) = if dead.contains(&object.sequence) {
            let within = segment.map_or(&mut nowhere, |segment| &mut segment.dead_bytes);
            (&mut inspection.deleted, &mut inspection.deleted_bytes, within)
        } else {
            let within = segment.map_or(&mut nowhere, |segment| &mut segment.living_bytes);
            (&mut inspection.objects, &mut inspection.object_bytes, within)
        };
        *count += 1;
        *bytes += object.bytes;
        *within += object.bytes;
    }
    Ok(inspection)
}

fn missing(which: &Which<'_>) -> SegmentInspection {
    SegmentInspection {
        file: which.name(),
        base: which.base.0,
        next: which.base.0,
        closed: which.closed.is_some(),
        missing: true,
        file_bytes: 0,
        end: 0,
        groups: 0,
        mark: 0,
        needles: 0,
        objects: 0,
        living_bytes: 0,
        dead_bytes: 0,
        tombstones: 0,
        bad_places: 0,
    }
}

fn inspect_copy(which: &Which<'_>, closed: &Closed, sight: &CopySight) -> SegmentInspection {
    let count = |kind| sight.found.iter().filter(|found| found.kind == kind).count() as u64;
    SegmentInspection {
        next: closed.next.0,
        missing: false,
        file_bytes: sight.file_bytes,
        end: closed.end,
        needles: sight.found.len() as u64,
        objects: count(Kind::Put),
        tombstones: count(Kind::Tombstone),
        bad_places: sight.doubts.len() as u64,
        ..missing(which)
    }
}

fn inspect_segment(which: &Which<'_>, replayed: &Replayed) -> SegmentInspection {
    let count = |kind| replayed.found.iter().filter(|found| found.kind == kind).count() as u64;
    let sight = &replayed.sight;
    let bad = sight.runs.iter().filter(|run| run.next != Some(run.first)).count();
    SegmentInspection {
        next: sight.next.0,
        missing: false,
        file_bytes: replayed.file_bytes,
        end: sight.end,
        groups: sight.groups,
        mark: sight.mark.0,
        needles: replayed.found.len() as u64,
        objects: count(Kind::Put),
        tombstones: count(Kind::Tombstone),
        bad_places: bad as u64,
        ..missing(which)
    }
}

/// Reads every needle and every block of a data directory. `progress` is told bytes done and bytes in all.
///
/// # Errors
/// As for [`inspect`]; damage is in the outcome.
pub fn verify(disk: &dyn Disk, progress: &mut dyn FnMut(u64, u64)) -> Result<Verification, StoreError> {
    let look = Look::at(disk)?;
    let mut outcome = Verification::default();
    note_files(&look, &mut outcome);
    outcome.indexes_unfit = look.indexes_unfit()?;
    let mut total = 0;
    let mut work = Vec::new();
    for (&volume, state) in &look.state.volumes {
        for (&base, &(_, closed)) in &state.segments {
            let which = look.which(volume, state, base, closed);
            // Why a file is not there to be read is among the findings.
            if let Some(file) = look.file(&which)? {
                total += file.len().map_err(StoreError::io(disk, &which.name(), "stat"))?;
                work.push(which);
            }
        }
    }
    let mut done = 0;
    progress(done, total);
    for which in &work {
        done += verify_segment(&look, which, &mut outcome, &mut |within| progress(done + within, total))?;
        progress(done, total);
    }
    outcome.bytes = done;
    Ok(outcome)
}

/// What is wrong with whole files. One that was made before a crash and holds nothing is no damage.
fn note_files(look: &Look<'_>, outcome: &mut Verification) {
    for finding in &look.directory.findings {
        let file = finding.file.clone();
        let volume = names::parse_segment(&file).map(|(volume, _)| volume.0);
        let what = finding.what.clone();
        outcome.damages.push(DamageAt { volume, file, sequence: None, count: 0, offset: 0, what });
    }
    for &(file, offset, what) in &look.torn {
        let (file, what) = (file.to_string(), what.to_string());
        outcome.torn.push(DamageAt { volume: None, file, sequence: None, count: 0, offset, what });
    }
}

fn at(which: &Which<'_>, sequence: Option<u64>, offset: u64, what: String) -> DamageAt {
    let count = u64::from(sequence.is_some());
    DamageAt { volume: Some(which.volume.0), file: which.name(), sequence, count, offset, what }
}

fn verify_segment(
    look: &Look<'_>,
    which: &Which<'_>,
    outcome: &mut Verification,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, StoreError> {
    let Some(file) = look.file(which)? else { return Ok(0) };
    let failed = |error| StoreError::io(look.disk, &which.name(), "read")(error);
    if let Some(closed) = which.closed.filter(|closed| closed.edition > 0) {
        let sight = read_copy(&*file, which, &closed, true, progress).map_err(failed)?;
        return Ok(verify_copy(which, &closed, &sight, outcome));
    }
    let replayed = replay(&*file, which, Sequence(0), progress).map_err(failed)?;
    let sight = &replayed.sight;
    for &position in &sight.stray {
        outcome.damages.push(at(which, None, position, "the bytes behind a group are not zero".to_string()));
    }
    // Nothing is missing there; zeros up to the next sector are what a cut leaves, other bytes were a frame.
    for run in sight.runs.iter().filter(|run| run.next == Some(run.first)) {
        let mut frame = [0; FRAME_BYTES];
        let read = file.read_at(&mut frame, run.position).map_err(failed)?;
        let up_to = usize::try_from(sector_end(run.position) - run.position).unwrap_or(0);
        let shown = if up_to == 0 { read } else { read.min(up_to) };
        if frame.iter().take(shown).any(|&byte| byte != 0) {
            let what = "the group's frame does not verify; the needles behind it are whole".to_string();
            outcome.damages.push(at(which, None, run.position, what));
        }
    }
    if let Some(position) = sight.behind {
        outcome.damages.push(at(which, None, position, behind(position)));
    }
    for &position in &sight.chain_breaks {
        outcome.damages.push(at(which, None, position, "the chain digest contradicts the needles before".to_string()));
    }
    let plan = plan(sight, &replayed.proof(which));
    for (range, position) in plan.damaged.iter().filter(|(range, _)| !range.is_empty()) {
        let what = explain(&*file, which, *position);
        let count = range.end - range.start;
        outcome.damages.push(DamageAt { count, ..at(which, Some(range.start), *position, what) });
    }
    if let Some(cut) = plan.cut {
        let what = explain(&*file, which, cut);
        outcome.torn.push(at(which, Some(plan.next.0), cut, what));
    }
    if plan.cases.contains(&Case::A)
        && which.closed.is_some_and(|closed| closed.chain != plan.chain)
        && plan.damaged.is_empty()
    {
        outcome.damages.push(at(which, None, sight.end, "the chain digest contradicts the manifest".to_string()));
    }
    for found in &replayed.found {
        if let Some(damage) = check_padding(&*file, which, found, outcome).map_err(failed)? {
            outcome.damages.push(at(which, Some(found.sequence.0), found.position, damage.to_string()));
        } else {
            outcome.needles += 1;
        }
    }
    Ok(replayed.file_bytes)
}

fn verify_copy(which: &Which<'_>, closed: &Closed, sight: &CopySight, outcome: &mut Verification) -> u64 {
    if !sight.header_whole {
        outcome.damages.push(at(which, None, 0, "the segment's header does not verify".to_string()));
    }
    for (range, position) in &sight.doubts {
        let what = format!("does not verify; sequences {:x} to {:x} may have been here", range.start, range.end);
        outcome.damages.push(at(which, Some(range.start), *position, what));
    }
    if sight.doubts.is_empty() && !sight.digest_fits {
        outcome.damages.push(at(which, None, closed.end, "the needles are not those that were copied".to_string()));
    }
    if sight.file_bytes != closed.end {
        let what = format!("the file has {} bytes, the manifest says {}", sight.file_bytes, closed.end);
        outcome.damages.push(at(which, None, closed.end, what));
    }
    outcome.needles += sight.found.len() as u64;
    outcome.blocks += sight.blocks;
    sight.file_bytes
}

/// Counts a whole needle's blocks, and looks at the zeros behind its payload, which no checksum covers.
fn check_padding(
    file: &dyn File,
    which: &Which<'_>,
    found: &Found,
    outcome: &mut Verification,
) -> io::Result<Option<Damage>> {
    let mut head = vec![0; usize::try_from(found.bytes).unwrap_or(usize::MAX).min(8192)];
    let read = file.read_at(&mut head, found.position)?;
    head.truncate(read);
    let Ok(head) = Head::parse(&head, which.state.salt, which.volume, found.sequence) else {
        return Ok(Some(Damage::Checksum));
    };
    outcome.blocks += head.block_count() as u64;
    let unpadded = head.payload_offset() as u64 + u64::from(head.payload_bytes);
    let mut padding = vec![0; usize::try_from(found.bytes - unpadded).unwrap_or(0).min(TOMBSTONE_BYTES)];
    let read = file.read_at(&mut padding, found.position + unpadded)?;
    Ok(padding.iter().take(read).any(|&byte| byte != 0).then_some(Damage::Padding))
}

/// What is wrong at a place, as far as its bytes tell.
fn explain(file: &dyn File, which: &Which<'_>, position: u64) -> String {
    let mut bytes = vec![0; 8192];
    let read = match file.read_at(&mut bytes, position) {
        Ok(read) => read,
        Err(error) => return format!("cannot be read: {error}"),
    };
    bytes.truncate(read);
    match Head::parse_any(&bytes, which.state.salt) {
        Ok(_) => "the payload does not verify".to_string(),
        Err(damage) => damage.to_string(),
    }
}
