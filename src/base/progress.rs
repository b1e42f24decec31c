//! That long work goes on, for whoever waits for it: what hangs makes no progress.
//!
//! Moved by the thread that works, read by the one that waits.

use std::sync::atomic::{AtomicU64, Ordering};

/// Steps and reads that the work has come by so far.
#[derive(Debug, Default)]
pub struct Progress(AtomicU64);

impl Progress {
    /// One step, or one read, further.
    pub fn advance(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How far it is.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
