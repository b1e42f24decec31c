//! The state of a disk, as its threads have found it and as placement and `status` see it.
//!
//! Written by the disk's own threads, read by any. Always: a disk that failed for writing stays so until the process
//! opens it again.
//!
//! ```text
//! Healthy ──no room──▶ Full ──room again──▶ Healthy        Healthy, Full ──sync or write error──▶ Failed
//! ```

use parking_lot::Mutex;
use serde::Serialize;
use std::sync::atomic::{AtomicU8, Ordering};

/// What a disk can do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum DiskState {
    /// Reads and writes.
    Healthy = 0,
    /// Reads, and takes no objects for want of room.
    Full = 1,
    /// Reads what it still can; takes no writes until it is opened again.
    Failed = 2,
}

#[derive(Debug, Default)]
pub(super) struct StateCell {
    state: AtomicU8,
    cause: Mutex<String>,
}

impl StateCell {
    pub(super) fn state(&self) -> DiskState {
        match self.state.load(Ordering::Acquire) {
            0 => DiskState::Healthy,
            1 => DiskState::Full,
            _ => DiskState::Failed,
        }
    }

    pub(super) fn cause(&self) -> String {
        self.cause.lock().clone()
    }

    /// Moves to a state, and says so once.
    pub(super) fn enter(&self, place: &str, to: DiskState, cause: &str) {
        if self.state() == to {
            return;
        }
        {
            // Under the lock, or a background thread that saw room could undo a failure.
            let mut said = self.cause.lock();
            let from = self.state();
            if from == to || from == DiskState::Failed {
                return;
            }
            *said = cause.to_string();
            self.state.store(to as u8, Ordering::Release);
        }
        match to {
            DiskState::Healthy => log::info!("disk {place}: takes objects again: {cause}"),
            DiskState::Full => log::warn!("disk {place}: full, takes no objects: {cause}"),
            DiskState::Failed => log::error!("disk {place}: failed for writing until it is opened again: {cause}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_table() {
        let cell = StateCell::default();
        cell.enter("d", DiskState::Full, "no room");
        assert_eq!((cell.state(), cell.cause().as_str()), (DiskState::Full, "no room"));
        cell.enter("d", DiskState::Healthy, "room");
        cell.enter("d", DiskState::Failed, "EIO");
        cell.enter("d", DiskState::Healthy, "hope");
        assert_eq!((cell.state(), cell.cause().as_str()), (DiskState::Failed, "EIO"));
    }
}
