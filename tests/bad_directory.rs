//! Goal: a node that cannot start says so on one line that names the thing, the place and the way out, and has changed
//! nothing in any of its directories; one of whose disks only some suffered starts with the others. Method: the real program on directories that are wrong in one way each; names,
//! sizes and hashes of all files before and after.
#![allow(clippy::unwrap_used, reason = "what is not as it should be fails the test")]

mod support;

use larder::client::{Client, PutOptions};
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use support::files::{copy, flip, listing};
use support::process::{Process, refused};
use tempfile::TempDir;

/// The exit code of what is wrong with the configuration, and that of what went wrong.
const USAGE: i32 = 2;
const FAILED: i32 = 1;

/// A directory with an object in it, cleanly stopped.
fn directory() -> TempDir {
    directories::<1>().into_iter().next().unwrap()
}

fn directories<const N: usize>() -> [TempDir; N] {
    let directories = [(); N].map(|()| tempfile::tempdir().unwrap());
    let paths: Vec<_> = directories.iter().map(TempDir::path).collect();
    let node = Process::serve(&paths);
    let client = Client::connect(node.address.to_string()).unwrap();
    client.put("content", PutOptions::default()).unwrap();
    node.terminate();
    assert!(node.wait().success());
    directories
}

/// A node on these directories does not start, says all of `words`, and changes nothing.
fn refused_unchanged(paths: &[&Path], arguments: &[&str], code: i32, words: &[&str]) {
    let all = || -> Vec<_> { paths.iter().map(|path| path.is_dir().then(|| listing(path))).collect() };
    let before = all();
    let (found, line) = refused(paths, arguments);
    for word in words {
        assert!(line.contains(word), "{word:?} is not in {line:?}");
    }
    assert_eq!(found, code, "{line}");
    assert!(all() == before, "something changed, though it says: {line}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_directory_that_another_process_has() {
    let directory = tempfile::tempdir().unwrap();
    let node = Process::serve(&[directory.path()]);
    let client = Client::connect(node.address.to_string()).unwrap();
    let stored = client.put("content", PutOptions::default()).unwrap();
    // Halted, it holds the directory and writes nothing, so that every change would be the second one's.
    node.signal(Signal::STOP);
    refused_unchanged(
        &[directory.path()],
        &[],
        FAILED,
        &["in use by another process", text(directory.path()), "stop it"],
    );
    node.signal(Signal::CONT);
    assert_eq!(&client.get(stored.id).unwrap().content[..], b"content", "the first is not disturbed");
    client.put("more", PutOptions::default()).unwrap();
}

#[test]
fn a_directory_with_files_of_somebody_else() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("thesis.tex"), "years of work").unwrap();
    refused_unchanged(
        &[directory.path()],
        &[],
        FAILED,
        &["not a Larder directory", text(directory.path()), "thesis.tex", "empty directory"],
    );
    // Also when it is one of two, in either order.
    let empty = tempfile::tempdir().unwrap();
    let both = [empty.path(), directory.path()];
    refused_unchanged(&both, &[], FAILED, &["not a Larder directory", text(directory.path())]);
    refused_unchanged(&[both[1], both[0]], &[], FAILED, &["not a Larder directory", text(directory.path())]);
}

#[test]
fn a_disk_of_another_cluster() {
    let (ours, foreign, empty) = (directory(), directory(), tempfile::tempdir().unwrap());
    for paths in [
        &[ours.path(), foreign.path()][..],
        &[foreign.path(), ours.path()],
        &[empty.path(), ours.path(), foreign.path()],
    ] {
        let wrong = paths.last().unwrap();
        refused_unchanged(paths, &[], FAILED, &[text(wrong), "belongs to cluster", "not", "attach the right disk"]);
    }
}

#[test]
fn a_copy_of_a_disk() {
    let (one, copied) = (directory(), tempfile::tempdir().unwrap());
    copy(one.path(), copied.path());
    let words = ["the same disk", text(one.path()), text(copied.path()), "never a copy"];
    refused_unchanged(&[one.path(), copied.path()], &[], FAILED, &words);
    let words = [text(one.path()), "again", "name each directory once"];
    refused_unchanged(&[one.path(), one.path()], &[], USAGE, &words);
    let same_by_another_name = one.path().join("../").join(one.path().file_name().unwrap());
    let (code, line) = refused(&[one.path(), &same_by_another_name], &[]);
    assert!(code == FAILED || code == USAGE, "{line}");
}

#[test]
fn a_new_disk_joins_its_node_wherever_it_is_named() {
    let [one, two] = directories::<2>();
    let new = tempfile::tempdir().unwrap();
    let node = Process::serve(&[new.path(), one.path(), two.path()]);
    node.terminate();
    assert!(node.wait().success());
    let node = Process::serve(&[two.path(), new.path(), one.path()]);
    let client = Client::connect(node.address.to_string()).unwrap();
    assert_eq!(client.status().unwrap()["disks"].as_array().unwrap().len(), 3);
}

#[test]
fn a_path_that_is_no_directory() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "a file").unwrap();
    refused_unchanged(&[&file], &[], FAILED, &[text(&file), "ot a directory", "--data"]);
    assert_eq!(fs::read(&file).unwrap(), b"a file");
    let below = file.join("below");
    refused_unchanged(&[&below], &[], FAILED, &[text(&below), "ot a directory", "--data"]);
}

#[test]
fn an_address_in_use() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (ours, empty) = (directory(), tempfile::tempdir().unwrap());
    for path in [ours.path(), empty.path()] {
        refused_unchanged(&[path], &["--listen", &address], FAILED, &["listen", &address, "in use", "--listen"]);
    }
    let not_ours = "192.0.2.1:7400";
    refused_unchanged(&[empty.path()], &["--listen", not_ours], FAILED, &["listen", not_ours, "--listen"]);
}

#[test]
fn a_superblock_that_is_damaged_or_gone() {
    let directory = directory();
    let superblock = directory.path().join("superblock");
    let sound = fs::read(&superblock).unwrap();

    // One of its two copies is enough, and is mended.
    for slot in [0, 4096] {
        flip(&superblock, slot + 40);
        let node = Process::serve(&[directory.path()]);
        node.terminate();
        assert!(node.wait().success());
    }

    let words = ["superblock", text(directory.path()), "restore"];
    flip(&superblock, 40);
    flip(&superblock, 4096 + 40);
    refused_unchanged(&[directory.path()], &[], FAILED, &words);
    fs::write(&superblock, vec![0; sound.len()]).unwrap();
    refused_unchanged(&[directory.path()], &[], FAILED, &words);
    fs::write(&superblock, b"").unwrap();
    refused_unchanged(&[directory.path()], &[], FAILED, &words);
    fs::remove_file(&superblock).unwrap();
    refused_unchanged(&[directory.path()], &[], FAILED, &words);
    // The way out that the line names.
    fs::write(&superblock, &sound).unwrap();
    let node = Process::serve(&[directory.path()]);
    node.terminate();
    assert!(node.wait().success());
}

#[test]
fn a_manifest_that_is_damaged_or_gone() {
    let directory = directory();
    let manifest = directory.path().join("manifest");
    let words = ["manifest", text(directory.path()), "restore"];
    let sound = fs::read(&manifest).unwrap();
    flip(&manifest, 3);
    refused_unchanged(&[directory.path()], &[], FAILED, &words);
    fs::remove_file(&manifest).unwrap();
    refused_unchanged(&[directory.path()], &[], FAILED, &words);
    fs::write(&manifest, &sound).unwrap();
    let node = Process::serve(&[directory.path()]);
    node.terminate();
    assert!(node.wait().success());
}

#[test]
fn a_directory_where_a_file_should_be() {
    for name in ["superblock", "manifest", "mark", "reserve", "lock"] {
        let [bad, good] = directories::<2>();
        let path = bad.path().join(name);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        // Alone it cannot be opened; beside another it is left out.
        let (code, line) = refused(&[bad.path()], &[]);
        assert!(code == FAILED && line.contains(name) && line.contains(text(bad.path())), "{line}");
        let node = Process::serve(&[bad.path(), good.path()]);
        let status = Client::connect(node.address.to_string()).unwrap().status().unwrap();
        let disks: Vec<_> = status["disks"].as_array().unwrap().iter().map(|disk| &disk["state"]).collect();
        assert_eq!(disks, ["failed", "healthy"], "{name}");
        let cause = status["disks"][0]["cause"].as_str().unwrap();
        assert!(cause.contains("left out") && cause.contains(name), "{cause}");
        node.terminate();
        assert!(node.wait().success());
        // The way out: what is put right is taken in again.
        fs::remove_dir(&path).unwrap();
    }
}

#[test]
fn what_an_operator_got_wrong_refuses_the_start_also_beside_a_sound_disk() {
    let ours = directory();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "a file").unwrap();
    for paths in [[ours.path(), &file], [&file, ours.path()]] {
        refused_unchanged(&paths, &[], FAILED, &[text(&file), "ot a directory", "--data"]);
    }
    // One of the node's own disks, held by another process.
    let [one, two] = directories::<2>();
    let node = Process::serve(&[two.path()]);
    node.signal(Signal::STOP);
    for paths in [[one.path(), two.path()], [two.path(), one.path()]] {
        refused_unchanged(&paths, &[], FAILED, &["in use by another process", text(two.path())]);
    }
    node.signal(Signal::CONT);
}
