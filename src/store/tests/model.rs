//! Goal: a store holds exactly what a map holds. Method: random groups, deletes, rests, clean stops and kills on the
//! disk in memory, with segments and volumes so small that they roll all the time; after each, every object is read.

use super::world::*;
use crate::base::ids::ObjectId;
use crate::disk::MemoryDisk;
use crate::store::{Appended, Entry, Located, Opened, verify};
use std::collections::HashMap;

type Model = HashMap<ObjectId, Option<Vec<u8>>>;

fn check(opened: &Opened, model: &Model) {
    let view = opened.catalog.view();
    for (id, expected) in model {
        assert_eq!(read(&view, *id), Ok(expected.clone()), "{id}");
    }
    let living = model.values().filter(|content| content.is_some()).count() as u64;
    assert_eq!(opened.catalog.stats().objects, living);
}

fn group(opened: &mut Opened, dice: &mut Dice, model: &mut Model) {
    let numbers = numbers(opened);
    let mut entries = Vec::new();
    for _ in 0..=dice.below(6) {
        let mut ids: Vec<ObjectId> = model.keys().copied().collect();
        // A map has its own order in each process; the seed alone must decide.
        ids.sort_by_key(|id| (id.volume, id.sequence));
        let victim = ids.get(dice.below(ids.len() as u64 + 1) as usize).copied();
        match victim {
            Some(id) if dice.once_in(3) => entries.push(Entry::Delete { id }),
            _ => {
                let bytes = [0, 1, 100, 700, 8000][dice.below(5) as usize];
                let cookie = dice.below(u64::MAX);
                entries.push(put(&content(cookie, bytes), cookie));
            }
        }
    }
    let outcomes = opened.appender.append(&entries, 5, !dice.once_in(4), &numbers).unwrap();
    assert_eq!(outcomes.len(), entries.len());
    for (entry, outcome) in entries.iter().zip(outcomes) {
        match (entry, outcome) {
            (Entry::Put { payload, .. }, Appended::Stored(id)) => {
                opened.superblock.raise(id.volume).unwrap();
                assert!(model.insert(id, Some(payload.bytes.to_vec())).is_none(), "{id} was given out twice");
            }
            (Entry::Delete { id }, Appended::Deleted { already }) => {
                let before = model.insert(*id, None).unwrap();
                assert_eq!(already, before.is_none(), "{id}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_store_is_a_map() {
    let mut volumes_most = 0;
    for seed in 0..25 {
        println!("seed {seed}");
        let mut dice = Dice(seed);
        let mut disk = MemoryDisk::new();
        let mut opened = store(&disk);
        let mut model = Model::new();
        for _ in 0..60 {
            match dice.below(12) {
                0 => opened.appender.idle().unwrap(),
                1 => opened.appender.sync().unwrap(),
                2 => {
                    opened.appender.close().unwrap();
                    drop(opened.superblock);
                    opened = store(&disk);
                    assert!(opened.report.clean && opened.report.cuts.is_empty());
                }
                3 => {
                    // The process dies, the machine lives: even what was not synced is still there.
                    disk = disk.kill();
                    opened = store(&disk);
                    assert!(opened.report.cuts.is_empty() && opened.report.damages.is_empty());
                }
                _ => group(&mut opened, &mut dice, &mut model),
            }
            assert_eq!(opened.report.chain_breaks, 0);
            check(&opened, &model);
        }
        volumes_most = volumes_most.max(opened.catalog.stats().volumes);
        drop(opened);
        let verification = verify(&disk.kill(), &mut |_, _| ()).unwrap();
        assert!(verification.damages.is_empty() && verification.torn.is_empty(), "{verification:?}");
    }
    assert!(volumes_most > 2, "volumes never rolled");
}

#[test]
fn one_group_deletes_an_object_once() {
    let disk = MemoryDisk::new();
    let mut opened = store(&disk);
    let id = store_one(&mut opened, b"once", 1, true);
    let numbers = numbers(&opened);
    let twice = [Entry::Delete { id }, Entry::Delete { id }];
    let outcomes = opened.appender.append(&twice, 1, true, &numbers).unwrap();
    assert_eq!(outcomes, [Appended::Deleted { already: false }, Appended::Deleted { already: true }]);
    assert_eq!(opened.catalog.stats().tombstones, 1);
    let unknown = ObjectId { sequence: id.sequence.plus(1), ..id };
    let outcomes = opened.appender.append(&[Entry::Delete { id: unknown }], 1, true, &numbers).unwrap();
    assert_eq!(outcomes, [Appended::NotFound], "a tombstone is no object");
}

#[test]
fn a_view_taken_before_sees_what_is_appended_after() {
    let disk = MemoryDisk::new();
    let mut opened = store(&disk);
    let first = store_one(&mut opened, b"first", 1, true);
    let (view, version) = (opened.catalog.view(), opened.catalog.version());
    let second = store_one(&mut opened, b"second", 2, true);
    assert_eq!(version, opened.catalog.version(), "the same segment, the same view");
    assert_eq!(read(&view, second), Ok(Some(b"second".to_vec())));
    delete(&mut opened, first).unwrap();
    assert!(matches!(view.locate(first.volume, first.sequence), Located::Deleted(_)));
    assert!(matches!(view.locate(first.volume, second.sequence.plus(2)), Located::Absent));
}

#[test]
fn handles_are_bounded_and_reopened() {
    let disk = MemoryDisk::new();
    let mut opened = store(&disk);
    let ids: Vec<_> = (0..80).map(|n| store_one(&mut opened, &content(n, 6000), n, true)).collect();
    let view = opened.catalog.view();
    for round in 0..2 {
        for (n, id) in ids.iter().enumerate() {
            assert_eq!(read(&view, *id), Ok(Some(content(n as u64, 6000))), "round {round}");
        }
    }
    let open = view.volumes().flat_map(|volume| view.segments(volume)).filter(|segment| segment.open_file().is_some());
    // Three of the closed ones, and the one that is written.
    assert!(open.count() <= small().open_files_max + 1);
}
