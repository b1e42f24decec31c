//! The least that durable writes can cost: a bare loop that appends groups to a file and syncs each.
//!
//! The calling thread. The same calls on the same kind of file as an append lane's, and nothing else: one write a
//! group, one `fdatasync`. Always: groups lie one behind another, as in a log, and only zeros are written over.

use crate::record::histogram::latencies;
use crate::workload::{Key, payload};
use hdrhistogram::Histogram;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How the file is before a group is appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// It ends there, and each group makes it longer
    Grow,
    /// Zeros were written and synced there before
    Zeros,
    /// Zeros are written ahead in steps of a mebibyte, each with the group that reaches their end, as by a log that runs
    Ahead,
}

/// What to write.
#[derive(Debug, Clone, Copy)]
pub struct Groups {
    /// Bytes of an object with what a log adds to it.
    pub object_bytes: u64,
    /// Objects of a group.
    pub objects: u64,
    /// How long.
    pub time: Duration,
    /// Into what.
    pub mode: Mode,
}

/// What it took.
#[derive(Debug)]
pub struct Taken {
    /// Groups that were synced.
    pub groups: u64,
    /// How long that took; writing zeros before a group is not in it, writing them with one is.
    pub time: Duration,
    /// Nanoseconds of a group: write and sync.
    pub latency: Histogram<u64>,
}

/// A file is begun anew at this size, as segments are.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Zeros are written so far at once before groups,
const BEFORE_BYTES: u64 = 64 << 20;
/// and so far with one.
const AHEAD_BYTES: u64 = 1 << 20;

/// Appends and syncs groups in a file of its own in `directory`, which it removes at the end.
///
/// # Errors
/// Those of the disk; a full one is an error too.
pub fn measure(directory: &Path, groups: &Groups) -> io::Result<Taken> {
    let path = directory.join(format!("floor-{}", std::process::id()));
    let outcome = measure_in(&path, groups);
    // The figures stand, whether the file goes or not; but what stays behind takes room.
    match (outcome, std::fs::remove_file(&path)) {
        (Ok(taken), Ok(())) => Ok(taken),
        (Err(error), _) | (Ok(_), Err(error)) => Err(error),
    }
}

fn measure_in(path: &Path, groups: &Groups) -> io::Result<Taken> {
    let mut group = Vec::new();
    for number in 0..groups.objects {
        payload::append(Key { seed: 1, number }, 0, groups.object_bytes, &mut group);
    }
    let bytes = group.len();
    if groups.mode == Mode::Ahead {
        group.resize(bytes + usize::try_from(AHEAD_BYTES).expect("a mebibyte"), 0);
    }
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let mut taken = Taken { groups: 0, time: Duration::ZERO, latency: latencies() };
    let (mut at, mut ahead) = (0, 0);
    while taken.time < groups.time {
        if at + bytes as u64 > FILE_BYTES_MAX {
            file.set_len(0)?;
            file.sync_all()?;
            (at, ahead) = (0, 0);
        }
        let end = at + bytes as u64;
        let write = match groups.mode {
            Mode::Zeros if end > ahead => {
                ahead = write_zeros(&file, ahead)?;
                &group[..]
            }
            Mode::Ahead if end > ahead => {
                ahead = end + AHEAD_BYTES;
                &group[..]
            }
            Mode::Grow | Mode::Zeros | Mode::Ahead => &group[..bytes],
        };
        let begun = Instant::now();
        file.write_all_at(write, at)?;
        file.sync_data()?;
        let time = begun.elapsed();
        taken.latency.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        taken.time += time;
        taken.groups += 1;
        at = end;
    }
    Ok(taken)
}

fn write_zeros(file: &File, from: u64) -> io::Result<u64> {
    let zeros = vec![0; 1 << 20];
    let mut at = from;
    while at < from + BEFORE_BYTES {
        file.write_all_at(&zeros, at)?;
        at += zeros.len() as u64;
    }
    file.sync_all()?;
    Ok(at)
}

#[test]
fn groups_are_counted_and_nothing_stays_behind() {
    let directory = tempfile::tempdir().expect("a directory");
    for mode in [Mode::Grow, Mode::Zeros, Mode::Ahead] {
        let groups = Groups { object_bytes: 4096, objects: 3, time: Duration::from_millis(1), mode };
        let taken = measure(directory.path(), &groups).expect("a disk that works");
        assert!(taken.groups > 0 && taken.latency.len() == taken.groups && taken.time >= groups.time);
    }
    assert_eq!(std::fs::read_dir(directory.path()).expect("it is there").count(), 0);
    let groups = Groups { object_bytes: 1, objects: 1, time: Duration::from_millis(1), mode: Mode::Grow };
    assert!(measure(Path::new("/nowhere"), &groups).is_err());
}
