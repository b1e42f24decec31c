//! Goal: compaction, scrub, recovery and the directory's plan agree with each other where they meet. Method: compacted
//! segments under everything that the neighbours do: a scrub, bad sectors, power cuts, files that go and come back.

use super::compaction::{compact_all, compact_once};
use super::facts::{Facts, Sure};
use super::scrub::scrub;
use super::world::*;
use crate::base::clock::ManualClock;
use crate::base::ids::ObjectId;
use crate::disk::{Call, Disk, Fault, FaultPlan, Faults, FaultyDisk, MemoryDisk, Open};
use crate::store::{AppendError, CompactionStep, Entry, Obstacle, Opened, StoreOptions, open};
use std::sync::Arc;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const GARBAGE_PERCENT: u64 = 20;
const ROOM: u64 = 1 << 30;

fn options() -> StoreOptions {
    StoreOptions { volume_bytes: 4 << 20, ..small() }
}

fn faulty(disk: &MemoryDisk) -> (Arc<Faults>, Opened) {
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), FaultPlan::default());
    let faults = faulty.faults();
    (faults, open(Arc::new(faulty), Some(IDENTITY), &options(), Arc::new(ManualClock::default())).unwrap())
}

fn object(n: u64) -> Vec<u8> {
    content(n, 100 + (n as usize * 37) % 3000)
}

/// 200 objects, each second one deleted.
fn wasted(opened: &mut Opened) -> Vec<ObjectId> {
    let ids: Vec<_> = (0..200).map(|n| store_one(opened, &object(n), n, true)).collect();
    for id in ids.iter().step_by(2) {
        delete(opened, *id).unwrap();
    }
    ids
}

fn expect(opened: &Opened, ids: &[ObjectId]) {
    let view = opened.catalog.view();
    for (id, n) in ids.iter().zip(0..) {
        assert_eq!(read(&view, *id), Ok((n % 2 == 1).then(|| object(n))), "object {n}, {id}");
    }
}

fn copies(disk: &MemoryDisk) -> Vec<String> {
    let names = disk.list().unwrap().into_iter().map(|entry| entry.name);
    names.filter(|name| name.ends_with(".segment") && name.len() > "v00000001-0000000000000000.segment".len()).collect()
}

/// The file that the first edition of a compacted segment was made of.
fn source_of(copy: &str) -> String {
    format!("{}.segment", copy.strip_suffix("-00000001.segment").unwrap())
}

#[test]
fn a_scrub_of_compacted_segments_finds_nothing() {
    let disk = MemoryDisk::new();
    let mut opened = try_store(&disk, &options()).unwrap();
    let ids = wasted(&mut opened);
    compact_all(&mut opened);
    assert!(opened.compaction.report().copies > 0);
    assert_eq!(scrub(&disk, &opened), []);
    expect(&opened, &ids);
}

#[test]
fn a_bad_first_sector_of_a_compacted_segment_leaves_the_disk_in() {
    let disk = MemoryDisk::new();
    let mut opened = try_store(&disk, &options()).unwrap();
    let ids = wasted(&mut opened);
    compact_all(&mut opened);
    drop(opened);
    let disk = disk.crash_clean();
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), FaultPlan::default());
    for name in copies(&disk) {
        faulty.faults().add(Fault::error(Call::Read, EIO).on(&name).touching(0..512).for_good());
    }
    let opened = open(Arc::new(faulty), Some(IDENTITY), &options(), Arc::new(ManualClock::default())).unwrap();
    assert!(opened.report.headers_damaged > 0);
    expect(&opened, &ids);
}

/// Steps of compaction; what it gave up, and how often.
fn compact_past_obstacles(opened: &mut Opened, steps: usize) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    for _ in 0..steps {
        match opened.compaction.step(GARBAGE_PERCENT, ROOM, false) {
            CompactionStep::Rest => break,
            CompactionStep::Worked(_) => {}
            CompactionStep::Publish(compacted) => {
                let published = opened.appender.publish_compacted(&compacted).unwrap();
                opened.compaction.published(&compacted, published);
            }
            CompactionStep::Roll(volume) => opened.appender.roll(volume).unwrap(),
            CompactionStep::GaveUp(obstacle) => obstacles.push(obstacle),
        }
    }
    obstacles
}

#[test]
fn a_segment_with_a_damaged_header_is_compacted_and_keeps_none_from_it() {
    let disk = MemoryDisk::new();
    let mut opened = try_store(&disk, &options()).unwrap();
    let ids = wasted(&mut opened);
    let (name, _) = place(&opened, ids[1]);
    flip(&disk, &name, 100, 1);
    let obstacles = compact_past_obstacles(&mut opened, 5000);
    assert!(obstacles.is_empty(), "{} times: {:?}", obstacles.len(), obstacles.first());
    assert!(opened.compaction.report().copies > 0);
    expect(&opened, &ids);
}

#[test]
fn what_the_device_would_not_give_once_is_not_damaged_for_good() {
    let disk = MemoryDisk::new();
    let (faults, mut opened) = faulty(&disk);
    let ids = wasted(&mut opened);
    let (name, position) = place(&opened, ids[1]);
    faults.add(Fault::error(Call::Read, EIO).on(&name).touching(position..position + 64).for_good());
    let obstacles = compact_past_obstacles(&mut opened, 5000);
    assert!(obstacles.iter().all(|obstacle| matches!(obstacle, Obstacle::Io { .. })), "{obstacles:?}");
    assert!(obstacles.len() < 10, "given up {} times", obstacles.len());
    assert!(opened.compaction.report().copies > 0, "the others are compacted");
    faults.heal();
    expect(&opened, &ids);
}

#[test]
fn a_copy_that_was_not_finished_stands_for_nothing_while_its_source_is_away() {
    let disk = MemoryDisk::new();
    let mut opened = try_store(&disk, &options()).unwrap();
    let ids = wasted(&mut opened);
    while copies(&disk).is_empty() {
        compact_once(&mut opened);
    }
    drop(opened);
    let disk = disk.kill();
    let [copy] = &copies(&disk)[..] else { panic!("one copy") };
    let name = source_of(copy);
    let bytes = {
        let file = disk.open(&name, Open::Read).unwrap();
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_at(&mut bytes, 0).unwrap();
        bytes
    };
    disk.remove(&name).unwrap();
    let opened = try_store(&disk, &options()).unwrap();
    let view = opened.catalog.view();
    assert!(ids.iter().any(|id| read(&view, *id).is_err()), "damaged, not absent");
    drop(opened);
    let file = disk.open(&name, Open::Create).unwrap();
    file.write_all_at(&mut [std::io::IoSlice::new(&bytes)], 0).unwrap();
    file.sync_all().unwrap();
    disk.sync_directory().unwrap();
    expect(&try_store(&disk, &options()).unwrap(), &ids);
    expect(&try_store(&disk, &options()).unwrap(), &ids);
}

#[test]
fn what_was_replaced_is_kept_while_its_copy_is_away() {
    let disk = MemoryDisk::new();
    let mut opened = try_store(&disk, &options()).unwrap();
    wasted(&mut opened);
    let compacted = loop {
        match opened.compaction.step(GARBAGE_PERCENT, ROOM, false) {
            CompactionStep::Publish(compacted) => break compacted,
            CompactionStep::Worked(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(opened.appender.publish_compacted(&compacted).unwrap());
    drop(opened);
    let disk = disk.crash_clean();
    let [copy] = &copies(&disk)[..] else { panic!("one copy") };
    let source = source_of(copy);
    assert!(disk.list().unwrap().iter().any(|entry| entry.name == source), "not taken away yet");
    disk.remove(copy).unwrap();
    let opened = try_store(&disk, &options()).unwrap();
    let kept = disk.list().unwrap().into_iter().any(|entry| entry.name.starts_with(&source));
    assert!(kept, "nothing else has these bytes: {:?}", opened.report);
}

#[test]
fn a_power_cut_leaves_no_room_taken_by_a_copy() {
    for seed in 0..40 {
        let disk = MemoryDisk::new();
        let mut opened = try_store(&disk, &options()).unwrap();
        let ids = wasted(&mut opened);
        while copies(&disk).is_empty() {
            compact_once(&mut opened);
        }
        if seed % 2 == 0 {
            compact_once(&mut opened);
        }
        // The lane makes a segment meanwhile.
        disk.sync_directory().unwrap();
        drop(opened);
        let disk = disk.crash(seed);
        let opened = try_store(&disk, &options()).unwrap();
        let aside: u64 =
            disk.list().unwrap().iter().filter(|entry| entry.name.contains(".aside")).map(|entry| entry.bytes).sum();
        assert!(aside <= 512, "seed {seed}: {aside} bytes, {:?}", opened.report.set_aside);
        expect(&opened, &ids);
    }
}

/// Groups, deletes, compaction, clean stops and power cuts; all of it synced, so the model knows all answers.
#[test]
fn power_cuts_between_the_steps_of_compaction_change_no_answer() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let mut disk = MemoryDisk::new();
        let mut opened = try_store(&disk, &options()).unwrap();
        let mut shelf = Shelf::default();
        for turn in 0..250u64 {
            match dice.below(24) {
                0..8 => shelf.put(&mut opened, &mut dice, turn),
                8..14 => shelf.delete(&mut opened, &mut dice),
                14 => opened.appender.idle().unwrap(),
                15 => drop(opened.snapshots.step_after(0).unwrap()),
                16 => {
                    drop(opened);
                    disk = disk.crash(dice.below(u64::MAX));
                    opened = try_store(&disk, &options()).unwrap();
                    let report = &opened.report;
                    assert!(report.damages.is_empty() && report.findings.is_empty(), "seed {seed}: {report:?}");
                    let view = opened.catalog.view();
                    for (id, expected) in &shelf.model {
                        assert_eq!(&read(&view, *id).unwrap(), expected, "seed {seed}: {id}");
                    }
                    let objects = shelf.model.values().flatten().count() as u64;
                    assert_eq!(opened.catalog.stats().objects, objects, "seed {seed}");
                }
                17 if dice.once_in(3) => {
                    if let Some(volume) = opened.catalog.view().volumes().next() {
                        opened.appender.roll(volume).unwrap();
                    }
                }
                _ => {
                    for _ in 0..dice.below(20) {
                        compact_once(&mut opened);
                    }
                }
            }
        }
        compact_all(&mut opened);
        assert_eq!(scrub(&disk, &opened), [], "seed {seed}");
    }
}

/// The same with a call that fails: what was acknowledged before it is there, and what was deleted stays so.
#[test]
fn failed_calls_between_the_steps_of_compaction_lose_nothing() {
    const CALLS: [Call; 10] = [
        Call::Write,
        Call::SyncData,
        Call::SyncAll,
        Call::SyncDirectory,
        Call::Allocate,
        Call::SetLen,
        Call::Open,
        Call::Remove,
        Call::Read,
        Call::DropPages,
    ];
    for seed in 0..120 {
        let mut dice = Dice(seed);
        let mut disk = MemoryDisk::new();
        let mut facts = Facts::default();
        for _ in 0..4 {
            let (faults, mut opened) = faulty(&disk);
            facts.settle(&opened);
            let call = CALLS[dice.below(10) as usize];
            let errno = if dice.once_in(3) { ENOSPC } else { EIO };
            let fault = Fault::error(call, errno).at(1 + dice.below(150));
            faults.add(if dice.once_in(2) { fault.for_good() } else { fault });
            for turn in 0..120u64 {
                if opened.appender.has_failed() {
                    break;
                }
                let numbers = numbers(&opened);
                let mut ids = facts.ids();
                ids.retain(|id| facts.0[id].deleted == Sure::No);
                let ended = match dice.below(8) {
                    0..3 => {
                        let bytes = content(seed * 1000 + turn, [60, 600, 7000][dice.below(3) as usize]);
                        facts.append(&mut opened, &[put(&bytes, dice.below(u64::MAX))], true, &numbers)
                    }
                    3..5 if !ids.is_empty() => {
                        let id = ids[dice.below(ids.len() as u64) as usize];
                        facts.append(&mut opened, &[Entry::Delete { id }], true, &numbers)
                    }
                    _ => {
                        for _ in 0..dice.below(20) {
                            step_as_the_node_does(&mut opened);
                        }
                        Ok(())
                    }
                };
                drop(ended);
            }
            drop(opened);
            disk = if dice.once_in(2) { disk.crash(dice.below(u64::MAX)) } else { disk.kill() };
        }
        let opened = try_store(&disk, &options()).unwrap();
        let report = &opened.report;
        assert!(report.damages.is_empty() && report.missing_segments.is_empty(), "seed {seed}: {report:?}");
        facts.settle(&opened);
    }
}

/// A step of compaction; a failure of the disk ends all writing, and nothing more is said of a copy.
fn step_as_the_node_does(opened: &mut Opened) {
    if opened.appender.has_failed() {
        return;
    }
    match opened.compaction.step(GARBAGE_PERCENT, ROOM, false) {
        CompactionStep::Rest | CompactionStep::Worked(_) => {}
        CompactionStep::Publish(compacted) => match opened.appender.publish_compacted(&compacted) {
            Err(AppendError::Failed(_)) => {}
            published => opened.compaction.published(&compacted, matches!(published, Ok(true))),
        },
        CompactionStep::Roll(volume) => drop(opened.appender.roll(volume)),
        CompactionStep::GaveUp(obstacle) if obstacle.is_write_failure() => {
            opened.appender.fail("compaction", std::io::Error::other(obstacle.to_string()));
        }
        CompactionStep::GaveUp(_) => {}
    }
}
