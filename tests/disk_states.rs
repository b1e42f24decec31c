//! Goal: what a disk suffers shows in its state and stays its own trouble, while the node runs and when it starts. Method:
//! nodes on faulty disks and real directories, with short times; every wait is for a condition.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod support;

use larder::base::ids::{ObjectId, VolumeId};
use larder::client::PutOptions;
use larder::disk::{Call, Disk, Fault, FaultPlan, Faults, FaultyDisk, MemoryDisk, Open};
use larder::node::{Configuration, Node};
use larder::request::Status;
use larder::wire::{Received, Request};
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;
use support::node::{assert_at_rest, client, configuration, on_directories, start};
use support::raw::{Raw, put};
use support::{content, eventually};

const EIO: i32 = 5;

/// A disk that became suspect stays so until the test is over.
fn settings() -> Configuration {
    Configuration { cache_bytes: 0, drain_ms: 500, suspect_for_ms: 60_000, ..configuration() }
}

fn faulty() -> (Arc<dyn Disk>, Arc<Faults>, MemoryDisk) {
    let disk = MemoryDisk::new();
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), FaultPlan::default());
    let faults = faulty.faults();
    faults.set_cold(true);
    (Arc::new(faulty), faults, disk)
}

fn get(id: ObjectId) -> Request {
    Request::Get { id, range: None }
}

fn disk(node: &Node, index: usize) -> serde_json::Value {
    node.status()["disks"][index].clone()
}

fn is_in(node: &Node, index: usize, state: &str) -> bool {
    disk(node, index)["state"] == state
}

/// Objects on each of two disks, by the volume that each has.
fn on_both(node: &Node) -> [Vec<ObjectId>; 2] {
    let client = client(node);
    let ids: Vec<_> = (0..40).map(|seed| client.put(content(seed, 4096), PutOptions::default()).unwrap().id).collect();
    let first = ids[0].volume;
    let (one, other): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| id.volume == first);
    assert!(one.len() > 8 && other.len() > 8, "objects are on both disks");
    [one, other]
}

/// The volume that a disk in memory holds.
fn volume_on(disk: &MemoryDisk) -> VolumeId {
    let names = disk.list().unwrap().into_iter().map(|entry| entry.name);
    let segment = names.into_iter().find(|name| name.ends_with(".segment")).unwrap();
    VolumeId(u32::from_str_radix(&segment[1..9], 16).unwrap())
}

#[test]
fn reads_that_fail_make_a_disk_suspect_and_it_still_reads_and_deletes() {
    let (disk_one, faults, memory) = faulty();
    let node = start(&settings(), vec![disk_one, Arc::new(MemoryDisk::new())]);
    let ids = on_both(&node);
    let bad = volume_on(&memory);
    let on_bad: Vec<_> = ids.into_iter().flatten().filter(|id| id.volume == bad).collect();
    let mut raw = Raw::connect(node.address());
    faults.add(Fault::error(Call::Read, EIO).times(3));
    for id in &on_bad[..3] {
        assert_eq!(raw.status(&get(*id)), Status::Unavailable);
    }
    assert!(is_in(&node, 0, "suspect"), "the third error is enough");
    let report = disk(&node, 0);
    assert!(report["cause"].as_str().unwrap().contains("3 reads failed"), "{report}");
    assert_eq!((&report["errors"], &report["entered"]["suspect"]), (&3.into(), &1.into()));
    for seed in 0..30 {
        let Received::Stored(stored) = raw.ask(&put(content(seed, 100))) else { panic!("not stored") };
        assert_ne!(stored.id.volume, bad, "a suspect disk takes no objects");
    }
    for id in &on_bad {
        assert_eq!(raw.status(&get(*id)), Status::Ok);
        assert_eq!(raw.status(&Request::Delete(*id)), Status::Ok);
    }
    assert_at_rest(&node);
    node.stop();
}

#[test]
fn when_every_disk_is_suspect_a_put_is_told_to_come_again_and_it_does() {
    let (disk_one, faults, _) = faulty();
    let node = start(&Configuration { suspect_for_ms: 1500, ..settings() }, vec![disk_one]);
    let mut raw = Raw::connect(node.address());
    let Received::Stored(stored) = raw.ask(&put("kept")) else { panic!("not stored") };
    faults.add(Fault::error(Call::Read, EIO).for_good());
    eventually("the disk is suspect", || {
        assert_eq!(raw.status(&get(stored.id)), Status::Unavailable);
        is_in(&node, 0, "suspect")
    });
    let Received::Refused(refusal) = raw.ask(&put("later")) else { panic!("stored on a suspect disk") };
    assert_eq!(refusal.status, Status::Busy);
    assert!(refusal.retry_after_ms > 0 && refusal.detail.contains("status"), "{refusal:?}");
    faults.heal();
    eventually("the disk is trusted again", || is_in(&node, 0, "healthy"));
    let report = disk(&node, 0);
    assert_eq!((&report["entered"]["suspect"], &report["entered"]["healthy"]), (&1.into(), &1.into()), "{report}");
    assert_eq!(raw.status(&put("now")), Status::Ok);
    assert_eq!(raw.status(&get(stored.id)), Status::Ok);
    assert_at_rest(&node);
    node.stop();
}

#[test]
fn a_read_or_an_append_that_hangs_makes_a_disk_suspect_until_it_ends() {
    for call in [Call::Read, Call::SyncData] {
        let (disk_one, faults, _) = faulty();
        let node = start(&Configuration { suspect_after_ms: 300, suspect_for_ms: 500, ..settings() }, vec![disk_one]);
        let mut raw = Raw::connect(node.address());
        let Received::Stored(stored) = raw.ask(&put("kept")) else { panic!("not stored") };
        faults.hang(&[call]);
        let mut stuck = Raw::connect(node.address());
        stuck.send(1, &if call == Call::Read { get(stored.id) } else { put("hangs") });
        eventually("the disk is suspect", || is_in(&node, 0, "suspect"));
        let report = disk(&node, 0);
        assert!(report["cause"].as_str().unwrap().contains("has been worked on for"), "{report}");
        // The watch goes on: it stays so while the call hangs, for longer than the calm time.
        let looks = std::time::Instant::now();
        eventually("the calm time is over", || {
            assert!(is_in(&node, 0, "suspect"));
            looks.elapsed() > Duration::from_millis(1000)
        });
        faults.release();
        assert!(matches!(stuck.receive().1, Received::Content(..) | Received::Stored(_)));
        eventually("the disk is trusted again", || is_in(&node, 0, "healthy"));
        eventually("it takes objects", || raw.status(&put("again")) == Status::Ok);
        assert_at_rest(&node);
        node.stop();
    }
}

#[test]
fn a_disk_that_failed_stays_failed_and_the_other_serves() {
    let (disk_one, faults, memory) = faulty();
    let node = start(&Configuration { suspect_for_ms: 100, ..settings() }, vec![disk_one, Arc::new(MemoryDisk::new())]);
    let ids = on_both(&node);
    let bad = volume_on(&memory);
    faults.add(Fault::error(Call::SyncData, EIO));
    let mut raw = Raw::connect(node.address());
    eventually("the disk failed", || {
        raw.ask(&put("x"));
        is_in(&node, 0, "failed")
    });
    let report = disk(&node, 0);
    let cause = report["cause"].as_str().unwrap();
    assert!(cause.contains("sync failed") && cause.contains("until it is opened again"), "{cause}");
    assert_eq!(report["entered"]["failed"], 1);
    for id in ids.iter().flatten() {
        assert_eq!(raw.status(&get(*id)), Status::Ok);
        let deleted = raw.status(&Request::Delete(*id));
        assert_eq!(deleted, if id.volume == bad { Status::Unavailable } else { Status::Ok });
    }
    for seed in 0..30 {
        assert_eq!(raw.status(&put(content(seed, 100))), Status::Ok);
    }
    assert!(is_in(&node, 0, "failed"));
    assert_at_rest(&node);
    node.stop();
}

#[test]
fn a_directory_that_is_removed_while_serving_fails_alone() {
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let node = on_directories(&settings(), &[one.path(), two.path()]);
    let ids = on_both(&node);
    std::fs::remove_dir_all(one.path()).unwrap();
    eventually("the disk failed", || is_in(&node, 0, "failed"));
    let report = disk(&node, 0);
    let cause = report["cause"].as_str().unwrap();
    assert!(cause.contains("removed") && cause.contains("start the node again"), "{cause}");
    let mut raw = Raw::connect(node.address());
    let mut served = [0; 2];
    for (index, ids) in ids.iter().enumerate() {
        for id in ids {
            // What is open can still be read; what cannot is not called absent.
            let status = raw.status(&get(*id));
            assert!(matches!(status, Status::Ok | Status::Unavailable), "{status:?}");
            served[index] += usize::from(status == Status::Ok);
        }
    }
    assert!(served.contains(&ids[0].len()) || served.contains(&ids[1].len()), "the other disk serves all");
    for seed in 0..30 {
        assert_eq!(raw.status(&put(content(seed, 100))), Status::Ok);
    }
    assert!(is_in(&node, 1, "healthy"));
    assert_at_rest(&node);
    node.stop();
}

/// Two disks of one node, cleanly stopped, with the objects of each.
fn stopped() -> [(MemoryDisk, Vec<ObjectId>); 2] {
    let disks = [(); 2].map(|()| MemoryDisk::new());
    let node = start(&settings(), disks.iter().map(|disk| Arc::new(disk.clone()) as Arc<dyn Disk>).collect());
    let ids = on_both(&node);
    node.stop();
    let ids: Vec<_> = ids.into_iter().flatten().collect();
    disks.map(|disk| {
        let volume = volume_on(&disk);
        let ours = ids.iter().copied().filter(|id| id.volume == volume).collect();
        (disk, ours)
    })
}

/// The node goes on without the first of two disks, and never takes its objects for absent.
fn goes_without(node: &Node, words: &[&str], out: &[ObjectId], there: &[ObjectId]) {
    let report = disk(node, 0);
    assert_eq!((report["state"].as_str(), report["left_out"].as_bool()), (Some("failed"), Some(true)), "{report}");
    let cause = report["cause"].as_str().unwrap();
    assert!(words.iter().all(|word| cause.contains(word)), "{cause}");
    assert_eq!(disk(node, 1)["left_out"], false);
    assert_eq!(node.disks(), (1, 1));
    let mut raw = Raw::connect(node.address());
    assert!(out.iter().all(|id| raw.status(&get(*id)) == Status::Unavailable));
    assert!(out.iter().all(|id| raw.status(&Request::Delete(*id)) == Status::Unavailable));
    assert!(there.iter().all(|id| raw.status(&get(*id)) == Status::Ok));
    assert_eq!(raw.status(&put("more")), Status::Ok);
    assert_at_rest(node);
}

fn damage(disk: &MemoryDisk, name: &str, offsets: &[u64]) {
    let file = disk.open(name, Open::Write).unwrap();
    for offset in offsets {
        file.write_all_at(&mut [IoSlice::new(b"damage")], *offset).unwrap();
    }
}

#[test]
fn a_disk_that_suffered_is_left_out_at_start() {
    type Harm = fn(&MemoryDisk) -> Arc<dyn Disk>;
    let harms: [(Harm, &[&str]); 6] = [
        (
            |disk| {
                damage(disk, "superblock", &[40, 4096 + 40]);
                Arc::new(disk.clone())
            },
            &["left out", "superblock", "restore"],
        ),
        (
            |disk| {
                damage(disk, "manifest", &[3]);
                Arc::new(disk.clone())
            },
            &["left out", "manifest", "restore"],
        ),
        (|disk| failing(disk, Call::List), &["left out", "list failed", "check the device"]),
        (|disk| failing(disk, Call::Read), &["left out", "read failed", "check the device"]),
        (|disk| failing(disk, Call::SyncAll), &["left out", "sync failed", "check the device"]),
        (
            |disk| {
                disk.remove("manifest").unwrap();
                Arc::new(disk.clone())
            },
            &["left out", "manifest", "gone"],
        ),
    ];
    for (harm, words) in harms {
        let [(bad, out), (good, there)] = stopped();
        let node = start(&settings(), vec![harm(&bad), Arc::new(good)]);
        goes_without(&node, words, &out, &there);
        node.stop();
    }
}

fn failing(disk: &MemoryDisk, call: Call) -> Arc<dyn Disk> {
    let plan = FaultPlan { faults: vec![Fault::error(call, EIO).for_good()], ..FaultPlan::default() };
    Arc::new(FaultyDisk::new(Arc::new(disk.clone()), plan))
}

#[test]
fn a_disk_that_hangs_at_start_is_left_out_and_what_it_says_later_is_dropped() {
    for call in [Call::List, Call::Lock, Call::Read, Call::SyncAll] {
        let [(bad, out), (good, there)] = stopped();
        let faulty = FaultyDisk::new(Arc::new(bad.clone()), FaultPlan::default());
        let faults = faulty.faults();
        faults.hang(&[call]);
        let configuration = Configuration { open_stall_ms: 1500, ..settings() };
        let node = start(&configuration, vec![Arc::new(faulty), Arc::new(good)]);
        goes_without(&node, &["left out", "no progress"], &out, &there);
        faults.release();
        // The opening that ended too late lets go of the directory.
        eventually("the lock is free", || bad.lock("lock").is_ok());
        assert_eq!(node.disks(), (1, 1));
        node.stop();
    }
}

#[test]
fn copies_of_one_disk_are_left_out_both() {
    let [(copied, out), (good, there)] = stopped();
    let copy = copied.kill();
    let node = start(&settings(), vec![Arc::new(copied), Arc::new(good), Arc::new(copy)]);
    assert_eq!(node.disks(), (1, 2));
    for index in [0, 2] {
        let report = disk(&node, index);
        assert!(report["cause"].as_str().unwrap().contains("the same disk"), "{report}");
        assert_eq!(report["left_out"], true);
    }
    let mut raw = Raw::connect(node.address());
    assert!(out.iter().all(|id| raw.status(&get(*id)) == Status::Unavailable));
    assert!(there.iter().all(|id| raw.status(&get(*id)) == Status::Ok));
    node.stop();
}

fn refused(disks: Vec<Arc<dyn Disk>>) -> String {
    Node::start(&settings(), disks, Arc::default()).unwrap_err().to_string()
}

#[test]
fn with_no_disk_left_the_start_is_refused_with_all_causes() {
    let [(one, _), (two, _)] = stopped();
    let line = refused(vec![failing(&one, Call::List), failing(&two, Call::Lock)]);
    for word in ["no disk can be opened", "list failed", "lock failed"] {
        assert!(line.contains(word), "{word}: {line}");
    }
    // An empty disk must not become a node of its own beside one that only could not be read.
    let empty = MemoryDisk::new();
    let line = refused(vec![Arc::new(empty.clone()), failing(&one, Call::List)]);
    assert!(line.contains("empty") && line.contains("list failed"), "{line}");
    assert!(empty.list().unwrap().is_empty(), "it stays as it was");
}

#[test]
fn a_new_disk_gives_out_no_number_of_a_disk_that_is_left_out() {
    let [(one, out), (two, _)] = stopped();
    damage(&one, "manifest", &[3]);
    // Whose it is and its numbers can be read; its volumes cannot.
    drop(two);
    let node = start(&settings(), vec![Arc::new(one), Arc::new(MemoryDisk::new())]);
    let mut raw = Raw::connect(node.address());
    let Received::Stored(stored) = raw.ask(&put("new")) else { panic!("not stored") };
    assert!(stored.id.volume > VolumeId(2), "{:?}", stored.id);
    assert!(out.iter().all(|id| raw.status(&get(*id)) == Status::Unavailable));
    node.stop();
}
