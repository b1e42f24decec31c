//! Goal: the bytes never change by accident. Method: one of each format, as hexadecimal digits written down once.
//!
//! A failure here is a change of the on-disk format: it needs a new version number, never a new golden text.

use crate::base::ids::{ClusterId, Cookie, DiskId, Epoch, NodeId, Origin, Sequence, VolumeId};
use crate::base::payload::Payload;
use crate::journal::{Frame, chain_next, encode_record, encode_slot};
use crate::store::manifest::{Closed, Record};
use crate::store::mark::{Mark, Marks};
use crate::store::needle::{Draft, mix};
use crate::store::segment_header::SegmentHeader;
use crate::store::{Identity, Kind, superblock};
use bytes::Bytes;

pub fn frame() -> Frame {
    Frame {
        volume: VolumeId(1),
        epoch: Epoch(2),
        generation: 3,
        position: 512,
        first: Sequence(5),
        count: 6,
        bytes: 1024,
        mark: Sequence(4),
        chain: 8,
        closing: false,
    }
}

pub fn header() -> SegmentHeader {
    SegmentHeader {
        cluster: ClusterId(1),
        disk: DiskId(2),
        volume: VolumeId(3),
        base: Sequence(4),
        salt: 5,
        generation: 6,
        edition: 0,
        next: Sequence(0),
    }
}

pub fn records() -> Vec<Record> {
    let (volume, base) = (VolumeId(1), Sequence(0));
    let closed =
        Closed { end: 2, next: Sequence(3), needles: 4, objects: 5, tombstones: 6, chain: 7, ..Closed::default() };
    let swapped = Closed { edition: 1, digest: 8, ..closed };
    vec![
        Record::VolumeCreated { volume, salt: 2, generation: 3 },
        Record::EpochStarted { volume, epoch: Epoch(1), first: base },
        Record::SegmentOpened { volume, base, epoch: Epoch(1) },
        Record::SegmentClosed { volume, base, closed },
        Record::DamageFound { volume, first: Sequence(2), count: 3 },
        Record::SegmentOpened { volume, base: Sequence(9), epoch: Epoch(1) },
        Record::SegmentDropped { volume, base: Sequence(9), edition: 0 },
        Record::VolumeSealed { volume },
        Record::Swap { volume, base, closed: swapped },
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn needle() {
    let payload = Payload::of(Bytes::from_static(b"hello"));
    let mut bytes = Vec::new();
    let draft = Draft {
        kind: Kind::Put,
        volume: VolumeId(1),
        epoch: Epoch(2),
        sequence: Sequence(3),
        cookie: Cookie(4),
        stored_ms: 5,
        origin: Origin { session: 6, number: 7 },
        flags: 1,
        hash: payload.hash,
        attributes: b"ab",
        payload_bytes: 5,
        block_checksums: &payload.block_checksums,
    };
    draft.encode(9, &mut bytes);
    assert_eq!(
        hex(&bytes),
        "4c4152444e454544743af658db7839f201010100010000000300000000000000020000000500000004000000000000000500000000000000060000000000000007000000000000001838525eaacf79c77f3e1b07adc1e9b5020000000000000061627580b295"
    );
    assert_eq!(format!("{:08x}", mix(VolumeId(1), Sequence(3), 0)), "0fc33b39");
}

#[test]
fn group_frame() {
    assert_eq!(
        hex(&frame().encode(9)),
        "4c41524447525550118e2cd3184193460100000001000000020000000600000003000000000000000500000000000000000400000000000004000000000000000800000000000000000000000000000000020000000000000000000000000000"
    );
    assert_eq!(format!("{:032x}", chain_next(1, 2)), "1ec0337f7e7bc00fb2a0af4cd27d41fe");
}

#[test]
fn segment_header() {
    let bytes = header().encode();
    assert_eq!(
        hex(&bytes[..80]),
        "4c4152445345474de4115eef45ff11d301000000030000000100000000000000000000000000000002000000000000000000000000000000040000000000000005000000000000000600000000000000"
    );
    assert!(bytes[80..].iter().all(|&byte| byte == 0));
}

#[test]
fn superblock_slot() {
    let identity = Identity { cluster: ClusterId(1), node: NodeId(2), disk: DiskId(3) };
    let body = superblock::encode(&identity, VolumeId(4));
    let slot = encode_slot(u64::from_le_bytes(*b"LARDSUPR"), superblock::FORMAT_VERSION, 5, 0, &body);
    assert_eq!(
        hex(&slot),
        "4c41524453555052e5f575f5e5124f23010000003800000005000000000000000100000000000000000000000000000002000000000000000000000000000000030000000000000000000000000000000400000000000000"
    );
}

#[test]
fn mark_slot() {
    let mark =
        Mark { volume: VolumeId(1), epoch: Epoch(2), mark: Sequence(3), base: Sequence(4), position: 5, chain: 6 };
    let marks = Marks { clean: true, marks: vec![mark] };
    assert_eq!(Marks::parse(&marks.encode()), Some(marks.clone()));
    assert_eq!(
        hex(&encode_slot(u64::from_le_bytes(*b"LARDMARK"), 1, 7, 1, &marks.encode())),
        "4c4152444d41524b5e721b852d85652d010000003800000007000000000000000100000001000000010000000200000003000000000000000400000000000000050000000000000006000000000000000000000000000000"
    );
}

#[test]
fn manifest_records() {
    let bytes: Vec<_> = records()
        .iter()
        .zip(0..)
        .map(|(record, number)| {
            let (kind, body) = record.encode();
            hex(&encode_record(9, number, kind, &body))
        })
        .collect();
    assert_eq!(
        bytes[0],
        "4c524543180000008c8d5e1e9285f24700000000000000000100000000000000010000000000000002000000000000000300000000000000"
    );
    assert_eq!(
        bytes[3],
        "4c52454348000000885c784a8e1e94d203000000000000000300000000000000010000000000000000000000000000000200000000000000030000000000000004000000000000000500000000000000060000000000000007000000000000000000000000000000"
    );
    let kinds: Vec<_> = records().iter().map(|record| record.encode().0).collect();
    assert_eq!(kinds, [1, 5, 2, 3, 6, 2, 8, 4, 7]);
}
