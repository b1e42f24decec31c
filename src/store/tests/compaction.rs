//! Goal: compaction brings room back and changes no answer, whatever is deleted meanwhile and wherever it is interrupted.
//! Method: random work against a model, compaction step by step between the groups, reopening from the files alone.

use super::world::*;
use crate::base::ids::ObjectId;
use crate::disk::{Disk, MemoryDisk};
use crate::store::{AppendError, Appended, CompactionStep, Entry, Opened, StoreOptions, inspect, verify};

const GARBAGE_PERCENT: u64 = 20;
const ROOM: u64 = 1 << 30;

/// One step, with what the io layer does about it; false when nothing is worth doing.
pub fn compact_once(opened: &mut Opened) -> bool {
    compact_with(opened, ROOM, false)
}

/// The same, with what a copy may take, and whether room is short; an obstacle fails the test.
pub fn compact_with(opened: &mut Opened, room: u64, tight: bool) -> bool {
    match opened.compaction.step(GARBAGE_PERCENT, room, tight) {
        CompactionStep::Rest => return false,
        CompactionStep::Worked(_) => {}
        CompactionStep::Publish(compacted) => {
            let published = opened.appender.publish_compacted(&compacted).expect("the manifest has room");
            opened.compaction.published(&compacted, published);
        }
        CompactionStep::Roll(volume) => opened.appender.roll(volume).expect("a segment can be closed"),
        CompactionStep::GaveUp(obstacle) => panic!("{obstacle}"),
    }
    true
}

pub fn compact_all(opened: &mut Opened) {
    for _ in 0..100_000 {
        if !compact_once(opened) {
            return;
        }
    }
    panic!("compaction does not end: {:?}", opened.compaction.report());
}

/// All that is worth doing on a disk whose room is short; a copy that ran out of room would be an obstacle.
pub fn compact_tight(opened: &mut Opened, disk: &MemoryDisk) {
    for _ in 0..100_000 {
        let room = disk.space().unwrap().free.saturating_sub(opened.reserve.missing_bytes());
        if !compact_with(opened, room + opened.reserve.compaction_bytes(), true) {
            return;
        }
    }
    panic!("compaction does not end: {:?}", opened.compaction.report());
}

fn segment_bytes(disk: &MemoryDisk) -> u64 {
    let entries = disk.list().unwrap();
    entries.iter().filter(|entry| entry.name.ends_with(".segment")).map(|entry| entry.bytes).sum()
}

fn options() -> StoreOptions {
    StoreOptions { volume_bytes: 4 << 20, ..small() }
}

/// After a clean stop, from the files alone.
fn reopened(mut opened: Opened, disk: &MemoryDisk) -> Opened {
    opened.compaction.stop();
    opened.appender.close().unwrap();
    drop((opened.superblock, opened.compaction));
    try_store(disk, &options()).unwrap()
}

fn delete_many(opened: &mut Opened, ids: &[ObjectId]) {
    let numbers = numbers(opened);
    for ids in ids.chunks(20) {
        let entries: Vec<_> = ids.iter().map(|&id| Entry::Delete { id }).collect();
        let outcomes = opened.appender.append(&entries, 1, true, &numbers).unwrap();
        assert!(outcomes.iter().all(|outcome| *outcome == Appended::Deleted { already: false }));
    }
}

fn expect(opened: &Opened, ids: &[ObjectId], is_dead: impl Fn(u64) -> bool) {
    let view = opened.catalog.view();
    for (id, n) in ids.iter().zip(0..) {
        assert!(read(&view, *id) == Ok((!is_dead(n)).then(|| object(n))), "object {n}, {id}");
    }
}

fn object(n: u64) -> Vec<u8> {
    content(n, 100 + (n as usize * 37) % 3000)
}

#[test]
fn room_comes_back_and_tombstones_go_with_their_targets() {
    let disk = MemoryDisk::new();
    let mut opened = try_store(&disk, &options()).unwrap();
    let ids: Vec<_> = (0..400).map(|n| store_one(&mut opened, &object(n), n, true)).collect();
    let full = segment_bytes(&disk);
    compact_all(&mut opened);
    assert_eq!(opened.compaction.report().copies, 0, "nothing is wasted, so nothing is done");

    let is_dead = |n: u64| !n.is_multiple_of(4);
    let dead: Vec<_> = ids.iter().copied().zip(0..).filter(|(_, n)| is_dead(*n)).map(|(id, _)| id).collect();
    delete_many(&mut opened, &dead);
    compact_all(&mut opened);
    expect(&opened, &ids, is_dead);
    let left = segment_bytes(&disk);
    assert!(left * 10 < full * 5, "{left} of {full} bytes are left: {:?}", opened.compaction.report());
    let stats = opened.catalog.stats();
    assert_eq!((stats.objects, stats.damaged), (100, 0));
    assert!(stats.tombstones < 150, "{stats:?}");

    let opened = reopened(opened, &disk);
    expect(&opened, &ids, is_dead);
    let again = opened.catalog.stats();
    assert_eq!(
        (again.objects, again.object_bytes, again.deleted, again.tombstones),
        (stats.objects, stats.object_bytes, stats.deleted, stats.tombstones)
    );
    assert!(opened.report.damages.is_empty() && opened.report.set_aside.is_empty(), "{:?}", opened.report);
    drop(opened);
    let mut told = (0, 0);
    let inspection = inspect(&disk, &mut |done, all| told = (done, all)).unwrap();
    assert!(told.0 == told.1 && told.1 > 0, "{told:?}");
    let segments = inspection.volumes.iter().flat_map(|volume| &volume.segments);
    let (living, dead) =
        segments.fold((0, 0), |(living, dead), one| (living + one.living_bytes, dead + one.dead_bytes));
    assert!(living > 0 && living <= stats.object_bytes, "{living} of {stats:?}");
    assert!(dead <= stats.deleted_bytes);
    let outcome = verify(&disk, &mut |_, _| ()).unwrap();
    assert!(outcome.damages.is_empty() && outcome.torn.is_empty(), "{outcome:?}");
}

#[test]
fn what_is_deleted_while_it_is_copied_is_deleted_in_the_copy() {
    let disk = MemoryDisk::new();
    let mut opened = try_store(&disk, &options()).unwrap();
    let ids: Vec<_> = (0..200).map(|n| store_one(&mut opened, &object(n), n, true)).collect();
    let first: Vec<_> = ids.iter().copied().step_by(2).collect();
    delete_many(&mut opened, &first);
    let compacted = loop {
        match opened.compaction.step(GARBAGE_PERCENT, ROOM, false) {
            CompactionStep::Publish(compacted) => break compacted,
            CompactionStep::Worked(_) => {}
            other => panic!("{other:?}"),
        }
    };
    // In what was copied: the first and the last that are still there.
    let (volume, range) = (compacted.segment.volume(), compacted.segment.base()..compacted.closed.next);
    let copied = |n: &usize| n % 2 == 1 && ids[*n].volume == volume && range.contains(&ids[*n].sequence);
    let copied: Vec<_> = (0..ids.len()).filter(copied).collect();
    let late = [copied[0], copied[copied.len() - 1]];
    delete_many(&mut opened, &[ids[late[0]]]);
    delete_many(&mut opened, &[ids[late[1]]]);
    assert!(opened.appender.publish_compacted(&compacted).unwrap());
    opened.compaction.published(&compacted, true);
    let is_dead = |n: u64| n.is_multiple_of(2) || late.contains(&(n as usize));
    expect(&opened, &ids, is_dead);
    compact_all(&mut opened);
    expect(&opened, &ids, is_dead);
    // The old segments are not what the copy was made of any more.
    assert!(!opened.appender.publish_compacted(&compacted).unwrap());
    expect(&reopened(opened, &disk), &ids, is_dead);
}

#[test]
fn a_reader_that_has_the_old_file_reads_on() {
    let disk = MemoryDisk::new();
    let mut opened = try_store(&disk, &options()).unwrap();
    let ids: Vec<_> = (0..200).map(|n| store_one(&mut opened, &object(n), n, true)).collect();
    let before = opened.catalog.view();
    let kept = ids[1];
    let place = match before.locate(kept.volume, kept.sequence) {
        crate::store::Located::Object(place) => place,
        other => panic!("{other:?}"),
    };
    let file = place.segment.file().unwrap();
    // Others push it out of the few files that stay open; the reader has it still.
    for id in &ids {
        read(&before, *id).unwrap();
    }
    delete_many(&mut opened, &ids.iter().copied().step_by(2).collect::<Vec<_>>());
    for _ in 0..10_000 {
        compact_once(&mut opened);
    }
    let mut bytes = vec![0; usize::try_from(place.bound - place.position).unwrap()];
    assert_eq!(file.read_at(&mut bytes, place.position).unwrap(), bytes.len(), "it is not cut under a reader");
    assert!(bytes.windows(8).any(|eight| eight == &object(1)[..8]));
    assert_eq!(place.segment.file().unwrap_err().kind(), std::io::ErrorKind::NotFound, "nobody opens it any more");
    assert!(opened.compaction.report().retiring > 0);
    drop(file);
    compact_all(&mut opened);
    assert_eq!(opened.compaction.report().retiring, 0);
    assert_eq!(read(&opened.catalog.view(), kept), Ok(Some(object(1))));
}

#[test]
fn a_needle_that_does_not_verify_keeps_its_segment_as_it_is() {
    let disk = MemoryDisk::new();
    let mut opened = try_store(&disk, &options()).unwrap();
    let ids: Vec<_> = (0..200).map(|n| store_one(&mut opened, &object(n), n, true)).collect();
    let (name, position) = place(&opened, ids[1]);
    flip(&disk, &name, position + 120, 1);
    delete_many(&mut opened, &ids.iter().copied().step_by(2).collect::<Vec<_>>());
    let mut met = false;
    for _ in 0..2000 {
        match opened.compaction.step(GARBAGE_PERCENT, ROOM, false) {
            CompactionStep::GaveUp(crate::store::Obstacle::Damaged { volume, sequence, .. }) => {
                assert_eq!((volume, sequence), (ids[1].volume, ids[1].sequence));
                met = true;
                break;
            }
            CompactionStep::Publish(compacted) => {
                let published = opened.appender.publish_compacted(&compacted).unwrap();
                opened.compaction.published(&compacted, published);
            }
            _ => {}
        }
    }
    assert!(met, "the damage is met");
    assert!(disk.list().unwrap().iter().any(|entry| entry.name == name), "its segment is still there");
    for (id, n) in ids.iter().zip(0..).filter(|(_, n)| n % 2 == 1 && *n != 1) {
        assert_eq!(read(&opened.catalog.view(), *id), Ok(Some(object(n))));
    }
}

/// Random groups, deletes, steps and reopenings; the model knows what must be there.
#[test]
fn random_work_with_compaction_agrees_with_a_model() {
    for seed in 0..30 {
        let mut dice = Dice(seed);
        let disk = MemoryDisk::new();
        let mut opened = try_store(&disk, &options()).unwrap();
        let mut shelf = Shelf::default();
        for turn in 0..600u64 {
            match dice.below(20) {
                0..8 => shelf.put(&mut opened, &mut dice, turn),
                8..13 => shelf.delete(&mut opened, &mut dice),
                13 => opened.appender.idle().unwrap(),
                14 if dice.once_in(4) => {
                    opened = reopened(opened, &disk);
                    assert!(opened.report.damages.is_empty() && opened.report.cuts.is_empty(), "seed {seed}");
                }
                _ => {
                    for _ in 0..dice.below(30) {
                        compact_once(&mut opened);
                    }
                }
            }
        }
        compact_all(&mut opened);
        let check = |opened: &Opened| {
            let view = opened.catalog.view();
            for (id, expected) in &shelf.model {
                assert_eq!(&read(&view, *id).unwrap(), expected, "seed {seed}: {id}");
            }
        };
        check(&opened);
        let stats = opened.catalog.stats();
        assert_eq!(stats.objects, shelf.model.values().flatten().count() as u64, "seed {seed}");
        drop(opened);
        let opened = try_store(&disk.crash_clean(), &options()).unwrap();
        check(&opened);
        assert_eq!(opened.catalog.stats().objects, stats.objects);
    }
}

#[test]
fn what_is_damaged_and_deleted_counts_for_no_bytes() {
    let disk = MemoryDisk::new();
    let mut opened = try_store(&disk, &options()).unwrap();
    let ids: Vec<_> = (0..20).map(|n| store_one(&mut opened, &object(n), n, true)).collect();
    opened.appender.damage(ids[0].volume, ids[0].sequence, 3).unwrap();
    delete_many(&mut opened, &ids[..3]);
    let stats = opened.catalog.stats();
    assert_eq!((stats.deleted, stats.deleted_bytes, stats.damaged), (3, 0, 3));
    delete_many(&mut opened, &ids[3..4]);
    assert!(opened.catalog.stats().deleted_bytes >= object(3).len() as u64);
}

#[test]
fn a_full_disk_gets_its_room_back() {
    let disk = MemoryDisk::with_capacity(10 << 20);
    let options = StoreOptions { reserve_bytes: Some(6 << 20), ..options() };
    let mut opened = try_store(&disk, &options).unwrap();
    let numbers = numbers(&opened);
    let mut ids = Vec::new();
    let fill = |opened: &mut Opened, ids: &mut Vec<ObjectId>| loop {
        let n = ids.len() as u64;
        match opened.appender.append(&[put(&object(n), n)], 1, true, &numbers) {
            Ok(outcomes) => match outcomes[..] {
                [Appended::Stored(id)] => ids.push(id),
                ref other => panic!("{other:?}"),
            },
            Err(AppendError::Full { .. }) => return,
            Err(error) => panic!("{error}"),
        }
    };
    fill(&mut opened, &mut ids);
    let full = ids.len();
    assert!(full > 300, "{full} objects fit");
    let dead: Vec<_> = ids.iter().copied().step_by(2).collect();
    delete_many(&mut opened, &dead);
    assert!(!opened.appender.takes_objects());
    compact_tight(&mut opened, &disk);
    assert!(opened.appender.look_for_room().unwrap(), "{:?}", opened.compaction.report());
    expect(&opened, &ids, |n| n.is_multiple_of(2));
    fill(&mut opened, &mut ids);
    assert!(ids.len() > full + full / 3, "{} objects after {full}", ids.len());
    expect(&opened, &ids, |n| n.is_multiple_of(2) && n < full as u64);
}
