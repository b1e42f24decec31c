//! Question: how many frames a second can one processor parse? A buffer of pipelined requests, from its bytes to
//! operations, with all checksums, by the binary protocol as the reactor runs it. No socket, no disk.
//!
//! cargo bench --bench decoder

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use larder::base::ids::{ClusterId, Cookie, NodeId, ObjectId, Origin, Sequence, VolumeId};
use larder::base::path::NamePath;
use larder::binary::Binary;
use larder::net::{Arrival, Body, Decoded, Guest, Peer, Protocol};
use larder::request::{Attributes, Change, ChangeRequest, Condition, Durability, Limits, Lookup, NameOperation};
use larder::wire::{ChecksumKind, Hello, Request};
use std::hint::black_box;
use std::sync::Arc;

const FRAMES: u64 = 1000;

fn limits() -> Limits {
    Limits {
        cluster: ClusterId(1),
        node: NodeId(2),
        body_bytes_max: 8 << 20,
        chunk_bytes_max: 8 << 20,
        in_flight_max: 1,
        deadline_default_ms: 1,
        deadline_max_ms: 1,
    }
}

fn peer() -> Peer {
    Peer { address: ([127, 0, 0, 1], 1).into(), metrics: Arc::default() }
}

/// The frames of many requests, one behind the other.
fn pipelined(request: &Request, kind: ChecksumKind) -> Bytes {
    (1..=FRAMES).flat_map(|n| request.encode(kind, n, 0).concat()).collect::<Vec<u8>>().into()
}

/// Takes all frames of a buffer; returns how many were requests.
fn take_all(protocol: &mut dyn Protocol, input: &Bytes) -> u64 {
    let (mut at, mut requests) = (0, 0);
    while at < input.len() {
        let arrival = match protocol.decode(&input[at..]) {
            Decoded::More => unreachable!("the frames are whole"),
            other @ (Decoded::Open { .. } | Decoded::Content { .. } | Decoded::Sealed { .. }) => {
                unreachable!("frames say how long they are: {other:?}")
            }
            Decoded::Whole { head_bytes, arrival } => {
                at += head_bytes;
                arrival
            }
            Decoded::Body { head_bytes, body_bytes, .. } => {
                let body = input.slice(at + head_bytes..at + head_bytes + body_bytes);
                at += head_bytes + body_bytes;
                protocol.absorb(&body);
                protocol.finish(Some(Body { bytes: body, room: None }))
            }
        };
        requests += u64::from(matches!(black_box(arrival), Arrival::Request { .. }));
    }
    requests
}

fn decoder(criterion: &mut Criterion) {
    let id = ObjectId { volume: VolumeId(1), sequence: Sequence(2), cookie: Cookie(3) };
    let put = |bytes: usize| Request::Put {
        durability: Durability::Disk,
        origin: Default::default(),
        attributes: Attributes::of(&[(Attributes::CONTENT_TYPE, b"image/jpeg")]).expect("it is short"),
        payload: vec![7; bytes].into(),
    };
    let path = NamePath::parse(b"/photos/2026/11/22/IMG_20261122_141500.jpg").expect("it is a path");
    let commit = Change::Commit {
        path: path.clone(),
        condition: Condition::Any,
        parents: false,
        modified_ms: Some(1),
        attributes: Attributes::of(&[(Attributes::CONTENT_TYPE, b"image/jpeg")]).expect("it is short"),
        chunks: vec![id],
    };
    let change = ChangeRequest { id: Origin { session: 1, number: 2 }, change: commit };
    let mut group = criterion.benchmark_group("decoder");
    group.throughput(Throughput::Elements(FRAMES));
    let cases = [
        ("ping", Request::Ping(Bytes::new())),
        ("get", Request::Get { id, range: None }),
        ("commit", Request::Name(NameOperation::Change(Box::new(change)))),
        ("lookup", Request::Name(NameOperation::Lookup(Lookup { path, chunk_first: 0, chunks_max: 1 }))),
        ("put 4 KiB", put(4 << 10)),
        ("put 64 KiB", put(64 << 10)),
    ];
    for (name, request) in cases {
        for (kind_name, kind) in [("crc32c", ChecksumKind::Crc32c), ("crc32", ChecksumKind::Crc32)] {
            let input = pipelined(&request, kind);
            let mut protocol = Binary::new(limits()).begin(peer());
            let hello: Bytes = Request::Hello(Hello::of("bench")).encode(kind, 1, 0).concat().into();
            take_all(&mut *protocol, &hello);
            group.bench_function(format!("{name}, {kind_name}"), |bencher| {
                bencher.iter(|| assert_eq!(take_all(&mut *protocol, &input), FRAMES));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, decoder);
criterion_main!(benches);
