//! The background thread of a disk: looks at it each second, and does its chores in between.
//!
//! May wait for the disk. What runs here writes only new files; what changes manifest or index is asked of the append lane.

use super::chores::{Chore, Chores};
use super::look::look;
use super::unit::Unit;
use crate::base::clock::Moment;
use crate::disk::Disk;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const LOOK: Duration = Duration::from_secs(1);

pub(super) fn run(
    unit: &Arc<Unit>,
    disk: &Arc<dyn Disk>,
    chores: impl FnOnce() -> Vec<Box<dyn Chore>>,
    stop: &crossbeam_channel::Receiver<()>,
) {
    // Made here, for some read where they left off.
    let mut chores = Chores::new(chores(), unit.clock.now());
    let mut is_warned = false;
    let mut looked = Moment::default();
    loop {
        let now = unit.clock.now();
        if now >= looked + LOOK {
            looked = now;
            match look(unit, disk) {
                Ok(()) => is_warned = false,
                Err(error) if !is_warned => {
                    log::warn!("disk {}: it could not be looked at: {error}", unit.place);
                    is_warned = true;
                }
                Err(_) => {}
            }
        }
        unit.background_since.store(unit.clock.now().0, Ordering::Relaxed);
        let rest = chores.round(&*unit.clock);
        unit.background_since.store(u64::MAX, Ordering::Relaxed);
        let rest = rest.min((looked + LOOK) - unit.clock.now());
        // The sender is dropped when the node stops.
        if !matches!(stop.recv_timeout(rest), Err(crossbeam_channel::RecvTimeoutError::Timeout)) {
            chores.stop();
            return;
        }
    }
}
