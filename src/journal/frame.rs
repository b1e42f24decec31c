//! The frame before each group of a log: local to this replica, never replicated, not part of the chain.
//!
//! ```text
//!  0        8        16       24       32       40       48       56       64               80       88       96
//!  +--------+--------+--------+--------+--------+--------+--------+--------+----------------+--------+--------+
//!  | magic  |checksum|ver flag| epoch  | replica| first  | group  |  mark  | chain digest   |position| zero   |
//!  |        |        | volume | count  |  gener.|sequence| bytes  |        | so far         |        |        |
//!  +--------+--------+--------+--------+--------+--------+--------+--------+----------------+--------+--------+
//! ```
//! - *magic*: `LARDGRUP`. It is compared, so the checksum needs not cover it.
//! - *checksum*: XXH3-64 of all bytes behind it, keyed with the volume's salt: a payload cannot pass for a frame.
//! - *version* u16 = 1; *flags* u16: 1 = closing (no needles follow); *volume* u32.
//! - *epoch* u32 of the needles; *count* u32 of needles in the group.
//! - *replica generation* u64: the life of this replica; a frame of an earlier life is not ours.
//! - *first sequence* u64 of the group; of a closing frame: the next sequence of the volume.
//! - *group bytes* u64: this frame and the needles, without the zeros up to the next sector.
//! - *mark* u64: the first sequence not yet synced here when the frame was written. What lies below it is durable.
//! - *chain digest* u128 over all needles of the volume before this group, see [`chain_next`].
//! - *position* u64 of this frame in its segment: a frame that was written to another place does not count.
//!
//! Any thread; pure.

use super::fields::{Fields, u16_at, u32_at, u64_at, u128_at};
use crate::base::checksum::{content_hash, keyed};
use crate::base::ids::{Epoch, Sequence, VolumeId};

const MAGIC: u64 = u64::from_le_bytes(*b"LARDGRUP");
const VERSION: u16 = 1;
const FLAG_CLOSING: u16 = 1;

const AT_MAGIC: usize = 0;
const AT_CHECKSUM: usize = AT_MAGIC + 8;
const AT_VERSION: usize = AT_CHECKSUM + 8;
const AT_FLAGS: usize = AT_VERSION + 2;
const AT_VOLUME: usize = AT_FLAGS + 2;
const AT_EPOCH: usize = AT_VOLUME + 4;
const AT_COUNT: usize = AT_EPOCH + 4;
const AT_GENERATION: usize = AT_COUNT + 4;
const AT_FIRST: usize = AT_GENERATION + 8;
const AT_BYTES: usize = AT_FIRST + 8;
const AT_MARK: usize = AT_BYTES + 8;
const AT_CHAIN: usize = AT_MARK + 8;
const AT_POSITION: usize = AT_CHAIN + 16;
const AT_ZERO: usize = AT_POSITION + 8;

/// Bytes of a frame.
pub const FRAME_BYTES: usize = AT_ZERO + 8;

/// The chain digest of a volume without needles.
pub const CHAIN_START: u128 = 0;

/// The chain digest after one more needle: XXH3-128 of 24 bytes, the digest before it (16, little-endian) and the
/// head checksum of the needle (8, little-endian). Replicas hold the same needles and so the same digests.
#[must_use]
pub fn chain_next(before: u128, head_checksum: u64) -> u128 {
    content_hash(&Fields::<24>::default().u128(0, before).u64(16, head_checksum).0).0
}

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The volume of the group.
    pub volume: VolumeId,
    /// The epoch of its needles.
    pub epoch: Epoch,
    /// The life of this replica.
    pub generation: u64,
    /// Where the frame lies in its segment, in bytes.
    pub position: u64,
    /// The sequence of the first needle; of a closing frame the next sequence of the volume.
    pub first: Sequence,
    /// Needles in the group.
    pub count: u32,
    /// Bytes of the frame and the needles.
    pub bytes: u64,
    /// The first sequence that was not yet synced here when the frame was written.
    pub mark: Sequence,
    /// The chain digest over all needles before the group.
    pub chain: u128,
    /// No needles follow; the frame only carries its mark.
    pub closing: bool,
}

/// Why bytes are no frame of this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadFrame {
    /// Fewer bytes than a frame has.
    Short,
    /// All zeros: nothing was written here.
    Zeros,
    /// Other bytes than the magic.
    Magic,
    /// The keyed checksum does not match.
    Checksum,
    /// A version that this program does not know.
    Version(u16),
    /// Whole, but of another volume, generation or position, or its numbers contradict each other.
    Elsewhere,
}

impl Frame {
    /// The frame as bytes, keyed with the volume's salt.
    #[must_use]
    pub fn encode(&self, salt: u64) -> [u8; FRAME_BYTES] {
        let fields = Fields::<FRAME_BYTES>::default()
            .u64(AT_MAGIC, MAGIC)
            .u16(AT_VERSION, VERSION)
            .u16(AT_FLAGS, if self.closing { FLAG_CLOSING } else { 0 })
            .u32(AT_VOLUME, self.volume.0)
            .u32(AT_EPOCH, self.epoch.0)
            .u32(AT_COUNT, self.count)
            .u64(AT_GENERATION, self.generation)
            .u64(AT_FIRST, self.first.0)
            .u64(AT_BYTES, self.bytes)
            .u64(AT_MARK, self.mark.0)
            .u128(AT_CHAIN, self.chain)
            .u64(AT_POSITION, self.position);
        let checksum = keyed(salt, &fields.0[AT_VERSION..]);
        fields.u64(AT_CHECKSUM, checksum).0
    }

    /// Reads the frame that starts `bytes`.
    ///
    /// # Errors
    /// [`BadFrame`], for anything but a whole frame of a known version whose numbers agree.
    pub fn parse(bytes: &[u8], salt: u64) -> Result<Self, BadFrame> {
        let bytes = bytes.first_chunk::<FRAME_BYTES>().ok_or(BadFrame::Short)?;
        if u64_at(bytes, AT_MAGIC) != MAGIC {
            let zeros = bytes.iter().all(|&byte| byte == 0);
            return Err(if zeros { BadFrame::Zeros } else { BadFrame::Magic });
        }
        if keyed(salt, &bytes[AT_VERSION..]) != u64_at(bytes, AT_CHECKSUM) {
            return Err(BadFrame::Checksum);
        }
        let version = u16_at(bytes, AT_VERSION);
        if version != VERSION {
            return Err(BadFrame::Version(version));
        }
        let frame = Self {
            volume: VolumeId(u32_at(bytes, AT_VOLUME)),
            epoch: Epoch(u32_at(bytes, AT_EPOCH)),
            generation: u64_at(bytes, AT_GENERATION),
            position: u64_at(bytes, AT_POSITION),
            first: Sequence(u64_at(bytes, AT_FIRST)),
            count: u32_at(bytes, AT_COUNT),
            bytes: u64_at(bytes, AT_BYTES),
            mark: Sequence(u64_at(bytes, AT_MARK)),
            chain: u128_at(bytes, AT_CHAIN),
            closing: u16_at(bytes, AT_FLAGS) & FLAG_CLOSING != 0,
        };
        let sane = frame.mark <= frame.first
            && frame.bytes >= FRAME_BYTES as u64
            && frame.bytes.is_multiple_of(8)
            && frame.closing == (frame.count == 0)
            && frame.first.0.checked_add(u64::from(frame.count)).is_some();
        if sane { Ok(frame) } else { Err(BadFrame::Elsewhere) }
    }
}
