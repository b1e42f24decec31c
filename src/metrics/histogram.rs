//! A histogram of nanoseconds: two significant digits from 1 µs to 10 minutes.
//!
//! Written by one thread, read by `status`. The lock is uncontended but for the copy that `status` makes, and is
//! never held over a system call.

use parking_lot::Mutex;
use serde::Serialize;

const HIGHEST_US: u64 = 600_000_000;

/// Durations, counted.
pub struct Histogram(Mutex<hdrhistogram::Histogram<u64>>);

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Histogram({:?})", self.summary())
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self(Mutex::new(empty()))
    }
}

fn empty() -> hdrhistogram::Histogram<u64> {
    hdrhistogram::Histogram::new_with_bounds(1, HIGHEST_US, 2).expect("these bounds are in the range of the library")
}

impl Histogram {
    /// Counts one duration, in nanoseconds.
    pub fn record(&self, nanoseconds: u64) {
        self.0.lock().saturating_record(nanoseconds / 1000);
    }

    /// The distribution so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary::of(&self.0.lock().clone())
    }

    /// The distribution over several threads.
    #[must_use]
    pub fn merged<'a>(parts: impl IntoIterator<Item = &'a Histogram>) -> Summary {
        let mut all = empty();
        for part in parts {
            let part = part.0.lock().clone();
            all.add(&part).expect("all histograms have the same bounds");
        }
        Summary::of(&all)
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
}
