//! What was stored lately for names: so that a commit need not read the heads of its chunks, which were written just before.
//!
//! Any thread; the library's shards are locked over memory only. What a receipt says of an object stays true as long as the object is
//! there; a commit that names one which is gone meanwhile belongs to a session that is closed, and is refused for that. What is not
//! here any more is read. Always: at most so many receipts.

use super::chunks::Chunk;
use crate::base::ids::{ObjectId, Origin};
use quick_cache::sync::Cache;

/// Receipts that are kept: those of some seconds, as an upload commits soon after its last chunk. About 2 MiB.
const RECEIPTS_MAX: usize = 16 << 10;

/// The receipts of a node.
#[derive(Debug)]
pub struct Receipts(Cache<ObjectId, Receipt>);

#[derive(Debug, Clone, Copy)]
struct Receipt {
    session: u64,
    chunk: Chunk,
}

impl Default for Receipts {
    fn default() -> Self {
        Self(Cache::new(RECEIPTS_MAX))
    }
}

impl Receipts {
    /// Keeps the receipt of a chunk that is on its disk.
    pub(super) fn keep(&self, id: ObjectId, origin: Origin, bytes: u32, hash: crate::base::ids::ContentHash) {
        let chunk = Chunk { number: origin.number, bytes, hash };
        self.0.insert(id, Receipt { session: origin.session, chunk });
    }

    /// What the receipt of a chunk of this session says; `None`: its head has to be read.
    pub(super) fn chunk(&self, id: ObjectId, session: u64) -> Option<Chunk> {
        self.0.get(&id).filter(|receipt| receipt.session == session).map(|receipt| receipt.chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{ContentHash, Cookie, Sequence, VolumeId};

    #[test]
    fn a_receipt_is_told_to_its_session_and_for_its_cookie_only() {
        let receipts = Receipts::default();
        let id =
            |sequence, cookie| ObjectId { volume: VolumeId(1), sequence: Sequence(sequence), cookie: Cookie(cookie) };
        receipts.keep(id(5, 7), Origin { session: 3, number: 9 }, 11, ContentHash(13));
        let chunk = receipts.chunk(id(5, 7), 3).unwrap();
        assert_eq!((chunk.number, chunk.bytes, chunk.hash), (9, 11, ContentHash(13)));
        assert!(receipts.chunk(id(5, 7), 4).is_none());
        assert!(receipts.chunk(id(5, 8), 3).is_none());
        for sequence in 0..4 * RECEIPTS_MAX as u64 {
            receipts.keep(id(sequence, 0), Origin { session: 3, number: 1 }, 1, ContentHash(1));
        }
        assert!(receipts.0.len() <= RECEIPTS_MAX);
    }
}
