//! A set of numbers as ranges that neither touch nor overlap.
//!
//! Any thread; pure. A client counts up, so the set is one range with a few gaps of what is still under way.

use crate::master::fields::{Fields, push_varint};

/// The set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Numbers(
    /// First and last of each range, ascending, with at least one number between two of them.
    Vec<(u64, u64)>,
);

impl Numbers {
    /// Whether a number is in it.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        self.before(number).is_some_and(|(_, last)| number <= last)
    }

    /// Its ranges.
    #[must_use]
    pub fn ranges(&self) -> usize {
        self.0.len()
    }

    /// Puts a number in.
    pub fn insert(&mut self, number: u64) {
        let at = self.place(number);
        let (left, right) = (self.before(number), self.0.get(at).copied());
        if left.is_some_and(|(_, last)| number <= last) {
            return;
        }
        let joins_left = left.is_some_and(|(_, last)| last.checked_add(1) == Some(number));
        let joins_right = right.is_some_and(|(first, _)| number.checked_add(1) == Some(first));
        let first = left.filter(|_| joins_left).map_or(number, |(first, _)| first);
        let last = right.filter(|_| joins_right).map_or(number, |(_, last)| last);
        let (from, to) = (at - usize::from(joins_left), at + usize::from(joins_right));
        if from == to {
            self.0.insert(at, (first, last));
        } else {
            self.0.drain(from + 1..to);
            if let Some(range) = self.0.get_mut(from) {
                *range = (first, last);
            }
        }
    }

    /// How many ranges there would be with these numbers, which ascend and are not in it yet.
    #[must_use]
    pub fn ranges_with(&self, numbers: &[u64]) -> usize {
        let runs = numbers.chunk_by(|a, b| a.checked_add(1) == Some(*b));
        let (mut added, mut joined) = (0, 0);
        for run in runs {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            added += 1;
            joined += usize::from(first.checked_sub(1).is_some_and(|left| self.contains(left)));
            joined += usize::from(last.checked_add(1).is_some_and(|right| self.contains(right)));
        }
        (self.0.len() + added).saturating_sub(joined)
    }

    /// Gives back what room it has to spare: nothing comes in any more.
    pub(super) fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }

    /// Appends it: the number of ranges, then of each the distance from the one before and its length, less one.
    pub(super) fn push_to(&self, out: &mut Vec<u8>) {
        push_varint(out, self.0.len() as u64);
        let mut end = 0;
        for (first, last) in &self.0 {
            push_varint(out, first - end);
            push_varint(out, last - first);
            end = *last;
        }
    }

    pub(super) fn parse(fields: &mut Fields<'_>) -> Option<Self> {
        let count = usize::try_from(fields.varint()?).ok()?;
        let mut ranges: Vec<(u64, u64)> = Vec::with_capacity(count.min(fields.0.len() / 2));
        for place in 0..count {
            let distance = fields.varint()?;
            if place > 0 && distance < 2 {
                return None;
            }
            let end = ranges.last().map_or(0, |(_, last)| *last);
            let first = end.checked_add(distance)?;
            ranges.push((first, first.checked_add(fields.varint()?)?));
        }
        Some(Self(ranges))
    }

    /// The place of the first range that begins behind a number.
    fn place(&self, number: u64) -> usize {
        match self.0.last() {
            Some((first, _)) if *first <= number => self.0.len(),
            _ => self.0.partition_point(|(first, _)| *first <= number),
        }
    }

    fn before(&self, number: u64) -> Option<(u64, u64)> {
        self.0.get(self.place(number).checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn golden_bytes() {
        let mut numbers = Numbers::default();
        [7, 1, 2, 3, 300].into_iter().for_each(|number| numbers.insert(number));
        let mut out = Vec::new();
        numbers.push_to(&mut out);
        assert_eq!(out, [3, 1, 2, 4, 0, 0xa5, 2, 0]);
        for bad in [&[][..], &[1, 1], &[2, 1, 1, 1, 0], &[2, 1, 1, 0, 0]] {
            assert_eq!(Numbers::parse(&mut Fields(bad)), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn it_is_a_set(list in prop::collection::vec(prop_oneof![0u64..40, u64::MAX - 3..], 0..60),
                       more in prop::collection::btree_set(0u64..45, 0..10)) {
            let (mut numbers, mut model) = (Numbers::default(), BTreeSet::new());
            for number in list {
                numbers.insert(number);
                model.insert(number);
            }
            for number in (0..50).chain(u64::MAX - 5..=u64::MAX) {
                prop_assert_eq!(numbers.contains(number), model.contains(&number));
            }
            let mut out = Vec::new();
            numbers.push_to(&mut out);
            let mut fields = Fields(&out);
            prop_assert_eq!(Numbers::parse(&mut fields), Some(numbers.clone()));
            prop_assert!(fields.is_empty());
            let fresh: Vec<u64> = more.into_iter().filter(|number| !model.contains(number)).collect();
            let told = numbers.ranges_with(&fresh);
            fresh.into_iter().for_each(|number| numbers.insert(number));
            prop_assert_eq!(told, numbers.ranges());
        }
    }
}
