//! Question: what does a request cost from socket to socket? A whole node on a real directory in this process, and one
//! raw connection: PING, GET of 4 KiB that is in memory, durable PUT of 4 KiB; one at a time, and 64 in flight.
//!
//! The client's half runs on the same machine and is in the figures.
//!
//! cargo bench --bench round_trip
#![allow(clippy::unwrap_used, reason = "a bench stops where it is surprised")]

#[path = "support/mod.rs"]
mod brief;
#[path = "../tests/support/mod.rs"]
mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use larder::request::Status;
use larder::wire::{ChecksumKind, HEADER_BYTES, Header, Received, Request};
use std::io::{Read, Write};
use support::content;
use support::node::{configuration, on_directories};
use support::raw::{Raw, put};

const CONTENT_BYTES: usize = 4096;

/// Sends the bytes of requests in one go and reads as many whole replies.
fn there_and_back(raw: &mut Raw, requests: &[u8], replies: usize, buffer: &mut [u8]) {
    raw.socket.write_all(requests).expect("the node reads");
    let (mut filled, mut used, mut left) = (0, 0, replies);
    while left > 0 {
        filled += raw.socket.read(&mut buffer[filled..]).expect("the node answers");
        while let Some(head) = buffer[used..filled].first_chunk::<HEADER_BYTES>() {
            let header = Header::parse_reply(head).expect("a sound header");
            let end = used + HEADER_BYTES + header.body_bytes as usize;
            if end > filled {
                break;
            }
            assert_eq!(header.status, Status::Ok.code());
            used = end;
            left -= usize::from(header.is_last());
        }
    }
    assert_eq!(used, filled, "nothing follows");
}

fn round_trip(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a place for files");
    let node = on_directories(&configuration(), &[directory.path()]);
    let mut raw = Raw::connect(node.address());
    let payload = content(1, CONTENT_BYTES);
    let stored = match raw.ask(&put(payload.clone())) {
        Received::Stored(stored) => stored,
        other => panic!("{other:?}"),
    };
    let get = Request::Get { id: stored.id, range: None };
    let mut buffer = vec![0; 1 << 20];
    let mut group = criterion.benchmark_group("round_trip");
    for (name, request) in [("ping", Request::Ping("x".into())), ("get 4 KiB", get), ("put 4 KiB", put(payload))] {
        for depth in [1, 64] {
            let frames: Vec<u8> =
                (1..=depth).flat_map(|n| request.encode(ChecksumKind::Crc32c, n as u64, 0).concat()).collect();
            group.throughput(Throughput::Elements(depth as u64));
            group.bench_function(format!("{name}, {depth} in flight"), |bencher| {
                bencher.iter(|| there_and_back(&mut raw, &frames, depth, &mut buffer));
            });
        }
    }
    group.finish();
    drop(raw);
    node.stop();
}

criterion_group!(name = benches; config = brief::brief(); targets = round_trip);
criterion_main!(benches);
