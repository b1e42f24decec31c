//! What a node has acknowledged under load, and whether it is there afterwards.

use super::process::Process;
use super::{content, eventually};
use larder::base::ids::ObjectId;
use larder::client::{Client, Object, PutOptions, Ticket};
use larder::request::{Attributes, Durability, Status, Stored};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Requests that each thread has in flight.
const WINDOW: usize = 64;
const LOADERS: u64 = 3;
/// What was acknowledged before its sync is synced at most so much later.
const MEMORY_MAX: Duration = Duration::from_secs(1);

/// What a node has acknowledged.
#[derive(Default)]
pub struct Ledger {
    pub stored: HashMap<ObjectId, Entry>,
    pub deleted: HashSet<ObjectId>,
}

/// One object.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Of its content.
    pub seed: u64,
    /// When it was acknowledged before a sync; none if after one.
    memory_since: Option<Instant>,
}

impl Ledger {
    pub fn add(&mut self, other: Self) {
        self.stored.extend(other.stored);
        self.deleted.extend(other.deleted);
    }

    /// Reads everything back.
    pub fn check(&self, client: &Client) {
        let missing = self.missing(client);
        assert!(
            missing.is_empty(),
            "{} of {} acknowledged objects are gone: {missing:?}",
            missing.len(),
            self.stored.len()
        );
    }

    /// Reads everything back after the power was cut: of class memory, what was acknowledged within the second before may
    /// be gone, and is struck off. How many those were.
    pub fn check_after_power_cut(&mut self, client: &Client, cut: Instant) -> usize {
        let missing = self.missing(client);
        for id in &missing {
            match self.stored[id].memory_since {
                None => panic!("{id} was acknowledged after its sync and is gone"),
                Some(since) => {
                    let age = cut.saturating_duration_since(since);
                    assert!(age < MEMORY_MAX, "{id}, of class memory, was {age:?} old and is gone");
                }
            }
            self.stored.remove(id);
        }
        missing.len()
    }

    /// What is not found; whatever else is not as it was acknowledged fails the test.
    fn missing(&self, client: &Client) -> Vec<ObjectId> {
        let mut missing = Vec::new();
        let mut under_way = VecDeque::new();
        let mut check = |(id, seed, ticket): (ObjectId, u64, Ticket<Object>)| match ticket.wait() {
            Ok(object) => {
                assert!(object.content[..] == content_of(seed)[..], "{id} differs");
                assert_eq!(object.meta.attributes, attributes_of(seed), "{id}");
            }
            Err(error) if error.status() == Some(Status::NotFound) => missing.push(id),
            Err(error) => panic!("{id} was acknowledged: {error}"),
        };
        for (id, entry) in &self.stored {
            if under_way.len() >= WINDOW {
                under_way.pop_front().map(&mut check);
            }
            under_way.push_back((*id, entry.seed, client.submit_get(*id, None)));
        }
        under_way.into_iter().for_each(check);
        for id in &self.deleted {
            let refused = client.get(*id).expect_err("what was deleted is gone");
            assert_eq!(refused.status(), Some(Status::NotFound), "{id}: {refused}");
        }
        missing
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

pub fn client(node: &Process) -> Client {
    let builder = Client::builder().connections(2).deadline(Duration::from_secs(30)).retry_burst(0);
    builder.connect(node.address.to_string()).expect("the node listens")
}

/// Stores the objects of these seeds and, if told so, deletes some; ends at the first failure.
pub struct Loader {
    client: Client,
    pub ledger: Ledger,
    under_way: VecDeque<(u64, Ticket<Stored>)>,
    acknowledged: Arc<AtomicU64>,
}

impl Loader {
    pub fn new(client: Client, acknowledged: &Arc<AtomicU64>) -> Self {
        let acknowledged = Arc::clone(acknowledged);
        Self { client, ledger: Ledger::default(), under_way: VecDeque::new(), acknowledged }
    }

    /// Whether all went well. Whatever was acknowledged is in the ledger.
    pub fn run(&mut self, seeds: impl Iterator<Item = u64>, delete_each: u64) -> bool {
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
            let memory_since = (options_of(seed).durability == Durability::Memory).then(Instant::now);
            self.ledger.stored.insert(stored.id, Entry { seed, memory_since });
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
pub fn load_until(node: Process, first_seed: u64, enough: u64, end: impl FnOnce(Process)) -> Ledger {
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
