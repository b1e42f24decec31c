//! Goal: a commit that finds no room is answered as full and changes nothing, reads go on, also by views from before, and
//! with room again commits go on. Method: a disk whose room is less than a commit takes, by more and more.

use super::world::*;
use crate::disk::{Disk, MemoryDisk};
use crate::master::StateError;
use crate::master::store::{EmbeddedStore, StoreOptions};
use crate::master::table::StateStore;
use std::sync::Arc;

#[test]
fn a_full_disk_is_an_answer() {
    let mut seen = 0;
    for room in (0..40).map(|blocks| blocks * 4096 * 3) {
        let disk = MemoryDisk::new();
        let (mut dice, mut map) = (Dice(room), Map::new());
        let store = open(&disk).unwrap();
        for _ in 0..3 {
            let changes = changes(&mut dice, 300);
            commit(&store, &changes).unwrap();
            apply(&mut map, &changes);
        }
        let (view, used) = (store.view().unwrap(), store.bytes());
        let space = disk.space().unwrap();
        disk.set_capacity(space.total - space.free + room);
        let more = changes(&mut dice, 600);
        match commit(&store, &more) {
            Err(StateError::Full { .. }) => seen += 1,
            Ok(()) => continue,
            Err(error) => panic!("{room}: {error}"),
        }
        assert_eq!(store.bytes(), used, "what it took is given back");
        assert!(content(&*view).unwrap() == map, "a view from before goes on");
        assert!(content(&*store.view().unwrap()).unwrap() == map);
        assert!(matches!(commit(&store, &more), Err(StateError::Full { .. })));
        disk.set_capacity(1 << 40);
        commit(&store, &more).unwrap();
        assert!(content(&*view).unwrap() == map, "and is not moved by what comes after");
        apply(&mut map, &more);
        assert!(content(&*store.view().unwrap()).unwrap() == map);
        drop((store, view));
        assert!(content(&*open(&disk.crash_clean()).unwrap().view().unwrap()).unwrap() == map);
    }
    assert!(seen > 5, "{seen}");
}

#[test]
fn a_nearly_full_disk_is_not_tried() {
    let disk = MemoryDisk::with_capacity(1 << 20);
    let options = StoreOptions { free_bytes_min: 2 << 20, ..small() };
    let store = EmbeddedStore::open(Arc::new(disk.clone()), NAME, OWNER, options).unwrap();
    let changes = changes(&mut Dice(1), 9);
    assert!(matches!(commit(&store, &changes), Err(StateError::Full { .. })));
    disk.set_capacity(4 << 20);
    commit(&store, &changes).unwrap();
}
