//! A histogram of nanoseconds: two significant digits from 1 µs to 10 minutes.
//!
//! Written by one thread, read by `status` and by scrapers. The lock is uncontended but for the copies that these make, and
//! is never held over a system call.

use parking_lot::Mutex;
use serde::Serialize;

const HIGHEST_US: u64 = 600_000_000;

/// The upper bounds of the buckets that scrapers get, in microseconds: steps of 2 to 2.5, from less than an inline read of
/// the page cache to the longest that a client waits. A scraper keeps a series for each, so they are few.
pub const BOUNDS_US: [u64; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// Durations, counted.
pub struct Histogram(Mutex<Recorded>);

struct Recorded {
    counts: hdrhistogram::Histogram<u64>,
    /// Exact, and wide enough never to wrap: a scraper takes a sum that falls for a restart.
    sum_ns: u128,
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Histogram({:?})", self.summary())
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self(Mutex::new(Recorded { counts: empty(), sum_ns: 0 }))
    }
}

fn empty() -> hdrhistogram::Histogram<u64> {
    hdrhistogram::Histogram::new_with_bounds(1, HIGHEST_US, 2).expect("these bounds are in the range of the library")
}

impl Histogram {
    /// Counts one duration, in nanoseconds.
    pub fn record(&self, nanoseconds: u64) {
        let mut recorded = self.0.lock();
        recorded.counts.saturating_record(nanoseconds / 1000);
        recorded.sum_ns += u128::from(nanoseconds);
    }

    /// The distribution so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary::of(&self.counts())
    }

    /// The distribution over several threads.
    #[must_use]
    pub fn merged<'a>(parts: impl IntoIterator<Item = &'a Histogram>) -> Summary {
        let mut all = empty();
        for part in parts {
            all.add(part.counts()).expect("all histograms have the same bounds");
        }
        Summary::of(&all)
    }

    fn counts(&self) -> hdrhistogram::Histogram<u64> {
        self.0.lock().counts.clone()
    }

    /// The counts at the fixed bounds, and the sum. A few microseconds, and no copy.
    #[must_use]
    pub fn buckets(&self) -> Buckets {
        let recorded = self.0.lock();
        let mut buckets = Buckets { sum_ns: recorded.sum_ns, ..Buckets::default() };
        let (mut low, mut below) = (0, 0);
        for (count, bound) in buckets.counts.iter_mut().zip(BOUNDS_US) {
            // Up to the end of the library's own bucket, so that nothing is counted twice: a bound is met within 1 %.
            let high = recorded.counts.highest_equivalent(bound);
            *count = recorded.counts.count_between(low, high);
            below += *count;
            low = high + 1;
        }
        buckets.above = recorded.counts.len() - below;
        buckets
    }

    /// The counts at the fixed bounds over several threads.
    #[must_use]
    pub fn merged_buckets<'a>(parts: impl IntoIterator<Item = &'a Histogram>) -> Buckets {
        parts.into_iter().fold(Buckets::default(), |all, part| all.plus(&part.buckets()))
    }
}

/// A distribution for scrapers: how many lie between the fixed bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Buckets {
    /// How many took at most as long as the bound at this place, and longer than the one before.
    counts: [u64; BOUNDS_US.len()],
    /// How many took longer than the last bound.
    above: u64,
    sum_ns: u128,
}

impl Buckets {
    /// Each bound in seconds, with how many took at most as long and longer than the bound before; the last is infinite.
    pub fn counts(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds_s = BOUNDS_US.into_iter().map(|us| us as f64 / 1e6).chain([f64::INFINITY]);
        bounds_s.zip(self.counts.into_iter().chain([self.above]))
    }

    /// How many were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.above
    }

    /// What they took together, in seconds.
    #[must_use]
    pub fn sum_s(&self) -> f64 {
        self.sum_ns as f64 / 1e9
    }

    fn plus(mut self, other: &Self) -> Self {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.above += other.above;
        self.sum_ns += other.sum_ns;
        self
    }
}

/// A distribution at a glance, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub struct Summary {
    /// How many were recorded.
    pub count: u64,
    /// The median.
    pub p50_us: u64,
    /// 99 of 100 were at most this.
    pub p99_us: u64,
    /// 999 of 1,000 were at most this.
    pub p999_us: u64,
    /// The largest.
    pub max_us: u64,
}

impl Summary {
    fn of(histogram: &hdrhistogram::Histogram<u64>) -> Self {
        Self {
            count: histogram.len(),
            p50_us: histogram.value_at_quantile(0.5),
            p99_us: histogram.value_at_quantile(0.99),
            p999_us: histogram.value_at_quantile(0.999),
            max_us: histogram.max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_threads_are_summed() {
        let (a, b) = (Histogram::default(), Histogram::default());
        for n in 1..=99 {
            a.record(n * 1000);
        }
        b.record(5_000_000);
        let all = Histogram::merged([&a, &b]);
        assert_eq!((all.count, all.p50_us), (100, 50));
        assert!((4_900..=5_100).contains(&all.max_us));
        assert_eq!(Histogram::default().summary(), Summary::default());
    }

    #[test]
    fn buckets_hold_each_duration_once() {
        let (a, b) = (Histogram::default(), Histogram::default());
        let us = [0, 49, 50, 51, 100, 999, 1_000, 1_100, 10_000_000, 10_100_000, 700_000_000];
        for (place, us) in us.into_iter().enumerate() {
            if place % 2 == 0 { &a } else { &b }.record(us * 1000 + 7);
        }
        let all = Histogram::merged_buckets([&a, &b]);
        let found: Vec<_> = all.counts().filter(|(_, count)| *count > 0).collect();
        let want = [(0.000_05, 3), (0.000_1, 2), (0.001, 2), (0.002_5, 1), (10.0, 1), (f64::INFINITY, 2)];
        assert_eq!((&found[..], all.count()), (&want[..], 11));
        let exact_ns: u64 = us.iter().map(|us| us * 1000 + 7).sum();
        assert!((all.sum_s() - exact_ns as f64 / 1e9).abs() < 1e-6, "{}", all.sum_s());
        assert_eq!((Buckets::default().count(), Buckets::default().sum_s()), (0, 0.0));
    }

    #[test]
    fn every_bound_is_met_within_a_hundredth() {
        for bound in BOUNDS_US {
            let histogram = Histogram::default();
            let next = bound + (bound / 100).max(1);
            histogram.record(bound * 1000);
            histogram.record(next * 1000);
            let bound_s = bound as f64 / 1e6;
            let below: u64 =
                histogram.buckets().counts().filter(|(at, _)| *at <= bound_s).map(|(_, count)| count).sum();
            assert_eq!(below, 1, "{bound}");
        }
    }
}
