//! What the append lane does to files other than writing groups: segments come and go, the manifest and the mark file.
//!
//! Owned by the append lane. Order of a new segment: reserve room, write the header, sync file and directory, then the
//! manifest. Order of a close: sync the needles, then the manifest, then give back the room behind the end.

use super::volume::{Synced, Tail, Writer};
use super::{AppendError, Appender, MARK_LATE_MAX, failure};
use crate::base::ids::{Epoch, Sequence, VolumeId};
use crate::base::planted::{self, Bug};
use crate::disk::{File, Open, is_full};
use crate::journal::{FRAME_BYTES, SECTOR_BYTES, sector_end};
use crate::store::manifest::Record;
use crate::store::mark::{Marks, OPEN_TAILS_MAX};
use crate::store::names;
use crate::store::needle::HEAD_BYTES_FIXED;
use crate::store::segment::Segment;
use crate::store::segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::store::snapshot::Point;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Room is reserved in such steps: few metadata commits, and a full disk is noticed early.
const ALLOCATE_STEP_BYTES: u64 = 64 << 20;

/// A sealed volume takes tombstones only, so less room at once.
const ALLOCATE_STEP_SEALED_BYTES: u64 = 1 << 20;

/// On a full disk the reserve has to do for the tombstones of all volumes.
const ALLOCATE_STEP_FULL_BYTES: u64 = 64 << 10;

/// Syncs that are waited for at the same time.
const SYNC_THREADS_MAX: usize = 4;

/// Needles that could lie in a segment of so many bytes.
pub(in crate::store) fn needles_max(segment_bytes: u64) -> u64 {
    segment_bytes / HEAD_BYTES_FIXED as u64 + 1
}

/// Starts the write-back of all files, then waits for all at once.
pub(super) fn sync_all_at_once(files: &[(VolumeId, Arc<dyn File>)]) -> Result<(), (VolumeId, io::Error)> {
    match files {
        [] => Ok(()),
        [(volume, file)] if planted::on(Bug::RetryFailedSync) => {
            file.sync_data().or_else(|_| file.sync_data()).map_err(|error| (*volume, error))
        }
        [(volume, file)] => file.sync_data().map_err(|error| (*volume, error)),
        _ => {
            for (volume, file) in files {
                file.start_writeback(0, u64::MAX / 2).map_err(|error| (*volume, error))?;
            }
            let share = files.len().div_ceil(SYNC_THREADS_MAX);
            std::thread::scope(|scope| {
                let threads: Vec<_> = files
                    .chunks(share)
                    .map(|files| {
                        scope.spawn(move || {
                            files
                                .iter()
                                .try_for_each(|(volume, file)| file.sync_data().map_err(|error| (*volume, error)))
                        })
                    })
                    .collect();
                let outcomes: Vec<_> = threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
                let (first, _) = &files[0];
                outcomes.into_iter().try_for_each(|outcome| {
                    outcome.unwrap_or_else(|_| Err((*first, io::Error::other("a syncing thread died"))))
                })
            })
        }
    }
}

impl Appender {
    /// The first write of a run: from here on a stop is unclean unless it says otherwise.
    pub(super) fn begin_run(&mut self) -> Result<(), AppendError> {
        if self.clean && !planted::on(Bug::KeepCleanFlag) { self.write_marks(false) } else { Ok(()) }
    }

    pub(super) fn write_marks_if_late(&mut self) -> Result<(), AppendError> {
        let now = self.clock.0.now();
        if now.since(self.marked_at) < u64::try_from(MARK_LATE_MAX.as_nanos()).unwrap_or(u64::MAX) {
            return Ok(());
        }
        self.write_marks_if_changed()
    }

    pub(super) fn write_marks_if_changed(&mut self) -> Result<(), AppendError> {
        let marks = self.marks(self.clean);
        if marks == self.marked {
            return Ok(());
        }
        match self.write_marks(false) {
            // The marks are late then, and less is proven; the groups themselves are durable.
            Err(AppendError::Full { .. }) => Ok(()),
            other => other,
        }
    }

    pub(super) fn write_marks(&mut self, clean: bool) -> Result<(), AppendError> {
        let marks = self.marks(clean);
        let place = format!("{}/{}", self.disk.place(), names::MARK);
        match self.mark.write(&marks.encode()) {
            Ok(()) => {}
            Err(error) if is_full(&error) => return Err(AppendError::Full { place }),
            Err(error) => return Err(failure(place, "write", error)),
        }
        (self.marked, self.clean, self.marked_at) = (marks, clean, self.clock.0.now());
        self.set_points();
        Ok(())
    }

    /// Tells the writer of index files how far each open segment is synced. Not between a sync and what it publishes.
    pub(super) fn set_points(&self) {
        for writer in self.writers.values() {
            let Some(tail) = &writer.tail else { continue };
            if writer.unsynced() || tail.segment.next() != writer.next {
                continue;
            }
            let object_bytes = tail.segment.counts().object_bytes.load(Ordering::Relaxed);
            let Synced { next, position: end, chain } = tail.synced;
            tail.segment.progress().set_point(Point { next, end, chain, object_bytes });
        }
    }

    fn marks(&self, clean: bool) -> Marks {
        let mut open: Vec<_> = self.writers.values().filter(|writer| writer.tail.is_some()).collect();
        if open.len() > OPEN_TAILS_MAX {
            // A group touched more volumes than there are entries: the longest untouched ones go without.
            open.sort_by_key(|writer| std::cmp::Reverse(writer.tail.as_ref().map(|tail| tail.touched)));
            open.truncate(OPEN_TAILS_MAX);
            open.sort_by_key(|writer| writer.volume);
        }
        Marks { clean, marks: open.into_iter().filter_map(Writer::mark).collect() }
    }

    pub(super) fn create_volume(&mut self, volume: VolumeId) -> Result<(), AppendError> {
        let place = self.disk.place();
        let salt = self.random.number().map_err(|error| failure(place, "getrandom", error))?;
        let generation = 1;
        self.writers.insert(
            volume,
            Writer {
                volume,
                salt,
                generation,
                epoch: Epoch(0),
                epoch_due: true,
                cut_back: false,
                sealed: false,
                next: Sequence(0),
                chain: 0,
                closed_bytes: 0,
                tail: None,
            },
        );
        let opened = self.open_segment(volume, Some(Record::VolumeCreated { volume, salt, generation }));
        match opened {
            Ok(()) => self.active = Some(volume),
            Err(_) => {
                self.writers.remove(&volume);
            }
        }
        opened
    }

    /// The volume's open segment, with room for a group: another one if it does not fit.
    pub(super) fn ensure_tail(&mut self, volume: VolumeId, group_bytes: u64, needles: u64) -> Result<(), AppendError> {
        let writer = &self.writers[&volume];
        if let Some(tail) = &writer.tail {
            let end = sector_end(sector_end(tail.end) + group_bytes);
            if end > self.options.segment_bytes || !tail.segment.has_room(needles) {
                self.close_tail(volume)?;
            }
        }
        if self.writers[&volume].tail.is_none() {
            self.rest_oldest_tail(volume)?;
            self.open_segment(volume, None)?;
        }
        self.allocate(volume, group_bytes)
    }

    /// Reserves room for a group, a step at once; what does not fit as a step may fit exactly.
    fn allocate(&mut self, volume: VolumeId, group_bytes: u64) -> Result<(), AppendError> {
        let place = self.place(volume);
        let (segment_bytes, takes_objects) = (self.options.segment_bytes, self.takes_objects());
        let writer = self.writers.get_mut(&volume).expect("the volume was found above");
        let step = match takes_objects {
            false => ALLOCATE_STEP_FULL_BYTES,
            true if writer.sealed => ALLOCATE_STEP_SEALED_BYTES,
            true => ALLOCATE_STEP_BYTES,
        };
        let Some(tail) = &mut writer.tail else { return Ok(()) };
        // One sector more, for a closing frame.
        let needed = sector_end(sector_end(tail.end) + group_bytes) + SECTOR_BYTES;
        if needed <= tail.allocated {
            return Ok(());
        }
        for to in [(tail.allocated + step).min(segment_bytes).max(needed), needed] {
            match tail.file.allocate(tail.allocated, to - tail.allocated) {
                Ok(()) => {
                    tail.allocated = to;
                    return Ok(());
                }
                // Some file systems keep what they found before they ran out: that goes back.
                Err(error) if is_full(&error) => {
                    tail.file.set_len(tail.allocated).map_err(|error| failure(place.clone(), "cut back", error))?;
                }
                Err(error) => return Err(failure(place, "allocate", error)),
            }
        }
        Err(AppendError::Full { place })
    }

    /// Makes the volume's next segment; `with` is said in the same append to the manifest.
    fn open_segment(&mut self, volume: VolumeId, with: Option<Record>) -> Result<(), AppendError> {
        let writer = &self.writers[&volume];
        let (base, salt, epoch) = (writer.next, writer.salt, writer.epoch);
        let name = names::segment(volume, base);
        let place = format!("{}/{name}", self.disk.place());
        let header = SegmentHeader {
            cluster: self.identity.cluster,
            disk: self.identity.disk,
            volume,
            base,
            salt,
            generation: writer.generation,
            edition: 0,
            next: Sequence(0),
        };
        let first_bytes = SEGMENT_HEADER_BYTES as u64 + SECTOR_BYTES + FRAME_BYTES as u64;
        let made = self.make_segment_file(&name, &header, sector_end(first_bytes));
        let file = match made {
            Ok(file) => file,
            Err(error) => return Err(self.give_up_file(&name, place, "create", error)),
        };
        let named = || if planted::on(Bug::SkipDirectorySync) { Ok(()) } else { self.disk.sync_directory() };
        match file.sync_all().and_then(|()| named()) {
            Ok(()) => {}
            Err(error) if planted::on(Bug::FullAtSyncIsAnswer) => {
                return Err(self.give_up_file(&name, place, "create", error));
            }
            // No room at a sync is no answer: nobody knows what of it is on the disk.
            Err(error) => return Err(failure(place, "sync", error)),
        }
        let records: Vec<Record> = with.into_iter().chain([Record::SegmentOpened { volume, base, epoch }]).collect();
        let named_later = planted::on(Bug::NameAfterUse) && base != Sequence(0);
        if let Err(error) = if named_later { Ok(()) } else { self.record(&records) } {
            if matches!(error, AppendError::Full { .. }) {
                drop(file);
                return Err(self.give_up_file(&name, place, "create", io::ErrorKind::StorageFull.into()));
            }
            return Err(error);
        }
        self.adopt_segment(volume, &name, file)
    }

    fn make_segment_file(&self, name: &str, header: &SegmentHeader, bytes: u64) -> io::Result<Arc<dyn File>> {
        let file = self.disk.open(name, Open::Create)?;
        file.allocate(0, bytes)?;
        file.write_all_at(&mut [IoSlice::new(&header.encode())], 0)?;
        Ok(file)
    }

    /// A segment file that the manifest does not name goes away again when the disk is full.
    fn give_up_file(&self, name: &str, place: String, action: &'static str, error: io::Error) -> AppendError {
        if !is_full(&error) {
            return failure(place, action, error);
        }
        match self.disk.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => failure(place, "remove", error),
            _ => AppendError::Full { place },
        }
    }

    fn adopt_segment(&mut self, volume: VolumeId, name: &str, file: Arc<dyn File>) -> Result<(), AppendError> {
        let place = format!("{}/{name}", self.disk.place());
        let allocated = file.len().map_err(|error| failure(place, "stat", error))?;
        let writer = self.writers.get_mut(&volume).expect("the volume was found above");
        let handle = self.handles.handle(name.to_string());
        handle.pin(Arc::clone(&file));
        let end = SEGMENT_HEADER_BYTES as u64;
        let capacity = needles_max(self.options.segment_bytes);
        let segment = Arc::new(Segment::new(volume, writer.next, writer.salt, handle, capacity, end));
        writer.tail = Some(Tail {
            segment: Arc::clone(&segment),
            file,
            end,
            filled: end,
            allocated,
            synced: Synced { next: writer.next, position: end, chain: writer.chain },
            closing_at: None,
            pending: false,
            touched: self.clock.0.now(),
        });
        self.catalog.add(volume, Some(segment));
        Ok(())
    }

    /// Closes the segments that rested longest while too many are open for the mark file. Those that the group at hand
    /// was written to stay open, be they too many: some are then without a mark until the next group closes them.
    fn rest_oldest_tail(&mut self, but: VolumeId) -> Result<(), AppendError> {
        let active = self.active;
        loop {
            let open = self.writers.values().filter_map(|writer| Some((writer.volume, writer.tail.as_ref()?)));
            if open.clone().count() < OPEN_TAILS_MAX {
                return Ok(());
            }
            let oldest = open
                .filter(|(volume, tail)| *volume != but && Some(*volume) != active && !tail.pending)
                // One that is still empty would come again under the same name.
                .filter(|(_, tail)| tail.segment.next() > tail.segment.base())
                .min_by_key(|(_, tail)| tail.touched)
                .map(|(volume, _)| volume);
            match oldest {
                Some(volume) => self.close_tail(volume)?,
                None => return Ok(()),
            }
        }
    }

    /// Closes the open segment of a volume for good.
    pub(super) fn close_tail(&mut self, volume: VolumeId) -> Result<(), AppendError> {
        let record = self.sync_for_close(volume)?;
        self.record(record.as_slice())?;
        self.finish_close(volume)
    }

    /// The volume is sealed, and its segment closed, in one append to the manifest.
    pub(super) fn record_sealed(&mut self, volume: VolumeId) -> Result<(), AppendError> {
        let closed = self.sync_for_close(volume)?;
        let records: Vec<Record> = closed.into_iter().chain([Record::VolumeSealed { volume }]).collect();
        self.record(&records)?;
        self.finish_close(volume)?;
        if let Some(writer) = self.writers.get_mut(&volume) {
            writer.sealed = true;
        }
        self.active = self.active.filter(|&active| active != volume);
        Ok(())
    }

    fn sync_for_close(&mut self, volume: VolumeId) -> Result<Option<Record>, AppendError> {
        let place = self.place(volume);
        let writer = self.writers.get_mut(&volume).expect("the volume was found above");
        let Some(tail) = &writer.tail else { return Ok(None) };
        tail.file.sync_all().map_err(|error| failure(place, "sync", error))?;
        let (base, closed) = (tail.segment.base(), writer.closed(tail));
        writer.set_synced();
        Ok(Some(Record::SegmentClosed { volume, base, closed }))
    }

    fn finish_close(&mut self, volume: VolumeId) -> Result<(), AppendError> {
        let place = self.place(volume);
        let writer = self.writers.get_mut(&volume).expect("the volume was found above");
        let Some(tail) = writer.tail.take() else { return Ok(()) };
        tail.segment.set_closed(writer.closed(&tail));
        writer.closed_bytes += tail.end;
        tail.file.set_len(tail.end).map_err(|error| failure(place, "cut", error))?;
        tail.segment.handle().unpin();
        Ok(())
    }

    /// A new epoch is in the manifest before its first needle is in a file.
    pub(super) fn begin_epoch_if_due(&mut self, volume: VolumeId) -> Result<(), AppendError> {
        let writer = &self.writers[&volume];
        if !writer.epoch_due {
            return Ok(());
        }
        let (epoch, first) = (Epoch(writer.epoch.0.saturating_add(1)), writer.next);
        self.record(&[Record::EpochStarted { volume, epoch, first }])?;
        let writer = self.writers.get_mut(&volume).expect("the volume was found above");
        (writer.epoch, writer.epoch_due, writer.cut_back) = (epoch, false, false);
        Ok(())
    }

    /// At a stop: the manifest remembers which volumes must go on in a new epoch, as recovery reads it. False if it has
    /// no room for that; then only an unclean stop says so.
    pub(super) fn remember_epochs(&mut self) -> Result<bool, AppendError> {
        let due = self.writers.values().filter(|writer| writer.cut_back);
        let records: Vec<_> = due
            .map(|writer| {
                let epoch = Epoch(writer.epoch.0.saturating_add(1));
                Record::EpochStarted { volume: writer.volume, epoch, first: writer.next }
            })
            .collect();
        if records.is_empty() || planted::on(Bug::ForgetEpochAtStop) {
            return Ok(true);
        }
        match self.record(&records) {
            Ok(()) => Ok(true),
            Err(AppendError::Full { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn record(&mut self, records: &[Record]) -> Result<(), AppendError> {
        let place = format!("{}/{}", self.disk.place(), names::MANIFEST);
        let records: Vec<_> = records.iter().map(Record::encode).collect();
        match self.manifest.append(&records) {
            Ok(()) => Ok(()),
            Err(error) if is_full(&error) => Err(AppendError::Full { place }),
            Err(error) => Err(failure(place, "write", error)),
        }
    }
}
