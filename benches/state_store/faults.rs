//! What becomes of the data under faults: turned bits, a full disk, a disk whose writes or flushes fail.
//!
//! Each look is a process of its own, so that a panic, an abort or a hang is a result. The last two need root; the one
//! with a failing disk also needs `LARDER_BLOCK_FAULTS`, a program `fuse BACKING RULES` that serves BACKING as
//! `fuse/disk.img` and fails requests as the file RULES says.

use super::names::{Dice, Pattern, batch, key, value};
use super::{commit, files, open};
use larder::master::table::StateStore;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const CACHE_BYTES: usize = 256 << 20;
const BATCH: u64 = 5000;
const NAMES: u64 = 30_000;

/// Turns bits one at a time, and looks at all names after each.
pub fn flips(count: u64) {
    let place = tempfile::tempdir().unwrap();
    let (whole, damaged) = (place.path().join("whole"), place.path().join("damaged"));
    fill(&whole);
    let sizes: Vec<(PathBuf, u64)> =
        files(&whole).into_iter().map(|file| (file.clone(), file.metadata().unwrap().len())).collect();
    let total: u64 = sizes.iter().map(|(_, bytes)| bytes).sum();
    println!("{count} turned bits over {} files of {} KB", sizes.len(), total >> 10);
    let (dice, mut seen) = (Dice::new(5), BTreeMap::<&str, u64>::new());
    for _ in 0..count {
        let _ = std::fs::remove_dir_all(&damaged);
        assert!(Command::new("cp").arg("-r").arg(&whole).arg(&damaged).status().unwrap().success());
        let mut at = dice.below(total);
        let file = sizes.iter().find(|(_, bytes)| at.checked_sub(*bytes).map(|rest| at = rest).is_none()).unwrap();
        let path = damaged.join(file.0.strip_prefix(&whole).unwrap());
        let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ (1 << dice.below(8))], at).unwrap();
        let outcome = look(&damaged, NAMES);
        if !matches!(outcome, "all right" | "refused to open" | "error when read") {
            let name = path.strip_prefix(&damaged).unwrap().display();
            println!("  byte {at} of {name}: {outcome}");
        }
        *seen.entry(outcome).or_default() += 1;
    }
    println!("  {seen:?}");
}

fn fill(directory: &Path) {
    let half = NAMES / 2;
    for first in [0, half] {
        let store = open(directory, CACHE_BYTES).unwrap();
        for first in (first..first + half).step_by(5000) {
            commit(&store, &batch(Pattern::Random, first, BATCH)).unwrap();
        }
        drop(store);
    }
}

/// Looks at a store in another process: what became of it.
fn look(directory: &Path, names: u64) -> &'static str {
    let mut child = itself(&["check", directory.to_str().unwrap(), &names.to_string()]);
    let began = Instant::now();
    let ended = loop {
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        if began.elapsed() > Duration::from_secs(120) {
            child.kill().unwrap();
            child.wait().unwrap();
            return "HANGS";
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    match ended.code() {
        Some(0) => "all right",
        Some(10) => "refused to open",
        Some(11) => "error when read",
        Some(12) => "WRONG VALUE",
        Some(13) => "NAMES MISSING",
        Some(101) => "PANIC",
        _ => "DIED",
    }
}

fn itself(arguments: &[&str]) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Reads all names; the exit code says what was found.
pub fn check(directory: &Path, names: u64) {
    let Ok(store) = open(directory, CACHE_BYTES) else { std::process::exit(10) };
    let Ok(view) = store.view() else { std::process::exit(10) };
    let (mut missing, mut failed) = (0, false);
    for number in 0..names {
        match view.value(&key(Pattern::Random, number)) {
            Ok(Some(found)) if found == value(number) => {}
            Ok(Some(_)) => std::process::exit(12),
            Ok(None) => missing += 1,
            Err(_) => failed = true,
        }
    }
    let mut listed = 0;
    let ended = view.scan(b"e", b"f", &mut |_, _| {
        listed += 1;
        ControlFlow::Continue(())
    });
    println!("{missing} of {names} missing, {listed} listed");
    if missing > 0 {
        std::process::exit(13);
    }
    if failed || ended.is_err() {
        std::process::exit(11);
    }
    if listed < names {
        std::process::exit(13);
    }
}

/// Commits batch after batch and says so; tries a batch that failed again.
pub fn write(directory: &Path, first: u64, batches: u64) {
    let store = open(directory, CACHE_BYTES).unwrap();
    let (mut failures, mut after) = (0, 0);
    let mut next = first;
    // After a failure a few more are enough.
    while next < batches * BATCH && failures < 12 && after < 3 {
        let what = match commit(&store, &batch(Pattern::Random, next, BATCH)) {
            Ok(()) => {
                next += BATCH;
                after += u64::from(failures > 0);
                format!("acknowledged {next}")
            }
            Err(error) => {
                failures += 1;
                std::thread::sleep(Duration::from_millis(300));
                format!("failed {error}")
            }
        };
        println!("{what}");
        std::io::stdout().flush().unwrap();
    }
    println!("end, {} KB", store.bytes() >> 10);
}

/// A full disk, and one that fails; as root.
pub fn disk() {
    full_disk();
    match std::env::var("LARDER_BLOCK_FAULTS") {
        Ok(program) => {
            for rule in [r#"{"write": "EIO"}"#, r#"{"flush": "EIO"}"#, r#"{"write": "EIO", "flush": "EIO"}"#] {
                failing_disk(&program, rule);
            }
        }
        Err(_) => println!("no LARDER_BLOCK_FAULTS, so no failing disk"),
    }
}

/// What a writer said until it ended; `midway` is called after so many acknowledged batches, or at the second failure.
fn watch(directory: &Path, batches: u64, after: u64, midway: &mut dyn FnMut()) -> (u64, Vec<String>) {
    let mut child = itself(&["write", directory.to_str().unwrap(), "0", &batches.to_string()]);
    let (mut acknowledged, mut failures, mut seen) = (0, Vec::<String>::new(), 0);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(names) = line.strip_prefix("acknowledged ") {
            acknowledged = names.parse().unwrap();
            seen += 1;
            if !failures.is_empty() {
                failures.push(line.clone());
            }
        } else {
            failures.push(line.chars().take(160).collect());
        }
        if seen == after || (failures.len() == 2 && seen < after) {
            midway();
            seen = after + 1;
        }
    }
    let _ = child.wait();
    failures.dedup();
    (acknowledged, failures)
}

fn run(command: &str) -> bool {
    Command::new("sh").args(["-c", command]).stdout(Stdio::null()).status().unwrap().success()
}

fn full_disk() {
    let place = tempfile::tempdir().unwrap();
    let at = place.path().display();
    assert!(run(&format!(
        "truncate -s 160M {at}/image; mkfs.ext4 -q -F {at}/image; mkdir {at}/mnt; mount -o loop {at}/image {at}/mnt; fallocate -l 60M {at}/mnt/filler"
    )));
    let directory = place.path().join("mnt/store");
    let (acknowledged, said) = watch(&directory, 200, 1 << 40, &mut || assert!(run(&format!("rm {at}/mnt/filler"))));
    println!("Full disk, room again after the second failure: acknowledged {acknowledged}; {said:?}");
    println!("  opened again: {}", look(&directory, acknowledged));
    assert!(run(&format!("umount {at}/mnt; mount -o loop {at}/image {at}/mnt")));
    println!("  mounted anew: {}", look(&directory, acknowledged));
    assert!(run(&format!("umount {at}/mnt")));
}

fn failing_disk(program: &str, rule: &str) {
    let place = tempfile::tempdir().unwrap();
    let (path, at) = (place.path(), place.path().display());
    assert!(run(&format!(
        "cd {at}; truncate -s 400M backing; mkdir fuse mnt; echo '{{}}' > rules; mkfs.ext4 -q -F backing"
    )));
    let mut server = Command::new(program);
    server
        .args([path.join("fuse"), path.join("backing"), path.join("rules")])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut server = server.spawn().unwrap();
    while !path.join("fuse/disk.img").exists() {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(run(&format!("cd {at}; losetup --direct-io=on --show -f fuse/disk.img > loop; mount $(cat loop) mnt")));
    let set = |rule: &str| {
        std::fs::write(path.join("rules.new"), rule).unwrap();
        std::fs::rename(path.join("rules.new"), path.join("rules")).unwrap();
    };
    let directory = path.join("mnt/store");
    let (acknowledged, said) = watch(&directory, 30, 5, &mut || set(rule));
    println!("{rule} after 5 batches: acknowledged {acknowledged}; {said:?}");
    set("{}");
    assert!(run(&format!("cd {at}; umount mnt; mount $(cat loop) mnt")));
    println!("  healthy again, mounted anew: {}", look(&directory, acknowledged));
    run(&format!("cd {at}; umount mnt; losetup -d $(cat loop); umount fuse"));
    let _ = server.kill();
    let _ = server.wait();
}
