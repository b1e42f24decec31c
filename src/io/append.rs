//! Submitting to an append lane. Any thread.

use super::job::{LaneJob, Refused};
use super::unit::Unit;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Whether a job would be refused now: asked before anything is made for it.
pub(super) fn refuses(unit: &Unit) -> Option<Refused> {
    let refused = refusal(unit);
    if unit.appends.is_full() || refused == Refused::Closed {
        unit.metrics.refused_full.increment();
        return Some(refused);
    }
    None
}

/// What is said of a lane that does not take a job.
pub(super) fn refusal(unit: &Unit) -> Refused {
    if unit.closed.load(Ordering::Acquire) { Refused::Closed } else { Refused::AppendQueue }
}

/// Puts a job into the lane's queue; gives it back if the queue, or the disk's share of the budget, is full.
pub(super) fn submit(unit: &Arc<Unit>, job: LaneJob) -> Result<(), Box<LaneJob>> {
    let held = job.work.held_bytes();
    if unit.closed.load(Ordering::Acquire) || !unit.share_in.take(held) {
        unit.metrics.refused_full.increment();
        return Err(Box::new(job));
    }
    // Counted before it is sent: the lane may end it before this thread goes on.
    unit.metrics.appends_outstanding.increment();
    unit.appends.try_send(held, job).map_err(|full| {
        unit.metrics.appends_outstanding.decrement();
        unit.share_in.give_back(held);
        unit.metrics.refused_full.increment();
        Box::new(full.0)
    })
}
