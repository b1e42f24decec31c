//! Which segments are worth rewriting, from what the index knows of them.
//!
//! Pure. The worst segment first, by the share of its bytes that nobody needs; small neighbours go along, and where
//! nothing is wasted they merge. Rewriting at a share g costs (1 - g) / g bytes for each that comes back (Rosenblum and
//! Ousterhout, "The design and implementation of a log-structured file system", 1992), so nothing is done below a threshold.

use crate::base::ids::{Sequence, VolumeId};
use std::ops::Range;

/// A segment that wastes this share of its bytes, in percent, is rewritten whatever the others waste.
const ALWAYS_PERCENT: u64 = 50;
/// Less than a 16th of a segment is never worth it.
const GAIN_SHARE: u64 = 16;
/// Less than a page is never worth it.
const GAIN_BYTES_MIN: u64 = 4096;
/// A neighbour that keeps less than this share of a segment goes along.
const NEIGHBOUR_SHARE: u64 = 4;
/// Neighbours that keep less than this share each are merged for their own sake.
const SMALL_SHARE: u64 = 8;
/// Room that a copy needs besides its needles.
const OVERHEAD_BYTES: u64 = 64 << 10;

/// What is known of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Its volume.
    pub volume: VolumeId,
    /// Its first sequence.
    pub base: Sequence,
    /// The sequence behind it.
    pub next: Sequence,
    /// Its bytes.
    pub bytes: u64,
    /// Bytes of these that nobody needs, as far as can be told from memory.
    pub dead: u64,
    /// It takes needles still.
    pub open: bool,
    /// It may be rewritten: closed, whole, and not tried in vain.
    pub suitable: bool,
}

impl Facts {
    fn kept(&self) -> u64 {
        self.bytes.saturating_sub(self.dead)
    }

    fn percent(&self) -> u64 {
        self.dead.saturating_mul(100) / self.bytes.max(1)
    }

    fn is_worth_it(&self) -> bool {
        self.dead >= GAIN_BYTES_MIN && self.dead.saturating_mul(GAIN_SHARE) >= self.bytes
    }
}

/// Bounds of the choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Compaction begins when this share of all bytes is wasted.
    pub garbage_percent: u64,
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// Bytes that a copy may take: free room and the reserve.
    pub room_bytes: u64,
    /// Room is short: whatever brings some back is worth it.
    pub tight: bool,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Rewrite these, which follow one another in one volume, as one.
    Rewrite(Range<usize>),
    /// This open segment is mostly waste: close it, so that it can be rewritten.
    Roll(VolumeId),
}

/// Chooses among the segments of a disk, in order of volume and sequence.
#[must_use]
pub fn choose(facts: &[Facts], bounds: &Bounds) -> Option<Choice> {
    let total: u64 = facts.iter().map(|one| one.bytes).sum();
    let dead: u64 = facts.iter().map(|one| one.dead).sum();
    let much = dead.saturating_mul(100) >= total.saturating_mul(bounds.garbage_percent) && dead > 0;
    let wanted = |one: &Facts| {
        let share = one.percent();
        one.is_worth_it() && (bounds.tight || share >= ALWAYS_PERCENT || (much && share * 2 >= bounds.garbage_percent))
    };
    let fits = |one: &Facts| one.kept() + OVERHEAD_BYTES <= bounds.room_bytes;
    let open = |one: &&Facts| {
        let share = if bounds.tight || much { bounds.garbage_percent } else { ALWAYS_PERCENT };
        one.open && one.percent() >= share && one.dead.saturating_mul(SMALL_SHARE) >= bounds.segment_bytes
    };
    let best = (0..facts.len())
        .filter(|&index| facts.get(index).is_some_and(|one| one.suitable && wanted(one) && fits(one)))
        .max_by_key(|&index| facts.get(index).map(|one| (one.percent(), one.dead)));
    match (best, facts.iter().find(open)) {
        (Some(best), _) => Some(Choice::Rewrite(with_neighbours(facts, best, bounds))),
        (None, Some(open)) => Some(Choice::Roll(open.volume)),
        (None, None) => small_neighbours(facts, bounds).map(Choice::Rewrite),
    }
}

/// The segments around `best` that keep little, as far as all fit one segment.
fn with_neighbours(facts: &[Facts], best: usize, bounds: &Bounds) -> Range<usize> {
    let most = (bounds.segment_bytes / 4 * 3).min(bounds.room_bytes.saturating_sub(OVERHEAD_BYTES));
    let mut range = best..best + 1;
    let mut kept = facts.get(best).map_or(0, Facts::kept);
    loop {
        let behind = joins(facts, range.end.wrapping_sub(1), range.end).then_some(range.end);
        let before = range.start.checked_sub(1).filter(|&before| joins(facts, before, range.start));
        let next = [behind, before].into_iter().flatten().find(|&index| {
            facts.get(index).is_some_and(|one| {
                one.suitable
                    && one.kept() * NEIGHBOUR_SHARE <= bounds.segment_bytes
                    && kept + one.kept() <= most
                    && fits_an_index(facts, range.start.min(index), range.end - 1)
                    && fits_an_index(facts, range.start, index.max(range.end - 1))
            })
        });
        let Some(index) = next else { return range };
        kept += facts.get(index).map_or(0, Facts::kept);
        range = range.start.min(index)..range.end.max(index + 1);
    }
}

/// Whether one index can hold all sequences from those of `first` to those of `last`: its offsets have 32 bits.
fn fits_an_index(facts: &[Facts], first: usize, last: usize) -> bool {
    let (Some(first), Some(last)) = (facts.get(first), facts.get(last)) else { return false };
    last.next.0.saturating_sub(first.base.0) <= u64::from(u32::MAX)
}

/// Whether `right` follows `left` in its volume without a gap.
fn joins(facts: &[Facts], left: usize, right: usize) -> bool {
    let (Some(left), Some(right)) = (facts.get(left), facts.get(right)) else { return false };
    left.volume == right.volume && left.next == right.base
}

fn small_neighbours(facts: &[Facts], bounds: &Bounds) -> Option<Range<usize>> {
    let small = |one: &Facts| one.suitable && one.kept() * SMALL_SHARE <= bounds.segment_bytes;
    let most = (bounds.segment_bytes / 2).min(bounds.room_bytes.saturating_sub(OVERHEAD_BYTES));
    let mut start = 0;
    while start < facts.len() {
        let mut end = start;
        let mut kept = 0;
        while let Some(one) = facts.get(end)
            && small(one)
            && kept + one.kept() <= most
            && (end == start || joins(facts, end - 1, end) && fits_an_index(facts, start, end))
        {
            kept += one.kept();
            end += 1;
        }
        if end - start >= 2 {
            return Some(start..end);
        }
        start = end.max(start + 1);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn facts(volume: u32, base: u64, bytes: u64, dead: u64) -> Facts {
        let next = Sequence(base + 100);
        Facts { volume: VolumeId(volume), base: Sequence(base), next, bytes, dead, open: false, suitable: true }
    }

    fn bounds() -> Bounds {
        Bounds { garbage_percent: 20, segment_bytes: 64 * MIB, room_bytes: 1 << 30, tight: false }
    }

    #[test]
    fn the_worst_goes_first_and_little_waste_is_left_alone() {
        let full = |base, dead| facts(1, base, 64 * MIB, dead * MIB);
        assert_eq!(choose(&[full(0, 0), full(100, 5), full(200, 9)], &bounds()), None, "below a fifth of all");
        assert_eq!(choose(&[full(0, 0), full(100, 33), full(200, 0)], &bounds()), Some(Choice::Rewrite(1..2)));
        let all = [full(0, 14), full(100, 20), full(200, 13)];
        assert_eq!(choose(&all, &bounds()), Some(Choice::Rewrite(1..2)), "more than a fifth of all");
        let tight = Bounds { tight: true, ..bounds() };
        assert_eq!(choose(&[full(0, 5), full(100, 6), full(200, 3)], &tight), Some(Choice::Rewrite(1..2)));
        let narrow = Bounds { room_bytes: 30 * MIB, ..bounds() };
        assert_eq!(choose(&[full(0, 33), full(100, 50)], &narrow), Some(Choice::Rewrite(1..2)), "what fits the room");
        assert_eq!(choose(&[full(0, 33)], &Bounds { room_bytes: 20 * MIB, ..bounds() }), None);
    }

    #[test]
    fn neighbours_that_keep_little_go_along_and_merge() {
        let all = [facts(1, 0, 64 * MIB, 60 * MIB), facts(1, 100, 64 * MIB, 50 * MIB), facts(1, 200, 64 * MIB, 0)];
        assert_eq!(choose(&all, &bounds()), Some(Choice::Rewrite(0..2)));
        let other_volume = [facts(1, 0, 64 * MIB, 60 * MIB), facts(2, 100, 64 * MIB, 50 * MIB)];
        assert_eq!(choose(&other_volume, &bounds()), Some(Choice::Rewrite(0..1)));
        let gap = [facts(1, 0, 64 * MIB, 60 * MIB), facts(1, 101, 64 * MIB, 50 * MIB)];
        assert_eq!(choose(&gap, &bounds()), Some(Choice::Rewrite(0..1)));
        let small =
            [facts(1, 0, 64 * MIB, 0), facts(1, 100, 5 * MIB, 0), facts(1, 200, 2 * MIB, 0), facts(1, 300, 9 * MIB, 0)];
        assert_eq!(choose(&small, &bounds()), Some(Choice::Rewrite(1..3)));
        assert_eq!(choose(&small[1..2], &bounds()), None, "nothing to merge with");
    }

    #[test]
    fn neighbours_whose_sequences_do_not_fit_one_index_stay_apart() {
        let far = u64::from(u32::MAX) - 50;
        let wide = |dead| Facts { next: Sequence(far), ..facts(1, 0, 4 * MIB, dead) };
        let narrow = |dead| Facts { next: Sequence(far + 100), ..facts(1, far, 4 * MIB, dead) };
        assert_eq!(choose(&[wide(0), narrow(0)], &bounds()), None);
        assert_eq!(choose(&[wide(3 * MIB), narrow(0)], &bounds()), Some(Choice::Rewrite(0..1)));
        assert_eq!(choose(&[wide(0), narrow(3 * MIB)], &bounds()), Some(Choice::Rewrite(1..2)));
        let fitting = Facts { next: Sequence(far + 50), ..narrow(0) };
        assert_eq!(choose(&[wide(0), fitting], &bounds()), Some(Choice::Rewrite(0..2)));
    }

    #[test]
    fn an_open_segment_that_is_mostly_waste_is_rolled() {
        let open = |dead| Facts { open: true, suitable: false, ..facts(1, 0, 32 * MIB, dead * MIB) };
        assert_eq!(choose(&[open(20)], &bounds()), Some(Choice::Roll(VolumeId(1))));
        assert_eq!(choose(&[open(7)], &bounds()), None, "too little to close it for");
        assert_eq!(choose(&[open(10)], &bounds()), Some(Choice::Roll(VolumeId(1))), "a third of all is waste");
        let beside = [open(10), facts(2, 0, 64 * MIB, 0)];
        assert_eq!(choose(&beside, &bounds()), None, "little of all is");
        assert_eq!(choose(&[open(10)], &Bounds { tight: true, ..bounds() }), Some(Choice::Roll(VolumeId(1))));
    }

    #[test]
    fn what_was_chosen_and_rewritten_is_not_chosen_again() {
        // Whatever the shares are: after rewriting, the same choice must not come again for ever.
        for seed in 0..200u64 {
            let mut all: Vec<Facts> =
                (0..12).map(|n| facts(1, n * 100, 64 * MIB, (seed * 7919 + n * 104_729) % 65 * MIB)).collect();
            let mut turns = 0;
            while let Some(choice) = choose(&all, &bounds()) {
                let Choice::Rewrite(range) = choice else { panic!("nothing is open") };
                let kept = all[range.clone()].iter().map(Facts::kept).sum();
                assert!(kept <= 64 * MIB);
                let next = all[range.end - 1].next;
                let one = Facts { bytes: kept, dead: 0, next, ..all[range.start] };
                all.splice(range, [one]);
                turns += 1;
                assert!(turns <= 24, "seed {seed}");
            }
        }
    }
}
