//! A look at a disk: how much room it has, and whether it is still there.
//!
//! Background thread of the disk, each second; may wait for the disk, and the watch notices if it does for long.

use super::state::Event;
use super::unit::Unit;
use crate::disk::{Disk, is_full, is_shortage};
use crate::store::look_for;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Notes the room; a disk that was taken out, or whose device is gone, has failed from now on.
///
/// # Errors
/// Those that say nothing about the disk.
pub(super) fn look(unit: &Unit, disk: &Arc<dyn Disk>) -> io::Result<()> {
    unit.looking_since.store(unit.clock.now().0, Ordering::Relaxed);
    // Opened afresh: handles that are open go on working after the directory is gone.
    let looked = look_for(&**disk).and_then(|()| disk.space());
    unit.looking_since.store(u64::MAX, Ordering::Relaxed);
    match looked {
        Ok(space) => {
            unit.total_bytes.store(space.total, Ordering::Relaxed);
            // What the reserve lacks is not for objects.
            let free = space.free.saturating_sub(unit.reserve.missing_bytes());
            unit.free_bytes.store(free, Ordering::Relaxed);
            Ok(())
        }
        Err(error) if is_shortage(&error) || is_full(&error) => Err(error),
        Err(error) => {
            unit.metrics.errors.increment();
            unit.state.enter(Event::Failed, &taken_out(&error));
            Ok(())
        }
    }
}

fn taken_out(error: &io::Error) -> String {
    let what = if error.kind() == io::ErrorKind::NotFound {
        "its directory was removed or replaced"
    } else {
        "its directory cannot be reached any more"
    };
    format!("{what} ({error}): bring the disk back and start the node again, or start it without this directory")
}
