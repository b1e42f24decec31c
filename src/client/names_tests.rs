//! Goal: a change is made once, whatever is lost on its way and whatever becomes of its session; pages of lookups and
//! listings make one whole. Method: a node in memory that loses requests and answers where the test says.

use super::memory::{Fault, MemoryNode};
use super::{Client, ClientError, NameSession, UploadOptions};
use crate::base::path::NamePath;
use crate::request::{Class, Condition, List, NameKind, Status};
use crate::wire::Opcode;
use bytes::Bytes;
use std::sync::Arc;

fn path(text: &str) -> NamePath {
    NamePath::parse(text.as_bytes()).unwrap()
}

fn node() -> (Arc<MemoryNode>, NameSession) {
    let node = MemoryNode::new();
    let session = node.client(Client::builder()).open_session().unwrap();
    (node, session)
}

fn put(session: &NameSession, name: &str, content: &'static str) {
    session.upload_bytes(&path(name), &Bytes::from(content), &UploadOptions::default()).unwrap();
}

#[test]
fn a_change_is_made_once_whatever_is_lost() {
    for fault in [Fault::LoseRequest, Fault::LoseAnswer, Fault::Busy] {
        let (node, session) = node();
        node.plan(Opcode::MakeDirectory, fault);
        session.make_directory(&path("/a"), false).unwrap();
        assert_eq!(node.asked(Opcode::MakeDirectory), 2);
        put(&session, "/a/x", "x");
        node.plan(Opcode::Rename, Fault::LoseAnswer);
        session.rename(&path("/a/x"), &path("/a/y"), false, Condition::Any).unwrap();
        node.plan(Opcode::Remove, Fault::LoseAnswer);
        let removed = session.remove(&path("/a"), true, Condition::Any).unwrap();
        assert!(removed.removal > 0);
        assert!(!session.client().removal(removed.removal).unwrap().done);
        assert!(session.client().removal(removed.removal).unwrap().done);
    }
}

#[test]
fn another_session_takes_the_place_of_one_that_is_unknown() {
    let (node, session) = node();
    node.with(|state| state.sessions.clear());
    session.make_directory(&path("/a"), false).unwrap();
    assert_eq!(node.asked(Opcode::Session), 2);
    // Not when the change may have been made before the session was closed.
    node.plan(Opcode::MakeDirectory, Fault::LoseAnswer);
    node.plan(Opcode::MakeDirectory, Fault::First(Box::new(|state| state.sessions.clear())));
    let error = session.make_directory(&path("/b"), false).unwrap_err();
    assert_eq!((error.status(), error.class()), (Some(Status::OutcomeForgotten), Class::Unknown));
    assert_eq!(session.client().stat_name(&path("/b")).unwrap().facts.kind, NameKind::Directory);
    session.make_directory(&path("/c"), false).unwrap();
    // Nor without end.
    for _ in 0..2 {
        node.plan(Opcode::MakeDirectory, Fault::Refuse(Status::SessionUnknown));
    }
    let error = session.make_directory(&path("/d"), false).unwrap_err();
    assert_eq!(error.status(), Some(Status::SessionUnknown));
}

#[test]
fn a_session_is_renewed_in_time_and_closed_at_the_end() {
    let node = MemoryNode::new();
    node.with(|state| state.silent_ms_max = 0);
    let client = node.client(Client::builder());
    let session = client.open_session().unwrap();
    session.make_directory(&path("/a"), false).unwrap();
    assert!(node.asked(Opcode::Session) >= 2, "opened and renewed");
    node.with(|state| state.sessions.clear());
    session.make_directory(&path("/b"), false).unwrap();
    session.close().unwrap();
    assert!(node.with(|state| state.sessions.is_empty()));
    let dropped = client.open_session().unwrap();
    assert_eq!(node.with(|state| state.sessions.len()), 1);
    drop(dropped);
    assert!(node.with(|state| state.sessions.is_empty()));
}

#[test]
fn a_session_with_many_dead_numbers_is_left() {
    let (node, session) = node();
    for _ in 0..1100 {
        node.plan(Opcode::MakeDirectory, Fault::Refuse(Status::Full));
        let error = session.make_directory(&path("/a"), false).unwrap_err();
        assert_eq!(error.status(), Some(Status::Full));
    }
    assert_eq!(node.asked(Opcode::Session), 3, "two opened, one closed");
    session.make_directory(&path("/a"), false).unwrap();
    // What is refused because of a fact has used its number.
    for _ in 0..1100 {
        session.make_directory(&path("/a"), false).unwrap_err();
    }
    assert_eq!(node.asked(Opcode::Session), 3);
    // The node may have enough of it before.
    let session = node.client(Client::builder().retry_burst(0)).open_session().unwrap();
    node.plan(Opcode::MakeDirectory, Fault::Refuse(Status::Busy));
    session.make_directory(&path("/b"), false).unwrap();
    assert_eq!(node.asked(Opcode::Session), 6, "one more client, another session, the first closed");
}

#[test]
fn threads_share_a_session() {
    let (node, session) = node();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let session = &session;
            scope.spawn(move || {
                for n in 0..50 {
                    session.make_directory(&path(&format!("/d{thread}/{n}")), true).unwrap();
                }
            });
        }
    });
    assert_eq!(node.with(|state| state.names.len()), 204);
    assert_eq!(session.client().usage(&path("/")).unwrap().directories, 204);
}

#[test]
fn pages_of_a_directory_make_one_list() {
    let (node, session) = node();
    for n in 0..25 {
        put(&session, &format!("/f{n:02}"), "x");
    }
    session.make_directory(&path("/f05/under").split().unwrap().0, true).unwrap_err();
    for page_max in [1, 7, 25, 1000] {
        node.with(|state| state.page_max = page_max);
        let names: Vec<String> = session.client().entries(&path("/")).map(|entry| entry.unwrap().0).collect();
        assert_eq!(names, (0..25).map(|n| format!("f{n:02}")).collect::<Vec<_>>());
    }
    node.with(|state| state.page_max = 10);
    let first = session.client().list(List { path: path("/"), cursor: Bytes::new(), limit: 0 }).unwrap();
    assert_eq!((first.entries.len(), &first.cursor[..]), (10, &b"f09"[..]));
    let mut entries = session.client().entries(&path("/nowhere"));
    assert!(matches!(entries.next(), Some(Err(ClientError::Refused(_)))));
    assert!(entries.next().is_none());
}

#[test]
fn pages_of_chunks_are_of_one_version() {
    let (node, session) = node();
    let large = vec![7; (8 << 20) * 3 + 1];
    node.with(|state| {
        state.page_max = 2;
        state.replace("/large", &large);
    });
    let client = session.client();
    assert_eq!(client.lookup(&path("/large")).unwrap().chunks.len(), 4);
    assert_eq!(node.asked(Opcode::Lookup), 2);
    node.plan(Opcode::Lookup, Fault::First(Box::new(|_| {})));
    let replacement = large.clone();
    node.plan(Opcode::Lookup, Fault::First(Box::new(move |state| state.replace("/large", &replacement))));
    let entry = client.lookup(&path("/large")).unwrap();
    let now = client.stat_name(&path("/large")).unwrap();
    assert_eq!((entry.chunks.len(), entry.facts), (4, now.facts));
    assert!(now.chunks.is_empty());
}
