//! What was counted and timed.

use hdrhistogram::Histogram;
use larder::request::Status;
use std::collections::BTreeMap;
use std::time::Duration;

const HIGHEST_US: u64 = 3_600_000_000;

/// One kind of request.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Answered OK.
    pub done: u64,
    /// Bytes of content in those.
    pub bytes: u64,
    /// Objects whose content was not that of their key.
    pub wrong: u64,
    /// Requests whose connection was lost before the answer.
    pub lost: u64,
    /// Answers that were not OK, by name.
    pub refused: BTreeMap<&'static str, u64>,
    /// From sending to the whole answer, in microseconds.
    pub service: Histogram<u64>,
    /// From the intended time of sending to the whole answer; empty in a closed loop.
    pub response: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        let histogram = || Histogram::new_with_bounds(1, HIGHEST_US, 3).expect("these bounds are in range");
        Self {
            done: 0,
            bytes: 0,
            wrong: 0,
            lost: 0,
            refused: BTreeMap::new(),
            service: histogram(),
            response: histogram(),
        }
    }
}

impl Tally {
    /// Counts an answer. `wait` is how long it was sent after its intended time; `None` in a closed loop.
    pub fn answered(&mut self, status: Status, bytes: usize, service: Duration, wait: Option<Duration>) {
        if status == Status::Ok {
            self.done += 1;
            self.bytes += bytes as u64;
        } else {
            *self.refused.entry(status.name()).or_default() += 1;
        }
        let us = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1);
        self.service.saturating_record(us(service));
        if let Some(wait) = wait {
            self.response.saturating_record(us(service + wait));
        }
    }

    /// Adds what another thread counted.
    pub fn add(&mut self, other: &Self) {
        self.done += other.done;
        self.bytes += other.bytes;
        self.wrong += other.wrong;
        self.lost += other.lost;
        for (name, count) in &other.refused {
            *self.refused.entry(name).or_default() += count;
        }
        self.service.add(&other.service).expect("all histograms have the same bounds");
        self.response.add(&other.response).expect("all histograms have the same bounds");
    }

    /// Requests that ended in another status than OK or BUSY, or were lost.
    pub fn failed(&self) -> u64 {
        let busy = self.refused.get(Status::Busy.name()).copied().unwrap_or(0);
        self.lost + self.refused.values().sum::<u64>() - busy
    }
}

#[test]
fn threads_are_summed() {
    let mut one = Tally::default();
    one.answered(Status::Ok, 10, Duration::from_micros(50), None);
    one.answered(Status::Busy, 0, Duration::from_micros(60), None);
    let mut other = Tally { lost: 1, ..Tally::default() };
    other.answered(Status::Full, 0, Duration::from_micros(100), Some(Duration::from_micros(900)));
    one.add(&other);
    assert_eq!((one.done, one.bytes, one.failed()), (1, 10, 2));
    assert_eq!((one.service.len(), one.response.len()), (3, 1));
    assert_eq!((one.service.max(), one.response.max()), (100, 1000));
}
