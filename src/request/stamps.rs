//! Whether names still lead to what they led to: marks that are checked without looking anything up.
//!
//! Any thread; atomics only. Names are spread over cells by a secret hash; before a change of a name is published, its cell is
//! given the number that the publication will have. A stamp says which cells a path was resolved through, and the publication
//! that was current before. Always: a path whose stamp is current leads to what it led to then; names that share a cell may spoil each other's
//! stamps, which costs a lookup.

use std::sync::atomic::{AtomicU64, Ordering};

/// Cells: 32 KiB, which stay in the cache of a core. Each change spoils the stamps of one name in so many.
const CELLS: usize = 4096;
/// Names of a path that a stamp can have. A deeper path has none.
pub const STAMP_NAMES_MAX: usize = 8;

/// The cells.
pub struct NameStamps(Box<[AtomicU64]>);

impl std::fmt::Debug for NameStamps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NameStamps").finish_non_exhaustive()
    }
}

impl Default for NameStamps {
    fn default() -> Self {
        Self((0..CELLS).map(|_| AtomicU64::new(0)).collect())
    }
}

/// When a path was resolved, and through which cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    published: u64,
    cells: [u16; STAMP_NAMES_MAX],
    names: u8,
}

impl Stamp {
    /// Of a path that is resolved after `published` was the number of the last publication.
    #[must_use]
    pub fn new(published: u64) -> Self {
        Self { published, cells: [0; STAMP_NAMES_MAX], names: 0 }
    }

    /// One more name of the path, by its hash. Returns whether there was room.
    pub fn add(&mut self, hash: u64) -> bool {
        let Some(cell) = self.cells.get_mut(usize::from(self.names)) else { return false };
        *cell = u16::try_from(hash % CELLS as u64).unwrap_or(0);
        self.names += 1;
        true
    }
}

impl NameStamps {
    /// A name, by its hash, is about to be changed by the publication with this number.
    pub fn change(&self, hash: u64, published: u64) {
        if let Some(cell) = self.0.get(usize::try_from(hash % CELLS as u64).unwrap_or(0)) {
            cell.fetch_max(published, Ordering::AcqRel);
        }
    }

    /// Whether nothing of a path was changed since.
    #[must_use]
    pub fn is_current(&self, stamp: &Stamp) -> bool {
        stamp.cells.iter().take(usize::from(stamp.names)).all(|cell| {
            self.0.get(usize::from(*cell)).is_some_and(|cell| cell.load(Ordering::Acquire) <= stamp.published)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_stamp_is_current_until_one_of_its_names_is_changed() {
        let stamps = NameStamps::default();
        let mut stamp = Stamp::new(5);
        assert!(stamp.add(1) && stamp.add(70_000));
        assert!(stamps.is_current(&stamp));
        stamps.change(2, 6);
        stamps.change(1, 5);
        assert!(stamps.is_current(&stamp), "another name, and what was published before");
        stamps.change(70_000, 6);
        assert!(!stamps.is_current(&stamp));
        let mut deep = Stamp::new(5);
        assert!((0..8).all(|name| deep.add(name)) && !deep.add(8));
    }

    proptest! {
        #[test]
        fn no_change_after_a_stamp_is_missed(
            names in proptest::collection::vec(any::<u64>(), 1..=STAMP_NAMES_MAX),
            changes in proptest::collection::vec((any::<u64>(), any::<proptest::sample::Index>(), any::<bool>()), 0..20),
            at in 0..20u64,
        ) {
            let stamps = NameStamps::default();
            let mut stamp = Stamp::new(at);
            for name in &names {
                prop_assert!(stamp.add(*name));
            }
            let mut changed = false;
            for (published, (other, one, ours)) in (1..).zip(&changes) {
                let name = if *ours { *one.get(&names) } else { *other };
                stamps.change(name, published);
                changed |= *ours && published > at;
            }
            prop_assert!(!(changed && stamps.is_current(&stamp)));
        }
    }
}
