//! An open-loop generator for benches and behaviour tests: requests leave when they are meant to, whatever became of
//! those before, and time counts from when they were meant to leave.

use super::raw::Raw;
use hdrhistogram::Histogram;
use larder::request::Status;
use larder::wire::{ChecksumKind, HEADER_BYTES, Header, Request};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
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
    fn of(name: &'static str) -> Self {
        Self { name, latency: histogram(), refused: histogram(), statuses: BTreeMap::new(), sent: 0 }
    }

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

/// Sends at `rate` requests a second over `connections`, then waits for what is outstanding. One thread does it all, so
/// that its own switching does not show in the times.
pub fn open_loop(
    address: SocketAddr,
    kinds: &[Kind],
    rate: f64,
    duration: Duration,
    connections: usize,
    deadline_ms: u32,
) -> Vec<Outcome> {
    // Sleeps are to end when they are meant to; the kernel's default slack is 50 microseconds.
    if let Err(error) = rustix::thread::set_current_timer_slack(1.try_into().ok()) {
        eprintln!("sleeps are less sharp: {error}");
    }
    let total = (rate * duration.as_secs_f64()) as usize;
    let pattern = pattern(kinds);
    let mut lines: Vec<Line> = (0..connections).map(|_| Line::connect(address)).collect();
    let mut all: Vec<Outcome> = kinds.iter().map(|kind| Outcome::of(kind.name)).collect();
    let start = Instant::now();
    let meant = |number: usize| start + Duration::from_secs_f64(number as f64 / rate);
    let (mut next, mut answered) = (0, 0);
    while answered < total {
        let now = Instant::now();
        while next < total && meant(next) <= now {
            let which = pattern[next % pattern.len()];
            let kind = &kinds[which];
            let request = &kind.requests[(next / 7) % kind.requests.len()];
            for part in request.encode(ChecksumKind::Crc32c, next as u64 + 1, deadline_ms) {
                lines[next % connections].unsent.extend_from_slice(&part);
            }
            all[which].sent += 1;
            next += 1;
        }
        for line in &mut lines {
            line.send();
        }
        let until = if next < total { meant(next).saturating_duration_since(Instant::now()) } else { PATIENCE };
        for ready in wait(&lines, until.max(Duration::from_micros(20))) {
            lines[ready].receive(|header| {
                let number = header.correlation as usize - 1;
                let took = Instant::now().saturating_duration_since(meant(number)).as_micros() as u64;
                let outcome = &mut all[pattern[number % pattern.len()]];
                let ok = header.status == Status::Ok.code();
                if ok { &mut outcome.latency } else { &mut outcome.refused }.saturating_record(took.max(1));
                *outcome.statuses.entry(header.status).or_default() += 1;
                answered += 1;
            });
        }
        assert!(start.elapsed() < duration + Duration::from_secs(90), "{answered} of {total} were answered");
    }
    all
}

const PATIENCE: Duration = Duration::from_millis(100);

/// One connection of the generator.
struct Line {
    socket: std::net::TcpStream,
    unsent: Vec<u8>,
    buffer: Vec<u8>,
    filled: usize,
}

impl Line {
    fn connect(address: SocketAddr) -> Self {
        let socket = Raw::connect(address).socket;
        socket.set_nonblocking(true).unwrap();
        Self { socket, unsent: Vec::new(), buffer: vec![0; 1 << 20], filled: 0 }
    }

    fn send(&mut self) {
        while !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(written) => drop(self.unsent.drain(..written)),
                // A connection that takes no more for now does not keep the others from being written to.
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(error) => panic!("the node reads: {error}"),
            }
        }
    }

    fn receive(&mut self, mut last: impl FnMut(&Header)) {
        match self.socket.read(&mut self.buffer[self.filled..]) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
            Ok(0) | Err(_) => panic!("the node ended a connection"),
            Ok(read) => self.filled += read,
        }
        let mut used = 0;
        while let Some(head) = self.buffer[used..self.filled].first_chunk::<HEADER_BYTES>() {
            let header = Header::parse_reply(head).expect("a sound header");
            let bytes = HEADER_BYTES + header.body_bytes as usize;
            if self.filled - used < bytes {
                break;
            }
            used += bytes;
            if header.is_last() {
                last(&header);
            }
        }
        self.buffer.copy_within(used..self.filled, 0);
        self.filled -= used;
    }
}

/// The lines that can be read from, or after `at_most` none.
fn wait(lines: &[Line], at_most: Duration) -> Vec<usize> {
    use rustix::event::{PollFd, PollFlags, poll};
    let mut wanted: Vec<_> = lines.iter().map(|line| PollFd::new(&line.socket, PollFlags::IN)).collect();
    let timeout = at_most.try_into().expect("a short time");
    poll(&mut wanted, Some(&timeout)).expect("poll works on sockets");
    let ready = wanted.iter().enumerate().filter(|(_, fd)| !fd.revents().is_empty());
    ready.map(|(line, _)| line).collect()
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

/// As many as the node takes with `depth` in flight on each connection: requests a second, without those turned away.
pub fn saturation(
    address: SocketAddr,
    requests: &[Request],
    connections: usize,
    depth: usize,
    duration: Duration,
) -> f64 {
    let mut lines: Vec<Line> = (0..connections).map(|_| Line::connect(address)).collect();
    let mut free = vec![depth; connections];
    let (mut next, mut ok, mut in_flight) = (0, 0, 0);
    let start = Instant::now();
    while start.elapsed() < duration || in_flight > 0 {
        for (line, free) in lines.iter_mut().zip(&mut free) {
            while *free > 0 && start.elapsed() < duration {
                for part in requests[next % requests.len()].encode(ChecksumKind::Crc32c, next as u64 + 1, 0) {
                    line.unsent.extend_from_slice(&part);
                }
                (next, in_flight, *free) = (next + 1, in_flight + 1, *free - 1);
            }
            line.send();
        }
        for ready in wait(&lines, PATIENCE) {
            lines[ready].receive(|header| {
                ok += u64::from(header.status == Status::Ok.code());
                in_flight -= 1;
                free[ready] += 1;
            });
        }
    }
    ok as f64 / start.elapsed().as_secs_f64()
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
