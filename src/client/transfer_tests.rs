//! Goal: a file of any size goes there and back whole, within bounds, also when answers are lost and when it is replaced
//! meanwhile. Method: a node in memory that loses requests and answers where the test says.

use super::memory::{Fault, MemoryNode};
use super::{Client, ClientBuilder, ClientError, DownloadOptions, NameSession, UploadOptions, file_hash};
use crate::base::limits::CHUNK_BYTES_MAX;
use crate::base::path::NamePath;
use crate::request::{Attributes, ByteRange, Class, Condition, Status};
use crate::wire::Opcode;
use bytes::Bytes;
use std::io::{self, Read, Write};
use std::sync::Arc;

const CHUNK: usize = CHUNK_BYTES_MAX;

fn path(text: &str) -> NamePath {
    NamePath::parse(text.as_bytes()).unwrap()
}

fn content(bytes: usize) -> Vec<u8> {
    let block: Vec<u8> = (0..251).collect();
    let mut content = block.repeat(bytes / block.len() + 1);
    content.truncate(bytes);
    content
}

fn node(options: ClientBuilder) -> (Arc<MemoryNode>, NameSession) {
    let node = MemoryNode::new();
    let session = node.client(options).open_session().unwrap();
    (node, session)
}

fn get(client: &Client, name: &str) -> Result<Vec<u8>, ClientError> {
    let mut output = Vec::new();
    client.download(&path(name), &mut output, DownloadOptions::default()).map(|_| output)
}

#[test]
fn files_are_cut_at_8_mib() {
    let (node, session) = node(Client::builder());
    for (bytes, chunks) in
        [(0, 0), (1, 1), (CHUNK - 1, 1), (CHUNK, 1), (CHUNK + 1, 2), (2 * CHUNK, 2), (2 * CHUNK + 7, 3)]
    {
        let content = content(bytes);
        node.forget_asked();
        for size_hint in [0, bytes as u64] {
            let options = UploadOptions { size_hint, ..UploadOptions::default() };
            let changed = session.upload(&path("/f"), &mut &content[..], &options).unwrap();
            assert_eq!((changed.size, changed.hash), (bytes as u64, file_hash(&content).0));
            assert!(node.content("/f").unwrap() == content);
        }
        session.upload_bytes(&path("/f"), &Bytes::from(content.clone()), &UploadOptions::default()).unwrap();
        assert_eq!(node.asked(Opcode::Put), 3 * chunks);
        assert!(get(session.client(), "/f").unwrap() == content);
    }
}

#[test]
fn what_is_on_its_way_is_bounded() {
    let content = content(4 * CHUNK);
    for (in_flight, bytes, peak) in [(3, 64 << 20, 3), (100, 2 * CHUNK, 2), (100, 0, 1)] {
        let (node, session) = node(Client::builder().transfer_bytes_max(bytes));
        let options = UploadOptions { in_flight, ..UploadOptions::default() };
        session.upload(&path("/f"), &mut &content[..], &options).unwrap();
        assert!(node.in_flight_peak() <= peak, "{} of {peak}", node.in_flight_peak());
        let mut output = Vec::new();
        let options = DownloadOptions { in_flight, ..DownloadOptions::default() };
        session.client().download(&path("/f"), &mut output, options).unwrap();
        assert!(node.in_flight_peak() <= peak && output == content);
    }
    // Many threads share the room, and all come to their end.
    let (node, session) = node(Client::builder().transfer_bytes_max(2 * CHUNK));
    let content = &content[..2 * CHUNK + 1];
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let session = &session;
            scope.spawn(move || {
                let path = path(&format!("/f{thread}"));
                session.upload(&path, &mut &content[..], &UploadOptions::default()).unwrap();
                let mut output = Vec::new();
                session.client().download(&path, &mut output, DownloadOptions::default()).unwrap();
                assert!(output == content);
            });
        }
    });
    assert_eq!(node.with(|state| state.names.len()), 4);
}

#[test]
fn a_chunk_whose_receipt_is_lost_is_sent_again_under_another_number() {
    for fault in [Fault::LoseRequest, Fault::LoseAnswer] {
        let (node, session) = node(Client::builder());
        let content = content(2 * CHUNK + 1);
        node.plan(Opcode::Put, fault);
        node.plan(Opcode::Put, Fault::Busy);
        node.plan(Opcode::Commit, Fault::LoseAnswer);
        session.upload(&path("/f"), &mut &content[..], &UploadOptions::default()).unwrap();
        assert!(node.content("/f").unwrap() == content);
        let mut numbers = node.with(|state| state.origins.iter().map(|origin| origin.number).collect::<Vec<_>>());
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), node.with(|state| state.origins.len()), "no number twice");
        assert_eq!(node.asked(Opcode::Commit), 2);
    }
    let (node, session) = node(Client::builder().retry_burst(0));
    node.plan(Opcode::Commit, Fault::LoseRequest);
    node.plan(Opcode::Commit, Fault::LoseAnswer);
    session.upload(&path("/g"), &mut &b"x"[..], &UploadOptions::default()).unwrap();
    assert_eq!(node.asked(Opcode::Commit), 3, "a commit is worth three attempts");
    node.forget_asked();
    for _ in 0..3 {
        node.plan(Opcode::Put, Fault::LoseAnswer);
    }
    let error = session.upload(&path("/f"), &mut &b"x"[..], &UploadOptions::default()).unwrap_err();
    assert_eq!(error.class(), Class::Unknown);
    assert_eq!((node.asked(Opcode::Put), node.asked(Opcode::Commit)), (3, 0));
}

#[test]
fn options_reach_the_commit_and_facts_come_back() {
    let (node, session) = node(Client::builder());
    let attributes = Attributes::of(&[(Attributes::CONTENT_TYPE, b"image/png")]).unwrap();
    let options = UploadOptions {
        parents: true,
        modified_ms: Some(77),
        attributes: attributes.clone(),
        condition: Condition::Absent,
        ..UploadOptions::default()
    };
    let upload = |options: &UploadOptions| session.upload(&path("/a/b/c"), &mut &b"x"[..], options);
    assert_eq!(upload(&UploadOptions::default()).unwrap_err().status(), Some(Status::ParentNotFound));
    upload(&options).unwrap();
    let entry = session.client().stat_name(&path("/a/b/c")).unwrap();
    assert_eq!((entry.facts.modified_ms, entry.attributes), (77, attributes));
    assert_eq!(upload(&options).unwrap_err().status(), Some(Status::AlreadyExists));
    assert!(upload(&UploadOptions::default()).unwrap().replaced);
    assert_eq!(node.with(|state| state.names.len()), 3);
}

struct FailsAfter(usize);

impl Read for FailsAfter {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::other("unplugged"));
        }
        let bytes = buffer.len().min(self.0);
        self.0 -= bytes;
        Ok(bytes)
    }
}

#[test]
fn a_source_that_fails_commits_nothing() {
    let (node, session) = node(Client::builder());
    let error = session.upload(&path("/f"), &mut FailsAfter(CHUNK + 5), &UploadOptions::default()).unwrap_err();
    assert!(matches!(error, ClientError::Input(_)), "{error}");
    assert_eq!((node.asked(Opcode::Commit), node.content("/f")), (0, None));
}

#[test]
fn an_upload_whose_session_ended_says_so_and_may_be_repeated() {
    let (node, session) = node(Client::builder());
    node.plan(Opcode::Commit, Fault::First(Box::new(|state| state.sessions.clear())));
    let error = session.upload(&path("/f"), &mut &b"x"[..], &UploadOptions::default()).unwrap_err();
    assert_eq!(error.status(), Some(Status::SessionUnknown));
    session.upload(&path("/f"), &mut &b"x"[..], &UploadOptions::default()).unwrap();
    // As it does when the session takes no further change.
    node.plan(Opcode::Commit, Fault::Refuse(Status::Busy));
    let without_retries = node.client(Client::builder().retry_burst(0)).open_session().unwrap();
    let error = without_retries.upload(&path("/f"), &mut &b"x"[..], &UploadOptions::default()).unwrap_err();
    assert_eq!(error.status(), Some(Status::SessionUnknown));
    // What is in memory is given again by itself.
    node.plan(Opcode::Commit, Fault::First(Box::new(|state| state.sessions.clear())));
    session.upload_bytes(&path("/g"), &Bytes::from_static(b"y"), &UploadOptions::default()).unwrap();
    assert_eq!(node.content("/g").unwrap(), b"y");
}

#[test]
fn ranges_are_of_the_file() {
    let (node, session) = node(Client::builder());
    let content = content(2 * CHUNK + 10);
    node.with(|state| state.replace("/f", &content));
    let range = |start: usize, length: usize| {
        let range = Some(ByteRange { start: start as u64, length: length as u64 });
        let mut output = Vec::new();
        let options = DownloadOptions { range, ..DownloadOptions::default() };
        session.client().download(&path("/f"), &mut output, options).map(|_| output)
    };
    for (start, length) in
        [(0, 1), (CHUNK - 1, 2), (CHUNK, 1), (5, 2 * CHUNK), (2 * CHUNK, 10), (0, usize::MAX), (CHUNK, CHUNK)]
    {
        let end = start.saturating_add(length).min(content.len());
        assert!(range(start, length).unwrap() == content[start..end], "{start}, {length}");
    }
    for (start, length) in [(content.len(), 1), (0, 0)] {
        assert_eq!(range(start, length).unwrap_err().status(), Some(Status::RangeNotSatisfiable));
    }
    node.forget_asked();
    range(CHUNK + 1, 1).unwrap();
    assert_eq!(node.asked(Opcode::Get), 1);
}

#[test]
fn a_file_that_is_replaced_before_the_first_byte_is_read_anew() {
    let (node, session) = node(Client::builder());
    node.with(|state| state.replace("/f", b"before"));
    node.plan(Opcode::Get, Fault::First(Box::new(|state| state.replace("/f", b"after"))));
    assert_eq!(get(session.client(), "/f").unwrap(), b"after");
    node.plan(Opcode::Get, Fault::First(Box::new(|state| state.remove("/f"))));
    assert_eq!(get(session.client(), "/f").unwrap_err().status(), Some(Status::NotFound));
    // Twice is once too often.
    node.with(|state| state.replace("/f", b"1"));
    node.plan(Opcode::Get, Fault::First(Box::new(|state| state.replace("/f", b"2"))));
    node.plan(Opcode::Get, Fault::First(Box::new(|state| state.replace("/f", b"3"))));
    assert_eq!(get(session.client(), "/f").unwrap_err().status(), Some(Status::VersionMismatch));
}

/// Does something when the first bytes come.
struct AtFirst<F: FnMut()>(Vec<u8>, F);

impl<F: FnMut()> Write for AtFirst<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            self.1();
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_file_that_is_replaced_in_the_middle_breaks_off() {
    let (node, session) = node(Client::builder());
    let content = content(3 * CHUNK);
    node.with(|state| state.replace("/f", &content));
    let options = DownloadOptions { in_flight: 1, ..DownloadOptions::default() };
    let mut output = AtFirst(Vec::new(), || node.with(|state| state.replace("/f", b"other")));
    let error = session.client().download(&path("/f"), &mut output, options).unwrap_err();
    assert!(matches!(error, ClientError::BrokeOff { written, .. } if written == CHUNK as u64), "{error}");
    assert!(error.to_string().contains("read it again"), "{error}");
    assert!(output.0 == content[..CHUNK]);
}

#[test]
fn what_is_lost_or_damaged_is_never_taken_for_the_file() {
    let (node, session) = node(Client::builder());
    let client = session.client();
    node.with(|state| {
        state.replace("/lost", b"content");
        let id = state.names["/lost"].chunks[0];
        state.objects.remove(&id);
        state.replace("/other", b"content");
        let id = state.names["/other"].chunks[0];
        state.objects.get_mut(&id).unwrap().1 = Bytes::from_static(b"CONTENT");
        state.replace("/short", b"content");
        state.names.get_mut("/short").unwrap().facts.size = 8;
        state.replace("/few", b"content");
        state.names.get_mut("/few").unwrap().facts.size = CHUNK as u64 + 1;
    });
    assert_eq!(get(client, "/lost").unwrap_err().status(), Some(Status::Damaged));
    assert!(matches!(get(client, "/other").unwrap_err(), ClientError::BrokeOff { .. }));
    assert!(matches!(get(client, "/short").unwrap_err(), ClientError::Corrupt { .. }));
    assert_eq!(get(client, "/few").unwrap_err().status(), Some(Status::Damaged));
    assert_eq!(get(client, "/").unwrap_err().status(), Some(Status::IsADirectory));
    node.plan(Opcode::Get, Fault::LoseAnswer);
    node.with(|state| state.replace("/sound", b"content"));
    assert_eq!(get(client, "/sound").unwrap(), b"content");
}
