//! The work that a disk's background thread shares out: each chore a bounded piece at a time, when it is due.
//!
//! Background thread of the disk. Always: no piece takes long on a sound disk, so a stop is never far; a chore says itself
//! when it wants to go on, which is how it keeps its pace.

use crate::base::clock::{Clock, Moment};
use std::time::Duration;

/// One kind of background work.
pub(super) trait Chore: Send {
    /// Does a bounded piece, and says after how long there is more.
    fn turn(&mut self) -> Duration;

    /// The node stops: gives up what is under way.
    fn stop(&mut self) {}
}

/// The chores of a disk and when each is due.
pub(super) struct Chores {
    chores: Vec<(Moment, Box<dyn Chore>)>,
    /// Where the next round begins, so that none of those that are due is always last.
    first: usize,
}

impl Chores {
    pub(super) fn new(chores: Vec<Box<dyn Chore>>, now: Moment) -> Self {
        Self { chores: chores.into_iter().map(|chore| (now, chore)).collect(), first: 0 }
    }

    /// Gives each chore that is due one turn; how long nothing is due then.
    pub(super) fn round(&mut self, clock: &dyn Clock) -> Duration {
        let count = self.chores.len();
        self.first = (self.first + 1) % count.max(1);
        for index in (self.first..count).chain(0..self.first) {
            if let Some((due, chore)) = self.chores.get_mut(index)
                && *due <= clock.now()
            {
                let rest = chore.turn();
                *due = clock.now() + rest;
            }
        }
        let now = clock.now();
        self.chores.iter().map(|(due, _)| Duration::from_nanos(due.since(now))).min().unwrap_or(Duration::MAX)
    }

    pub(super) fn stop(&mut self) {
        for (_, chore) in &mut self.chores {
            chore.stop();
        }
    }
}
