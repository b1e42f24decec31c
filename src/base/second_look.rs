//! Whether something was seen a moment ago: what a cache asks before it keeps what was read once.
//!
//! Any thread; atomics only. A fingerprint in a slot by hash: two that share a slot may drive each other out, which costs a
//! look more.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};

/// The fingerprints of what was seen.
#[derive(Debug)]
pub struct SecondLook {
    seen: Box<[AtomicU32]>,
    hasher: RandomState,
}

impl SecondLook {
    /// So many slots of four bytes.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self { seen: (0..slots).map(|_| AtomicU32::new(0)).collect(), hasher: RandomState::new() }
    }

    /// Notes a look, and says whether it is the second.
    #[allow(clippy::cast_possible_truncation, reason = "both halves of the hash are used for themselves")]
    pub fn is_second(&self, key: impl Hash) -> bool {
        let hash = self.hasher.hash_one(key);
        let print = ((hash >> 32) as u32).max(1);
        let Some(slot) = self.seen.get(hash as usize % self.seen.len().max(1)) else { return true };
        slot.swap(print, Ordering::Relaxed) == print
    }
}

#[test]
fn the_second_look_is_told() {
    let looks = SecondLook::new(1 << 10);
    assert!(!looks.is_second(7) && looks.is_second(7) && looks.is_second(7) && !looks.is_second(8));
    assert!(SecondLook::new(0).is_second(1));
}
