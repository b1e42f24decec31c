//! A payload on its way to disk, with the checksums that were computed while it arrived.
//!
//! Made on a processor thread, read by an append lane. Always: `block_checksums` has one raw CRC-32C for each
//! [`BLOCK_BYTES`] of `bytes` (the last block may be short), and `hash` is XXH3-128 of all of them. No byte is read
//! a second time to store it.

use crate::base::budget::Reservation;
use crate::base::checksum::RunningCrc;
use crate::base::ids::ContentHash;
use crate::base::limits::BLOCK_BYTES;
use bytes::Bytes;
use smallvec::SmallVec;

/// Raw CRC-32C of blocks; those of small content need no list of their own.
pub type BlockChecksums = SmallVec<[u32; 4]>;

/// Bytes to store, and what is known about them.
#[derive(Debug)]
pub struct Payload {
    /// The content.
    pub bytes: Bytes,
    /// Raw CRC-32C of each block, not yet mixed with a place.
    pub block_checksums: BlockChecksums,
    /// XXH3-128 of the content.
    pub hash: ContentHash,
    /// The room that the bytes hold in the budget of incoming bodies, given back when this is dropped.
    pub room: Option<Reservation>,
}

impl Payload {
    /// A payload of bytes that are all here already.
    #[must_use]
    pub fn of(bytes: Bytes) -> Self {
        let mut digest = PayloadDigest::default();
        digest.update(&bytes);
        digest.finish(bytes, None)
    }
}

/// Computes a payload's checksums as its bytes arrive.
#[derive(Clone)]
pub struct PayloadDigest {
    done: BlockChecksums,
    block: RunningCrc,
    block_filled: usize,
    hash: xxhash_rust::xxh3::Xxh3Default,
    length: u64,
}

impl std::fmt::Debug for PayloadDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PayloadDigest").field("length", &self.length).finish_non_exhaustive()
    }
}

impl Default for PayloadDigest {
    fn default() -> Self {
        Self {
            done: BlockChecksums::new(),
            block: RunningCrc::castagnoli(),
            block_filled: 0,
            hash: xxhash_rust::xxh3::Xxh3Default::new(),
            length: 0,
        }
    }
}

impl PayloadDigest {
    /// Takes the next bytes of the payload.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.block_filled));
            self.block.update(now);
            self.block_filled += now.len();
            bytes = later;
            if self.block_filled == BLOCK_BYTES {
                self.done.push(self.block.value());
                self.block = RunningCrc::castagnoli();
                self.block_filled = 0;
            }
        }
    }

    /// Bytes taken so far.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The payload, once all of `bytes` went through [`update`](Self::update).
    #[must_use]
    pub fn finish(mut self, bytes: Bytes, room: Option<Reservation>) -> Payload {
        assert_eq!(self.length, bytes.len() as u64, "the digest saw every byte once");
        if self.block_filled > 0 {
            self.done.push(self.block.value());
        }
        Payload { bytes, block_checksums: self.done, hash: ContentHash(self.hash.digest128()), room }
    }
}
