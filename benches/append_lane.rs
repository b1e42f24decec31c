//! Question: what does a durable write cost, how much of it is ours, and what does grouping save? Groups of 1 to 256
//! objects of 4 KiB: by the appender on a real directory, by the appender on a disk in memory (our own work alone), and
//! the floor: one write and one sync of as many bytes, into a file that was filled with zeros.
//!
//! The real directory is TMPDIR, so name a disk there: `TMPDIR=/disk/a cargo bench --bench append_lane`. On a tmpfs a
//! sync costs nothing, and the figures say nothing.
#![allow(clippy::unwrap_used, reason = "a bench stops where it is surprised")]

mod support;

use criterion::{Bencher, Criterion, Throughput, criterion_group, criterion_main};
use larder::base::payload::Payload;
use larder::disk::{Disk, File, MemoryDisk, Open, RealDisk};
use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{Numbers, assert_stored, group, measures, opened};

const CONTENT_BYTES: usize = 4096;
/// A disk in memory is begun anew before it holds more than this.
const MEMORY_BYTES_MAX: usize = 256 << 20;
const FLOOR_BYTES: usize = 256 << 20;

fn sizes() -> &'static [usize] {
    if measures() { &[1, 16, 64, 256] } else { &[1, 16] }
}

/// Time of appending groups of this size, each with a sync; the disk is a new one whenever it holds `bytes_max`.
fn append(bencher: &mut Bencher<'_>, count: usize, new_disk: &dyn Fn() -> Arc<dyn Disk>, bytes_max: usize) {
    let payload = Payload::of(vec![7; CONTENT_BYTES].into());
    let fresh = || (opened(new_disk()), Numbers::default());
    let (mut store, mut held) = (fresh(), 0);
    bencher.iter_custom(|iterations| {
        let mut taken = Duration::ZERO;
        for _ in 0..iterations {
            held += count * CONTENT_BYTES;
            if held > bytes_max {
                (store, held) = (fresh(), 0);
            }
            let (opened, numbers) = &mut store;
            let entries = group(&payload, count);
            let began = Instant::now();
            let outcomes = opened.appender.append(&entries, 0, true, numbers).expect("there is room");
            taken += began.elapsed();
            assert_stored(&outcomes);
        }
        taken
    });
}

/// A file that was filled with zeros, to be written over.
fn filled(disk: &dyn Disk) -> Arc<dyn File> {
    let file = disk.open("floor", Open::Create).expect("a new directory");
    let zeros = vec![0; 1 << 20];
    for at in (0..FLOOR_BYTES).step_by(zeros.len()) {
        file.write_all_at(&mut [IoSlice::new(&zeros)], at as u64).expect("there is room");
    }
    file.sync_all().expect("the disk works");
    file
}

/// One write and one sync of as many bytes.
fn floor(bencher: &mut Bencher<'_>, count: usize, file: &dyn File) {
    let bytes = vec![7; count * CONTENT_BYTES];
    let mut at = 0;
    bencher.iter(|| {
        file.write_all_at(&mut [IoSlice::new(&bytes)], at as u64).expect("there is room");
        file.sync_data().expect("the disk works");
        at = (at + bytes.len()) % (FLOOR_BYTES - bytes.len());
    });
}

fn append_lane(criterion: &mut Criterion) {
    let mut lane = criterion.benchmark_group("append_lane");
    for &count in sizes() {
        lane.throughput(Throughput::Elements(count as u64));
        let directory = tempfile::tempdir().expect("a place for files");
        let file = filled(&RealDisk::open(directory.path()).expect("it was just made"));
        lane.bench_function(format!("floor, {count}"), |bencher| floor(bencher, count, &*file));
        drop(directory);
        let directory = tempfile::tempdir().expect("a place for files");
        let real = || Arc::new(RealDisk::open(directory.path()).expect("it was just made")) as Arc<dyn Disk>;
        lane.bench_function(format!("real directory, {count}"), |bencher| append(bencher, count, &real, usize::MAX));
        let memory = || Arc::new(MemoryDisk::new()) as Arc<dyn Disk>;
        lane.bench_function(format!("memory, {count}"), |bencher| append(bencher, count, &memory, MEMORY_BYTES_MAX));
    }
    lane.finish();
}

criterion_group!(name = benches; config = support::brief(); targets = append_lane);
criterion_main!(benches);
