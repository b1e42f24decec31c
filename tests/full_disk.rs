//! Goal: a full disk is a normal state of a node: what is stored stays readable, deletes work to the last object, objects
//! are refused until there is room for them besides the reserve, and writing resumes by itself. Method: a node on a disk in
//! memory whose capacity the test sets.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod support;

use larder::base::ids::ObjectId;
use larder::disk::{Call, Disk, FaultPlan, FaultyDisk, MemoryDisk};
use larder::node::{Configuration, Node};
use larder::request::Status;
use larder::wire::{Received, Request};
use std::sync::Arc;
use std::time::Duration;
use support::node::{assert_at_rest, configuration, start};
use support::raw::{Raw, put};
use support::{content, eventually};

const MIB: u64 = 1 << 20;

/// Segments of 16 MiB, so that room is asked for again and again.
fn small_segments() -> Configuration {
    Configuration { segment_bytes: Some(16 * MIB), cache_bytes: 0, in_flight_max: 256, ..configuration() }
}

fn store(raw: &mut Raw, bytes: Vec<u8>) -> Result<ObjectId, Status> {
    match raw.ask(&put(bytes)) {
        Received::Stored(stored) => Ok(stored.id),
        Received::Refused(refusal) => Err(refusal.status),
        other => panic!("{other:?}"),
    }
}

/// Objects until the node says FULL.
fn fill(raw: &mut Raw, bytes: usize) -> Vec<ObjectId> {
    let mut ids = Vec::new();
    loop {
        match store(raw, content(ids.len() as u64, bytes)) {
            Ok(id) => ids.push(id),
            Err(status) => {
                assert_eq!(status, Status::Full);
                return ids;
            }
        }
    }
}

fn assert_readable(raw: &mut Raw, ids: &[ObjectId], bytes: usize) {
    for (seed, id) in (0..).zip(ids) {
        assert_object(raw, seed, *id, bytes);
    }
}

fn assert_object(raw: &mut Raw, seed: u64, id: ObjectId, bytes: usize) {
    let mut read = Vec::new();
    raw.send(1, &Request::Get { id, range: None });
    loop {
        let (header, received) = raw.receive();
        match received {
            Received::Content(_, part) | Received::More(part) => read.extend_from_slice(&part),
            other => panic!("object {seed}: {other:?}"),
        }
        if header.is_last() {
            break;
        }
    }
    assert!(read == content(seed, bytes), "object {seed}");
}

fn disk_of(node: &Node) -> serde_json::Value {
    node.status()["disks"][0].clone()
}

#[test]
fn a_full_disk_reads_deletes_and_comes_back_by_itself() {
    const OBJECT: usize = 300_000;
    let disk = MemoryDisk::with_capacity(40 * MIB);
    // Without compaction, which would make room for objects before this has looked.
    let node =
        start(&Configuration { compaction_garbage_percent: 0, ..small_segments() }, vec![Arc::new(disk.clone())]);
    let mut raw = Raw::connect(node.address());
    let ids = fill(&mut raw, OBJECT);
    assert!(ids.len() > 80, "{}", ids.len());
    let full = disk_of(&node);
    assert_eq!((full["state"].as_str(), full["reserve_whole"].as_bool()), (Some("full"), Some(true)), "{full}");
    assert!(full["cause"].as_str().unwrap().contains("delete objects"), "{full}");
    assert!(full["since_ms"].as_u64().unwrap() > 1_700_000_000_000 && full["entered"]["full"].as_u64().unwrap() >= 1);
    assert_readable(&mut raw, &ids, OBJECT);

    // Not one byte is left but the reserve.
    disk.set_capacity(40 * MIB - disk.space().unwrap().free);
    let mut raw = Raw::connect(node.address());
    for id in &ids {
        assert_eq!(raw.status(&Request::Delete(*id)), Status::Ok);
        assert_eq!(store(&mut raw, b"tiny".to_vec()), Err(Status::Full), "room for deletes is not room for objects");
    }
    assert_eq!(disk_of(&node)["state"], "full");
    let looks = disk_of(&node)["entered"]["healthy"].clone();
    eventually("the reserve is what is missing", || disk_of(&node)["reserve_whole"] == false);
    assert_at_rest(&node);

    disk.set_capacity(200 * MIB);
    eventually("writing resumes", || store(&mut raw, content(5, OBJECT)).is_ok());
    let healthy = disk_of(&node);
    assert_eq!((healthy["state"].as_str(), healthy["reserve_whole"].as_bool()), (Some("healthy"), Some(true)));
    assert!(healthy["entered"]["healthy"].as_u64() > looks.as_u64());
    assert_at_rest(&node);
    node.stop();
    // And the next start finds a clean stop.
    let node = start(&small_segments(), vec![Arc::new(disk)]);
    let mut raw = Raw::connect(node.address());
    assert!(ids.iter().all(|id| raw.status(&Request::Get { id: *id, range: None }) == Status::NotFound));
    node.stop();
}

#[test]
fn what_was_deleted_on_a_full_disk_becomes_room_for_objects() {
    const OBJECT: usize = 300_000;
    // As an operator has it who sets nothing: segments of 16 MiB, and two of them in reserve.
    let fitted = Configuration { segment_bytes: None, reserve_bytes: None, ..small_segments() };
    let fitted = Configuration { compaction_bytes_per_s: 1 << 30, ..fitted };
    let disk = MemoryDisk::with_capacity(256 * MIB);
    let node = start(&fitted, vec![Arc::new(disk.clone())]);
    let mut raw = Raw::connect(node.address());
    let ids = fill(&mut raw, OBJECT);
    assert!(ids.len() > 600, "{}", ids.len());
    assert_eq!(disk_of(&node)["segment_bytes"], 16 * MIB);
    assert_eq!(disk_of(&node)["reserve_wanted_bytes"], 32 * MIB);
    // Not one byte is left but the reserve.
    disk.set_capacity(256 * MIB - disk.space().unwrap().free);
    let mut mixed = 7u64;
    let mut is_dead = || {
        mixed = mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (mixed >> 33) % 10 < 4
    };
    let dead: Vec<bool> = ids.iter().map(|_| is_dead()).collect();
    for (id, _) in ids.iter().zip(&dead).filter(|(_, dead)| **dead) {
        assert_eq!(raw.status(&Request::Delete(*id)), Status::Ok);
    }
    eventually("puts are taken again", || store(&mut raw, content(5, OBJECT)).is_ok());
    assert_eq!(disk_of(&node)["compaction"]["given_up"], 0, "{}", disk_of(&node)["compaction"]);
    let check = |raw: &mut Raw| {
        for ((seed, id), dead) in (0..).zip(&ids).zip(&dead) {
            match dead {
                true => assert_eq!(raw.status(&Request::Get { id: *id, range: None }), Status::NotFound),
                false => assert_object(raw, seed, *id, OBJECT),
            }
        }
    };
    check(&mut raw);
    assert_at_rest(&node);
    node.stop();
    let node = start(&fitted, vec![Arc::new(disk)]);
    check(&mut Raw::connect(node.address()));
    node.stop();
}

#[test]
fn deletes_of_a_group_succeed_though_its_objects_find_no_room() {
    let disk = MemoryDisk::with_capacity(200 * MIB);
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), FaultPlan::default());
    let faults = faulty.faults();
    let node = start(&small_segments(), vec![Arc::new(faulty)]);
    let mut raw = Raw::connect(node.address());
    let ids: Vec<_> = (0..14).map(|seed| store(&mut raw, content(seed, 1 << 20)).unwrap()).collect();
    // The segment at hand has room for one more, and there is no room for another segment.
    disk.set_capacity(200 * MIB - disk.space().unwrap().free);
    faults.hang(&[Call::SyncData]);
    raw.send(100, &put("held in its sync"));
    assert!(faults.wait_until_hanging(1, Duration::from_secs(30)));
    let outstanding = |count| eventually("all wait", || disk_of(&node)["appends_outstanding"] == count);
    for (n, id) in ids.iter().enumerate() {
        if n % 5 == 0 {
            raw.send(200 + n as u64, &put(content(n as u64, 3 << 20)));
        }
        raw.send(300 + n as u64, &Request::Delete(*id));
    }
    outstanding(18);
    faults.release();
    let (mut full, mut deleted) = (0, 0);
    for _ in 0..18 {
        let (header, received) = raw.receive();
        match (header.correlation / 100, received) {
            (1, Received::Stored(_)) => {}
            (2, Received::Refused(refusal)) => {
                assert_eq!(refusal.status, Status::Full, "{refusal:?}");
                full += 1;
            }
            (3, Received::Deleted(_)) => deleted += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((full, deleted), (3, 14));
    assert_at_rest(&node);
    node.stop();
}

#[test]
fn a_disk_with_room_takes_what_a_full_one_does_not() {
    let small = MemoryDisk::with_capacity(20 * MIB);
    let node = start(&small_segments(), vec![Arc::new(small), Arc::new(MemoryDisk::new())]);
    let mut raw = Raw::connect(node.address());
    for seed in 0..60 {
        assert!(store(&mut raw, content(seed, 1 << 20)).is_ok(), "object {seed}");
    }
    assert_at_rest(&node);
    node.stop();
}
