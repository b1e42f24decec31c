//! What the tests of the store share: batches drawn from a seed, and what the table must then hold.

use crate::disk::Disk;
use crate::master::StateError;
use crate::master::store::{EmbeddedStore, StoreOptions};
use crate::master::table::{StateStore, Table};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

pub const NAME: &str = "state";
pub const OWNER: u128 = 0x1234_5678_9abc;

pub type Map = BTreeMap<Vec<u8>, Vec<u8>>;
pub type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// SplitMix64.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// So little memory that a commit of some pages writes a part of them early.
pub fn small() -> StoreOptions {
    StoreOptions { cache_bytes: 96 << 10, free_bytes_min: 0 }
}

pub fn open(disk: &(impl Disk + Clone + 'static)) -> Result<EmbeddedStore, StateError> {
    open_on(Arc::new(disk.clone()))
}

pub fn open_on(disk: Arc<dyn Disk>) -> Result<EmbeddedStore, StateError> {
    EmbeddedStore::open(disk, NAME, OWNER, small())
}

/// Up to so many changes, of keys that come again; some values are larger than a page.
pub fn changes(dice: &mut Dice, most: u64) -> Changes {
    let mut changes = Changes::new();
    for _ in 0..=dice.below(most) {
        let key = format!("{:04}-{}", dice.below(2000), "k".repeat(dice.below(20) as usize));
        let bytes = [0, 20, 75, 75, 75, 300, 6000][dice.below(7) as usize];
        let value = (dice.below(4) > 0).then(|| (0..bytes).map(|_| dice.below(256) as u8).collect());
        changes.insert(key.into_bytes(), value);
    }
    changes
}

pub fn commit(store: &impl StateStore, changes: &Changes) -> Result<(), StateError> {
    store.commit(&mut changes.iter().map(|(key, value)| (key.as_slice(), value.as_deref())))
}

pub fn apply(map: &mut Map, changes: &Changes) {
    for (key, value) in changes {
        match value {
            Some(value) => drop(map.insert(key.clone(), value.clone())),
            None => drop(map.remove(key)),
        }
    }
}

/// All that a table shows.
pub fn content(table: &(impl Table + ?Sized)) -> Result<Map, StateError> {
    let mut map = Map::new();
    table.scan(b"", &[0xff; 4], &mut |key, value| {
        assert!(map.last_key_value().is_none_or(|(last, _)| last.as_slice() < key), "keys ascend");
        map.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    })?;
    Ok(map)
}
