//! Each fault strikes the call that it was made for, and no other.

use super::*;
use crate::disk::MemoryDisk;
use rustix::io::Errno;
use std::thread;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

fn faulty(plan: FaultPlan) -> (FaultyDisk, Arc<Faults>, Arc<dyn File>) {
    let disk = FaultyDisk::new(Arc::new(MemoryDisk::new()), plan);
    let faults = disk.faults();
    let file = disk.open("x", Open::Create).unwrap();
    (disk, faults, file)
}

fn write(file: &dyn File, bytes: &[u8]) -> io::Result<()> {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    file.write_all_at(&mut [IoSlice::new(first), IoSlice::new(second)], 0)
}

fn content(file: &dyn File) -> Vec<u8> {
    let mut into = vec![0; 100];
    let filled = file.read_at(&mut into, 0).unwrap();
    into.truncate(filled);
    into
}

fn errno<T>(result: io::Result<T>) -> Option<i32> {
    result.map(|_| ()).unwrap_err().raw_os_error()
}

const EIO: i32 = Errno::IO.raw_os_error();
const ENOSPC: i32 = Errno::NOSPC.raw_os_error();

#[test]
fn the_nth_call_fails_once() {
    let (_, faults, file) =
        faulty(FaultPlan { faults: vec![Fault::error(Call::SyncData, EIO).at(2)], ..FaultPlan::default() });
    file.sync_data().unwrap();
    assert_eq!(errno(file.sync_data()), Some(EIO));
    file.sync_data().unwrap();
    file.sync_all().unwrap();
    assert_eq!((faults.count(Call::SyncData), faults.count(Call::SyncAll)), (3, 1));
}

#[test]
fn a_fault_may_last_and_be_healed() {
    let (_, faults, file) = faulty(FaultPlan::default());
    faults.add(Fault::error(Call::Write, ENOSPC).times(2));
    assert_eq!(errno(write(&*file, b"one")), Some(ENOSPC));
    assert_eq!(errno(write(&*file, b"two")), Some(ENOSPC));
    write(&*file, b"three").unwrap();
    faults.add(Fault::error(Call::Write, EIO).for_good());
    for _ in 0..5 {
        assert_eq!(errno(write(&*file, b"four")), Some(EIO));
    }
    assert_eq!(content(&*file), b"three");
    faults.heal();
    write(&*file, b"fives").unwrap();
    assert_eq!(content(&*file), b"fives");
}

#[test]
fn a_fault_may_be_of_one_file() {
    let (disk, faults, x) = faulty(FaultPlan::default());
    let y = disk.open("y", Open::Create).unwrap();
    faults.add(Fault::error(Call::Write, EIO).on("y").for_good());
    write(&*x, b"fine").unwrap();
    assert!(write(&*y, b"not").is_err());
}

#[test]
fn every_kind_of_call_can_fail() {
    for call in Call::ALL {
        let (disk, faults, file) = faulty(FaultPlan::default());
        faults.add(Fault::error(call, EIO));
        let result = match call {
            Call::Open => disk.open("x", Open::Read).map(|_| ()),
            Call::List => disk.list().map(|_| ()),
            Call::Rename => disk.rename("x", "y"),
            Call::Remove => disk.remove("x"),
            Call::SyncDirectory => disk.sync_directory(),
            Call::Space => disk.space().map(|_| ()),
            Call::Lock => disk.lock("lock").map(|_| ()),
            Call::Read => file.read_at(&mut [0], 0).map(|_| ()),
            Call::ReadCached => file.read_cached_at(&mut [0], 0).map(|_| ()),
            Call::Resident => file.resident(0, 1).map(|_| ()),
            Call::Write => write(&*file, b"x"),
            Call::SyncData => file.sync_data(),
            Call::SyncAll => file.sync_all(),
            Call::StartWriteback => file.start_writeback(0, 1),
            Call::Allocate => file.allocate(0, 1),
            Call::Punch => file.punch(0, 1),
            Call::SetLen => file.set_len(1),
            Call::Len => file.len().map(|_| ()),
            Call::DropPages => file.drop_pages(),
        };
        assert_eq!(errno(result), Some(EIO), "{call:?}");
        assert_eq!(disk.inner.list().unwrap().len(), 1, "{call:?} did nothing");
        assert_eq!(file.len().unwrap(), 0, "{call:?} did nothing");
        assert_eq!(Call::ALL[call as usize], call);
    }
}

#[test]
fn a_torn_write_leaves_its_beginning() {
    for bytes in [0, 1, 3, 5, 6, 100] {
        let (_, faults, file) = faulty(FaultPlan::default());
        faults.add(Fault::torn_write(bytes, EIO));
        assert_eq!(errno(write(&*file, b"abcdef")), Some(EIO));
        assert_eq!(content(&*file), b"abcdef"[..bytes.min(6)]);
    }
}

#[test]
fn a_write_that_the_system_takes_in_two_goes_is_whole() {
    for bytes in [0, 1, 3, 5, 6, 100] {
        let (_, faults, file) = faulty(FaultPlan::default());
        faults.add(Fault::short_write(bytes));
        write(&*file, b"abcdef").unwrap();
        assert_eq!(content(&*file), b"abcdef", "{bytes}");
    }
}

#[test]
fn a_misdirected_write_lies_elsewhere() {
    let (_, faults, file) = faulty(FaultPlan::default());
    write(&*file, b"abcdef").unwrap();
    faults.add(Fault::misdirected_write(3));
    write(&*file, b"XY").unwrap();
    assert_eq!(content(&*file), b"abcXYf");
    write(&*file, b"Z").unwrap();
    assert_eq!(content(&*file), b"ZbcXYf");
}

#[test]
fn a_record_tells_calls_and_how_they_ended() {
    let (disk, faults, file) = faulty(FaultPlan::default());
    assert!(faults.record().is_empty(), "nothing is recorded before it is asked for");
    faults.add(Fault::error(Call::SyncData, EIO));
    write(&*file, b"abc").unwrap();
    file.sync_data().unwrap_err();
    disk.open("missing", Open::Read).unwrap_err();
    disk.sync_directory().unwrap();
    let called = |call, name: &str, failed| Called { call, name: name.to_owned(), failed };
    let expected = [
        called(Call::Write, "x", false),
        called(Call::SyncData, "x", true),
        called(Call::Open, "missing", true),
        called(Call::SyncDirectory, "", false),
    ];
    assert_eq!(faults.record(), expected);
    assert!(faults.record().is_empty(), "each call is told once");
}

#[test]
fn a_lost_call_says_that_it_went_well() {
    let memory = MemoryDisk::new();
    let disk = FaultyDisk::new(Arc::new(memory.clone()), FaultPlan::default());
    let file = disk.open("x", Open::Create).unwrap();
    disk.sync_directory().unwrap();
    disk.faults().add(Fault::lost(Call::Write));
    write(&*file, b"never").unwrap();
    assert_eq!(content(&*file), b"");
    write(&*file, b"there").unwrap();
    disk.faults().add(Fault::lost(Call::SyncData));
    file.sync_data().unwrap();
    let left = memory.crash_clean().open("x", Open::Read).unwrap();
    assert_eq!(left.len().unwrap(), 0);
    assert_eq!(content(&*file), b"there");
}

#[test]
fn a_turned_bit_is_found_where_it_is() {
    let (_, faults, file) = faulty(FaultPlan::default());
    write(&*file, b"abcdef").unwrap();
    faults.add(Fault::flip(2, 0x20).for_good());
    faults.add(Fault::flip(3, 0x01).for_good());
    faults.add(Fault::flip(50, 0x01).for_good());
    assert_eq!(content(&*file), b"abCeef");
    let mut into = [0; 2];
    assert_eq!(file.read_cached_at(&mut into, 2).unwrap(), Some(2));
    assert_eq!(&into, b"Ce");
    file.read_at(&mut into, 0).unwrap();
    assert_eq!(&into, b"ab");
    file.read_at(&mut into, 4).unwrap();
    assert_eq!(&into, b"ef");
}

#[test]
fn a_cold_disk_has_nothing_cached() {
    let (_, faults, file) = faulty(FaultPlan { cold: true, ..FaultPlan::default() });
    write(&*file, b"abc").unwrap();
    assert_eq!(file.read_cached_at(&mut [0; 3], 0).unwrap(), None);
    assert!(!file.resident(0, 3).unwrap());
    assert_eq!(content(&*file), b"abc");
    faults.set_cold(false);
    assert_eq!(file.read_cached_at(&mut [0; 3], 0).unwrap(), Some(3));
    assert!(file.resident(0, 3).unwrap());
}

#[test]
fn a_hung_call_waits_for_its_release_and_others_do_not() {
    let (_, faults, file) = faulty(FaultPlan::default());
    write(&*file, b"abc").unwrap();
    faults.hang(&Call::ALL);
    thread::scope(|scope| {
        let reads: Vec<_> = (0..3).map(|_| scope.spawn(|| content(&*file))).collect();
        assert!(faults.wait_until_hanging(3, LONG));
        assert_eq!(file.read_cached_at(&mut [0; 3], 0).unwrap(), Some(3));
        assert!(file.resident(0, 3).unwrap());
        assert!(reads.iter().all(|read| !read.is_finished()));
        faults.release();
        for read in reads {
            assert_eq!(read.join().unwrap(), b"abc");
        }
    });
    assert_eq!(faults.hanging(), 0);
    assert!(faults.wait_until_called(Call::Read, 3, Duration::ZERO));
    assert!(!faults.wait_until_called(Call::Read, 4, Duration::ZERO));
    assert_eq!(content(&*file), b"abc");
}

#[test]
fn a_call_that_is_let_go_is_not_held_again() {
    let (_, faults, file) = faulty(FaultPlan::default());
    faults.hang(&[Call::SyncData]);
    faults.add(Fault::error(Call::SyncData, EIO));
    thread::scope(|scope| {
        let sync = scope.spawn(|| file.sync_data());
        assert!(faults.wait_until_hanging(1, LONG));
        faults.release();
        faults.hang(&[Call::SyncData]);
        assert_eq!(errno(sync.join().unwrap()), Some(EIO));
    });
}

#[test]
fn a_delay_holds_only_calls_that_wait() {
    let delay = Duration::from_millis(30);
    let (_, faults, file) = faulty(FaultPlan {
        delays: vec![(Call::Read, delay), (Call::ReadCached, LONG), (Call::Resident, LONG)],
        ..FaultPlan::default()
    });
    let start = Instant::now();
    content(&*file);
    assert!(start.elapsed() >= delay);
    file.read_cached_at(&mut [0], 0).unwrap();
    file.resident(0, 1).unwrap();
    faults.delay(&[Call::Read], Duration::ZERO);
    content(&*file);
    assert!(start.elapsed() < LONG);
}
