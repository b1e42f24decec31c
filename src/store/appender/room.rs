//! What a full disk does and does not take: deletes on the reserve's account, objects only when there is room for both.
//!
//! Owned by the append lane. Always: once an object found no room, none is taken until the reserve is whole again and there
//! is room besides; a delete is refused only when the half of the reserve that deletes may have is used up too.

use super::{AppendError, Appender, failure};
use crate::base::planted::{self, Bug};
use crate::store::names;
use crate::store::reserve::{GIVE_BYTES_MIN, Reserve};
use std::io;
use std::sync::Arc;

/// A disk that was full takes objects again with this much room besides the reserve, or an eighth of itself if that is less.
const ROOM_AGAIN_BYTES: u64 = 64 << 20;
const ROOM_AGAIN_SHARE: u64 = 8;

/// What is given at once for a record that compaction needs.
const RECORDS_BYTES_MIN: u64 = 64 << 10;

/// What room of the reserve is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// Tombstones, their segments, and the records of these.
    Deletes,
    /// Records without which compaction brings nothing back.
    Compaction,
}

impl Appender {
    /// Whether objects are taken: nothing was full since the last look, and the reserve is whole.
    #[must_use]
    pub fn takes_objects(&self) -> bool {
        !self.is_full && (self.reserve.is_whole() || planted::on(Bug::GiveReserveToObjects))
    }

    /// What a full disk is asked now and then: refills the reserve, and takes objects again if there is room besides.
    ///
    /// # Errors
    /// [`AppendError::Failed`].
    pub fn look_for_room(&mut self) -> Result<bool, AppendError> {
        if self.takes_objects() {
            return Ok(true);
        }
        self.guarded(|appender| {
            let place = format!("{}/{}", appender.disk.place(), names::RESERVE);
            if !appender.reserve.refill().map_err(|error| failure(place, "refill", error))? {
                return Ok(false);
            }
            let place = appender.disk.place();
            let space = appender.disk.space().map_err(|error| failure(place, "statvfs", error))?;
            appender.is_full = space.free < ROOM_AGAIN_BYTES.min(space.total / ROOM_AGAIN_SHARE);
            Ok(!appender.is_full)
        })
    }

    /// Free bytes of the file system that objects may take: without the reserve, and without what it lacks.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.disk.space()?.free.saturating_sub(self.reserve.missing_bytes()))
    }

    /// The reserve, to be shared with whoever else may use it.
    #[must_use]
    pub fn reserve(&self) -> Arc<Reserve> {
        Arc::clone(&self.reserve)
    }

    /// Does what needs no room for objects, again and again while the reserve has room to give for it.
    pub(super) fn on_the_reserve<T>(
        &mut self,
        purpose: Purpose,
        mut work: impl FnMut(&mut Self) -> Result<T, AppendError>,
    ) -> Result<T, AppendError> {
        let mut bytes = match purpose {
            Purpose::Deletes => GIVE_BYTES_MIN,
            Purpose::Compaction => RECORDS_BYTES_MIN,
        };
        loop {
            match work(self) {
                Err(AppendError::Full { place }) => {
                    self.is_full = true;
                    let reserve = format!("{}/{}", self.disk.place(), names::RESERVE);
                    let given = match purpose {
                        Purpose::Deletes => self.reserve.give_for_deletes(bytes),
                        Purpose::Compaction => self.reserve.give(bytes),
                    };
                    let given = given.map_err(|error| failure(reserve, "cut", error))?;
                    if given == 0 {
                        return Err(AppendError::Full { place });
                    }
                    // Doubled, so that a few rounds find whether all of it helps.
                    bytes = bytes.saturating_mul(2);
                }
                other => return other,
            }
        }
    }
}
