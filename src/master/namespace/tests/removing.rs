//! Goal: a removed tree is gone at once, its content is taken out in bounded steps that a crash does not disturb, and all
//! of its chunks come on the to-do list, in their time.

use super::*;
use crate::base::limits::{DRAIN_CHUNKS_MAX, REMOVALS_DONE_MAX, REMOVALS_MAX};
use crate::master::namespace::{Found, removal, resolve, tombstones_due};
use crate::request::Removal;

/// `/t` with two directories of five files each, and three files.
fn planted() -> Node {
    let mut node = Node::new();
    for name in ["/t", "/t/a", "/t/b", "/t/a/deep"] {
        node.make(name).unwrap();
    }
    for directory in ["/t/a", "/t/a/deep"] {
        for file in 0..5 {
            node.create(&format!("{directory}/{file}")).unwrap();
        }
    }
    for file in 0..3 {
        node.create(&format!("/t/{file}")).unwrap();
    }
    node
}

#[test]
fn a_tree_goes_at_once_and_is_taken_out_later() {
    for names_max in [1, 2, 3, 7, 1000] {
        let mut node = planted();
        let made = node.remove("/t", true).unwrap();
        assert_eq!((made.removal, node.touched.directories_moved), (1, true));
        assert_eq!(resolve(&node.table, &path("/t")).unwrap(), Found::Nothing);
        assert_eq!(resolve(&node.table, &path("/t/a/1")).unwrap(), Found::NoParent);
        // The name is free, and what comes there is not taken out.
        node.make("/t").unwrap();
        node.create("/t/new").unwrap();
        let mut last = Removal { names: 1, bytes: 0, done: false };
        assert_eq!(removal(&node.table, 1).unwrap(), Ok(last));
        while let Some(id) = node.names.removal_pending() {
            let Ok(NameAnswer::Removal(now)) = node.run(Command::Drain { removal: id, names_max }) else {
                panic!("no progress");
            };
            assert!(now.names <= last.names + u64::from(names_max) && now.names >= last.names);
            assert_eq!(removal(&node.table, 1).unwrap(), Ok(now));
            last = now;
            // A crash in between.
            node.stored();
            node.names = Namespace::load(&node.table).unwrap();
        }
        assert_eq!(last, Removal { names: 1 + 3 + 13, bytes: 1300, done: true });
        let facts = node.names.facts();
        assert_eq!((facts.files, facts.directories, facts.bytes), (1, 1, 100));
        assert_eq!((facts.tombstones_pending, facts.removals_pending.len()), (13, 0));
        assert_eq!(node.run(Command::Drain { removal: 1, names_max }), Ok(NameAnswer::Removal(last)));
        assert_eq!(node.run(Command::Drain { removal: 2, names_max }).unwrap_err().status, Status::NotFound);
        assert_eq!(removal(&node.table, 2).unwrap().unwrap_err().status, Status::NotFound);
        // Nothing of the tree is left in the table: two names, the removal, meta, the session and tombstones are.
        let left = node.stored().0.into_keys().filter(|key| key.first() != Some(&5));
        assert_eq!(left.map(|key| key.first().copied().unwrap()).collect::<Vec<_>>(), [0, 1, 1, 3, 6]);
    }
}

#[test]
fn an_empty_directory_and_a_file_go_without_a_removal() {
    let mut node = planted();
    assert_eq!(node.remove("/t/b", true).unwrap().removal, 0);
    assert_eq!(node.remove("/t/0", true).unwrap().removal, 0);
    assert_eq!(node.remove("/t/a/deep/0", false).unwrap().removal, 0);
    assert_eq!(node.names.facts().tombstones_pending, 2);
}

#[test]
fn removals_are_bounded_and_the_last_are_remembered() {
    let mut node = Node::new();
    for place in 0..REMOVALS_MAX {
        node.make(&format!("/{place}")).unwrap();
        node.make(&format!("/{place}/x")).unwrap();
        node.remove(&format!("/{place}"), true).unwrap();
    }
    node.change(make("/a/b", true)).unwrap();
    let id = node.id();
    assert_eq!(node.change_as(id, remove("/a", true)), Err(Status::Busy));
    for _ in 0..2 {
        node.run(Command::Drain { removal: 1, names_max: 5 }).unwrap();
    }
    node.change_as(id, remove("/a", true)).unwrap();
    node.drain(100);
    let last = REMOVALS_MAX as u64 + 1;
    for (id, known) in [(1, false), (last - REMOVALS_DONE_MAX as u64, false), (last, true)] {
        assert_eq!(removal(&node.table, id).unwrap().is_ok(), known, "{id}");
    }
    assert!(removal(&node.table, last - REMOVALS_DONE_MAX as u64 + 1).unwrap().unwrap().done);
}

#[test]
fn a_step_is_bounded_in_chunks() {
    let mut node = Node::new();
    node.make("/t").unwrap();
    for file in 0..5 {
        let chunks = (0..DRAIN_CHUNKS_MAX / 2).map(|_| node.chunk()).collect();
        node.change(commit(&format!("/t/{file}"), 10, chunks)).unwrap();
    }
    node.remove("/t", true).unwrap();
    let mut names = Vec::new();
    while let Some(removal) = node.names.removal_pending() {
        let Ok(NameAnswer::Removal(now)) = node.run(Command::Drain { removal, names_max: 1000 }) else {
            panic!("no progress");
        };
        names.push(now.names);
    }
    assert_eq!(names, [3, 5, 6]);
}

#[test]
fn tombstones_wait_and_then_are_written() {
    let mut node = Node::new();
    let chunks: Vec<_> = (0..600).map(|_| node.chunk()).collect();
    node.change(commit("/a", 10, chunks.clone())).unwrap();
    let since_ms = node.time_ms;
    let small = node.chunk();
    node.change(commit("/a", 5, vec![small])).unwrap();
    node.time_ms += 10;
    node.remove("/a", false).unwrap();

    let due = |node: &Node, now_ms, ids_max| tombstones_due(&node.table, None, now_ms, 100, ids_max).unwrap();
    assert!(due(&node, since_ms + 99, 1000).is_empty() && due(&node, 50, 1000).is_empty());
    assert_eq!(due(&node, since_ms + 100, 1000).len(), 3);
    assert_eq!(due(&node, since_ms + 100, 1).len(), 1);
    assert_eq!(due(&node, since_ms + 100, 512).len(), 2);
    let all = due(&node, since_ms + 110, 1000);
    let ids: Vec<ObjectId> = all.iter().flat_map(|(_, ids)| ids.clone()).collect();
    let want: Vec<ObjectId> = chunks.iter().chain([&small]).map(|(id, _)| *id).collect();
    assert_eq!(ids, want);

    let keys: Vec<_> = all.iter().map(|(key, _)| *key).collect();
    let mut twice = keys.clone();
    twice.extend(&keys[..2]);
    node.run(Command::TombstonesWritten(keys[..2].to_vec())).unwrap();
    assert_eq!(node.names.facts().tombstones_pending, 601 - 512);
    node.run(Command::TombstonesWritten(twice)).unwrap();
    assert_eq!(node.names.facts().tombstones_pending, 0);
    assert!(due(&node, u64::MAX, 1000).is_empty());
}
