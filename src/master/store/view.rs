//! One commit as it was, for as long as somebody looks at it.
//!
//! Any thread that may wait. Always: no read shows another commit than the one the view was taken of.

use super::blocks::Blocks;
use super::commit::{ReadTable, guarded};
use super::embedded::Shared;
use super::trouble::Trouble;
use crate::master::StateError;
use crate::master::table::{StateView, Table, Visit};
use bytes::Bytes;
use parking_lot::RwLock;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

/// A read transaction of redb.
pub struct Snapshot {
    pub(super) table: ReadTable,
    pub(super) blocks: Arc<Blocks>,
}

/// A view of the store.
#[derive(Debug)]
pub struct View {
    store: Arc<Shared>,
    snapshot: RwLock<Arc<Snapshot>>,
    /// The commit that it is of, counted from the opening of the store.
    count: u64,
}

impl View {
    pub(super) fn new(store: Arc<Shared>, snapshot: Snapshot, count: u64) -> Self {
        Self { store, snapshot: RwLock::new(Arc::new(snapshot)), count }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Goes on with another snapshot of the same commit.
    pub(super) fn replace(&self, snapshot: Snapshot) {
        *self.snapshot.write() = Arc::new(snapshot);
    }

    /// Reads; once more where a commit found no room meanwhile and the file was opened anew.
    fn read<T>(&self, mut read: impl FnMut(&Snapshot) -> Result<T, Trouble>) -> Result<T, StateError> {
        let snapshot = Arc::clone(&self.snapshot.read());
        let outcome = match read(&snapshot) {
            Err(Trouble::Full { .. }) => {
                self.store.settle();
                let snapshot = Arc::clone(&self.snapshot.read());
                read(&snapshot)
            }
            outcome => outcome,
        };
        outcome.map_err(|trouble| self.store.refuse(trouble).into())
    }
}

impl Table for Arc<View> {
    fn value(&self, key: &[u8]) -> Result<Option<Bytes>, StateError> {
        self.read(|snapshot| {
            guarded(&snapshot.blocks, || {
                let value = snapshot.table.get(key)?;
                Ok(value.map(|value| Bytes::copy_from_slice(value.value())))
            })
        })
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StateError> {
        if from >= to {
            return Ok(());
        }
        // Where to go on if the file is opened anew: behind what was shown.
        let mut shown: Option<Vec<u8>> = None;
        self.read(|snapshot| {
            let begin = shown.take().unwrap_or_else(|| from.to_vec());
            let mut last = Vec::new();
            let outcome = guarded(&snapshot.blocks, || {
                for entry in snapshot.table.range(begin.as_slice()..to)? {
                    let (key, value) = entry?;
                    last.clear();
                    last.extend_from_slice(key.value());
                    if visit(key.value(), value.value()) == ControlFlow::Break(()) {
                        break;
                    }
                }
                Ok(())
            });
            if last.is_empty() {
                last = begin;
            } else {
                last.push(0);
            }
            shown = Some(last);
            outcome
        })
    }
}

impl StateView for Arc<View> {}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("blocks", &self.blocks).finish_non_exhaustive()
    }
}
