//! A store in memory, durable for as long as it lives: for tests of what lies above a store.
//!
//! Any thread. A view is a copy that the next commit leaves alone.

use crate::master::StateError;
use crate::master::table::{StateStore, StateView, Table, Visit};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

type Map = BTreeMap<Vec<u8>, Bytes>;

/// A store in memory; clones are the same store.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    map: Arc<Mutex<Arc<Map>>>,
}

/// What a store in memory held at one time.
#[derive(Debug)]
struct MemoryView(Arc<Map>);

impl MemoryStore {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl StateStore for MemoryStore {
    fn view(&self) -> Result<Box<dyn StateView>, StateError> {
        Ok(Box::new(MemoryView(Arc::clone(&self.map.lock()))))
    }

    fn commit(&self, changes: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>)>) -> Result<(), StateError> {
        let mut map = self.map.lock();
        let map = Arc::make_mut(&mut map);
        for (key, value) in changes {
            match value {
                Some(value) => drop(map.insert(key.to_vec(), Bytes::copy_from_slice(value))),
                None => drop(map.remove(key)),
            }
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.map.lock().iter().map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }
}

impl Table for MemoryView {
    fn value(&self, key: &[u8]) -> Result<Option<Bytes>, StateError> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StateError> {
        if from < to {
            let range = self.0.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
            let _ = range.into_iter().try_for_each(|(key, value)| visit(key, value));
        }
        Ok(())
    }
}

impl StateView for MemoryView {}
