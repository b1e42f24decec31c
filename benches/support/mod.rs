//! What several benches share: an appender without a lane, and how long a bench may take.
#![allow(dead_code, reason = "each bench uses a part of it")]

use bytes::Bytes;
use criterion::Criterion;
use larder::base::clock::SystemClock;
use larder::base::ids::{Cookie, Origin, VolumeId};
use larder::base::payload::Payload;
use larder::disk::Disk;
use larder::store::{Appended, Entry, Opened, StoreError, StoreOptions, VolumeNumbers, open};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Whether this run measures; `cargo test --benches` only looks whether the benches work.
pub fn measures() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// Few samples of a short time, so that all benches together take minutes.
pub fn brief() -> Criterion {
    let criterion = Criterion::default().sample_size(20);
    criterion.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2))
}

/// Numbers of volumes, from 1.
#[derive(Default)]
pub struct Numbers(AtomicU32);

impl VolumeNumbers for Numbers {
    fn next(&self) -> Result<VolumeId, StoreError> {
        Ok(VolumeId(self.0.fetch_add(1, Ordering::Relaxed) + 1))
    }
}

pub fn opened(disk: Arc<dyn Disk>) -> Opened {
    let options = StoreOptions { reserve_bytes: Some(1 << 20), ..StoreOptions::default() };
    open(disk, None, &options, SystemClock::shared()).expect("an empty directory is formatted")
}

pub fn entry(payload: &Payload) -> Entry {
    let payload = Payload {
        bytes: payload.bytes.clone(),
        block_checksums: payload.block_checksums.clone(),
        hash: payload.hash,
        room: None,
    };
    Entry::Put { payload, cookie: Cookie(7), attributes: Bytes::new(), origin: Origin::default(), named: false }
}

/// A group of so many objects of this content.
pub fn group(payload: &Payload, count: usize) -> Vec<Entry> {
    (0..count).map(|_| entry(payload)).collect()
}

pub fn assert_stored(outcomes: &[Appended]) {
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Appended::Stored(_))), "all were stored");
}
