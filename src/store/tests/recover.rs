//! Goal: a torn tail is cut, durable damage is not, and every refusal says so. Method: one fault each, by hand.

use super::world::*;
use crate::disk::{Disk, Fault, FaultPlan, FaultyDisk, MemoryDisk, Open, RealDisk};
use crate::store::{Appended, Located, StoreError, inspect, verify};
use std::io::IoSlice;
use std::sync::Arc;

#[test]
fn what_was_stored_is_read_before_and_after_a_clean_stop() {
    let disk = MemoryDisk::new();
    let mut opened = store(&disk);
    assert!(opened.report.formatted);
    let ids: Vec<_> = (0..5).map(|n| store_one(&mut opened, &content(n, 1000), n, true)).collect();
    let empty = store_one(&mut opened, b"", 77, true);
    assert_eq!(delete(&mut opened, ids[2]).unwrap(), Appended::Deleted { already: false });
    assert_eq!(delete(&mut opened, ids[2]).unwrap(), Appended::Deleted { already: true });
    for again in [false, true] {
        if again {
            opened.appender.close().unwrap();
            drop(opened.superblock);
            opened = store(&disk);
            assert!(opened.report.clean && !opened.report.formatted);
        }
        let view = opened.catalog.view();
        for (n, id) in ids.iter().enumerate() {
            let expected = (n != 2).then(|| content(n as u64, 1000));
            assert_eq!(read(&view, *id), Ok(expected), "object {n}, reopened {again}");
        }
        assert_eq!(read(&view, empty), Ok(Some(Vec::new())));
        assert_eq!(opened.catalog.stats().objects, 5);
        assert_eq!(opened.catalog.stats().deleted, 1);
    }
}

#[test]
fn a_clean_stop_keeps_the_epoch_and_an_unclean_one_begins_another() {
    let disk = MemoryDisk::new();
    let mut opened = store(&disk);
    let first = store_one(&mut opened, b"a", 1, true);
    opened.appender.close().unwrap();
    drop(opened.superblock);
    let mut opened = store(&disk);
    let second = store_one(&mut opened, b"b", 2, true);
    assert_eq!(second.sequence, first.sequence.plus(1));
    let disk = disk.crash_clean();
    let mut opened = store(&disk);
    assert!(!opened.report.clean);
    let third = store_one(&mut opened, b"c", 3, true);
    assert_eq!(third.sequence, second.sequence.plus(2), "an EPOCH_START lies between");
    assert!(matches!(opened.catalog.view().locate(third.volume, second.sequence.plus(1)), Located::OtherKind));
    assert_eq!(read(&opened.catalog.view(), first), Ok(Some(b"a".to_vec())));
}

#[test]
fn a_torn_tail_is_copied_aside_and_cut() {
    let disk = MemoryDisk::new();
    let mut opened = store(&disk);
    let kept = store_one(&mut opened, &content(1, 3000), 1, true);
    let lost = store_one(&mut opened, &content(2, 3000), 2, false);
    let (name, position) = place(&opened, lost);
    drop(opened);
    // All of the second group reached the disk, but for one sector of its payload.
    let disk = disk.kill();
    let file = disk.open(&name, Open::Write).unwrap();
    file.write_all_at(&mut [IoSlice::new(&[0; 512])], position.next_multiple_of(512) + 512).unwrap();
    file.sync_all().unwrap();
    let mut opened = store(&disk);
    assert_eq!(opened.report.cuts.len(), 1, "{:?}", opened.report);
    assert!(opened.report.damages.is_empty());
    let cut = &opened.report.cuts[0];
    assert_eq!((cut.position, cut.copy.as_str()), (position, format!("{name}.torn-0").as_str()));
    assert!(files(&disk).iter().any(|(name, bytes)| *name == cut.copy && bytes.len() >= 3000));
    assert_eq!(read(&opened.catalog.view(), kept), Ok(Some(content(1, 3000))));
    assert_eq!(read(&opened.catalog.view(), lost), Ok(None));
    // The sequence comes again, in a new epoch, and a second recovery finds nothing to do.
    let next = store_one(&mut opened, &content(3, 3000), 3, true);
    assert_eq!(next.sequence, lost.sequence.plus(1));
    let disk = disk.crash_clean();
    let opened = store(&disk);
    assert!(opened.report.cuts.is_empty() && opened.report.damages.is_empty(), "{:?}", opened.report);
    assert_eq!(read(&opened.catalog.view(), next), Ok(Some(content(3, 3000))));
}

#[test]
fn durable_damage_is_kept_marked_and_never_cut() {
    let disk = MemoryDisk::new();
    let mut opened = store(&disk);
    let ids: Vec<_> = (0..4).map(|n| store_one(&mut opened, &content(n, 3000), n, true)).collect();
    opened.appender.idle().unwrap();
    let (name, position) = place(&opened, ids[1]);
    let (_, last) = place(&opened, ids[3]);
    drop(opened);
    let disk = disk.crash_clean();
    flip(&disk, &name, position + 40, 1);
    flip(&disk, &name, last + 40, 1);
    let before = files(&disk).into_iter().find(|(file, _)| *file == name).unwrap().1;
    for round in 0..3 {
        let opened = store(&disk);
        assert!(opened.report.cuts.is_empty(), "{:?}", opened.report);
        let found: Vec<_> =
            opened.report.damages.iter().map(|damage| (damage.first, damage.count, damage.new)).collect();
        let new = round == 0;
        assert_eq!(found, [(ids[1].sequence.0, 1, new), (ids[3].sequence.0, 1, new)]);
        let view = opened.catalog.view();
        for (n, id) in ids.iter().enumerate() {
            assert_eq!(read(&view, *id).is_err(), n % 2 == 1, "object {n}");
        }
        drop(opened);
        let after = files(&disk).into_iter().find(|(file, _)| *file == name).unwrap().1;
        assert_eq!(before, after, "not a byte of the segment changed");
    }
    let verification = verify(&disk, &mut |_, _| ()).unwrap();
    assert_eq!(
        verification.damages.iter().filter_map(|damage| damage.sequence).collect::<Vec<_>>(),
        [ids[1].sequence.0, ids[3].sequence.0]
    );
}

#[test]
fn objects_go_on_behind_durable_damage() {
    let disk = MemoryDisk::new();
    let mut opened = store(&disk);
    let ids: Vec<_> = (0..3).map(|n| store_one(&mut opened, &content(n, 3000), n, true)).collect();
    opened.appender.idle().unwrap();
    let (name, position) = place(&opened, ids[2]);
    drop(opened);
    let disk = disk.crash_clean();
    // Case D: the last thing in the segment is damaged, and the mark file says that it was durable.
    flip(&disk, &name, position + 40, 1);
    let file = disk.open(&name, Open::Write).unwrap();
    let end = place_end(&disk, &name);
    file.write_all_at(&mut [IoSlice::new(&vec![0; 4096])], end - 512).unwrap();
    file.sync_all().unwrap();
    let mut opened = store(&disk);
    assert!(opened.report.cuts.is_empty(), "{:?}", opened.report);
    let next = store_one(&mut opened, &content(9, 100), 9, true);
    assert!(next.sequence > ids[2].sequence);
    let (other, _) = place(&opened, next);
    assert_ne!(other, name, "nothing is written behind damage without an end");
    let disk = disk.crash_clean();
    let opened = store(&disk);
    assert!(read(&opened.catalog.view(), ids[2]).is_err());
    assert_eq!(read(&opened.catalog.view(), ids[0]), Ok(Some(content(0, 3000))));
    assert_eq!(read(&opened.catalog.view(), next), Ok(Some(content(9, 100))));
}

/// Behind the last byte of a file that is not zero, in whole sectors.
fn place_end(disk: &MemoryDisk, name: &str) -> u64 {
    let bytes = files(disk).into_iter().find(|(file, _)| file == name).unwrap().1;
    let last = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    (last as u64 + 1).next_multiple_of(512)
}

#[test]
fn a_lost_segment_is_reported_and_its_objects_are_damaged_not_absent() {
    let disk = MemoryDisk::new();
    let mut opened = store(&disk);
    let ids: Vec<_> = (0..40).map(|n| store_one(&mut opened, &content(n, 3000), n, true)).collect();
    let (name, _) = place(&opened, ids[0]);
    drop(opened);
    let disk = disk.crash_clean();
    disk.remove(&name).unwrap();
    disk.sync_directory().unwrap();
    let opened = store(&disk);
    assert_eq!(opened.report.missing_segments, [name]);
    assert!(read(&opened.catalog.view(), ids[0]).is_err());
    assert_eq!(read(&opened.catalog.view(), ids[39]), Ok(Some(content(39, 3000))));
}

#[test]
fn unknown_segment_files_are_set_aside_never_deleted() {
    let disk = MemoryDisk::new();
    drop(store(&disk));
    let name = "v00000063-0000000000000000.segment";
    let file = disk.open(name, Open::Create).unwrap();
    file.write_all_at(&mut [IoSlice::new(b"somebody's")], 0).unwrap();
    let opened = store(&disk);
    assert_eq!(opened.report.set_aside, [format!("{name}.aside")]);
    assert!(files(&disk).contains(&(format!("{name}.aside"), b"somebody's".to_vec())));
}

#[test]
fn strangers_and_locked_directories_are_refused() {
    let disk = MemoryDisk::new();
    disk.open("holiday.jpg", Open::Create).unwrap();
    assert!(matches!(try_store(&disk, &small()), Err(StoreError::NotLarder { .. })));

    let disk = MemoryDisk::new();
    let opened = store(&disk);
    assert!(matches!(try_store(&disk, &small()), Err(StoreError::Locked { .. })));
    assert!(matches!(inspect(&disk, &mut |_, _| ()), Err(StoreError::Locked { .. })));
    assert!(matches!(verify(&disk, &mut |_, _| ()), Err(StoreError::Locked { .. })));
    drop(opened);
    let clock = std::sync::Arc::new(crate::base::clock::ManualClock::default());
    let foreign = (crate::base::ids::ClusterId(8), IDENTITY.1);
    let refused = crate::store::open(std::sync::Arc::new(disk.clone()), Some(foreign), &small(), clock);
    assert!(matches!(refused, Err(StoreError::Foreign { what: "cluster", .. })));
    flip(&disk, "superblock", 40, 1);
    drop(store(&disk));
    flip(&disk, "superblock", 40, 1);
    flip(&disk, "superblock", 4096 + 40, 1);
    assert!(matches!(try_store(&disk, &small()), Err(StoreError::Superblock { .. })));
}

#[test]
fn a_full_disk_is_an_answer_and_writing_resumes() {
    let disk = MemoryDisk::with_capacity(256 << 10);
    let mut opened = store(&disk);
    let numbers = numbers(&opened);
    let mut ids = Vec::new();
    let error = loop {
        let cookie = ids.len() as u64;
        match opened.appender.append(&[put(&content(cookie, 5000), cookie)], 1, true, &numbers) {
            Ok(outcomes) => ids.extend(outcomes),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, crate::store::AppendError::Full { .. }), "{error}");
    assert!(ids.len() > 10);
    disk.set_capacity(1 << 30);
    assert!(opened.appender.look_for_room().unwrap());
    let after = store_one(&mut opened, b"room again", 1000, true);
    assert_eq!(read(&opened.catalog.view(), after), Ok(Some(b"room again".to_vec())));
    let opened = store(&disk.crash_clean());
    let view = opened.catalog.view();
    for (n, stored) in ids.iter().enumerate() {
        let Appended::Stored(id) = stored else { panic!("{stored:?}") };
        assert_eq!(read(&view, *id), Ok(Some(content(n as u64, 5000))));
    }
    assert_eq!(read(&view, after), Ok(Some(b"room again".to_vec())));
}

#[test]
fn a_delete_alone_is_synced_before_it_is_acknowledged() {
    let disk = MemoryDisk::new();
    let mut opened = store(&disk);
    let id = store_one(&mut opened, b"gone", 1, true);
    assert_eq!(delete(&mut opened, id).unwrap(), Appended::Deleted { already: false });
    let opened = store(&disk.crash_clean());
    assert_eq!(read(&opened.catalog.view(), id), Ok(None));
}

#[test]
fn a_write_that_goes_elsewhere_is_found_out() {
    let disk = MemoryDisk::new();
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), FaultPlan::default());
    let faults = faulty.faults();
    let clock = Arc::new(crate::base::clock::ManualClock::default());
    let mut opened = crate::store::open(Arc::new(faulty), Some(IDENTITY), &small(), clock).unwrap();
    let first = store_one(&mut opened, &content(1, 3000), 1, true);
    let (name, position) = place(&opened, first);
    // The second object is written over the content of the first, and its own place stays empty.
    faults.add(Fault::misdirected_write((position + 1024) / 512 * 512).on(&name));
    let second = store_one(&mut opened, &content(2, 1000), 2, true);
    opened.appender.idle().unwrap();
    for opened in [Some(opened), None] {
        let opened = opened.unwrap_or_else(|| store(&disk.crash_clean()));
        let view = opened.catalog.view();
        assert!(read(&view, second).is_err(), "it is not at its place");
        assert!(read(&view, first).is_err(), "its content is another's");
    }
}

#[test]
fn a_sync_that_lied_is_found_out_where_something_proves_it() {
    let disk = MemoryDisk::new();
    let mut opened = store(&disk);
    let kept = store_one(&mut opened, &content(1, 3000), 1, true);
    disk.lose_syncs(1);
    let lost = store_one(&mut opened, &content(2, 3000), 2, true);
    let after = store_one(&mut opened, &content(3, 3000), 3, true);
    opened.appender.idle().unwrap();
    drop(opened);
    let opened = store(&disk.crash_clean());
    let view = opened.catalog.view();
    assert!(read(&view, lost).is_err(), "it was acknowledged: damaged, and not absent");
    assert_eq!(opened.report.damages.len(), 1, "{:?}", opened.report.damages);
    assert_eq!(read(&view, kept), Ok(Some(content(1, 3000))));
    assert_eq!(read(&view, after), Ok(Some(content(3, 3000))));
}

#[test]
fn a_tail_that_cannot_be_read_is_neither_cut_nor_called_damaged_for_good() {
    let disk = MemoryDisk::new();
    let mut opened = store(&disk);
    let ids: Vec<_> = (0..30).map(|n| store_one(&mut opened, &content(n, 3000), n, true)).collect();
    drop(opened);
    let before = files(&disk);
    for name in before.iter().map(|(name, _)| name).filter(|name| name.ends_with(".segment")) {
        let faulty = FaultyDisk::new(Arc::new(disk.clone()), FaultPlan::default());
        faulty.faults().add(Fault::error(crate::disk::Call::Read, 5).on(name).for_good());
        let clock = Arc::new(crate::base::clock::ManualClock::default());
        // Nothing of it is served, and nothing is written down.
        let opened = crate::store::open(Arc::new(faulty), Some(IDENTITY), &small(), clock).unwrap();
        assert!(opened.report.unreadable_bytes > 0 && !opened.report.damages.is_empty(), "{name}");
    }
    let opened = store(&disk);
    assert!(opened.report.damages.is_empty() && opened.report.cuts.is_empty(), "{:?}", opened.report);
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(read(&opened.catalog.view(), *id), Ok(Some(content(n as u64, 3000))), "object {n}");
    }
}

#[test]
fn a_failed_sync_ends_writing_for_good() {
    let disk = MemoryDisk::new();
    let mut opened = store(&disk);
    let kept = store_one(&mut opened, b"kept", 1, true);
    disk.fail_syncs(1);
    let numbers = numbers(&opened);
    assert!(opened.appender.append(&[put(b"lost", 2)], 1, true, &numbers).is_err());
    let before = files(&disk);
    for _ in 0..2 {
        let error = opened.appender.append(&[put(b"lost", 2)], 1, true, &numbers).unwrap_err();
        assert!(matches!(error, crate::store::AppendError::Failed(_)));
        assert!(opened.appender.sync().is_err() && opened.appender.idle().is_err());
    }
    assert_eq!(before, files(&disk), "nothing was written after the failure");
    assert_eq!(read(&opened.catalog.view(), kept), Ok(Some(b"kept".to_vec())));
    assert_eq!(opened.catalog.stats().objects, 1, "what was not synced is not seen");
}

#[test]
fn after_a_failed_sync_the_next_process_sees_the_disk_and_not_the_cache() {
    let disk = MemoryDisk::new();
    let mut opened = store(&disk);
    let kept = store_one(&mut opened, b"kept", 1, true);
    let lost = store_one(&mut opened, b"lost", 2, false);
    disk.fail_syncs(1);
    assert!(opened.appender.sync().is_err());
    drop(opened);
    let opened = store(&disk.kill());
    assert_eq!(read(&opened.catalog.view(), lost), Ok(None), "the cache shows it, the disk lacks it");
    assert_eq!(read(&opened.catalog.view(), kept), Ok(Some(b"kept".to_vec())));
}

#[test]
fn what_did_not_fit_is_cut_and_its_sequence_comes_again_in_a_new_epoch() {
    let disk = MemoryDisk::new();
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), FaultPlan::default());
    let faults = faulty.faults();
    let clock = Arc::new(crate::base::clock::ManualClock::default());
    let mut opened = crate::store::open(Arc::new(faulty), Some(IDENTITY), &small(), clock).unwrap();
    let first = store_one(&mut opened, b"first", 1, true);
    let (name, _) = place(&opened, first);
    faults.add(Fault::torn_write(700, 28).on(&name));
    let numbers = numbers(&opened);
    let error = opened.appender.append(&[put(&content(2, 3000), 2)], 1, true, &numbers).unwrap_err();
    assert!(matches!(error, crate::store::AppendError::Full { .. }), "{error}");
    assert!(opened.appender.look_for_room().unwrap());
    let next = store_one(&mut opened, b"next", 3, true);
    assert_eq!(next.sequence, first.sequence.plus(2), "an EPOCH_START took the sequence");
    let opened = store(&disk.crash_clean());
    assert!(opened.report.cuts.is_empty() && opened.report.damages.is_empty(), "{:?}", opened.report);
    assert_eq!(read(&opened.catalog.view(), next), Ok(Some(b"next".to_vec())));
}

#[test]
fn a_real_directory_takes_a_group_over_several_volumes() {
    let directory = tempfile::tempdir().unwrap();
    let open_real = || {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(directory.path()).unwrap());
        crate::store::open(disk, None, &small(), crate::base::clock::SystemClock::shared()).unwrap()
    };
    let mut opened = open_real();
    let ids: Vec<_> = (0..120).map(|n| store_one(&mut opened, &content(n, 5000), n, n % 3 != 0)).collect();
    assert!(opened.catalog.stats().volumes > 2);
    let numbers = numbers(&opened);
    let last = ids.len() - 1;
    let dead: Vec<_> = [0, 60, last].map(|n| crate::store::Entry::Delete { id: ids[n] }).into();
    opened.appender.append(&dead, 1, true, &numbers).unwrap();
    opened.appender.idle().unwrap();
    opened.appender.close().unwrap();
    drop((opened.superblock, opened.catalog));
    let real = RealDisk::open(directory.path()).unwrap();
    let verification = verify(&real, &mut |done, total| assert!(done <= total)).unwrap();
    assert!(verification.damages.is_empty() && verification.torn.is_empty(), "{verification:?}");
    assert!(verification.needles > 120);
    let objects: u64 = inspect(&real, &mut |_, _| ()).unwrap().volumes.iter().map(|volume| volume.objects).sum();
    assert_eq!(objects, 117);
    let opened = open_real();
    assert!(opened.report.clean, "{:?}", opened.report);
    for (n, id) in ids.iter().enumerate() {
        let expected = (![0, 60, last].contains(&n)).then(|| content(n as u64, 5000));
        assert_eq!(read(&opened.catalog.view(), *id), Ok(expected), "object {n}");
    }
}

#[test]
fn damage_in_a_segment_that_has_a_successor_is_never_cut() {
    let disk = MemoryDisk::new();
    let mut opened = store(&disk);
    let mut ids = vec![store_one(&mut opened, &content(0, 3000), 0, true)];
    let (name, _) = place(&opened, ids[0]);
    while place(&opened, ids[ids.len() - 1]).0 == name {
        let n = ids.len() as u64;
        ids.push(store_one(&mut opened, &content(n, 3000), n, true));
    }
    let last = ids[ids.len() - 2];
    assert_eq!(last.volume, ids[ids.len() - 1].volume);
    let (_, position) = place(&opened, last);
    drop(opened);
    let disk = disk.crash_clean();
    // The record of closing is lost, and so is the last object of the segment.
    let (_, manifest) = files(&disk).into_iter().find(|(file, _)| file == "manifest").unwrap();
    let closed =
        (512..manifest.len()).step_by(512).find(|&at| manifest[at..at + 4] == *b"LREC" && manifest[at + 24] == 3);
    flip(&disk, "manifest", closed.unwrap() as u64 + 40, 1);
    flip(&disk, &name, position + 40, 1);
    let opened = store(&disk);
    assert_eq!(opened.report.manifest_damaged, 1);
    assert!(opened.report.cuts.is_empty(), "{:?}", opened.report.cuts);
    assert!(read(&opened.catalog.view(), last).is_err(), "it was durable, so it is damaged and not absent");
    assert_eq!(opened.report.damages.len(), 1, "{:?}", opened.report.damages);
    drop(opened);
    let again = store(&disk);
    assert!(read(&again.catalog.view(), last).is_err() && again.report.cuts.is_empty());
}

#[test]
fn what_was_cut_back_is_remembered_over_a_clean_stop() {
    let disk = MemoryDisk::new();
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), FaultPlan::default());
    let faults = faulty.faults();
    let clock = Arc::new(crate::base::clock::ManualClock::default());
    let mut opened = crate::store::open(Arc::new(faulty), Some(IDENTITY), &small(), clock).unwrap();
    let first = store_one(&mut opened, b"first", 1, true);
    let (name, _) = place(&opened, first);
    faults.add(Fault::torn_write(700, 28).on(&name));
    let numbers = numbers(&opened);
    opened.appender.append(&[put(&content(2, 3000), 2)], 1, true, &numbers).unwrap_err();
    opened.appender.close().unwrap();
    drop((opened.superblock, opened.catalog));
    // Twice, for it may rest through many clean stops.
    let rested = store(&disk);
    rested.appender.close().unwrap();
    drop((rested.superblock, rested.catalog));
    let mut opened = store(&disk);
    assert!(opened.report.clean);
    let next = store_one(&mut opened, b"next", 3, true);
    assert_eq!(next.sequence, first.sequence.plus(2), "an EPOCH_START took the sequence that was cut back");
}

#[test]
fn no_object_follows_a_seal_that_the_manifest_had_no_room_for() {
    let disk = MemoryDisk::new();
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), FaultPlan::default());
    let faults = faulty.faults();
    let clock = Arc::new(crate::base::clock::ManualClock::default());
    let options = crate::store::StoreOptions { segment_bytes: 256 << 10, ..small() };
    let mut opened = crate::store::open(Arc::new(faulty), Some(IDENTITY), &options, clock).unwrap();
    let first = store_one(&mut opened, &content(1, 100_000), 1, true);
    faults.add(Fault::torn_write(10, 28).on("manifest"));
    let numbers = numbers(&opened);
    let error = opened.appender.append(&[put(&content(2, 100_000), 2)], 1, true, &numbers).unwrap_err();
    assert!(matches!(error, crate::store::AppendError::Full { .. }), "{error}");
    assert!(opened.appender.look_for_room().unwrap());
    // A small one would still fit.
    let next = store_one(&mut opened, b"next", 3, true);
    assert_ne!(next.volume, first.volume);
    let (name, _) = place(&opened, first);
    let (_, bytes) = files(&disk).into_iter().find(|(file, _)| *file == name).unwrap();
    let heads = (0..bytes.len()).step_by(8).filter(|&at| bytes[at..].starts_with(b"LARDNEED"));
    assert_eq!(heads.filter(|&at| bytes[at + 17] == 4).count(), 1, "one SEAL");
    drop(opened);
    let opened = store(&disk.crash_clean());
    assert_eq!(read(&opened.catalog.view(), first), Ok(Some(content(1, 100_000))));
    assert_eq!(read(&opened.catalog.view(), next), Ok(Some(b"next".to_vec())));
}

#[test]
fn a_full_disk_uses_up_no_volume_numbers() {
    let disk = MemoryDisk::new();
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), FaultPlan::default());
    let faults = faulty.faults();
    let clock = Arc::new(crate::base::clock::ManualClock::default());
    let mut opened = crate::store::open(Arc::new(faulty), Some(IDENTITY), &small(), clock).unwrap();
    let numbers = numbers(&opened);
    faults.add(Fault::error(crate::disk::Call::Allocate, 28).times(5));
    for _ in 0..5 {
        let error = opened.appender.append(&[put(b"no room", 1)], 1, true, &numbers).unwrap_err();
        assert!(matches!(error, crate::store::AppendError::Full { .. }), "{error}");
        assert!(opened.appender.look_for_room().unwrap());
    }
    let outcomes = opened.appender.append(&[put(b"room", 2)], 1, true, &numbers).unwrap();
    let [Appended::Stored(id)] = outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!(id.volume.0, 1, "the number that was had stays to be used");
    assert_eq!(read(&opened.catalog.view(), id), Ok(Some(b"room".to_vec())));
}
