//! Runs work over connections: two threads each.
//!
//! The sender takes a place for each request, and waits while all are taken; the receiver frees the place with the
//! answer. Always: each request that was begun is counted once: answered, or lost with its connection.

use crate::Verdict;
use crate::arguments::{Load, Sizes};
use crate::connection::{self, GRACE, Receiver, Sender};
use crate::objects::{self, Object};
use crate::payload::Verifier;
use crate::print;
use crate::tally::Tally;
use crate::work::{Task, Work};
use larder::base::thread;
use larder::request::{Attributes, Durability, Status};
use larder::wire::{Received, Request};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver as Places, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const COUNT_DEFAULT: u64 = 10_000;

/// What a run gave.
#[derive(Debug, Default)]
pub struct Outcome {
    pub put: Tally,
    pub get: Tally,
    /// Objects that were stored.
    pub stored: Vec<Object>,
    /// From the start to the last answer.
    pub elapsed: Duration,
    /// How connections ended that ended early.
    pub ends: Vec<String>,
}

pub fn put(load: &Load) -> Result<Verdict, String> {
    let outcome = run(load, work(load, Vec::new(), 0, 0, None))?;
    if let Some(path) = &load.ids {
        objects::write(path, &outcome.stored)?;
    }
    print::print(load, &outcome)
}

pub fn get(load: &Load) -> Result<Verdict, String> {
    let known = working_set(load)?;
    print::print(load, &run(load, work(load, known, 100, 0, None))?)
}

pub fn mixed(load: &Load) -> Result<Verdict, String> {
    let known = working_set(load)?;
    // New objects have numbers of their own, whatever the working set is.
    print::print(load, &run(load, work(load, known, load.reads, 1 << 32, None))?)
}

/// The objects of `--ids`, or new ones.
fn working_set(load: &Load) -> Result<Vec<Object>, String> {
    if let Some(path) = &load.ids {
        return objects::read(path);
    }
    let storing = Load { rate: None, ..load.clone() };
    let outcome = run(&storing, work(&storing, Vec::new(), 0, 0, Some(load.objects)))?;
    if outcome.stored.len() as u64 == load.objects {
        return Ok(outcome.stored);
    }
    let why = outcome.ends.first().cloned().unwrap_or_else(|| format!("{:?}", outcome.put.refused));
    Err(format!("working set: {} of {} objects were stored: {why}", outcome.stored.len(), load.objects))
}

fn work(load: &Load, known: Vec<Object>, reads: u8, number_next: u64, count: Option<u64>) -> Work {
    let start = Instant::now();
    let seconds = load.seconds.filter(|_| count.is_none());
    let until = seconds.and_then(|seconds| start.checked_add(Duration::from_secs(seconds)));
    let unbounded = if until.is_some() { u64::MAX } else { COUNT_DEFAULT };
    Work {
        known,
        reads,
        seed: load.seed,
        number_next: AtomicU64::new(number_next),
        begun: AtomicU64::new(0),
        count: count.or(load.count).unwrap_or(unbounded),
        until,
        rate: load.rate,
        start,
    }
}

fn run(load: &Load, mut work: Work) -> Result<Outcome, String> {
    let address = connection::resolve(&load.server)?;
    let mut pairs = Vec::new();
    for _ in 0..load.connections {
        pairs.push(connect(address, load)?);
    }
    // Connecting is not part of the measure.
    let spent = work.start.elapsed();
    work.start += spent;
    work.until = work.until.map(|until| until + spent);
    let start = work.start;
    let work = Arc::new(work);
    let (results, ended) = channel();
    let no_thread = |error: io::Error| format!("no thread for a connection: {error}");
    for (sender, receiver, in_flight) in pairs {
        let pending = Arc::new(Pending::default());
        let (place, places) = sync_channel(in_flight);
        let sending =
            Sending { sender, work: Arc::clone(&work), pending: Arc::clone(&pending), place, load: load.clone() };
        let receiving = Receiving { receiver, pending, places, outcome: Outcome::default(), start };
        let results = results.clone();
        thread::spawn("receiver", move || drop(results.send(receiving.run()))).map_err(no_thread)?;
        thread::spawn("sender", move || sending.run()).map_err(no_thread)?;
    }
    drop(results);
    let mut all = Outcome::default();
    for outcome in ended {
        all.put.add(&outcome.put);
        all.get.add(&outcome.get);
        all.stored.extend(outcome.stored);
        all.ends.extend(outcome.ends);
        all.elapsed = all.elapsed.max(outcome.elapsed);
    }
    Ok(all)
}

/// A connection, and the requests that both sides let be unanswered on it.
fn connect(address: SocketAddr, load: &Load) -> Result<(Sender, Receiver, usize), String> {
    let (sender, receiver, limits) = connection::connect(address)?;
    receiver
        .patience(Duration::from_millis(load.deadline_ms.into()) + GRACE)
        .map_err(|error| format!("{address}: {error}"))?;
    Ok((sender, receiver, load.in_flight.min(limits.in_flight_max).max(1) as usize))
}

#[derive(Debug)]
struct Open {
    task: Task,
    bytes: usize,
    sent: Instant,
    wait: Option<Duration>,
    /// Of a read whose content has begun.
    verifier: Option<Verifier>,
}

#[derive(Debug, Default)]
struct Pending(Mutex<HashMap<u64, Open>>);

impl Pending {
    fn with<T>(&self, then: impl FnOnce(&mut HashMap<u64, Open>) -> T) -> T {
        // A thread that panicked while it held the lock left a map that is whole.
        then(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Sending {
    sender: Sender,
    work: Arc<Work>,
    pending: Arc<Pending>,
    place: SyncSender<()>,
    load: Load,
}

impl Sending {
    fn run(mut self) {
        // Correlation 0 is the connection, 1 was the hello.
        let mut correlation = 2;
        while let Some((task, intended)) = self.work.next() {
            let (request, bytes) = request(task, self.load.size);
            if let Some(intended) = intended {
                std::thread::sleep(intended.saturating_duration_since(Instant::now()));
            }
            let sent = self.place.send(()).is_ok() && {
                let sent = Instant::now();
                let wait = intended.map(|intended| sent.saturating_duration_since(intended));
                let open = Open { task, bytes, sent, wait, verifier: None };
                self.pending.with(|pending| pending.insert(correlation, open));
                self.sender.send(&request, correlation, self.load.deadline_ms).is_ok()
            };
            if !sent {
                // What is open is lost, and the receiver tells why.
                self.sender.end();
                break;
            }
            correlation += 1;
        }
        // With the last request answered nothing is pending, and the end of the connection is no loss.
        while !self.pending.with(|pending| pending.is_empty()) && self.place.send(()).is_ok() {}
        self.sender.end();
    }
}

fn request(task: Task, sizes: Sizes) -> (Request, usize) {
    match task {
        Task::Put(key) => {
            let bytes = key.size(sizes);
            let request = Request::Put {
                durability: Durability::Disk,
                origin: larder::base::ids::Origin::default(),
                attributes: Attributes::default(),
                payload: key.payload(bytes),
            };
            (request, bytes)
        }
        Task::Get(object) => (Request::Get { id: object.id, range: None }, object.bytes),
    }
}

struct Receiving {
    receiver: Receiver,
    pending: Arc<Pending>,
    places: Places<()>,
    outcome: Outcome,
    start: Instant,
}

impl Receiving {
    fn run(mut self) -> Outcome {
        let end = loop {
            if let Err(error) = self.receive_one() {
                break error;
            }
        };
        let lost = self.pending.with(std::mem::take);
        if !lost.is_empty() {
            self.outcome.ends.push(format!("connection lost with {} requests open: {end}", lost.len()));
        }
        for open in lost.values() {
            self.tally(open.task).lost += 1;
        }
        self.outcome
    }

    fn tally(&mut self, task: Task) -> &mut Tally {
        match task {
            Task::Put(_) => &mut self.outcome.put,
            Task::Get(_) => &mut self.outcome.get,
        }
    }

    fn receive_one(&mut self) -> io::Result<()> {
        let pending = Arc::clone(&self.pending);
        let began =
            |correlation| pending.with(|pending| pending.get(&correlation).is_some_and(|open| open.verifier.is_some()));
        let (header, received) = match self.receiver.receive(began) {
            // In an open loop a connection may be silent for longer than a request may take.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && pending.with(|pending| pending.is_empty()) => {
                return Ok(());
            }
            other => other?,
        };
        let now = Instant::now();
        let correlation = header.correlation;
        // It stays in the map until its last frame: an empty map is what the sender ends the connection by.
        let found = pending
            .with(|pending| pending.get_mut(&correlation).map(|open| (open.task, open.bytes, open.verifier.take())));
        let Some((task, bytes, mut verifier)) = found else {
            return Err(invalid(&format!("a frame for request {correlation}, which is not open: {received:?}")));
        };
        let status = self.take(task, bytes, &mut verifier, received)?;
        if !header.is_last() {
            pending.with(|pending| {
                if let Some(open) = pending.get_mut(&correlation) {
                    open.verifier = verifier;
                }
            });
            return Ok(());
        }
        if let Some(open) = pending.with(|pending| pending.remove(&correlation)) {
            let is_right = verifier.is_none_or(|verifier| verifier.is_right(bytes));
            self.count(&open, status, is_right, now);
        }
        // The sender took the place before it sent.
        let _ = self.places.recv();
        Ok(())
    }

    /// What a frame means for its request.
    fn take(
        &mut self,
        task: Task,
        bytes: usize,
        verifier: &mut Option<Verifier>,
        received: Received,
    ) -> io::Result<Status> {
        match (task, received) {
            (_, Received::Refused(refusal)) => return Ok(refusal.status),
            (Task::Put(key), Received::Stored(stored)) => {
                self.outcome.stored.push(Object { id: stored.id, key, bytes });
            }
            (Task::Get(object), Received::Content(_, content)) => {
                verifier.insert(Verifier::new(object.key)).update(&content);
            }
            (Task::Get(_), Received::More(content)) => {
                if let Some(verifier) = verifier {
                    verifier.update(&content);
                }
            }
            (task, other) => return Err(invalid(&format!("{task:?} was answered by {other:?}"))),
        }
        Ok(Status::Ok)
    }

    fn count(&mut self, open: &Open, status: Status, is_right: bool, now: Instant) {
        self.outcome.elapsed = now.saturating_duration_since(self.start);
        let tally = self.tally(open.task);
        tally.answered(status, open.bytes, now.saturating_duration_since(open.sent), open.wait);
        if status == Status::Ok && !is_right {
            tally.wrong += 1;
        }
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
