//! An open-loop generator for benches and behaviour tests: requests leave when they are meant to, whatever became of
//! those before, and time counts from when they were meant to leave.

use super::raw::Raw;
use hdrhistogram::Histogram;
use larder::request::Status;
use larder::wire::{ChecksumKind, HEADER_BYTES, Header, Request};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A kind of request: its name in the table, how many of each hundred, and the requests to take in turn.
pub struct Kind {
    pub name: &'static str,
    pub share: usize,
    pub requests: Vec<Request>,
}

/// What became of a kind.
#[derive(Clone)]
pub struct Outcome {
    pub name: &'static str,
    /// Microseconds from when it was meant to leave to its last byte, of those that were answered OK.
    pub latency: Histogram<u64>,
    /// The same of those that were turned away.
    pub refused: Histogram<u64>,
    pub statuses: BTreeMap<u8, u64>,
    pub sent: u64,
}

impl Outcome {
    pub fn ok(&self) -> u64 {
        self.statuses.get(&Status::Ok.code()).copied().unwrap_or(0)
    }

    pub fn ended(&self) -> u64 {
        self.statuses.values().sum()
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).unwrap()
}

/// Sends at `rate` requests a second over `connections`, then waits for what is outstanding.
pub fn open_loop(
    address: SocketAddr,
    kinds: &[Kind],
    rate: f64,
    duration: Duration,
    connections: usize,
    deadline_ms: u32,
) -> Vec<Outcome> {
    let total = (rate * duration.as_secs_f64()) as usize;
    let pattern = pattern(kinds);
    let start = Instant::now() + Duration::from_millis(20);
    // Requests that a connection has in flight are bounded by the node; the rest waits in the socket, and counts.
    let answered = Arc::new(AtomicUsize::new(0));
    let raws: Vec<Raw> = (0..connections).map(|_| Raw::connect(address)).collect();
    let readers: Vec<JoinHandle<Vec<Outcome>>> = raws
        .iter()
        .map(|raw| {
            let socket = raw.socket.try_clone().unwrap();
            let (names, pattern) = (kinds.iter().map(|kind| kind.name).collect(), pattern.clone());
            let answered = Arc::clone(&answered);
            std::thread::spawn(move || read_answers(socket, names, &pattern, start, rate, &answered))
        })
        .collect();
    let mut writers: Vec<_> = raws.into_iter().map(|raw| raw.socket).collect();
    let mut pending: Vec<Vec<u8>> = writers.iter().map(|_| Vec::new()).collect();
    // A connection that takes no more for now must not keep the others from being written to.
    for writer in &writers {
        writer.set_nonblocking(true).unwrap();
    }
    let mut next = 0;
    while next < total || pending.iter().any(|bytes| !bytes.is_empty()) {
        let elapsed = Instant::now().saturating_duration_since(start).as_secs_f64();
        let due = ((elapsed * rate) as usize + 1).min(total);
        while next < due {
            let kind = &kinds[pattern[next % pattern.len()]];
            let request = &kind.requests[(next / 7) % kind.requests.len()];
            for part in request.encode(ChecksumKind::Crc32c, next as u64 + 1, deadline_ms) {
                pending[next % connections].extend_from_slice(&part);
            }
            next += 1;
        }
        for (writer, bytes) in writers.iter_mut().zip(&mut pending) {
            while !bytes.is_empty() {
                match writer.write(bytes) {
                    Ok(written) => drop(bytes.drain(..written)),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                    Err(error) => panic!("the node reads: {error}"),
                }
            }
        }
        std::thread::sleep(Duration::from_micros(50));
    }
    super::eventually("all are answered", || answered.load(Ordering::Relaxed) == total);
    for writer in &writers {
        writer.shutdown(std::net::Shutdown::Both).unwrap();
    }
    let mut all: Vec<Outcome> = kinds
        .iter()
        .map(|kind| Outcome {
            name: kind.name,
            latency: histogram(),
            refused: histogram(),
            statuses: BTreeMap::new(),
            sent: 0,
        })
        .collect();
    for n in 0..total {
        all[pattern[n % pattern.len()]].sent += 1;
    }
    for reader in readers {
        for (sum, part) in all.iter_mut().zip(reader.join().unwrap()) {
            sum.latency.add(part.latency).unwrap();
            sum.refused.add(part.refused).unwrap();
            for (status, count) in part.statuses {
                *sum.statuses.entry(status).or_default() += count;
            }
        }
    }
    all
}

/// Which kind is whose turn: a hundred places, spread evenly.
fn pattern(kinds: &[Kind]) -> Vec<usize> {
    let mut credit = vec![0i64; kinds.len()];
    let total: i64 = kinds.iter().map(|kind| kind.share as i64).sum();
    (0..total)
        .map(|_| {
            for (credit, kind) in credit.iter_mut().zip(kinds) {
                *credit += kind.share as i64;
            }
            let best = (0..kinds.len()).max_by_key(|kind| credit[*kind]).unwrap();
            credit[best] -= total;
            best
        })
        .collect()
}

fn read_answers(
    mut socket: std::net::TcpStream,
    names: Vec<&'static str>,
    pattern: &[usize],
    start: Instant,
    rate: f64,
    answered: &AtomicUsize,
) -> Vec<Outcome> {
    let mut all: Vec<Outcome> = names
        .into_iter()
        .map(|name| Outcome { name, latency: histogram(), refused: histogram(), statuses: BTreeMap::new(), sent: 0 })
        .collect();
    let mut buffer = vec![0; 1 << 20];
    let (mut filled, mut used) = (0, 0);
    loop {
        while let Some(head) = buffer[used..filled].first_chunk::<HEADER_BYTES>() {
            let header = Header::parse_reply(head).expect("a sound header");
            let bytes = HEADER_BYTES + header.body_bytes as usize;
            if filled - used < bytes {
                break;
            }
            used += bytes;
            if header.is_last() {
                let number = header.correlation as usize - 1;
                let meant = start + Duration::from_secs_f64(number as f64 / rate);
                let took = Instant::now().saturating_duration_since(meant).as_micros() as u64;
                let outcome = &mut all[pattern[number % pattern.len()]];
                let ok = header.status == Status::Ok.code();
                if ok { &mut outcome.latency } else { &mut outcome.refused }.saturating_record(took.max(1));
                *outcome.statuses.entry(header.status).or_default() += 1;
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }
        buffer.copy_within(used..filled, 0);
        (filled, used) = (filled - used, 0);
        match socket.read(&mut buffer[filled..]) {
            // The writer's side of this socket is non-blocking, and so is this one.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => wait_readable(&socket),
            Ok(0) | Err(_) => return all,
            Ok(read) => filled += read,
        }
    }
}

fn wait_readable(socket: &std::net::TcpStream) {
    use rustix::event::{PollFd, PollFlags, poll};
    let mut wanted = [PollFd::new(socket, PollFlags::IN)];
    poll(&mut wanted, None).expect("poll works on a socket");
}

/// As many as the node takes with `depth` in flight on each connection: requests a second.
pub fn saturation(
    address: SocketAddr,
    requests: &[Request],
    connections: usize,
    depth: usize,
    duration: Duration,
) -> f64 {
    let done = Arc::new(AtomicU64::new(0));
    let ends = Instant::now() + duration;
    std::thread::scope(|scope| {
        for connection in 0..connections {
            let done = Arc::clone(&done);
            scope.spawn(move || {
                let mut raw = Raw::connect(address);
                let mut next = connection;
                let mut in_flight = 0;
                while Instant::now() < ends || in_flight > 0 {
                    let mut bytes = Vec::new();
                    while in_flight < depth && Instant::now() < ends {
                        for part in requests[next % requests.len()].encode(ChecksumKind::Crc32c, next as u64 + 1, 0) {
                            bytes.extend_from_slice(&part);
                        }
                        next += 1;
                        in_flight += 1;
                    }
                    raw.bytes(&bytes);
                    for _ in 0..(in_flight.div_ceil(2)) {
                        while !raw.receive().0.is_last() {}
                        in_flight -= 1;
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    done.load(Ordering::Relaxed) as f64 / duration.as_secs_f64()
}

/// Holds this thread, and those that it starts from now on, on one core: a node on core 0 and its generator on core 1
/// do not take time from each other.
pub fn pin(core: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
        eprintln!("not held on core {core}, times are less sharp: {error}");
    }
}
