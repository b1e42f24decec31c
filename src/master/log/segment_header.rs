//! The first sector of a segment of the log: whose it is, the key of all in it, and what lies before it.
//!
//! ```text
//!  0        8        16    20    24               40       48       56               72       80       88
//!  +--------+--------+-----+-----+----------------+--------+--------+----------------+--------+--------+-- zeros to 512
//!  | magic  |checksum|vers.|epoch| owner          | first  | salt   | chain          | index  | term   |
//!  | u64    | u64    | u32 | u32 | u128           | u64    | u64    | u128           | u64    | u64    |
//!  +--------+--------+-----+-----+----------------+--------+--------+----------------+--------+--------+--
//! ```
//! - *magic* `LARDMLOG`; *checksum* XXH3-64 of all behind it to the end of the sector, unkeyed, for the key is inside.
//! - *owner*: the directory; *salt*: the key of the log, made at random with its first segment.
//! - *first*: the sequence of the first record, which is in the file's name too; *chain*: the digest over all before.
//! - *index*, *term*: of the last entry before the segment. What is not above it needs no file before this one.
//!
//! Any thread; pure.

use super::content::Applied;
use crate::base::checksum::keyed;
use crate::base::ids::{Epoch, Sequence};
use crate::journal::{Fields, SECTOR_BYTES, u32_at, u64_at, u128_at};

const MAGIC: u64 = u64::from_le_bytes(*b"LARDMLOG");
/// The version of the format that this program knows.
pub const LOG_VERSION: u32 = 1;
/// Bytes of the header: the first group begins behind it.
pub const LOG_HEADER_BYTES: usize = 512;

const _: () = assert!(LOG_HEADER_BYTES as u64 == SECTOR_BYTES);

const AT_CHECKSUM: usize = 8;
const AT_VERSION: usize = 16;
const AT_EPOCH: usize = 20;
const AT_OWNER: usize = 24;
const AT_FIRST: usize = 40;
const AT_SALT: usize = 48;
const AT_CHAIN: usize = 56;
const AT_INDEX: usize = 72;
const AT_TERM: usize = 80;

/// What the first sector says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogHeader {
    /// The log's epoch when the segment was made.
    pub epoch: Epoch,
    /// The directory.
    pub owner: u128,
    /// The sequence of the first record.
    pub first: Sequence,
    /// The key of the log's checksums.
    pub salt: u64,
    /// The chain digest over all records before.
    pub chain: u128,
    /// The last entry before the segment.
    pub before: Applied,
}

/// Why a sector is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadHeader {
    /// It does not verify.
    Damaged,
    /// It is whole, and of a version that this program does not know.
    Version(u32),
}

impl LogHeader {
    /// The sector.
    #[must_use]
    pub fn encode(&self) -> [u8; LOG_HEADER_BYTES] {
        let fields = Fields::<LOG_HEADER_BYTES>::default()
            .u64(0, MAGIC)
            .u32(AT_VERSION, LOG_VERSION)
            .u32(AT_EPOCH, self.epoch.0)
            .u128(AT_OWNER, self.owner)
            .u64(AT_FIRST, self.first.0)
            .u64(AT_SALT, self.salt)
            .u128(AT_CHAIN, self.chain)
            .u64(AT_INDEX, self.before.index)
            .u64(AT_TERM, self.before.term);
        let checksum = keyed(0, &fields.0[AT_VERSION..]);
        fields.u64(AT_CHECKSUM, checksum).0
    }

    /// Reads the sector.
    ///
    /// # Errors
    /// [`BadHeader`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BadHeader> {
        let bytes = bytes.first_chunk::<LOG_HEADER_BYTES>().ok_or(BadHeader::Damaged)?;
        if u64_at(bytes, 0) != MAGIC || keyed(0, &bytes[AT_VERSION..]) != u64_at(bytes, AT_CHECKSUM) {
            return Err(BadHeader::Damaged);
        }
        let version = u32_at(bytes, AT_VERSION);
        if version != LOG_VERSION {
            return Err(BadHeader::Version(version));
        }
        Ok(Self {
            epoch: Epoch(u32_at(bytes, AT_EPOCH)),
            owner: u128_at(bytes, AT_OWNER),
            first: Sequence(u64_at(bytes, AT_FIRST)),
            salt: u64_at(bytes, AT_SALT),
            chain: u128_at(bytes, AT_CHAIN),
            before: Applied { index: u64_at(bytes, AT_INDEX), term: u64_at(bytes, AT_TERM) },
        })
    }
}
