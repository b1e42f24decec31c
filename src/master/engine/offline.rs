//! Work on the metadata directory of a node that does not run: a backup of the names, and a look at them.
//!
//! Runs on a thread that may wait for the disk. Always: it does to the directory what a start and a clean stop do, and
//! nothing else; what is read is the whole state, with all that the log has.

use super::opened::{self, Opened, STORE_NAME};
use super::settings::MasterSettings;
use crate::base::clock::SystemClock;
use crate::base::ids::ClusterId;
use crate::disk::{Disk, Lock};
use crate::master::StateError;
use crate::master::log::LogReport;
use crate::master::namespace::{NameEntry, SnapshotTotals, parts_of_name_key, write_snapshot};
use crate::master::store::owner_of;
use crate::master::table::Table;
use serde::Serialize;
use std::io::Write;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Damages of which more than a count is told.
const DAMAGES_TOLD_MAX: usize = 100;

/// A metadata directory, opened without a node.
pub struct Offline {
    pub(super) opened: Opened,
    owner: u128,
    place: String,
    /// Dropped last.
    _lock: Box<dyn Lock>,
}

impl std::fmt::Debug for Offline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offline").field("place", &self.place).finish_non_exhaustive()
    }
}

/// What a metadata directory holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OfflineReport {
    /// The directory.
    pub place: String,
    /// The cluster whose names these are.
    pub cluster: String,
    /// Files.
    pub files: u64,
    /// Directories, the root not counted.
    pub directories: u64,
    /// Bytes of content of all files.
    pub content_bytes: u64,
    /// Bytes of the state store.
    pub state_bytes: u64,
    /// Sessions that are open.
    pub sessions_open: usize,
    /// Sessions that are closed and not forgotten.
    pub sessions_closed: usize,
    /// Removals of trees that are under way.
    pub removals_pending: usize,
    /// Objects on the to-do list of tombstones.
    pub tombstones_pending: u64,
    /// The last log entry that was applied.
    pub applied_index: u64,
    /// Its term.
    pub applied_term: u64,
    /// Entries of the log that the state store did not have.
    pub replayed: u64,
    /// The version of the last change.
    pub revision: u64,
    /// The rolling digest of all changes, in hex: equal for equal logs.
    pub digest: String,
    /// What opening the log found.
    pub log: LogReport,
}

/// What reading all of the state found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OfflineVerification {
    /// The directory.
    pub place: String,
    /// Keys that were read.
    pub entries: u64,
    /// Bytes of keys and values.
    pub entry_bytes: u64,
    /// Files among them.
    pub files: u64,
    /// Directories among them.
    pub directories: u64,
    /// Things that do not verify.
    pub damaged: u64,
    /// The first of them.
    pub damages: Vec<String>,
}

impl Offline {
    /// Opens the directory, and applies what its log has beyond its state.
    ///
    /// # Errors
    /// [`StateError::InUse`] while a node has it; [`StateError`] as a start would have it. One that holds no state is left
    /// alone.
    pub fn open(disk: Arc<dyn Disk>, settings: MasterSettings) -> Result<Self, StateError> {
        let place = disk.place();
        let found = disk.list().map_err(|error| StateError::io(&*place, error))?;
        if found.iter().all(|entry| entry.name != STORE_NAME) {
            let error =
                std::io::Error::new(std::io::ErrorKind::NotFound, "it holds no names: name a metadata directory");
            return Err(StateError::Io { place, error });
        }
        let lock = opened::lock(&*disk)?;
        let owner = owner_of(&*disk, STORE_NAME)?;
        let mut opened = Opened::open(disk, owner, settings, &SystemClock::shared(), &Arc::default())?;
        // A disk without room is no reason to wait: the log keeps what the store does not take.
        opened.shared.stopping.store(true, Ordering::Release);
        opened.applier.store();
        Ok(Self { opened, owner, place, _lock: lock })
    }

    /// Facts about what is there.
    #[must_use]
    pub fn report(&self) -> OfflineReport {
        let facts = self.opened.shared.facts.lock().clone();
        OfflineReport {
            place: self.place.clone(),
            cluster: ClusterId(self.owner).to_string(),
            files: facts.files,
            directories: facts.directories,
            content_bytes: facts.bytes,
            state_bytes: self.opened.store.bytes(),
            sessions_open: facts.sessions_open,
            sessions_closed: facts.sessions_closed,
            removals_pending: facts.removals_pending.len(),
            tombstones_pending: facts.tombstones_pending,
            applied_index: facts.applied_index,
            applied_term: facts.applied_term,
            replayed: self.opened.replayed,
            revision: facts.revision,
            digest: format!("{:032x}", facts.digest),
            log: self.opened.report.clone(),
        }
    }

    /// Writes a snapshot of the whole state, in bounded memory.
    ///
    /// # Errors
    /// [`StateError`], of reading the state or of writing the stream.
    pub fn backup(&self, to: &mut dyn Write) -> Result<SnapshotTotals, StateError> {
        write_snapshot(&self.opened.shared.layers, self.owner, to)
    }

    /// Reads the whole state, and counts what does not verify; that the log was read is in the report. A block of the store
    /// that does not verify ends the reading, for what follows it cannot be found without it.
    #[must_use]
    pub fn verify(&self) -> OfflineVerification {
        let mut found = OfflineVerification {
            place: self.place.clone(),
            entries: 0,
            entry_bytes: 0,
            files: 0,
            directories: 0,
            damaged: 0,
            damages: Vec::new(),
        };
        for damage in &self.opened.report.damages {
            found.damage(format!("{}: {}", damage.place, damage.what));
        }
        let layers = &self.opened.shared.layers;
        let read = layers.scan(&[], &[u8::MAX], &mut |key, value| {
            found.entries += 1;
            found.entry_bytes += (key.len() + value.len()) as u64;
            found.name(key, value);
            ControlFlow::Continue(())
        });
        let facts = self.opened.shared.facts.lock().clone();
        let want = (facts.files, facts.directories);
        match read {
            Err(error) => found.damage(error.to_string()),
            // A removal counts a directory that is not under its name any more.
            Ok(()) if facts.removals_pending.is_empty() && (found.files, found.directories) != want => {
                let line = format!(
                    "{}: {} files and {} directories are there, {} and {} were counted",
                    self.place, found.files, found.directories, want.0, want.1
                );
                found.damage(line);
            }
            Ok(()) => {}
        }
        found
    }

    /// Takes what was applied to the store, and closes all as a clean stop does.
    ///
    /// # Errors
    /// [`StateError`]; nothing is lost, for the log has it.
    pub fn close(self) -> Result<(), StateError> {
        let Opened { shared, applier, consensus, .. } = self.opened;
        applier.close();
        let role = &shared.role;
        if role.has_ended() {
            return Err(StateError::damaged(self.place, role.told().1));
        }
        consensus.close()
    }
}

impl OfflineVerification {
    fn name(&mut self, key: &[u8], value: &[u8]) {
        let Some((directory, name)) = parts_of_name_key(key) else { return };
        match NameEntry::of(value) {
            Ok(NameEntry::Directory(_)) => self.directories += 1,
            Ok(NameEntry::File(file)) => {
                self.files += 1;
                if let Err(error) = file.attributes().and_then(|_| file.chunks.all()) {
                    self.damage(format!("{}: the name {name:?} in directory {directory}: {error}", self.place));
                }
            }
            Err(error) => self.damage(format!("{}: the name {name:?} in directory {directory}: {error}", self.place)),
        }
    }

    fn damage(&mut self, line: String) {
        self.damaged += 1;
        if self.damages.len() < DAMAGES_TOLD_MAX {
            self.damages.push(line);
        }
    }
}
