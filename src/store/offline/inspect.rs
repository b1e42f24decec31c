//! What a data directory holds, by the heads of its needles.
//!
//! Runs in the command line's process; writes nothing.

use super::Look;
use crate::base::ids::{Sequence, VolumeId};
use crate::disk::Disk;
use crate::store::error::StoreError;
use crate::store::manifest::{Closed, VolumeState};
use crate::store::needle::Kind;
use crate::store::recovery::mark_of;
use crate::store::recovery_copy::{CopySight, read_copy};
use crate::store::replay::{Found, Replayed, Which, replay};
use serde::Serialize;
use std::collections::BTreeSet;

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
