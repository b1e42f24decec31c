//! Goal: no bytes make the formats panic, what was encoded is parsed, and any single turned bit is noticed.

use crate::base::ids::{ContentHash, Cookie, Epoch, Origin, Sequence, VolumeId};
use crate::base::payload::Payload;
use crate::disk::{Disk, File, MemoryDisk, Open};
use crate::journal::{Frame, LogContent, Pair, RecordLog};
use crate::store::manifest::{MANIFEST_MAGIC, MANIFEST_VERSION, Record};
use crate::store::mark::Marks;
use crate::store::needle::{Draft, fuzz_needle};
use crate::store::segment_header::SegmentHeader;
use crate::store::{Damage, Head, Kind, head_bytes};
use bytes::Bytes;
use proptest::prelude::*;
use std::io::IoSlice;
use std::sync::Arc;

const SALT: u64 = 0x5eed;

fn needle(payload: &Payload, attributes: &[u8], volume: u32, sequence: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let draft = Draft {
        kind: Kind::Put,
        volume: VolumeId(volume),
        epoch: Epoch(4),
        sequence: Sequence(sequence),
        cookie: Cookie(6),
        stored_ms: 7,
        origin: Origin { session: 8, number: 9 },
        flags: 1,
        hash: payload.hash,
        attributes,
        payload_bytes: payload.bytes.len() as u32,
        block_checksums: &payload.block_checksums,
    };
    draft.encode(SALT, &mut bytes);
    bytes.extend_from_slice(&payload.bytes);
    bytes
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..700), kind: u16) {
        fuzz_needle(&bytes);
        let _ = Frame::parse(&bytes, SALT);
        let _ = SegmentHeader::parse(&bytes);
        let _ = Marks::parse(&bytes);
        let _ = Record::parse(kind % 10, &bytes);
        let _ = SegmentHeader::version(&bytes);
        let _ = LogContent::read(&*file_of(&bytes), MANIFEST_MAGIC, MANIFEST_VERSION);
        let _ = Pair::read(&file_of(&bytes), 77, 256);
    }

    #[test]
    fn what_is_encoded_is_parsed(
        content in prop::collection::vec(any::<u8>(), 0..3000),
        blocks in 0usize..3,
        attributes in prop::collection::vec(any::<u8>(), 0..300),
        volume: u32,
        sequence in 0..u64::MAX,
    ) {
        let mut content = content;
        content.resize(content.len() + blocks * (64 << 10), 3);
        let payload = Payload::of(Bytes::from(content));
        let bytes = needle(&payload, &attributes, volume, sequence);
        let head = Head::parse(&bytes, SALT, VolumeId(volume), Sequence(sequence)).unwrap();
        prop_assert_eq!(&head.attributes[..], &attributes[..]);
        prop_assert_eq!((head.kind, head.epoch, head.cookie.0, head.stored_ms), (Kind::Put, Epoch(4), 6, 7));
        prop_assert_eq!((head.origin, head.flags, head.hash), (Origin { session: 8, number: 9 }, 1, payload.hash));
        prop_assert_eq!(head.payload_offset(), head_bytes(head.payload_bytes, attributes.len() as u16));
        prop_assert!(head.verify_payload(&payload.bytes).is_ok());
        for (block, raw) in payload.block_checksums.iter().enumerate() {
            prop_assert_eq!(head.raw_checksum(block), Some(*raw));
        }
        // Fewer bytes than the head are asked for, never guessed at.
        for shown in [0, 10, 95, 96, head.payload_offset() - 1] {
            let short = Head::parse_any(&bytes[..shown], SALT);
            prop_assert!(matches!(short, Err(Damage::Short { needed }) if needed > shown), "{:?}", short);
        }
        // In another place, or under another key, it does not pass.
        let elsewhere = Head::parse(&bytes, SALT, VolumeId(volume), Sequence(sequence + 1));
        let another = matches!(elsewhere, Err(Damage::Another { .. }));
        prop_assert!(another);
        prop_assert_eq!(Head::parse_any(&bytes, SALT + 1), Err(Damage::Checksum));
    }

    #[test]
    fn a_payload_in_the_wrong_place_does_not_verify(content in prop::collection::vec(any::<u8>(), 1..500)) {
        // The checksums of one needle in the head of another: right bytes, wrong place.
        let payload = Payload::of(Bytes::from(content));
        let here = Head::parse_any(&needle(&payload, b"", 1, 1), SALT).unwrap();
        let there = Head::parse_any(&needle(&payload, b"", 1, 2), SALT).unwrap();
        prop_assert_eq!(here.raw_checksum(0), there.raw_checksum(0));
        let stored = |sequence| needle(&payload, b"", 1, sequence)[96..100].to_vec();
        prop_assert_ne!(stored(1), stored(2));
    }
}

#[test]
fn any_turned_bit_of_a_needle_is_noticed() {
    let payload = Payload::of(Bytes::from((0..900u32).map(|n| n as u8).collect::<Vec<_>>()));
    let whole = needle(&payload, b"image/png", 3, 5);
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let noticed = match Head::parse(&bytes, SALT, VolumeId(3), Sequence(5)) {
            Err(_) => true,
            Ok(head) => head.verify_payload(&bytes[head.payload_offset()..]).is_err(),
        };
        assert!(noticed, "bit {bit}");
    }
}

#[test]
fn any_turned_bit_of_a_frame_or_a_segment_header_is_noticed() {
    let frame = super::golden::frame();
    let whole = frame.encode(SALT);
    assert_eq!(Frame::parse(&whole, SALT), Ok(frame));
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole;
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Frame::parse(&bytes, SALT).is_err(), "bit {bit}");
    }
    let header = super::golden::header();
    let whole = header.encode();
    assert_eq!(SegmentHeader::parse(&whole), Some(header));
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole;
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(SegmentHeader::parse(&bytes), None, "bit {bit}");
    }
}

/// A file with these bytes on a disk of its own.
fn file_of(bytes: &[u8]) -> Arc<dyn File> {
    let file = MemoryDisk::new().open("file", Open::Create).unwrap();
    file.write_all_at(&mut [IoSlice::new(bytes)], 0).unwrap();
    file
}

#[test]
fn any_turned_bit_of_a_manifest_is_noticed() {
    let disk = MemoryDisk::new();
    let records: Vec<_> = super::golden::records().iter().map(Record::encode).collect();
    let (first, second) = records.split_at(3);
    RecordLog::replace(&disk, "manifest", (MANIFEST_MAGIC, MANIFEST_VERSION, 5, 6), first).unwrap();
    let read = |file: &dyn File| LogContent::read(file, MANIFEST_MAGIC, MANIFEST_VERSION);
    let file = disk.open("manifest", Open::Write).unwrap();
    let content = read(&*file).unwrap();
    RecordLog::resume(Arc::clone(&file), &content).unwrap().append(second).unwrap();
    let mut whole = vec![0; 4096];
    file.read_at(&mut whole, 0).unwrap();
    let content = read(&*file_of(&whole)).unwrap();
    assert_eq!((content.records.len(), content.damaged, content.torn, content.stray_bytes), (9, 0, None, 0));
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        let noticed = match read(&*file_of(&bytes)) {
            Err(_) => true,
            Ok(content) => content.damaged > 0 || content.torn.is_some() || content.stray_bytes > 0,
        };
        assert!(noticed, "byte {at}");
    }
}

#[test]
fn any_turned_bit_of_two_slots_is_noticed() {
    const SLOT: usize = 4096;
    let file = file_of(&[]);
    let mut pair = Pair::resume(Arc::clone(&file), 77, 1, SLOT, None);
    pair.write(b"the older").unwrap();
    pair.write(b"the newer").unwrap();
    let mut whole = vec![0; 2 * SLOT];
    file.read_at(&mut whole, 0).unwrap();
    let (content, _) = Pair::read(&file, 77, SLOT).unwrap().unwrap();
    assert!(content.both_whole && !content.other_damaged && !content.stray);
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        let (content, _) = Pair::read(&file_of(&bytes), 77, SLOT).unwrap().expect("one is enough");
        assert!(content.other_damaged || content.stray, "byte {at}");
    }
    whole.push(0);
    assert!(Pair::read(&file_of(&whole), 77, SLOT).unwrap().unwrap().0.stray, "it is longer than its slots");
}

#[test]
fn the_manifest_says_the_same_after_it_is_written_anew() {
    let mut state = crate::store::manifest::ManifestState::default();
    for record in super::golden::records() {
        let (kind, body) = record.encode();
        assert_eq!(Record::parse(kind, &body), Some(record));
        state.apply(&record);
    }
    let mut again = crate::store::manifest::ManifestState::default();
    state.records().iter().for_each(|record| again.apply(record));
    assert_eq!(state, again);
}

#[test]
fn the_hash_of_an_object_is_shown_as_hex() {
    let payload = Payload::of(Bytes::new());
    assert_eq!(payload.hash, ContentHash(0x99aa_06d3_0147_98d8_6001_c324_468d_497f));
}
