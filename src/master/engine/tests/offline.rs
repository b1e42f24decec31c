//! Goal: a backup brings back exactly the state that was there, and whatever goes wrong with a restore, a start never takes
//! the directory for one with fewer names: a damaged or cut stream, an error at any call, a power cut at any moment.
//!
//! Method: a master on a disk in memory with a few hundred names; its stream is damaged, and restored onto disks that fail or
//! lose power; each disk is then opened by a master.

use super::world::*;
use crate::base::ids::{Cookie, ObjectId, Origin, Sequence, VolumeId};
use crate::disk::{Call, Disk, Fault, FaultPlan, FaultyDisk, MemoryDisk, Open};
use crate::master::StateError;
use crate::master::command::{Checked, Command};
use crate::master::engine::restore::COMMIT_BYTES;
use crate::master::engine::{Offline, restore};
use crate::master::namespace::digest_of;
use crate::request::Condition;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

const NAMES: u64 = 200;

fn shared(disk: &MemoryDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

fn offline(disk: &MemoryDisk) -> Result<Offline, StateError> {
    Offline::open(shared(disk), settings(Duration::ZERO))
}

/// A disk as a kill leaves it: all of the changes are in the log, some in the store.
fn source() -> MemoryDisk {
    let disk = MemoryDisk::new();
    let master = open(&shared(&disk), settings(Duration::from_secs(3600))).unwrap();
    done(&master, Command::OpenSession).unwrap();
    for number in 1..=NAMES {
        done(&master, commit(first_session(), number, &format!("/d{}/f{number}", number % 7))).unwrap();
    }
    let change = Checked::Remove { path: path("/d3/f3"), tree: false, condition: Condition::Any };
    done(&master, Command::Change { id: Origin { session: first_session(), number: NAMES + 1 }, change }).unwrap();
    let killed = disk.kill();
    master.close();
    killed
}

/// The stream of a backup, with the digest of the table that it was made of.
fn backup(disk: &MemoryDisk) -> (Vec<u8>, u128) {
    let offline = offline(disk).unwrap();
    let mut stream = Vec::new();
    offline.backup(&mut stream).unwrap();
    let digest = digest_of(&offline.opened.shared.layers).unwrap();
    offline.close().unwrap();
    (stream, digest)
}

fn restored(stream: &[u8]) -> MemoryDisk {
    let disk = MemoryDisk::new();
    restore(&shared(&disk), stream, &settings(Duration::ZERO)).unwrap();
    disk
}

/// What a start says of a disk.
fn start(disk: &MemoryDisk) -> Result<u64, StateError> {
    let master = open(&shared(disk), settings(Duration::ZERO))?;
    let files = master.report().files;
    master.close();
    Ok(files)
}

fn names(disk: &MemoryDisk) -> Vec<String> {
    disk.list().unwrap().into_iter().map(|entry| entry.name).collect()
}

#[test]
fn a_backup_brings_back_what_was_there() {
    let disk = source();
    let (stream, digest) = backup(&disk);
    let before = offline(&disk).unwrap();
    let (facts, verified) = (before.report(), before.verify());
    before.close().unwrap();
    assert_eq!((facts.files, facts.directories, facts.tombstones_pending), (NAMES - 1, 7, 1));
    assert_eq!((verified.files, verified.directories, verified.damages), (NAMES - 1, 7, vec![]));

    let copy = MemoryDisk::new();
    let report = restore(&shared(&copy), &stream[..], &settings(Duration::ZERO)).unwrap();
    assert_eq!((report.files, report.directories), (NAMES - 1, 7));
    // It is durable, and the same bytes, but for the entry with which a leader begins.
    let copy = copy.crash_clean();
    let after = offline(&copy).unwrap();
    assert_eq!(after.report().digest, facts.digest);
    assert_eq!(after.report().applied_index, report.applied_index + 1);
    after.close().unwrap();
    let same = restored(&stream);
    let store = crate::master::store::EmbeddedStore::open(shared(&same), "state", OWNER, Default::default()).unwrap();
    let view = crate::master::table::StateStore::view(&store).unwrap();
    assert_eq!(digest_of(&*view).unwrap(), digest);

    // Work goes on where it was, over several starts.
    for round in 0..3 {
        let master = open(&shared(&copy), settings(Duration::ZERO)).unwrap();
        assert!(look_up(&master, "/d5/f5").is_ok() && look_up(&master, "/d3/f3").is_err());
        done(&master, commit(first_session(), NAMES + 2 + round, &format!("/new/f{round}"))).unwrap();
        master.close();
    }
    assert_eq!(start(&copy).unwrap(), NAMES + 2);
    // A backup of a backup, too.
    assert_eq!(start(&restored(&backup(&copy).0)).unwrap(), NAMES + 2);
}

#[test]
fn a_backup_changes_nothing_for_the_next_start() {
    let disk = source();
    let untouched = disk.kill();
    backup(&disk);
    let digests = [disk, untouched].map(|disk| {
        let master = open(&shared(&disk), settings(Duration::ZERO)).unwrap();
        let digest = master.digest();
        master.close();
        digest
    });
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn a_full_disk_is_backed_up_all_the_same() {
    let disk = source();
    let (stream, _) = backup(&disk.kill());
    let space = disk.space().unwrap();
    disk.set_capacity(space.total - space.free);
    let (from_full, _) = backup(&disk);
    assert_eq!(start(&restored(&from_full)).unwrap(), NAMES - 1);
    assert_eq!(from_full.len(), stream.len());
    // The other way round it is told, and what is begun is refused.
    let small = MemoryDisk::with_capacity(1 << 20);
    assert!(matches!(restore(&shared(&small), &stream[..], &settings(Duration::ZERO)), Err(StateError::Full { .. })));
    small.set_capacity(1 << 30);
    assert!(start(&small).is_err());
    restore(&shared(&small), &stream[..], &settings(Duration::ZERO)).unwrap();
    assert_eq!(start(&small).unwrap(), NAMES - 1);
}

#[test]
fn what_is_in_use_or_holds_something_is_left_alone() {
    let disk = source();
    let (stream, _) = backup(&disk);
    let master = open(&shared(&disk), settings(Duration::ZERO)).unwrap();
    assert!(matches!(offline(&disk), Err(StateError::InUse { .. })));
    master.close();

    let before = names(&disk);
    let refused = restore(&shared(&disk), &stream[..], &settings(Duration::ZERO)).unwrap_err().to_string();
    assert!(refused.contains("restore into a new or empty directory"), "{refused}");
    assert_eq!(names(&disk), before);

    let strange = MemoryDisk::new();
    strange.open("thesis", Open::Create).unwrap();
    assert!(restore(&shared(&strange), &stream[..], &settings(Duration::ZERO)).is_err());
    assert!(offline(&strange).unwrap_err().to_string().contains("it holds no names"));
    assert_eq!(names(&strange), ["thesis"]);
}

#[test]
fn a_restored_directory_is_not_taken_without_its_log_or_for_another_cluster() {
    let (stream, _) = backup(&source());
    let disk = restored(&stream);
    let clock: Arc<dyn crate::base::clock::Clock> = Arc::new(crate::base::clock::ManualClock::default());
    let other = crate::master::Master::open(shared(&disk), 78, settings(Duration::ZERO), &clock, &Arc::default());
    assert!(other.unwrap_err().to_string().contains("it belongs to"));
    for name in names(&disk) {
        if name.starts_with("log-") {
            disk.remove(&name).unwrap();
        }
    }
    assert!(start(&disk).unwrap_err().to_string().contains("the log is gone"));
}

#[test]
fn a_damaged_or_cut_stream_leaves_nothing_that_a_start_takes() {
    let (stream, _) = backup(&source());
    let mut dice = Dice::new(5);
    let refused = |stream: &[u8], what: &str| {
        let disk = MemoryDisk::new();
        let error = restore(&shared(&disk), stream, &settings(Duration::ZERO)).expect_err(what);
        assert!(matches!(error, StateError::Damaged { .. }), "{what}: {error}");
        if names(&disk).is_empty() {
            return disk;
        }
        let started = start(&disk).expect_err(what).to_string();
        assert!(started.contains("run `larder master restore`"), "{what}: {started}");
        assert!(offline(&disk).is_err(), "{what}");
        disk
    };
    for _ in 0..12 {
        let at = dice.below(stream.len() as u64) as usize;
        refused(&stream[..at], &format!("cut at {at}"));
        let mut flipped = stream.clone();
        flipped[at] ^= 1 << dice.below(8);
        refused(&flipped, &format!("flipped at {at}"));
    }
    let mut longer = stream.clone();
    longer.push(0);
    let disk = refused(&longer, "something follows");
    // A whole backup mends it.
    restore(&shared(&disk), &stream[..], &settings(Duration::ZERO)).unwrap();
    assert_eq!(start(&disk).unwrap(), NAMES - 1);
}

#[test]
fn a_restore_is_completed_or_refused_after_an_error_at_any_call() {
    let (stream, _) = backup(&source());
    let calls =
        [Call::Open, Call::Write, Call::SyncData, Call::SyncAll, Call::SyncDirectory, Call::Rename, Call::Remove];
    let mut points = 0;
    for (call, errno) in calls.into_iter().map(|call| (call, 5)).chain([(Call::Write, 28)]) {
        for nth in 1.. {
            let disk = MemoryDisk::new();
            let faults = vec![Fault::error(call, errno).at(nth)];
            let faulty: Arc<dyn Disk> =
                Arc::new(FaultyDisk::new(shared(&disk), FaultPlan { faults, ..FaultPlan::default() }));
            let done = restore(&faulty, &stream[..], &settings(Duration::ZERO)).is_ok();
            points += 1;
            let again = (points % 4 == 0).then_some(&stream);
            let what = format!("{call:?} {nth} fails with {errno}");
            let image = if nth % 2 == 0 { disk.kill() } else { disk.crash_clean() };
            check(&image, done, again, &what);
            // What a power cut takes is decided by names that are not synced.
            for seed in 0..if [Call::SyncDirectory, Call::Rename].contains(&call) { 6 } else { 1 } {
                check(&disk.crash(seed), done, None, &format!("{what}, power cut {seed}"));
            }
            if done {
                break;
            }
        }
    }
    println!("{points} points");
    assert!(points > 30, "{points}: the faults strike");
}

/// An image is whole, or refused, or nothing was begun on it. It is whole if the restore said so, and after another one.
fn check(image: &MemoryDisk, done: bool, again: Option<&Vec<u8>>, what: &str) {
    if names(image).iter().any(|name| name != "lock") {
        match start(image) {
            Ok(files) => return assert_eq!(files, NAMES - 1, "{what}"),
            Err(error) => assert!(error.to_string().contains("run `larder master restore`"), "{what}: {error}"),
        }
    }
    assert!(!done, "{what}: what was restored is gone");
    if let Some(stream) = again {
        restore(&shared(image), &stream[..], &settings(Duration::ZERO))
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(start(image).unwrap(), NAMES - 1, "{what}");
    }
}

#[test]
fn a_restore_of_many_commits_that_stops_between_them_is_refused() {
    let disk = source();
    let master = open(&shared(&disk), settings(Duration::from_secs(3600))).unwrap();
    for number in NAMES + 2..NAMES + 5 {
        let Command::Change {
            id,
            change: Checked::Commit { path, condition, parents, modified_ms, attributes, hash, .. },
        } = commit(first_session(), number, &format!("/large/f{number}"))
        else {
            panic!("a commit is one")
        };
        let chunk = |n: u64| ObjectId { volume: VolumeId(1), sequence: Sequence(n << 20), cookie: Cookie(n << 40) };
        let chunks = (0..10_000).map(|n| (chunk(n * number), (1 << 41) + number * 10_000 + n)).collect();
        let size = 10_000 << 20;
        let change = Checked::Commit { path, condition, parents, modified_ms, attributes, size, hash, chunks };
        done(&master, Command::Change { id, change }).unwrap();
    }
    master.close();
    let (stream, _) = backup(&disk);
    assert!(stream.len() > 3 * COMMIT_BYTES, "{}: it takes several commits", stream.len());
    for tenths in [5, 9] {
        let copy = MemoryDisk::new();
        let (part, rest) = stream.split_at(stream.len() * tenths / 10);
        // What was committed before the power went is there, and counts for nothing.
        let error = restore(&shared(&copy), part, &settings(Duration::ZERO)).unwrap_err();
        assert!(error.to_string().contains("cut short"), "{error}");
        let image = copy.crash(tenths as u64);
        assert!(start(&image).unwrap_err().to_string().contains("run `larder master restore`"));
        let whole = std::io::Read::chain(part, rest);
        restore(&shared(&image), whole, &settings(Duration::ZERO)).unwrap();
        assert_eq!(start(&image).unwrap(), NAMES + 2);
    }
}

#[test]
fn a_state_that_is_damaged_anywhere_is_told_or_whole() {
    let disk = source();
    offline(&disk).unwrap().close().unwrap();
    let sound = disk.kill();
    let bytes = sound.open("state", Open::Read).unwrap().len().unwrap();
    let (mut told, mut whole) = (0, 0);
    for at in (0..bytes).step_by(4096) {
        let image = sound.kill();
        image.open("state", Open::Write).unwrap().write_all_at(&mut [IoSlice::new(&[0xa5; 16])], at + 99).unwrap();
        match offline(&image) {
            Err(error) => {
                assert!(matches!(error, StateError::Damaged { .. }), "at {at}: {error}");
                told += 1;
            }
            Ok(offline) => {
                let found = offline.verify();
                if found.damaged > 0 {
                    // It is not backed up as if it were sound.
                    assert!(offline.backup(&mut Vec::new()).is_err(), "at {at}");
                    told += 1;
                } else {
                    assert_eq!((found.files, found.directories), (NAMES - 1, 7), "at {at}");
                    whole += 1;
                }
            }
        }
    }
    println!("{told} told, {whole} whole");
    assert!(told > 0);
}
