//! Goal: a node without descriptors left goes on serving whom it has, and takes others when some are free again; and it
//! maps no file of a data directory, for a failing disk would end it with SIGBUS. Method: the real program, under
//! `ulimit -n`; what the system says that it has mapped.
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
    let node = Process::serve_with_files(&[directory.path()], 80);
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

#[test]
fn no_file_of_a_data_directory_is_mapped() {
    let directory = tempfile::tempdir().unwrap();
    let node = Process::serve(&[directory.path()]);
    let client = Client::connect(node.address.to_string()).unwrap();
    let ids: Vec<_> = (0..50).map(|_| client.put(vec![7; 300_000], PutOptions::default()).unwrap().id).collect();
    node.terminate();
    assert!(node.wait().success());
    // Opened from its index files, read, and scrubbed.
    let node = Process::serve(&[directory.path()]);
    let client = Client::connect(node.address.to_string()).unwrap();
    client.scrub(true).unwrap();
    for id in ids {
        assert_eq!(client.get(id).unwrap().content.len(), 300_000);
    }
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", node.id())).unwrap();
    let place = directory.path().to_str().unwrap();
    assert!(maps.lines().count() > 10 && !maps.contains(place), "{maps}");
    let open = std::fs::read_dir(format!("/proc/{}/fd", node.id())).unwrap().filter_map(Result::ok);
    let ours =
        open.filter_map(|entry| std::fs::read_link(entry.path()).ok()).filter(|to| to.starts_with(place)).count();
    assert!(ours > 3, "it works on files in {place}: {ours}");
    node.terminate();
    assert!(node.wait().success());
}
