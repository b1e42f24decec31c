//! Goal: what was acknowledged is there, byte for byte, and what was deleted is not, whenever the process is killed; and a
//! SIGTERM under load loses nothing that was acknowledged either. Method: the real program on two directories, load by the
//! client library with many requests in flight, kill -9 in the middle of it, restart; three rounds.
#![allow(clippy::unwrap_used, reason = "what is not as it should be fails the test")]

mod support;

use larder::base::ids::ObjectId;
use larder::client::{Client, PutOptions, Ticket};
use larder::request::{Attributes, Durability, Status, Stored};
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use support::process::Process;
use support::{content, eventually};

/// Requests that each thread has in flight.
const WINDOW: usize = 64;
const LOADERS: u64 = 3;

/// What a node has acknowledged.
#[derive(Default)]
struct Ledger {
    /// Objects, by the seed of their content.
    stored: HashMap<ObjectId, u64>,
    deleted: HashSet<ObjectId>,
}

impl Ledger {
    fn add(&mut self, other: Self) {
        self.stored.extend(other.stored);
        self.deleted.extend(other.deleted);
    }

    /// Reads everything back.
    fn check(&self, client: &Client) {
        let mut under_way = VecDeque::new();
        let check = |(id, seed, ticket): (ObjectId, u64, Ticket<larder::client::Object>)| {
            let object = ticket.wait().unwrap_or_else(|error| panic!("{id} was acknowledged: {error}"));
            assert!(object.content[..] == content_of(seed)[..], "{id} differs");
            assert_eq!(object.meta.attributes, attributes_of(seed), "{id}");
        };
        for (id, seed) in &self.stored {
            if under_way.len() >= WINDOW {
                under_way.pop_front().map(check);
            }
            under_way.push_back((*id, *seed, client.submit_get(*id, None)));
        }
        under_way.into_iter().for_each(check);
        for id in &self.deleted {
            let refused = client.get(*id).expect_err("what was deleted is gone");
            assert_eq!(refused.status(), Some(Status::NotFound), "{id}: {refused}");
        }
    }
}

/// Mostly small; one of 50 up to 1 MiB, one of 400 of the largest size.
fn size_of(seed: u64) -> usize {
    let large = (seed as usize).wrapping_mul(7919);
    match seed % 400 {
        0 => 8 << 20,
        1 => 0,
        n if n % 50 == 2 => large % (1 << 20),
        n if n % 10 == 3 => large % 200_000,
        _ => large % 20_000,
    }
}

fn content_of(seed: u64) -> Vec<u8> {
    content(seed, size_of(seed))
}

fn attributes_of(seed: u64) -> Attributes {
    let name = format!("file-{seed}");
    let list: &[(u8, &[u8])] = if seed.is_multiple_of(3) { &[(Attributes::FILE_NAME, name.as_bytes())] } else { &[] };
    Attributes::of(list).unwrap()
}

/// One of eight is answered from memory: that a process is killed must not lose it either.
fn options_of(seed: u64) -> PutOptions {
    let durability = if seed % 8 == 5 { Durability::Memory } else { Durability::Disk };
    PutOptions { durability, attributes: attributes_of(seed), ..PutOptions::default() }
}

fn client(node: &Process) -> Client {
    let builder = Client::builder().connections(2).deadline(Duration::from_secs(30)).retry_burst(0);
    builder.connect(node.address.to_string()).expect("the node listens")
}

/// Stores the objects of these seeds and, if told so, deletes some; ends at the first failure.
struct Loader {
    client: Client,
    ledger: Ledger,
    under_way: VecDeque<(u64, Ticket<Stored>)>,
    acknowledged: Arc<AtomicU64>,
}

impl Loader {
    fn new(client: Client, acknowledged: &Arc<AtomicU64>) -> Self {
        let acknowledged = Arc::clone(acknowledged);
        Self { client, ledger: Ledger::default(), under_way: VecDeque::new(), acknowledged }
    }

    /// Whether all went well. Whatever was acknowledged is in the ledger.
    fn run(&mut self, seeds: impl Iterator<Item = u64>, delete_each: u64) -> bool {
        let mut sound = true;
        for seed in seeds {
            if self.under_way.len() >= WINDOW {
                sound &= self.take(delete_each);
            }
            if !sound {
                break;
            }
            self.under_way.push_back((seed, self.client.submit_put(content_of(seed), options_of(seed))));
        }
        // What follows a failure may have been acknowledged all the same.
        while !self.under_way.is_empty() {
            sound &= self.take(delete_each);
        }
        sound
    }

    fn take(&mut self, delete_each: u64) -> bool {
        let Some((seed, ticket)) = self.under_way.pop_front() else { return true };
        let Ok(stored) = ticket.wait() else { return false };
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        if !seed.is_multiple_of(delete_each) {
            self.ledger.stored.insert(stored.id, seed);
            return true;
        }
        // If this fails nobody knows what became of the object.
        let deleted = self.client.delete(stored.id).is_ok();
        if deleted {
            self.ledger.deleted.insert(stored.id);
        }
        deleted
    }
}

/// Load from several clients until the node is gone; `end` ends it once `enough` was acknowledged.
fn load_until(node: Process, first_seed: u64, enough: u64, end: impl FnOnce(Process)) -> Ledger {
    let acknowledged = Arc::<AtomicU64>::default();
    let loaders: Vec<_> = (0..LOADERS)
        .map(|number| {
            let mut loader = Loader::new(client(&node), &acknowledged);
            std::thread::spawn(move || {
                let seeds = (first_seed..).filter(move |seed| seed % LOADERS == number);
                assert!(!loader.run(seeds, 20), "the load ends with the node");
                loader.ledger
            })
        })
        .collect();
    eventually("enough was acknowledged", || acknowledged.load(Ordering::Relaxed) >= enough);
    end(node);
    let mut all = Ledger::default();
    loaders.into_iter().for_each(|loader| all.add(loader.join().unwrap()));
    all
}

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
