//! Goal: groups that touch more volumes than may be open at once lose nothing. Method: a volume takes two objects, so
//! some hundred objects are some hundred volumes; deletes open segments of the sealed ones again.

use super::world::*;
use crate::base::ids::ObjectId;
use crate::disk::MemoryDisk;
use crate::store::mark::OPEN_TAILS_MAX;
use crate::store::{Appended, Entry, Opened, StoreOptions, verify};

/// Room for one large object, or for some small ones, and for many tombstones.
fn narrow() -> StoreOptions {
    StoreOptions { segment_bytes: 48 << 10, volume_bytes: 48 << 10, fill_ahead_bytes: 0, ..small() }
}

fn object(n: u64) -> Vec<u8> {
    content(n, 20_000)
}

/// Two objects in each of so many volumes.
fn many(disk: &MemoryDisk, volumes: u64) -> (Opened, Vec<ObjectId>) {
    let mut opened = try_store(disk, &narrow()).unwrap();
    let ids: Vec<_> = (0..2 * volumes).map(|n| store_one(&mut opened, &object(n), n, true)).collect();
    assert!(ids.chunks(2).all(|pair| pair[0].volume == pair[1].volume));
    assert!(ids.windows(3).all(|three| three[0].volume != three[2].volume));
    (opened, ids)
}

fn delete_all(opened: &mut Opened, ids: &[ObjectId]) {
    let numbers = numbers(opened);
    let entries: Vec<_> = ids.iter().map(|&id| Entry::Delete { id }).collect();
    let outcomes = opened.appender.append(&entries, 1, true, &numbers).unwrap();
    assert!(outcomes.iter().all(|outcome| *outcome == Appended::Deleted { already: false }), "{outcomes:?}");
}

fn expect(opened: &Opened, ids: &[ObjectId], dead: &[ObjectId]) {
    for (id, n) in ids.iter().zip(0..) {
        let expected = (!dead.contains(id)).then(|| object(n));
        assert!(read(&opened.catalog.view(), *id) == Ok(expected), "object {n}");
    }
}

fn after_a_power_cut(disk: &MemoryDisk, ids: &[ObjectId], dead: &[ObjectId]) {
    let disk = disk.crash_clean();
    let mut opened = try_store(&disk, &narrow()).unwrap();
    let report = &opened.report;
    assert!(report.damages.is_empty() && report.cuts.is_empty() && report.chain_breaks == 0, "{report:?}");
    expect(&opened, ids, dead);
    opened.appender.idle().unwrap();
    opened.appender.close().unwrap();
    drop((opened.superblock, opened.catalog));
    let verification = verify(&disk, &mut |_, _| ()).unwrap();
    assert!(verification.damages.is_empty() && verification.torn.is_empty(), "{verification:?}");
}

#[test]
fn a_segment_that_the_group_was_written_to_is_not_rested_under_it() {
    let disk = MemoryDisk::new();
    let (mut opened, ids) = many(&disk, OPEN_TAILS_MAX as u64 + 4);
    let firsts: Vec<_> = ids.iter().step_by(2).copied().collect();
    // All places are taken: by these, of which the first rested longest, and by the volume that takes objects.
    delete_all(&mut opened, &firsts[..OPEN_TAILS_MAX - 1]);
    let mut dead = firsts[..OPEN_TAILS_MAX - 1].to_vec();
    // One group for that first one, and for a volume that needs a place.
    let group = [ids[1], firsts[OPEN_TAILS_MAX + 1]];
    delete_all(&mut opened, &group);
    dead.extend(group);
    expect(&opened, &ids, &dead);
    drop(opened);
    after_a_power_cut(&disk, &ids, &dead);
}

#[test]
fn one_group_may_touch_more_volumes_than_may_be_open() {
    let disk = MemoryDisk::new();
    let (mut opened, ids) = many(&disk, OPEN_TAILS_MAX as u64 + 100);
    let mut dead: Vec<_> = ids.iter().step_by(2).copied().collect();
    delete_all(&mut opened, &dead);
    expect(&opened, &ids, &dead);
    opened.appender.idle().unwrap();
    delete_all(&mut opened, &ids[1..2]);
    dead.push(ids[1]);
    expect(&opened, &ids, &dead);
    drop(opened);
    after_a_power_cut(&disk, &ids, &dead);
}
