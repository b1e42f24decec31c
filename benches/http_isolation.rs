//! Question: do cold reads of a slow disk, asked for over HTTP, slow hot objects down? A node on two disks; one of them has no
//! page in memory and takes 500 ms a read. One client asks for hot objects of both disks, one after another; beside it, or not,
//! eight clients ask for cold ones of the slow disk. Rounds with and without them alternate.
//!
//! cargo bench --bench http_isolation
#![allow(clippy::unwrap_used, reason = "a bench stops where it is surprised")]

#[path = "../tests/support/mod.rs"]
mod support;

use larder::disk::{Call, Disk, FaultPlan, FaultyDisk, MemoryDisk};
use larder::io::Directory;
use larder::node::{Configuration, MetaDirectory, Node};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::content;
use support::load::pin;
use support::node::{configuration, http};

const HOT: u64 = 200;
const COLD: u64 = 4000;
const COLD_CLIENTS: u64 = 8;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(2);
const BYTES: usize = 4096;

struct Bench {
    node: Node,
    asked: AtomicU64,
}

fn bench() -> Bench {
    let slow = FaultyDisk::new(Arc::new(MemoryDisk::new()), FaultPlan::default());
    let faults = slow.faults();
    let disks: [Arc<dyn Disk>; 2] = [Arc::new(slow), Arc::new(MemoryDisk::new())];
    // Whole answers are not kept: what is hot goes through names, index and verified blocks.
    let configuration = Configuration { http_hot_bytes: 0, cache_bytes: 64 << 20, ..configuration() };
    let meta: MetaDirectory = Box::new(|| Ok(Arc::new(MemoryDisk::new())));
    pin(0);
    let directories = disks.into_iter().map(Directory::of).collect();
    let node = Node::start_in(&configuration, directories, Some(meta), Arc::default()).unwrap();
    pin(1);
    let mut client = http(&node);
    for n in 0..HOT + COLD {
        assert_eq!(client.put(&target(n), &content(n, BYTES)).status, 201);
    }
    for _ in 0..4 {
        (0..HOT).for_each(|n| assert!(client.get(&target(n)).body == content(n, BYTES)));
    }
    // What is cold is found by what the disk is asked; those of the other disk are answered at once and do no harm.
    faults.set_cold(true);
    faults.delay(&[Call::Read], Duration::from_millis(500));
    Bench { node, asked: AtomicU64::new(0) }
}

fn target(n: u64) -> String {
    format!("/{}/{n}.jpg", n % 16)
}

/// Latencies of hot objects over a round, in nanoseconds, sorted; and how many cold ones were answered beside them.
fn round(bench: &Bench, with_cold: bool) -> (Vec<u64>, u64) {
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut latencies = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..if with_cold { COLD_CLIENTS } else { 0 } {
            scope.spawn(|| {
                let mut client = http(&bench.node);
                while !stop.load(Ordering::Relaxed) {
                    let n = HOT + bench.asked.fetch_add(1, Ordering::Relaxed) % COLD;
                    let begun = Instant::now();
                    let status = client.get(&target(n)).status;
                    assert!(status == 200 || status == 503, "{status}");
                    answered.fetch_add(u64::from(begun.elapsed() > Duration::from_millis(400)), Ordering::Relaxed);
                }
            });
        }
        let mut client = http(&bench.node);
        let ends = Instant::now() + ROUND;
        for n in (0..HOT).cycle() {
            let begun = Instant::now();
            if begun >= ends {
                break;
            }
            assert_eq!(client.get(&target(n)).body.len(), BYTES);
            latencies.push(u64::try_from(begun.elapsed().as_nanos()).unwrap());
        }
        stop.store(true, Ordering::Relaxed);
    });
    latencies.sort_unstable();
    (latencies, answered.load(Ordering::Relaxed))
}

fn at(latencies: &[u64], per_mille: usize) -> f64 {
    latencies[latencies.len() * per_mille / 1000] as f64 / 1000.0
}

fn main() {
    // `cargo test --benches` only wants to know that this builds.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let bench = bench();
    let mut ratios = [const { Vec::new() }; 3];
    for number in 0..ROUNDS {
        let (alone, _) = round(&bench, false);
        let (beside, slow) = round(&bench, true);
        let line = |latencies: &[u64]| [500, 900, 990].map(|per_mille| at(latencies, per_mille));
        let (alone, beside) = (line(&alone), line(&beside));
        println!(
            "{number}: hot alone p50, p90, p99 {alone:.0?} us; beside cold reads {beside:.0?} us ({slow} cold ones of 500 ms)"
        );
        for ((all, alone), beside) in ratios.iter_mut().zip(alone).zip(beside) {
            all.push(beside / alone);
        }
    }
    let medians = ratios.map(|mut all| {
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    });
    println!(
        "medians of {ROUNDS} rounds, beside to alone: p50 {:.2}, p90 {:.2}, p99 {:.2}",
        medians[0], medians[1], medians[2]
    );
    bench.node.stop();
}
