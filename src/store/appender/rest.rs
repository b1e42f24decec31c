//! What the append lane does between groups and at a stop: syncs, closing frames, marks, zeros ahead.
//!
//! Owned by the append lane. Always: what is marked was synced before; an open segment ends where its last group or frame
//! does when the stop was clean, for the next start looks no further.

use super::group::{Group, compose, parts};
use super::volume::Writer;
use super::{AppendError, Appender, cut_tail, failure, files};
use crate::base::ids::VolumeId;
use crate::base::planted::{self, Bug};
use crate::disk::{File, is_full};
use crate::journal::{SECTOR_BYTES, sector_end};
use std::io::IoSlice;
use std::sync::Arc;

impl Appender {
    /// Whether something was written that no sync has covered.
    #[must_use]
    pub fn unsynced(&self) -> bool {
        self.writers.values().any(Writer::unsynced)
    }

    /// Makes everything durable that was written.
    ///
    /// # Errors
    /// [`AppendError::Failed`]; nothing that was unsynced may be believed.
    pub fn sync(&mut self) -> Result<(), AppendError> {
        self.guarded(|appender| {
            appender.sync_tails()?;
            appender.write_marks_if_late()
        })
    }

    /// What a lane does when nothing waits: sync, closing frames, the mark file, zeros ahead. Cheap when nothing changed.
    ///
    /// # Errors
    /// [`AppendError::Failed`].
    pub fn idle(&mut self) -> Result<(), AppendError> {
        self.guarded(|appender| {
            appender.sync_tails()?;
            appender.write_closing_frames()?;
            appender.write_marks_if_changed()?;
            appender.fill_ahead()
        })
    }

    /// A clean stop: everything is synced, marked, and the mark file says so. Index files that are missing are written
    /// before; without one the next start walks its segment, which is no error (see [`Snapshots::trouble`](crate::store::Snapshots::trouble)).
    ///
    /// # Errors
    /// [`AppendError::Failed`]; the next start then treats the stop as unclean.
    pub fn close(mut self) -> Result<(), AppendError> {
        self.guarded(|appender| {
            appender.sync_tails()?;
            appender.write_closing_frames()?;
            appender.give_back_room()?;
            let remembered = appender.remember_epochs()?;
            appender.set_points();
            let place = appender.disk.place();
            appender.snapshots.finish().map_err(|error| failure(place, "write an index file in", error))?;
            appender.write_marks(remembered)
        })
    }

    /// Cuts open segments to their ends: what is not read at the next start must not be there.
    fn give_back_room(&mut self) -> Result<(), AppendError> {
        let tails: Vec<_> =
            self.writers.iter().filter(|(_, writer)| writer.tail.is_some()).map(|(&at, _)| at).collect();
        for volume in tails {
            let place = self.place(volume);
            let Some(tail) = self.writers.get_mut(&volume).and_then(|writer| writer.tail.as_mut()) else { continue };
            let end = sector_end(tail.end);
            if tail.allocated > end {
                let cut = tail.file.set_len(end).and_then(|()| tail.file.sync_all());
                cut.map_err(|error| failure(place, "cut", error))?;
                (tail.allocated, tail.filled) = (end, end);
            }
        }
        Ok(())
    }

    /// Syncs every tail that needs it; several at once, for each waits for the device on its own.
    pub(super) fn sync_tails(&mut self) -> Result<(), AppendError> {
        let files: Vec<(VolumeId, Arc<dyn File>)> = self
            .writers
            .values()
            .filter(|writer| writer.unsynced())
            .filter_map(|writer| Some((writer.volume, Arc::clone(&writer.tail.as_ref()?.file))))
            .collect();
        let to_sync = if planted::on(Bug::SkipSync) { &[] } else { &files[..] };
        files::sync_all_at_once(to_sync).map_err(|(volume, error)| failure(self.place(volume), "sync", error))?;
        for (volume, _) in files {
            if let Some(writer) = self.writers.get_mut(&volume) {
                writer.set_synced();
            }
        }
        Ok(())
    }

    /// A closing frame that finds no room is not written: what it would prove stays to be scanned.
    fn write_closing_frames(&mut self) -> Result<(), AppendError> {
        let mut synced = Vec::new();
        for (&volume, writer) in &mut self.writers {
            let (epoch_due, next) = (writer.epoch_due, writer.next);
            let Some(tail) = &writer.tail else { continue };
            let room = sector_end(tail.end) + SECTOR_BYTES <= tail.allocated;
            let nothing_new = tail.closing_at == Some(next) || next == tail.segment.base();
            if epoch_due || nothing_new || !room {
                continue;
            }
            let start = writer.start(tail, 0);
            let group = compose(&start, &[], &mut self.scratch);
            let place = format!("{}/{}", self.disk.place(), tail.segment.name());
            let written = tail.file.write_all_at(&mut [IoSlice::new(&self.scratch)], start.position);
            let tail = writer.tail.as_mut().expect("it was there above");
            match written {
                Ok(()) => {}
                Err(error) if is_full(&error) => {
                    cut_tail(tail).map_err(|error| failure(place, "cut back", error))?;
                    continue;
                }
                Err(error) => return Err(failure(place, "write", error)),
            }
            tail.end = group.end;
            tail.filled = tail.filled.max(sector_end(group.end));
            tail.closing_at = Some(next);
            synced.push((volume, Arc::clone(&tail.file)));
        }
        files::sync_all_at_once(&synced).map_err(|(volume, error)| failure(self.place(volume), "sync", error))?;
        for (volume, _) in synced {
            if let Some(writer) = self.writers.get_mut(&volume) {
                writer.set_synced();
                if let Some(tail) = &writer.tail {
                    tail.segment.publish(tail.end, writer.next);
                }
            }
        }
        Ok(())
    }

    fn fill_ahead(&mut self) -> Result<(), AppendError> {
        let Some(volume) = self.active else { return Ok(()) };
        let place = self.place(volume);
        let ahead = self.options.fill_ahead_bytes;
        let Some(tail) = self.writers.get_mut(&volume).and_then(|writer| writer.tail.as_mut()) else {
            return Ok(());
        };
        let end = sector_end(tail.end);
        let from = tail.filled.max(end);
        let to = end.saturating_add(ahead).min(tail.allocated);
        // Half a step left is enough for now.
        if from.saturating_sub(end) >= ahead / 2 || to <= from {
            return Ok(());
        }
        let mut parts = parts(&Group::none(), &[], &[], to - from);
        match tail.file.write_all_at(&mut parts, from) {
            Ok(()) => tail.filled = to,
            Err(error) if is_full(&error) => return Ok(()),
            Err(error) => return Err(failure(place, "write", error)),
        }
        tail.file.sync_data().map_err(|error| failure(place, "sync", error))
    }
}
