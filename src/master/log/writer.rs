//! Appends: finds room, composes, writes once, syncs once.
//!
//! Owned by the master thread. Always: a record that found no room has left nothing behind it, durably, and may be tried
//! again; room for a few records without data is left alone by all others.

use super::files::make_segment;
use super::record::{Record, RecordPlace};
use super::segment_header::LogHeader;
use super::{Log, SPARE_BYTES, StateError, Tail, broken};
use crate::base::ids::{Sequence, VolumeId};
use crate::base::planted::{self, Bug};
use crate::disk::is_full;
use crate::journal::{FRAME_BYTES, Frame, SECTOR_BYTES, chain_next, failed_sync, sector_end};
use std::io::IoSlice;
use std::sync::Arc;

/// The frame has a place for a volume; a log has none, and volumes count from 1.
pub(super) const NO_VOLUME: VolumeId = VolumeId(0);
/// The frame has a place for the life of a replica; a log that must begin anew has another salt.
pub(super) const GENERATION: u64 = 1;

/// A record above this does not keep its memory.
const SCRATCH_BYTES_KEPT: usize = 4 << 20;
/// Zeros are written from a buffer of so many.
const ZEROS_BYTES: usize = 64 << 10;

impl Log {
    /// Makes one record durable: one write, one sync. Its entries follow the last one, or replace all from their first on.
    ///
    /// # Errors
    /// [`StateError::Full`]: nothing was stored, and the same or another record may be tried again. After any other the
    /// log takes nothing more.
    ///
    /// # Panics
    /// If entries would leave a gap, or replace what was cut, or the hard state would go back.
    pub fn append(&mut self, record: &Record) -> Result<(), StateError> {
        let (before, hard) = (self.content.hard(), record.hard);
        assert!(hard.term >= before.term && hard.commit >= before.commit, "a hard state never goes back");
        if let Some(first) = record.entries.first() {
            assert!(first.index <= self.content.last().index + 1, "entries of a log are dense");
            assert!(first.index > self.content.cut_at().index, "what the state has is not replaced");
        }
        self.guarded(|log| log.append_record(record))
    }

    fn append_record(&mut self, record: &Record) -> Result<(), StateError> {
        let Some(bytes) = record.bytes() else {
            // Nothing near this is ever proposed; it does not fit, and nothing was touched.
            return Err(StateError::Full { place: self.place() });
        };
        let has_data = record.entries.iter().any(|entry| !entry.data.is_empty());
        self.find_room((FRAME_BYTES + bytes) as u64, has_data)?;
        self.scratch.clear();
        let frame = self.frame(Some((FRAME_BYTES + bytes) as u64));
        self.scratch.extend_from_slice(&frame.encode(self.salt));
        let place = RecordPlace { salt: self.salt, sequence: self.next, epoch: self.epoch };
        let checksum = record.encode(&place, &mut self.scratch);
        self.write_scratch(frame.position, true)?;
        self.sync_tail()?;
        self.next = self.next.plus(1);
        self.chain = chain_next(self.chain, checksum);
        if let Some(segment) = self.segments.back_mut() {
            segment.records += 1;
        }
        self.counts.records += 1;
        self.content.set_hard(record.hard);
        self.content.replace_from(record.entries.iter().cloned());
        self.scratch.clear();
        self.scratch.shrink_to(SCRATCH_BYTES_KEPT);
        Ok(())
    }

    /// The frame of the next record, whose group takes so many bytes, or a closing one.
    pub(super) fn frame(&self, bytes: Option<u64>) -> Frame {
        Frame {
            volume: NO_VOLUME,
            epoch: self.epoch,
            generation: GENERATION,
            position: sector_end(self.tail.end),
            first: self.next,
            count: u32::from(bytes.is_some()),
            bytes: bytes.unwrap_or(FRAME_BYTES as u64),
            // Every append is synced before the next.
            mark: self.next,
            chain: self.chain,
            closing: bytes.is_none(),
        }
    }

    /// Writes what was composed, up to the next sector, and zeros ahead of it if the log has come to the end of those.
    pub(super) fn write_scratch(&mut self, position: u64, ahead: bool) -> Result<(), StateError> {
        let place = self.place();
        let end = position + self.scratch.len() as u64;
        let padded = sector_end(end);
        let fill = if ahead && padded > self.tail.filled {
            self.options.fill_ahead_bytes.min(self.tail.allocated.saturating_sub(padded))
        } else {
            0
        };
        self.zeros.resize(ZEROS_BYTES, 0);
        let mut parts = vec![IoSlice::new(&self.scratch)];
        let mut left = usize::try_from(padded - end + fill).unwrap_or(0);
        while left > 0 {
            let piece = left.min(ZEROS_BYTES);
            parts.extend(self.zeros.get(..piece).map(IoSlice::new));
            left -= piece;
        }
        if let Err(error) = self.tail.file.write_all_at(&mut parts, position) {
            if !is_full(&error) {
                return Err(broken(place, error));
            }
            drop(parts);
            self.cut_back()?;
            return Err(StateError::Full { place });
        }
        self.tail.end = end;
        self.tail.filled = self.tail.filled.max(padded + fill);
        Ok(())
    }

    /// Syncs what was written; any error ends the log.
    pub(super) fn sync_tail(&mut self) -> Result<(), StateError> {
        let before = self.clock.now();
        if !planted::on(Bug::LogWithoutSync) {
            self.tail.file.sync_data().map_err(|error| broken(self.place(), failed_sync(error)))?;
        }
        self.counts.sync_ns = self.clock.now().since(before);
        self.counts.syncs += 1;
        Ok(())
    }

    /// Takes a write back that found no room: the file ends where it was synced, durably.
    fn cut_back(&mut self) -> Result<(), StateError> {
        let place = self.place();
        let end = sector_end(self.tail.end);
        self.tail.file.set_len(end).map_err(|error| broken(&place, error))?;
        self.tail.file.sync_all().map_err(|error| broken(&place, failed_sync(error)))?;
        (self.tail.allocated, self.tail.filled) = (end, end);
        // The spare room went with it. It may be gone by now: then it is looked for with the next record.
        match self.allocate(end + self.spare_bytes()) {
            Err(StateError::Full { .. }) => {}
            other => other?,
        }
        self.note_length();
        Ok(())
    }

    fn spare_bytes(&self) -> u64 {
        (SPARE_BYTES.min(self.options.segment_bytes / 8)).next_multiple_of(SECTOR_BYTES)
    }

    /// Finds room for a group behind the end, in the next segment if this one has none.
    fn find_room(&mut self, group_bytes: u64, has_data: bool) -> Result<(), StateError> {
        // One sector more, for a closing frame.
        let behind = |start: u64| sector_end(start + group_bytes) + SECTOR_BYTES;
        let needed = behind(sector_end(self.tail.end));
        let spare = self.spare_bytes();
        if needed <= self.tail.allocated && !has_data {
            return Ok(());
        }
        let has_records = self.segments.back().is_some_and(|segment| segment.records > 0);
        if has_records && needed + spare > self.options.segment_bytes {
            return self.roll(behind(super::segment_header::LOG_HEADER_BYTES as u64) + spare);
        }
        if needed + spare <= self.tail.allocated {
            return Ok(());
        }
        self.allocate((needed + spare).max(self.options.segment_bytes)).or_else(|error| match error {
            StateError::Full { .. } => self.allocate(needed + spare),
            other => Err(other),
        })
    }

    /// Reserves room up to `to`.
    fn allocate(&mut self, to: u64) -> Result<(), StateError> {
        let place = self.place();
        let from = self.tail.allocated;
        if to <= from {
            return Ok(());
        }
        match self.tail.file.allocate(from, to - from) {
            Ok(()) => {
                self.tail.allocated = to;
                self.note_length();
                Ok(())
            }
            Err(error) if is_full(&error) => {
                // Some file systems keep what they found before they ran out: that goes back.
                self.tail.file.set_len(from).map_err(|error| broken(&place, error))?;
                Err(StateError::Full { place })
            }
            Err(error) => Err(broken(place, error)),
        }
    }

    /// Goes on in another segment.
    pub(super) fn roll(&mut self, needed: u64) -> Result<(), StateError> {
        let header = LogHeader {
            epoch: self.epoch,
            owner: self.owner,
            first: self.next,
            salt: self.salt,
            chain: self.chain,
            before: self.content.last(),
        };
        let (segment, tail) = make_segment(&*self.disk, &header, self.options.segment_bytes, needed)?;
        self.segments.push_back(segment);
        self.tail = tail;
        Ok(())
    }

    fn note_length(&mut self) {
        let bytes = self.tail.allocated;
        if let Some(segment) = self.segments.back_mut() {
            segment.bytes = bytes;
        }
    }

    /// The sequence of the next record; everything below it is durable.
    #[must_use]
    pub fn next(&self) -> Sequence {
        self.next
    }
}

impl Tail {
    /// The same file, to be written to elsewhere.
    pub(super) fn file(&self) -> Arc<dyn crate::disk::File> {
        Arc::clone(&self.file)
    }
}
