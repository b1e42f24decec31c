//! Goal: the names of a stopped node go to a file and come back with it, in another directory; what cannot be is told, and
//! leaves what was there alone.
//!
//! Method: the program itself, as a child, on directories that go away with the test.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "command_line/programs.rs"]
#[allow(dead_code, reason = "each test file uses a part of it")]
mod programs;

use programs::{Node, Ran, larder, larder_with_input};
use serde_json::Value;
use std::fs;
use std::process::{Command, Stdio};

fn json(ran: &Ran) -> Value {
    assert_eq!(ran.code, 0, "{}", ran.err);
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.out))
}

#[test]
fn names_come_back_from_a_backup() {
    let mut node = Node::start();
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name).display().to_string();
    let meta = node.data().join("master").display().to_string();
    fs::write(at("f"), "content").unwrap();
    for n in 0..20 {
        assert_eq!(node.run(&["put", &at("f"), &format!("/d{}/f{n}", n % 3)]).code, 0);
    }
    let listed = node.run(&["ls", "-r", "/"]).out;
    assert_eq!(listed.lines().count(), 23);

    let running = larder(&["master", "backup", &at("backup"), "--meta", &meta]);
    assert_eq!(running.code, 1);
    assert!(running.err.contains("another process has this metadata directory"), "{}", running.err);
    assert!(!place.path().join("backup").exists());
    node.kill();

    let made = larder(&["master", "backup", &at("backup"), "--meta", &meta]);
    assert_eq!((made.code, made.out.as_str(), made.err.as_str()), (0, "", ""));
    let facts = json(&larder(&["master", "inspect", "--json", "--meta", &meta]));
    assert_eq!((&facts["files"], &facts["directories"]), (&20.into(), &3.into()));
    let verified = json(&larder(&["master", "verify", "--json", "--meta", &meta]));
    assert_eq!((&verified["files"], &verified["damaged"]), (&20.into(), &0.into()));

    // A damaged one is refused, and a node does not take what it left for a directory without names.
    let mut damaged = fs::read(at("backup")).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let refused = larder_with_input(&["master", "restore", "-", "--meta", &at("meta")], &damaged);
    assert_eq!(refused.code, 3, "{}", refused.err);
    node.start_again_with(&["--meta", &at("meta")]);
    let out_of_service = node.run(&["ls", "/"]);
    assert!(out_of_service.err.contains("UNAVAILABLE"), "{}", out_of_service.err);
    assert!(out_of_service.err.contains("run `larder master restore`"), "{}", out_of_service.err);
    assert_eq!(node.stop(), 0);

    // The sound one is restored over it; names lead to content, and further ones are taken.
    let restored = json(&larder(&["master", "restore", &at("backup"), "--meta", &at("meta"), "--json"]));
    assert_eq!((&restored["files"], &restored["cluster"]), (&20.into(), &facts["cluster"]));
    let again = larder(&["master", "restore", &at("backup"), "--meta", &at("meta")]);
    assert!(again.code == 1 && again.err.contains("new or empty directory"), "{}", again.err);
    node.start_again_with(&["--meta", &at("meta")]);
    assert_eq!(node.run(&["ls", "-r", "/"]).out, listed);
    assert_eq!(node.run(&["get", "/d1/f7"]).out, "content");
    assert_eq!(node.run(&["put", &at("f"), "/new"]).code, 0);
    assert_eq!(node.stop(), 0);
    node.start_again_with(&["--meta", &at("meta")]);
    assert_eq!(node.run(&["get", "/new"]).out, "content");
    assert_eq!(node.stop(), 0);

    // A node of another cluster says so.
    let mut other = Node::start();
    assert_eq!(other.stop(), 0);
    other.start_again_with(&["--meta", &at("meta")]);
    let foreign = other.run(&["ls", "/"]).err;
    assert!(foreign.contains("UNAVAILABLE") && foreign.contains("it belongs to"), "{foreign}");
}

#[test]
fn a_backup_goes_through_a_pipe() {
    let mut node = Node::start();
    assert_eq!(node.run(&["mkdir", "-p", "/a/b"]).code, 0);
    assert_eq!(node.stop(), 0);
    let meta = node.data().join("master").display().to_string();
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("copy").display().to_string();
    let mut backup = Command::new(env!("CARGO_BIN_EXE_larder"))
        .args(["master", "backup", "-", "--meta", &meta])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let restore = Command::new(env!("CARGO_BIN_EXE_larder"))
        .args(["master", "restore", "-", "--meta", &copy])
        .stdin(backup.stdout.take().unwrap())
        .output()
        .unwrap();
    assert!(backup.wait().unwrap().success() && restore.status.success(), "{restore:?}");
    node.start_again_with(&["--meta", &copy]);
    assert_eq!(node.run(&["ls", "-r", "/"]).out, "/a/\n/a/b/\n");
}

#[test]
fn what_is_no_metadata_directory_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let missing = place.path().join("missing").display().to_string();
    let strange = place.path().join("strange");
    fs::create_dir(&strange).unwrap();
    fs::write(strange.join("thesis.txt"), "mine").unwrap();
    let strange_text = strange.display().to_string();
    let file = place.path().join("b").display().to_string();
    for meta in [&missing, &strange_text] {
        for command in [&["backup", &file][..], &["inspect"], &["verify"]] {
            let ran = larder(&[&["master"], command, &["--meta", meta]].concat());
            assert_eq!((ran.code, ran.err.lines().count()), (1, 1), "{command:?}: {}", ran.err);
            assert!(ran.err.contains("name a metadata directory"), "{}", ran.err);
        }
    }
    let no_backup =
        larder_with_input(&["master", "restore", "-", "--meta", &strange_text], b"nonsense that is long enough");
    assert_eq!(no_backup.code, 3, "{}", no_backup.err);
    assert_eq!(fs::read_dir(&strange).unwrap().count(), 1);
    assert!(!fs::exists(&missing).unwrap() && !fs::exists(&file).unwrap());
}
