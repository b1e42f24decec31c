//! Goal: `larder scrub --now` reads what nobody asks for: damage on a disk is found with its place, told by its exit code,
//! and answered DAMAGED from then on, also after a restart; everything else is untouched. Method: the real program on real
//! files, whose bytes are flipped behind its back.
#![allow(clippy::unwrap_used, reason = "what is not as it should be fails the test")]

mod support;

use larder::base::ids::ObjectId;
use larder::client::{Client, PutOptions};
use larder::request::Status;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};
use support::content;
use support::files::{find, flip};
use support::process::Process;

fn scrub(node: &Process, arguments: &[&str]) -> Output {
    let server = node.address.to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.arg("scrub").args(arguments).args(["--server", &server]).env_remove("LARDER_SERVER");
    command.output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    })
}

fn client(node: &Process) -> Client {
    Client::connect(node.address.to_string()).unwrap()
}

fn stored(client: &Client, sizes: &[usize]) -> Vec<(ObjectId, Vec<u8>)> {
    let contents = sizes.iter().zip(1..).map(|(&bytes, seed)| content(seed, bytes));
    contents.map(|content| (client.put(content.clone(), PutOptions::default()).unwrap().id, content)).collect()
}

fn assert_only_one_is_damaged(node: &Process, objects: &[(ObjectId, Vec<u8>)], victim: usize) {
    let client = client(node);
    for (index, (id, content)) in objects.iter().enumerate() {
        let read = client.get(*id);
        if index == victim {
            assert_eq!(read.unwrap_err().status(), Some(Status::Damaged));
        } else {
            assert!(read.unwrap().content[..] == content[..], "object {index} differs");
        }
    }
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn a_flipped_byte_is_found_with_its_place_and_answered_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let node = Process::serve(&[directory.path()]);
    let objects = stored(&client(&node), &[300, 70_000, 3_000_000, 8, 0, 2000]);
    let whole = scrub(&node, &["--now", "--json"]);
    assert_eq!(whole.status.code(), Some(0), "{whole:?}");
    let told = json(&whole);
    assert_eq!(told["disks"][0]["scrub"]["completed_findings"], 0);
    assert!(told["disks"][0]["scrub"]["read_bytes"].as_u64().unwrap() > 3_000_000);

    // It is in the node's cache, and in the page cache: the scrub looks at the device.
    let (victim, damaged) = (1, &objects[1]);
    assert!(client(&node).get(damaged.0).unwrap().content[..] == damaged.1[..]);
    let (path, start) = find(directory.path(), &damaged.1);
    flip(&path, start + 66_000);
    let found = scrub(&node, &["--now"]);
    assert_eq!(found.status.code(), Some(3), "{found:?}");
    let lines = String::from_utf8(found.stdout).unwrap();
    assert!(lines.contains(name(&path)) && lines.contains(&(start + 65_536).to_string()), "{lines}");
    assert_only_one_is_damaged(&node, &objects, victim);

    let again = scrub(&node, &["--json"]);
    assert_eq!(again.status.code(), Some(3), "the last pass found it");
    let told = json(&again);
    let finding = &told["disks"][0]["found"][0];
    assert_eq!((finding["kind"].as_str(), finding["file"].as_str()), (Some("needle"), Some(name(&path))));
    assert_eq!(finding["sequence"], damaged.0.sequence.0);
    assert_eq!(told["disks"][0]["scrub"]["needles_marked"], 1);
    let status = client(&node).status().unwrap();
    assert_eq!(status["disks"][0]["store"]["damaged"], 1);
    assert_eq!(status["disks"][0]["scrub"]["completed_findings"], 1);

    // What was found is remembered, and a damaged object can still be deleted.
    node.terminate();
    assert!(node.wait().success());
    let node = Process::serve(&[directory.path()]);
    assert_only_one_is_damaged(&node, &objects, victim);
    assert_eq!(scrub(&node, &[]).status.code(), Some(3));
    client(&node).delete(damaged.0).unwrap();
    assert_eq!(client(&node).get(damaged.0).unwrap_err().status(), Some(Status::NotFound));
}

#[test]
fn every_disk_is_checked_while_the_node_works() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let node = Process::serve(&[directories[0].path(), directories[1].path()]);
    let writer = {
        let client = client(&node);
        std::thread::spawn(move || stored(&client, &[40_000; 200]))
    };
    for _ in 0..5 {
        let ran = scrub(&node, &["--now"]);
        assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    }
    let objects = writer.join().unwrap();
    let told = json(&scrub(&node, &["--now", "--json"]));
    assert_eq!(told["disks"].as_array().unwrap().len(), 2);
    let read: u64 =
        told["disks"].as_array().unwrap().iter().map(|disk| disk["scrub"]["read_bytes"].as_u64().unwrap()).sum();
    assert!(read > 200 * 40_000);
    let client = client(&node);
    assert!(objects.iter().all(|(id, content)| client.get(*id).unwrap().content[..] == content[..]));
}

#[test]
fn damage_to_the_small_files_is_found_too() {
    let directory = tempfile::tempdir().unwrap();
    let node = Process::serve(&[directory.path()]);
    stored(&client(&node), &[300]);
    assert_eq!(scrub(&node, &["--now"]).status.code(), Some(0));
    flip(&directory.path().join("superblock"), 4096 + 40);
    flip(&directory.path().join("manifest"), 100);
    let told = json(&scrub(&node, &["--now", "--json"]));
    let found = told["disks"][0]["found"].as_array().unwrap().clone();
    let files: Vec<_> = found.iter().map(|finding| finding["file"].as_str().unwrap()).collect();
    assert_eq!(files, ["superblock", "manifest"]);
}

#[test]
fn a_node_that_is_not_there_is_told() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    let ran = command.args(["scrub", "--server", "127.0.0.1:1"]).output().unwrap();
    assert_eq!(ran.status.code(), Some(4));
}
