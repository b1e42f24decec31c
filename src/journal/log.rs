//! A small append-only file of records, each append synced before the next: the manifest, and what else must not lie.
//!
//! ```text
//!  header, one sector:  0 magic u64 | 8 checksum u64 | 16 version u32 | 20 zero u32 | 24 salt u64 | 32 owner u128 | zeros
//!  record, to 8 bytes:  0 magic u32 | 4 body bytes u32 | 8 checksum u64 | 16 number u64 | 24 kind u16 | 26 zeros | 32 body | zeros
//! ```
//! Checksums are XXH3-64 of everything behind them, the header's unkeyed, a record's keyed with the header's salt.
//! Numbers count up from 0. Each append starts on a sector, so it never rewrites one that holds durable records.
//!
//! Owned by one thread. Always: a bad record with a whole one behind it was durable, so it is damage and is counted;
//! a bad record with nothing behind it is a torn append that was never reported as done, and is cut. Between appends
//! there are zeros; anything else there is noticed, for no checksum covers it.

use super::fields::{Fields, u16_at, u32_at, u64_at, u128_at};
use super::{SECTOR_BYTES, failed_sync, sector_end};
use crate::base::checksum::keyed;
use crate::base::planted::{self, Bug};
use crate::disk::{Disk, File, Open, is_full};
use std::io::{self, IoSlice};
use std::sync::Arc;

/// Bytes before the first record.
pub const LOG_HEADER_BYTES: u64 = SECTOR_BYTES;

const RECORD_MAGIC: u32 = u32::from_le_bytes(*b"LREC");
const RECORD_HEAD_BYTES: usize = 32;
const AT_RECORD_BYTES: usize = 4;
const AT_RECORD_CHECKSUM: usize = 8;
const AT_RECORD_NUMBER: usize = 16;
const AT_RECORD_KIND: usize = 24;

const HEADER_BYTES: usize = 48;
const AT_CHECKSUM: usize = 8;
const AT_VERSION: usize = 16;
const AT_SALT: usize = 24;
const AT_OWNER: usize = 32;

/// Room that is reserved ahead of the records, so that a full disk still takes some.
const ALLOCATE_STEP_BYTES: u64 = 64 << 10;

/// A log is read into memory as a whole: above this it is not one of ours, or was extended.
const LOG_BYTES_MAX: u64 = 1 << 30;

/// Why a log could not be opened.
#[derive(Debug)]
pub enum LogError {
    /// Reading or writing failed.
    Io(io::Error),
    /// The header does not verify.
    Header,
    /// A later version.
    Version(u32),
}

impl From<io::Error> for LogError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What a log holds.
#[derive(Debug)]
pub struct LogContent {
    /// Kind and body of each whole record, in order.
    pub records: Vec<(u16, Vec<u8>)>,
    /// Durable records that do not verify.
    pub damaged: u64,
    /// Where a torn append at the end begins and ends.
    pub torn: Option<(u64, u64)>,
    /// Bytes that should be zero and are not, behind whole records.
    pub stray_bytes: u64,
    /// The owner that the header names.
    pub owner: u128,
    salt: u64,
    end: u64,
    number: u64,
}

/// An open log.
#[derive(Debug)]
pub struct RecordLog {
    file: Arc<dyn File>,
    salt: u64,
    end: u64,
    allocated: u64,
    number: u64,
    refused: bool,
}

/// One record as bytes, padded to 8.
#[must_use]
pub fn encode_record(salt: u64, number: u64, kind: u16, body: &[u8]) -> Vec<u8> {
    let head = Fields::<RECORD_HEAD_BYTES>::default()
        .u32(0, RECORD_MAGIC)
        .u32(AT_RECORD_BYTES, u32::try_from(body.len()).expect("records are small"))
        .u64(AT_RECORD_NUMBER, number)
        .u16(AT_RECORD_KIND, kind);
    let mut bytes = head.0.to_vec();
    bytes.extend_from_slice(body);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let checksum = keyed(salt, &checked_part(&bytes, body.len()));
    bytes[AT_RECORD_CHECKSUM..AT_RECORD_NUMBER].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// What the checksum of a record covers: its length, then all behind the checksum.
fn checked_part(record: &[u8], body_bytes: usize) -> Vec<u8> {
    let mut covered = (body_bytes as u64).to_le_bytes().to_vec();
    covered.extend_from_slice(record.get(AT_RECORD_NUMBER..).unwrap_or_default());
    covered
}

fn parse_record(bytes: &[u8], salt: u64) -> Option<(u64, u16, &[u8], usize)> {
    let head = bytes.first_chunk::<RECORD_HEAD_BYTES>()?;
    if u32_at(head, 0) != RECORD_MAGIC {
        return None;
    }
    let body_bytes = usize::try_from(u32_at(head, AT_RECORD_BYTES)).ok()?;
    let body_end = RECORD_HEAD_BYTES.checked_add(body_bytes)?;
    let end = body_end.checked_next_multiple_of(8)?;
    let whole = bytes.get(..end)?;
    if keyed(salt, &checked_part(whole, body_bytes)) != u64_at(head, AT_RECORD_CHECKSUM) {
        return None;
    }
    let body = whole.get(RECORD_HEAD_BYTES..body_end)?;
    Some((u64_at(head, AT_RECORD_NUMBER), u16_at(head, AT_RECORD_KIND), body, end))
}

fn encode_header(magic: u64, version: u32, salt: u64, owner: u128) -> Vec<u8> {
    let fields = Fields::<HEADER_BYTES>::default()
        .u64(0, magic)
        .u32(AT_VERSION, version)
        .u64(AT_SALT, salt)
        .u128(AT_OWNER, owner);
    let checksum = keyed(0, &fields.0[AT_VERSION..]);
    let mut bytes = fields.u64(AT_CHECKSUM, checksum).0.to_vec();
    bytes.resize(usize::try_from(LOG_HEADER_BYTES).expect("a sector is small"), 0);
    bytes
}

impl LogContent {
    /// Reads a whole log; writes nothing.
    ///
    /// # Errors
    /// [`LogError`]; damaged records are counted, not an error.
    pub fn read(file: &dyn File, magic: u64, version: u32) -> Result<Self, LogError> {
        let length = file.len()?;
        if length > LOG_BYTES_MAX {
            return Err(LogError::Io(io::Error::other(format!(
                "it has {length} bytes, more than the {LOG_BYTES_MAX} of a log"
            ))));
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| LogError::Header)?];
        let read = file.read_at(&mut bytes, 0)?;
        bytes.truncate(read);
        let header = bytes.first_chunk::<HEADER_BYTES>().ok_or(LogError::Header)?;
        if u64_at(header, 0) != magic || keyed(0, &header[AT_VERSION..]) != u64_at(header, AT_CHECKSUM) {
            return Err(LogError::Header);
        }
        let found = u32_at(header, AT_VERSION);
        if found > version {
            return Err(LogError::Version(found));
        }
        Ok(Self::walk(&bytes, u64_at(header, AT_SALT), u128_at(header, AT_OWNER)))
    }

    fn walk(bytes: &[u8], salt: u64, owner: u128) -> Self {
        let nonzero =
            |from: usize, to: usize| bytes.get(from..to).unwrap_or_default().iter().filter(|&&b| b != 0).count();
        let first = usize::try_from(LOG_HEADER_BYTES).expect("a sector is small");
        let mut content = Self {
            records: Vec::new(),
            damaged: 0,
            torn: None,
            stray_bytes: 0,
            owner,
            salt,
            end: first as u64,
            number: 0,
        };
        let (mut at, mut whole_to) = (first, HEADER_BYTES);
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let record = parse_record(rest, salt).filter(|(number, ..)| (content.number..u64::MAX).contains(number));
            let Some((number, kind, body, length)) = record else {
                at += 8;
                continue;
            };
            if number == content.number {
                // No record is missing here, so this was padding.
                content.stray_bytes += nonzero(whole_to, at) as u64;
            }
            content.damaged += number - content.number;
            content.number = number + 1;
            content.records.push((kind, body.to_vec()));
            at += length;
            (content.end, whole_to) = (at as u64, at);
        }
        // An append begins on a sector: what lies before the next one is no torn append.
        let padded_to = usize::try_from(sector_end(content.end)).unwrap_or(usize::MAX).min(bytes.len());
        content.stray_bytes += nonzero(whole_to, padded_to) as u64;
        let used = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        if used > padded_to {
            content.torn = Some((padded_to as u64, used as u64));
        }
        content
    }
}

/// What is wrong with the bytes of a whole log: where, and what. Every byte counts: what is no record must be zeros.
#[must_use]
pub fn log_damage(bytes: &[u8], magic: u64) -> Vec<(u64, String)> {
    let whole = |header: &&[u8; HEADER_BYTES]| {
        u64_at(header, 0) == magic && keyed(0, &header[AT_VERSION..]) == u64_at(header, AT_CHECKSUM)
    };
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>().filter(whole) else {
        return vec![(0, "the head of the log does not verify".to_string())];
    };
    let salt = u64_at(header, AT_SALT);
    let mut damages = Vec::new();
    let (mut at, mut next) = (HEADER_BYTES, 0);
    while at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(zeros) = rest.iter().position(|&byte| byte != 0) else { break };
        // Records follow each other on multiples of 8, or begin on a sector.
        at += zeros / 8 * 8;
        let here = bytes.get(at..).unwrap_or_default();
        let in_place = zeros == 0 || at.is_multiple_of(usize::try_from(SECTOR_BYTES).unwrap_or(1));
        match parse_record(here, salt).filter(|(number, ..)| *number >= next && in_place) {
            Some((number, _, _, length)) => {
                if number > next {
                    damages.push((at as u64, format!("records {next} to {} are missing before it", number - 1)));
                }
                next = number + 1;
                at += length;
            }
            None => {
                damages.push((at as u64, format!("neither a whole record nor zeros; record {next} was due")));
                // The next whole record, wherever it is.
                at += 8;
                while at < bytes.len() && parse_record(bytes.get(at..).unwrap_or_default(), salt).is_none() {
                    at += 8;
                }
            }
        }
    }
    damages
}

impl RecordLog {
    /// Makes a new log with these records under a temporary name, and puts it in place of `name` durably.
    ///
    /// # Errors
    /// Those of the disk; the old file is then still whole.
    pub fn replace(
        disk: &dyn Disk,
        name: &str,
        (magic, version, salt, owner): (u64, u32, u64, u128),
        records: &[(u16, Vec<u8>)],
    ) -> io::Result<Self> {
        let temporary = format!("{name}.tmp");
        match disk.remove(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = disk.open(&temporary, Open::Create)?;
        file.write_all_at(&mut [IoSlice::new(&encode_header(magic, version, salt, owner))], 0)?;
        let mut log = Self { file, salt, end: LOG_HEADER_BYTES, allocated: 0, number: 0, refused: false };
        log.write(records)?;
        log.file.sync_all().map_err(failed_sync)?;
        disk.rename(&temporary, name)?;
        disk.sync_directory().map_err(failed_sync)?;
        Ok(log)
    }

    /// Goes on with a log that was read; a torn append at its end is cut first.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn resume(file: Arc<dyn File>, content: &LogContent) -> io::Result<Self> {
        // What was read may never have reached the disk, if the process before this one died.
        file.sync_all().map_err(failed_sync)?;
        let end = sector_end(content.end);
        if content.torn.is_some() {
            file.set_len(content.end)?;
            file.sync_all().map_err(failed_sync)?;
        }
        let number = content.number;
        let allocated = file.len()?;
        Ok(Self { file, salt: content.salt, end, allocated, number, refused: false })
    }

    /// Bytes up to the end of the records.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.end
    }

    /// Appends records and syncs them.
    ///
    /// # Errors
    /// No room ([`is_full`]) leaves the log as it was and usable; any other error makes it refuse for good.
    pub fn append(&mut self, records: &[(u16, Vec<u8>)]) -> io::Result<()> {
        if self.refused {
            return Err(io::Error::other("an earlier write of this file failed; reopen the disk"));
        }
        let before = (self.end, self.number);
        self.refused = true;
        match self.write(records) {
            Err(error) if is_full(&error) => {
                (self.end, self.number) = before;
                self.file.set_len(self.end)?;
                // Some of it may have been written back: without this a power cut could bring a refused record to life.
                self.file.sync_all().map_err(failed_sync)?;
                self.allocated = self.end;
                self.refused = false;
                Err(error)
            }
            Err(error) => Err(error),
            Ok(()) => {
                // Also for want of room: what is on the disk then is not known, so this is not a full log.
                if planted::on(Bug::ManifestWithoutSync) {
                    self.refused = false;
                    return Ok(());
                }
                self.file.sync_data().map_err(failed_sync)?;
                self.refused = false;
                Ok(())
            }
        }
    }

    fn write(&mut self, records: &[(u16, Vec<u8>)]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (kind, body) in records {
            bytes.extend_from_slice(&encode_record(self.salt, self.number, *kind, body));
            self.number += 1;
        }
        let past = self.end + bytes.len() as u64;
        if past > self.allocated {
            let room = past.next_multiple_of(ALLOCATE_STEP_BYTES);
            self.file.allocate(self.allocated, room - self.allocated)?;
            self.allocated = room;
        }
        self.file.write_all_at(&mut [IoSlice::new(&bytes)], self.end)?;
        self.end = sector_end(past);
        Ok(())
    }
}
