//! The cache of verified blocks: hot content in the node's own memory, read and checked once.
//!
//! Any thread. Keyed by volume, sequence and block, so it never goes stale: what a key names never changes, and who
//! asks has looked into the index first. Always: every block in it passed its checksum; it holds copies of its own, at
//! most its capacity in bytes. A block gets in when it is read a second time not long after the first, so that a scan
//! of cold objects neither pays for copies nor pushes out what is hot. The library's shards are locked over memory
//! only.

use crate::base::checksum::Behind;
use crate::base::ids::{Sequence, VolumeId};
use crate::base::second_look::SecondLook;
use crate::store::{Head, ObjectFacts};
use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;

/// Which block: of which needle, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct BlockKey {
    pub(super) volume: VolumeId,
    pub(super) sequence: Sequence,
    pub(super) block: u32,
}

/// A verified block. The first one of an object brings what is told of it, in the entry itself: what stands elsewhere is
/// in another line of the processor's caches, and each of those costs as much as all the work of a lookup.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) bytes: Bytes,
    pub(super) facts: Option<ObjectFacts>,
    /// Of the first block of an object with more than one: what reads of the others need.
    pub(super) head: Option<Arc<Head>>,
    /// The checksum that it passed.
    pub(super) crc: Behind,
}

/// What an entry takes besides its bytes: key, links, what is told of the object.
const ENTRY_BYTES: u64 = 320;
const SEEN_SLOTS: usize = 1 << 16;

#[derive(Clone)]
struct ByBytes;

impl Weighter<BlockKey, Block> for ByBytes {
    fn weight(&self, _: &BlockKey, block: &Block) -> u64 {
        let attributes = block.facts.as_ref().map_or(0, |facts| facts.attributes.len());
        // A head keeps the checksums of its blocks too.
        let head = block.head.as_ref().map_or(0, |head| head.payload_offset());
        (block.bytes.len() + attributes + head) as u64 + ENTRY_BYTES
    }
}

pub(super) struct Blocks {
    cache: Option<Cache<BlockKey, Block, ByBytes>>,
    looks: SecondLook,
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocks").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

impl Blocks {
    /// A cache of `capacity` bytes; 0 for none.
    pub(super) fn new(capacity: u64) -> Self {
        let estimate = usize::try_from(capacity / 16_384).unwrap_or(usize::MAX).max(16);
        Self {
            cache: (capacity > 0).then(|| Cache::with_weighter(estimate, capacity, ByBytes)),
            looks: SecondLook::new(SEEN_SLOTS),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.cache.as_ref().map_or(0, Cache::weight)
    }

    pub(super) fn find(&self, key: BlockKey) -> Option<Block> {
        self.cache.as_ref()?.get(&key)
    }

    /// Offers a block that has just been verified.
    pub(super) fn offer(&self, key: BlockKey, bytes: &[u8], crc: u32, head: Option<&Head>) {
        let Some(cache) = &self.cache else { return };
        if self.looks.is_second(key) {
            let block = Block {
                bytes: Bytes::copy_from_slice(bytes),
                facts: head.map(Head::facts),
                head: head.filter(|head| head.payload_bytes as usize > bytes.len()).map(|head| Arc::new(head.clone())),
                crc: Behind::new(crc, bytes.len() as u64),
            };
            cache.insert(key, block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(sequence: u64) -> BlockKey {
        BlockKey { volume: VolumeId(1), sequence: Sequence(sequence), block: 0 }
    }

    #[test]
    fn a_block_gets_in_at_its_second_look_and_memory_is_bounded() {
        let blocks = Blocks::new(1 << 20);
        blocks.offer(key(1), b"content", 0, None);
        assert!(blocks.find(key(1)).is_none());
        blocks.offer(key(1), b"content", 0, None);
        assert_eq!(blocks.find(key(1)).unwrap().bytes, "content");
        for n in 0..1000 {
            blocks.offer(key(n), &[0; 10_000], 0, None);
            blocks.offer(key(n), &[0; 10_000], 0, None);
        }
        assert!(blocks.bytes() <= 1 << 20);
        let none = Blocks::new(0);
        none.offer(key(1), b"content", 0, None);
        none.offer(key(1), b"content", 0, None);
        assert!(none.find(key(1)).is_none());
    }
}
