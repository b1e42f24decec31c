//! What the log does between records and at a stop: closing frames, the mark, zeros ahead.
//!
//! Owned by the master thread. Always: what is marked was synced before; what finds no room here is left out, for it only
//! proves more and saves time.

use super::mark::Mark;
use super::names;
use super::segment_header::LOG_HEADER_BYTES;
use super::{Log, StateError, broken};
use crate::disk::is_full;
use crate::journal::{SECTOR_BYTES, failed_sync, sector_end};
use std::io::IoSlice;

impl Log {
    /// Writes the mark if it is behind; for about once a second while records come.
    ///
    /// # Errors
    /// Those of writing; the log then takes nothing more.
    pub fn note_mark(&mut self) -> Result<(), StateError> {
        self.guarded(|log| log.write_mark(false))
    }

    /// What to do when nothing waits: a closing frame, the mark, zeros ahead. Cheap when nothing changed.
    ///
    /// # Errors
    /// Those of writing; the log then takes nothing more.
    pub fn rest(&mut self) -> Result<(), StateError> {
        self.guarded(|log| {
            log.write_closing_frame()?;
            log.write_mark(false)?;
            log.fill_ahead()
        })
    }

    /// A clean stop.
    ///
    /// # Errors
    /// Those of writing; the next start then treats the stop as unclean.
    pub fn close(mut self) -> Result<(), StateError> {
        self.guarded(|log| {
            log.write_closing_frame()?;
            log.write_mark(true)
        })
    }

    pub(super) fn mark_now(&self, clean: bool) -> Mark {
        Mark {
            clean,
            epoch: self.epoch,
            mark: self.next,
            last: self.content.last(),
            hard: self.content.hard(),
            salt: self.salt,
            owner: self.owner,
        }
    }

    fn write_mark(&mut self, clean: bool) -> Result<(), StateError> {
        let mark = self.mark_now(clean);
        if (mark.mark, mark.clean) == (self.marked.mark, self.marked.clean) {
            return Ok(());
        }
        match self.mark.write(&mark.encode()) {
            Ok(()) => self.marked = mark,
            Err(error) if is_full(&error) => {}
            Err(error) => return Err(broken(format!("{}/{}", self.disk.place(), names::MARK), error)),
        }
        Ok(())
    }

    fn write_closing_frame(&mut self) -> Result<(), StateError> {
        let nothing_new = self.tail.closing_at == Some(self.next) || self.tail.end <= LOG_HEADER_BYTES as u64;
        if nothing_new || sector_end(self.tail.end) + SECTOR_BYTES > self.tail.allocated {
            return Ok(());
        }
        let frame = self.frame(None);
        self.scratch.clear();
        self.scratch.extend_from_slice(&frame.encode(self.salt));
        match self.write_scratch(frame.position, false) {
            Err(StateError::Full { .. }) => return Ok(()),
            other => other?,
        }
        self.sync_tail()?;
        self.tail.closing_at = Some(self.next);
        Ok(())
    }

    fn fill_ahead(&mut self) -> Result<(), StateError> {
        let ahead = self.options.fill_ahead_bytes;
        let end = sector_end(self.tail.end);
        let from = self.tail.filled.max(end);
        let to = end.saturating_add(ahead).min(self.tail.allocated);
        // Half a step left is enough for now.
        if from - end >= ahead / 2 || to <= from {
            return Ok(());
        }
        let place = self.place();
        let zeros = vec![0; usize::try_from(to - from).unwrap_or(0)];
        match self.tail.file().write_all_at(&mut [IoSlice::new(&zeros)], from) {
            Ok(()) => self.tail.filled = to,
            // What was written of them are zeros in room that is ours.
            Err(error) if is_full(&error) => return Ok(()),
            Err(error) => return Err(broken(place, error)),
        }
        self.tail.file.sync_data().map_err(|error| broken(place, failed_sync(error)))
    }
}
