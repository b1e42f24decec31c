//! The append lane: the one thread that writes to a disk's volumes, in groups.
//!
//! Always: it takes what waits, writes it in one go, syncs once, and only then ends those jobs; nothing of class
//! `disk` is ended before its sync, and nothing of class `memory` stays unsynced for longer than a second. After an
//! error, its own or one that others found, it ends everything as failed and touches the disk no more. On a full disk the
//! deletes of a group are done without its objects, and each second it looks whether there is room again.

use super::job::{AppendEnd, DeleteEnd, LaneJob, LaneWork};
use super::orders::Orders;
use super::state::Event;
use super::unit::Unit;
use crate::base::clock::Moment;
use crate::base::completion::Completion;
use crate::base::ids::{ContentHash, Sequence, VolumeId};
use crate::base::limits::GROUP_NEEDLES_MAX;
use crate::base::mailbox::together;
use crate::base::queue::{Closed, QueueReceiver};
use crate::store::{AppendError, Appended, Appender, Entry, VolumeNumbers};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// An unsynced byte is at most this old.
const UNSYNCED_MAX: Duration = Duration::from_millis(900);
/// How long without a job is idle: then the group before is proven by a closing frame.
const IDLE_AFTER: Duration = Duration::from_millis(50);
/// How often a full disk is asked whether there is room again.
const LOOK_FOR_ROOM: Duration = Duration::from_secs(1);
/// How often an idle lane looks whether the node stops.
const LOOK_UP: Duration = Duration::from_millis(200);

/// Why a disk is full, and the way out.
pub(super) const NO_ROOM: &str =
    "no room for objects besides the reserve: delete objects, make room on its file system, or add a disk";

pub(super) struct Lane {
    unit: Arc<Unit>,
    queue: QueueReceiver<LaneJob>,
    orders: Orders,
    appender: Appender,
    numbers: Arc<dyn VolumeNumbers>,
    /// How long the last group took.
    last_ns: u64,
    /// When the oldest unsynced byte was written.
    unsynced_since: Option<Moment>,
    idle: bool,
    /// When room was last looked for.
    looked: Moment,
    group: Group,
    /// A job that no longer fitted into the group before.
    carried: Option<LaneJob>,
}

/// The jobs of one group, in the order of their entries.
#[derive(Default)]
struct Group {
    entries: Vec<Entry>,
    ends: Vec<End>,
    /// Bytes of its needles.
    bytes: usize,
    payload_bytes: u64,
    sync: bool,
}

enum End {
    Put { done: Completion<AppendEnd>, hash: ContentHash, size: u64, held: usize },
    Delete { done: Completion<DeleteEnd> },
}

impl Group {
    /// Whether it has objects and deletes both.
    fn is_mixed(&self) -> bool {
        let deletes = self.ends.iter().filter(|end| matches!(end, End::Delete { .. })).count();
        deletes > 0 && deletes < self.ends.len()
    }

    /// Its objects, and its deletes as a group of their own.
    fn parted(self) -> (Self, Self) {
        let (mut objects, mut deletes) = (Self::default(), Self { sync: true, ..Self::default() });
        for (entry, end) in self.entries.into_iter().zip(self.ends) {
            let group = if matches!(end, End::Delete { .. }) { &mut deletes } else { &mut objects };
            group.entries.push(entry);
            group.ends.push(end);
        }
        (objects, deletes)
    }
}

impl Lane {
    pub(super) fn new(
        unit: Arc<Unit>,
        queue: QueueReceiver<LaneJob>,
        orders: Orders,
        appender: Appender,
        numbers: Arc<dyn VolumeNumbers>,
    ) -> Self {
        Self {
            unit,
            queue,
            orders,
            appender,
            numbers,
            last_ns: 0,
            unsynced_since: None,
            idle: false,
            looked: Moment::default(),
            group: Group::default(),
            carried: None,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let next = match self.carried.take() {
                Some(job) => Ok(Some(job)),
                None => self.queue.receive_for(self.patience()),
            };
            match next {
                Ok(Some(job)) => {
                    self.idle = false;
                    self.gather(job);
                    self.commit();
                }
                Ok(None) if self.unit.stopping.load(Ordering::Acquire) => break,
                Ok(None) => self.rest(),
                Err(Closed) => break,
            }
            self.sync_if_due();
            self.look_for_room_if_due();
            self.obey();
        }
        self.close();
    }

    /// How long to wait for a job.
    fn patience(&self) -> Duration {
        match self.unsynced_since {
            Some(since) => (since + UNSYNCED_MAX) - self.unit.clock.now(),
            None if self.idle => LOOK_UP,
            None => IDLE_AFTER,
        }
    }

    /// Takes what waits, and what keeps arriving for at most an eighth of what the last group took.
    fn gather(&mut self, first: LaneJob) {
        let began = self.unit.clock.now();
        self.take(first, began);
        let window = Duration::from_nanos(self.last_ns / 8);
        let gap = window / 4;
        while self.group.ends.len() < GROUP_NEEDLES_MAX {
            let next = match self.queue.try_receive() {
                Ok(Some(job)) => Ok(Some(job)),
                Ok(None) if self.unit.clock.now() < began + window => self.queue.receive_for(gap),
                other => other,
            };
            match next {
                Ok(Some(job)) if self.group.bytes + job.work.needle_bytes() > self.appender.group_bytes_max() => {
                    self.carried = Some(job);
                    return;
                }
                Ok(Some(job)) => {
                    let now = self.unit.clock.now();
                    self.take(job, now);
                }
                Ok(None) | Err(Closed) => return,
            }
        }
    }

    fn take(&mut self, job: LaneJob, now: Moment) {
        self.unit.metrics.append_wait.record(now.since(job.queued));
        let held = job.work.held_bytes();
        if job.deadline <= now {
            self.unit.metrics.expired.increment();
            self.count_out(held);
            match job.work {
                LaneWork::Put { done, .. } => done.complete(AppendEnd::Expired),
                LaneWork::Delete { done, .. } => done.complete(DeleteEnd::Expired),
                LaneWork::Damage { done, .. } => done.complete(0),
            }
            return;
        }
        self.group.bytes += job.work.needle_bytes();
        match job.work {
            LaneWork::Put { append, done } => {
                let (hash, size) = (append.payload.hash, append.payload.bytes.len() as u64);
                self.group.payload_bytes += size;
                self.group.sync |= append.sync;
                self.group.ends.push(End::Put { done, hash, size, held });
                self.group.entries.push(Entry::Put {
                    payload: append.payload,
                    cookie: append.cookie,
                    attributes: append.attributes,
                    origin: append.origin,
                    named: append.named,
                });
            }
            LaneWork::Delete { id, done } => {
                self.group.sync = true;
                self.group.ends.push(End::Delete { done });
                self.group.entries.push(Entry::Delete { id });
            }
            // Not a needle, so not part of the group: the manifest takes it at once.
            LaneWork::Damage { volume, first, count, done } => self.damage(volume, first, count, done),
        }
    }

    fn damage(&mut self, volume: VolumeId, first: Sequence, count: u64, done: Completion<u64>) {
        let marked = self.appender.damage(volume, first, count).unwrap_or_else(|error| {
            let place = &self.unit.place;
            log::error!(
                "disk {place}: volume {:x}, sequence {:x} is marked damaged until the next start only: {error}",
                volume.0,
                first.0
            );
            if matches!(error, AppendError::Failed(_)) {
                self.note(&error);
            }
            0
        });
        self.count_out(0);
        done.complete(marked);
    }

    fn commit(&mut self) {
        let group = std::mem::take(&mut self.group);
        if group.entries.is_empty() {
            return;
        }
        let began = self.unit.clock.now();
        let wall_ms = self.unit.clock.wall_ms();
        let numbers = Arc::clone(&self.numbers);
        let appended = self.work(|appender| appender.append(&group.entries, wall_ms, group.sync, &*numbers));
        let took = self.unit.clock.now().since(began);
        let metrics = &self.unit.metrics;
        metrics.append.record(took);
        metrics.groups.increment();
        metrics.needles.add(group.entries.len() as u64);
        metrics.appended_bytes.add(group.payload_bytes);
        if group.sync {
            self.last_ns = took;
            metrics.syncs.increment();
            // A group that found no room was not synced, and neither was what came before it.
            if appended.is_ok() {
                self.unsynced_since = None;
            }
        } else if self.unsynced_since.is_none() {
            self.unsynced_since = Some(began);
        }
        let group = match &appended {
            // Deletes need no room for objects, and no number for a volume.
            Err(error @ (AppendError::Full { .. } | AppendError::Numbers(_))) if group.is_mixed() => {
                self.note(error);
                let (objects, deletes) = group.parted();
                self.group = deletes;
                objects
            }
            _ => group,
        };
        // The room of the bodies comes back before their answers are on the way.
        drop(group.entries);
        match appended {
            Ok(appended) => together(|| {
                for (end, appended) in group.ends.into_iter().zip(appended) {
                    self.end(end, Ok(appended), group.sync);
                }
            }),
            Err(error) => {
                self.note(&error);
                together(|| group.ends.into_iter().for_each(|end| self.end(end, Err(&error), false)));
            }
        }
        // The deletes of a group whose objects found no place.
        self.commit();
    }

    /// Everything that is done to the disk; the watch sees how long it takes.
    fn work<T>(&mut self, work: impl FnOnce(&mut Appender) -> T) -> T {
        if self.unit.state.has_failed() && !self.appender.has_failed() {
            let (cause, _) = self.unit.state.cause();
            self.appender.fail("a look at the disk", io::Error::other(cause));
        }
        self.unit.appending_since.store(self.unit.clock.now().0, Ordering::Relaxed);
        let done = work(&mut self.appender);
        self.unit.appending_since.store(u64::MAX, Ordering::Relaxed);
        done
    }

    fn end(&self, end: End, appended: Result<Appended, &AppendError>, synced: bool) {
        match end {
            End::Put { done, hash, size, held } => {
                self.count_out(held);
                done.complete(match appended {
                    Ok(Appended::Stored(id)) => AppendEnd::Stored { id, hash, size, synced },
                    Err(AppendError::Full { .. }) => AppendEnd::Full,
                    Ok(_) | Err(_) => AppendEnd::Failed,
                });
            }
            End::Delete { done } => {
                self.count_out(0);
                done.complete(match appended {
                    Ok(Appended::Deleted { .. }) => DeleteEnd::Deleted,
                    Ok(Appended::NotFound) => DeleteEnd::NotFound,
                    Err(AppendError::Full { .. }) => DeleteEnd::Full,
                    Ok(Appended::Stored(_)) | Err(_) => DeleteEnd::Failed,
                });
            }
        }
    }

    fn count_out(&self, held: usize) {
        self.unit.metrics.appends_outstanding.decrement();
        self.unit.share_in.give_back(held);
    }

    fn sync_if_due(&mut self) {
        let due = self.unsynced_since.is_some_and(|since| self.unit.clock.now() >= since + UNSYNCED_MAX);
        if due {
            self.sync();
        }
    }

    fn sync(&mut self) {
        self.unsynced_since = None;
        self.unit.metrics.syncs.increment();
        if let Err(error) = self.work(Appender::sync) {
            self.note(&error);
        }
    }

    /// Nothing came for a while: what was acknowledged is proven, and zeros are written ahead.
    fn rest(&mut self) {
        if self.unsynced_since.is_some() || self.idle {
            return;
        }
        self.idle = true;
        if let Err(error) = self.work(Appender::idle) {
            self.note(&error);
        }
    }

    /// Does what the background thread may not do itself.
    fn obey(&mut self) {
        while let Some(order) = self.orders.next() {
            self.idle = false;
            if let Err(error) = self.work(|appender| order.fulfil(appender)) {
                self.note(&error);
            }
        }
    }

    /// The state says what the appender knows; a full disk is asked each second.
    fn look_for_room_if_due(&mut self) {
        if self.appender.has_failed() {
            return;
        }
        if !self.appender.takes_objects() {
            self.unit.state.enter(Event::NoRoom, NO_ROOM);
            let now = self.unit.clock.now();
            if now < self.looked + LOOK_FOR_ROOM {
                return;
            }
            self.looked = now;
            if let Err(error) = self.work(Appender::look_for_room) {
                self.note(&error);
                return;
            }
        }
        if self.appender.takes_objects() && self.unit.state.is_full() {
            self.unit.state.enter(Event::Room, "the reserve is whole, and there is room besides");
        }
    }

    fn note(&self, error: &AppendError) {
        match error {
            AppendError::Full { .. } => self.unit.state.enter(Event::NoRoom, NO_ROOM),
            AppendError::Failed(failure) => {
                self.unit.metrics.errors.increment();
                self.unit.state.enter(Event::Failed, &failure.to_string());
            }
            AppendError::Numbers(_) | AppendError::TooLarge { .. } => {
                log::error!("disk {}: a group was not written: {error}", self.unit.place);
            }
        }
    }

    fn close(mut self) {
        // What still waits was never acknowledged; its completions answer for themselves as they are dropped.
        let place = self.unit.place.clone();
        // Heeds what others found.
        self.work(|_| ());
        match self.appender.close() {
            Ok(()) => {
                log::info!("disk {place}: closed cleanly");
                if let Some(trouble) = self.unit.snapshots.trouble() {
                    log::warn!(
                        "disk {place}: not all index files could be written, the next start reads more: {trouble}"
                    );
                }
            }
            Err(error) => {
                log::error!("disk {place}: not closed cleanly, the next start will recover its tail: {error}")
            }
        }
    }
}
