//! Question: how long does a start take, what does it read, and what does the index cost in memory? Stores of 1 and 10
//! million objects of 100 bytes to 1 KiB, made through the appender and closed cleanly; then opened: cold (pages of all
//! files dropped), warm, and after a kill with 20 MB behind the last clean stop.
//!
//! `cargo bench --bench start [-- OBJECTS...]`; the directory is under TMPDIR, so name a disk there, with some 0.8 GB for
//! each million objects. Each store is measured in a process of its own, for its memory is measured too.
#![allow(clippy::unwrap_used, reason = "a bench stops where it is surprised")]

mod support;

use bytes::Bytes;
use larder::base::clock::SystemClock;
use larder::base::ids::{Cookie, ObjectId, Origin};
use larder::base::payload::Payload;
use larder::disk::{Disk, Open, RealDisk};
use larder::store::{Appended, CompactionStep, Entry, OpenReport, Opened, StoreOptions, open};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{Numbers, assert_stored, measures};

const GROUP: usize = 512;
const TAIL_BYTES: u64 = 20_000_000;
/// Contents are drawn from so many, made once: their checksums are not the question.
const CONTENTS: usize = 4096;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match &arguments[..] {
        [flag, directory] if flag == "--open" => println!("{}", measured(Path::new(directory))),
        [flag, directory, name] if flag == "--open" => println!("{name:<28}{}", measured(Path::new(directory))),
        _ => {
            let counts: Vec<u64> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
            let standard = if measures() { vec![1_000_000, 10_000_000] } else { vec![2000] };
            for count in if counts.is_empty() { standard } else { counts } {
                one_size(count);
            }
        }
    }
}

fn one_size(objects: u64) {
    let directory = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let mut opened = store(directory.path());
    let ids = fill(&mut opened, objects, u64::MAX);
    let filled = began.elapsed();
    // The background thread's work, which a node does while it runs.
    while opened.snapshots.step().unwrap() {}
    let began = Instant::now();
    opened.appender.close().unwrap();
    let closed = began.elapsed();
    drop(opened.superblock);
    println!("{objects} objects of 100 bytes to 1 KiB: made in {filled:.1?}, closed in {closed:.1?}");
    println!(
        "{:<28}{:>9} {:>8} {:>9} {:>11} {:>12} {:>11} {:>9}",
        "", "open ms", "loaded", "walked", "walked MB", "index files", "index B/obj", "Rss B/obj"
    );
    drop_pages(directory.path());
    each_in_its_process(directory.path(), "after a clean stop, cold");
    each_in_its_process(directory.path(), "after a clean stop, warm");
    let mut opened = store(directory.path());
    fill(&mut opened, u64::MAX, TAIL_BYTES);
    drop(opened);
    drop_pages(directory.path());
    each_in_its_process(directory.path(), "20 MB behind it, killed, cold");
    let mut opened = store(directory.path());
    let began = Instant::now();
    delete_half(&mut opened, &ids);
    let deleted = began.elapsed();
    let began = Instant::now();
    compact(&mut opened);
    println!("half deleted in {deleted:.1?}, compacted in {:.1?}: {:?}", began.elapsed(), opened.compaction.report());
    while opened.snapshots.step().unwrap() {}
    opened.appender.close().unwrap();
    drop((opened.superblock, opened.compaction));
    drop_pages(directory.path());
    each_in_its_process(directory.path(), "half deleted, compacted, cold");
}

/// Deletes every second object, in an order that looks like none.
fn delete_half(opened: &mut Opened, ids: &[ObjectId]) {
    let numbers = Numbers::default();
    let chosen: Vec<ObjectId> = ids
        .iter()
        .zip(0u64..)
        .filter(|(_, n)| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63 == 0)
        .map(|(id, _)| *id)
        .collect();
    for ids in chosen.chunks(GROUP) {
        let entries: Vec<Entry> = ids.iter().map(|&id| Entry::Delete { id }).collect();
        let outcomes = opened.appender.append(&entries, 1, true, &numbers).unwrap();
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Appended::Deleted { already: false })));
    }
}

/// What the background thread and the append lane do about it, until nothing is worth doing.
fn compact(opened: &mut Opened) {
    loop {
        match opened.compaction.step(20, u64::MAX / 2, false) {
            CompactionStep::Rest => return,
            CompactionStep::Worked(_) => {}
            CompactionStep::Publish(compacted) => {
                let published = opened.appender.publish_compacted(&compacted).unwrap();
                opened.compaction.published(&compacted, published);
            }
            CompactionStep::Roll(volume) => opened.appender.roll(volume).unwrap(),
            CompactionStep::GaveUp(obstacle) => panic!("{obstacle}"),
        }
    }
}

fn store(directory: &Path) -> Opened {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(directory).unwrap());
    let options = StoreOptions { reserve_bytes: Some(1 << 20), ..StoreOptions::default() };
    open(disk, None, &options, SystemClock::shared()).unwrap()
}

/// Appends objects until there are so many, or so many bytes of content.
fn fill(opened: &mut Opened, objects: u64, bytes_max: u64) -> Vec<ObjectId> {
    let mut ids = Vec::new();
    let numbers = Numbers::default();
    let payloads: Vec<Payload> = (0..CONTENTS).map(|n| Payload::of(vec![7; 100 + n * 925 / CONTENTS].into())).collect();
    let (mut done, mut bytes) = (0, 0);
    let mut next = 0;
    while done < objects && bytes < bytes_max {
        let count = GROUP.min(usize::try_from(objects - done).unwrap_or(GROUP));
        let entries: Vec<Entry> = (0..count)
            .map(|_| {
                // Steps through the sizes in an order that looks like none.
                next = (next + 1_597) % CONTENTS;
                let payload = &payloads[next];
                bytes += payload.bytes.len() as u64;
                let payload = Payload {
                    bytes: payload.bytes.clone(),
                    block_checksums: payload.block_checksums.clone(),
                    hash: payload.hash,
                    room: None,
                };
                Entry::Put {
                    payload,
                    cookie: Cookie(7),
                    attributes: Bytes::new(),
                    origin: Origin::default(),
                    named: false,
                }
            })
            .collect();
        let last = done + count as u64 >= objects || bytes >= bytes_max || done % (64 * GROUP as u64) == 0;
        let outcomes: Vec<Appended> = opened.appender.append(&entries, 1, last, &numbers).unwrap();
        assert_stored(&outcomes);
        ids.extend(outcomes.iter().filter_map(|outcome| match outcome {
            Appended::Stored(id) => Some(*id),
            _ => None,
        }));
        done += count as u64;
    }
    ids
}

/// So that what is read next comes from the device.
fn drop_pages(directory: &Path) {
    let disk = RealDisk::open(directory).unwrap();
    for entry in disk.list().unwrap() {
        if entry.name != "lock" {
            disk.open(&entry.name, Open::Read).unwrap().drop_pages().unwrap();
        }
    }
}

fn each_in_its_process(directory: &Path, name: &str) {
    let program = std::env::current_exe().unwrap();
    let status = Command::new(program).arg("--open").arg(directory).arg(name).status().unwrap();
    assert!(status.success(), "{name}");
}

fn measured(directory: &Path) -> String {
    let before = anonymous_bytes();
    let began = Instant::now();
    let opened = store(directory);
    let took = began.elapsed();
    let memory = anonymous_bytes().saturating_sub(before);
    let OpenReport { segments_loaded, segments, scanned_bytes, .. } = opened.report;
    assert!(opened.report.snapshots_refused.is_empty() && opened.report.damages.is_empty());
    let stats = opened.catalog.stats();
    let index_files: u64 = std::fs::read_dir(directory)
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".index"))
        .map(|entry| entry.metadata().unwrap().len())
        .sum();
    let living = stats.objects as f64;
    format!(
        "{:>9.1} {segments_loaded:>8} {segments:>9} {:>11.1} {:>9.1} MB {:>11.3} {:>9.3}",
        milliseconds(took),
        scanned_bytes as f64 / 1e6,
        index_files as f64 / 1e6,
        stats.index_bytes as f64 / living,
        memory as f64 / living
    )
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Anonymous memory of this process.
fn anonymous_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
