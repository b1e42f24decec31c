//! Goal: each thing that cannot be done has its status, and leaves the table as it was.

use super::*;
use crate::base::limits::FILE_CHUNKS_MAX;

/// `/d` holds the file `f` and the directory `e`; `/empty` is empty; `/f` is a file.
fn node() -> Node {
    let mut node = Node::new();
    for name in ["/d", "/d/e", "/empty"] {
        node.make(name).unwrap();
    }
    for name in ["/d/f", "/f"] {
        node.create(name).unwrap();
    }
    node
}

fn version_of(node: &Node, name: &str) -> u64 {
    let query = crate::request::Lookup { path: path(name), chunk_first: 0, chunks_max: 0 };
    crate::master::namespace::lookup(&node.table, &query).unwrap().unwrap().facts.version
}

fn commit_if(name: &str, condition: Condition) -> Checked {
    let Checked::Commit { path, parents, modified_ms, attributes, size, hash, chunks, .. } = commit(name, 0, vec![])
    else {
        panic!("a commit was made");
    };
    Checked::Commit { path, condition, parents, modified_ms, attributes, size, hash, chunks }
}

#[test]
fn what_cannot_be_done_has_its_status() {
    let none = Attributes::default;
    let (any, absent, other) = (Condition::Any, Condition::Absent, Condition::Version(99));
    let remove_if = |name: &str, condition| Checked::Remove { path: path(name), tree: false, condition };
    let rename_if =
        |from: &str, to: &str, condition| Checked::Rename { from: path(from), to: path(to), replace: false, condition };
    for (change, want) in [
        (commit("/no/x", 0, vec![]), Status::ParentNotFound),
        (commit("/no/no/x", 0, vec![]), Status::ParentNotFound),
        (commit("/f/x", 0, vec![]), Status::NotADirectory),
        (commit("/f/x/y", 0, vec![]), Status::NotADirectory),
        (commit("/d", 0, vec![]), Status::IsADirectory),
        (commit("/", 0, vec![]), Status::IsADirectory),
        (commit("/new", 1, vec![]), Status::BadRequest),
        (commit_if("/f", absent), Status::AlreadyExists),
        (commit_if("/f", other), Status::VersionMismatch),
        (commit_if("/new", other), Status::NotFound),
        (make("/d", false), Status::AlreadyExists),
        (make("/", false), Status::AlreadyExists),
        (make("/f", false), Status::AlreadyExists),
        (make("/f", true), Status::AlreadyExists),
        (make("/no/x", false), Status::ParentNotFound),
        (make("/f/x", true), Status::NotADirectory),
        (rename("/", "/x", false), Status::IntoItself),
        (rename("/d", "/", true), Status::IntoItself),
        (rename("/d", "/d/x", false), Status::IntoItself),
        (rename("/d", "/d/e/x", true), Status::IntoItself),
        (rename("/no", "/x", false), Status::NotFound),
        (rename("/no/x", "/x", false), Status::NotFound),
        (rename("/f/x", "/x", false), Status::NotADirectory),
        (rename("/f", "/f/x", false), Status::NotADirectory),
        (rename("/f", "/no/x", false), Status::ParentNotFound),
        (rename("/f", "/d/f", false), Status::AlreadyExists),
        (rename("/d", "/empty", false), Status::AlreadyExists),
        (rename("/f", "/empty", true), Status::IsADirectory),
        (rename("/empty", "/f", true), Status::NotADirectory),
        (rename("/empty", "/d", true), Status::DirectoryNotEmpty),
        (rename("/d/e", "/d", true), Status::DirectoryNotEmpty),
        (rename_if("/f", "/x", other), Status::VersionMismatch),
        (remove("/", true), Status::IntoItself),
        (remove("/no", true), Status::NotFound),
        (remove("/no/x", false), Status::NotFound),
        (remove("/f/x", false), Status::NotADirectory),
        (remove("/d", false), Status::DirectoryNotEmpty),
        (remove_if("/f", other), Status::VersionMismatch),
        (set_attributes("/no", any, none()), Status::NotFound),
        (set_attributes("/d", any, none()), Status::IsADirectory),
        (set_attributes("/", any, none()), Status::IsADirectory),
        (set_attributes("/f", other, none()), Status::VersionMismatch),
    ] {
        let mut node = node();
        let (table, facts) = (node.table.clone(), node.names.facts());
        assert_eq!(node.change(change.clone()), Err(want), "{change:?}");
        assert!(node.table == table && node.touched == Touched::default(), "{change:?} left a trace");
        assert_eq!(node.names.facts().revision, facts.revision);
    }
}

#[test]
fn chunks_are_committed_once() {
    let mut node = node();
    let (a, b) = (node.chunk(), node.chunk());
    assert_eq!(node.change(commit("/x", 10, vec![a, a])), Err(Status::ForeignChunk));
    let own = node.number + 1;
    assert_eq!(node.change(commit("/x", 10, vec![(a.0, own)])), Err(Status::ForeignChunk));
    node.change(commit("/x", 10, vec![a])).unwrap();
    assert_eq!(node.change(commit("/y", 10, vec![b, a])), Err(Status::ForeignChunk));
    node.change(commit("/y", 10, vec![b])).unwrap();
    let many: Vec<_> = (0..=FILE_CHUNKS_MAX).map(|_| node.chunk()).collect();
    assert_eq!(node.change(commit("/z", 10, many.clone())), Err(Status::TooLarge));
    node.change(commit("/z", 10, many[1..].to_vec())).unwrap();
    node.remove("/z", false).unwrap();
    assert_eq!(node.names.facts().tombstones_pending, FILE_CHUNKS_MAX as u64);
}

#[test]
fn a_conditional_change_is_made_when_it_holds() {
    let mut node = node();
    let version = version_of(&node, "/f");
    let made = node.change(commit_if("/f", Condition::Version(version))).unwrap();
    assert!(made.replaced && made.version > version && version_of(&node, "/f") == made.version);
    let made = node.change(commit_if("/new", Condition::Absent)).unwrap();
    assert!(!made.replaced);
    let set = node.change(set_attributes("/new", Condition::Version(made.version), Attributes::default())).unwrap();
    assert_eq!(version_of(&node, "/new"), set.version);
}

#[test]
fn what_is_so_already_is_done() {
    let mut node = node();
    let facts = node.names.facts();
    assert_eq!(node.rename("/f", "/f", false).unwrap().version, version_of(&node, "/f"));
    assert_eq!(node.change(make("/d/e", true)).unwrap().version, version_of(&node, "/d/e"));
    assert_eq!(node.change(make("/", true)).unwrap().version, 0);
    assert_eq!(node.names.facts().revision, facts.revision);
}

#[test]
fn missing_directories_are_made_when_asked_for() {
    let mut node = node();
    let made = node.change(make("/p/q/r", true)).unwrap();
    assert_eq!((version_of(&node, "/p"), version_of(&node, "/p/q/r")), (made.version, made.version));
    assert_eq!(node.touched.names, [(1, "p".into()), (5, "q".into()), (6, "r".into())]);
    let Checked::Commit { path, condition, modified_ms, attributes, size, hash, chunks, .. } =
        commit("/s/t/u", 0, vec![])
    else {
        panic!("a commit was made");
    };
    let commit = Checked::Commit { path, condition, parents: true, modified_ms, attributes, size, hash, chunks };
    node.change(commit).unwrap();
    assert_eq!(node.touched.names, [(1, "s".into()), (8, "t".into()), (9, "u".into())]);
    assert_eq!(node.names.facts().directories, 8);
}
