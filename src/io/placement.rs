//! Which disk takes the next object: in turn by free space, but not one whose lane lags behind or that is nearly full.
//!
//! Processor thread; each processor has its own.

use super::state::DiskState;
use super::unit::Unit;
use crate::base::clock::Moment;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A lane with more than this many appends beyond twice the least loaded lane's is passed over.
const LAG: i64 = 8;
/// A lane that has worked on one group for this long is passed over: its disk is slow now, or hangs.
const GROUP_NS_MAX: u64 = 250_000_000;
/// A disk with less free room than this is passed over: it would soon refuse objects. Its lane decides when it is full.
const FREE_BYTES_MIN: u64 = 64 << 20;

/// Smooth weighted round-robin over the disks.
#[derive(Debug, Default)]
pub struct Placement {
    credits: Vec<i64>,
}

impl Placement {
    /// The disks to try, the best first.
    pub(super) fn order(&mut self, units: &[Arc<Unit>], now: Moment) -> SmallVec<[usize; 4]> {
        let facts: SmallVec<[Fact; 4]> = units
            .iter()
            .map(|unit| Fact {
                takes: unit.state.state() == DiskState::Healthy,
                free: unit.free_bytes.load(Ordering::Relaxed),
                waiting: unit.metrics.appends_outstanding.value(),
                stuck: now.since(Moment(unit.appending_since.load(Ordering::Relaxed))) > GROUP_NS_MAX,
            })
            .collect();
        self.choose(&facts)
    }

    fn choose(&mut self, facts: &[Fact]) -> SmallVec<[usize; 4]> {
        self.credits.resize(facts.len(), 0);
        let least = facts.iter().filter(|fact| fact.takes).map(|fact| fact.waiting).min().unwrap_or(0);
        let mut total = 0;
        for (credit, fact) in self.credits.iter_mut().zip(facts) {
            let weight = if fact.takes { fact.weight() } else { 0 };
            total += weight;
            *credit += weight;
        }
        let mut order: SmallVec<[usize; 4]> = (0..facts.len()).filter(|disk| facts[*disk].takes).collect();
        order.sort_by_key(|disk| {
            let fact = facts[*disk];
            let lags = fact.stuck || fact.waiting > 2 * least + LAG;
            (fact.free < FREE_BYTES_MIN, lags, std::cmp::Reverse(self.credits[*disk]))
        });
        if let Some(credit) = order.first().and_then(|first| self.credits.get_mut(*first)) {
            *credit -= total;
        }
        // Credits of a disk that lags must not grow without end.
        for credit in &mut self.credits {
            *credit = (*credit).clamp(-2 * total.max(1), 2 * total.max(1));
        }
        order
    }
}

#[derive(Debug, Clone, Copy)]
struct Fact {
    takes: bool,
    free: u64,
    waiting: i64,
    stuck: bool,
}

impl Fact {
    /// Free room in GiB, at least 1.
    fn weight(&self) -> i64 {
        i64::try_from(self.free >> 30).unwrap_or(i64::MAX).clamp(1, 1 << 40)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(free_gib: u64, waiting: i64) -> Fact {
        Fact { takes: true, free: free_gib << 30, waiting, stuck: false }
    }

    #[test]
    fn objects_spread_by_free_space() {
        let mut placement = Placement::default();
        let mut counts = [0; 3];
        for _ in 0..600 {
            counts[placement.choose(&[fact(100, 0), fact(200, 0), fact(300, 0)])[0]] += 1;
        }
        assert_eq!(counts, [100, 200, 300]);
    }

    #[test]
    fn a_lane_that_lags_is_the_last_resort_and_a_failed_disk_is_none() {
        let mut placement = Placement::default();
        for _ in 0..100 {
            assert_eq!(placement.choose(&[fact(100, 500), fact(100, 3)])[..], [1, 0]);
        }
        let stuck = Fact { stuck: true, ..fact(100, 1) };
        assert_eq!(placement.choose(&[stuck, fact(100, 9)])[..], [1, 0]);
        let failed = Fact { takes: false, ..fact(100, 0) };
        assert_eq!(placement.choose(&[failed, fact(1, 0)])[..], [1]);
        assert!(placement.choose(&[failed, failed]).is_empty());
        let nearly_full = Fact { free: 1 << 20, ..fact(1, 0) };
        assert_eq!(placement.choose(&[nearly_full, fact(1, 500)])[..], [1, 0]);
    }
}
