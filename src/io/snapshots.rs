//! When a disk's background thread writes index snapshots: a few small files a look, none while the disk has no room.
//!
//! May wait for the disk. Always: an error here is told and counted, and fails no append; after one there is a pause.

use super::state::DiskState;
use super::unit::Unit;
use std::io;
use std::time::Duration;

/// Files written in one turn: the background thread has other work too.
const FILES_A_TURN_MAX: usize = 16;
/// After an error nothing is tried for so long.
const PAUSE: Duration = Duration::from_secs(60);

/// The background thread's view of this work.
#[derive(Debug, Default)]
pub(super) struct SnapshotWork {
    /// Nanoseconds of the clock before which nothing is tried.
    not_before: u64,
}

impl SnapshotWork {
    /// Writes what is due, a few files at most.
    pub(super) fn turn(&mut self, unit: &Unit) {
        let now = unit.clock.now();
        // A full disk keeps what room it has for deletes; a failed one is not written to.
        if now.0 < self.not_before || unit.state.state() != DiskState::Healthy {
            return;
        }
        for _ in 0..FILES_A_TURN_MAX {
            match unit.snapshots.step() {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    self.not_before = (now + PAUSE).0;
                    note(unit, &error);
                    return;
                }
            }
        }
    }
}

fn note(unit: &Unit, error: &io::Error) {
    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        log::debug!("disk {}: no room for an index snapshot: {error}", unit.place);
        return;
    }
    unit.metrics.errors.increment();
    log::warn!("disk {}: an index snapshot was not written, the next start may read more: {error}", unit.place);
}
