//! Goal: what is put comes back byte for byte, through restarts, and what is deleted does not. Method: whole nodes on
//! disks in memory and on real directories, driven by the client library.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod support;

use larder::base::ids::{Cookie, Sequence, VolumeId};
use larder::client::{ClientError, PutOptions};
use larder::request::{Attributes, Durability, Status};
use std::collections::HashMap;
use support::content;
use support::node::{assert_at_rest, client, configuration, in_memory, number, on_directories};

fn status_of<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Option<Status> {
    result.expect_err("refused").status()
}

const SIZES: [usize; 14] = [0, 1, 7, 8, 9, 100, 4096, 65_535, 65_536, 65_537, 200_000, 262_144, (1 << 20) + 3, 8 << 20];

#[test]
fn objects_of_every_size_come_back_also_by_range() {
    let (node, _disk) = in_memory();
    let client = client(&node);
    for (seed, bytes) in SIZES.into_iter().enumerate() {
        let content = content(seed as u64, bytes);
        let stored = client.put(content.clone(), PutOptions::default()).unwrap();
        assert_eq!((stored.size, stored.durability), (bytes as u64, Durability::Disk));
        // Twice from the disk, and then from the cache of verified blocks.
        for _ in 0..4 {
            let object = client.get(stored.id).unwrap();
            assert!(object.content[..] == content[..], "{bytes} bytes differ");
            assert_eq!(object.meta.hash, stored.hash);
        }
        let size = bytes as u64;
        for (start, length) in [(0, 1), (size / 2, 10), (size.saturating_sub(1), 100), (65_530, 12), (1, u64::MAX)] {
            if start >= size && (start > 0 || size > 0) {
                assert_eq!(status_of(client.get_range(stored.id, start, length)), Some(Status::RangeNotSatisfiable));
                continue;
            }
            let part = client.get_range(stored.id, start, length).unwrap();
            let end = start.saturating_add(length).min(size);
            assert!(part.content[..] == content[start.min(end) as usize..end as usize], "{start}+{length} of {bytes}");
        }
        assert_eq!(status_of(client.get_range(stored.id, size + 1, 1)), Some(Status::RangeNotSatisfiable));
    }
    assert!(number(&node, "/disks/0/cache_hits") > 0, "hot content comes from memory");
    assert_at_rest(&node);
    node.stop();
}

#[test]
fn attributes_and_facts_are_kept() {
    let (node, _disk) = in_memory();
    let client = client(&node);
    let long = vec![b'x'; 4000];
    let attributes = Attributes::of(&[(Attributes::CONTENT_TYPE, b"image/jpeg"), (200, &long)]).unwrap();
    let options = PutOptions { attributes: attributes.clone(), ..PutOptions::default() };
    let stored = client.put(content(1, 300_000), options).unwrap();
    let meta = client.stat(stored.id).unwrap();
    assert_eq!((meta.size, meta.hash, &meta.attributes), (300_000, stored.hash, &attributes));
    assert!(meta.stored_ms > 1_700_000_000_000);
    assert!(client.get(stored.id).unwrap().content[..] == content(1, 300_000)[..]);
    node.stop();
}

#[test]
fn attributes_of_cached_objects_count_as_cached() {
    let (node, _disk) = in_memory();
    let client = client(&node);
    let attributes = Attributes::of(&[(200, &[b'x'; 4000])]).unwrap();
    for n in 0..50 {
        let options = PutOptions { attributes: attributes.clone(), ..PutOptions::default() };
        let stored = client.put(content(n, 1), options).unwrap();
        for _ in 0..3 {
            client.get(stored.id).unwrap();
        }
    }
    assert!(number(&node, "/disks/0/cache_hits") >= 40);
    let bytes = number(&node, "/memory/cache_bytes");
    assert!(bytes > 40 * 4000, "50 heads of 4 KB are {bytes} bytes");
    node.stop();
}

#[test]
fn what_is_deleted_stays_deleted_and_a_repeat_succeeds() {
    let (node, _disk) = in_memory();
    let client = client(&node);
    let kept = client.put("kept", PutOptions::default()).unwrap();
    let gone = client.put("gone", PutOptions::default()).unwrap();
    let mut guessed = gone.id;
    guessed.cookie = Cookie(gone.id.cookie.0 ^ 1);
    assert_eq!(status_of(client.delete(guessed)), Some(Status::NotFound));
    client.delete(gone.id).unwrap();
    let needles = number(&node, "/disks/0/needles");
    client.delete(gone.id).unwrap();
    assert_eq!(status_of(client.delete(guessed)), Some(Status::NotFound));
    assert_eq!(status_of(client.get(gone.id)), Some(Status::NotFound));
    assert_eq!(status_of(client.stat(gone.id)), Some(Status::NotFound));
    assert_eq!(&client.get(kept.id).unwrap().content[..], b"kept");
    assert!(number(&node, "/disks/0/needles") <= needles + 1, "a repeat writes nothing");
    assert_at_rest(&node);
    node.stop();
}

#[test]
fn ids_that_name_nothing_are_told_apart() {
    let (node, disk) = in_memory();
    let client = client(&node);
    let stored = client.put("content", PutOptions::default()).unwrap();
    let with = |volume: u32, sequence: u64| {
        let mut id = stored.id;
        id.volume = VolumeId(volume);
        id.sequence = Sequence(sequence);
        id
    };
    let VolumeId(volume) = stored.id.volume;
    assert_eq!(status_of(client.get(with(volume, 1 << 40))), Some(Status::NotFound));
    assert_eq!(status_of(client.get(with(volume, 0))), Some(Status::NotFound), "the first needle is no object");
    assert_eq!(status_of(client.get(with(volume + 1, 0))), Some(Status::NotFound), "never given out");
    let mut wrong = stored.id;
    wrong.cookie = Cookie(!stored.id.cookie.0);
    assert_eq!(status_of(client.get(wrong)), Some(Status::NotFound));
    assert_eq!(status_of(client.stat(wrong)), Some(Status::NotFound));
    node.stop();
    drop(disk);
}

#[test]
fn class_memory_must_be_asked_for_and_says_what_was_reached() {
    let (node, disk) = in_memory();
    let client = client(&node);
    let options = PutOptions { durability: Durability::Memory, ..PutOptions::default() };
    let stored = client.put("content", options).unwrap();
    assert_eq!(&client.get(stored.id).unwrap().content[..], b"content");
    let syncs = number(&node, "/disks/0/syncs");
    support::eventually("it is synced within a second or so", || {
        stored.durability == Durability::Disk || number(&node, "/disks/0/syncs") > syncs
    });
    node.stop();
    drop(disk);
}

#[test]
fn everything_survives_restarts_on_two_directories() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let configuration = configuration();
    let mut all = HashMap::new();
    let mut deleted = Vec::new();
    for round in 0..3u64 {
        let node = on_directories(&configuration, &[one.path(), two.path()]);
        let client = client(&node);
        for (id, seed) in &all {
            let SizeOf(bytes) = size_of(*seed);
            assert!(client.get(*id).unwrap().content[..] == content(*seed, bytes)[..], "{id} differs");
        }
        for id in &deleted {
            assert_eq!(status_of(client.get(*id)), Some(Status::NotFound));
        }
        let tickets: Vec<_> = (0..100)
            .map(|n| {
                let seed = round * 1000 + n;
                (seed, client.submit_put(content(seed, size_of(seed).0), PutOptions::default()))
            })
            .collect();
        for (seed, ticket) in tickets {
            all.insert(ticket.wait().unwrap().id, seed);
        }
        let victim = *all.keys().next().unwrap();
        client.delete(victim).unwrap();
        all.remove(&victim);
        deleted.push(victim);
        for disk in 0..2 {
            assert!(number(&node, &format!("/disks/{disk}/needles")) > 10, "both disks are used");
        }
        assert_at_rest(&node);
        node.stop();
    }
}

#[test]
fn an_object_on_a_disk_that_is_not_there_is_unavailable_and_never_unknown() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let configuration = configuration();
    let node = on_directories(&configuration, &[one.path(), two.path()]);
    let ids: Vec<_> = (0..40).map(|n| client(&node).put(content(n, 100), PutOptions::default()).unwrap().id).collect();
    node.stop();
    // The second disk is taken out. A cache would keep a NOT_FOUND.
    let node = on_directories(&configuration, &[one.path()]);
    let (here, gone): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| client(&node).get(*id).is_ok());
    assert!(!here.is_empty() && !gone.is_empty());
    for id in &gone {
        assert_eq!(status_of(client(&node).get(*id)), Some(Status::Unavailable));
        assert_eq!(status_of(client(&node).delete(*id)), Some(Status::Unavailable));
    }
    // Its volume's number is not given out again.
    let new = client(&node).put("new", PutOptions::default()).unwrap().id;
    assert!(gone.iter().all(|id| id.volume != new.volume));
    node.stop();
    let node = on_directories(&configuration, &[one.path(), two.path()]);
    for id in here.into_iter().chain(gone).chain([new]) {
        client(&node).get(id).unwrap();
    }
    node.stop();
}

struct SizeOf(usize);

fn size_of(seed: u64) -> SizeOf {
    SizeOf((seed as usize * 7919) % 150_000)
}
