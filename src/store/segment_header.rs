//! The first sector of a segment file: whose it is, and the key of everything in it.
//!
//! ```text
//!  0        8        16    20     24               40               56       64       72       80      84   88     96
//!  +--------+--------+-----+------+----------------+----------------+--------+--------+--------+-------+----+------+-- zeros to 512
//!  | magic  |checksum|vers.|volume| cluster        | disk           | base   | salt   | gener. |edition|zero| next |
//!  +--------+--------+-----+------+----------------+----------------+--------+--------+--------+-------+----+------+--
//! ```
//! *magic* `LARDSEGM`; *checksum* XXH3-64 of all behind it, unkeyed, for the key is inside; *base* is the first
//! sequence of the segment; *salt* is the volume's, the same on every replica; *gener.* is the replica generation.
//! *edition* is 0 for a segment as it was appended; a compacted one has a higher one, and says in *next* where its range ends.
//! Every field is in the manifest too: a damaged header costs nothing, and a damaged manifest can be rebuilt from headers.

use crate::base::checksum::keyed;
use crate::base::ids::{ClusterId, DiskId, Sequence, VolumeId};
use crate::journal::{Fields, SECTOR_BYTES, u32_at, u64_at, u128_at};

const MAGIC: u64 = u64::from_le_bytes(*b"LARDSEGM");
/// The version of the format that this program knows.
pub const SEGMENT_VERSION: u32 = 1;
/// Bytes of the header: the first group begins behind it.
pub const SEGMENT_HEADER_BYTES: usize = 512;

const _: () = assert!(SEGMENT_HEADER_BYTES as u64 == SECTOR_BYTES);

const AT_CHECKSUM: usize = 8;
const AT_VERSION: usize = 16;
const AT_VOLUME: usize = 20;
const AT_CLUSTER: usize = 24;
const AT_DISK: usize = 40;
const AT_BASE: usize = 56;
const AT_SALT: usize = 64;
const AT_GENERATION: usize = 72;
const AT_EDITION: usize = 80;
const AT_NEXT: usize = 88;

/// What the first sector of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The cluster.
    pub cluster: ClusterId,
    /// The data directory.
    pub disk: DiskId,
    /// The volume.
    pub volume: VolumeId,
    /// The first sequence of the segment.
    pub base: Sequence,
    /// The key of the volume's checksums.
    pub salt: u64,
    /// The life of this replica.
    pub generation: u64,
    /// 0: as it was appended; else the number of the compaction that made it.
    pub edition: u32,
    /// Of a compacted segment the sequence behind it, else 0.
    pub next: Sequence,
}

impl SegmentHeader {
    /// The sector.
    #[must_use]
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let fields = Fields::<SEGMENT_HEADER_BYTES>::default()
            .u64(0, MAGIC)
            .u32(AT_VERSION, SEGMENT_VERSION)
            .u32(AT_VOLUME, self.volume.0)
            .u128(AT_CLUSTER, self.cluster.0)
            .u128(AT_DISK, self.disk.0)
            .u64(AT_BASE, self.base.0)
            .u64(AT_SALT, self.salt)
            .u64(AT_GENERATION, self.generation)
            .u32(AT_EDITION, self.edition)
            .u64(AT_NEXT, self.next.0);
        let checksum = keyed(0, &fields.0[AT_VERSION..]);
        fields.u64(AT_CHECKSUM, checksum).0
    }

    /// The format version that a whole header names, known or not; `None` if it does not verify.
    #[must_use]
    pub fn version(bytes: &[u8]) -> Option<u32> {
        let bytes = bytes.first_chunk::<SEGMENT_HEADER_BYTES>()?;
        let whole = u64_at(bytes, 0) == MAGIC && keyed(0, &bytes[AT_VERSION..]) == u64_at(bytes, AT_CHECKSUM);
        whole.then(|| u32_at(bytes, AT_VERSION))
    }

    /// Reads the sector; `None` if it does not verify or has another version.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<SEGMENT_HEADER_BYTES>()?;
        (Self::version(bytes) == Some(SEGMENT_VERSION)).then(|| Self {
            cluster: ClusterId(u128_at(bytes, AT_CLUSTER)),
            disk: DiskId(u128_at(bytes, AT_DISK)),
            volume: VolumeId(u32_at(bytes, AT_VOLUME)),
            base: Sequence(u64_at(bytes, AT_BASE)),
            salt: u64_at(bytes, AT_SALT),
            generation: u64_at(bytes, AT_GENERATION),
            edition: u32_at(bytes, AT_EDITION),
            next: Sequence(u64_at(bytes, AT_NEXT)),
        })
    }
}
