//! When requests are meant to be sent.
//!
//! A worker's thread. Always: times never go back, and do not depend on answers; the same seed gives the same times.

use crate::workload::random::Numbers;
use std::fmt;
use std::time::Duration;

/// How requests arrive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arrivals {
    /// Each request when another is answered: as many are always under way as places are there.
    Closed,
    /// So many a second, at even distances.
    Constant(f64),
    /// So many a second on average, at random: as independent users come.
    Poisson(f64),
}

impl Arrivals {
    /// Requests a second; `None` in a closed loop.
    #[must_use]
    pub fn rate(self) -> Option<f64> {
        match self {
            Self::Closed => None,
            Self::Constant(rate) | Self::Poisson(rate) => Some(rate),
        }
    }

    /// Times of one worker of `workers`, which share the rate.
    #[must_use]
    pub fn times(self, seed: u64, worker: u32, workers: u32) -> Option<Times> {
        let rate = self.rate()?;
        let mean_ns = 1e9 * f64::from(workers) / rate;
        Some(Times {
            numbers: Numbers::of(seed ^ TIMES, u64::from(worker)),
            mean_ns,
            is_even: matches!(self, Self::Constant(_)),
            // Workers that send evenly take turns.
            next_ns: mean_ns * f64::from(worker) / f64::from(workers),
        })
    }
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed loop"),
            Self::Constant(rate) => write!(f, "open loop, constant, {rate:.0}/s"),
            Self::Poisson(rate) => write!(f, "open loop, poisson, {rate:.0}/s"),
        }
    }
}

/// Keeps times apart from contents and choices.
const TIMES: u64 = 0x7469_6d65_735f_6f66;

/// Intended times of one worker, from its start.
#[derive(Debug)]
pub struct Times {
    numbers: Numbers,
    mean_ns: f64,
    is_even: bool,
    next_ns: f64,
}

impl Times {
    /// The time of the next request that was not taken yet.
    #[must_use]
    pub fn next(&self) -> Duration {
        Duration::from_nanos(self.next_ns as u64)
    }

    /// Takes it.
    pub fn take(&mut self) -> Duration {
        let taken = self.next();
        let distance = if self.is_even { 1.0 } else { -(1.0 - self.numbers.unit()).ln() };
        self.next_ns += distance * self.mean_ns;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(arrivals: Arrivals, worker: u32, workers: u32, count: usize) -> Vec<Duration> {
        let mut times = arrivals.times(5, worker, workers).unwrap();
        (0..count).map(|_| times.take()).collect()
    }

    #[test]
    fn even_times_are_shared_in_turns() {
        let [one, other] = [0, 1].map(|worker| times(Arrivals::Constant(1000.0), worker, 2, 3));
        assert_eq!(one, [0, 2, 4].map(Duration::from_millis));
        assert_eq!(other, [1, 3, 5].map(Duration::from_millis));
    }

    #[test]
    fn random_times_keep_their_rate_and_law() {
        let all = times(Arrivals::Poisson(1000.0), 0, 1, 100_001);
        assert!(all.is_sorted());
        let mean = all[100_000].as_secs_f64() / 100_000.0;
        assert!((0.00098..0.00102).contains(&mean), "{mean}");
        // Of exponential distances 1/e are above their mean.
        let above = all.windows(2).filter(|pair| (pair[1] - pair[0]).as_secs_f64() > 0.001).count();
        assert!((36_000..37_600).contains(&above), "{above}");
        assert_eq!(all, times(Arrivals::Poisson(1000.0), 0, 1, 100_001));
        assert_ne!(all[1..5], times(Arrivals::Poisson(1000.0), 1, 1, 5)[1..5]);
    }

    #[test]
    fn a_closed_loop_has_no_times() {
        assert!(Arrivals::Closed.times(1, 0, 1).is_none());
    }
}
