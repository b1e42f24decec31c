//! How the reactor's threads are told to stop: first drain, then end.
//!
//! Set by the thread that stops the node, read once a turn by each reactor thread.

use std::sync::atomic::{AtomicU8, Ordering};

/// The phase that all threads of a reactor are in.
#[derive(Debug, Default)]
pub struct Control(AtomicU8);

impl Control {
    /// Stops accepting; requests in flight are finished, new ones answered SHUTTING_DOWN.
    pub fn drain(&self) {
        self.0.fetch_max(1, Ordering::SeqCst);
    }

    /// Ends at once.
    pub fn end(&self) {
        self.0.fetch_max(2, Ordering::SeqCst);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= 1
    }

    pub(super) fn is_ended(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= 2
    }
}
