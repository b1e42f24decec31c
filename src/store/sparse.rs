//! The index of a compacted segment: which sequences are there, and a slot for each of them.
//!
//! ```text
//! presence  one bit a sequence of the range, with a rank each 512 bits;  below one in 32: the sorted offsets instead
//! slots     one a needle, in the order of sequences
//! ```
//! At half density that is 4.3 bytes a needle. Built once, read by any thread; only flags of slots change afterwards.
//! Always: what is not present stays absent. (Jacobson, "Space-efficient static trees and graphs", 1989, has the ranks.)

use super::slots::Slot;
use std::sync::atomic::{AtomicU32, Ordering};

/// Words of the presence bitmap that share a rank.
const RANK_WORDS: usize = 8;
/// With fewer needles than one in this many sequences, sorted offsets are smaller than bits.
const SORTED_BELOW: u64 = 32;

/// The sequences that are there, as offsets from the segment's first.
#[derive(Debug)]
enum Presence {
    Bits { words: Box<[u64]>, ranks: Box<[u32]> },
    Sorted(Box<[u32]>),
}

/// The slots of a compacted segment.
#[derive(Debug)]
pub struct Sparse {
    presence: Presence,
    slots: Box<[AtomicU32]>,
}

impl Sparse {
    /// An index over `span` sequences that holds these; offsets ascend, and are below `span` and 2^32.
    #[must_use]
    pub fn new(span: u64, entries: &[(u32, Slot)]) -> Self {
        debug_assert!(entries.windows(2).all(|pair| pair[0].0 < pair[1].0), "offsets ascend");
        let slots = entries.iter().map(|(_, slot)| AtomicU32::new(slot.bits())).collect();
        let presence = if (entries.len() as u64).saturating_mul(SORTED_BELOW) < span {
            Presence::Sorted(entries.iter().map(|(offset, _)| *offset).collect())
        } else {
            bits(span, entries)
        };
        Self { presence, slots }
    }

    /// The slot of a needle; absent if it is not there.
    #[must_use]
    pub fn load(&self, offset: u64) -> Slot {
        self.place(offset).map_or(Slot::ABSENT, |place| self.at(place))
    }

    /// The slot of the needle behind this one; absent if this is the last, or not there.
    #[must_use]
    pub fn following(&self, offset: u64) -> Slot {
        self.place(offset).map_or(Slot::ABSENT, |place| self.at(place + 1))
    }

    /// The first needle at or behind this offset.
    #[must_use]
    pub fn from(&self, offset: u64) -> Option<(u64, Slot)> {
        let offset = match &self.presence {
            Presence::Sorted(offsets) => {
                let behind = offsets.partition_point(|&other| u64::from(other) < offset);
                u64::from(*offsets.get(behind)?)
            }
            Presence::Bits { words, .. } => {
                let first = usize::try_from(offset / 64).ok()?;
                let masked = words.get(first)? & (u64::MAX << (offset % 64));
                let rest = words.get(first + 1..)?.iter().copied();
                let (word, at) = std::iter::once(masked).chain(rest).zip(offset / 64..).find(|(word, _)| *word != 0)?;
                at * 64 + u64::from(word.trailing_zeros())
            }
        };
        Some((offset, self.load(offset)))
    }

    /// Sets flags of a slot and returns what was there before; absent if the needle is not there.
    pub fn mark(&self, offset: u64, flags: Slot) -> Slot {
        let slot = self.place(offset).and_then(|place| self.slots.get(place));
        slot.map_or(Slot::ABSENT, |slot| Slot::from_bits(slot.fetch_or(flags.bits(), Ordering::AcqRel)))
    }

    /// Bytes of memory.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let presence = match &self.presence {
            Presence::Bits { words, ranks } => words.len() * 8 + ranks.len() * 4,
            Presence::Sorted(offsets) => offsets.len() * 4,
        };
        (presence + self.slots.len() * 4) as u64
    }

    fn at(&self, place: usize) -> Slot {
        self.slots.get(place).map_or(Slot::ABSENT, |slot| Slot::from_bits(slot.load(Ordering::Acquire)))
    }

    fn place(&self, offset: u64) -> Option<usize> {
        match &self.presence {
            Presence::Sorted(offsets) => offsets.binary_search(&u32::try_from(offset).ok()?).ok(),
            Presence::Bits { words, ranks } => {
                let index = usize::try_from(offset / 64).ok()?;
                let (word, bit) = (*words.get(index)?, 1u64 << (offset % 64));
                if word & bit == 0 {
                    return None;
                }
                let block = index / RANK_WORDS;
                let before = words.get(block * RANK_WORDS..index)?.iter().map(|word| word.count_ones() as usize);
                let within = (word & (bit - 1)).count_ones() as usize;
                Some(*ranks.get(block)? as usize + before.sum::<usize>() + within)
            }
        }
    }
}

fn bits(span: u64, entries: &[(u32, Slot)]) -> Presence {
    let count = usize::try_from(span.div_ceil(64)).expect("a bitmap is at most four bytes a needle");
    let mut words = vec![0u64; count];
    for (offset, _) in entries {
        words[*offset as usize / 64] |= 1 << (offset % 64);
    }
    let mut rank = 0;
    let ranks = words.chunks(RANK_WORDS).map(|block| {
        let before = rank;
        rank += block.iter().map(|word| word.count_ones()).sum::<u32>();
        before
    });
    let ranks = ranks.collect();
    Presence::Bits { words: words.into(), ranks }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn check(span: u64, offsets: impl Iterator<Item = u32>) -> Sparse {
        let entries: Vec<_> = offsets.zip(1u64..).map(|(offset, at)| (offset, Slot::at(at * 8))).collect();
        let model: BTreeMap<u64, Slot> = entries.iter().map(|&(offset, slot)| (u64::from(offset), slot)).collect();
        let sparse = Sparse::new(span, &entries);
        for offset in 0..span + 70 {
            assert_eq!(sparse.load(offset), model.get(&offset).copied().unwrap_or(Slot::ABSENT), "{offset}");
            if model.contains_key(&offset) {
                let next = model.range(offset + 1..).next().map_or(Slot::ABSENT, |(_, slot)| *slot);
                assert_eq!(sparse.following(offset), next, "{offset}");
            }
            let next = model.range(offset..).next().map(|(&offset, &slot)| (offset, slot));
            assert_eq!(sparse.from(offset), next, "{offset}");
        }
        sparse
    }

    #[test]
    fn it_agrees_with_a_map_at_any_density() {
        for step in [1, 2, 3, 31, 32, 33, 40, 700, 3000] {
            for span in [1u64, 63, 64, 65, 511, 512, 513, 4000] {
                check(span, (0..u32::try_from(span).unwrap()).step_by(step));
            }
        }
        check(1000, std::iter::empty());
        check(0, std::iter::empty());
    }

    #[test]
    fn half_of_the_needles_take_four_bytes_and_a_bit() {
        let sparse = check(1 << 16, (0..1 << 16).step_by(2));
        assert!(sparse.bytes() * 10 <= 43 * sparse.slots.len() as u64, "{} bytes", sparse.bytes());
        let thin = check(1 << 16, (0..1 << 16).step_by(64));
        assert_eq!(thin.bytes(), 8 * thin.slots.len() as u64);
    }

    #[test]
    fn flags_stay() {
        let sparse = check(100, (0..100).step_by(3));
        assert_eq!(sparse.mark(3, Slot::ABSENT.deleted()), Slot::at(16));
        assert!(sparse.load(3).is_deleted() && sparse.load(3).position() == 16);
        assert!(sparse.mark(4, Slot::ABSENT.deleted()).is_absent() && sparse.load(4).is_absent());
    }
}
