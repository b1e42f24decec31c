//! The background thread of a disk: looks at it each second.
//!
//! May wait for the disk. Compaction, scrub and snapshots will run here: they write only new files.

use super::look::look;
use super::unit::Unit;
use crate::disk::Disk;
use std::sync::Arc;
use std::time::Duration;

const LOOK: Duration = Duration::from_secs(1);

pub(super) fn run(unit: &Arc<Unit>, disk: &Arc<dyn Disk>, stop: &crossbeam_channel::Receiver<()>) {
    let mut is_warned = false;
    loop {
        match look(unit, disk) {
            Ok(()) => is_warned = false,
            Err(error) if !is_warned => {
                log::warn!("disk {}: it could not be looked at: {error}", unit.place);
                is_warned = true;
            }
            Err(_) => {}
        }
        // The sender is dropped when the node stops.
        if !matches!(stop.recv_timeout(LOOK), Err(crossbeam_channel::RecvTimeoutError::Timeout)) {
            return;
        }
    }
}
