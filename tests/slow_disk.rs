//! Goal: a slow or hung disk is nobody else's trouble. Method: a node on two disks, one of them faulty; what happens is
//! asserted here, how long it takes is measured by `benches/isolation.rs`.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod support;

use larder::base::ids::{ObjectId, VolumeId};
use larder::client::PutOptions;
use larder::disk::{Call, Disk, FaultPlan, Faults, FaultyDisk, MemoryDisk};
use larder::node::Node;
use larder::request::Status;
use larder::wire::{Received, Request};
use std::sync::Arc;
use std::time::Duration;
use support::node::{assert_at_rest, client, configuration, number, start};
use support::raw::{Raw, put};
use support::{content, eventually};

struct TwoDisks {
    node: Node,
    faults: Arc<Faults>,
    /// Objects on the faulty disk.
    slow: Vec<ObjectId>,
    /// Objects on the other.
    fast: Vec<ObjectId>,
}

/// Two disks with objects on both; the first is the faulty one, whose pages are all cold.
fn two_disks() -> TwoDisks {
    let faulty = FaultyDisk::new(Arc::new(MemoryDisk::new()), FaultPlan::default());
    let faults = faulty.faults();
    let disks: Vec<Arc<dyn Disk>> = vec![Arc::new(faulty), Arc::new(MemoryDisk::new())];
    let mut configuration = configuration();
    configuration.cache_bytes = 0;
    configuration.in_flight_max = 64;
    configuration.drain_ms = 500;
    let node = start(&configuration, disks);
    let client = client(&node);
    let mut ids: Vec<(VolumeId, ObjectId)> = Vec::new();
    for seed in 0..64 {
        let id = client.put(content(seed, 4096), PutOptions::default()).unwrap().id;
        ids.push((id.volume, id));
    }
    // The volume of the faulty disk is the one whose reads it sees.
    faults.set_cold(true);
    let before = faults.count(Call::Read);
    client.get(ids[0].1).unwrap();
    let first_is_slow = faults.count(Call::Read) > before;
    let first = ids[0].0;
    let (ours, others): (Vec<_>, Vec<_>) = ids.into_iter().partition(|(volume, _)| *volume == first);
    let of = |list: Vec<(VolumeId, ObjectId)>| list.into_iter().map(|(_, id)| id).collect::<Vec<_>>();
    let (slow, fast) = if first_is_slow { (of(ours), of(others)) } else { (of(others), of(ours)) };
    assert!(slow.len() > 8 && fast.len() > 8, "objects are on both disks");
    TwoDisks { node, faults, slow, fast }
}

fn get(id: ObjectId) -> Request {
    Request::Get { id, range: None }
}

#[test]
fn requests_of_a_hung_disk_time_out_and_nothing_else_notices() {
    let TwoDisks { node, faults, slow, fast } = two_disks();
    faults.hang(&Call::ALL);
    let mut stuck = Raw::connect(node.address());
    for n in 0..32 {
        stuck.send_within(n + 1, &get(slow[n as usize % slow.len()]), 200);
    }
    assert!(faults.wait_until_hanging(1, Duration::from_secs(30)));
    // Everything else goes on, on the same processor and also on the same connection.
    let mut other = Raw::connect(node.address());
    for id in &fast {
        assert_eq!(other.status(&get(*id)), Status::Ok);
        assert_eq!(other.status(&Request::Ping("x".into())), Status::Ok);
    }
    for _ in 0..32 {
        let (_, refusal) = stuck.refusal();
        assert_eq!(refusal.status, Status::TimedOut);
    }
    assert_eq!(stuck.status(&get(fast[0])), Status::Ok);
    // Writes find the disk that works: at most a few land in the hung lane before it is passed over.
    let mut stored = 0;
    for seed in 0..100 {
        other.send_within(5, &put(content(seed, 1000)), 300);
        stored += u32::from(matches!(other.receive().1, Received::Stored(_)));
    }
    assert!(stored >= 80, "{stored} of 100 were stored");
    faults.release();
    eventually("reads go on once the disk answers", || stuck.status(&get(slow[0])) == Status::Ok);
    assert_at_rest(&node);
    node.stop();
}

#[test]
fn a_stop_leaves_a_hung_disk_behind_and_closes_the_others() {
    let TwoDisks { node, faults, slow, .. } = two_disks();
    faults.hang(&[Call::Read]);
    let mut stuck = Raw::connect(node.address());
    stuck.send_within(1, &get(slow[0]), 100);
    assert!(faults.wait_until_hanging(1, Duration::from_secs(30)));
    assert_eq!(stuck.refusal().1.status, Status::TimedOut);
    // The node comes to its end while the disk still hangs.
    node.stop();
    faults.release();
}

#[test]
fn a_slow_disk_answers_busy_when_its_queue_is_full() {
    let TwoDisks { node, faults, slow, fast } = two_disks();
    faults.hang(&[Call::Read]);
    let mut flood: Vec<Raw> = (0..40).map(|_| Raw::connect(node.address())).collect();
    for raw in &mut flood {
        for n in 0..64 {
            raw.send_within(n + 1, &get(slow[n as usize % slow.len()]), 60_000);
        }
    }
    // 2,560 requests against a queue of 1,024: the rest is told BUSY at once, with the stage and a delay.
    eventually("the queue is full", || number(&node, "/answers/busy") > 0);
    assert_eq!(Raw::connect(node.address()).status(&get(fast[0])), Status::Ok);
    faults.release();
    let mut busy = 0;
    for raw in &mut flood {
        for _ in 0..64 {
            match raw.receive().1 {
                Received::Refused(refusal) => {
                    assert_eq!(refusal.status, Status::Busy, "{refusal:?}");
                    assert!(refusal.retry_after_ms > 0);
                    busy += 1;
                }
                Received::Content(_, bytes) => assert_eq!(bytes.len(), 4096),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(number(&node, "/answers/busy"), busy);
    assert!(busy >= 2560 - 1024 - 64);
    assert_at_rest(&node);
    node.stop();
}

#[test]
fn an_append_lane_that_is_full_says_busy_and_every_request_is_accounted_for() {
    let faulty = FaultyDisk::new(Arc::new(MemoryDisk::new()), FaultPlan::default());
    let faults = faulty.faults();
    let mut configuration = configuration();
    configuration.append_queue_max = 16;
    configuration.in_flight_max = 64;
    let node = start(&configuration, vec![Arc::new(faulty)]);
    client(&node).put("first", PutOptions::default()).unwrap();
    faults.hang(&[Call::SyncData, Call::Write]);
    let mut raw = Raw::connect(node.address());
    for n in 0..64 {
        raw.send_within(n + 1, &put(content(n, 20_000)), 60_000);
    }
    eventually("some are told BUSY", || number(&node, "/answers/busy") > 0);
    faults.release();
    let mut stored = 0;
    for _ in 0..64 {
        match raw.receive().1 {
            Received::Stored(_) => stored += 1,
            Received::Refused(refusal) => assert_eq!(refusal.status, Status::Busy),
            other => panic!("{other:?}"),
        }
    }
    assert!(stored >= 16, "{stored}");
    assert_eq!(number(&node, "/requests/accepted"), 65);
    assert_at_rest(&node);
    node.stop();
}

#[test]
fn a_failed_sync_is_never_acknowledged_and_the_disk_takes_no_more_writes() {
    let faulty = FaultyDisk::new(Arc::new(MemoryDisk::new()), FaultPlan::default());
    let faults = faulty.faults();
    let node = start(&configuration(), vec![Arc::new(faulty), Arc::new(MemoryDisk::new())]);
    let client = client(&node);
    let before: Vec<_> = (0..20).map(|n| client.put(content(n, 500), PutOptions::default()).unwrap().id).collect();
    faults.add(larder::disk::Fault::error(Call::SyncData, 5));
    eventually("the disk failed for writing", || {
        let mut raw = Raw::connect(node.address());
        let status = raw.status(&put("x"));
        assert!(matches!(status, Status::Ok | Status::Unavailable), "{status:?}");
        node.status()["disks"].as_array().unwrap().iter().any(|disk| disk["state"] == "failed")
    });
    let syncs = faults.count(Call::SyncData);
    for n in 0..50 {
        // All go to the disk that works.
        client.put(content(n, 300), PutOptions::default()).unwrap();
    }
    assert_eq!(faults.count(Call::SyncData), syncs, "a failed sync is not tried again");
    for (n, id) in before.into_iter().enumerate() {
        assert!(client.get(id).unwrap().content[..] == content(n as u64, 500)[..]);
    }
    assert_at_rest(&node);
    node.stop();
}

#[test]
fn a_hung_disk_does_not_keep_the_other_from_its_first_volume() {
    let faulty = FaultyDisk::new(Arc::new(MemoryDisk::new()), FaultPlan::default());
    let faults = faulty.faults();
    let mut configuration = configuration();
    configuration.drain_ms = 500;
    let node = start(&configuration, vec![Arc::new(faulty), Arc::new(MemoryDisk::new())]);
    faults.hang(&Call::ALL);
    // A volume number is noted on every disk that answers in time; the hung one is left out.
    let mut raw = Raw::connect(node.address());
    let mut stored = 0;
    for seed in 0..20 {
        raw.send_within(9, &put(content(seed, 500)), 5000);
        stored += u32::from(matches!(raw.receive().1, Received::Stored(_)));
    }
    assert!(stored >= 18, "{stored} of 20 were stored");
    node.stop();
    faults.release();
}
