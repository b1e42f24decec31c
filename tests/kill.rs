//! Goal: what was acknowledged is there, byte for byte, and what was deleted is not, whenever the process is killed; and a
//! SIGTERM under load loses nothing that was acknowledged either. Method: the real program on two directories, load by the
//! client library with many requests in flight, kill -9 in the middle of it, restart; three rounds.
#![allow(clippy::unwrap_used, reason = "what is not as it should be fails the test")]

mod support;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use support::ledger::{Ledger, Loader, client, load_until};
use support::process::Process;

fn verify(directory: &Path) {
    let output = Command::new(env!("CARGO_BIN_EXE_larder")).args(["volume", "verify"]).arg(directory).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "volume verify: {out}{err}");
}

#[test]
fn nothing_that_was_acknowledged_is_lost_when_the_process_is_killed() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let directories = [one.path(), two.path()];
    let mut ledger = Ledger::default();

    let node = Process::serve(&directories);
    let mut loader = Loader::new(client(&node), &Arc::default());
    assert!(loader.run(0..2000, 10), "nothing is refused");
    ledger.add(loader.ledger);
    assert_eq!((ledger.stored.len(), ledger.deleted.len()), (1800, 200));

    let mut node = node;
    for round in 1..=3 {
        ledger.add(load_until(node, round * 1_000_000, 150 * round, Process::kill));
        node = Process::serve(&directories);
        ledger.check(&client(&node));
    }

    ledger.add(load_until(node, 9_000_000, 200, |node| {
        node.terminate();
        let status = node.wait();
        assert_eq!(status.code(), Some(0), "a stop under load is a clean one");
    }));
    directories.iter().for_each(|directory| verify(directory));
    let node = Process::serve(&directories);
    ledger.check(&client(&node));
    assert!(ledger.stored.len() > 2200, "{} objects were acknowledged", ledger.stored.len());
}
