//! Looks at a data directory without changing it: what it holds, and whether every byte verifies.
//!
//! Runs in the command line's process. Refuses a directory that is in use; holds its lock while it looks.
//! Always: writes nothing and cuts nothing; what recovery would do at the next start is not done here.

use super::damage::Damage;
use super::error::StoreError;
use super::manifest::{Closed, ManifestState, VolumeState};
use super::mark::Marks;
use super::needle::{Head, Kind, TOMBSTONE_BYTES};
use super::open::{is_formatted, read_manifest, read_marks, take_lock};
use super::recovery::mark_of;
use super::replay::{Found, Replayed, Which, replay};
use super::superblock::SuperblockContent;
use super::{Identity, names, snapshot};
use crate::base::ids::{Sequence, VolumeId};
use crate::disk::{Disk, File, Lock, Open};
use crate::journal::{CHAIN_START, Case, plan};
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
    /// The file is gone.
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
    marks: Marks,
    _lock: Box<dyn Lock>,
}

impl<'a> Look<'a> {
    fn at(disk: &'a dyn Disk) -> Result<Self, StoreError> {
        if !is_formatted(disk)? {
            return Err(StoreError::NotLarder { place: disk.place(), found: "no superblock".to_string() });
        }
        let lock = take_lock(disk)?;
        let content = SuperblockContent::read(disk)?;
        let (state, log) = read_manifest(disk, &content.identity)?;
        let marks = match disk.open(names::MARK, Open::Read) {
            Ok(file) => read_marks(&file).map_err(StoreError::io(disk, names::MARK, "read"))?.0,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Marks::default(),
            Err(error) => return Err(StoreError::io(disk, names::MARK, "open")(error)),
        };
        Ok(Self { disk, content, state, manifest_damaged: log.damaged, marks, _lock: lock })
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

    /// The file of a segment, or `None` if it is gone.
    fn file(&self, which: &Which<'_>) -> Result<Option<Arc<dyn File>>, StoreError> {
        match self.disk.open(&which.name(), Open::Read) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io(self.disk, &which.name(), "open")(error)),
        }
    }
}

/// Says what a data directory holds, by the heads of its needles.
///
/// # Errors
/// [`StoreError`]: in use, not ours, newer, damaged beyond reading, or the device fails.
pub fn inspect(disk: &dyn Disk) -> Result<Inspection, StoreError> {
    let look = Look::at(disk)?;
    let mut volumes = Vec::new();
    for (&volume, state) in &look.state.volumes {
        volumes.push(inspect_volume(&look, volume, state)?);
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

fn inspect_volume(look: &Look<'_>, volume: VolumeId, state: &VolumeState) -> Result<VolumeInspection, StoreError> {
    let mut all: Vec<Found> = Vec::new();
    let mut segments = Vec::new();
    for (&base, &(_, closed)) in &state.segments {
        let which = look.which(volume, state, base, closed);
        let Some(file) = look.file(&which)? else {
            segments.push(missing(&which));
            continue;
        };
        let replayed = replay(&*file, &which, Sequence(u64::MAX), &mut |_| ()).map_err(StoreError::io(
            look.disk,
            &which.name(),
            "read",
        ))?;
        segments.push(inspect_segment(&which, &replayed));
        all.extend(replayed.found);
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
        let (count, bytes) = if dead.contains(&object.sequence) {
            (&mut inspection.deleted, &mut inspection.deleted_bytes)
        } else {
            (&mut inspection.objects, &mut inspection.object_bytes)
        };
        *count += 1;
        *bytes += object.bytes;
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
        tombstones: 0,
        bad_places: 0,
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
    note_small_files(&look, &mut outcome);
    outcome.indexes_unfit = look.indexes_unfit()?;
    let mut total = 0;
    let mut work = Vec::new();
    for (&volume, state) in &look.state.volumes {
        for (&base, &(_, closed)) in &state.segments {
            let which = look.which(volume, state, base, closed);
            match look.file(&which)? {
                Some(file) => {
                    total += file.len().map_err(StoreError::io(disk, &which.name(), "stat"))?;
                    drop(file);
                    work.push(which);
                }
                None => outcome.damages.push(at(&which, None, 0, "the file is gone".to_string())),
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

fn note_small_files(look: &Look<'_>, outcome: &mut Verification) {
    let of = |file: &str, what: &str| DamageAt {
        volume: None,
        file: file.to_string(),
        sequence: None,
        offset: 0,
        what: what.to_string(),
    };
    if !look.content.both_whole {
        outcome.damages.push(of(names::SUPERBLOCK, "one of the two copies does not verify"));
    }
    if look.manifest_damaged > 0 {
        outcome.damages.push(of(names::MANIFEST, &format!("{} records do not verify", look.manifest_damaged)));
    }
}

fn at(which: &Which<'_>, sequence: Option<u64>, offset: u64, what: String) -> DamageAt {
    DamageAt { volume: Some(which.volume.0), file: which.name(), sequence, offset, what }
}

fn verify_segment(
    look: &Look<'_>,
    which: &Which<'_>,
    outcome: &mut Verification,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, StoreError> {
    let Some(file) = look.file(which)? else { return Ok(0) };
    let failed = |error| StoreError::io(look.disk, &which.name(), "read")(error);
    let replayed = replay(&*file, which, Sequence(0), progress).map_err(failed)?;
    let sight = &replayed.sight;
    if !replayed.header_whole {
        outcome.damages.push(at(which, None, 0, "the segment's header does not verify".to_string()));
    }
    for &position in &sight.chain_breaks {
        outcome.damages.push(at(which, None, position, "the chain digest contradicts the needles before".to_string()));
    }
    let plan = plan(sight, &which.proof());
    for (range, position) in &plan.damaged {
        for sequence in range.clone() {
            let what = explain(&*file, which, *position);
            outcome.damages.push(at(which, Some(sequence), *position, what));
        }
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
