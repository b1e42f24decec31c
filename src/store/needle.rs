//! The needle: one stored object, or one fact about its volume, with everything that is needed to verify it.
//!
//! ```text
//!  0        8        16   17   18    20     24       32    36     40       48        56       64       72
//!  +--------+--------+----+----+-----+------+--------+-----+------+--------+---------+--------+--------+
//!  | magic  |checksum|ver.|kind|flags|volume|sequence|epoch|paylo.| cookie |stored ms| origin session, |
//!  |        |        |    |    |     |      |        |     |bytes |        |         | origin number   |
//!  +--------+--------+----+----+-----+------+--------+-----+------+--------+---------+--------+--------+
//!  72               88     90          96                 96+a         96+a+4b                     to 8
//!  +----------------+------+-----------+------------------+------------+--------------------------+-----+
//!  | content hash   |attr. | zeros     | attributes (a)   | CRC table  | payload                  |zeros|
//!  |                |bytes |           |                  | (4b)       |                          |     |
//!  +----------------+------+-----------+------------------+------------+--------------------------+-----+
//! ```
//! - *magic*: `LARDNEED`. It is compared, so the checksum needs not cover it.
//! - *checksum*: XXH3-64, keyed with the volume's salt, of everything from *version* to the end of the CRC table.
//! - *kind*: 1 PUT, 2 TOMBSTONE, 3 EPOCH_START, 4 SEAL. *flags*: 1 NAMED (put for a name, not by id).
//! - *epoch* u32, *payload bytes* u32, *cookie* u64, *stored* u64 milliseconds since 1970.
//! - *origin*: upload session and number, or zeros. *content hash*: XXH3-128 of the payload.
//! - *CRC table*: for each 64 KiB of payload its CRC-32C XOR [`mix`] of volume, sequence and block.
//! - the payload of a TOMBSTONE is 16 bytes, the target's sequence and cookie; EPOCH_START and SEAL have none.
//!
//! Any thread; pure. Always: [`Head::parse`] takes any bytes and never panics; what it returns is what was encoded.

use super::damage::Damage;
use crate::base::checksum::{content_hash, crc32c, keyed};
use crate::base::ids::{ContentHash, Cookie, Epoch, Origin, Sequence, VolumeId};
use crate::base::limits::{ATTRIBUTE_BYTES_MAX, BLOCK_BYTES, CHUNK_BYTES_MAX};
use crate::base::payload::Payload;
use crate::journal::{Fields, u16_at, u32_at, u64_at, u128_at};
use bytes::Bytes;
use smallvec::SmallVec;
use std::ops::Range;

const MAGIC: u64 = u64::from_le_bytes(*b"LARDNEED");
const VERSION: u8 = 1;
/// Blocks of an object whose checksums need no list of their own.
const BLOCKS_INLINE: usize = 4;

/// The needle belongs to a name: it was put by an upload, and is not deleted by id.
pub const FLAG_NAMED: u16 = 1;

const AT_MAGIC: usize = 0;
const AT_CHECKSUM: usize = AT_MAGIC + 8;
const AT_VERSION: usize = AT_CHECKSUM + 8;
const AT_KIND: usize = AT_VERSION + 1;
const AT_FLAGS: usize = AT_KIND + 1;
const AT_VOLUME: usize = AT_FLAGS + 2;
const AT_SEQUENCE: usize = AT_VOLUME + 4;
const AT_EPOCH: usize = AT_SEQUENCE + 8;
const AT_PAYLOAD_BYTES: usize = AT_EPOCH + 4;
const AT_COOKIE: usize = AT_PAYLOAD_BYTES + 4;
const AT_STORED: usize = AT_COOKIE + 8;
const AT_SESSION: usize = AT_STORED + 8;
const AT_NUMBER: usize = AT_SESSION + 8;
const AT_HASH: usize = AT_NUMBER + 8;
const AT_ATTRIBUTE_BYTES: usize = AT_HASH + 16;
const AT_ZERO: usize = AT_ATTRIBUTE_BYTES + 2;

/// Bytes of a head before its attributes and CRC table.
pub const HEAD_BYTES_FIXED: usize = AT_ZERO + 6;

/// Bytes of a tombstone's payload.
pub const TOMBSTONE_BYTES: usize = 16;

/// What a needle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An object.
    Put,
    /// Says that an object of the same volume is deleted.
    Tombstone,
    /// The first needle of an epoch.
    EpochStart,
    /// The volume takes no more objects.
    Seal,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Put => 1,
            Self::Tombstone => 2,
            Self::EpochStart => 3,
            Self::Seal => 4,
        }
    }

    fn of(code: u8) -> Option<Self> {
        [Self::Put, Self::Tombstone, Self::EpochStart, Self::Seal].into_iter().find(|kind| kind.code() == code)
    }
}

/// Blocks of a payload: 64 KiB each, the last may be shorter, none for an empty one.
#[must_use]
pub fn block_count(payload_bytes: u32) -> usize {
    (payload_bytes as usize).div_ceil(BLOCK_BYTES)
}

/// Bytes of a whole head: where the payload begins.
#[must_use]
pub fn head_bytes(payload_bytes: u32, attribute_bytes: u16) -> usize {
    HEAD_BYTES_FIXED + usize::from(attribute_bytes) + 4 * block_count(payload_bytes)
}

/// Bytes that a needle takes in its segment, a multiple of 8.
#[must_use]
pub fn needle_bytes(payload_bytes: u32, attribute_bytes: u16) -> u64 {
    let head = head_bytes(payload_bytes, attribute_bytes) as u64;
    (head + u64::from(payload_bytes)).next_multiple_of(8)
}

/// What a block's checksum is mixed with, so that right bytes in a wrong place fail: the low 32 bits of XXH3-64 of
/// volume (u32), sequence (u64) and block (u32), little-endian, 16 bytes.
#[must_use]
pub fn mix(volume: VolumeId, sequence: Sequence, block: usize) -> u32 {
    let block = u32::try_from(block).expect("a needle has at most 128 blocks");
    let place = Fields::<16>::default().u32(0, volume.0).u64(4, sequence.0).u32(12, block);
    let [a, b, c, d, ..] = keyed(0, &place.0).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// What a writer says about a needle; its payload goes to the file on its own.
#[derive(Debug, Clone, Copy)]
pub struct Draft<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its volume.
    pub volume: VolumeId,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its sequence.
    pub sequence: Sequence,
    /// Its cookie; 0 for what is no object.
    pub cookie: Cookie,
    /// Milliseconds since 1970.
    pub stored_ms: u64,
    /// The request that made it.
    pub origin: Origin,
    /// [`FLAG_NAMED`] or 0.
    pub flags: u16,
    /// XXH3-128 of the payload.
    pub hash: ContentHash,
    /// Attributes, at most 4 KiB.
    pub attributes: &'a [u8],
    /// Bytes of the payload, at most 8 MiB.
    pub payload_bytes: u32,
    /// Raw CRC-32C of each block.
    pub block_checksums: &'a [u32],
}

impl Draft<'_> {
    /// Appends the head to `into` and returns its checksum. The caller has checked the bounds.
    pub fn encode(&self, salt: u64, into: &mut Vec<u8>) -> u64 {
        assert_eq!(self.block_checksums.len(), block_count(self.payload_bytes), "one checksum a block");
        let attribute_bytes =
            u16::try_from(self.attributes.len()).expect("attributes were checked against their bound");
        let start = into.len();
        let fixed = Fields::<HEAD_BYTES_FIXED>::default()
            .u64(AT_MAGIC, MAGIC)
            .u8(AT_VERSION, VERSION)
            .u8(AT_KIND, self.kind.code())
            .u16(AT_FLAGS, self.flags)
            .u32(AT_VOLUME, self.volume.0)
            .u64(AT_SEQUENCE, self.sequence.0)
            .u32(AT_EPOCH, self.epoch.0)
            .u32(AT_PAYLOAD_BYTES, self.payload_bytes)
            .u64(AT_COOKIE, self.cookie.0)
            .u64(AT_STORED, self.stored_ms)
            .u64(AT_SESSION, self.origin.session)
            .u64(AT_NUMBER, self.origin.number)
            .u128(AT_HASH, self.hash.0)
            .u16(AT_ATTRIBUTE_BYTES, attribute_bytes);
        into.extend_from_slice(&fixed.0);
        into.extend_from_slice(self.attributes);
        for (block, raw) in self.block_checksums.iter().enumerate() {
            into.extend_from_slice(&(raw ^ mix(self.volume, self.sequence, block)).to_le_bytes());
        }
        let head = &mut into[start..];
        let checksum = keyed(salt, &head[AT_VERSION..]);
        head[AT_CHECKSUM..AT_VERSION].copy_from_slice(&checksum.to_le_bytes());
        checksum
    }
}

/// The payload of a tombstone.
#[must_use]
pub fn tombstone_payload(target: Sequence, cookie: Cookie) -> Payload {
    let body = Fields::<TOMBSTONE_BYTES>::default().u64(0, target.0).u64(8, cookie.0);
    Payload::of(Bytes::copy_from_slice(&body.0))
}

/// The head of a needle, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// What it is.
    pub kind: Kind,
    /// Its volume.
    pub volume: VolumeId,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its sequence.
    pub sequence: Sequence,
    /// Its cookie.
    pub cookie: Cookie,
    /// Bytes of its payload.
    pub payload_bytes: u32,
    /// Its attributes.
    pub attributes: Bytes,
    /// Milliseconds since 1970 when it was stored.
    pub stored_ms: u64,
    /// The request that made it.
    pub origin: Origin,
    /// Its flags.
    pub flags: u16,
    /// XXH3-128 of its payload.
    pub hash: ContentHash,
    /// The head's own checksum.
    pub checksum: u64,
    /// The checksums of its blocks as stored, four bytes each.
    block_checksums: SmallVec<[u8; BLOCKS_INLINE * 4]>,
}

/// What is told of a stored object: of its head what answers need, and nothing that only a read needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectFacts {
    /// Its cookie.
    pub cookie: Cookie,
    /// XXH3-128 of its payload.
    pub hash: ContentHash,
    /// Milliseconds since 1970 when it was stored.
    pub stored_ms: u64,
    /// The request that made it.
    pub origin: Origin,
    /// Its attributes.
    pub attributes: Bytes,
    /// Bytes of its payload.
    pub payload_bytes: u32,
    /// Whether it is content of a name, or was put to become that.
    pub is_named: bool,
}

impl Head {
    /// What is told of it.
    #[must_use]
    pub fn facts(&self) -> ObjectFacts {
        ObjectFacts {
            cookie: self.cookie,
            hash: self.hash,
            stored_ms: self.stored_ms,
            origin: self.origin,
            attributes: self.attributes.clone(),
            payload_bytes: self.payload_bytes,
            is_named: self.is_named(),
        }
    }

    /// Whether it is content of a name, or was put to become that.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.flags & FLAG_NAMED != 0
    }

    /// Reads the head of the needle `sequence` of `volume`; bytes may go on behind it.
    ///
    /// # Errors
    /// [`Damage`]; of these [`Damage::Short`] asks for more bytes.
    pub fn parse(bytes: &[u8], salt: u64, volume: VolumeId, sequence: Sequence) -> Result<Self, Damage> {
        let head = Self::parse_any(bytes, salt)?;
        if head.volume == volume && head.sequence == sequence {
            Ok(head)
        } else {
            Err(Damage::Another { volume: head.volume.0, sequence: head.sequence.0 })
        }
    }

    /// Reads the head of whatever needle starts `bytes`.
    ///
    /// # Errors
    /// [`Damage`], as for [`parse`](Self::parse).
    pub fn parse_any(bytes: &[u8], salt: u64) -> Result<Self, Damage> {
        let Some(fixed) = bytes.first_chunk::<HEAD_BYTES_FIXED>() else {
            return Err(Damage::Short { needed: HEAD_BYTES_FIXED });
        };
        if u64_at(fixed, AT_MAGIC) != MAGIC {
            let zeros = fixed.iter().all(|&byte| byte == 0);
            return Err(if zeros { Damage::Zeros } else { Damage::Magic });
        }
        let payload_bytes = u32_at(fixed, AT_PAYLOAD_BYTES);
        let attribute_bytes = u16_at(fixed, AT_ATTRIBUTE_BYTES);
        if usize::from(attribute_bytes) > ATTRIBUTE_BYTES_MAX || payload_bytes as usize > CHUNK_BYTES_MAX {
            return Err(Damage::Lengths);
        }
        let needed = head_bytes(payload_bytes, attribute_bytes);
        let whole = bytes.get(..needed).ok_or(Damage::Short { needed })?;
        let covered = whole.get(AT_VERSION..).ok_or(Damage::Lengths)?;
        let checksum = u64_at(fixed, AT_CHECKSUM);
        if keyed(salt, covered) != checksum {
            return Err(Damage::Checksum);
        }
        let [version, code] = u16_at(fixed, AT_VERSION).to_le_bytes();
        if version != VERSION {
            return Err(Damage::Version(version));
        }
        let kind = Kind::of(code).ok_or(Damage::Kind(code))?;
        let variable = whole.get(HEAD_BYTES_FIXED..).unwrap_or_default();
        let (attributes, block_checksums) = variable.split_at_checked(usize::from(attribute_bytes)).unwrap_or_default();
        let (attributes, block_checksums) = (Bytes::copy_from_slice(attributes), block_checksums.into());
        Ok(Self {
            kind,
            volume: VolumeId(u32_at(fixed, AT_VOLUME)),
            epoch: Epoch(u32_at(fixed, AT_EPOCH)),
            sequence: Sequence(u64_at(fixed, AT_SEQUENCE)),
            cookie: Cookie(u64_at(fixed, AT_COOKIE)),
            payload_bytes,
            attributes,
            stored_ms: u64_at(fixed, AT_STORED),
            origin: Origin { session: u64_at(fixed, AT_SESSION), number: u64_at(fixed, AT_NUMBER) },
            flags: u16_at(fixed, AT_FLAGS),
            hash: ContentHash(u128_at(fixed, AT_HASH)),
            checksum,
            block_checksums,
        })
    }

    /// Whether these bytes begin as a needle does; says nothing more.
    #[must_use]
    pub fn looks_like(bytes: &[u8]) -> bool {
        bytes.first_chunk::<8>().is_some_and(|magic| u64::from_le_bytes(*magic) == MAGIC)
    }

    /// Where the payload begins, from the needle's start.
    #[must_use]
    pub fn payload_offset(&self) -> usize {
        HEAD_BYTES_FIXED + self.attributes.len() + self.block_checksums.len()
    }

    /// Bytes of the whole needle.
    #[must_use]
    pub fn needle_bytes(&self) -> u64 {
        (self.payload_offset() as u64 + u64::from(self.payload_bytes)).next_multiple_of(8)
    }

    /// Blocks of the payload.
    #[must_use]
    pub fn block_count(&self) -> usize {
        block_count(self.payload_bytes)
    }

    /// The bytes of a block, within the payload; empty for a block that it does not have.
    #[must_use]
    pub fn payload_block(&self, block: usize) -> Range<u64> {
        let start = (block as u64).saturating_mul(BLOCK_BYTES as u64);
        let end = start.saturating_add(BLOCK_BYTES as u64).min(u64::from(self.payload_bytes));
        start.min(end)..end
    }

    /// The CRC-32C of a block's bytes, as it was computed when they arrived; `None` for a block that it does not have.
    #[must_use]
    pub fn raw_checksum(&self, block: usize) -> Option<u32> {
        let stored = self.block_checksums.get(block.checked_mul(4)?..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*stored) ^ mix(self.volume, self.sequence, block))
    }

    /// Checks the bytes of one block.
    ///
    /// # Errors
    /// [`Damage::Block`] if they are not the block's, or not as many.
    pub fn verify_block(&self, block: usize, bytes: &[u8]) -> Result<(), Damage> {
        let range = self.payload_block(block);
        let whole = bytes.len() as u64 == range.end - range.start;
        if whole && self.raw_checksum(block) == Some(crc32c(bytes)) { Ok(()) } else { Err(Damage::Block(block)) }
    }

    /// Checks every block of a payload.
    ///
    /// # Errors
    /// The first [`Damage::Block`].
    pub fn verify_payload(&self, payload: &[u8]) -> Result<(), Damage> {
        if payload.len() != self.payload_bytes as usize {
            return Err(Damage::Block(0));
        }
        payload.chunks(BLOCK_BYTES).enumerate().try_for_each(|(block, bytes)| self.verify_block(block, bytes))
    }

    /// The sequence and cookie that a tombstone's verified payload names.
    #[must_use]
    pub fn tombstone_target(&self, payload: &[u8]) -> Option<(Sequence, Cookie)> {
        let body = payload.first_chunk::<TOMBSTONE_BYTES>()?;
        (self.kind == Kind::Tombstone && payload.len() == TOMBSTONE_BYTES)
            .then(|| (Sequence(u64_at(body, 0)), Cookie(u64_at(body, 8))))
    }
}

/// The hash of an empty payload, for kinds that have none.
#[must_use]
pub fn empty_hash() -> ContentHash {
    content_hash(&[])
}

/// Reads arbitrary bytes as a needle and checks what every reader relies on; the body of a fuzz target.
///
/// # Panics
/// If an invariant of [`Head`] does not hold for what was parsed; that is what a fuzzer looks for.
pub fn fuzz_needle(bytes: &[u8]) {
    let salt = 0x5eed;
    match Head::parse_any(bytes, salt) {
        Ok(head) => {
            assert!(head.payload_offset() <= bytes.len());
            assert!(head.attributes.len() <= ATTRIBUTE_BYTES_MAX);
            let last = head.block_count().saturating_sub(1);
            assert_eq!(head.payload_block(last).end, u64::from(head.payload_bytes));
            assert_eq!(head.raw_checksum(head.block_count()), None);
            let payload = bytes.get(head.payload_offset()..).unwrap_or_default();
            let _ = head.verify_payload(payload);
            let _ = head.tombstone_target(payload);
        }
        Err(Damage::Short { needed }) => assert!(needed > bytes.len()),
        Err(_) => {}
    }
}
