//! Goal: what loadgen reports is what happened: counts, verdicts, and connections that are held.
//!
//! Method: the program as a child, against a node on a disk in memory in the test's own process, whose counters tell the
//! same story from the other side.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use larder::disk::{Disk, MemoryDisk};
use larder::node::{Configuration, Node};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn node() -> Node {
    let configuration = Configuration {
        listen: "127.0.0.1:0".parse().unwrap(),
        http: "127.0.0.1:0".parse().unwrap(),
        processors: 1,
        segment_bytes: Some(64 << 20),
        reserve_bytes: Some(1 << 20),
        budget_in_bytes: 64 << 20,
        budget_out_bytes: 64 << 20,
        connections_per_address_max: 50,
        ..Configuration::default()
    };
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    Node::start(&configuration, vec![disk], Arc::default()).unwrap()
}

fn spawn(node: &Node, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(arguments).args(["--server", &node.address().to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program is built")
}

/// Exit code, JSON, and what was told on standard error.
fn run(node: &Node, arguments: &[&str]) -> (i32, Value, String) {
    let ended = spawn(node, &[arguments, &["--json"]].concat()).wait_with_output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    let json = serde_json::from_slice(&ended.stdout).unwrap_or(Value::Null);
    (ended.status.code().expect("no signal"), json, told)
}

fn at(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {path} in {value}"))
}

#[test]
fn every_request_is_counted_once() {
    let node = node();
    let (code, puts, told) = run(&node, &["put", "--count", "500", "--connections", "3", "--size", "0..20KiB"]);
    assert_eq!((code, at(&puts, "/requests/put/ok"), at(&puts, "/requests/put/lost")), (0, 500, 0), "{told}");
    assert_eq!(at(&node.status(), "/answers/ok"), 500);

    let (code, mixed, told) =
        run(&node, &["mixed", "--objects", "20", "--count", "300", "--reads", "50", "--size", "1..600KiB"]);
    assert_eq!(code, 0, "{told}");
    assert_eq!(at(&mixed, "/requests/put/ok") + at(&mixed, "/requests/get/ok"), 300);
    assert_eq!(at(&mixed, "/requests/get/wrong"), 0);
    assert_eq!(at(&node.status(), "/answers/ok"), 820, "500, a working set of 20, and 300");
    node.stop();
}

#[test]
fn an_open_loop_keeps_its_rate_and_times_from_the_intended_moment() {
    let node = node();
    let (code, gets, told) =
        run(&node, &["get", "--objects", "10", "--count", "200", "--rate", "1000", "--connections", "2"]);
    assert_eq!((code, at(&gets, "/requests/get/ok")), (0, 200), "{told}");
    // The last request is meant for 199 ms after the first, and none leaves before it is meant to.
    assert!(gets["seconds"].as_f64().unwrap() >= 0.199, "{gets}");
    for quantile in ["p50", "p99", "max"] {
        let of = |which: &str| at(&gets, &format!("/requests/get/{which}_us/{quantile}"));
        assert!(of("response") >= of("service"), "{quantile}: {gets}");
    }
    node.stop();
}

#[test]
fn wrong_content_is_seen() {
    let node = node();
    let place = tempfile::tempdir().unwrap();
    let ids = place.path().join("ids").display().to_string();
    let (code, _, told) = run(&node, &["put", "--count", "10", "--ids", &ids]);
    assert_eq!(code, 0, "{told}");
    let (code, gets, _) = run(&node, &["get", "--ids", &ids, "--count", "100"]);
    assert_eq!((code, at(&gets, "/requests/get/wrong")), (0, 0));

    // Object 7 is said to hold the content of object 8.
    let text = std::fs::read_to_string(&ids).unwrap();
    let wrong: String = text.lines().map(|line| line.replace("\t1\t7", "\t1\t8") + "\n").collect();
    assert_ne!(text, wrong);
    std::fs::write(&ids, wrong).unwrap();
    let (code, gets, _) = run(&node, &["get", "--ids", &ids, "--count", "200"]);
    assert_eq!(code, 3);
    let wrong = at(&gets, "/requests/get/wrong");
    assert!((1..100).contains(&wrong), "{gets}");
    node.stop();
}

#[test]
fn an_object_that_is_gone_is_a_failure() {
    let node = node();
    let place = tempfile::tempdir().unwrap();
    let ids = place.path().join("ids").display().to_string();
    std::fs::write(&ids, "1-ffff-0000000000000000\t5\t1\t1\n").unwrap();
    let (code, gets, _) = run(&node, &["get", "--ids", &ids, "--count", "5"]);
    assert_eq!((code, at(&gets, "/requests/get/refused/NOT_FOUND")), (1, 5));
    node.stop();
}

#[test]
fn connections_are_held_until_input_ends() {
    let node = node();
    let mut child = spawn(&node, &["hold", "--connections", "120", "--sources", "3"]);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "holding 120 connections\n");
    assert_eq!(at(&node.status(), "/connections/open"), 120);
    drop(child.stdin.take());
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!((rest.as_str(), child.wait().unwrap().code()), ("120 of 120 are still open\n", Some(0)));

    // The node learns of the closed ends in its own time.
    let ends = Instant::now() + Duration::from_secs(60);
    while at(&node.status(), "/connections/open") > 0 {
        assert!(Instant::now() < ends, "connections stay open: {}", node.status());
        std::thread::sleep(Duration::from_millis(1));
    }
    let (code, _, told) = run_hold(&node, &["hold", "--connections", "60", "--sources", "1"]);
    assert_eq!(code, 1);
    assert!(told.contains("connection 50: ") && told.contains("Busy"), "{told}");
    node.stop();
}

fn run_hold(node: &Node, arguments: &[&str]) -> (i32, String, String) {
    let ended = spawn(node, arguments).wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (ended.status.code().expect("no signal"), text(ended.stdout), text(ended.stderr))
}
