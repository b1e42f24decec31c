//! Goal: a full disk is a state and never a failure: deletes go on to the last object, or until compaction has made room for
//! more of them, objects wait until the reserve is whole again. Method: disks with a bound on their room, and ENOSPC at each of the writes that a full disk could refuse.

use super::compaction::compact_tight;
use super::world::*;
use crate::base::clock::ManualClock;
use crate::base::ids::ObjectId;
use crate::disk::{Call, Disk, Fault, FaultPlan, Faults, FaultyDisk, MemoryDisk};
use crate::store::{AppendError, Appended, Entry, Opened, StoreOptions, open};
use std::sync::Arc;

const ENOSPC: i32 = 28;
const EDQUOT: i32 = 122;

fn is_full<T>(outcome: Result<T, AppendError>) -> bool {
    matches!(outcome, Err(AppendError::Full { .. }))
}

/// Objects of 3,000 bytes until one finds no room.
fn fill(opened: &mut Opened) -> Vec<ObjectId> {
    let numbers = numbers(opened);
    let mut ids: Vec<ObjectId> = Vec::new();
    loop {
        if let Some(id) = ids.last() {
            opened.superblock.raise(id.volume).unwrap();
        }
        let cookie = ids.len() as u64;
        match opened.appender.append(&[put(&content(cookie, 3000), cookie)], 1, true, &numbers) {
            Ok(outcomes) => ids.extend(outcomes.into_iter().map(|outcome| match outcome {
                Appended::Stored(id) => id,
                other => panic!("a put became {other:?}"),
            })),
            Err(AppendError::Full { .. }) => return ids,
            Err(error) => panic!("{error}"),
        }
    }
}

fn refuses_a_put(opened: &mut Opened) -> bool {
    let numbers = numbers(opened);
    is_full(opened.appender.append(&[put(b"tiny", 1)], 1, true, &numbers))
}

fn faulty(options: &StoreOptions) -> (MemoryDisk, Arc<Faults>, Opened) {
    let disk = MemoryDisk::new();
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), FaultPlan::default());
    let faults = faulty.faults();
    let opened = open(Arc::new(faulty), Some(IDENTITY), options, Arc::new(ManualClock::default())).unwrap();
    (disk, faults, opened)
}

#[test]
fn deletes_go_on_to_the_last_object_and_puts_wait_for_the_reserve() {
    // Over many volumes, all but one of them sealed: each delete may need a segment of its own.
    let disk = MemoryDisk::with_capacity(4 << 20);
    let options = StoreOptions { reserve_bytes: Some(2 << 20), ..small() };
    let mut opened = try_store(&disk, &options).unwrap();
    let ids = fill(&mut opened);
    assert!(ids.len() > 200, "{}", ids.len());
    assert!(!opened.appender.takes_objects() && opened.reserve.is_whole());
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(read(&opened.catalog.view(), *id), Ok(Some(content(n as u64, 3000))));
        assert_eq!(delete(&mut opened, *id).unwrap(), Appended::Deleted { already: false }, "object {n}");
        assert!(refuses_a_put(&mut opened), "room for deletes is not room for objects");
    }
    assert!(!opened.reserve.is_whole(), "the deletes took from it");
    assert!(!opened.appender.look_for_room().unwrap());
    assert!(refuses_a_put(&mut opened));

    // Room for most of the reserve, and for no object.
    let held = (4 << 20) - disk.space().unwrap().free;
    disk.set_capacity(held + opened.reserve.missing_bytes() - 4096);
    assert!(!opened.appender.look_for_room().unwrap());
    disk.set_capacity(8 << 20);
    assert!(refuses_a_put(&mut opened), "only a look finds room");
    assert!(opened.appender.look_for_room().unwrap() && opened.reserve.is_whole());
    let after = store_one(&mut opened, b"room again", 5, true);
    let opened = try_store(&disk.crash_clean(), &options).unwrap();
    let view = opened.catalog.view();
    assert_eq!(read(&view, after), Ok(Some(b"room again".to_vec())));
    assert!(ids.iter().all(|id| read(&view, *id) == Ok(None)), "deleted for good");
}

#[test]
fn a_delete_is_refused_when_its_half_of_the_reserve_is_used_up_too() {
    let disk = MemoryDisk::with_capacity(1 << 20);
    let mut opened = store(&disk);
    let ids = fill(&mut opened);
    // Nothing is left, and nothing comes back when the reserve is cut.
    disk.set_capacity(64 << 10);
    assert!(ids.iter().any(|id| is_full(delete(&mut opened, *id))));
    assert_eq!((opened.reserve.bytes(), opened.reserve.compaction_bytes()), (4 << 10, 4 << 10));
    disk.set_capacity(8 << 20);
    for id in &ids {
        assert!(matches!(delete(&mut opened, *id), Ok(Appended::Deleted { .. })));
    }
}

#[test]
fn deletes_leave_compaction_its_half_and_it_brings_back_room_for_both() {
    for seed in 0..4 {
        let disk = MemoryDisk::with_capacity(8 << 20);
        let options = StoreOptions { volume_bytes: 2 << 20, reserve_bytes: Some(256 << 10), ..small() };
        let mut opened = try_store(&disk, &options).unwrap();
        let ids = fill(&mut opened);
        disk.set_capacity((8 << 20) - disk.space().unwrap().free);
        let mut dice = Dice(seed);
        let dead: Vec<bool> = ids.iter().map(|_| dice.below(10) < 4).collect();
        let mut refused = 0;
        for (id, _) in ids.iter().zip(&dead).filter(|(_, dead)| **dead) {
            let mut outcome = delete(&mut opened, *id);
            if matches!(outcome, Err(AppendError::Full { .. })) {
                refused += 1;
                assert_eq!((opened.reserve.bytes(), opened.reserve.compaction_bytes()), (128 << 10, 128 << 10));
                compact_tight(&mut opened, &disk);
                outcome = delete(&mut opened, *id);
            }
            assert_eq!(outcome.unwrap(), Appended::Deleted { already: false });
        }
        assert!(refused > 0, "the half of the deletes was never used up");
        compact_tight(&mut opened, &disk);
        assert!(opened.appender.look_for_room().unwrap() && opened.reserve.is_whole());
        let after = fill(&mut opened);
        assert!(after.len() * 4 > ids.len(), "{} objects after {}", after.len(), ids.len());
        let check = |opened: &Opened| {
            let view = opened.catalog.view();
            for ((n, id), dead) in (0..).zip(&ids).zip(&dead) {
                assert_eq!(read(&view, *id), Ok((!dead).then(|| content(n, 3000))), "seed {seed}: object {n}");
            }
            for (n, id) in (0..).zip(&after) {
                assert_eq!(read(&view, *id), Ok(Some(content(n, 3000))), "seed {seed}: object {n} after");
            }
        };
        check(&opened);
        drop(opened);
        check(&try_store(&disk.crash_clean(), &options).unwrap());
    }
}

#[test]
fn a_little_garbage_everywhere_comes_back_once_and_then_there_is_rest() {
    let disk = MemoryDisk::with_capacity(8 << 20);
    let options = StoreOptions { volume_bytes: 4 << 20, reserve_bytes: Some(1 << 20), ..small() };
    let mut opened = try_store(&disk, &options).unwrap();
    let ids = fill(&mut opened);
    disk.set_capacity((8 << 20) - disk.space().unwrap().free);
    let numbers = numbers(&opened);
    let dead: Vec<_> = ids.iter().step_by(10).map(|&id| Entry::Delete { id }).collect();
    opened.appender.append(&dead, 1, true, &numbers).unwrap();
    compact_tight(&mut opened, &disk);
    let report = opened.compaction.report();
    assert!(report.replaced_bytes > report.copied_bytes + 500_000, "{report:?}");
    assert!(opened.reserve.is_whole() && disk.space().unwrap().free > 500_000);
    let (copies, tried) = (report.copies, report.given_up);
    for _ in 0..10 {
        compact_tight(&mut opened, &disk);
    }
    let report = opened.compaction.report();
    assert_eq!((report.copies, report.given_up), (copies, tried), "nothing more can be won");
    let view = opened.catalog.view();
    for (n, id) in (0..).zip(&ids) {
        assert_eq!(read(&view, *id), Ok((n % 10 != 0).then(|| content(n, 3000))));
    }
}

#[test]
fn a_disk_that_is_opened_full_begins_so() {
    let disk = MemoryDisk::with_capacity(1 << 20);
    let mut opened = store(&disk);
    let ids = fill(&mut opened);
    assert!(matches!(delete(&mut opened, ids[0]), Ok(Appended::Deleted { .. })));
    opened.reserve.give(u64::MAX).unwrap();
    disk.set_capacity((1 << 20) - disk.space().unwrap().free);
    drop(opened);
    // What recovery writes after this unclean stop comes out of what the reserve still had, or finds a freed sector.
    let mut opened = store(&disk.kill());
    assert!(opened.report.reserve_missing && !opened.appender.takes_objects());
    assert!(refuses_a_put(&mut opened));
    assert_eq!(read(&opened.catalog.view(), ids[1]), Ok(Some(content(1, 3000))));
}

#[test]
fn opening_takes_from_the_reserve_what_it_needs() {
    let disk = MemoryDisk::with_capacity(1 << 20);
    let mut opened = store(&disk);
    let kept = store_one(&mut opened, b"kept", 1, true);
    let _torn = store_one(&mut opened, &content(2, 3000), 2, false);
    let disk = disk.crash(3);
    // Not one byte is free, and recovery has a tail to copy and an epoch to note.
    disk.set_capacity((1 << 20) - disk.space().unwrap().free);
    let opened = store(&disk);
    assert_eq!(read(&opened.catalog.view(), kept), Ok(Some(b"kept".to_vec())));
}

#[test]
fn want_of_room_is_never_a_failure() {
    for errno in [ENOSPC, EDQUOT] {
        for name in ["mark", "manifest", "the segment"] {
            let (disk, faults, mut opened) = faulty(&small());
            let first = store_one(&mut opened, b"first", 1, true);
            let name = if name == "the segment" { place(&opened, first).0 } else { name.to_string() };
            // The closing frame, the mark file, and whatever else an idle lane writes.
            faults.add(Fault::error(Call::Write, errno).on(&name).times(3));
            opened.appender.idle().unwrap();
            faults.heal();
            assert!(!opened.appender.has_failed(), "{errno} on {name}");
            assert!(opened.appender.look_for_room().unwrap());
            let next = store_one(&mut opened, b"next", 2, true);
            opened.appender.close().unwrap();
            drop(opened.superblock);
            let opened = store(&disk.crash_clean());
            assert!(opened.report.clean && opened.report.cuts.is_empty(), "{:?}", opened.report);
            for (id, text) in [(first, b"first"), (next, b"next\0")] {
                let text = text.strip_suffix(b"\0").unwrap_or(text);
                assert_eq!(read(&opened.catalog.view(), id), Ok(Some(text.to_vec())));
            }
        }
    }
}

#[test]
fn the_first_write_of_a_run_may_find_no_room() {
    let (disk, _, opened) = faulty(&small());
    opened.appender.close().unwrap();
    let faulty = FaultyDisk::new(Arc::new(disk.kill()), FaultPlan::default());
    let faults = faulty.faults();
    let mut opened = open(Arc::new(faulty), Some(IDENTITY), &small(), Arc::new(ManualClock::default())).unwrap();
    faults.add(Fault::torn_write(100, ENOSPC).on("mark"));
    assert!(refuses_a_put(&mut opened));
    assert!(opened.appender.look_for_room().unwrap());
    let id = store_one(&mut opened, b"room", 1, true);
    assert_eq!(read(&opened.catalog.view(), id), Ok(Some(b"room".to_vec())));
}

#[test]
fn what_fails_elsewhere_ends_writing_here() {
    let (disk, _, mut opened) = faulty(&small());
    let id = store_one(&mut opened, b"kept", 1, true);
    opened.appender.fail("look", std::io::ErrorKind::NotFound.into());
    let before = files(&disk);
    assert!(matches!(delete(&mut opened, id), Err(AppendError::Failed(_))));
    assert!(opened.appender.idle().is_err() && opened.appender.look_for_room().is_ok());
    assert_eq!(before, files(&disk));
}
