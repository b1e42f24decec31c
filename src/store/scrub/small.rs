//! The small files of a data directory, every byte of them: superblock, manifest, mark file, the scrub's own.
//!
//! Owned by the thread that scrubs. Always: a file that is rewritten meanwhile is looked at again, in a later step, before
//! anything in it is a finding.

use super::finding::{Finding, Kind};
use super::record::{SCRUB_MAGIC, SCRUB_SLOT_BYTES};
use crate::disk::{DIRECT_BYTES, DirectBuffer, Disk, Open};
use crate::journal::{log_damage, slot_damage};
use crate::store::manifest::MANIFEST_MAGIC;
use crate::store::mark::{MARK_MAGIC, MARK_SLOT_BYTES};
use crate::store::names;
use crate::store::superblock::{SLOT_BYTES, SUPERBLOCK_MAGIC};
use std::io;

/// What is read at once.
const PIECE_BYTES: usize = 256 << 10;

/// Findings of one small file that are told; behind that many it is one heap of rubble.
const FINDINGS_MAX: usize = 64;

/// The small files, in the order in which they are looked at.
pub(super) const SMALL_FILES: [&str; 4] = [names::SUPERBLOCK, names::MANIFEST, names::MARK, names::SCRUB];

/// Looks at one of them; returns what is wrong and the bytes that were read.
pub(super) fn check(disk: &dyn Disk, name: &str) -> (Vec<Finding>, u64) {
    match read_whole(disk, name) {
        Ok(bytes) => {
            let damages = damages(name, &bytes);
            let findings = damages.into_iter().take(FINDINGS_MAX);
            (findings.map(|(offset, what)| finding(name, Kind::Place, offset, what)).collect(), bytes.len() as u64)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // The scrub's own is made when the first pass begins.
            let gone = (name != names::SCRUB).then(|| finding(name, Kind::Place, 0, "the file is gone".to_string()));
            (gone.into_iter().collect(), 0)
        }
        Err(error) => (vec![finding(name, Kind::Unreadable, 0, format!("cannot be read: {error}"))], 0),
    }
}

fn finding(name: &str, kind: Kind, offset: u64, what: String) -> Finding {
    Finding { kind, file: name.to_string(), offset, volume: None, sequence: None, count: 0, what }
}

fn damages(name: &str, bytes: &[u8]) -> Vec<(u64, String)> {
    match name {
        names::SUPERBLOCK => {
            let mut found = slots(bytes, SUPERBLOCK_MAGIC, SLOT_BYTES);
            // Both are always written.
            for slot in 0..2 {
                let there = bytes.get(slot * SLOT_BYTES..(slot + 1) * SLOT_BYTES).unwrap_or_default();
                if there.iter().all(|&byte| byte == 0) {
                    found.push(((slot * SLOT_BYTES) as u64, "a slot is gone".to_string()));
                }
            }
            found
        }
        names::MARK => slots(bytes, MARK_MAGIC, MARK_SLOT_BYTES),
        names::SCRUB => slots(bytes, SCRUB_MAGIC, SCRUB_SLOT_BYTES),
        _ => log_damage(bytes, MANIFEST_MAGIC),
    }
}

fn slots(bytes: &[u8], magic: u64, slot_bytes: usize) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    for (slot, content) in (0..2).zip(bytes.chunks(slot_bytes)) {
        if let Some((offset, what)) = slot_damage(magic, slot, content) {
            found.push((slot * slot_bytes as u64 + offset as u64, what.to_string()));
        }
    }
    if let Some(behind) = bytes.get(2 * slot_bytes..).and_then(|rest| rest.iter().position(|&byte| byte != 0)) {
        found.push(((2 * slot_bytes + behind) as u64, "the bytes behind the slots are not zeros".to_string()));
    }
    found
}

/// The file as the device has it. It is as large as what the node keeps of it in memory anyway.
fn read_whole(disk: &dyn Disk, name: &str) -> io::Result<Vec<u8>> {
    let file = disk.open(name, Open::Direct)?;
    let mut buffer = DirectBuffer::new(PIECE_BYTES.max(DIRECT_BYTES));
    let mut bytes = Vec::new();
    loop {
        let read = file.read_at(buffer.bytes_mut(), bytes.len() as u64)?;
        bytes.extend_from_slice(buffer.bytes().get(..read).unwrap_or_default());
        if read < buffer.capacity() {
            return Ok(bytes);
        }
    }
}
