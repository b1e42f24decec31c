//! What the threads of a run tell each other.
//!
//! Always: a worker never waits for whoever reads its seconds; it goes on filling the same one instead.

use super::tally::Tallies;
use crate::workload::Workload;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Tells workers to stop.
#[derive(Debug, Default)]
pub struct Control {
    stops: AtomicBool,
}

impl Control {
    /// No request is begun any more; what is under way is waited for.
    pub fn stop(&self) {
        self.stops.store(true, Ordering::Release);
    }

    pub(super) fn stops(&self) -> bool {
        self.stops.load(Ordering::Acquire)
    }
}

/// What one worker did in about a second.
#[derive(Debug, Default)]
pub struct Interval {
    /// Its end, from the start of the run.
    pub at: Duration,
    /// What it counted.
    pub tallies: Tallies,
    /// What is waiting or under way at the end.
    pub outstanding: u64,
    /// Connections that are ready at the end.
    pub ready: u32,
    /// What went wrong with connections, up to a few lines.
    pub remarks: Vec<String>,
}

/// What a worker says.
#[derive(Debug)]
pub enum Said {
    /// Another second.
    Interval(u32, Box<Interval>),
    /// It has ended, and gives its workload back.
    Ended(u32, Box<Ended>),
}

/// How a worker ended.
#[derive(Debug)]
pub struct Ended {
    /// Its last interval.
    pub last: Interval,
    /// What it knew of objects.
    pub workload: Workload,
    /// Why it could not go on, if so.
    pub error: Option<String>,
}
