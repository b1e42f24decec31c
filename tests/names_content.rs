//! Goal: content and names fit together whatever happens: a commit takes only what was put for it, content that lost its
//! name goes and no other, and trouble with the metadata leaves ids alone. Method: whole nodes in this process, with names
//! on a disk of their own that the test can break.
#![allow(clippy::unwrap_used, reason = "what is not as it should be fails the test")]

mod support;

use bytes::Bytes;
use larder::base::ids::{ObjectId, Origin};
use larder::base::path::NamePath;
use larder::client::{Client, PutOptions, UploadOptions, file_hash};
use larder::disk::{Disk, MemoryDisk, Open};
use larder::node::{Configuration, Node};
use larder::request::{Attributes, Change, ChangeRequest, Condition, SessionAct, Status};
use std::io::{IoSlice, Read};
use std::sync::Arc;
use support::node::{assert_at_rest, client, configuration, number, with_names};
use support::{content, eventually};

const CHUNK: usize = 8 << 20;

fn path(text: &str) -> NamePath {
    NamePath::parse(text.as_bytes()).unwrap()
}

fn at_once() -> Configuration {
    Configuration { tombstone_wait_ms: 0, ..configuration() }
}

fn started(configuration: &Configuration) -> (Node, MemoryDisk, MemoryDisk) {
    let (disk, meta) = (MemoryDisk::new(), MemoryDisk::new());
    let node = with_names(configuration, Arc::new(disk.clone()), Arc::new(meta.clone()));
    (node, disk, meta)
}

/// A commit by hand, in a session of its own.
struct Hand {
    client: Client,
    session: u64,
    number: u64,
}

impl Hand {
    fn new(node: &Node) -> Self {
        let client = client(node);
        let session = client.session(SessionAct::Open).unwrap().session;
        Self { client, session, number: 0 }
    }

    fn put(&mut self, bytes: &[u8]) -> ObjectId {
        self.number += 1;
        let origin = Origin { session: self.session, number: self.number };
        let options = PutOptions { origin, ..PutOptions::default() };
        self.client.put(Bytes::copy_from_slice(bytes), options).unwrap().id
    }

    fn commit(&mut self, name: &str, chunks: &[ObjectId]) -> Result<u64, Status> {
        self.number += 1;
        let change = Change::Commit {
            path: path(name),
            condition: Condition::Any,
            parents: true,
            modified_ms: None,
            attributes: Attributes::default(),
            chunks: chunks.to_vec(),
        };
        let id = Origin { session: self.session, number: self.number };
        let changed = self.client.submit_change(ChangeRequest { id, change }).wait();
        changed.map(|changed| changed.version).map_err(|error| error.status().unwrap())
    }
}

#[test]
fn a_commit_takes_only_what_was_put_for_it() {
    let (node, _, _) = started(&configuration());
    let (mut hand, mut other) = (Hand::new(&node), Hand::new(&node));
    let by_id = hand.client.put("by id", PutOptions::default()).unwrap().id;
    let (first, second) = (hand.put(b"first"), hand.put(b"second"));
    let unknown = ObjectId { sequence: larder::base::ids::Sequence(1 << 30), ..first };
    let guessed = ObjectId { cookie: larder::base::ids::Cookie(first.cookie.0 ^ 1), ..first };
    for (chunks, want) in [
        (vec![unknown], Status::NoSuchChunk),
        (vec![guessed], Status::NoSuchChunk),
        (vec![by_id], Status::ForeignChunk),
        (vec![other.put(b"of another session")], Status::ForeignChunk),
        // Small chunks before the last.
        (vec![first, second], Status::BadRequest),
    ] {
        assert_eq!(hand.commit("/a", &chunks), Err(want), "{chunks:?}");
    }
    assert!(hand.commit("/a", &[first]).is_ok());
    assert_eq!(hand.commit("/b", &[first]), Err(Status::ForeignChunk), "it is in a file already");
    // A number that comes again is answered as before, and nothing happens.
    hand.number -= 1;
    assert_eq!(hand.commit("/b", &[second]), Err(Status::ForeignChunk));
    assert!(hand.commit("/b", &[second]).is_ok());
    assert_eq!(hand.client.delete(first).unwrap_err().status(), Some(Status::Refused), "it belongs to a name");
    assert_at_rest(&node);
    node.stop();
}

#[test]
fn content_that_lost_its_name_goes_and_no_other() {
    let (node, _, _) = started(&at_once());
    let client = client(&node);
    let session = client.open_session().unwrap();
    let by_id = client.put("by id", PutOptions::default()).unwrap().id;
    let upload = |name: &str, bytes: &[u8]| {
        let options = UploadOptions { parents: true, ..UploadOptions::default() };
        session.upload_bytes(&path(name), &Bytes::copy_from_slice(bytes), &options).unwrap();
        client.lookup(&path(name)).unwrap().chunks
    };
    let old = upload("/d/file", &content(1, CHUNK + 5));
    let removed = upload("/d/removed", b"removed");
    let moved = upload("/d/moved", b"moved");
    let in_tree = upload("/tree/a/b", b"in a tree");
    let new = upload("/d/file", &content(2, CHUNK + 7));
    session.remove(&path("/d/removed"), false, Condition::Any).unwrap();
    session.rename(&path("/d/moved"), &path("/d/elsewhere"), false, Condition::Any).unwrap();
    session.remove(&path("/tree"), true, Condition::Any).unwrap();
    let gone = |ids: &[ObjectId]| {
        ids.iter().all(|id| client.stat(*id).is_err_and(|error| error.status() == Some(Status::NotFound)))
    };
    eventually("replaced and removed content is gone", || gone(&old) && gone(&removed) && gone(&in_tree));
    eventually("nothing is left to do", || number(&node, "/master/tombstones") == 0);
    assert!(client.stat(by_id).is_ok());
    assert!(new.iter().chain(&moved).all(|id| client.stat(*id).is_ok()), "what has a name stays");
    let mut back = Vec::new();
    client.download(&path("/d/file"), &mut back, Default::default()).unwrap();
    assert!(back == content(2, CHUNK + 7));
    drop((session, client));
    assert_at_rest(&node);
    node.stop();
}

#[test]
fn a_large_file_is_stored_within_the_budget() {
    // Above the number of chunks that a processor checks by itself.
    let bytes = 18 * CHUNK + 11;
    let (node, _, _) = started(&Configuration { budget_in_bytes: 32 << 20, ..configuration() });
    let client = client(&node);
    let session = client.open_session().unwrap();
    let all = content(5, CHUNK).repeat(19);
    let mut from = all.get(..bytes).unwrap();
    let changed = session.upload(&path("/large"), &mut from.by_ref(), &UploadOptions::default()).unwrap();
    assert_eq!(changed.size, bytes as u64);
    assert_eq!(changed.hash, file_hash(all.get(..bytes).unwrap()).0);
    assert!(number(&node, "/memory/budget_in/peak_bytes") <= 32 << 20);
    let entry = client.lookup(&path("/large")).unwrap();
    assert_eq!((entry.facts.chunks, entry.chunks.len()), (19, 19));
    drop((session, client));
    assert_at_rest(&node);
    node.stop();
}

#[test]
fn damaged_metadata_take_names_out_and_leave_ids_alone() {
    for file in ["state", "log-mark"] {
        let (node, disk, meta) = started(&configuration());
        let mut hand = Hand::new(&node);
        let by_id = hand.client.put("by id", PutOptions::default()).unwrap().id;
        let chunk = hand.put(b"content");
        hand.commit("/a", &[chunk]).unwrap();
        drop(hand);
        node.stop();
        let names: Vec<String> = meta.list().unwrap().into_iter().map(|entry| entry.name).collect();
        let file = names.iter().find(|name| **name == file).unwrap();
        // Every copy of the head.
        let handle = meta.open(file, Open::Write).unwrap();
        handle.write_all_at(&mut [IoSlice::new(&[0x5a; 16 << 10])], 0).unwrap();
        handle.sync_all().unwrap();
        drop(handle);
        let node = with_names(&configuration(), Arc::new(disk.clone()), Arc::new(meta.clone()));
        let client = client(&node);
        assert_eq!(&client.get(by_id).unwrap().content[..], b"by id", "ids go on");
        match file.as_str() {
            "state" => {
                let refused = client.lookup(&path("/a")).unwrap_err();
                assert_eq!(refused.status(), Some(Status::Unavailable), "{refused}");
                assert!(refused.to_string().contains("state"), "it says which file: {refused}");
                assert_eq!(node.status()["master"]["state"], "out");
                let refused = client.open_session().unwrap_err();
                assert_eq!(refused.status(), Some(Status::Unavailable), "{refused}");
            }
            // The mark only proves what the log says anyway.
            _ => assert_eq!(client.lookup(&path("/a")).unwrap().chunks, [chunk]),
        }
        drop(client);
        node.stop();
    }
}

#[test]
fn uploads_that_never_ended_are_collected() {
    let quick = Configuration { session_silent_ms: 1000, ..at_once() };
    let (node, _, _) = started(&quick);
    let (mut hand, mut alive) = (Hand::new(&node), Hand::new(&node));
    let by_id = hand.client.put("by id", PutOptions::default()).unwrap().id;
    let (committed, dead) = (hand.put(b"committed"), hand.put(b"never committed"));
    hand.commit("/a", &[committed]).unwrap();
    hand.client.submit_close(hand.session).wait().unwrap();
    let waiting = alive.put(b"of a session that goes on");
    // The state is told of closed sessions once a second.
    eventually("a chunk of a closed session is refused", || {
        let origin = Origin { session: hand.session, number: 1000 };
        let options = PutOptions { origin, ..PutOptions::default() };
        hand.client.put("late", options).is_err_and(|error| error.status() == Some(Status::SessionUnknown))
    });
    alive.commit("/still", &[]).unwrap();
    hand.client.scrub(true).unwrap();
    eventually("the dead chunk is gone", || {
        hand.client.stat(dead).is_err_and(|error| error.status() == Some(Status::NotFound))
    });
    eventually("the pass has ended", || number(&node, "/disks/0/scrub/completed_ms") > 0);
    for id in [by_id, committed, waiting] {
        assert!(hand.client.stat(id).is_ok(), "{id} stays");
    }
    drop((hand, alive));
    node.stop();
}
