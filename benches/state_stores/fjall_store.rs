//! fjall 3 behind the same trait. It opens its files by itself, so no simulated disk fits under it.

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot};
use larder::master::StateError;
use larder::master::table::{StateStore, StateView, Table, Visit};
use std::ops::ControlFlow;
use std::path::Path;

/// How a batch is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A batch through the journal and the memtable.
    Batch,
    /// Straight into a sorted table.
    Ingest,
}

pub struct FjallStore {
    database: Database,
    keyspace: Keyspace,
    way: Way,
}

struct FjallView {
    snapshot: Snapshot,
    keyspace: Keyspace,
}

fn failed(error: fjall::Error) -> StateError {
    StateError::damaged("fjall", format!("{error}: {error:?}"))
}

impl FjallStore {
    pub fn open(path: &Path, cache_bytes: usize, way: Way) -> Result<Self, StateError> {
        let builder = Database::builder(path).cache_size(cache_bytes as u64);
        let database = builder.open().map_err(failed)?;
        let keyspace = database.keyspace("state", KeyspaceCreateOptions::default).map_err(failed)?;
        Ok(Self { database, keyspace, way })
    }

    pub fn settle(&self) {
        while self.database.active_compactions() > 0 || self.database.outstanding_flushes() > 0 {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

impl StateStore for FjallStore {
    fn view(&self) -> Result<Box<dyn StateView>, StateError> {
        Ok(Box::new(FjallView { snapshot: self.database.snapshot(), keyspace: self.keyspace.clone() }))
    }

    fn commit(&self, changes: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>)>) -> Result<(), StateError> {
        if self.way == Way::Ingest {
            let mut ingestion = self.keyspace.start_ingestion().map_err(failed)?;
            for (key, value) in changes {
                match value {
                    Some(value) => ingestion.write(key, value).map_err(failed)?,
                    None => ingestion.write_tombstone(key).map_err(failed)?,
                }
            }
            return ingestion.finish().map_err(failed);
        }
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(&self.keyspace, key, value),
                None => batch.remove(&self.keyspace, key),
            }
        }
        batch.commit().map_err(failed)
    }

    fn bytes(&self) -> u64 {
        self.database.disk_space().unwrap_or(0)
    }
}

impl Table for FjallView {
    fn value(&self, key: &[u8]) -> Result<Option<Bytes>, StateError> {
        let value = self.snapshot.get(&self.keyspace, key).map_err(failed)?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StateError> {
        for guard in self.snapshot.range(&self.keyspace, from..to) {
            let (key, value) = guard.into_inner().map_err(failed)?;
            if visit(&key, &value) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

impl StateView for FjallView {}

impl std::fmt::Debug for FjallStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FjallStore")
    }
}

/// Writes what is in memory to tables.
pub fn write_tables(path: &Path) {
    let store = FjallStore::open(path, 16 << 20, Way::Batch).unwrap();
    store.keyspace.rotate_memtable_and_wait().unwrap();
    store.settle();
}
