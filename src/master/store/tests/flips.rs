//! Goal: a turned bit anywhere in the file gives the right answer or an error, never a wrong value, a missing name or a
//! panic that gets out. Method: seeded bits over the file, one at a time; then two in one place of the head.
//! For many: `LARDER_FLIPS=20000 cargo test --release --lib master::store::tests::flips`

use super::world::*;
use crate::disk::{Disk, MemoryDisk, Open};
use crate::master::StateError;
use crate::master::table::StateStore;
use std::io::IoSlice;

const FLIPS: u64 = 200;

fn filled() -> (MemoryDisk, Map) {
    let (disk, mut map, mut dice) = (MemoryDisk::new(), Map::new(), Dice(1));
    let store = open(&disk).unwrap();
    for _ in 0..6 {
        let changes = changes(&mut dice, 150);
        commit(&store, &changes).unwrap();
        apply(&mut map, &changes);
    }
    (disk.kill(), map)
}

pub fn turn(disk: &MemoryDisk, offset: u64, mask: u8) {
    let file = disk.open(NAME, Open::Write).unwrap();
    let mut byte = [0];
    file.read_at(&mut byte, offset).unwrap();
    file.write_all_at(&mut [IoSlice::new(&[byte[0] ^ mask])], offset).unwrap();
    file.sync_data().unwrap();
}

/// Whether the damage was noticed.
fn is_noticed(disk: &MemoryDisk, map: &Map, case: &str) -> bool {
    let read = || {
        let store = open(disk)?;
        let view = store.view()?;
        for (key, value) in map.iter().step_by(7) {
            assert_eq!(view.value(key)?.as_deref(), Some(value.as_slice()), "{case}: a wrong value");
        }
        content(&*view)
    };
    match read() {
        Ok(found) => {
            assert!(found == *map, "{case}: a wrong value, or a name is missing");
            false
        }
        Err(StateError::Damaged { .. }) => true,
        Err(error) => panic!("{case}: {error}"),
    }
}

#[test]
fn a_turned_bit_is_never_a_wrong_value() {
    let flips = std::env::var("LARDER_FLIPS").map_or(FLIPS, |flips| flips.parse().unwrap());
    let (disk, map) = filled();
    let bytes = disk.open(NAME, Open::Read).unwrap().len().unwrap();
    let (mut dice, mut noticed) = (Dice(2), 0);
    for _ in 0..flips {
        let (offset, bit) = (dice.below(bytes), dice.below(8));
        let damaged = disk.kill();
        turn(&damaged, offset, 1 << bit);
        let is_noticed = is_noticed(&damaged, &map, &format!("bit {bit} of byte {offset}"));
        assert!(offset >= 4 * 4096 || !is_noticed, "the head has a second copy: byte {offset}");
        noticed += u64::from(is_noticed);
    }
    println!("{noticed} of {flips} noticed");
    assert!(noticed > flips / 20, "most of the file is in use: {noticed}");
}

#[test]
fn rot_in_a_copy_of_the_head_loses_no_commit() {
    let (disk, map) = filled();
    for slot in 0..4 {
        for at in [0, 9, 17, 30, 40, 60, 100, 300] {
            let damaged = disk.kill();
            turn(&damaged, slot * 4096 + at, 0xff);
            assert!(!is_noticed(&damaged, &map, &format!("slot {slot} byte {at}")));
        }
    }
}

#[test]
fn damage_refuses_for_good() {
    let (disk, map) = filled();
    let bytes = disk.open(NAME, Open::Read).unwrap().len().unwrap();
    let store = open(&disk).unwrap();
    let view = store.view().unwrap();
    // All but the head and the first checksums. What redb holds in memory is a part of it.
    for at in (5 * 4096..bytes).step_by(64) {
        turn(&disk, at, 0xff);
    }
    let read = map.keys().try_for_each(|key| view.value(key).map(drop));
    assert!(matches!(read, Err(StateError::Damaged { .. })));
    assert!(matches!(content(&*view), Err(StateError::Damaged { .. })));
    assert!(matches!(commit(&store, &changes(&mut Dice(1), 5)), Err(StateError::Damaged { .. })));
    assert!(matches!(store.view().map(drop), Err(StateError::Damaged { .. })));
}
