//! Goal: questions are answered from the table alone, in bounded pages and slices, and what cannot be asked has its status.

use super::*;
use crate::base::limits::{LISTING_BYTES_MAX, LOOKUP_CHUNKS_MAX, WALK_DEPTH_MAX};
use crate::master::namespace::{UsageStep, UsageWalk, list, lookup, names_applied};
use crate::request::{List, Lookup, Usage};

fn ask(node: &Node, name: &str, cursor: &Bytes, limit: u32) -> Result<crate::request::Listing, Status> {
    let query = List { path: path(name), cursor: cursor.clone(), limit };
    list(&node.table, &query).unwrap().map_err(|refusal| refusal.status)
}

#[test]
fn a_cursor_belongs_to_its_directory() {
    let mut node = Node::new();
    for name in ["/a", "/b", "/a/1", "/a/2", "/b/1"] {
        node.make(name).unwrap();
    }
    node.create("/f").unwrap();
    let page = ask(&node, "/a", &Bytes::new(), 1).unwrap();
    assert_eq!((page.entries.len(), page.cursor.is_empty()), (1, false));
    assert_eq!(ask(&node, "/b", &page.cursor, 1), Err(Status::BadCursor));
    assert_eq!(ask(&node, "/a", &Bytes::from_static(b"x"), 1), Err(Status::BadCursor));
    assert_eq!(ask(&node, "/f", &Bytes::new(), 1), Err(Status::NotADirectory));
    assert_eq!(ask(&node, "/f/x", &Bytes::new(), 1), Err(Status::NotADirectory));
    assert_eq!(ask(&node, "/no", &Bytes::new(), 1), Err(Status::NotFound));
    assert_eq!(ask(&node, "/no/no", &Bytes::new(), 1), Err(Status::NotFound));
    // The directory moves, and the cursor with it; the name that it stands on may go.
    node.rename("/a", "/moved", false).unwrap();
    node.remove("/moved/1", false).unwrap();
    let page = ask(&node, "/moved", &page.cursor, 9).unwrap();
    assert_eq!((page.entries.len(), page.entries[0].0.as_str(), page.cursor.len()), (1, "2", 0));
}

#[test]
fn a_page_is_bounded_in_bytes() {
    let mut node = Node::new();
    let names: Vec<String> = (0..500).map(|place| format!("{place:0>255}")).collect();
    for name in &names {
        node.create(&format!("/{name}")).unwrap();
    }
    let (mut listed, mut cursor, mut pages) = (Vec::new(), Bytes::new(), 0);
    loop {
        let page = ask(&node, "/", &cursor, 0).unwrap();
        let bytes: usize = page.entries.iter().map(|(name, _)| name.len() + 64).sum();
        assert!(bytes <= LISTING_BYTES_MAX);
        listed.extend(page.entries.into_iter().map(|(name, _)| name));
        (cursor, pages) = (page.cursor, pages + 1);
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!((listed, pages), (names, 4));
}

#[test]
fn chunks_are_told_in_parts() {
    let mut node = Node::new();
    let chunks: Vec<_> = (0..LOOKUP_CHUNKS_MAX + 5).map(|_| node.chunk()).collect();
    node.change(commit("/a", 10, chunks.clone())).unwrap();
    let ask = |chunk_first, chunks_max| {
        lookup(&node.table, &Lookup { path: path("/a"), chunk_first, chunks_max }).unwrap().unwrap()
    };
    let all = chunks.len() as u32;
    for (first, max, want) in
        [(0, 0, 0), (0, 2, 2), (0, u32::MAX, LOOKUP_CHUNKS_MAX), (all - 5, 9, 5), (all, 9, 0), (all + 9, 9, 0)]
    {
        let entry = ask(first, max);
        let ids: Vec<ObjectId> = chunks.iter().skip(first as usize).take(want).map(|(id, _)| *id).collect();
        assert_eq!((entry.facts.chunks, entry.chunks), (all, ids), "{max} from {first}");
    }
    let root = lookup(&node.table, &Lookup { path: path("/"), chunk_first: 0, chunks_max: 1 }).unwrap().unwrap();
    assert_eq!(root.facts.kind, crate::request::NameKind::Directory);
}

#[test]
fn usage_is_counted_in_slices() {
    let mut node = Node::new();
    for name in ["/a", "/a/b", "/a/c", "/a/b/d"] {
        node.make(name).unwrap();
    }
    for name in ["/a/1", "/a/b/1", "/a/b/d/1", "/z"] {
        node.create(name).unwrap();
    }
    let count = |name: &str, slice| {
        let mut walk = UsageWalk::begin(&node.table, &path(name)).unwrap().map_err(|refusal| refusal.status)?;
        let mut steps = 1;
        loop {
            match walk.step(&node.table, slice).unwrap() {
                UsageStep::More => steps += 1,
                UsageStep::Done(usage) => return Ok((usage, steps)),
                UsageStep::Refused(refusal) => return Err(refusal.status),
            }
        }
    };
    let want = Usage { files: 3, directories: 3, bytes: 300 };
    assert_eq!(count("/a", 1000), Ok((want, 1)));
    let (usage, steps) = count("/a", 1).unwrap();
    assert!(usage == want && (6..20).contains(&steps), "{steps}");
    assert_eq!(count("/z", 1).unwrap().0, Usage { files: 1, directories: 0, bytes: 100 });
    assert_eq!(count("/", 2).unwrap().0, Usage { files: 4, directories: 4, bytes: 400 });
    assert_eq!((count("/no", 1), count("/z/x", 1)), (Err(Status::NotFound), Err(Status::NotADirectory)));
}

#[test]
fn a_tree_deeper_than_paths_is_not_counted() {
    let mut node = Node::new();
    // Each time the tree so far is hung below a new chain of directories.
    let chain = "/x".repeat(1500);
    for _ in 0..3 {
        node.change(make(&format!("/new{chain}"), true)).unwrap();
        if node.rename("/tree", &format!("/new{chain}/t"), false).is_err() {
            assert_eq!(node.names.facts().directories, 1501);
        }
        node.rename("/new", "/tree", false).unwrap();
    }
    let mut walk = UsageWalk::begin(&node.table, &path("/")).unwrap().unwrap();
    let UsageStep::Refused(refusal) = walk.step(&node.table, usize::MAX).unwrap() else { panic!("{WALK_DEPTH_MAX}") };
    assert_eq!(refusal.status, Status::TooLarge);
    node.remove("/tree", true).unwrap();
    node.drain(100);
    assert_eq!(node.names.facts().directories, 0);
}

#[test]
fn damage_is_an_error() {
    let mut node = Node::new();
    node.make("/a").unwrap();
    node.create("/a/f").unwrap();
    let mut table = node.stored();
    assert_eq!(names_applied(&table).unwrap(), node.names.applied());
    table.put(crate::master::namespace::name_key(2, "f"), vec![9]);
    let walked = UsageWalk::begin(&table, &path("/")).unwrap().unwrap().step(&table, 100);
    assert!(walked.is_err());
    assert!(lookup(&table, &Lookup { path: path("/a/f"), chunk_first: 0, chunks_max: 1 }).is_err());
    assert!(list(&table, &List { path: path("/a"), cursor: Bytes::new(), limit: 0 }).is_err());
    node.table = table.clone();
    let id = node.id();
    let command = Command::Change { id, change: remove("/a/f", false) };
    assert!(node.names.apply(&mut node.table, &command, 1, &mut Touched::default()).is_err());
    for key in [&[0][..], &[3, 0, 0, 0, 0, 0, 0, 0, 1], &[6, 0, 0, 0, 0, 0, 0, 0, 1]] {
        let mut table = table.clone();
        table.put(key.to_vec(), vec![9, 9]);
        assert!(Namespace::load(&table).is_err(), "{key:?}");
    }
}
