//! Goal: the bytes of the format stay what FORMAT.md says. Method: known answers.

use super::world::*;
use crate::base::ids::{Epoch, Sequence};
use crate::disk::MemoryDisk;
use crate::master::log::mark::Mark;
use crate::master::log::record::RecordPlace;
use crate::master::log::segment_header::LogHeader;
use crate::master::log::{EntryKind, HardState, LogEntry, Record};
use bytes::Bytes;

fn hex(bytes: &[u8]) -> Vec<String> {
    bytes.chunks(16).map(|row| row.iter().map(|byte| format!("{byte:02x}")).collect()).collect()
}

const RECORD: [&str; 9] = [
    "4c41524452454344127b205ba349934d",
    "01000000410000003100000000000000",
    "5800000002000000cf3e2396007f957d",
    "11000000000000001200000000000000",
    "13000000000000002100000000000000",
    "10000000000000000900000000000000",
    "636f6d6d616e64732100000000000000",
    "22000000000000001100000000000000",
    "0000000001000000",
];

const HEADER: [&str; 6] = [
    "4c4152444d4c4f47bf1663e95390c14c",
    "01000000410000008888777766665555",
    "44443333222211113100000000000000",
    "175a0000000000000000ffffeeeedddd",
    "ccccbbbbaaaa99992000000000000000",
    "10000000000000000000000000000000",
];

const MARK: [&str; 6] = [
    "01000000410000003100000000000000",
    "20000000000000001000000000000000",
    "11000000000000001200000000000000",
    "13000000000000000000000000000000",
    "175a0000000000000000000000000000",
    "88887777666655554444333322221111",
];

#[test]
fn a_record() {
    let record = Record {
        hard: HardState { term: 0x11, vote: 0x12, commit: 0x13 },
        entries: vec![
            LogEntry { index: 0x21, term: 0x10, kind: EntryKind::Normal, data: Bytes::from_static(b"commands!") },
            LogEntry { index: 0x22, term: 0x11, kind: EntryKind::ConfChange, data: Bytes::new() },
        ],
    };
    let mut bytes = Vec::new();
    let place = RecordPlace { salt: 0x5a17, sequence: Sequence(0x31), epoch: Epoch(0x41) };
    let checksum = record.encode(&place, &mut bytes);
    assert_eq!(Some(bytes.len()), record.bytes());
    assert_eq!(bytes[8..16], checksum.to_le_bytes());
    assert_eq!(hex(&bytes), RECORD);
}

#[test]
fn the_header_of_a_segment() {
    let header = LogHeader {
        epoch: Epoch(0x41),
        owner: 0x1111_2222_3333_4444_5555_6666_7777_8888,
        first: Sequence(0x31),
        salt: 0x5a17,
        chain: 0x9999_aaaa_bbbb_cccc_dddd_eeee_ffff_0000,
        before: at(0x20, 0x10),
    };
    let bytes = header.encode();
    assert_eq!(LogHeader::parse(&bytes), Ok(header));
    assert_eq!(hex(&bytes[..96]), HEADER);
    assert!(bytes[88..].iter().all(|&byte| byte == 0));
}

#[test]
fn a_mark() {
    let mark = Mark {
        clean: true,
        epoch: Epoch(0x41),
        mark: Sequence(0x31),
        last: at(0x20, 0x10),
        hard: HardState { term: 0x11, vote: 0x12, commit: 0x13 },
        salt: 0x5a17,
        owner: 0x1111_2222_3333_4444_5555_6666_7777_8888,
    };
    let bytes = mark.encode();
    assert_eq!(Mark::parse(&bytes), Some(mark));
    assert_eq!(Mark::parse(&bytes[..95]), None);
    assert_eq!(hex(&bytes), MARK);
}

#[test]
fn a_log_of_two_records() {
    let disk = MemoryDisk::new();
    let (mut log, report) = open(&disk, at(0, 0));
    assert!(report.created);
    log.append(&record(1, 1, 1, 10)).unwrap();
    log.append(&record(2, 3, 1, 600)).unwrap();
    log.close().unwrap();
    assert_eq!(names(&disk), ["log-0000000000000000", "log-mark"]);
    // Header, a group of one sector, one of three, the closing frame.
    assert_eq!(frames(&disk, "log-0000000000000000"), [512, 1024, 1024 + 3 * 512]);
    assert_eq!(content(&disk, "log-mark").len(), 8192);
}
