//! Question: what does the store under the names cost? CPU and bytes a name as it grows, lookups and listing, the time to
//! open after a kill, and what becomes of the data under faults; through the trait `StateStore`.
//!
//! `cargo bench --bench state_store [-- NAMES [BATCH]]`: all but the faults. Under TMPDIR, some 0.5 GB a million names.
//! Parts, each in a process of its own: `-- fill PATTERN NAMES BATCH DIRECTORY`, `-- read PATTERN NAMES DIRECTORY`,
//! `-- kill PATTERN NAMES BATCH DIRECTORY`, `-- flips COUNT`, `-- disk` (as root). PATTERN is `tree` or `random`.
//! `LARDER_STORE_CACHE` is the cache in MiB, 256 if it is not set.
#![allow(clippy::unwrap_used, reason = "a bench stops where it is surprised")]

mod faults;
mod names;

use larder::disk::RealDisk;
use larder::master::StateError;
use larder::master::store::{EmbeddedStore, StoreOptions};
use larder::master::table::StateStore;
use names::{Dice, Pattern, batch, key, value};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A reader's store that holds little: what is looked up comes from the file.
const CACHE_BYTES_SMALL: usize = 16 << 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().unwrap();
    match arguments[..] {
        ["fill", pattern, names, batch, directory] => {
            fill(pattern_of(pattern), number(names), number(batch), Path::new(directory));
        }
        ["read", pattern, names, directory] => {
            read(pattern_of(pattern), number(names), Path::new(directory));
        }
        ["reopen", directory] => reopen(Path::new(directory)),
        ["kill", pattern, names, batch, directory] => {
            kill(pattern_of(pattern), number(names), number(batch), Path::new(directory));
        }
        ["flips", count] => faults::flips(number(count)),
        ["check", directory, names] => faults::check(Path::new(directory), number(names)),
        ["write", directory, first, batches] => {
            faults::write(Path::new(directory), number(first), number(batches));
        }
        ["disk"] => faults::disk(),
        [names] => all(number(names), 100_000),
        [names, batch] => all(number(names), number(batch)),
        _ if !std::env::args().any(|argument| argument == "--bench") => all(2000, 500),
        _ => all(1_000_000, 100_000),
    }
}

fn pattern_of(name: &str) -> Pattern {
    if name == "tree" { Pattern::Tree } else { Pattern::Random }
}

fn open(directory: &Path, cache_bytes: usize) -> Result<EmbeddedStore, StateError> {
    let disk = RealDisk::open(directory).map_err(|error| StateError::io("directory", error))?;
    EmbeddedStore::open(Arc::new(disk), "state", 7, StoreOptions { cache_bytes, free_bytes_min: 0 })
}

fn cache_bytes() -> usize {
    std::env::var("LARDER_STORE_CACHE").map_or(256, |text| text.parse().unwrap()) << 20
}

fn commit(store: &dyn StateStore, pairs: &[names::Pair]) -> Result<(), StateError> {
    store.commit(&mut pairs.iter().map(|(key, value)| (key.as_slice(), Some(value.as_slice()))))
}

/// Runs a part of this bench in a process of its own, which prints.
fn part(arguments: &[&str]) {
    let ended = Command::new(std::env::current_exe().unwrap()).args(arguments).status().unwrap();
    if !ended.success() {
        println!("{arguments:?}: {ended}");
    }
}

fn all(names: u64, batch: u64) {
    let (names_text, batch_text) = (names.to_string(), batch.to_string());
    for pattern in ["tree", "random"] {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("store");
        let directory = directory.to_str().unwrap();
        part(&["fill", pattern, &names_text, &batch_text, directory]);
        part(&["read", pattern, &names_text, directory]);
        part(&["kill", pattern, &names_text, &batch_text, directory]);
    }
}

/// CPU and bytes a name, for each tenth of the names.
fn fill(pattern: Pattern, names: u64, batch_names: u64, directory: &Path) {
    let store = open(directory, cache_bytes()).unwrap();
    println!("{pattern:?}: {names} names in batches of {batch_names}");
    let (mut done, mut shown) = (0, 0);
    let (mut cpu, mut busy, mut slowest) = (0.0, Duration::ZERO, Duration::ZERO);
    let mut made = 0.0;
    let first = cpu_seconds();
    let step = (names / 10).max(batch_names);
    while done < names {
        let count = batch_names.min(names - done);
        let before = thread_cpu_seconds();
        let pairs = batch(pattern, done, count);
        made += thread_cpu_seconds() - before;
        let began = Instant::now();
        commit(&store, &pairs).unwrap();
        busy += began.elapsed();
        slowest = slowest.max(began.elapsed());
        let before = thread_cpu_seconds();
        drop(pairs);
        made += thread_cpu_seconds() - before;
        done += count;
        if done - shown >= step || done == names {
            let now = cpu_seconds() - first - made;
            println!(
                "  {done:>9} names: {:>6.2} us CPU a name, {:>6.2} us wall, slowest commit {:>5} ms; {:>4} bytes a name on disk, RSS {} MB",
                (now - cpu) * 1e6 / (done - shown) as f64,
                busy.as_secs_f64() * 1e6 / (done - shown) as f64,
                slowest.as_millis(),
                disk_bytes(directory) / done,
                rss_bytes() >> 20,
            );
            (cpu, shown, busy, slowest) = (now, done, Duration::ZERO, Duration::ZERO);
        }
    }
    // What runs behind belongs to the names too.
    loop {
        let before = cpu_seconds();
        std::thread::sleep(Duration::from_millis(400));
        if cpu_seconds() - before < 0.03 {
            break;
        }
    }
    let began = Instant::now();
    drop(store);
    println!(
        "  all: {:.2} us CPU a name; closed in {:.0?}; {} bytes a name on disk, {} a name written",
        (cpu_seconds() - first - made) * 1e6 / names as f64,
        began.elapsed(),
        disk_bytes(directory) / names,
        written_bytes() / names,
    );
}

/// Lookups and listing of a store that was filled.
fn read(pattern: Pattern, names: u64, directory: &Path) {
    let seconds = if names < 100_000 { 0.2 } else { 5.0 };
    for (cache, cold, what) in [
        (CACHE_BYTES_SMALL, true, "cold (pages dropped, cache 16 MiB)"),
        (CACHE_BYTES_SMALL, false, "pages in memory, cache 16 MiB"),
        (cache_bytes(), false, "random, the whole cache"),
    ] {
        if cold {
            drop_pages(directory);
        }
        let began = Instant::now();
        let store = open(directory, cache).unwrap();
        let opened = began.elapsed();
        let (done, cpu) = lookups(&store, pattern, names, seconds);
        println!("  {what}: opened in {opened:.1?}, {done:.0} lookups a second of 2 threads, {cpu:.2} us CPU each");
    }
    let store = open(directory, cache_bytes()).unwrap();
    let near = names.min(20_000);
    lookups(&store, pattern, near, seconds / 2.0);
    let (done, cpu) = lookups(&store, pattern, near, seconds);
    println!("  hot ({near} names again and again): {done:.0} lookups a second of 2 threads, {cpu:.2} us CPU each");
    let view = store.view().unwrap();
    let (began, mut seen) = (Instant::now(), 0u64);
    view.scan(b"e", b"f", &mut |_, _| {
        seen += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(seen, names, "all names are listed");
    println!("  listing all: {:.0} entries a second", seen as f64 / began.elapsed().as_secs_f64());
    let (began, mut seen, dice) = (Instant::now(), 0u64, Dice::new(3));
    while began.elapsed().as_secs_f64() < seconds / 2.0 {
        let key = key(pattern, dice.below(names));
        let mut end = key[..9].to_vec();
        end.extend_from_slice(&[0xff; 4]);
        let mut left = 100;
        view.scan(&key, &end, &mut |_, _| {
            seen += 1;
            left -= 1;
            if left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .unwrap();
    }
    println!(
        "  listing up to 100 from random places: {:.0} entries a second",
        seen as f64 / began.elapsed().as_secs_f64()
    );
}

fn lookups(store: &dyn StateStore, pattern: Pattern, names: u64, seconds: f64) -> (f64, f64) {
    let (before, began) = (cpu_seconds(), Instant::now());
    let done: u64 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|worker| {
                scope.spawn(move || {
                    let (dice, mut done) = (Dice::new(77 + worker), 0);
                    while began.elapsed().as_secs_f64() < seconds {
                        let view = store.view().unwrap();
                        for _ in 0..64 {
                            let number = dice.below(names);
                            let found = view.value(&key(pattern, number)).unwrap();
                            assert_eq!(found.as_deref(), Some(&*value(number)));
                            done += 1;
                        }
                    }
                    done
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    (done as f64 / began.elapsed().as_secs_f64(), (cpu_seconds() - before) * 1e6 / done as f64)
}

/// A child writes on and is killed amid a batch; then the store is opened.
fn kill(pattern: Pattern, names: u64, batch_names: u64, directory: &Path) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["fill", if pattern == Pattern::Tree { "tree" } else { "random" }])
        .args([(names * 2).to_string(), batch_names.to_string(), directory.to_str().unwrap().to_owned()])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(if names < 100_000 { 100 } else { 3300 }));
    child.kill().unwrap();
    child.wait().unwrap();
    for cold in [false, true] {
        if cold {
            drop_pages(directory);
        }
        println!("  after a kill{}:", if cold { " and a stop, pages dropped" } else { "" });
        part(&["reopen", directory.to_str().unwrap()]);
    }
}

fn reopen(directory: &Path) {
    let began = Instant::now();
    let store = open(directory, cache_bytes()).unwrap();
    let opened = began.elapsed();
    let found = store.view().unwrap().value(b"z-applied").unwrap();
    println!("    opened in {opened:.1?}, first lookup after {:.1?} ({})", began.elapsed(), found.is_some());
}

/// User and system time of all threads of this process, those that ended included.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn thread_cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

fn written_bytes() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = io.lines().find(|line| line.starts_with("write_bytes")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// All files under a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            Ok(_) => found.push(entry.path()),
            Err(_) => {}
        }
    }
    found.sort();
    found
}

/// Blocks that they take, not their lengths.
fn disk_bytes(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    files(directory).iter().filter_map(|file| file.metadata().ok()).map(|data| data.blocks() * 512).sum()
}

fn drop_pages(directory: &Path) {
    use larder::disk::{Disk, Open};
    for path in files(directory) {
        let disk = RealDisk::open(path.parent().unwrap()).unwrap();
        disk.open(path.file_name().unwrap().to_str().unwrap(), Open::Write).unwrap().drop_pages().unwrap();
    }
}
