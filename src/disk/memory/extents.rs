//! Which pages of a file hold room on the disk: ranges that neither touch nor overlap.

use std::collections::BTreeMap;

#[derive(Debug, Clone, Default)]
pub struct Extents {
    /// From the first page of a range to the page after its last.
    ranges: BTreeMap<u64, u64>,
    pages: u64,
}

impl Extents {
    /// Pages in all ranges.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// How many pages of this range hold no room.
    pub fn missing(&self, from: u64, to: u64) -> u64 {
        let first = self.ranges.range(..=from).next_back().map_or(from, |(start, _)| *start);
        let held = self
            .ranges
            .range(first..to.max(first))
            .fold(0, |held, (start, end)| held + (*end).min(to).saturating_sub((*start).max(from)));
        to.saturating_sub(from) - held
    }

    /// Adds a range.
    pub fn add(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        self.pages += self.missing(from, to);
        let (mut from, mut to) = (from, to);
        while let Some((start, end)) = self.ranges.range(..=to).next_back().map(|(start, end)| (*start, *end)) {
            if end < from {
                break;
            }
            self.ranges.remove(&start);
            from = from.min(start);
            to = to.max(end);
        }
        self.ranges.insert(from, to);
        self.check();
    }

    /// Takes a range out.
    pub fn remove(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        loop {
            let last = self.ranges.range(..to).next_back().map(|(start, end)| (*start, *end));
            let Some((start, end)) = last.filter(|(_, end)| *end > from) else {
                break;
            };
            self.ranges.remove(&start);
            if end > to {
                self.ranges.insert(to, end);
            }
            if start < from {
                self.ranges.insert(start, from);
            }
            self.pages -= end.min(to) - start.max(from);
        }
        self.check();
    }

    fn check(&self) {
        debug_assert_eq!(self.pages, self.ranges.iter().map(|(start, end)| end - start).sum::<u64>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn ranges_are_the_set_of_their_pages(changes in proptest::collection::vec((any::<bool>(), 0u64..40, 0u64..12), 0..40)) {
            let mut extents = Extents::default();
            let mut model = BTreeSet::new();
            for (add, from, pages) in changes {
                let to = from + pages;
                let missing = (from..to).filter(|page| !model.contains(page)).count() as u64;
                prop_assert_eq!(extents.missing(from, to), missing);
                if add {
                    extents.add(from, to);
                    model.extend(from..to);
                } else {
                    extents.remove(from, to);
                    model.retain(|page| *page < from || *page >= to);
                }
                prop_assert_eq!(extents.pages(), model.len() as u64);
            }
        }
    }
}
