//! The layers with the hot names in front: what the metadata readers resolve paths through.
//!
//! Reader threads. Always: a name comes into the cache with the publication that was current before it was read, so one that
//! was changed meanwhile does not stay (see `hot`). Only names that are there are kept.

use crate::master::StateError;
use crate::master::hot::{HotNames, Weight};
use crate::master::layers::Layers;
use crate::master::namespace::parts_of_name_key;
use crate::master::table::{Table, Visit};
use bytes::Bytes;

/// What the cache keeps of a name: its entry as it is stored.
pub(super) type HotName = Bytes;

impl Weight for Bytes {
    fn bytes(&self) -> usize {
        self.len()
    }
}

pub(super) struct Cached<'a> {
    pub(super) layers: &'a Layers,
    pub(super) hot: &'a HotNames<HotName>,
}

impl Table for Cached<'_> {
    fn value(&self, key: &[u8]) -> Result<Option<Bytes>, StateError> {
        let Some((directory, name)) = parts_of_name_key(key) else {
            return self.layers.value(key);
        };
        if let Some(value) = self.hot.get(directory, name) {
            return Ok(Some(value));
        }
        let published = self.layers.published();
        let value = self.layers.value(key)?;
        if let Some(value) = &value {
            // A copy of its own: what the store gave may hold a page.
            self.hot.insert(directory, name, Bytes::copy_from_slice(value), published);
        }
        Ok(value)
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StateError> {
        self.layers.scan(from, to, visit)
    }
}
