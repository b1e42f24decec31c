//! Looks at a data directory without changing it: what it holds, and whether every byte verifies.
//!
//! Runs in the command line's process. Refuses a directory that is in use; holds its lock while it looks.
//! Always: writes nothing and cuts nothing; what recovery would do at the next start is not done here.

mod inspect;
mod verify;

pub use inspect::{Inspection, SegmentInspection, VolumeInspection, inspect};
pub use verify::{DamageAt, Verification, verify};

use super::directory;
use super::directory_plan::DirectoryPlan;
use super::error::StoreError;
use super::manifest::{Closed, ManifestState, VolumeState};
use super::mark::Marks;
use super::open::{MarksRead, is_formatted, read_manifest, read_marks, small_file, small_findings, take_lock};
use super::recovery::mark_of;
use super::replay::Which;
use super::superblock::SuperblockContent;
use super::{Identity, names, snapshot};
use crate::base::ids::{Sequence, VolumeId};
use crate::disk::{Disk, File, Lock, Open};
use crate::journal::CHAIN_START;
use std::io;
use std::sync::Arc;

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
