//! The file `scrub`: where the pass of a disk is, and when and how the last one ended, across restarts.
//!
//! A pair of slots (see `journal`) of 4 KiB. The body of a slot, 72 bytes:
//! ```text
//!  0 completed ms u64 | 8 completed findings u64 | 16 begun ms u64 | 24 findings u64 | 32 bytes u64
//!  40 volume u32 | 44 searches u32 | 48 base u64 | 56 completed begun ms u64 | 64 searched ms u64
//! ```
//! - *completed*: when the last pass ended, milliseconds since 1970, what it had found, and when it had begun; 0 = none yet.
//! - *begun*: when the current pass began; 0 = none. *findings*, *bytes*: of it, up to *volume* and *base*, the segment
//!   that is to be looked at next. *searches*: 1 if it has looked for dead chunks since it began, and left none that it met.
//! - *searched*: when the last pass that did so to its end had begun; 0 = none yet.
//!
//! A body of 64 bytes ends before *searched*: the pass in it searches nothing.
//!
//! Owned by the background thread of the disk. Always: nothing depends on it; without it a pass begins anew.

use crate::base::ids::{Sequence, VolumeId};
use crate::disk::{Disk, File, Open};
use crate::journal::{Fields, Pair, failed_sync, u32_at, u64_at};
use crate::store::names;
use std::io;
use std::sync::Arc;

/// Says that a file is of the scrub.
pub(super) const SCRUB_MAGIC: u64 = u64::from_le_bytes(*b"LARDSCRB");
const SCRUB_VERSION: u32 = 1;
/// Bytes of one of its slots.
pub(super) const SCRUB_SLOT_BYTES: usize = 4096;
const BODY_BYTES: usize = 72;
/// Without when it was searched.
const BODY_BYTES_MIN: usize = 64;

/// What is remembered of the scrub of one disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrubRecord {
    /// When the last pass ended: milliseconds since 1970; 0 = never.
    pub completed_ms: u64,
    /// What it had found.
    pub completed_findings: u64,
    /// When it had begun.
    pub completed_begun_ms: u64,
    /// When the current pass began; 0 = there is none.
    pub begun_ms: u64,
    /// What it has found so far.
    pub findings: u64,
    /// Bytes that it has checked so far.
    pub bytes: u64,
    /// The segment that is to be looked at next.
    pub next: (VolumeId, Sequence),
    /// The current pass has looked for dead chunks since it began, and none that it met before `next` is left.
    pub searches: bool,
    /// When the last pass that did so to its end had begun; 0 = never.
    pub searched_ms: u64,
}

impl Default for ScrubRecord {
    fn default() -> Self {
        let next = (VolumeId(0), Sequence(0));
        Self {
            completed_ms: 0,
            completed_findings: 0,
            completed_begun_ms: 0,
            begun_ms: 0,
            findings: 0,
            bytes: 0,
            next,
            searches: false,
            searched_ms: 0,
        }
    }
}

/// The file with it.
#[derive(Debug)]
pub struct ScrubFile(Pair);

impl ScrubFile {
    /// What is remembered; nothing if the file is not there, or damaged. Writes nothing.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn read(disk: &dyn Disk) -> io::Result<ScrubRecord> {
        match disk.open(names::SCRUB, Open::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ScrubRecord::default()),
            file => Ok(read(&file?)?.0),
        }
    }

    /// Opens the file, or makes it, and reads what is remembered.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn open(disk: &dyn Disk) -> io::Result<(Self, ScrubRecord)> {
        let file: Arc<dyn File> = match disk.open(names::SCRUB, Open::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = disk.open(names::SCRUB, Open::Create)?;
                file.allocate(0, 2 * SCRUB_SLOT_BYTES as u64)?;
                file.sync_all().map_err(failed_sync)?;
                disk.sync_directory().map_err(failed_sync)?;
                file
            }
            other => other?,
        };
        let (record, held) = read(&file)?;
        Ok((Self(Pair::resume(file, SCRUB_MAGIC, SCRUB_VERSION, SCRUB_SLOT_BYTES, held)), record))
    }

    /// Remembers, durably.
    ///
    /// # Errors
    /// Those of the disk; from then on every write is refused.
    pub fn write(&mut self, record: &ScrubRecord) -> io::Result<()> {
        self.0.write(&record.encode())
    }
}

/// The record, and what the pair goes on from.
fn read(file: &Arc<dyn File>) -> io::Result<(ScrubRecord, Option<(u64, u64)>)> {
    Ok(match Pair::read(file, SCRUB_MAGIC, SCRUB_SLOT_BYTES)? {
        Some((content, slot)) => {
            let known = content.version == SCRUB_VERSION;
            let record = ScrubRecord::parse(&content.body).filter(|_| known);
            (record.unwrap_or_default(), Some((content.counter, slot)))
        }
        None => (ScrubRecord::default(), None),
    })
}

impl ScrubRecord {
    fn encode(&self) -> [u8; BODY_BYTES] {
        Fields::<BODY_BYTES>::default()
            .u64(0, self.completed_ms)
            .u64(8, self.completed_findings)
            .u64(16, self.begun_ms)
            .u64(24, self.findings)
            .u64(32, self.bytes)
            .u32(40, self.next.0.0)
            .u32(44, u32::from(self.searches))
            .u64(48, self.next.1.0)
            .u64(56, self.completed_begun_ms)
            .u64(64, self.searched_ms)
            .0
    }

    fn parse(body: &[u8]) -> Option<Self> {
        let known = body.get(..BODY_BYTES).or_else(|| body.get(..BODY_BYTES_MIN))?;
        let mut body = [0; BODY_BYTES];
        body.get_mut(..known.len())?.copy_from_slice(known);
        let body = &body;
        Some(Self {
            completed_ms: u64_at(body, 0),
            completed_findings: u64_at(body, 8),
            begun_ms: u64_at(body, 16),
            findings: u64_at(body, 24),
            bytes: u64_at(body, 32),
            completed_begun_ms: u64_at(body, 56),
            next: (VolumeId(u32_at(body, 40)), Sequence(u64_at(body, 48))),
            searches: u32_at(body, 44) == 1,
            searched_ms: u64_at(body, 64),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemoryDisk;

    #[test]
    fn what_is_written_is_remembered_and_damage_costs_one_write() {
        let disk = MemoryDisk::new();
        let (mut file, record) = ScrubFile::open(&disk).unwrap();
        assert_eq!(record, ScrubRecord::default());
        let first = ScrubRecord { completed_ms: 1, completed_findings: 2, begun_ms: 3, ..record };
        let next = (VolumeId(6), Sequence(7));
        let second = ScrubRecord { findings: 4, bytes: 5, next, searches: true, searched_ms: 8, ..first };
        file.write(&first).unwrap();
        file.write(&second).unwrap();
        assert_eq!(ScrubFile::open(&disk.crash_clean()).unwrap().1, second);
        // The second write went to the second slot.
        crate::store::tests::world::flip(&disk, names::SCRUB, 4096 + 40, 1);
        assert_eq!(ScrubFile::open(&disk).unwrap().1, first);
    }

    #[test]
    fn a_record_without_a_search_is_taken_over() {
        let record = ScrubRecord { completed_ms: 1, begun_ms: 3, bytes: 5, searched_ms: 8, ..ScrubRecord::default() };
        let body = record.encode();
        assert_eq!(ScrubRecord::parse(&body), Some(record));
        let before = &body[..BODY_BYTES_MIN];
        assert_eq!(ScrubRecord::parse(before), Some(ScrubRecord { searched_ms: 0, ..record }));
        assert_eq!(ScrubRecord::parse(&body[..BODY_BYTES_MIN - 1]), None);
    }
}
