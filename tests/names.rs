//! Goal: names on the command line do what the help says: trees go there and back whole, an upload that a dead node cut
//! off is completed by the next run, and what cannot be is told with its own exit code.
//!
//! Method: the program itself, as a child, against nodes that are children too, on directories that go away with the
//! test.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "command_line/programs.rs"]
#[allow(dead_code, reason = "each test file uses a part of it")]
mod programs;

use programs::{Node, Ran, larder, larder_with_input, spawn};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

const CHUNK: usize = 8 << 20;

/// All files under a directory, by their relative paths; directories with nothing.
fn tree(root: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    let mut left = vec![root.to_path_buf()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let relative = path.strip_prefix(root).unwrap().to_path_buf();
            if path.is_dir() {
                found.push((relative, None));
                left.push(path);
            } else {
                found.push((relative, Some(fs::read(&path).unwrap())));
            }
        }
    }
    found.sort();
    found
}

fn write(root: &Path, name: impl AsRef<OsStr>, content: &[u8]) {
    let path = root.join(name.as_ref());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn json(ran: &Ran) -> Value {
    assert_eq!(ran.code, 0, "{}", ran.err);
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.out))
}

#[test]
fn a_tree_goes_there_and_back() {
    let node = Node::start();
    let place = tempfile::tempdir().unwrap();
    let (here, back) = (place.path().join("here"), place.path().join("back"));
    let large: Vec<u8> = b"0123456789a".repeat(2 * CHUNK / 11 + 1);
    for (name, content) in [
        ("empty", &b""[..]),
        ("a", b"a"),
        (" sp ace $'\"\\", b"odd"),
        ("-r", b"odd"),
        ("d/e/\u{fc}n\u{ef}", b"text"),
        ("large.jpg", &large),
        ("exact", &large[..CHUNK]),
    ] {
        write(&here, name, content);
    }
    fs::create_dir_all(here.join("nothing/here")).unwrap();
    let (here_text, back_text) = (here.display().to_string(), back.display().to_string());
    let put = node.run(&["put", "-r", &here_text, "/t"]);
    assert_eq!((put.code, put.err.as_str()), (0, ""));
    assert!(put.out.starts_with("7 files, "), "{}", put.out);
    let got = node.run(&["get", "-r", "/t", &back_text]);
    assert_eq!((got.code, got.err.as_str()), (0, ""));
    assert!(tree(&here) == tree(&back));
    let modified = |root: &Path| fs::metadata(root.join("a")).unwrap().modified().unwrap();
    assert!(modified(&here).duration_since(modified(&back)).unwrap().as_millis() < 1, "times are kept");

    let stat = json(&node.run(&["stat", "/t/large.jpg", "--json"]));
    assert_eq!((&stat["size_bytes"], &stat["chunks"]), (&large.len().into(), &3.into()));
    assert_eq!(stat["attributes"]["content_type"], "image/jpeg");
    let usage = json(&node.run(&["du", "/t", "--json"]));
    assert_eq!((&usage["files"], &usage["directories"]), (&7.into(), &4.into()));
    assert_eq!(node.run(&["ls", "/t"]).out.lines().next(), Some(" sp ace $'\"\\"));
    assert_eq!(node.run(&["ls", "-r", "/t/nothing"]).out, "/t/nothing/here/\n");

    // Names that are none here are told, and keep no other back.
    write(&here, OsStr::from_bytes(b"bad\xff"), b"x");
    write(&here, "bad\nline", b"x");
    write(&here, "new", b"x");
    fs::remove_file(here.join("a")).unwrap();
    let sync = node.run(&["sync", &here_text, "/t"]);
    assert_eq!((sync.code, sync.err.lines().count()), (1, 2), "{}", sync.err);
    assert_eq!(sync.out, "1 stored (1 B), 6 unchanged, 1 extra (see --delete), 2 failed\n");
    let sync = node.run(&["sync", "--delete", "--json", &here_text, "/t"]);
    let summary: Value = serde_json::from_str(sync.out.lines().last().unwrap()).unwrap();
    assert_eq!((&summary["stored"], &summary["deleted"]), (&0.into(), &1.into()), "{summary}");

    assert_eq!(node.run(&["mv", "/t", "/moved"]).code, 0);
    assert_eq!(node.run(&["get", "/moved/new"]).out, "x");
    assert_eq!(node.run(&["rm", "/moved"]).code, 6);
    assert_eq!(node.run(&["rm", "-r", "/moved"]).code, 0);
    assert_eq!(node.run(&["ls"]).out, "");
}

#[test]
fn an_upload_that_a_dead_node_cut_off_is_completed_by_the_next() {
    let mut node = Node::start();
    let place = tempfile::tempdir().unwrap();
    let (here, back) = (place.path().join("here"), place.path().join("back"));
    for n in 0..400 {
        write(&here, format!("d{}/f{n}", n % 9), format!("content {n}").repeat(n).as_bytes());
    }
    write(&here, "d0/large", &vec![7; 3 * CHUNK + 1]);
    let (here_text, back_text) = (here.display().to_string(), back.display().to_string());
    let arguments = ["put", "-r", &here_text, "/t", "--server", node.address(), "--timeout-ms", "2000"];
    let mut child = spawn(&arguments, Stdio::null());
    programs::eventually("some files are there", || node.run(&["ls", "-r", "/t"]).out.lines().count() > 20);
    node.kill();
    // It may have been faster than the kill.
    child.wait().unwrap();
    node.start_again();

    // What is there is whole.
    let got = node.run(&["get", "-r", "/t", &back_text]);
    assert_eq!((got.code, got.err.as_str()), (0, ""));
    for (name, content) in tree(&back) {
        assert!(content.is_none() || content == fs::read(here.join(&name)).ok(), "{name:?} is not whole");
    }
    let sync = node.run(&["sync", &here_text, "/t"]);
    assert_eq!((sync.code, sync.err.as_str()), (0, ""));
    assert_eq!(node.run(&["get", "-r", "/t", &back_text]).code, 0);
    assert!(tree(&here) == tree(&back));
    let again = node.run(&["sync", &here_text, "/t"]);
    assert_eq!(again.out, "0 stored (0 B), 401 unchanged\n");
}

#[test]
fn single_files_and_streams() {
    let node = Node::start();
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str| place.path().join(name).display().to_string();
    let large = b"0123456789a".repeat(CHUNK / 11 + 1);
    let put = larder_with_input(&["put", "-", "/d/stream", "--server", node.address()], &large);
    assert_eq!((put.code, put.err.as_str()), (0, ""));
    assert!(put.out.starts_with(&format!("/d/stream\t{}\t", large.len())), "{}", put.out);
    assert_eq!(node.run(&["get", "/d/stream", "-o", &file("back")]).code, 0);
    assert!(fs::read(file("back")).unwrap() == large);

    // Into a directory that is there, with / at the end, and several.
    for (arguments, name) in [
        (vec![file("back"), "/d".into()], "/d/back"),
        (vec![file("back"), "/new/".into()], "/new/back"),
        (vec![file("back"), file("back"), "/two".into()], "/two/back"),
        (vec![file("back"), "/one".into()], "/one"),
    ] {
        let arguments: Vec<&str> = std::iter::once("put").chain(arguments.iter().map(String::as_str)).collect();
        assert_eq!(node.run(&arguments).code, 0);
        assert_eq!(json(&node.run(&["stat", name, "--json"]))["size_bytes"], large.len());
    }
    // A file is replaced in one step, unless that is refused.
    fs::write(file("small"), "small").unwrap();
    assert_eq!(node.run(&["put", &file("small"), "/one", "--if-absent"]).code, 6);
    assert_eq!(json(&node.run(&["put", "--json", &file("small"), "/one"]))["replaced"], true);
    assert_eq!(node.run(&["get", "/one"]).out, "small");
}

#[test]
fn what_cannot_be_has_its_own_exit_code() {
    let node = Node::start();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("f").display().to_string();
    fs::write(&file, "content").unwrap();
    assert_eq!(node.run(&["mkdir", "-p", "/d/e"]).code, 0);
    assert_eq!(node.run(&["put", &file, "/d/f"]).code, 0);
    for (arguments, code, why) in [
        (&["get", "/no"][..], 5, "NOT_FOUND"),
        (&["stat", "/no/no"], 5, "NOT_FOUND"),
        (&["ls", "/no"], 5, "NOT_FOUND"),
        (&["du", "/no"], 5, "NOT_FOUND"),
        (&["rm", "/no"], 5, "NOT_FOUND"),
        (&["mv", "/no", "/x"], 5, "NOT_FOUND"),
        (&["mkdir", "/no/no"], 5, "PARENT_NOT_FOUND"),
        (&["mkdir", "/d"], 6, "ALREADY_EXISTS"),
        (&["mkdir", "/d/f/x"], 6, "NOT_A_DIRECTORY"),
        (&["get", "/d"], 6, "IS_A_DIRECTORY"),
        (&["get", "-r", "/d/f", &file], 6, "leave out -r"),
        (&["rm", "/d"], 6, "DIRECTORY_NOT_EMPTY"),
        (&["mv", "/d/e", "/d/f"], 6, "ALREADY_EXISTS"),
        (&["mv", "/d", "/d/e/x"], 2, "INTO_ITSELF"),
        (&["rm", "-r", "/"], 2, "INTO_ITSELF"),
        (&["put", &file, "/d/f/x"], 6, "NOT_A_DIRECTORY"),
        (&["put", "-", "/d/"], 2, "has no name of its own"),
        (&["put", "/d/f"], 2, "what goes to /d/f?"),
        (&["put", &file, "/.id/x"], 2, "the node's own"),
        (&["sync", &file, "/d"], 1, "is no directory"),
    ] {
        let ran = node.run(arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.err);
        assert!(ran.err.starts_with("larder: ") && ran.err.lines().count() == 1, "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(why), "{arguments:?}: {}", ran.err);
    }
    assert_eq!(node.run(&["mkdir", "-p", "/d/e"]).code, 0, "it is there: that is fine");
    assert_eq!(node.run(&["ls", "-r", "/d"]).out, "/d/e/\n/d/f\n");
    assert!(larder(&["mv", "/a", "b"]).err.contains("begins with /"));
}

#[test]
fn an_interrupted_get_of_a_tree_leaves_no_half_file() {
    let node = Node::start();
    let place = tempfile::tempdir().unwrap();
    let (here, back) = (place.path().join("here"), place.path().join("back"));
    let content = vec![9; 100_000];
    for n in 0..100 {
        write(&here, format!("f{n}"), &content);
    }
    assert_eq!(node.run(&["put", "-r", &here.display().to_string(), "/t"]).code, 0);
    let arguments = ["get", "-r", "/t", &back.display().to_string(), "--server", node.address()];
    let mut child = spawn(&arguments, Stdio::null());
    programs::eventually("some files are there", || fs::read_dir(&back).is_ok_and(|entries| entries.count() > 2));
    // It may be at its end already.
    let _ = kill_process(Pid::from_child(&child), Signal::TERM);
    child.wait().unwrap();
    for (name, found) in tree(&back) {
        assert!(found.as_ref() == Some(&content), "{name:?} is not whole");
    }
}

/// Regular files of a real tree, with odd names, empty files and one of 400 MB beside them.
fn real_tree(root: &Path) -> usize {
    let from = std::env::var_os("LARDER_TREE").map_or_else(|| PathBuf::from("/usr/share"), PathBuf::from);
    let (mut left, mut files) = (vec![from.clone()], 0);
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            if kind.is_dir() {
                left.push(path);
            } else if kind.is_file() && path.to_str().is_some() {
                let to = root.join(path.strip_prefix(&from).unwrap());
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::copy(&path, &to).unwrap();
                files += 1;
            }
        }
    }
    let mut large = fs::File::create(root.join("large")).unwrap();
    for n in 0..400u32 {
        std::io::Write::write_all(&mut large, &n.to_le_bytes().repeat(250_000)).unwrap();
    }
    for (name, content) in
        [("odd/ a b\u{a0}", "odd"), ("odd/\u{1f980}\u{301}'\"$(x)", ""), ("odd/-r", "dash"), ("odd/empty", "")]
    {
        write(root, name, content.as_bytes());
    }
    files + 5
}

/// What `diff -rq` says of two directories.
fn difference(one: &Path, other: &Path) -> String {
    let output = std::process::Command::new("diff").arg("-rq").args([one, other]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
#[ignore = "it takes minutes and some 3 GB: cargo test --release --test names -- --ignored --nocapture; LARDER_TREE names the tree"]
fn a_real_tree_goes_there_and_back_also_through_a_kill() {
    let place = tempfile::tempdir().unwrap();
    let here = place.path().join("here");
    let files = real_tree(&here);
    let here_text = here.display().to_string();
    let back = |name: &str| place.path().join(name);
    let mut node = Node::start();
    let began = std::time::Instant::now();
    assert_eq!(node.run(&["put", "-r", &here_text, "/t"]).code, 0);
    println!("{files} files put in {:.1?}", began.elapsed());
    assert_eq!(node.run(&["ls", "-r", "/t"]).out.lines().filter(|line| !line.ends_with('/')).count(), files);
    let began = std::time::Instant::now();
    assert_eq!(node.run(&["get", "-r", "/t", &back("first").display().to_string()]).code, 0);
    println!("got back in {:.1?}", began.elapsed());
    assert_eq!(difference(&here, &back("first")), "");
    fs::remove_dir_all(back("first")).unwrap();

    // The same under another name, and the node dies when a third is there.
    let arguments = ["put", "-r", &here_text, "/killed", "--server", node.address(), "--timeout-ms", "5000"];
    let mut child = spawn(&arguments, Stdio::null());
    let there = |node: &Node| node.run(&["du", "--json", "/killed"]);
    programs::eventually("a third of the files is there", || {
        let ran = there(&node);
        ran.code == 0 && json(&ran)["files"].as_u64().unwrap_or(0) as usize > files / 3
    });
    node.kill();
    child.wait().unwrap();
    let began = std::time::Instant::now();
    node.start_again();
    println!("started after the kill in {:.1?}", began.elapsed());
    assert_eq!(node.run(&["get", "-r", "/killed", &back("part").display().to_string()]).code, 0);
    let told = difference(&here, &back("part"));
    assert!(told.lines().all(|line| line.starts_with("Only in") && !line.contains("/part")), "not whole: {told}");
    println!("{} names were not there yet", told.lines().count());
    fs::remove_dir_all(back("part")).unwrap();
    let sync = node.run(&["sync", &here_text, "/killed"]);
    assert_eq!(sync.code, 0, "{}", sync.err);
    println!("the second run: {}", sync.out.trim());
    assert_eq!(node.run(&["get", "-r", "/killed", &back("second").display().to_string()]).code, 0);
    assert_eq!(difference(&here, &back("second")), "");
    let status = json(&node.run(&["status", "--json"]));
    println!("budget for bodies: {}", status["memory"]["budget_in"]);
    assert!(
        status["memory"]["budget_in"]["peak_bytes"].as_u64()
            <= status["memory"]["budget_in"]["capacity_bytes"].as_u64()
    );
}
