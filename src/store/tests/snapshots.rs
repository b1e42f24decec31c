//! Goal: an index file changes nothing but what a start reads. Method: random runs on the disk in memory, opened twice
//! after each stop, with the index files and without: both must have the same view, writers and findings. Then each way
//! in which a file can be wrong, one by one.

use super::world::*;
use crate::base::ids::{DiskId, Epoch, ObjectId, Sequence, VolumeId};
use crate::disk::{Call, Disk, Fault, FaultPlan, FaultyDisk, MemoryDisk, Open};
use crate::store::segment::Segment;
use crate::store::slots::Slot;
use crate::store::snapshot::golden::{Content, Facts, Header, Hole, Owner, Slots, Snapshot, Unfit};
use crate::store::{Appended, Entry, Opened, open};
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Everything that readers and the appender know, as text.
fn all_of(opened: &Opened) -> String {
    let view = opened.catalog.view();
    let mut lines = Vec::new();
    for volume in view.volumes() {
        let writer = &opened.appender.writers[&volume];
        let tail =
            writer.tail.as_ref().map(|tail| (tail.end, tail.filled, tail.allocated, tail.synced, tail.closing_at));
        lines.push(format!(
            "{volume:?} {:?} {:?} {:?} {:?}",
            (writer.epoch, writer.epoch_due, writer.cut_back, writer.sealed),
            (writer.next, writer.chain),
            writer.closed_bytes,
            tail
        ));
        for segment in view.segments(volume) {
            lines.push(segment_of(segment));
        }
    }
    lines.push(format!("{:?} {:?}", opened.catalog.stats(), opened.appender.active));
    lines.join("\n")
}

fn segment_of(segment: &Segment) -> String {
    let slots: Vec<_> = segment.entries(segment.base()).map(|(sequence, slot)| (sequence.0, slot.bits())).collect();
    let (name, next, end) = (segment.name(), segment.next(), segment.end());
    format!("{name} {next:?} {end} {:?} {:?} {slots:?}", segment.closed(), segment.counts())
}

fn index_files(disk: &MemoryDisk) -> Vec<String> {
    let names = disk.list().unwrap().into_iter().map(|entry| entry.name);
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".index")).collect();
    names.sort();
    names
}

fn remove_index_files(disk: &MemoryDisk) {
    index_files(disk).iter().for_each(|name| disk.remove(name).unwrap());
    disk.sync_directory().unwrap();
}

fn bytes_of(disk: &MemoryDisk, name: &str) -> Vec<u8> {
    files(disk).into_iter().find(|(other, _)| other == name).unwrap().1
}

fn overwrite(disk: &MemoryDisk, name: &str, bytes: &[u8]) {
    let file = disk.open(name, Open::Write).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    file.write_all_at(&mut [IoSlice::new(bytes)], 0).unwrap();
    file.sync_all().unwrap();
}

/// Opens a copy without index files and one with them; both must agree.
fn open_both_ways(disk: &MemoryDisk) -> Opened {
    let bare = disk.kill();
    remove_index_files(&bare);
    let walked = store(&bare);
    assert_eq!(walked.report.segments_loaded, 0);
    let loaded = store(disk);
    assert_eq!(all_of(&loaded), all_of(&walked));
    assert_eq!(loaded.report.damages, walked.report.damages);
    assert_eq!(loaded.report.cuts, walked.report.cuts);
    assert_eq!((loaded.report.chain_breaks, walked.report.chain_breaks), (0, 0));
    assert!(loaded.report.scanned_bytes <= walked.report.scanned_bytes);
    loaded
}

fn group(opened: &mut Opened, dice: &mut Dice, ids: &mut Vec<ObjectId>) {
    let numbers = numbers(opened);
    let mut entries = Vec::new();
    for _ in 0..=dice.below(6) {
        match ids.get(dice.below(ids.len() as u64 + 1) as usize) {
            Some(&id) if dice.once_in(3) => entries.push(Entry::Delete { id }),
            _ => {
                let cookie = dice.below(u64::MAX);
                entries.push(put(&content(cookie, [0, 90, 700, 8000][dice.below(4) as usize]), cookie));
            }
        }
    }
    for outcome in opened.appender.append(&entries, 5, !dice.once_in(4), &numbers).unwrap() {
        if let Appended::Stored(id) = outcome {
            opened.superblock.raise(id.volume).unwrap();
            ids.push(id);
        }
    }
}

/// Damages the head of a needle and has it found by a walk.
fn damage(disk: &MemoryDisk, dice: &mut Dice) {
    let opened = store(disk);
    let view = opened.catalog.view();
    let segments: Vec<_> = view.volumes().flat_map(|volume| view.segments(volume)).cloned().collect();
    let places: Vec<_> = segments
        .iter()
        .flat_map(|segment| segment.entries(segment.base()).map(|(_, slot)| (segment.name(), slot.position())))
        .collect();
    let Some(&(name, position)) = places.get(dice.below(places.len() as u64 + 1) as usize) else { return };
    flip(disk, name, position + 20, 1);
    opened.appender.close().unwrap();
    remove_index_files(disk);
}

fn one_seed(seed: u64) -> (u64, u64, u64) {
    let mut dice = Dice(seed);
    let mut disk = MemoryDisk::new();
    let mut opened = store(&disk);
    let mut ids = Vec::new();
    let (mut clean, mut partly, mut holes) = (0, 0, 0);
    for _ in 0..60 {
        match dice.below(14) {
            0 => opened.appender.idle().unwrap(),
            1 => opened.appender.sync().unwrap(),
            2 | 3 => while opened.snapshots.step_after([1, 4000, 20_000][dice.below(3) as usize]).unwrap() {},
            4 => {
                opened.appender.close().unwrap();
                drop(opened.superblock);
                if dice.once_in(4) {
                    damage(&disk, &mut dice);
                    opened = store(&disk);
                    opened.appender.close().unwrap();
                    drop(opened.superblock);
                }
                opened = open_both_ways(&disk);
                let report = &opened.report;
                assert!(report.clean);
                // A closed segment whose end is lost is walked at each start.
                if !report.cases.contains_key("D") && !report.cases.contains_key("E") {
                    assert_eq!((report.segments, report.scanned_bytes), (0, 0), "{report:?}");
                }
                assert_eq!(report.snapshots_refused, [""; 0]);
                holes += report.damages.len() as u64;
                clean += 1;
            }
            5 => {
                disk = if dice.once_in(2) { disk.kill() } else { disk.crash(dice.below(u64::MAX)) };
                opened = open_both_ways(&disk);
                assert_eq!(opened.report.snapshots_refused, [""; 0]);
                partly += opened.report.segments_loaded;
                let view = opened.catalog.view();
                ids.retain(|id: &ObjectId| {
                    !matches!(view.locate(id.volume, id.sequence), crate::store::Located::Absent)
                });
            }
            _ => group(&mut opened, &mut dice, &mut ids),
        }
    }
    (clean, partly, holes)
}

#[test]
fn with_index_files_and_without_them_a_start_finds_the_same() {
    let mut sums = (0, 0, 0);
    for seed in 0..60 {
        println!("seed {seed}");
        let (clean, partly, holes) = one_seed(seed);
        sums = (sums.0 + clean, sums.1 + partly, sums.2 + holes);
    }
    assert!(sums.0 > 50 && sums.1 > 50 && sums.2 > 5, "too little happened: {sums:?}");
}

/// A closed segment, and an open one with tombstones, after a clean stop.
fn two_segments() -> (MemoryDisk, Vec<ObjectId>) {
    let disk = MemoryDisk::new();
    let mut opened = store(&disk);
    let ids: Vec<_> = (0..20).map(|n| store_one(&mut opened, &content(n, 5000), n, true)).collect();
    for id in [ids[0], ids[3], ids[15]] {
        delete(&mut opened, id).unwrap();
    }
    opened.appender.close().unwrap();
    assert!(index_files(&disk).len() > 1);
    (disk, ids)
}

#[test]
fn every_wrong_byte_is_noticed() {
    let (disk, _) = two_segments();
    let expected = all_of(&open_both_ways(&disk.kill()));
    for name in index_files(&disk) {
        let whole = bytes_of(&disk, &name);
        let mut wrong: Vec<Vec<u8>> = Vec::new();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            wrong.push(flipped);
            wrong.push(whole[..at].to_vec());
        }
        wrong.extend([1, 8, 512].map(|more| [&whole[..], &vec![0; more]].concat()));
        wrong.push(vec![0; whole.len()]);
        wrong.push(vec![0xff; whole.len()]);
        for other in index_files(&disk).iter().filter(|other| **other != name) {
            wrong.push(bytes_of(&disk, other));
        }
        for bytes in wrong {
            let copy = disk.kill();
            overwrite(&copy, &name, &bytes);
            let opened = store(&copy);
            assert_eq!(opened.report.snapshots_refused.len(), 1, "{name}");
            assert!(opened.report.snapshots_refused[0].starts_with(&name));
            assert_eq!(all_of(&opened), expected);
        }
    }
}

#[test]
fn an_index_file_that_was_thrown_away_is_written_anew() {
    let (disk, _) = two_segments();
    let name = index_files(&disk)[0].clone();
    let whole = bytes_of(&disk, &name);
    flip(&disk, &name, 200, 4);
    let opened = store(&disk);
    assert_eq!(opened.report.segments, 1);
    while opened.snapshots.step().unwrap() {}
    assert_eq!(bytes_of(&disk, &name), whole);
}

#[test]
fn an_older_index_file_serves_up_to_its_point() {
    let disk = MemoryDisk::new();
    let mut opened = store(&disk);
    for n in 0..4 {
        store_one(&mut opened, &content(n, 3000), n, true);
    }
    opened.appender.idle().unwrap();
    assert!(opened.snapshots.step_after(1).unwrap());
    let name = index_files(&disk)[0].clone();
    let old = bytes_of(&disk, &name);
    for n in 4..40 {
        store_one(&mut opened, &content(n, 3000), n, true);
    }
    opened.appender.close().unwrap();
    // The segment is closed by now, and the old file is of its beginning.
    overwrite(&disk, &name, &old);
    let opened = open_both_ways(&disk.kill());
    assert_eq!((opened.report.segments, opened.report.snapshots_refused.len()), (1, 0));
    assert!(opened.report.scanned_bytes < 60 << 10);
}

#[test]
fn a_segment_that_is_older_than_its_index_file_is_walked() {
    let disk = MemoryDisk::new();
    let mut opened = store(&disk);
    store_one(&mut opened, &content(1, 3000), 1, true);
    opened.appender.close().unwrap();
    drop(opened.superblock);
    let name = files(&disk).into_iter().map(|(name, _)| name).find(|name| name.ends_with(".segment")).unwrap();
    let old = bytes_of(&disk, &name);
    let mut opened = store(&disk);
    store_one(&mut opened, &content(2, 3000), 2, true);
    opened.appender.close().unwrap();
    drop(opened.superblock);
    overwrite(&disk, &name, &old);
    let bare = disk.kill();
    remove_index_files(&bare);
    let walked = store(&bare);
    assert_eq!(walked.report.damages.len(), 1, "the mark says that more was there");
    let opened = store(&disk);
    assert_eq!(opened.report.snapshots_refused.len(), 1);
    assert_eq!(all_of(&opened), all_of(&walked));
}

#[test]
fn files_of_no_segment_and_unfinished_ones_go() {
    let (disk, _) = two_segments();
    let before = index_files(&disk);
    for name in [
        "v00000009-0000000000000000.index",
        "v00000001-0000000000000000-00000001.index",
        "v00000001-0000000000000000.index.tmp",
    ] {
        disk.open(name, Open::Create).unwrap().sync_all().unwrap();
    }
    drop(store(&disk));
    let left: Vec<_> = files(&disk).into_iter().map(|(name, _)| name).filter(|name| name.contains(".index")).collect();
    assert_eq!(left, before);
}

#[test]
fn a_file_that_cannot_be_written_fails_nothing() {
    for fault in [
        Fault::error(Call::Rename, 5),
        Fault::error(Call::Write, 28),
        Fault::error(Call::SyncAll, 5),
        Fault::error(Call::Open, 28),
    ] {
        let disk = MemoryDisk::new();
        let faulty = FaultyDisk::new(Arc::new(disk.clone()), FaultPlan::default());
        let faults = faulty.faults();
        let clock = Arc::new(crate::base::clock::ManualClock::default());
        let mut opened = open(Arc::new(faulty), Some(IDENTITY), &small(), clock).unwrap();
        let ids: Vec<_> = (0..15).map(|n| store_one(&mut opened, &content(n, 5000), n, true)).collect();
        faults.add(fault.for_good());
        let error = opened.snapshots.step().unwrap_err();
        assert!(!disk.list().unwrap().iter().any(|entry| entry.name.ends_with(".tmp")), "{error}");
        assert!(index_files(&disk).is_empty());
        faults.heal();
        store_one(&mut opened, b"more", 99, true);
        assert!(opened.snapshots.step().unwrap(), "it is tried again");
        opened.appender.close().unwrap();
        drop(opened.superblock);
        let opened = open_both_ways(&disk);
        assert_eq!(opened.report.segments, 0);
        assert_eq!(read(&opened.catalog.view(), ids[7]), Ok(Some(content(7, 5000))));
    }
}

#[test]
fn a_damaged_tombstone_is_not_written_down_as_whole() {
    let (disk, _) = two_segments();
    remove_index_files(&disk);
    let opened = store(&disk);
    let view = opened.catalog.view();
    let segment =
        view.segments(VolumeId(1)).iter().find(|segment| segment.counts().tombstones.load(Ordering::Relaxed) > 0);
    let segment = segment.unwrap();
    let (_, slot) = segment.entries(segment.base()).filter(|(_, slot)| slot.is_other_kind()).last().unwrap();
    flip(&disk, segment.name(), slot.position() + 100, 1);
    while opened.snapshots.step_after(0).unwrap() {}
    let written = index_files(&disk);
    assert!(
        written.iter().all(|name| name.strip_suffix(".index") != segment.name().strip_suffix(".segment")),
        "{written:?}"
    );
}

fn owner() -> Owner {
    Owner { disk: DiskId(2), volume: VolumeId(3), salt: 9 }
}

fn facts() -> Facts {
    Facts {
        base: Sequence(10),
        edition: 0,
        end: 2048,
        next: Sequence(14),
        chain: 7,
        digest: 0,
        epoch: Epoch(5),
        sealed: true,
        object_bytes: 300,
    }
}

fn parsed(content: &Content) -> Result<Snapshot, Unfit> {
    let bytes = content.encode(&owner());
    let header = Header::parse(&bytes, &owner(), (content.facts.base, content.facts.edition))?;
    assert_eq!(header.file_bytes, bytes.len());
    Snapshot::parse(bytes, &header, owner().salt)
}

#[test]
fn the_bytes_of_an_index_file() {
    let slots = Slots::Dense(vec![Slot::at(608).bits(), 0, Slot::at(1000).other_kind().bits(), Slot::at(1200).bits()]);
    let holes = vec![Hole { first: Sequence(11), count: 1, position: 800 }];
    let content = Content { facts: facts(), slots, holes, targets: vec![Sequence(10)] };
    let hex: String = content.encode(&owner()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "4c415244494e445833c3559710997a940100000003000000020000000000000000000000000000000a00000000000000000000000000010000080000000000000e00000000000000070000000000000000000000000000000000000000000000000000000000000005000000000000002c010000000000000300000000000000010000000000000001000000000000004c000000000000007d000040960000000b00000000000000010000000000000020030000000000000a00000000000000"
    );
    let snapshot = parsed(&content).unwrap();
    assert_eq!(
        (snapshot.facts, snapshot.needles, &snapshot.targets, &snapshot.holes),
        (facts(), 3, &content.targets, &content.holes)
    );
    assert_eq!(snapshot.last(), Some((Sequence(13), Slot::at(1200))));
}

#[test]
fn a_compacted_segment_has_one_too() {
    let facts = Facts { edition: 2, digest: 8, next: Sequence(1000), ..facts() };
    let entries = vec![(3, Slot::at(608)), (400, Slot::at(904).other_kind()), (989, Slot::at(1200))];
    let content =
        Content { facts, slots: Slots::Sparse(entries.clone()), holes: Vec::new(), targets: vec![Sequence(1)] };
    let hex: String = content.encode(&owner())[144..].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "0300000090010000dd0300004c00000071000040960000000100000000000000");
    let snapshot = parsed(&content).unwrap();
    assert!(snapshot.is_sparse());
    assert_eq!(snapshot.entries(), entries);
    assert_eq!(snapshot.last(), Some((Sequence(999), Slot::at(1200))));
}

#[test]
fn numbers_that_disagree_are_refused_though_the_checksum_holds() {
    let dense = |slots: [u32; 4]| Slots::Dense(slots.to_vec());
    let good = [Slot::at(608).bits(), Slot::at(700 / 8 * 8).bits(), Slot::at(1000).bits(), Slot::at(1200).bits()];
    let content = |slots, holes, targets| Content { facts: facts(), slots, holes, targets };
    assert!(parsed(&content(dense(good), vec![], vec![])).is_ok());
    let hole = |first, count| vec![Hole { first: Sequence(first), count, position: 700 }];
    for (slots, holes, targets) in [
        (dense([good[1], good[0], good[2], good[3]]), vec![], vec![]),
        (dense([good[0], good[1], good[2], Slot::at(2048).bits()]), vec![], vec![]),
        (dense([good[0], good[1], good[2], Slot::at(1200).deleted().bits()]), vec![], vec![]),
        (dense([good[0], good[1], good[2], Slot::at(1200).damaged().bits()]), vec![], vec![]),
        (dense([good[0], 0, good[2], good[3]]), vec![], vec![]),
        (dense([good[0], 0, good[2], good[3]]), hole(11, 2), vec![]),
        (dense([good[0], 0, good[2], good[3]]), hole(9, 1), vec![]),
        (dense([good[0], 0, good[2], good[3]]), hole(u64::MAX, 2), vec![]),
        (dense(good), vec![], vec![Sequence(1)]),
        (Slots::Sparse(vec![(2, Slot::at(608)), (1, Slot::at(700 / 8 * 8))]), vec![], vec![]),
        (Slots::Sparse(vec![(4, Slot::at(608))]), vec![], vec![]),
    ] {
        let refused = parsed(&content(slots.clone(), holes, targets));
        assert!(matches!(refused, Err(Unfit::Numbers(_))), "{slots:?}: {refused:?}");
    }
}

#[test]
fn a_seal_is_remembered() {
    let disk = MemoryDisk::new();
    let mut opened = store(&disk);
    let mut last = store_one(&mut opened, &content(0, 5000), 0, true);
    for n in 1.. {
        let id = store_one(&mut opened, &content(n, 5000), n, true);
        if id.volume != last.volume {
            break;
        }
        last = id;
    }
    opened.appender.close().unwrap();
    let name = index_files(&disk).into_iter().rfind(|name| name.starts_with("v00000001")).unwrap();
    assert_eq!(bytes_of(&disk, &name)[54], 1);
}

/// One run on a disk that fails somewhere, index files being written all the time, and a power cut at its end.
fn one_faulty_seed(seed: u64) -> u64 {
    const CALLS: [Call; 7] =
        [Call::Write, Call::SyncAll, Call::SyncDirectory, Call::Rename, Call::Open, Call::Remove, Call::SyncData];
    let mut dice = Dice(seed);
    let mut disk = MemoryDisk::new();
    let mut loaded = 0;
    for _ in 0..4 {
        let (call, errno, nth) = (CALLS[dice.below(7) as usize], [5, 28][dice.below(2) as usize], 1 + dice.below(60));
        let fault = match dice.below(3) {
            0 => Fault::torn_write(dice.below(4000) as usize, errno).at(nth),
            1 => Fault::error(call, errno).at(nth),
            _ => Fault::error(call, errno).at(nth).for_good(),
        };
        let plan = FaultPlan { faults: vec![fault], ..FaultPlan::default() };
        let faulty = FaultyDisk::new(Arc::new(disk.clone()), plan);
        let clock = Arc::new(crate::base::clock::ManualClock::default());
        if let Ok(mut opened) = open(Arc::new(faulty), Some(IDENTITY), &small(), clock) {
            for n in 0..10 + dice.below(20) {
                let numbers = numbers(&opened);
                let bytes = content(n, [10, 900, 7000][dice.below(3) as usize]);
                let appended = opened.appender.append(&[put(&bytes, n)], 5, !dice.once_in(3), &numbers);
                let Ok(outcomes) = appended else { break };
                let [Appended::Stored(id)] = outcomes[..] else { panic!("{outcomes:?}") };
                if opened.superblock.raise(id.volume).is_err() {
                    break;
                }
                if dice.once_in(4) {
                    let _ = opened.appender.append(&[Entry::Delete { id }], 5, true, &numbers);
                }
                if dice.once_in(3) {
                    // It may fail as it likes; whatever it leaves must not matter.
                    let _ = opened.appender.idle().map(|()| opened.snapshots.step_after(1));
                }
            }
            if dice.once_in(3) {
                let _ = opened.appender.close();
            }
        }
        disk = if dice.once_in(4) { disk.kill() } else { disk.crash(dice.below(u64::MAX)) };
        let opened = open_both_ways(&disk);
        assert!(opened.report.damages.is_empty(), "{:?}", opened.report.damages);
        assert_eq!(opened.report.snapshots_refused, [""; 0]);
        loaded += opened.report.segments_loaded;
    }
    loaded
}

#[test]
fn whatever_fails_no_index_file_lies() {
    let mut loaded = 0;
    for seed in 0..300 {
        println!("seed {seed}");
        loaded += one_faulty_seed(seed);
    }
    assert!(loaded > 300, "{loaded} files were of use");
}
