//! Question: what does a durable create of a name cost, what does a lookup, and does either depend on how many names there
//! are? The real program in a process of its own, with names over the wire: CPU is what the kernel counted for the threads
//! of the server alone.
//!
//! `cargo bench --bench names [-- PATTERN NAMES...]`; PATTERN is `tree` (1,000 directories at a time, names ascending in
//! each) or `random` (over 100,000 directories). For each number of names: creates up to it, then 200,000 more that are
//! measured without content, and as many with one chunk each, whose objects are stored beforehand; a kill and the start after
//! it; lookups of random names, cold (of the metadata files no page in memory) and hot. `hot` measures only what a hot lookup
//! takes on a processor's thread. The directory is under TMPDIR, with some 0.3 GB for a million names.
#![allow(clippy::unwrap_used, reason = "a bench stops where it is surprised")]

#[path = "names/hot.rs"]
mod hot;
#[path = "names/peer.rs"]
mod peer;
#[path = "names/server.rs"]
mod server;

use larder::base::ids::{ObjectId, Origin};
use larder::base::path::NamePath;
use larder::request::{
    Attributes, Change, ChangeRequest, Condition, Durability, Lookup, NameAnswer, NameOperation, SessionAct,
};
use larder::wire::{Received, Request};
use peer::Peer;
use server::Server;
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 4;
const DEPTH: usize = 32;
const MEASURED: u64 = 200_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pattern {
    Tree,
    Random,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let measures = std::env::args().any(|argument| argument == "--bench");
    if !arguments.iter().any(|argument| argument == "tree" || argument == "random") {
        hot::measure(if measures { 2_000_000 } else { 1000 });
    }
    if arguments.iter().any(|argument| argument == "hot") {
        return;
    }
    let pattern = match arguments.first().map(String::as_str) {
        Some("tree") => vec![Pattern::Tree],
        Some("random") => vec![Pattern::Random],
        _ => vec![Pattern::Tree, Pattern::Random],
    };
    let counts: Vec<u64> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let standard = if measures { vec![0, 1_000_000] } else { vec![0] };
    let counts = if counts.is_empty() { standard } else { counts };
    for pattern in pattern {
        one(pattern, &counts, if measures { MEASURED } else { 2000 });
    }
}

fn one(pattern: Pattern, counts: &[u64], measured: u64) {
    println!("{pattern:?}: {CONNECTIONS} connections with {DEPTH} in flight each, one processor");
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start(directory.path());
    let mut peers = peers(&server);
    let mut names = 0;
    for &count in counts {
        if count > names {
            let began = Instant::now();
            create(&mut peers, pattern, names..count, vec![Vec::new(); CONNECTIONS]);
            println!("  {names} to {count} names without content in {:.1?}", began.elapsed());
            names = count;
        }
        names += measure_creates(&server, &mut peers, pattern, names, measured);
        disk_use(&server, names);
        drop(peers);
        let started = server.kill_and_start();
        println!("  start after a kill with {names} names: {started:.0?}, RSS {} MB", server.memory() >> 20);
        peers = self::peers(&server);
        measure_lookups(&mut server, &mut peers, pattern, names, measured);
    }
}

fn peers(server: &Server) -> Vec<Peer> {
    (0..CONNECTIONS)
        .map(|_| {
            let mut peer = Peer::connect(server.address);
            let open = Request::Name(NameOperation::Session(SessionAct::Open));
            let Received::Name(NameAnswer::Session(session)) = peer.call(&open) else { panic!("no session") };
            peer.session = session.session;
            peer
        })
        .collect()
}

fn path_of(pattern: Pattern, number: u64) -> NamePath {
    let text = match pattern {
        // A thousand directories take turns; each has a thousand names when the next thousand begin.
        Pattern::Tree => {
            let (million, rest) = (number / 1_000_000, number % 1_000_000);
            format!("/shop/d{:05}/picture-{:08}.jpg", million * 1000 + rest % 1000, rest / 1000)
        }
        Pattern::Random => {
            let mixed = mix(number);
            format!("/shop/d{:05}/{:016x}.jpg", mixed % 100_000, mixed.rotate_left(20) ^ number)
        }
    };
    NamePath::parse(text.as_bytes()).unwrap()
}

/// Looks like no order (the finaliser of MurmurHash3).
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let number = (number ^ (number >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    number ^ (number >> 33)
}

fn commit(peer: &mut Peer, path: NamePath, chunks: Vec<ObjectId>) -> Request {
    peer.number += 1;
    let change = Change::Commit {
        path,
        condition: Condition::Any,
        parents: true,
        modified_ms: Some(1_700_000_000_000),
        attributes: Attributes::of(&[(Attributes::CONTENT_TYPE, b"image/jpeg")]).unwrap(),
        chunks,
    };
    let id = Origin { session: peer.session, number: peer.number };
    Request::Name(NameOperation::Change(Box::new(ChangeRequest { id, change })))
}

/// Small objects for names of this session.
fn put(peer: &mut Peer, measured: u64) -> Vec<ObjectId> {
    let mut left = measured / CONNECTIONS as u64 + 1;
    let mut ids = Vec::new();
    let next = |peer: &mut Peer| {
        left = left.checked_sub(1)?;
        peer.number += 1;
        Some(Request::Put {
            durability: Durability::Disk,
            origin: Origin { session: peer.session, number: peer.number },
            attributes: Attributes::default(),
            payload: bytes::Bytes::from_static(&[7; 100]),
        })
    };
    let bad = peer.pipeline(DEPTH, next, |received| match received {
        Received::Stored(stored) => {
            ids.push(stored.id);
            true
        }
        _ => false,
    });
    assert_eq!(bad, None, "an object was refused");
    ids
}

fn measure_creates(server: &Server, peers: &mut [Peer], pattern: Pattern, names: u64, measured: u64) -> u64 {
    for (round, content) in [false, true].into_iter().enumerate() {
        let first = names + round as u64 * measured;
        let objects = peers.iter_mut().map(|peer| if content { put(peer, measured) } else { Vec::new() }).collect();
        let (cpu, log) = (server.cpu(), server.log_counts());
        let took = create(peers, pattern, first..first + measured, objects);
        let (cpu, now) = (server.cpu() - cpu, server.log_counts());
        println!(
            "    creates {}: {:.0}/s, server CPU {:.1} us each ({}), {:.0} commands a sync",
            if content { "with one chunk" } else { "without content" },
            measured as f64 / took.as_secs_f64(),
            cpu.total_us() / measured as f64,
            cpu.shares(measured),
            (now.0 - log.0) as f64 / (now.1 - log.1).max(1) as f64,
        );
    }
    2 * measured
}

/// Creates these names, shared out over the connections, in order; each with the next object of its connection, if it has one.
fn create(
    peers: &mut [Peer],
    pattern: Pattern,
    numbers: std::ops::Range<u64>,
    objects: Vec<Vec<ObjectId>>,
) -> Duration {
    let count = peers.len() as u64;
    let began = Instant::now();
    std::thread::scope(|scope| {
        for (share, (peer, objects)) in peers.iter_mut().zip(objects).enumerate() {
            let mut objects = objects.into_iter();
            let mut mine = numbers.clone().filter(move |number| number % count == share as u64);
            scope.spawn(move || {
                let next = |peer: &mut Peer| {
                    let path = path_of(pattern, mine.next()?);
                    Some(commit(peer, path, objects.next().into_iter().collect()))
                };
                let bad =
                    peer.pipeline(DEPTH, next, |received| matches!(received, Received::Name(NameAnswer::Changed(_))));
                assert_eq!(bad, None, "a create was refused");
            });
        }
    });
    began.elapsed()
}

fn disk_use(server: &Server, names: u64) {
    let (state, log) = server.meta_bytes();
    println!("    disk: state {:.0} bytes a name of {names}, log {} MB", state as f64 / names.max(1) as f64, log >> 20);
}

fn measure_lookups(server: &mut Server, peers: &mut [Peer], pattern: Pattern, names: u64, measured: u64) {
    server.drop_pages();
    let spread = |number: u64| mix(number) % names.max(1);
    let cold = lookups(server, peers, pattern, measured, spread);
    println!("    lookups of random names, cold: {cold}");
    let hot = lookups(server, peers, pattern, measured, |number| number % 1000);
    println!("    lookups of 1,000 names, hot: {hot}");
}

fn lookups(
    server: &Server,
    peers: &mut [Peer],
    pattern: Pattern,
    measured: u64,
    which: impl Fn(u64) -> u64 + Copy + Send,
) -> String {
    let before = server.cpu();
    let share = measured / peers.len() as u64;
    let began = Instant::now();
    std::thread::scope(|scope| {
        for (place, peer) in peers.iter_mut().enumerate() {
            let mut numbers = (place as u64 * share..(place as u64 + 1) * share).map(which);
            scope.spawn(move || {
                let next = |_: &mut Peer| {
                    let path = path_of(pattern, numbers.next()?);
                    Some(Request::Name(NameOperation::Lookup(Lookup { path, chunk_first: 0, chunks_max: 16 })))
                };
                let bad =
                    peer.pipeline(DEPTH, next, |received| matches!(received, Received::Name(NameAnswer::Entry(_))));
                assert_eq!(bad, None, "a name was not found");
            });
        }
    });
    let cpu = server.cpu() - before;
    let count = share * peers.len() as u64;
    let rate = count as f64 / began.elapsed().as_secs_f64();
    format!("{rate:.0}/s, server CPU {:.1} us each ({})", cpu.total_us() / count as f64, cpu.shares(count))
}
