//! When a disk's background thread writes index snapshots: a few small files a turn, none while the disk has no room.
//!
//! May wait for the disk. Always: an error here is told and counted, and fails no append; after one there is a pause.

use super::chores::Chore;
use super::state::{DiskState, Event};
use super::unit::Unit;
use crate::store::SnapshotError;
use std::sync::Arc;
use std::time::Duration;

/// Files written in one turn: the background thread has other work too.
const FILES_A_TURN_MAX: usize = 16;
/// How often it looks for more.
const LOOK: Duration = Duration::from_secs(1);
/// When there is more, it goes on after this.
const GO_ON: Duration = Duration::from_millis(20);
/// After an error nothing is tried for so long.
const PAUSE: Duration = Duration::from_secs(60);

/// The background thread's view of this work.
pub(super) struct SnapshotWork {
    unit: Arc<Unit>,
}

impl SnapshotWork {
    pub(super) fn new(unit: Arc<Unit>) -> Self {
        Self { unit }
    }
}

impl Chore for SnapshotWork {
    /// Writes what is due, a few files at most.
    fn turn(&mut self) -> Duration {
        // A full disk keeps what room it has for deletes; a failed one is not written to.
        if self.unit.state.state() != DiskState::Healthy {
            return LOOK;
        }
        for _ in 0..FILES_A_TURN_MAX {
            match self.unit.snapshots.step() {
                Ok(true) => {}
                Ok(false) => return LOOK,
                Err(error) => {
                    note(&self.unit, &error);
                    return PAUSE;
                }
            }
        }
        GO_ON
    }
}

fn note(unit: &Unit, error: &SnapshotError) {
    let place = &unit.place;
    match error {
        SnapshotError::Full(_) => log::debug!("disk {place}: an index snapshot waits: {error}"),
        SnapshotError::Read(cause) => {
            unit.read_error(cause);
            log::warn!("disk {place}: an index snapshot was not written, the next start may read more: {error}");
        }
        SnapshotError::Write(_) => {
            unit.metrics.errors.increment();
            unit.state.enter(Event::Failed, &format!("writing an index snapshot failed: {error}"));
        }
    }
}
