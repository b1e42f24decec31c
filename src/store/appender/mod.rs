//! The only writer of one disk: assigns sequences, writes groups, syncs, publishes.
//!
//! Owned by the append lane's thread. A group is: find room, compose, one gathered write a volume, one sync, then the
//! index. Always: what is published as synced was synced first; after any error of a sync, or any error of a write but
//! "no space", every call fails without touching the disk; objects never take room that the reserve gave; a file is in the manifest before it holds a needle; the clean
//! flag is cleared durably before the first write of a run.

mod damage;
mod entry;
mod files;
mod group;
mod rest;
mod room;
mod swap;
mod volume;

pub use entry::{AppendError, Appended, Entry, Failure};
pub(super) use files::needles_max;
pub(super) use volume::{Synced, Tail, Writer, enter};

use super::catalog::Catalog;
use super::error::StoreError;
use super::handles::Handles;
use super::mark::Marks;
use super::needle::needle_bytes;
use super::reserve::Reserve;
use super::snapshot::Snapshots;
use super::{Identity, StoreOptions, VolumeNumbers, names};
use crate::base::clock::{Clock, Moment};
use crate::base::ids::{ObjectId, Sequence, VolumeId};
use crate::base::limits::{ATTRIBUTE_BYTES_MAX, CHUNK_BYTES_MAX, GROUP_BYTES_MAX, GROUP_NEEDLES_MAX};
use crate::base::planted::{self, Bug};
use crate::base::random::Random;
use crate::disk::{Disk, is_full};
use crate::journal::{FRAME_BYTES, Pair, RecordLog, SECTOR_BYTES, sector_end};
use crate::store::segment::Located;
use crate::store::segment_header::SEGMENT_HEADER_BYTES;
use group::{Group, Order, What, compose, group_bytes, parts};
use room::Purpose;
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A group above this is written without zeros ahead of it: its own size hides the cost of growing the file.
const FILL_GROUP_BYTES_MAX: u64 = 256 << 10;

/// The mark file is at most this late while groups keep coming.
const MARK_LATE_MAX: Duration = Duration::from_secs(1);

/// The writer of one data directory.
#[derive(Debug)]
pub struct Appender {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) clock: ClockHandle,
    pub(super) options: StoreOptions,
    pub(super) identity: Identity,
    pub(super) catalog: Arc<Catalog>,
    pub(super) handles: Arc<Handles>,
    pub(super) manifest: RecordLog,
    pub(super) mark: Pair,
    /// The mark file says that the last stop was clean.
    pub(super) clean: bool,
    /// The marks that the file holds.
    pub(super) marked: Marks,
    pub(super) marked_at: Moment,
    pub(super) writers: BTreeMap<VolumeId, Writer>,
    /// The volume that takes objects.
    pub(super) active: Option<VolumeId>,
    /// A number that was had for a volume that could not be made yet.
    pub(super) spare: Option<VolumeId>,
    pub(super) failed: Option<Failure>,
    /// Something found no room since room was last looked for.
    pub(super) is_full: bool,
    pub(super) reserve: Arc<Reserve>,
    pub(super) scratch: Vec<u8>,
    pub(super) random: Random,
    pub(super) snapshots: Arc<Snapshots>,
}

/// A clock that can be shown in debug output.
#[derive(Clone)]
pub(super) struct ClockHandle(pub Arc<dyn Clock>);

impl std::fmt::Debug for ClockHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

/// A group that is written but not published.
struct Written {
    volume: VolumeId,
    group: Group,
}

impl Appender {
    /// Stores one group: all of it, or none. One without objects may use the reserve.
    ///
    /// One gathered write for each volume that the entries touch, then, if `sync`, their syncs, then the index. Without
    /// `sync` the caller calls [`sync`](Self::sync) within a second. Outcomes are in the order of the entries.
    ///
    /// # Errors
    /// [`AppendError`]; then nothing of the group can be read.
    pub fn append(
        &mut self,
        entries: &[Entry],
        wall_ms: u64,
        sync: bool,
        numbers: &dyn VolumeNumbers,
    ) -> Result<Vec<Appended>, AppendError> {
        self.guarded(|appender| {
            let has_objects = entries.iter().any(|entry| matches!(entry, Entry::Put { .. }));
            if !has_objects {
                return appender.on_the_reserve(Purpose::Deletes, |appender| {
                    appender.append_group(entries, wall_ms, sync, numbers)
                });
            }
            if !appender.takes_objects() {
                return Err(AppendError::Full { place: appender.disk.place() });
            }
            let appended = appender.append_group(entries, wall_ms, sync, numbers);
            appender.is_full |= matches!(appended, Err(AppendError::Full { .. }));
            appended
        })
    }

    /// Ends all writing for a cause that was found elsewhere: every later call fails without touching the disk.
    pub fn fail(&mut self, action: &'static str, error: io::Error) {
        if self.failed.is_none() {
            self.failed = Some(Failure { place: self.disk.place(), action, error: Arc::new(error) });
        }
    }

    /// Whether the disk failed for writing.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Bytes of needles (see [`needle_bytes`]) that one group may have.
    #[must_use]
    pub fn group_bytes_max(&self) -> usize {
        // The frame, its padding, and an EPOCH_START that may come first.
        let overhead = (SEGMENT_HEADER_BYTES + FRAME_BYTES) as u64 + SECTOR_BYTES + needle_bytes(0, 0);
        let segment = self.options.segment_bytes.saturating_sub(overhead);
        let volume = self.options.volume_bytes.saturating_sub(overhead);
        let needle_max = needle_bytes(CHUNK_BYTES_MAX as u32, ATTRIBUTE_BYTES_MAX as u16);
        let bytes = segment.min(volume).min((GROUP_BYTES_MAX as u64).max(needle_max));
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, AppendError>) -> Result<T, AppendError> {
        if let Some(failure) = &self.failed {
            return Err(AppendError::Failed(failure.clone()));
        }
        let outcome = work(self);
        if let Err(AppendError::Failed(failure)) = &outcome {
            self.failed = Some(failure.clone());
        }
        outcome
    }

    fn append_group(
        &mut self,
        entries: &[Entry],
        wall_ms: u64,
        sync: bool,
        numbers: &dyn VolumeNumbers,
    ) -> Result<Vec<Appended>, AppendError> {
        self.check_bounds(entries)?;
        let (mut outcomes, by_volume, puts) = self.sort(entries);
        let mut orders = by_volume;
        if orders.is_empty() && puts.is_empty() {
            // A repeated delete answers for a tombstone that may still be on its way.
            if sync {
                self.sync_tails()?;
            }
            return Ok(outcomes);
        }
        self.begin_run()?;
        if !puts.is_empty() {
            let bytes = group_bytes(&puts);
            let volume = self.volume_with_room(bytes, wall_ms, numbers)?;
            orders.entry(volume).or_default().extend(puts);
        }
        let mut written = Vec::with_capacity(orders.len());
        for (volume, orders) in orders {
            match self.write_group(volume, orders, wall_ms) {
                Ok(group) => written.push(Written { volume, group }),
                Err(error) => {
                    if matches!(error, AppendError::Full { .. } | AppendError::Numbers(_)) {
                        self.take_back(&written)?;
                    }
                    return Err(error);
                }
            }
        }
        for done in &written {
            self.advance(done);
        }
        let early = planted::on(Bug::PublishBeforeSync);
        for done in written.iter().filter(|_| early) {
            self.publish(done, &mut outcomes);
        }
        if sync
            && !(planted::on(Bug::DeleteWithoutSync)
                && entries.iter().all(|entry| matches!(entry, Entry::Delete { .. })))
        {
            self.sync_tails()?;
        }
        for done in written.iter().filter(|_| !early) {
            self.publish(done, &mut outcomes);
        }
        self.write_marks_if_late()?;
        Ok(outcomes)
    }

    fn check_bounds(&self, entries: &[Entry]) -> Result<(), AppendError> {
        let bytes_max = self.group_bytes_max() as u64;
        let mut bytes = 0u64;
        for (index, entry) in entries.iter().enumerate() {
            let fits = match entry {
                Entry::Put { payload, attributes, .. } => {
                    payload.bytes.len() <= CHUNK_BYTES_MAX && attributes.len() <= ATTRIBUTE_BYTES_MAX
                }
                Entry::Delete { .. } => true,
            };
            bytes = bytes.saturating_add(if fits { Order::of(index, entry).bytes() } else { u64::MAX });
            if bytes > bytes_max || index >= GROUP_NEEDLES_MAX {
                return Err(AppendError::TooLarge { entry: index, bytes, bytes_max });
            }
        }
        Ok(())
    }

    /// Answers what needs no needle, and sorts the rest: tombstones by the volume of their target, and the puts.
    fn sort<'a>(&self, entries: &'a [Entry]) -> (Vec<Appended>, BTreeMap<VolumeId, Vec<Order<'a>>>, Vec<Order<'a>>) {
        let view = self.catalog.view();
        let mut outcomes = Vec::with_capacity(entries.len());
        let mut tombstones: BTreeMap<VolumeId, Vec<Order<'a>>> = BTreeMap::new();
        let mut puts = Vec::new();
        let mut dying: HashSet<(VolumeId, Sequence)> = HashSet::new();
        for (index, entry) in entries.iter().enumerate() {
            let Entry::Delete { id } = entry else {
                puts.push(Order::of(index, entry));
                // Overwritten when the object has its id.
                outcomes.push(Appended::NotFound);
                continue;
            };
            outcomes.push(match view.locate(id.volume, id.sequence) {
                Located::Object(_) | Located::Damaged(_) => {
                    let first = dying.insert((id.volume, id.sequence));
                    if first {
                        tombstones.entry(id.volume).or_default().push(Order::of(index, entry));
                    }
                    Appended::Deleted { already: !first }
                }
                Located::Deleted(_) => Appended::Deleted { already: true },
                Located::OtherKind | Located::Absent | Located::NoVolume => Appended::NotFound,
            });
        }
        (outcomes, tombstones, puts)
    }

    /// The volume that takes a group of this size: the active one, or a new one after a seal.
    fn volume_with_room(
        &mut self,
        bytes: u64,
        wall_ms: u64,
        numbers: &dyn VolumeNumbers,
    ) -> Result<VolumeId, AppendError> {
        if let Some(volume) = self.active {
            let writer = &self.writers[&volume];
            let after = writer.bytes().saturating_add(bytes).saturating_add(SECTOR_BYTES);
            if writer.sealed {
                // The SEAL is in the log; the manifest had no room for it.
                self.record_sealed(volume)?;
            } else if after <= self.options.volume_bytes || writer.next == Sequence(0) {
                return Ok(volume);
            } else {
                self.seal(volume, wall_ms)?;
            }
        }
        let volume = match self.spare {
            Some(volume) => volume,
            None => numbers.next().map_err(|error| self.no_number(error))?,
        };
        // Each number costs syncs on all disks: one for which there was no room is kept.
        self.spare = Some(volume);
        self.create_volume(volume)?;
        self.spare = None;
        Ok(volume)
    }

    /// A number that no disk had the room to note is a matter of room.
    fn no_number(&self, error: StoreError) -> AppendError {
        if error.is_full() {
            return AppendError::Full { place: self.disk.place() };
        }
        AppendError::Numbers(Arc::new(error))
    }

    /// Writes the last needle of a volume's objects; from then on it takes tombstones only.
    fn seal(&mut self, volume: VolumeId, wall_ms: u64) -> Result<(), AppendError> {
        let group = self.write_group(volume, vec![Order { entry: None, what: What::Seal }], wall_ms)?;
        let written = Written { volume, group };
        self.advance(&written);
        self.sync_tails()?;
        self.publish(&written, &mut []);
        // No object may follow, whatever becomes of the record.
        self.writers.get_mut(&volume).expect("it was written to").sealed = true;
        self.record_sealed(volume)
    }

    /// Composes and writes one group of one volume; nothing is published yet.
    fn write_group(
        &mut self,
        volume: VolumeId,
        mut orders: Vec<Order<'_>>,
        wall_ms: u64,
    ) -> Result<Group, AppendError> {
        if self.writers[&volume].epoch_due {
            orders.insert(0, Order { entry: None, what: What::EpochStart });
        }
        let bytes = group_bytes(&orders);
        self.ensure_tail(volume, bytes, orders.len() as u64)?;
        self.begin_epoch_if_due(volume)?;
        let place = self.place(volume);
        let writer = self.writers.get_mut(&volume).expect("the volume was found above");
        let tail = writer.tail.as_ref().expect("the tail was ensured above");
        let start = writer.start(tail, wall_ms);
        let group = compose(&start, &orders, &mut self.scratch);
        let end = sector_end(group.end);
        let zeros = if bytes <= FILL_GROUP_BYTES_MAX && end > tail.filled {
            self.options.fill_ahead_bytes.min(tail.allocated.saturating_sub(end))
        } else {
            0
        };
        let file = Arc::clone(&tail.file);
        let mut parts = parts(&group, &orders, &self.scratch, zeros);
        let outcome = file.write_all_at(&mut parts, start.position);
        drop(parts);
        if let Err(error) = outcome {
            if !is_full(&error) {
                return Err(failure(place, "write", error));
            }
            if planted::on(Bug::FullIsOk) {
                return Ok(group);
            }
            cut_back(writer).map_err(|error| failure(place.clone(), "cut back", error))?;
            return Err(AppendError::Full { place });
        }
        let tail = writer.tail.as_mut().expect("the tail was ensured above");
        tail.filled = tail.filled.max(end + zeros);
        tail.pending = true;
        Ok(group)
    }

    /// A group could not be written as a whole: what is in the files already goes.
    fn take_back(&mut self, written: &[Written]) -> Result<(), AppendError> {
        for done in written {
            let place = self.place(done.volume);
            let writer = self.writers.get_mut(&done.volume).expect("it was written to");
            cut_back(writer).map_err(|error| failure(place, "cut back", error))?;
        }
        Ok(())
    }

    /// The volume stands behind a group that is in its file.
    fn advance(&mut self, done: &Written) {
        let now = self.clock.0.now();
        let writer = self.writers.get_mut(&done.volume).expect("it was written to");
        (writer.next, writer.chain) = (done.group.next, done.group.chain);
        if let Some(tail) = &mut writer.tail {
            (tail.end, tail.touched, tail.pending) = (done.group.end, now, false);
        }
    }

    fn publish(&mut self, done: &Written, outcomes: &mut [Appended]) {
        let writer = &self.writers[&done.volume];
        let Some(tail) = &writer.tail else { return };
        volume::publish(&tail.segment, &done.group.placed, done.group.end, done.group.next);
        let view = self.catalog.view();
        for needle in &done.group.placed {
            if let Some(target) = needle.target {
                let (Located::Object(place) | Located::Damaged(place)) = view.locate(done.volume, target) else {
                    continue;
                };
                place.segment.delete(target);
            } else if let Some(outcome) = needle.entry.and_then(|entry| outcomes.get_mut(entry)) {
                *outcome = Appended::Stored(ObjectId {
                    volume: done.volume,
                    sequence: needle.sequence,
                    cookie: needle.cookie,
                });
            }
        }
    }

    fn place(&self, volume: VolumeId) -> String {
        let tail = self.writers.get(&volume).and_then(|writer| writer.tail.as_ref());
        let name = tail.map_or(names::MANIFEST, |tail| tail.segment.name());
        format!("{}/{name}", self.disk.place())
    }
}

impl Group {
    fn none() -> Self {
        Self { placed: Vec::new(), end: 0, next: Sequence(0), chain: 0, cuts: Vec::new() }
    }
}

/// Cuts a tail back to where it was before a group that did not fit. The group's sequences come again, so in a new epoch.
fn cut_back(writer: &mut Writer) -> io::Result<()> {
    if let Some(tail) = &mut writer.tail {
        cut_tail(tail)?;
    }
    (writer.epoch_due, writer.cut_back) =
        if planted::on(Bug::ReuseSequence) { (writer.epoch_due, false) } else { (true, true) };
    writer.set_synced();
    Ok(())
}

/// Cuts a file to the end of what the writer stands behind, durably.
fn cut_tail(tail: &mut Tail) -> io::Result<()> {
    let end = sector_end(tail.end);
    tail.file.set_len(end)?;
    tail.file.sync_all()?;
    (tail.allocated, tail.filled, tail.pending) = (end, end, false);
    Ok(())
}

fn failure(place: String, action: &'static str, error: io::Error) -> AppendError {
    AppendError::Failed(Failure { place, action, error: Arc::new(error) })
}
