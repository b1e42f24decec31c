//! Question: what does it cost to find an object in memory? `View::locate` over a million objects: one and the same, a
//! few hot ones, all at random, and ids that name nothing.
//!
//! cargo bench --bench index
#![allow(clippy::unwrap_used, reason = "a bench stops where it is surprised")]

mod support;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use larder::base::ids::{Sequence, VolumeId};
use larder::base::payload::Payload;
use larder::disk::MemoryDisk;
use larder::store::{Located, View};
use std::hint::black_box;
use std::sync::Arc;
use support::{Numbers, assert_stored, group, measures, opened};

const LOOKUPS: usize = 1000;
const GROUP: usize = 1024;

/// A disk in memory with at least so many objects; how many there are.
fn filled(objects: usize) -> (Arc<View>, u64) {
    let mut opened = opened(Arc::new(MemoryDisk::new()));
    let (payload, numbers) = (Payload::of(Bytes::from_static(b"smallest")), Numbers::default());
    let mut stored = 0;
    while stored < objects {
        // The first group of a volume begins with a needle of its own.
        let entries = group(&payload, GROUP - 1);
        assert_stored(&opened.appender.append(&entries, 0, true, &numbers).expect("there is room"));
        stored += entries.len();
    }
    (opened.catalog.view(), stored as u64)
}

fn index(criterion: &mut Criterion) {
    let (view, count) = filled(if measures() { 1_000_000 } else { 5000 });
    let volume = VolumeId(1);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Sequence(1 + state % below)
    };
    let mut group = criterion.benchmark_group("index");
    group.throughput(Throughput::Elements(LOOKUPS as u64));
    for (name, span) in [("one object", 1), ("1,000 hot objects", 1000), ("all objects at random", count)] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || (0..LOOKUPS).map(|_| random(span)).collect::<Vec<_>>(),
                |sequences| {
                    for sequence in sequences {
                        assert!(matches!(black_box(view.locate(volume, sequence)), Located::Object(_)));
                    }
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.bench_function("absent", |bencher| {
        bencher.iter(|| {
            for n in 0..LOOKUPS as u64 {
                let sequence = Sequence(black_box(count * 2 + n));
                assert!(matches!(black_box(view.locate(volume, sequence)), Located::Absent));
            }
        });
    });
    group.finish();
}

criterion_group!(name = benches; config = support::brief(); targets = index);
criterion_main!(benches);
