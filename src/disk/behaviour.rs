//! What every disk does, checked against the real one and the one in memory alike, and through a faulty one at rest.

use super::{DIRECT_BYTES, DirectBuffer, Disk, EntryKind, FaultPlan, FaultyDisk, File, MemoryDisk, Open, RealDisk};
use std::io::{self, IoSlice};
use std::sync::Arc;

/// Runs a check on each kind of disk, empty.
fn on_each_disk(check: impl Fn(&dyn Disk)) {
    let place = tempfile::tempdir().unwrap();
    check(&RealDisk::open(place.path().join("a/b")).unwrap());
    check(&MemoryDisk::new());
    check(&FaultyDisk::new(Arc::new(MemoryDisk::new()), FaultPlan::default()));
}

fn write(file: &dyn File, bytes: &[u8], offset: u64) {
    file.write_all_at(&mut [IoSlice::new(bytes)], offset).unwrap();
}

fn read(file: &dyn File, offset: u64, bytes: usize) -> Vec<u8> {
    let mut into = vec![0xee; bytes];
    let filled = file.read_at(&mut into, offset).unwrap();
    into.truncate(filled);
    into
}

fn kind<T>(result: io::Result<T>) -> io::ErrorKind {
    result.map(|_| ()).unwrap_err().kind()
}

fn names(disk: &dyn Disk) -> Vec<String> {
    let mut names: Vec<String> = disk.list().unwrap().into_iter().map(|entry| entry.name).collect();
    names.sort();
    names
}

#[test]
fn a_file_is_created_once_and_opened_when_it_is_there() {
    on_each_disk(|disk| {
        assert_eq!(kind(disk.open("x", Open::Read)), io::ErrorKind::NotFound);
        assert_eq!(kind(disk.open("x", Open::Write)), io::ErrorKind::NotFound);
        let file = disk.open("x", Open::Create).unwrap();
        assert!(file.is_empty().unwrap());
        assert_eq!(kind(disk.open("x", Open::Create)), io::ErrorKind::AlreadyExists);
        write(&*file, b"hello", 0);
        let other = disk.open("x", Open::Write).unwrap();
        write(&*other, b"J", 0);
        assert_eq!(read(&*disk.open("x", Open::Read).unwrap(), 0, 9), b"Jello");
        assert_eq!(file.len().unwrap(), 5);
    });
}

#[test]
fn a_file_opened_for_reading_takes_no_change() {
    on_each_disk(|disk| {
        write(&*disk.open("x", Open::Create).unwrap(), b"kept", 0);
        let file = disk.open("x", Open::Read).unwrap();
        assert!(file.write_all_at(&mut [IoSlice::new(b"no")], 0).is_err());
        assert!(file.set_len(0).is_err());
        assert!(file.allocate(0, 1 << 20).is_err());
        assert!(file.punch(0, 4).is_err());
        file.sync_data().unwrap();
        assert_eq!(read(&*file, 0, 9), b"kept");
    });
}

#[test]
fn names_are_plain() {
    on_each_disk(|disk| {
        for name in ["", ".", "..", "a/b", "/a", "a\0b", &"n".repeat(256)] {
            assert!(disk.open(name, Open::Create).is_err(), "{name:?}");
            assert!(disk.rename("x", name).is_err(), "{name:?}");
            assert!(disk.remove(name).is_err(), "{name:?}");
            assert!(disk.lock(name).is_err(), "{name:?}");
        }
        assert!(disk.list().unwrap().is_empty());
        disk.open(&"n".repeat(255), Open::Create).unwrap();
    });
}

#[test]
fn a_read_is_short_only_at_the_end() {
    on_each_disk(|disk| {
        let file = disk.open("x", Open::Create).unwrap();
        write(&*file, b"0123456789", 5000);
        assert_eq!(read(&*file, 5004, 100), b"456789");
        assert_eq!(read(&*file, 5010, 4), b"");
        assert_eq!(read(&*file, 1 << 40, 4), b"");
        assert_eq!(read(&*file, 5000, 0), b"");
        assert_eq!(read(&*file, 4998, 4), b"\0\x0001");
        assert!(file.read_at(&mut [0], u64::MAX).is_err());
        assert!(file.read_cached_at(&mut [0], u64::MAX).is_err());
    });
}

#[test]
fn a_cached_read_is_all_there_is_or_none() {
    on_each_disk(|disk| {
        let file = disk.open("x", Open::Create).unwrap();
        write(&*file, b"0123456789", 0);
        for (offset, bytes, there) in [(0, 4, 4), (6, 100, 4), (10, 1, 0), (50, 7, 0), (3, 0, 0)] {
            let mut into = vec![0; bytes];
            // Not every file system can read without waiting.
            if let Some(filled) = file.read_cached_at(&mut into, offset).unwrap() {
                assert_eq!(filled, there);
                assert_eq!(into[..filled], read(&*file, offset, bytes));
            }
        }
        assert!(file.resident(10, 100).unwrap(), "nothing lies beyond the end");
        file.resident(0, 10).unwrap();
        file.drop_pages().unwrap();
        assert_eq!(read(&*file, 0, 10), b"0123456789");
    });
}

#[test]
fn a_direct_read_is_aligned_and_short_only_at_the_end() {
    on_each_disk(|disk| {
        assert_eq!(kind(disk.open("x", Open::Direct)), io::ErrorKind::NotFound);
        let file = disk.open("x", Open::Create).unwrap();
        let expected: Vec<u8> = (0..50_000u32).map(|n| (n % 251) as u8).collect();
        write(&*file, &expected, 0);
        let direct = disk.open("x", Open::Direct).unwrap();
        let mut buffer = DirectBuffer::new(8 * DIRECT_BYTES);
        let mut seen = Vec::new();
        loop {
            let filled = direct.read_at(buffer.bytes_mut(), seen.len() as u64).unwrap();
            seen.extend_from_slice(&buffer.bytes()[..filled]);
            if filled < buffer.capacity() {
                break;
            }
        }
        assert!(seen == expected, "what is dirty is read too");
        write(&*file, b"new", 4096);
        assert_eq!(direct.read_at(buffer.bytes_mut(), 4096).unwrap(), 8 * DIRECT_BYTES);
        assert_eq!(&buffer.bytes()[..3], b"new", "and what was written after it was opened");
        assert_eq!(direct.read_at(buffer.bytes_mut(), 1 << 30).unwrap(), 0);
        assert_eq!(direct.len().unwrap(), 50_000);
        assert_eq!(kind(direct.read_at(buffer.bytes_mut(), 512)), io::ErrorKind::InvalidInput);
        assert_eq!(kind(direct.read_at(&mut buffer.bytes_mut()[..100], 0)), io::ErrorKind::InvalidInput);
        assert_eq!(kind(direct.read_at(&mut buffer.bytes_mut()[1..4097], 0)), io::ErrorKind::InvalidInput);
        assert_eq!(direct.read_cached_at(&mut [0], 0).unwrap(), None);
        assert!(direct.write_all_at(&mut [IoSlice::new(b"no")], 0).is_err() && direct.set_len(0).is_err());
    });
}

#[test]
fn many_parts_are_written_one_after_another() {
    on_each_disk(|disk| {
        let file = disk.open("x", Open::Create).unwrap();
        let bytes: Vec<u8> = (0..30_000u32).map(|n| (n % 251) as u8).collect();
        // More than the kernel takes at once, with empty ones among them, more of those than it takes too.
        let mut parts: Vec<IoSlice<'_>> = bytes.chunks(7).map(IoSlice::new).collect();
        parts.splice(100..100, (0..1500).map(|_| IoSlice::new(&[])));
        file.write_all_at(&mut parts, 3).unwrap();
        assert_eq!(file.len().unwrap(), 30_003);
        assert_eq!(read(&*file, 3, 40_000), bytes);
        file.write_all_at(&mut [], 0).unwrap();
        file.write_all_at(&mut [IoSlice::new(&[])], 1 << 20).unwrap();
        assert_eq!(file.len().unwrap(), 30_003);
    });
}

#[test]
fn names_are_moved_removed_and_listed() {
    on_each_disk(|disk| {
        write(&*disk.open("a", Open::Create).unwrap(), b"from a", 0);
        write(&*disk.open("b", Open::Create).unwrap(), b"from b!", 0);
        let old = disk.open("b", Open::Read).unwrap();
        disk.rename("a", "b").unwrap();
        assert_eq!(names(disk), ["b"]);
        assert_eq!(read(&*disk.open("b", Open::Read).unwrap(), 0, 9), b"from a");
        assert_eq!(read(&*old, 0, 9), b"from b!", "a handle keeps its file");
        disk.rename("b", "b").unwrap();
        assert_eq!(kind(disk.rename("a", "c")), io::ErrorKind::NotFound);
        let entries = disk.list().unwrap();
        assert_eq!((entries[0].kind, entries[0].bytes), (EntryKind::File, 6));
        disk.remove("b").unwrap();
        assert_eq!(kind(disk.remove("b")), io::ErrorKind::NotFound);
        assert!(disk.list().unwrap().is_empty());
        disk.sync_directory().unwrap();
        assert_eq!(read(&*old, 0, 9), b"from b!");
    });
}

#[test]
fn a_directory_has_one_holder() {
    on_each_disk(|disk| {
        let held = disk.lock("lock").unwrap();
        assert_eq!(kind(disk.lock("lock")), io::ErrorKind::WouldBlock);
        drop(held);
        let held = disk.lock("lock").unwrap();
        assert_eq!(kind(disk.lock("lock")), io::ErrorKind::WouldBlock);
        assert_eq!(names(disk), ["lock"]);
        drop(held);
    });
}

#[test]
fn reserved_room_reads_as_zeros() {
    on_each_disk(|disk| {
        let file = disk.open("x", Open::Create).unwrap();
        write(&*file, b"kept", 0);
        file.allocate(0, 1 << 20).unwrap();
        assert_eq!(file.len().unwrap(), 1 << 20);
        let mut expected = vec![0; 1 << 20];
        expected[..4].copy_from_slice(b"kept");
        assert_eq!(read(&*file, 0, 2 << 20), expected);
        file.allocate(0, 10).unwrap();
        file.allocate(9 << 20, 0).unwrap();
        assert_eq!(file.len().unwrap(), 1 << 20);
    });
}

#[test]
fn punched_bytes_are_zeros_and_the_length_stays() {
    on_each_disk(|disk| {
        let file = disk.open("x", Open::Create).unwrap();
        let mut expected = vec![7; 20_000];
        write(&*file, &expected, 0);
        file.punch(1000, 10_000).unwrap();
        file.punch(19_000, 5_000).unwrap();
        file.punch(3, 0).unwrap();
        expected[1000..11_000].fill(0);
        expected[19_000..].fill(0);
        assert_eq!(read(&*file, 0, 30_000), expected);
    });
}

#[test]
fn what_was_cut_does_not_come_back() {
    on_each_disk(|disk| {
        let file = disk.open("x", Open::Create).unwrap();
        write(&*file, &[9; 10_000], 0);
        file.sync_all().unwrap();
        file.set_len(100).unwrap();
        assert_eq!(file.len().unwrap(), 100);
        file.set_len(9_000).unwrap();
        let mut expected = vec![0; 9_000];
        expected[..100].fill(9);
        assert_eq!(read(&*file, 0, 10_000), expected);
        file.start_writeback(0, 9_000).unwrap();
        file.start_writeback(0, 0).unwrap();
        file.sync_data().unwrap();
    });
}

#[test]
fn free_room_is_part_of_all_room() {
    on_each_disk(|disk| {
        let space = disk.space().unwrap();
        assert!(space.free <= space.total && space.total > 0);
        assert!(!disk.place().is_empty());
    });
}

#[test]
fn a_real_directory_lists_what_is_not_ours() {
    let place = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(place.path()).unwrap();
    std::fs::create_dir(place.path().join("sub")).unwrap();
    std::os::unix::fs::symlink("/dev/null", place.path().join("link")).unwrap();
    let mut entries = disk.list().unwrap();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let kinds: Vec<_> = entries.iter().map(|entry| (entry.name.as_str(), entry.kind)).collect();
    assert_eq!(kinds, [("link", EntryKind::Other), ("sub", EntryKind::Directory)]);
    assert!(disk.open("link", Open::Read).is_err(), "links are not followed");
}

#[test]
fn a_real_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let place = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(place.path()).unwrap();
    disk.open("x", Open::Create).unwrap();
    let mode = std::fs::metadata(place.path().join("x")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_real_disk_is_not_a_file() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("x"), "").unwrap();
    assert!(RealDisk::open(place.path().join("x")).is_err());
    assert!(RealDisk::open(place.path().join("x/y")).is_err());
}
