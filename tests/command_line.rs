//! Goal: the `larder` program does what its help says, also when things go wrong: exit codes, one line an error, nothing
//! left behind.
//!
//! Method: the program itself, as a child, against nodes that are children too, on directories that go away with the
//! test.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "command_line/programs.rs"]
mod programs;

use programs::{Node, Ran, deaf_node, larder, larder_with_input, spawn};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

/// The first column of what `put` prints.
fn ids(ran: &Ran) -> Vec<String> {
    ran.out.lines().map(|line| line.split('\t').next().unwrap().to_string()).collect()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.collect();
    names.sort();
    names
}

#[test]
fn objects_go_there_and_back() {
    let node = Node::start();
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str| place.path().join(name).display().to_string();
    let large: Vec<u8> = (0..8 << 20).map(|n: u32| (n >> 3) as u8).collect();
    fs::write(file("large"), &large).unwrap();
    fs::write(file("empty"), "").unwrap();
    let put =
        larder_with_input(&["put", "--id", &file("large"), "-", &file("empty"), "--server", node.address()], b"in");
    assert_eq!((put.code, put.err.as_str()), (0, ""));
    let sizes: Vec<&str> = put.out.lines().map(|line| line.split('\t').nth(1).unwrap()).collect();
    assert_eq!(sizes, ["8388608", "2", "0"]);
    assert!(put.out.lines().nth(1).unwrap().ends_with("\t-"), "{}", put.out);

    let ids = ids(&put);
    let got = node.run(&["get", &ids[0], "-o", &file("back")]);
    assert_eq!((got.code, got.out.as_str()), (0, ""));
    assert!(fs::read(file("back")).unwrap() == large, "other bytes came back");
    assert_eq!(node.run(&["get", &ids[1]]).out, "in");
    assert_eq!(node.run(&["get", &ids[2], "-o", "-"]).out, "");

    let stat: serde_json::Value = serde_json::from_str(&node.run(&["stat", &ids[0], "--json"]).out).unwrap();
    assert_eq!((&stat["size_bytes"], &stat["attributes"]["file_name"]), (&8_388_608.into(), &"large".into()));

    assert_eq!(node.run(&["rm", &ids[0], &ids[2]]).code, 0);
    assert_eq!(node.run(&["rm", &ids[0]]).code, 0, "deleting twice is no failure");
    fs::write(file("kept"), "before").unwrap();
    let gone = node.run(&["get", &ids[0], "-o", &file("kept")]);
    assert_eq!(gone.code, 5);
    assert!(gone.err.starts_with(&format!("larder: {}: NOT_FOUND: ", ids[0])), "{}", gone.err);
    assert_eq!(fs::read(file("kept")).unwrap(), b"before");
    assert_eq!(names(place.path()), ["back", "empty", "kept", "large"]);
    assert_eq!(node.run(&["stat", &ids[0]]).code, 5);
    assert_eq!(node.run(&["rm", "1-ffffffff-0000000000000000", &ids[1]]).code, 5);
    assert_eq!(node.run(&["get", &ids[1]]).code, 5, "the one that could be deleted was");
}

#[test]
fn a_file_that_fails_keeps_no_other_back() {
    let node = Node::start();
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str| place.path().join(name).display().to_string();
    fs::write(file("good"), "good").unwrap();
    fs::File::create(file("large")).unwrap().set_len((8 << 20) + 1).unwrap();
    let put = node.run(&["put", "--id", &file("large"), &file("missing"), &file("."), &file("good")]);
    assert_eq!(put.code, 1);
    assert_eq!(put.out.lines().count(), 1, "{}", put.out);
    assert_eq!(node.run(&["get", &ids(&put)[0]]).out, "good");
    let lines: Vec<&str> = put.err.lines().collect();
    assert_eq!(lines.len(), 3, "{}", put.err);
    for (line, why) in lines.iter().zip(["larger files need names", "No such file", "use -r"]) {
        assert!(line.starts_with("larder: ") && line.contains(why), "{line}");
    }
    let without_id = node.run(&["put", &file("good")]);
    assert_eq!((without_id.code, without_id.out.as_str()), (2, ""));
}

#[test]
fn a_tree_is_stored_whole() {
    let node = Node::start();
    let place = tempfile::tempdir().unwrap();
    for n in 0..300 {
        let directory = place.path().join(format!("d{}", n % 7));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(format!("f{n}")), format!("content {n}")).unwrap();
    }
    let put = node.run(&["put", "--id", "--json", "-r", &place.path().display().to_string()]);
    assert_eq!((put.code, put.err.as_str()), (0, ""));
    let facts: Vec<serde_json::Value> = put.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(facts.len(), 300);
    for fact in facts.iter().step_by(60) {
        assert_eq!(fact["durability"], "disk");
        let got = node.run(&["get", fact["id"].as_str().unwrap()]);
        assert_eq!(got.out, fs::read_to_string(fact["path"].as_str().unwrap()).unwrap());
    }
    let status: serde_json::Value = serde_json::from_str(&node.run(&["status", "--json"]).out).unwrap();
    assert_eq!(status["disks"].as_array().unwrap().len(), 1);
    let table = node.run(&["status"]).out;
    assert!(table.contains("\ndisks:\n") && table.contains("\nstages:\n"), "{table}");
}

#[test]
fn without_a_node_every_command_says_so() {
    // A port that was free a moment ago, and that nobody listens on.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let id = "1-2-0000000000000003";
    for arguments in [
        &["ping"][..],
        &["status"],
        &["get", id],
        &["stat", id],
        &["rm", id],
        &["put", "--id", "x"],
        &["put", "Cargo.toml", "/x"],
        &["put", "-r", "src", "/x"],
        &["get", "/x"],
        &["get", "-r", "/x", "/dev/null/x"],
        &["ls"],
        &["stat", "/x"],
        &["rm", "-r", "/x"],
        &["mv", "/x", "/y"],
        &["mkdir", "/x"],
        &["du"],
    ] {
        let ran = larder(&[arguments, &["--server", &address]].concat());
        assert_eq!((ran.code, ran.out.as_str()), (4, ""), "{arguments:?}");
        assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
        assert!(ran.err.contains(&address) && ran.err.contains("larder serve"), "{}", ran.err);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let node = Node::start();
    let put = larder_with_input(&["put", "--id", "-", "--server", node.address()], &vec![7; 8 << 20]);
    for arguments in [&["get", &ids(&put)[0]][..], &["status"], &["completions", "bash"]] {
        let mut child = spawn(&[arguments, &node.server(arguments)].concat(), Stdio::null());
        drop(child.stdout.take());
        let mut told = String::new();
        child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert_eq!((child.wait().unwrap().code(), told.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn an_interrupted_get_leaves_nothing_behind() {
    let address = deaf_node();
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("photo.jpg").display().to_string();
    let arguments = ["get", "1-2-0000000000000003", "-o", &target, "--server", &address];
    let mut child = spawn(&arguments, Stdio::null());
    programs::eventually("the temporary file is there", || !names(place.path()).is_empty());
    assert!(!Path::new(&target).exists());
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "the signal ended it");
    assert_eq!(names(place.path()), [""; 0]);
}

#[test]
fn what_is_stored_outlives_the_node_and_damage_is_found() {
    let mut node = Node::start();
    let put = larder_with_input(&["put", "--id", "-", "--server", node.address()], &[0xa5; 200_000]);
    let directory = node.data().display().to_string();
    let busy = larder(&["volume", "verify", &directory]);
    assert_eq!(busy.code, 1, "{}", busy.err);
    assert!(busy.err.contains("in use"), "{}", busy.err);

    assert_eq!(node.stop(), 0);
    let inspected = larder(&["volume", "inspect", &directory]);
    assert_eq!((inspected.code, inspected.err.as_str()), (0, ""));
    assert!(inspected.out.contains("\nsegments:\n") && inspected.out.contains("clean"), "{}", inspected.out);
    assert_eq!(larder(&["volume", "verify", &directory]).code, 0);
    fs::remove_file(node.data().join("manifest")).unwrap();
    let lost = larder(&["volume", "verify", &directory]);
    assert_eq!(lost.code, 1);
    assert!(lost.err.contains("larder volume reindex"), "{}", lost.err);
    let made = larder(&["volume", "reindex", "--json", &directory]);
    assert_eq!(made.code, 0, "{}", made.err);
    let facts: serde_json::Value = serde_json::from_str(&made.out).unwrap();
    assert_eq!((&facts["manifest_rebuilt"], &facts["volumes"]), (&true.into(), &1.into()), "{facts}");
    assert_eq!(larder(&["volume", "verify", &directory]).code, 0);

    node.start_again();
    assert_eq!(node.run(&["get", &ids(&put)[0], "-o", "/dev/null"]).code, 0);
    assert_eq!(node.stop(), 0);

    let mut flipped = 0;
    for name in names(node.data()).iter().filter(|name| name.ends_with(".segment")) {
        let path = node.data().join(name);
        let mut bytes = fs::read(&path).unwrap();
        if let Some(place) = bytes.windows(16).position(|window| window == [0xa5; 16]) {
            bytes[place + 100_000] ^= 1;
            fs::write(&path, bytes).unwrap();
            flipped += 1;
        }
    }
    assert_eq!(flipped, 1);
    let damaged = larder(&["volume", "verify", "--json", &directory]);
    assert_eq!(damaged.code, 3, "{}", damaged.err);
    let facts: serde_json::Value = serde_json::from_str(&damaged.out).unwrap();
    assert_eq!(facts["damages"].as_array().unwrap().len(), 1, "{facts}");

    node.start_again();
    let refused = node.run(&["get", &ids(&put)[0], "-o", "/dev/null"]);
    assert_eq!(refused.code, 3, "{}", refused.err);
    assert!(refused.err.contains("DAMAGED"), "{}", refused.err);
}

#[test]
fn serve_refuses_what_cannot_be() {
    let node = Node::start();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("larder.toml").display().to_string();
    fs::write(&file, "log = 'info'\nreaders_per_disk = 100").unwrap();
    let refused = larder(&["serve", "--config", &file]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains(&file) && refused.err.contains("readers_per_disk = 100"), "{}", refused.err);

    let checked = larder(&["serve", "--check", "--processors", "3"]);
    assert_eq!(checked.code, 0);
    assert!(checked.out.contains("processors = 3\n"), "{}", checked.out);
    assert!(checked.out.contains("http = \"127.0.0.1:7480\"\nhttp_enabled = true\n"), "{}", checked.out);

    let data = node.data().display().to_string();
    let second = larder(&["serve", "--data", &data, "--listen", "127.0.0.1:0", "--no-http", "--log", "off"]);
    assert_eq!(second.code, 1);
    assert!(second.err.contains(&data) && second.err.contains("in use"), "{}", second.err);

    let elsewhere = place.path().join("data").display().to_string();
    let same_port = larder(&["serve", "--data", &elsewhere, "--listen", node.address(), "--no-http", "--log", "off"]);
    assert_eq!(same_port.code, 1);
    assert!(same_port.err.contains(node.address()) && same_port.err.contains("--listen"), "{}", same_port.err);
}
