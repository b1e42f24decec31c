//! The background thread of a disk: looks at its room, and lets a full disk take objects again.
//!
//! May wait for the disk. Index snapshots are written here; compaction and scrub will run here too: all write only new
//! files.

use super::snapshots::SnapshotWork;
use super::state::DiskState;
use super::unit::Unit;
use crate::base::limits::SEGMENT_BYTES_DEFAULT;
use crate::disk::Disk;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const LOOK: Duration = Duration::from_secs(1);
/// A full disk is tried again when it has this much room.
const ROOM_AGAIN: u64 = SEGMENT_BYTES_DEFAULT / 8;

pub(super) fn run(unit: &Arc<Unit>, disk: &Arc<dyn Disk>, stop: &crossbeam_channel::Receiver<()>) {
    let mut is_warned = false;
    let mut snapshots = SnapshotWork::default();
    loop {
        match look(unit, disk) {
            Ok(()) => is_warned = false,
            Err(error) if !is_warned => {
                log::warn!("disk {}: its room cannot be seen: {error}", unit.place);
                unit.metrics.errors.increment();
                is_warned = true;
            }
            Err(_) => {}
        }
        snapshots.turn(unit);
        // The sender is dropped when the node stops.
        if !matches!(stop.recv_timeout(LOOK), Err(crossbeam_channel::RecvTimeoutError::Timeout)) {
            return;
        }
    }
}

pub(super) fn look(unit: &Arc<Unit>, disk: &Arc<dyn Disk>) -> std::io::Result<()> {
    let space = disk.space()?;
    unit.total_bytes.store(space.total, Ordering::Relaxed);
    unit.free_bytes.store(space.free, Ordering::Relaxed);
    if unit.state.state() == DiskState::Full && space.free >= ROOM_AGAIN.min(space.total / 64) {
        unit.state.enter(&unit.place, DiskState::Healthy, "there is room again");
    }
    Ok(())
}
