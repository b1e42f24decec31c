//! What a power cut, a dead process, a failed sync and a full disk leave, by example and against a plain model.

use super::*;
use proptest::prelude::*;
use std::io::IoSlice;

fn write(file: &dyn File, bytes: &[u8], offset: u64) {
    file.write_all_at(&mut [IoSlice::new(bytes)], offset).unwrap();
}

fn content(disk: &MemoryDisk, name: &str) -> Vec<u8> {
    let file = disk.open(name, Open::Read).unwrap();
    let mut into = vec![0; usize::try_from(file.len().unwrap()).unwrap() + 1];
    let filled = file.read_at(&mut into, 0).unwrap();
    into.truncate(filled);
    into
}

fn names(disk: &MemoryDisk) -> Vec<String> {
    disk.list().unwrap().into_iter().map(|entry| entry.name).collect()
}

/// A disk with one durable file.
fn disk_with(name: &str, bytes: &[u8]) -> (MemoryDisk, Arc<dyn File>) {
    let disk = MemoryDisk::new();
    let file = disk.open(name, Open::Create).unwrap();
    write(&*file, bytes, 0);
    file.sync_data().unwrap();
    disk.sync_directory().unwrap();
    (disk, file)
}

#[test]
fn a_name_is_durable_after_the_directory_and_content_after_the_file() {
    let disk = MemoryDisk::new();
    let file = disk.open("x", Open::Create).unwrap();
    write(&*file, b"hello", 0);
    file.sync_all().unwrap();
    assert!(names(&disk.crash_clean()).is_empty());
    disk.sync_directory().unwrap();
    assert_eq!(content(&disk.crash_clean(), "x"), b"hello");
    write(&*file, b"J", 0);
    assert_eq!(content(&disk.crash_clean(), "x"), b"hello");
    assert_eq!(content(&disk, "x"), b"Jello");

    disk.open("empty", Open::Create).unwrap();
    disk.sync_directory().unwrap();
    write(&*disk.open("empty", Open::Write).unwrap(), b"unsynced", 0);
    assert_eq!(content(&disk.crash_clean(), "empty"), b"");
}

#[test]
fn a_file_replaced_by_rename_is_the_old_or_the_new() {
    let (disk, _) = disk_with("x", b"old");
    let file = disk.open("x.new", Open::Create).unwrap();
    write(&*file, b"new", 0);
    file.sync_data().unwrap();
    disk.rename("x.new", "x").unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let left = disk.crash(seed);
        seen.insert((content(&left, "x"), names(&left).len()));
    }
    let expected = [(b"old".to_vec(), 1), (b"old".to_vec(), 2), (b"new".to_vec(), 1)];
    assert_eq!(seen, expected.into());
    disk.sync_directory().unwrap();
    assert!((0..100).all(|seed| content(&disk.crash(seed), "x") == b"new"));
}

#[test]
fn a_removal_comes_back_until_the_directory_is_synced() {
    let (disk, file) = disk_with("x", b"here");
    drop(file);
    disk.remove("x").unwrap();
    assert_eq!(content(&disk.crash_clean(), "x"), b"here");
    assert!(names(&disk.kill()).is_empty());
    assert_eq!(content(&disk.kill().crash_clean(), "x"), b"here");
    disk.sync_directory().unwrap();
    assert!(names(&disk.crash_clean()).is_empty());
    assert!(disk.shared.lock().inodes.is_empty(), "nothing is kept of it");
}

#[test]
fn a_seed_gives_the_same_crash_and_seeds_give_different_ones() {
    let (disk, file) = disk_with("x", &[1; 8192]);
    write(&*file, &[2; 8192], 0);
    let left: BTreeSet<_> = (0..40).map(|seed| content(&disk.crash(seed), "x")).collect();
    assert!(left.len() > 5, "{} outcomes", left.len());
    assert!(left.contains(&vec![1; 8192]) && left.contains(&vec![2; 8192]));
    assert!((0..40).all(|seed| content(&disk.crash(seed), "x") == content(&disk.crash(seed), "x")));
}

#[test]
fn a_dead_process_leaves_what_it_wrote_but_not_durable() {
    let (disk, file) = disk_with("x", b"old");
    write(&*file, b"new", 0);
    let left = disk.kill();
    assert_eq!(content(&left, "x"), b"new");
    assert_eq!(content(&left.crash_clean(), "x"), b"old");
    left.open("x", Open::Write).unwrap().sync_data().unwrap();
    assert_eq!(content(&left.crash_clean(), "x"), b"new");
    assert_eq!(content(&disk.crash_clean(), "x"), b"old", "the two are apart");
}

#[test]
fn a_lock_dies_with_its_process() {
    let disk = MemoryDisk::new();
    let _held = disk.lock("lock").unwrap();
    disk.sync_directory().unwrap();
    for left in [disk.kill(), disk.crash(1), disk.crash_clean()] {
        left.lock("lock").unwrap();
    }
    assert!(disk.lock("lock").is_err());
}

#[test]
fn a_failed_sync_loses_what_is_read_until_pages_are_dropped() {
    let (disk, file) = disk_with("x", &[1; 2000]);
    write(&*file, &[2; 512], 512);
    disk.fail_syncs(1);
    assert!(file.sync_data().is_err());
    let mut expected = vec![1; 2000];
    file.sync_data().unwrap();
    assert_eq!(content(&disk.crash_clean(), "x"), expected, "a second sync writes nothing");
    assert_eq!(content(&disk, "x")[512], 2);
    write(&*file, &[3; 4], 0);
    file.sync_data().unwrap();
    file.drop_pages().unwrap();
    expected[..4].fill(3);
    assert_eq!(content(&disk, "x"), expected);
    assert_eq!(content(&disk.crash_clean(), "x"), expected);
}

#[test]
fn the_nth_sync_fails_and_a_lying_one_says_nothing() {
    let (disk, file) = disk_with("x", b"old");
    disk.fail_syncs_from(2, 1, Errno::NOSPC.raw_os_error());
    write(&*file, b"OLD", 0);
    file.sync_data().unwrap();
    write(&*file, b"new", 0);
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(Errno::NOSPC.raw_os_error()));
    file.sync_data().unwrap();
    assert_eq!(content(&disk.crash_clean(), "x"), b"OLD");
    disk.lose_syncs(1);
    write(&*file, b"lie", 0);
    file.sync_all().unwrap();
    file.sync_all().unwrap();
    assert_eq!(content(&disk, "x"), b"lie");
    assert_eq!(content(&disk.crash_clean(), "x"), b"OLD");
    file.drop_pages().unwrap();
    assert_eq!(content(&disk, "x"), b"OLD");
}

#[test]
fn what_is_written_again_after_a_failed_sync_is_written() {
    let (disk, file) = disk_with("x", &[1; 2000]);
    write(&*file, &[2; 512], 512);
    disk.fail_syncs(1);
    assert!(file.sync_data().is_err());
    write(&*file, &[4], 600);
    file.drop_pages().unwrap();
    assert_eq!(content(&disk, "x")[512], 2, "a dirty page is not dropped");
    file.sync_data().unwrap();
    assert_eq!(content(&disk.crash_clean(), "x"), content(&disk, "x"));
}

#[test]
fn a_full_disk_says_so_and_takes_what_fits() {
    let disk = MemoryDisk::with_capacity(4 * 4096);
    let file = disk.open("x", Open::Create).unwrap();
    file.allocate(0, 2 * 4096).unwrap();
    assert_eq!(disk.space().unwrap().free, 2 * 4096);
    let full = |result: io::Result<()>| result.unwrap_err().kind() == io::ErrorKind::StorageFull;
    assert!(full(file.allocate(0, 5 * 4096)));
    assert_eq!((file.len().unwrap(), disk.space().unwrap().free), (2 * 4096, 2 * 4096));
    assert!(full(file.write_all_at(&mut [IoSlice::new(&[1; 5 * 4096])], 0)));
    assert_eq!(file.len().unwrap(), 4 * 4096, "the first pages were written");
    assert_eq!(disk.space().unwrap().free, 0);
    write(&*file, &[2; 100], 50);
    file.punch(0, 4096).unwrap();
    assert_eq!(disk.space().unwrap().free, 4096);
    file.set_len(4096).unwrap();
    assert_eq!(disk.space().unwrap().free, 4 * 4096);
    write(&*file, &[2; 100], 50);
    disk.remove("x").unwrap();
    assert_eq!(disk.space().unwrap().free, 3 * 4096, "a handle holds it");
    drop(file);
    assert_eq!(disk.space().unwrap().free, 4 * 4096);
    assert_eq!(disk.crash_clean().space().unwrap().total, 4 * 4096);
}

#[test]
fn reserving_much_costs_nothing() {
    let (disk, file) = disk_with("x", b"");
    file.allocate(0, 1 << 40).unwrap();
    write(&*file, b"far", (1 << 40) - 3);
    file.sync_data().unwrap();
    for left in [disk.kill(), disk.crash(3), disk.crash_clean()] {
        let file = left.open("x", Open::Read).unwrap();
        let mut into = [0; 3];
        file.read_at(&mut into, (1 << 40) - 3).unwrap();
        assert_eq!(&into, b"far");
    }
    file.punch(0, 1 << 40).unwrap();
    file.set_len(0).unwrap();
}

#[test]
fn files_can_be_out_of_the_page_cache() {
    let (disk, file) = disk_with("x", b"hello");
    assert_eq!(file.read_cached_at(&mut [0; 5], 0).unwrap(), Some(5));
    assert!(file.resident(0, 5).unwrap());
    disk.set_file_resident("x", false).unwrap();
    assert_eq!(file.read_cached_at(&mut [0; 5], 0).unwrap(), None);
    assert!(!file.resident(0, 5).unwrap());
    disk.set_file_resident("x", true).unwrap();
    disk.set_resident(false);
    assert_eq!(file.read_cached_at(&mut [0; 5], 0).unwrap(), None);
    assert!(disk.set_file_resident("y", false).is_err());
}

#[derive(Debug, Clone)]
enum Step {
    Write(u64, usize, u8),
    Punch(u64, u64),
    Allocate(u64, u64),
    SetLen(u64),
    Sync,
}

const BYTES_MAX: u64 = 20_000;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..BYTES_MAX, 0usize..6000, 1u8..).prop_map(|(offset, bytes, fill)| Step::Write(offset, bytes, fill)),
        2 => (0..BYTES_MAX, 0..BYTES_MAX).prop_map(|(offset, bytes)| Step::Punch(offset, bytes)),
        1 => (0..BYTES_MAX, 0u64..6000).prop_map(|(offset, bytes)| Step::Allocate(offset, bytes)),
        2 => (0..BYTES_MAX).prop_map(Step::SetLen),
        2 => Just(Step::Sync),
    ]
}

/// Takes a step on a disk's file and on plain vectors.
fn take(step: &Step, file: &dyn File, live: &mut Vec<u8>, durable: &mut Vec<u8>) {
    let at = |offset: u64| usize::try_from(offset).unwrap();
    match *step {
        Step::Write(offset, bytes, fill) => {
            write(file, &vec![fill; bytes], offset);
            if bytes > 0 {
                live.resize(live.len().max(at(offset) + bytes), 0);
                live[at(offset)..at(offset) + bytes].fill(fill);
            }
        }
        Step::Punch(offset, bytes) => {
            file.punch(offset, bytes).unwrap();
            let end = at(offset + bytes).min(live.len());
            live[at(offset).min(end)..end].fill(0);
        }
        Step::Allocate(offset, bytes) => {
            file.allocate(offset, bytes).unwrap();
            if bytes > 0 {
                live.resize(live.len().max(at(offset + bytes)), 0);
            }
        }
        Step::SetLen(bytes) => {
            file.set_len(bytes).unwrap();
            live.resize(at(bytes), 0);
        }
        Step::Sync => {
            file.sync_data().unwrap();
            durable.clone_from(live);
        }
    }
}

/// Bytes of a vector with zeros without end after it.
fn padded(bytes: &[u8], from: usize, to: usize) -> Vec<u8> {
    (from..to).map(|at| bytes.get(at).copied().unwrap_or(0)).collect()
}

proptest! {
    /// After a crash each sector is as last written or as last synced, and the length is in between.
    #[test]
    fn a_crash_keeps_old_or_new_sectors(steps in proptest::collection::vec(step(), 1..25), seed: u64) {
        let (disk, file) = disk_with("x", b"");
        let (mut live, mut durable) = (Vec::new(), Vec::new());
        for step in &steps {
            take(step, &*file, &mut live, &mut durable);
        }
        prop_assert_eq!(&content(&disk, "x"), &live);
        prop_assert_eq!(&content(&disk.kill(), "x"), &live);
        prop_assert_eq!(&content(&disk.crash_clean(), "x"), &durable);
        prop_assert_eq!(&content(&disk.kill().crash_clean(), "x"), &durable);

        let crashed = disk.crash(seed);
        let left = content(&crashed, "x");
        prop_assert!(left.len() >= live.len().min(durable.len()));
        prop_assert!(left.len() <= live.len().max(durable.len()));
        for from in (0..left.len()).step_by(512) {
            let to = left.len().min(from + 512);
            let found = &left[from..to];
            let (new, old) = (padded(&live, from, to), padded(&durable, from, to));
            prop_assert!(found == new || found == old, "sector at {}", from);
        }
        // What is left is durable, and whole.
        prop_assert_eq!(&content(&crashed.crash(seed), "x"), &left);
        crashed.open("x", Open::Write).unwrap().set_len(40_000).unwrap();
        prop_assert_eq!(content(&crashed, "x"), padded(&left, 0, 40_000));
        file.sync_all().unwrap();
        prop_assert_eq!(&content(&disk.crash(seed), "x"), &live);
    }

    /// Names are those of a plain map, and after a crash none that was never there, and no file under two.
    #[test]
    fn a_crash_keeps_old_or_new_names(
        steps in proptest::collection::vec((0u8..4, 0usize..4, 0usize..4), 1..30),
        seed: u64,
    ) {
        let all = ["a", "b", "c", "d"];
        let disk = MemoryDisk::new();
        let (mut live, mut durable) = (BTreeMap::new(), BTreeMap::new());
        let mut possible: BTreeMap<&str, BTreeSet<Option<Vec<u8>>>> = BTreeMap::new();
        for (number, (kind, first, second)) in steps.iter().enumerate() {
            let (first, second) = (all[*first], all[*second]);
            match kind {
                0 => {
                    let created = disk.open(first, Open::Create);
                    prop_assert_eq!(created.is_ok(), !live.contains_key(first));
                    if let Ok(file) = created {
                        let bytes = vec![u8::try_from(number).unwrap(); 3];
                        write(&*file, &bytes, 0);
                        file.sync_data().unwrap();
                        live.insert(first, bytes);
                    }
                }
                1 => {
                    prop_assert_eq!(disk.rename(first, second).is_ok(), live.contains_key(first));
                    if let Some(bytes) = live.remove(first) {
                        live.insert(second, bytes);
                    }
                }
                2 => prop_assert_eq!(disk.remove(first).is_ok(), live.remove(first).is_some()),
                _ => {
                    disk.sync_directory().unwrap();
                    durable.clone_from(&live);
                    possible.clear();
                }
            }
            for name in all {
                possible.entry(name).or_default().insert(live.get(name).cloned());
            }
        }
        let found = |disk: &MemoryDisk| -> BTreeMap<&str, Vec<u8>> {
            let names = names(disk);
            all.into_iter().filter(|name| names.iter().any(|found| found == name)).map(|name| (name, content(disk, name))).collect()
        };
        prop_assert_eq!(&found(&disk), &live);
        prop_assert_eq!(&found(&disk.crash_clean()), &durable);
        prop_assert_eq!(&found(&disk.kill().crash_clean()), &durable);
        let left = found(&disk.crash(seed));
        for (name, bytes) in &left {
            let was_there = durable.get(name) == Some(bytes) || possible[name].contains(&Some(bytes.clone()));
            prop_assert!(was_there, "{} holds {:?}", name, bytes);
        }
        let contents: BTreeSet<_> = left.values().collect();
        prop_assert_eq!(contents.len(), left.len());
    }
}

#[test]
fn a_direct_read_shows_what_a_failed_sync_lost() {
    let disk = MemoryDisk::new();
    let file = disk.open("x", Open::Create).unwrap();
    write(&*file, &[1; 2048], 0);
    file.sync_all().unwrap();
    write(&*file, &[2; 512], 512);
    disk.fail_syncs(1);
    assert!(file.sync_data().is_err());
    write(&*file, &[3; 512], 1024);
    let mut buffer = crate::disk::DirectBuffer::new(4096);
    let read = disk.open("x", Open::Direct).unwrap().read_at(buffer.bytes_mut(), 0).unwrap();
    let device: Vec<u8> = [1, 1, 3, 1].into_iter().flat_map(|byte| [byte; 512]).collect();
    assert!(buffer.bytes()[..read] == device, "the lost sector is as it was, the dirty one is written back");
    let mut cached = [0; 2048];
    file.read_at(&mut cached, 0).unwrap();
    assert_eq!(cached[512], 2, "the page cache still shows it");
}
