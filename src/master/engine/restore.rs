//! A backup of the names, back into a metadata directory.
//!
//! Runs on a thread that may wait for the disk. Always: a marker file is durable before anything else is written, and is
//! removed after all of it was verified and is durable; a start refuses a directory that has it. So a restore that failed
//! or was interrupted never looks like a directory with few names. Memory is bounded by one commit and the store's cache.
//!
//! The log is made here too, to begin behind the last entry that the state has: so the rule that a state without its log is
//! damage holds for restored directories as well.

use super::opened::{LOCK_NAME, STORE_NAME, lock};
use super::settings::MasterSettings;
use crate::base::ids::ClusterId;
use crate::disk::{Disk, Open};
use crate::journal::failed_sync;
use crate::master::StateError;
use crate::master::log::{Applied, Log, LogOptions, is_log_file};
use crate::master::namespace::{Namespace, SnapshotReader, SnapshotTotals};
use crate::master::store::{EmbeddedStore, StoreOptions};
use crate::master::table::StateStore;
use serde::Serialize;
use std::io::{ErrorKind, Read};
use std::sync::Arc;

/// Says that a restore is not completed.
const MARKER_NAME: &str = "restoring";
/// What a file system puts into its root by itself.
const LOST_AND_FOUND: &str = "lost+found";
/// Bytes of keys and values of one commit.
pub(super) const COMMIT_BYTES: usize = if cfg!(test) { 64 << 10 } else { 16 << 20 };

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// The directory.
    pub place: String,
    /// The cluster whose names these are: only its nodes take the directory.
    pub cluster: String,
    /// Files.
    pub files: u64,
    /// Directories, the root not counted.
    pub directories: u64,
    /// Bytes of content of all files.
    pub content_bytes: u64,
    /// Keys with their values.
    pub entries: u64,
    /// Their bytes.
    pub entry_bytes: u64,
    /// The last log entry that the state has.
    pub applied_index: u64,
    /// Its term.
    pub applied_term: u64,
}

/// Whether a restore into this directory is not completed.
pub(super) fn is_restoring(disk: &dyn Disk) -> Result<bool, StateError> {
    let found = disk.list().map_err(|error| StateError::io(disk.place(), error))?;
    Ok(found.iter().any(|entry| entry.name == MARKER_NAME))
}

/// Restores a backup into an empty directory, or into one where a restore was not completed.
///
/// # Errors
/// [`StateError`]: the stream is damaged or cut, the directory holds something or is in use, or the disk fails. What was
/// written till then stays, and a start refuses it.
pub fn restore(disk: &Arc<dyn Disk>, from: impl Read, settings: &MasterSettings) -> Result<Restored, StateError> {
    // What is no backup, or has no place to go, changes nothing.
    let mut snapshot = SnapshotReader::open(from)?;
    check_room(&**disk)?;
    let _lock = lock(&**disk)?;
    check_room(&**disk)?;
    begin(&**disk)?;
    let restored = fill(disk, &mut snapshot, settings)?;
    end(&**disk)?;
    Ok(restored)
}

/// A directory is taken if it is empty, or if what it holds is of a restore that was not completed.
fn check_room(disk: &dyn Disk) -> Result<(), StateError> {
    let begun = is_restoring(disk)?;
    let found = disk.list().map_err(|error| StateError::io(disk.place(), error))?;
    let known = |name: &str| [LOCK_NAME, LOST_AND_FOUND].contains(&name) || (begun && is_ours(name));
    match found.iter().find(|entry| !known(&entry.name)) {
        None => Ok(()),
        Some(entry) => {
            let what = format!("it holds {}: restore into a new or empty directory", entry.name);
            let error = std::io::Error::new(ErrorKind::DirectoryNotEmpty, what);
            Err(StateError::Io { place: disk.place(), error })
        }
    }
}

/// What a restore writes.
fn is_ours(name: &str) -> bool {
    let is_store = name.strip_prefix(STORE_NAME).is_some_and(|rest| rest.is_empty() || rest == ".tmp");
    is_store || name == MARKER_NAME || is_log_file(name)
}

/// Makes the marker, and removes what an earlier restore left.
fn begin(disk: &dyn Disk) -> Result<(), StateError> {
    let failed = |error| StateError::io(disk.place(), error);
    match disk.open(MARKER_NAME, Open::Create) {
        Ok(file) => file.sync_all().map_err(failed_sync).map_err(failed)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    disk.sync_directory().map_err(failed_sync).map_err(failed)?;
    for entry in disk.list().map_err(failed)? {
        if is_ours(&entry.name) && entry.name != MARKER_NAME {
            disk.remove(&entry.name).map_err(failed)?;
        }
    }
    disk.sync_directory().map_err(failed_sync).map_err(failed)
}

fn fill<R: Read>(
    disk: &Arc<dyn Disk>,
    snapshot: &mut SnapshotReader<R>,
    settings: &MasterSettings,
) -> Result<Restored, StateError> {
    let owner = snapshot.owner();
    let options = StoreOptions { cache_bytes: settings.store_cache_bytes, ..StoreOptions::default() };
    let store = EmbeddedStore::open(Arc::clone(disk), STORE_NAME, owner, options)?;
    take_to_store(snapshot, &store)?;
    let facts = Namespace::load(&*store.view()?)?.facts();
    let applied = Applied { index: facts.applied_index, term: facts.applied_term };
    if applied.index == 0 {
        return Err(StateError::damaged("the snapshot of the metadata state", "it says not which log entries it has"));
    }
    let log = LogOptions { restored: true, ..settings.log };
    let (log, _) = Log::open(Arc::clone(disk), owner, applied, &log)?;
    log.close()?;
    let SnapshotTotals { entries, bytes } = snapshot.totals();
    Ok(Restored {
        place: disk.place(),
        cluster: ClusterId(owner).to_string(),
        files: facts.files,
        directories: facts.directories,
        content_bytes: facts.bytes,
        entries,
        entry_bytes: bytes,
        applied_index: applied.index,
        applied_term: applied.term,
    })
}

/// Commits all of the stream, many batches of it at a time.
fn take_to_store<R: Read>(snapshot: &mut SnapshotReader<R>, store: &EmbeddedStore) -> Result<(), StateError> {
    let (mut gathered, mut bytes) = (Vec::new(), 0);
    while let Some(batch) = snapshot.batch()? {
        bytes += batch.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        gathered.extend(batch);
        if bytes >= COMMIT_BYTES {
            commit(store, &mut gathered)?;
            bytes = 0;
        }
    }
    commit(store, &mut gathered)
}

fn commit(store: &EmbeddedStore, gathered: &mut Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), StateError> {
    store.commit(&mut gathered.iter().map(|(key, value)| (&**key, Some(&**value))))?;
    gathered.clear();
    Ok(())
}

/// All is there: from now on a node takes it.
fn end(disk: &dyn Disk) -> Result<(), StateError> {
    let failed = |error| StateError::io(disk.place(), error);
    disk.sync_directory().map_err(failed_sync).map_err(failed)?;
    disk.remove(MARKER_NAME).map_err(failed)?;
    disk.sync_directory().map_err(failed_sync).map_err(failed)
}
