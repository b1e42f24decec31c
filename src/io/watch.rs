//! The watch: one thread for all disks of the node, for what the threads of a disk that hangs cannot do themselves.
//!
//! Looks at atomics only and never at a file, so no disk can hold it up.

use super::unit::Unit;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::sync::Arc;
use std::time::Duration;

const LOOK: Duration = Duration::from_millis(250);

pub(super) fn run(units: &[Arc<Unit>], stop: &Receiver<()>) {
    // The sender is dropped when the node stops.
    while matches!(stop.recv_timeout(LOOK), Err(RecvTimeoutError::Timeout)) {
        for unit in units {
            unit.judge();
        }
    }
}
