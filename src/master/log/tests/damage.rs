//! Goal: each row of the table of recovery in FORMAT.md, "The metadata log". Method: logs that are damaged by hand.

use super::world::*;
use crate::disk::{Disk, MemoryDisk, Open};
use crate::master::log::HardState;
use crate::master::log::Record;

const FIRST: &str = "log-0000000000000000";

/// Three records of one entry each, and a stop: with or without closing frame and mark.
fn three(clean: bool) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let (mut log, _) = open(&disk, at(0, 0));
    for index in 1..=3 {
        log.append(&record(index, index, 1, 700)).unwrap();
    }
    if clean {
        log.close().unwrap()
    } else {
        drop(log)
    }
    disk
}

/// A log of several segments, stopped cleanly; their names.
fn long() -> (MemoryDisk, Vec<String>) {
    let disk = MemoryDisk::new();
    let (mut log, _) = open(&disk, at(0, 0));
    for index in 1..=20 {
        log.append(&record(index, index, 1, 3000)).unwrap();
    }
    log.close().unwrap();
    let names: Vec<_> = names(&disk).into_iter().filter(|name| name != "log-mark").collect();
    assert!(names.len() >= 4, "{names:?}");
    (disk, names)
}

/// The sequence in a name, which is one less than the index of the first entry in these tests.
fn first_of(name: &str) -> u64 {
    u64::from_str_radix(name.strip_prefix("log-").unwrap(), 16).unwrap()
}

#[test]
fn a_torn_tail_is_copied_aside_and_cut() {
    for part in [0, 60, 100, 200, 700] {
        let disk = three(false);
        let third = frames(&disk, FIRST)[2];
        let bytes = content(&disk, FIRST);
        flip(&disk, FIRST, third + part);
        let (mut log, report) = open(&disk, at(0, 0));
        let torn = report.torn.unwrap_or_else(|| panic!("byte {part} of the group"));
        assert!(torn.position as usize >= third && torn.position as usize <= third + 96, "{torn:?}");
        let copy = content(&disk, &torn.copy);
        assert_eq!(copy.len() as u64, torn.bytes);
        let different = copy.iter().zip(&bytes[torn.position as usize..]).filter(|(a, b)| a != b).count();
        assert!(different <= 1, "the copy is what was there");
        assert_eq!(log.last(), at(2, 1));
        log.append(&record(3, 3, 2, 50)).unwrap();
        drop(log);
        let (log, again) = open(&disk, at(0, 0));
        assert_eq!((again.torn, again.damages.len()), (None, 0));
        assert_eq!(all(&log), [entry(1, 1, 700), entry(2, 1, 700), entry(3, 2, 50)]);
    }
}

#[test]
fn a_group_that_is_half_there_is_cut() {
    for kept in [1, 96, 97, 400, 512, 800] {
        let disk = three(false);
        let third = frames(&disk, FIRST)[2];
        write(&disk, FIRST, third + kept, &vec![0; 2000]);
        let (log, report) = open(&disk, at(0, 0));
        // A frame alone says nothing, so there is nothing to cut.
        assert_eq!((report.torn.is_some(), log.last()), (kept != 96, at(2, 1)), "{kept} bytes of it: {report:?}");
    }
    // Nothing of it: there is nothing to cut.
    let disk = three(false);
    write(&disk, FIRST, frames(&disk, FIRST)[2], &vec![0; 2000]);
    let (log, report) = open(&disk, at(0, 0));
    assert_eq!((report.torn, log.last()), (None, at(2, 1)));
}

#[test]
fn damage_below_the_mark_is_an_error_and_changes_nothing() {
    for (number, clean) in [(0, false), (1, false), (0, true), (1, true), (2, true)] {
        let disk = three(clean);
        let frame = frames(&disk, FIRST)[number];
        flip(&disk, FIRST, frame + 96 + 130);
        let before = names(&disk);
        let damage = damage(&disk, at(0, 0));
        let place = format!("memory/{FIRST} at byte {}", frame + 96);
        assert!(damage.starts_with(&place) && damage.contains("backup"), "{damage}");
        assert_eq!(names(&disk), before);
        // The state has what was before it, but not all of it.
        if number > 0 {
            super::world::damage(&disk, at(number as u64, 1));
        }
        // With the state behind it, it costs nothing.
        let (mut log, report) = open(&disk, at(number as u64 + 1, 1));
        assert_eq!((report.damages.len(), report.torn), (1, None), "record {number}, clean: {clean}");
        assert_eq!(all(&log), (number as u64 + 2..=3).map(|index| entry(index, 1, 700)).collect::<Vec<_>>());
        assert_eq!((log.hard().term, log.hard().vote), (1, 1));
        log.append(&record(4, 4, 1, 10)).unwrap();
        drop(log);
        let (log, report) = open(&disk, at(number as u64 + 1, 1));
        assert!(report.torn.is_none() && log.last() == at(4, 1));
    }
}

#[test]
fn a_damaged_frame_costs_no_record_that_is_proven() {
    for number in 0..3 {
        let disk = three(true);
        flip(&disk, FIRST, frames(&disk, FIRST)[number] + 40);
        let (log, report) = open(&disk, at(0, 0));
        assert_eq!((report.damages.len(), report.torn), (0, None), "frame {number}");
        assert_eq!(all(&log).len(), 3);
    }
    // Without the mark file the frames behind it prove it.
    let disk = three(false);
    flip(&disk, FIRST, frames(&disk, FIRST)[1] + 40);
    disk.remove("log-mark").unwrap();
    let (log, report) = open(&disk, at(0, 0));
    assert_eq!((report.damages.len(), report.torn, all(&log).len()), (0, None, 3));
}

#[test]
fn a_log_that_was_cut_short_is_noticed() {
    let disk = three(true);
    let third = frames(&disk, FIRST)[2];
    disk.open(FIRST, Open::Write).unwrap().set_len(third as u64).unwrap();
    assert!(damage(&disk, at(2, 1)).contains("records 2 to 2"));
    let (mut log, report) = open(&disk, at(3, 1));
    assert_eq!((report.damages.len(), log.last(), log.segments()), (1, at(3, 1), 2));
    log.append(&record(4, 4, 2, 10)).unwrap();
    drop(log);
    let (log, _) = open(&disk, at(3, 1));
    assert_eq!(all(&log), [entry(4, 2, 10)]);
    assert_eq!(log.hard(), HardState { term: 2, vote: 1, commit: 3 });
}

#[test]
fn a_lost_vote_comes_back_from_the_mark() {
    let disk = MemoryDisk::new();
    let (mut log, _) = open(&disk, at(0, 0));
    log.append(&record(1, 1, 1, 10)).unwrap();
    let hard = HardState { term: 9, vote: 3, commit: 1 };
    log.append(&Record { hard, entries: Vec::new() }).unwrap();
    log.close().unwrap();
    flip(&disk, FIRST, frames(&disk, FIRST)[1] + 96 + 50);
    let (log, report) = open(&disk, at(1, 1));
    assert_eq!((log.hard(), report.damages.len()), (hard, 1));
}

#[test]
fn a_missing_segment_is_an_error_unless_the_state_has_it() {
    for gone in 0..3 {
        let (disk, names) = long();
        disk.remove(&names[gone]).unwrap();
        let past = first_of(&names[gone + 1]);
        let damage = damage(&disk, at(past - 1, 1));
        assert!(damage.contains("missing"), "{damage}");
        let (log, report) = open(&disk, at(past, 1));
        assert_eq!((all(&log).len() as u64, report.damages.len()), (20 - past, 0));
    }
    // The newest: the mark says what is missing.
    let (disk, names) = long();
    disk.remove(names.last().unwrap()).unwrap();
    assert!(damage(&disk, at(19, 1)).contains("missing"));
    let (log, _) = open(&disk, at(20, 1));
    assert_eq!((log.last(), log.hard().commit), (at(20, 1), 20));
    // All of them.
    let (disk, names) = long();
    names.iter().for_each(|name| disk.remove(name).unwrap());
    assert!(damage(&disk, at(20, 1)).contains("the log is gone"));
    disk.remove("log-mark").unwrap();
    assert!(damage(&disk, at(20, 1)).contains("the log is gone"));
    let restored = crate::master::log::LogOptions { restored: true, ..small() };
    let (mut log, _) =
        crate::master::log::Log::open(std::sync::Arc::new(disk.clone()), OWNER, at(20, 1), &restored).unwrap();
    assert_eq!(log.hard(), HardState { term: 1, vote: 0, commit: 20 });
    log.append(&record(21, 21, 2, 10)).unwrap();
    drop(log);
    let (log, _) = open(&disk, at(20, 1));
    assert_eq!(all(&log), [entry(21, 2, 10)]);
}

#[test]
fn swapped_and_foreign_segments_are_refused() {
    let (disk, names) = long();
    disk.rename(&names[1], "aside").unwrap();
    disk.rename(&names[2], &names[1]).unwrap();
    disk.rename("aside", &names[2]).unwrap();
    let damage_of_swap = damage(&disk, at(0, 0));
    assert!(damage_of_swap.contains(&names[1]) && damage_of_swap.contains("swapped"), "{damage_of_swap}");
    // Of another log of the same directory.
    let (disk, names) = long();
    let (other, _) = long();
    write(&disk, &names[1], 0, &content(&other, &names[1]));
    assert!(damage(&disk, at(0, 0)).contains("another log"));
    // Of another directory.
    let stranger = std::sync::Arc::new(disk.clone());
    let error = crate::master::log::Log::open(stranger, OWNER + 1, at(0, 0), &small()).unwrap_err();
    assert!(error.to_string().contains("another directory"), "{error}");
    // A directory in its place cannot be in memory; a name that is none of ours is left alone.
    let (disk, _) = long();
    write(&disk, "log-notes", 0, b"of people");
    open(&disk, at(0, 0));
    assert_eq!(content(&disk, "log-notes"), b"of people");
}

#[test]
fn a_later_version_is_refused() {
    let (disk, names) = long();
    let mut header = content(&disk, &names[1])[..512].to_vec();
    header[16] = 2;
    let checksum = crate::base::checksum::keyed(0, &header[16..512]);
    header[8..16].copy_from_slice(&checksum.to_le_bytes());
    write(&disk, &names[1], 0, &header);
    assert!(damage(&disk, at(0, 0)).contains("version 2"));
    let (disk, _) = long();
    let slot = crate::journal::encode_slot(u64::from_le_bytes(*b"LARDLMRK"), 2, 99, 0, &[0; 8]);
    write(&disk, "log-mark", 0, &slot);
    assert!(damage(&disk, at(0, 0)).contains("version 2"));
}

#[test]
fn segments_that_come_back_are_removed_again() {
    // All that the cut removed, and each of them alone.
    for back in [&[0, 1, 2][..], &[0], &[1], &[2], &[0, 2]] {
        let (disk, all_names) = long();
        let kept: Vec<_> = all_names.iter().take(3).map(|name| (name.clone(), content(&disk, name))).collect();
        let cut = at(first_of(&all_names[3]) + 1, 1);
        let (mut log, _) = open(&disk, at(0, 0));
        log.cut(cut).unwrap();
        log.close().unwrap();
        assert!(kept.iter().all(|(name, _)| !names(&disk).contains(name)));
        for &number in back {
            write(&disk, &kept[number].0, 0, &kept[number].1);
        }
        let (log, report) = open(&disk, cut);
        assert_eq!((report.removed.len(), report.damages.len()), (back.len(), 0), "{back:?}");
        assert!(kept.iter().all(|(name, _)| !names(&disk).contains(name)), "{back:?}");
        assert_eq!((log.last(), all(&log).len() as u64), (at(20, 1), 20 - cut.index));
    }
}

#[test]
fn a_segment_that_was_never_written_to_goes_away() {
    let (disk, _) = long();
    let (log, _) = open(&disk, at(0, 0));
    let next = format!("log-{:016x}", log.next().0);
    drop(log);
    for length in [0, 100, 512, 16 << 10] {
        write(&disk, &next, 0, &vec![0; length]);
        let (log, report) = open(&disk, at(0, 0));
        assert_eq!((report.removed, report.damages.len()), (vec![next.clone()], 0), "{length} bytes");
        assert_eq!(all(&log).len(), 20);
    }
    // The very first one.
    let disk = MemoryDisk::new();
    write(&disk, FIRST, 0, &[0; 512]);
    let (_, report) = open(&disk, at(0, 0));
    assert!(report.created && report.removed == [FIRST]);
}

#[test]
fn a_damaged_header_costs_nothing_where_others_say_the_same() {
    let (disk, segments) = long();
    for (number, name) in segments.iter().enumerate() {
        let image = disk.kill();
        flip(&image, name, 30);
        if number == 0 {
            // Where the log begins no other says what was before it, but its first entry does.
            let (log, _) = open(&image, at(0, 0));
            assert_eq!(all(&log).len(), 20);
            continue;
        }
        let (log, report) = open(&image, at(0, 0));
        assert_eq!((all(&log).len(), report.headers_damaged, report.damages.len()), (20, 1, 0), "{name}");
    }
    // Header and mark, and no other segment: nothing says how to read it.
    let disk = three(true);
    flip(&disk, FIRST, 30);
    disk.remove("log-mark").unwrap();
    assert!(damage(&disk, at(3, 1)).contains("neither"));
}

#[test]
fn a_damaged_mark_file_only_proves_less() {
    let disk = three(true);
    flip(&disk, "log-mark", 20);
    flip(&disk, "log-mark", 4096 + 20);
    let (log, report) = open(&disk, at(0, 0));
    assert!(report.mark_damaged && !report.clean && all(&log).len() == 3);
    drop(log);
    let (_, report) = open(&disk, at(0, 0));
    assert!(!report.mark_damaged);
}

#[test]
fn a_state_that_contradicts_the_log_is_refused() {
    let disk = three(true);
    assert!(damage(&disk, at(2, 7)).contains("another term"));
    // The state is ahead: its end is where the log goes on.
    let (log, report) = open(&disk, at(9, 4));
    assert!(report.state_is_ahead);
    assert_eq!((log.last(), log.hard()), (at(9, 4), HardState { term: 4, vote: 0, commit: 9 }));
    // The state is behind what the log still has.
    let (disk, segments) = long();
    let (mut log, _) = open(&disk, at(0, 0));
    log.cut(at(15, 1)).unwrap();
    drop(log);
    let lowest = names(&disk).into_iter().find(|name| name != "log-mark").unwrap();
    assert_ne!(lowest, segments[0]);
    let damage = damage(&disk, at(2, 1));
    assert!(damage.contains(&lowest) && damage.contains("missing"), "{damage}");
}

#[test]
fn a_whole_segment_of_another_past_does_not_pass() {
    // A copy of the directory went its own way; then files of both are mixed.
    let disk = MemoryDisk::new();
    let (mut log, _) = open(&disk, at(0, 0));
    log.append(&record(1, 1, 1, 10)).unwrap();
    drop(log);
    let twin = disk.kill();
    for (disk, term) in [(&disk, 2), (&twin, 3)] {
        let (mut log, _) = open(disk, at(0, 0));
        for index in 2..=12 {
            log.append(&record(index, index, term, 3000)).unwrap();
        }
        log.close().unwrap();
    }
    let second = names(&disk).into_iter().nth(1).unwrap();
    assert!(names(&twin).contains(&second));
    write(&disk, &second, 0, &content(&twin, &second));
    let damage = damage(&disk, at(0, 0));
    assert!(damage.contains(&second) && damage.contains("continue"), "{damage}");
}
