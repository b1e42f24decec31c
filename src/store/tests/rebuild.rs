//! Goal: a manifest that is made from the segments gives every answer that the lost one gave, compaction or not. Method:
//! random work against a model, stopped cleanly or by a crash around a copy; the manifest is taken away; reindex.

use super::compaction::{compact_all, compact_once};
use super::world::*;
use crate::base::ids::ObjectId;
use crate::disk::{Disk, MemoryDisk, Open};
use crate::store::segment_header::SegmentHeader;
use crate::store::{CompactionStep, Opened, Reindexed, StoreOptions, names, reindex, verify};
use std::collections::{BTreeMap, HashMap};

type Model = HashMap<ObjectId, Option<Vec<u8>>>;
/// What is done to a file, in words and in deed.
type Spoil = (&'static str, fn(&MemoryDisk, &str));

/// Where the work is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Clean,
    /// Wherever it is, most often with a copy that is begun.
    Copying,
    /// The copy is whole, and not published.
    Copied,
    /// It is published, and the old files are there.
    Published,
}

fn options(seed: u64) -> StoreOptions {
    StoreOptions { volume_bytes: if seed.is_multiple_of(3) { 160 << 10 } else { 4 << 20 }, ..small() }
}

/// Random groups, deletes and compaction; then what `stop` says.
fn worked(seed: u64, stop: Stop) -> (MemoryDisk, Model) {
    let mut dice = Dice(seed);
    let disk = MemoryDisk::new();
    let mut opened = try_store(&disk, &options(seed)).unwrap();
    let mut shelf = Shelf::default();
    for turn in 0..400 {
        match dice.below(20) {
            0..8 => shelf.put(&mut opened, &mut dice, turn),
            8..14 => shelf.delete(&mut opened, &mut dice),
            14 => opened.appender.idle().unwrap(),
            _ => {
                for _ in 0..dice.below(30) {
                    compact_once(&mut opened);
                }
            }
        }
    }
    let disk = stopped(opened, &disk, stop, &mut dice);
    (disk, shelf.model)
}

fn stopped(mut opened: Opened, disk: &MemoryDisk, stop: Stop, dice: &mut Dice) -> MemoryDisk {
    let mut step = || match opened.compaction.step(10, 1 << 30, false) {
        CompactionStep::Publish(compacted) => Some(compacted),
        CompactionStep::Roll(volume) => {
            opened.appender.roll(volume).unwrap();
            None
        }
        _ => None,
    };
    match stop {
        Stop::Clean => {
            compact_all(&mut opened);
            opened.compaction.stop();
            opened.appender.close().unwrap();
            return disk.clone();
        }
        Stop::Copying => {
            for _ in 0..50 {
                step();
                if dice.once_in(3) && disk.list().unwrap().iter().any(|entry| edition(&entry.name) > 0) {
                    break;
                }
            }
        }
        Stop::Copied => drop((0..500).find_map(|_| step())),
        Stop::Published => {
            if let Some(compacted) = (0..500).find_map(|_| step()) {
                assert!(opened.appender.publish_compacted(&compacted).unwrap());
            }
        }
    }
    match dice.below(2) {
        0 => disk.kill(),
        _ => disk.crash_clean(),
    }
}

fn edition(name: &str) -> u32 {
    names::parse_edition(name).map_or(0, |(_, _, edition)| edition)
}

fn copies(disk: &MemoryDisk) -> Vec<String> {
    disk.list().unwrap().into_iter().map(|entry| entry.name).filter(|name| edition(name) > 0).collect()
}

fn without_manifest(disk: &MemoryDisk) -> BTreeMap<String, Vec<u8>> {
    files(disk).into_iter().filter(|(name, _)| !name.starts_with("manifest")).collect()
}

fn rebuilt(disk: &MemoryDisk) -> Reindexed {
    disk.remove("manifest").unwrap();
    let mut told = (0, 0);
    let outcome = reindex(disk, &mut |done, all| told = (done, all)).unwrap();
    assert!(outcome.manifest_rebuilt);
    assert!(told.1 > 0 && told.0 == told.1, "{told:?}");
    outcome
}

fn check(opened: &Opened, model: &Model, what: &str) {
    let view = opened.catalog.view();
    for (id, expected) in model {
        assert_eq!(read(&view, *id).as_ref(), Ok(expected), "{what}: {id}");
    }
    assert_eq!(opened.catalog.stats().objects, model.values().flatten().count() as u64, "{what}");
}

#[test]
fn random_work_with_compaction_is_all_there_again() {
    let mut left = 0;
    for seed in 0..32 {
        let stop = [Stop::Clean, Stop::Copying, Stop::Copied, Stop::Published][seed as usize % 4];
        let what = format!("seed {seed}, {stop:?}");
        let (disk, mut model) = worked(seed, stop);
        assert!(!copies(&disk).is_empty(), "{what}: nothing was compacted");
        let segments = |disk: &MemoryDisk| -> Vec<_> {
            files(disk).into_iter().filter(|(name, _)| name.ends_with(".segment")).collect()
        };
        let before = segments(&disk);
        let outcome = rebuilt(&disk);
        assert!(outcome.damages.is_empty(), "{what}: {outcome:?}");
        assert!(segments(&disk) == before, "{what}: a segment was touched");
        let first = without_manifest(&disk);
        // What was derived before says nothing else either.
        assert_eq!(rebuilt(&disk), outcome, "{what}");
        assert!(without_manifest(&disk) == first, "{what}");
        let again = reindex(&disk, &mut |_, _| ()).unwrap();
        assert_eq!((again.manifest_rebuilt, &again.written), (false, &outcome.written), "{what}");
        let sound = verify(&disk, &mut |_, _| ()).unwrap();
        let superfluous = |file: &String| outcome.left.iter().any(|left| left.file == *file);
        assert!(sound.damages.iter().all(|damage| superfluous(&damage.file)), "{what}: {sound:?}");
        assert!(sound.indexes_unfit.is_empty(), "{what}: {sound:?}");

        let mut opened = try_store(&disk, &options(seed)).unwrap();
        let report = &opened.report;
        assert!(report.damages.is_empty() && report.adopted.is_empty(), "{what}: {report:?}");
        assert!(report.missing_segments.is_empty(), "{what}: {report:?}");
        left += report.set_aside.len() + report.deleted.len();
        check(&opened, &model, &what);
        for n in 1000..1020 {
            let id = store_one(&mut opened, &content(n, 900), n, true);
            assert!(model.insert(id, Some(content(n, 900))).is_none(), "{what}: {id} comes again");
        }
        compact_all(&mut opened);
        check(&opened, &model, &what);
        opened.compaction.stop();
        opened.appender.close().unwrap();
        drop((opened.superblock, opened.compaction));
        let sound = verify(&disk, &mut |_, _| ()).unwrap();
        assert!(sound.damages.is_empty() && sound.torn.is_empty(), "{what}: {sound:?}");
        let opened = try_store(&disk, &options(seed)).unwrap();
        let report = &opened.report;
        assert!(report.damages.is_empty() && report.set_aside.is_empty() && report.deleted.is_empty(), "{report:?}");
        check(&opened, &model, &what);
    }
    assert!(left > 0, "no file was superfluous");
}

/// A copy, made of a segment that is still there, in the state that `stop` leaves.
fn with_copy(stop: Stop) -> (MemoryDisk, Model, String) {
    let disk = MemoryDisk::new();
    let mut opened = try_store(&disk, &options(1)).unwrap();
    let mut model = Model::new();
    let ids: Vec<_> = (0..120).map(|n| store_one(&mut opened, &content(n, 3000), n, true)).collect();
    for (n, id) in (0..).zip(&ids) {
        model.insert(*id, (n % 2 == 0).then(|| content(n, 3000)));
        if n % 2 == 1 {
            delete(&mut opened, *id).unwrap();
        }
    }
    let disk = stopped(opened, &disk, stop, &mut Dice(0)).kill();
    let [copy] = &copies(&disk)[..] else { panic!("one copy") };
    (disk.clone(), model, copy.clone())
}

fn bytes(disk: &MemoryDisk, name: &str) -> u64 {
    disk.open(name, Open::Read).unwrap().len().unwrap()
}

fn resize(disk: &MemoryDisk, name: &str, bytes: u64) {
    let file = disk.open(name, Open::Write).unwrap();
    file.set_len(bytes).unwrap();
    file.sync_all().unwrap();
}

#[test]
fn a_copy_that_may_not_be_whole_yields_to_its_sources() {
    let spoil: [Spoil; 4] = [
        ("just begun: a header and no room", |disk, name| resize(disk, name, 512)),
        ("room behind the last needle", |disk, name| resize(disk, name, bytes(disk, name) + 4096)),
        ("a payload did not become durable", |disk, name| flip(disk, name, bytes(disk, name) - 1000, 1)),
        ("a header that does not verify", |disk, name| flip(disk, name, 20, 1)),
    ];
    for (what, spoil) in spoil {
        let (disk, model, copy) = with_copy(Stop::Copied);
        spoil(&disk, &copy);
        let outcome = rebuilt(&disk);
        assert_eq!(outcome.left.iter().map(|left| &left.file).collect::<Vec<_>>(), [&copy], "{what}");
        assert!(outcome.damages.is_empty(), "{what}: {outcome:?}");
        let opened = try_store(&disk, &options(1)).unwrap();
        assert!(!copies(&disk).contains(&copy), "{what}: it is out of the way");
        check(&opened, &model, what);
    }
}

#[test]
fn a_copy_that_is_whole_stands_for_its_sources() {
    for stop in [Stop::Copied, Stop::Published] {
        let (disk, model, copy) = with_copy(stop);
        let outcome = rebuilt(&disk);
        let left: Vec<_> = outcome.left.iter().map(|left| left.file.clone()).collect();
        assert!(!left.is_empty() && !left.contains(&copy), "{left:?}");
        let opened = try_store(&disk, &options(1)).unwrap();
        assert_eq!(opened.report.set_aside.len(), left.len(), "every byte of them is kept");
        check(&opened, &model, "whole");
    }
}

#[test]
fn what_is_damaged_or_lost_is_damaged_and_not_absent() {
    let spoil: [Spoil; 3] = [
        ("the head of a needle", |disk, name| flip(disk, name, 512 + 20, 1)),
        ("the header", |disk, name| flip(disk, name, 20, 1)),
        ("the file", |disk, name| disk.remove(name).unwrap()),
    ];
    for (what, spoil) in spoil {
        let (disk, model, copy) = with_copy(Stop::Published);
        // The next start takes away what was replaced.
        let opened = try_store(&disk, &options(1)).unwrap();
        opened.appender.close().unwrap();
        drop((opened.superblock, opened.compaction));
        let disk = disk.kill();
        spoil(&disk, &copy);
        let outcome = rebuilt(&disk);
        assert_eq!(outcome.damages.is_empty(), what == "the header", "{outcome:?}");
        let opened = try_store(&disk, &options(1)).unwrap();
        let view = opened.catalog.view();
        let mut damaged = 0;
        for (id, expected) in &model {
            match read(&view, *id) {
                Err(_) => damaged += 1,
                found => assert_eq!(found.as_ref(), Ok(expected), "{what}: {id}"),
            }
        }
        assert_eq!(damaged > 0, what != "the header", "{what}");
    }
}

#[test]
fn a_lost_segment_behind_a_copy_is_named_so_that_it_may_come_back() {
    let header = |disk: &MemoryDisk, name: &str| {
        let mut sector = [0; 512];
        disk.open(name, Open::Read).unwrap().read_at(&mut sector, 0).unwrap();
        SegmentHeader::parse(&sector).unwrap()
    };
    // A segment between a copy and a third one.
    let between = |disk: &MemoryDisk| {
        let names = disk.list().unwrap().into_iter().map(|entry| entry.name);
        let mut all: Vec<_> = names.filter(|name| name.ends_with(".segment")).map(|name| header(disk, &name)).collect();
        all.sort_by_key(|header| (header.volume, header.base));
        let three = all
            .windows(3)
            .find(|three| three[0].next == three[1].base && three.iter().all(|one| one.volume == three[0].volume))?;
        Some((three[1], three[1].base..three[2].base))
    };
    let (seed, disk, model, (lost, range)) = (0..20)
        .find_map(|seed| {
            let (disk, model) = worked(seed, Stop::Clean);
            let found = between(&disk)?;
            Some((seed, disk, model, found))
        })
        .expect("some store has such a segment");
    disk.remove(&names::edition(lost.volume, lost.base, lost.edition)).unwrap();
    let outcome = rebuilt(&disk);
    let named = names::segment(lost.volume, lost.base);
    assert!(outcome.damages.iter().any(|damage| damage.file == named), "{outcome:?}");
    let opened = try_store(&disk, &options(seed)).unwrap();
    assert_eq!(opened.report.missing_segments, [named]);
    let view = opened.catalog.view();
    for (id, expected) in &model {
        match read(&view, *id) {
            Err(_) => assert!(id.volume == lost.volume && range.contains(&id.sequence), "{id}"),
            found => assert!(found.as_ref() == Ok(expected), "{id}"),
        }
    }
    assert!(opened.catalog.stats().damaged > 0);
}
