//! Goal: a file that is not this store's is refused with a message that says why, and is not touched.

use super::flips::turn;
use super::world::*;
use crate::disk::{Disk, MemoryDisk, Open};
use crate::master::StateError;
use crate::master::store::header::{MAGIC, VERSION};
use crate::master::store::{BLOCK_BYTES, EmbeddedStore};
use crate::master::table::StateStore;
use std::io::IoSlice;
use std::sync::Arc;

fn refusal(disk: &MemoryDisk, owner: u128) -> String {
    match EmbeddedStore::open(Arc::new(disk.clone()), NAME, owner, small()) {
        Err(error @ StateError::Damaged { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_masters_file_is_refused() {
    let disk = MemoryDisk::new();
    commit(&open(&disk).unwrap(), &changes(&mut Dice(1), 9)).unwrap();
    assert!(refusal(&disk, OWNER + 1).contains("belongs to"));
    open(&disk).unwrap();
}

#[test]
fn a_newer_file_is_refused() {
    let disk = MemoryDisk::new();
    drop(open(&disk).unwrap());
    let file = disk.open(NAME, Open::Write).unwrap();
    for slot in 0..4 {
        let mut bytes = crate::journal::encode_slot(MAGIC, VERSION + 1, 99, slot, b"who knows");
        bytes.resize(BLOCK_BYTES, 0);
        file.write_all_at(&mut [IoSlice::new(&bytes)], slot * BLOCK_BYTES as u64).unwrap();
    }
    assert!(refusal(&disk, OWNER).contains("use a newer one"));
}

#[test]
fn what_is_no_store_is_refused() {
    for bytes in [&b""[..], &[0; 100], &[7; 30_000]] {
        let disk = MemoryDisk::new();
        disk.open(NAME, Open::Create).unwrap().write_all_at(&mut [IoSlice::new(bytes)], 0).unwrap();
        assert!(refusal(&disk, OWNER).contains("no state store"));
        assert_eq!(disk.open(NAME, Open::Read).unwrap().len().unwrap(), bytes.len() as u64);
    }
}

#[test]
fn a_store_that_was_not_made_whole_is_made_again() {
    let disk = MemoryDisk::new();
    disk.open("state.tmp", Open::Create).unwrap().write_all_at(&mut [IoSlice::new(b"half")], 0).unwrap();
    let store = open(&disk).unwrap();
    assert!(content(&*store.view().unwrap()).unwrap().is_empty());
    assert_eq!(disk.list().unwrap().len(), 1);
}

#[test]
fn a_file_cut_short_is_damaged() {
    let disk = MemoryDisk::new();
    let store = open(&disk).unwrap();
    commit(&store, &changes(&mut Dice(1), 500)).unwrap();
    let bytes = store.bytes();
    drop(store);
    turn(&disk, bytes - 1, 0);
    disk.open(NAME, Open::Write).unwrap().set_len(6 * 4096).unwrap();
    let read = open(&disk).and_then(|store| content(&*store.view()?));
    assert!(matches!(read, Err(StateError::Damaged { .. })), "{read:?}");
}
