//! The work that is to be done: which request is next, and when.
//!
//! Shared by all connections. Always: numbers of new objects are given out once.

use crate::objects::Object;
use crate::payload::{Key, Numbers};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Store what the key gives.
    Put(Key),
    /// Read it and compare.
    Get(Object),
}

/// What is to be done in a run.
#[derive(Debug)]
pub struct Work {
    /// Objects that can be read.
    pub known: Vec<Object>,
    /// Reads of 100 requests.
    pub reads: u8,
    /// Seed of contents and choices.
    pub seed: u64,
    /// The number of the next new object.
    pub number_next: AtomicU64,
    /// Requests that were begun.
    pub begun: AtomicU64,
    /// Requests in all.
    pub count: u64,
    /// When sending ends.
    pub until: Option<Instant>,
    /// Requests a second, by all connections.
    pub rate: Option<u64>,
    /// When sending begins.
    pub start: Instant,
}

impl Work {
    /// The next request, and when it is meant to be sent in an open loop; `None` when all are begun.
    pub fn next(&self) -> Option<(Task, Option<Instant>)> {
        let place = self.begun.fetch_add(1, Ordering::Relaxed);
        let intended = self.rate.and_then(|rate| self.start.checked_add(offset(place, rate)));
        let now_or_then = intended.unwrap_or_else(Instant::now);
        if place >= self.count || self.until.is_some_and(|until| now_or_then >= until) {
            return None;
        }
        let mut choice = Numbers::of(self.seed ^ CHOICES, place);
        let reads = !self.known.is_empty() && choice.below(100) < u64::from(self.reads);
        if !reads {
            let number = self.number_next.fetch_add(1, Ordering::Relaxed);
            return Some((Task::Put(Key { seed: self.seed, number }), intended));
        }
        let chosen = usize::try_from(choice.below(self.known.len() as u64)).expect("an index of a list");
        self.known.get(chosen).map(|object| (Task::Get(*object), intended))
    }
}

/// Keeps choices apart from contents.
const CHOICES: u64 = 0x6368_6f69_6365;

/// When request `place` is meant to be sent, from the start.
fn offset(place: u64, rate: u64) -> Duration {
    let ns = u128::from(place) * 1_000_000_000 / u128::from(rate);
    Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(reads: u8, count: u64, rate: Option<u64>) -> Work {
        let id = "1-2-0000000000000003".parse().unwrap();
        let known = (0..10).map(|number| Object { id, key: Key { seed: 1, number }, bytes: 1 }).collect();
        Work {
            known,
            reads,
            seed: 5,
            number_next: AtomicU64::new(100),
            begun: AtomicU64::new(0),
            count,
            until: None,
            rate,
            start: Instant::now(),
        }
    }

    #[test]
    fn the_same_seed_is_the_same_work() {
        let tasks = |work: Work| std::iter::from_fn(|| work.next()).map(|(task, _)| task).collect::<Vec<_>>();
        let all = tasks(work(75, 1000, None));
        assert_eq!(all, tasks(work(75, 1000, None)));
        assert_eq!(all.len(), 1000);
        let reads = all.iter().filter(|task| matches!(task, Task::Get(_))).count();
        assert!((700..800).contains(&reads), "{reads}");
        assert!(all.contains(&Task::Put(Key { seed: 5, number: 100 })));
        assert!(tasks(work(0, 50, None)).iter().all(|task| matches!(task, Task::Put(_))));
        assert!(tasks(work(100, 50, None)).iter().all(|task| matches!(task, Task::Get(_))));
    }

    #[test]
    fn intended_times_are_evenly_spread() {
        let work = work(100, 3, Some(1000));
        let times: Vec<_> = std::iter::from_fn(|| work.next()).map(|(_, time)| time.unwrap() - work.start).collect();
        assert_eq!(times, [0, 1, 2].map(Duration::from_millis));
        assert_eq!(offset(3, 7), Duration::from_nanos(428_571_428));
    }

    #[test]
    fn no_request_is_meant_for_after_the_end() {
        let mut work = work(100, u64::MAX, Some(1000));
        work.until = work.start.checked_add(Duration::from_millis(5));
        assert_eq!(std::iter::from_fn(|| work.next()).count(), 5);
    }
}
