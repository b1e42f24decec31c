//! Question: what does compaction cost, and does it keep up? A node on a real directory under a steady load of as many puts
//! as deletes, with GETs of objects that stay beside it. Two tables: disk use against living bytes over some minutes, and
//! latency of the GETs with compaction and without, in interleaved rounds; see `benches/README.md`.
//!
//! cargo bench --bench compaction [-- use | latency]
#![allow(clippy::unwrap_used, reason = "a bench stops where it is surprised")]

#[path = "../tests/support/mod.rs"]
mod support;

use larder::base::ids::ObjectId;
use larder::client::{Client, PutOptions};
use larder::node::{Configuration, Node};
use larder::wire::Request;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::load::{Kind, Outcome, open_loop, pin};
use support::node::{client, configuration, number, on_directories};

const SEGMENT_BYTES: u64 = 64 << 20;
/// Living data, in segments.
const SEGMENTS: u64 = 22;
/// Puts a second, and deletes a second.
const RATE: u64 = 400;
/// GETs a second.
const GETS: f64 = 500.0;
/// Objects that are read and stay: one of so many.
const STAYS: u64 = 16;
const USE_SECONDS: u64 = 150;
const ROUND_SECONDS: u64 = 15;
const ROUNDS: usize = 5;

fn settings(garbage_percent: u64) -> Configuration {
    Configuration {
        segment_bytes: Some(SEGMENT_BYTES),
        compaction_garbage_percent: garbage_percent,
        // What GETs cost shall not hide in memory.
        cache_bytes: 0,
        ..configuration()
    }
}

fn bytes_of(n: u64) -> Vec<u8> {
    support::content(n, 4000 + (n as usize * 7919) % 56_000)
}

/// A number that looks random.
fn mixed(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 7
}

/// What is stored: objects that stay, and objects that come and go.
struct Objects {
    stays: Vec<Request>,
    goes: Vec<ObjectId>,
    next: u64,
}

fn fill(client: &Client) -> Objects {
    let mut objects = Objects { stays: Vec::new(), goes: Vec::new(), next: 0 };
    let mut bytes = 0;
    while bytes < SEGMENTS * SEGMENT_BYTES {
        let batch: Vec<_> = (0..256).map(|n| bytes_of(objects.next + n)).collect();
        bytes += batch.iter().map(|one| one.len() as u64).sum::<u64>();
        let tickets: Vec<_> = batch.into_iter().map(|one| client.submit_put(one, PutOptions::default())).collect();
        for ticket in tickets {
            let id = ticket.wait().unwrap().id;
            objects.next += 1;
            if objects.next.is_multiple_of(STAYS) {
                objects.stays.push(Request::Get { id, range: None });
            } else {
                objects.goes.push(id);
            }
        }
    }
    objects
}

/// Puts and deletes at a steady rate until told to stop; how many of them were refused.
fn churn(client: &Client, objects: &mut Objects, stop: &AtomicBool, done: &AtomicU64) -> u64 {
    const TICK: Duration = Duration::from_millis(20);
    let mut refused = 0;
    let mut tick = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let each = RATE * TICK.as_millis() as u64 / 1000;
        let puts: Vec<_> =
            (0..each).map(|n| client.submit_put(bytes_of(objects.next + n), PutOptions::default())).collect();
        let deletes: Vec<_> = (0..each)
            .map(|n| {
                let which = mixed(objects.next + n) as usize % objects.goes.len();
                client.submit_delete(objects.goes.swap_remove(which))
            })
            .collect();
        objects.next += each;
        for put in puts {
            match put.wait() {
                Ok(stored) => objects.goes.push(stored.id),
                Err(error) => {
                    eprintln!("a put: {error}");
                    refused += 1;
                }
            }
        }
        for delete in deletes {
            if let Err(error) = delete.wait() {
                eprintln!("a delete: {error}");
                refused += 1;
            }
        }
        done.fetch_add(2 * each, Ordering::Relaxed);
        tick += TICK;
        std::thread::sleep(tick.saturating_duration_since(Instant::now()));
    }
    refused
}

/// Bytes that segment files take on the disk, those that are being written too, without room reserved ahead of open ones.
fn used_bytes(directory: &Path) -> u64 {
    let files = std::fs::read_dir(directory).unwrap().filter_map(Result::ok);
    let files = files.filter(|file| file.file_name().to_string_lossy().ends_with(".segment"));
    files.filter_map(|file| file.metadata().ok()).map(|of| of.blocks() * 512).sum()
}

struct Run {
    refused: u64,
    done: u64,
    gets: Outcome,
}

/// One stretch of load on a node.
fn run(node: &Node, objects: &mut Objects, seconds: u64) -> Run {
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let kinds = [Kind { name: "GET", share: 1, requests: objects.stays.clone() }];
    let address = node.address();
    std::thread::scope(|scope| {
        let churner = scope.spawn({
            let (stop, done, client) = (Arc::clone(&stop), Arc::clone(&done), client(node));
            move || churn(&client, objects, &stop, &done)
        });
        let gets = open_loop(address, &kinds, GETS, Duration::from_secs(seconds), 8, 10_000).remove(0);
        stop.store(true, Ordering::Relaxed);
        Run { refused: churner.join().unwrap(), done: done.load(Ordering::Relaxed), gets }
    })
}

fn node_on(directory: &Path, garbage_percent: u64) -> Node {
    pin(0);
    let node = on_directories(&settings(garbage_percent), &[directory]);
    pin(1);
    node
}

fn disk_use(directory: &Path, objects: &mut Objects) {
    let node = node_on(directory, 20);
    let stop = AtomicBool::new(false);
    let (mut worst, mut sum, mut samples) = (0.0f64, 0.0, 0u32);
    let outcome = std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            let outcome = run(&node, objects, USE_SECONDS);
            stop.store(true, Ordering::Relaxed);
            outcome
        });
        while !stop.load(Ordering::Relaxed) {
            let living = number(&node, "/disks/0/store/object_bytes") as f64;
            let used = used_bytes(directory).saturating_sub(ahead(&node, directory)) as f64;
            worst = worst.max(used / living);
            (sum, samples) = (sum + used / living, samples + 1);
            std::thread::sleep(Duration::from_millis(200));
        }
        run.join().unwrap()
    });
    let at = |path| number(&node, path);
    println!(
        "disk use: {USE_SECONDS} s of {RATE} puts and {RATE} deletes a second over {SEGMENTS} segments of living data: \
         used to living bytes {:.2} on average, {worst:.2} at worst; {} of {} refused; copies {}, {} MiB copied for {} MiB replaced",
        sum / f64::from(samples),
        outcome.refused,
        outcome.done,
        at("/disks/0/compaction/copies"),
        at("/disks/0/compaction/copied_bytes") >> 20,
        at("/disks/0/compaction/replaced_bytes") >> 20,
    );
    node.stop();
}

/// Bytes reserved ahead of the open segment: its file is longer than what is published.
fn ahead(node: &Node, directory: &Path) -> u64 {
    let lengths = std::fs::read_dir(directory).unwrap().filter_map(Result::ok);
    let lengths = lengths.filter(|file| file.file_name().to_string_lossy().ends_with(".segment"));
    let lengths: u64 = lengths.filter_map(|file| file.metadata().ok()).map(|of| of.len()).sum();
    let copying = number(node, "/disks/0/compaction/done_bytes") as u64;
    lengths.saturating_sub(number(node, "/disks/0/store/segment_bytes") as u64 + copying).min(SEGMENT_BYTES)
}

fn latency(directory: &Path, objects: &mut Objects) {
    let quantiles = [0.5, 0.9, 0.99];
    let mut all: Vec<[Vec<u64>; 2]> = Vec::new();
    for _ in 0..ROUNDS {
        let mut pair = [Vec::new(), Vec::new()];
        for (which, percent) in [(0, 0), (1, 20)] {
            let node = node_on(directory, percent);
            let outcome = run(&node, objects, ROUND_SECONDS);
            pair[which] = quantiles.iter().map(|&at| outcome.gets.latency.value_at_quantile(at)).collect();
            println!(
                "{:20} GET p50 {:6} us  p90 {:6} us  p99 {:6} us   refused {} of {}, copies {}",
                if percent == 0 { "without compaction" } else { "with compaction" },
                pair[which][0],
                pair[which][1],
                pair[which][2],
                outcome.refused,
                outcome.done,
                number(&node, "/disks/0/compaction/copies"),
            );
            node.stop();
        }
        all.push(pair);
    }
    let ratio = |at: usize| {
        let mut ratios: Vec<f64> = all.iter().map(|[without, with]| with[at] as f64 / without[at] as f64).collect();
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    };
    println!(
        "with to without, medians of {ROUNDS} rounds: p50 {:.2}, p90 {:.2}, p99 {:.2}",
        ratio(0),
        ratio(1),
        ratio(2)
    );
}

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let only = |name: &str| {
        let named: Vec<_> = std::env::args().filter(|argument| ["use", "latency"].contains(&&**argument)).collect();
        named.is_empty() || named.iter().any(|one| one == name)
    };
    let directory = tempfile::tempdir().unwrap();
    let node = node_on(directory.path(), 0);
    let mut objects = fill(&client(&node));
    println!("{} objects, {} of them stay", objects.next, objects.stays.len());
    node.stop();
    if only("use") {
        disk_use(directory.path(), &mut objects);
    }
    if only("latency") {
        latency(directory.path(), &mut objects);
    }
}
