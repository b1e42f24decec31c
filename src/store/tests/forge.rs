//! A data directory of one volume, made byte by byte, so that each tail and each proof can be had on its own.
//!
//! Segments of four objects, one a group: bases 0, 4 and 8. Everything is synced when it is handed over.

use super::world::{IDENTITY, content, store};
use crate::base::ids::{Cookie, DiskId, Epoch, ObjectId, Origin, Sequence, VolumeId};
use crate::base::payload::Payload;
use crate::disk::{Disk, MemoryDisk, Open};
use crate::journal::{Frame, Pair, RecordLog, SECTOR_BYTES, chain_next, sector_end};
use crate::store::manifest::{Closed, MANIFEST_MAGIC, MANIFEST_VERSION, Record};
use crate::store::mark::{MARK_MAGIC, MARK_SLOT_BYTES, MARK_VERSION, Mark, Marks};
use crate::store::needle::Draft;
use crate::store::segment_header::SegmentHeader;
use crate::store::{Identity, Kind, names};
use bytes::Bytes;
use std::io::IoSlice;
use std::sync::Arc;

pub const VOLUME: VolumeId = VolumeId(1);
pub const SALT: u64 = 0x5eed_0001;
pub const OBJECT_BYTES: usize = 700;
/// Objects of a segment.
pub const EACH: u64 = 4;

/// One group with its place.
#[derive(Debug, Clone)]
pub struct GroupAt {
    pub sequence: u64,
    /// Of its frame.
    pub position: u64,
    /// Where its needle begins.
    pub needle: u64,
    /// Behind its needle.
    pub end: u64,
}

/// A segment under construction.
#[derive(Debug, Clone)]
pub struct Forged {
    pub base: u64,
    pub bytes: Vec<u8>,
    pub groups: Vec<GroupAt>,
    pub chain: u128,
    /// What the manifest says; none: nothing.
    pub named: bool,
    pub closed: bool,
}

pub fn id(sequence: u64) -> ObjectId {
    ObjectId { volume: VOLUME, sequence: Sequence(sequence), cookie: Cookie(sequence.wrapping_add(1000)) }
}

pub fn name(base: u64) -> String {
    names::segment(VOLUME, Sequence(base))
}

pub fn object(sequence: u64) -> Vec<u8> {
    content(sequence, OBJECT_BYTES)
}

pub fn header(disk: DiskId, base: u64) -> SegmentHeader {
    let cluster = IDENTITY.0;
    SegmentHeader {
        cluster,
        disk,
        volume: VOLUME,
        base: Sequence(base),
        salt: SALT,
        generation: 1,
        edition: 0,
        next: Sequence(0),
    }
}

/// A frame and a needle, keyed as asked.
pub fn group_bytes(
    volume: VolumeId,
    salt: u64,
    sequence: u64,
    mark: u64,
    position: u64,
    chain: u128,
) -> (Vec<u8>, u64) {
    let payload = Payload::of(Bytes::from(object(sequence)));
    let mut needle = Vec::new();
    let draft = Draft {
        kind: Kind::Put,
        volume,
        epoch: Epoch(1),
        sequence: Sequence(sequence),
        cookie: id(sequence).cookie,
        stored_ms: 7,
        origin: Origin { session: 0, number: 0 },
        flags: 0,
        hash: payload.hash,
        attributes: b"type: test",
        payload_bytes: OBJECT_BYTES as u32,
        block_checksums: &payload.block_checksums,
    };
    draft.encode(salt, &mut needle);
    needle.extend_from_slice(&payload.bytes);
    needle.resize(needle.len().next_multiple_of(8), 0);
    let frame = Frame {
        volume,
        epoch: Epoch(1),
        generation: 1,
        position,
        first: Sequence(sequence),
        count: 1,
        bytes: 96 + needle.len() as u64,
        mark: Sequence(mark),
        chain,
        closing: false,
    };
    let checksum = u64::from_le_bytes(needle[8..16].try_into().unwrap());
    let mut bytes = frame.encode(salt).to_vec();
    bytes.extend_from_slice(&needle);
    (bytes, checksum)
}

impl Forged {
    pub fn new(disk: DiskId, base: u64, chain: u128) -> Self {
        let bytes = header(disk, base).encode().to_vec();
        Self { base, bytes, groups: Vec::new(), chain, named: true, closed: true }
    }

    /// One more object; its frame says that everything below `mark` was synced.
    pub fn push(&mut self, sequence: u64, mark: u64) {
        let position = sector_end(self.bytes.len() as u64);
        let (group, checksum) = group_bytes(VOLUME, SALT, sequence, mark, position, self.chain);
        self.bytes.resize(position as usize, 0);
        self.bytes.extend_from_slice(&group);
        self.chain = chain_next(self.chain, checksum);
        let end = self.bytes.len() as u64;
        self.groups.push(GroupAt { sequence, position, needle: position + 96, end });
    }

    /// All of its objects, each proven by the frame behind it.
    pub fn full(disk: DiskId, base: u64, chain: u128) -> Self {
        let mut segment = Self::new(disk, base, chain);
        (base..base + EACH).for_each(|sequence| segment.push(sequence, sequence));
        segment
    }

    pub fn end(&self) -> u64 {
        self.groups.last().map_or(SECTOR_BYTES, |group| group.end)
    }

    pub fn next(&self) -> u64 {
        self.groups.last().map_or(self.base, |group| group.sequence.wrapping_add(1))
    }
}

/// A formatted disk and its id.
pub fn formatted() -> (MemoryDisk, Identity) {
    let disk = MemoryDisk::new();
    let opened = store(&disk);
    let identity = opened.identity;
    opened.appender.close().unwrap();
    (disk, identity)
}

pub fn write(disk: &MemoryDisk, name: &str, bytes: &[u8]) {
    let _there = disk.remove(name);
    let file = disk.open(name, Open::Create).unwrap();
    file.write_all_at(&mut [IoSlice::new(bytes)], 0).unwrap();
    file.sync_all().unwrap();
    disk.sync_directory().unwrap();
}

/// What the manifest says of these segments.
pub fn records(segments: &[Forged]) -> Vec<Record> {
    let mut records = vec![
        Record::VolumeCreated { volume: VOLUME, salt: SALT, generation: 1 },
        Record::EpochStarted { volume: VOLUME, epoch: Epoch(1), first: Sequence(0) },
    ];
    for segment in segments.iter().filter(|segment| segment.named) {
        let base = Sequence(segment.base);
        records.push(Record::SegmentOpened { volume: VOLUME, base, epoch: Epoch(1) });
        if segment.closed {
            let count = segment.groups.len() as u64;
            let closed = Closed {
                end: segment.end(),
                next: Sequence(segment.next()),
                needles: count,
                objects: count,
                tombstones: 0,
                chain: segment.chain,
                ..Closed::default()
            };
            records.push(Record::SegmentClosed { volume: VOLUME, base, closed });
        }
    }
    records
}

pub fn write_manifest(disk: &MemoryDisk, identity: &Identity, records: &[Record]) {
    let records: Vec<_> = records.iter().map(Record::encode).collect();
    let head = (MANIFEST_MAGIC, MANIFEST_VERSION, 77, identity.disk.0);
    RecordLog::replace(disk, names::MANIFEST, head, &records).unwrap();
}

/// A mark file that says how far the segment at `base` was synced, if at all.
pub fn write_mark(disk: &MemoryDisk, clean: bool, synced: Option<(u64, u64)>) {
    let mark = |(base, mark)| Mark {
        volume: VOLUME,
        epoch: Epoch(1),
        mark: Sequence(mark),
        base: Sequence(base),
        position: 0,
        chain: 0,
    };
    let marks = Marks { clean, marks: synced.map(mark).into_iter().collect() };
    write(disk, names::MARK, &vec![0; 2 * MARK_SLOT_BYTES]);
    let file = disk.open(names::MARK, Open::Write).unwrap();
    Pair::resume(Arc::clone(&file), MARK_MAGIC, MARK_VERSION, MARK_SLOT_BYTES, None).write(&marks.encode()).unwrap();
}
