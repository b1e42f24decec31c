//! Goal: a node without descriptors left goes on serving whom it has, and takes others when some are free again.
//! Method: the real program under `ulimit -n`.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod support;

use larder::client::{Client, PutOptions};
use larder::request::Status;
use larder::wire::{Hello, Received, Request};
use support::eventually;
use support::process::Process;
use support::raw::Raw;

#[test]
fn without_descriptors_accepting_pauses_and_recovers() {
    let directory = tempfile::tempdir().unwrap();
    let node = Process::serve_with_files(&[directory.path()], 64);
    let client = Client::connect(node.address.to_string()).unwrap();
    let id = client.put("content", PutOptions::default()).unwrap().id;
    // More than there are descriptors: those beyond wait in the backlog, connected and not accepted.
    let mut waiting: Vec<Raw> = (0..100).map(|_| Raw::silent(node.address)).collect();
    for raw in &mut waiting {
        raw.send(1, &Request::Hello(Hello::of("many")));
    }
    eventually("accepting pauses", || client.status().unwrap()["connections"]["accept_pauses"].as_u64() > Some(0));
    assert_eq!(&client.get(id).unwrap().content[..], b"content", "whom it has, it serves");
    // The first ones go; those that wait are taken.
    let mut last = waiting.split_off(60);
    drop(waiting);
    for raw in &mut last {
        assert!(matches!(raw.receive().1, Received::Welcome(_)));
        assert_eq!(raw.status(&Request::Get { id, range: None }), Status::Ok);
    }
}
