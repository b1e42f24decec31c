//! Goal: clients in two languages, one node: what one stores the other reads, byte for byte, and the one that was written
//! from protocol.md alone does every operation. Method: tests/interop/interop_test.py against a node on a directory; the
//! bytes of all objects lie in files between the two. Without python3 it says so and does nothing.
//!
//! The longer mode, with the first 2,000 files of /usr/share: `cargo test --test interop -- --ignored`.
#![allow(clippy::unwrap_used, reason = "what is not as it should be fails the test")]

mod support;

use larder::client::{Client, PutOptions};
use larder::node::Node;
use std::path::Path;
use std::process::{Command, Output};
use support::content;
use support::node::{assert_at_rest, client, configuration, on_directories, with_names};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop");

/// Runs a script; `None` if there is no python3.
fn python(script: &str, arguments: &[&str]) -> Option<Output> {
    let mut command = Command::new("python3");
    command.arg("-B").arg(format!("{SCRIPTS}/{script}")).args(arguments).current_dir(SCRIPTS);
    match command.output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: there is no python3 on this machine");
            None
        }
        Err(error) => panic!("python3: {error}"),
    }
}

fn assert_success(output: &Output) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
}

/// Runs the driver against a node, with these options.
fn drive(node: &Node, options: &[&str]) -> Option<Output> {
    let address = node.address().to_string();
    python("interop_test.py", &[&["--server", &address], options].concat())
}

/// Puts files of mixed sizes and leaves their bytes in a directory, named by their ids.
fn put_for_python(client: &Client, directory: &Path) {
    for seed in 0..200u64 {
        let bytes = match seed {
            0 => 8 << 20,
            1 => 0,
            2..10 => 65_532 + seed as usize,
            seed if seed % 20 == 10 => 300_000 + seed as usize * 7919,
            seed => (seed as usize * 7919) % 30_000,
        };
        let content = content(seed, bytes);
        let stored = client.put(content.clone(), PutOptions::default()).unwrap();
        std::fs::write(directory.join(stored.id.to_string()), content).unwrap();
    }
}

#[test]
fn what_one_language_stores_the_other_reads() {
    let (data, for_python, for_rust) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let node = on_directories(&configuration(), &[data.path()]);
    let client = client(&node);
    put_for_python(&client, for_python.path());
    let directories = [for_python.path(), for_rust.path()].map(|path| path.to_str().unwrap());
    let Some(output) = drive(&node, &["--expect", directories[0], "--hand-over", directories[1]]) else { return };
    assert_success(&output);
    let mut read = 0;
    for file in std::fs::read_dir(for_rust.path()).unwrap() {
        let file = file.unwrap();
        let id = file.file_name().to_str().unwrap().parse().expect("the name is an id");
        assert!(client.get(id).unwrap().content[..] == std::fs::read(file.path()).unwrap()[..], "{id} differs");
        read += 1;
    }
    assert_eq!(read, 200);
    drop(client);
    assert_at_rest(&node);
    node.stop();
}

#[test]
fn names_do_in_another_language_what_the_page_says() {
    let (disk, meta) = (larder::disk::MemoryDisk::new(), larder::disk::MemoryDisk::new());
    let node = with_names(&configuration(), std::sync::Arc::new(disk), std::sync::Arc::new(meta));
    let Some(output) = drive(&node, &["--names", "--files", "1"]) else { return };
    assert_success(&output);
    assert_at_rest(&node);
    node.stop();
}

#[test]
fn the_python_client_replays_the_golden_frames() {
    if let Some(output) = python("golden_test.py", &[]) {
        assert_success(&output);
    }
}

#[test]
#[ignore = "it takes longer, and the files differ from machine to machine"]
fn two_thousand_real_files_come_back() {
    let data = tempfile::tempdir().unwrap();
    let node = on_directories(&configuration(), &[data.path()]);
    let Some(output) = drive(&node, &["--tree", "/usr/share"]) else { return };
    assert_success(&output);
    print!("{}", String::from_utf8_lossy(&output.stdout));
    assert_at_rest(&node);
    node.stop();
}
