//! What the threads of a run tell each other.
//!
//! Always: a worker never waits for whoever reads its seconds; it goes on filling the same one instead.

use super::tally::Tallies;
use crate::workload::Workload;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Tells workers to stop, and when any of them was answered last.
#[derive(Debug, Default)]
pub struct Control {
    stops: AtomicBool,
    /// When the first load was last answered as asked, in nanoseconds from the start of the run.
    answered_ns: AtomicU64,
}

impl Control {
    /// No request is begun any more; what is under way is waited for.
    pub fn stop(&self) {
        self.stops.store(true, Ordering::Release);
    }

    /// When the first load was last answered as asked, from the start of the run.
    #[must_use]
    pub fn answered_at(&self) -> Duration {
        Duration::from_nanos(self.answered_ns.load(Ordering::Relaxed))
    }

    /// It is answered now; how long it was not, whichever worker was answered before.
    pub(super) fn answered(&self, now: Duration) -> Duration {
        let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        // A worker may be a little behind another: then there was no silence.
        let before = self.answered_ns.fetch_max(now_ns, Ordering::Relaxed);
        Duration::from_nanos(now_ns.saturating_sub(before))
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
    /// Connections that were lost, of whichever side's doing.
    pub broken: u64,
    /// The longest time that ended here in which the first load was not answered as asked.
    pub silence: Duration,
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
