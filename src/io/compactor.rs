//! Compaction at the pace that its disk can spare.
//!
//! Background thread of the disk. A piece is followed by a rest that keeps to the bytes a second that were allowed, and by a
//! longer one while requests wait for the disk; when garbage grows all the same, or room is short, it stops yielding. What
//! it found out about the disk goes to the disk's state.

use super::append;
use super::chores::Chore;
use super::job::{LaneJob, LaneWork};
use super::orders::{Order, OrderBook};
use super::state::Event;
use super::unit::Unit;
use crate::base::clock::Moment;
use crate::base::completion::Completion;
use crate::disk::is_shortage;
use crate::store::{Compacted, Compaction, CompactionStep, Obstacle};
use crossbeam_channel::{Receiver, TryRecvError, bounded};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How soon an idle one looks again.
const IDLE: Duration = Duration::from_millis(500);
/// How soon it looks whether the lane has published a copy.
const LOOK_UP: Duration = Duration::from_millis(5);
/// How long it rests after it had to give something up.
const AFTER_OBSTACLE: Duration = Duration::from_secs(5);
/// While requests wait for the disk it rests this many times as long as it worked.
const YIELD: u32 = 3;
/// Room is short below this many segments.
const TIGHT_SEGMENTS: u64 = 2;

/// What compaction may take.
#[derive(Debug, Clone, Copy)]
pub struct CompactionPace {
    /// It begins when this share of all bytes is garbage; 0: never.
    pub garbage_percent: u64,
    /// Bytes that it may read, write or cut a second.
    pub bytes_per_s: u64,
}

pub(super) struct Compactor {
    unit: Arc<Unit>,
    compaction: Compaction,
    book: Arc<OrderBook>,
    pace: CompactionPace,
    awaited: Option<Receiver<(Box<Compacted>, bool)>>,
    /// A copy that the lane had no place for yet.
    unsent: Option<Box<Compacted>>,
}

impl Compactor {
    pub(super) fn new(unit: Arc<Unit>, compaction: Compaction, book: Arc<OrderBook>, pace: CompactionPace) -> Self {
        Self { unit, compaction, book, pace, awaited: None, unsent: None }
    }

    fn step(&mut self) -> Duration {
        if let Some(compacted) = self.unsent.take() {
            return self.publish(compacted);
        }
        if let Some(awaited) = &self.awaited {
            match awaited.try_recv() {
                Ok((compacted, is_published)) => {
                    self.awaited = None;
                    self.compaction.published(&compacted, is_published);
                    if is_published {
                        if let Some(wake) = self.unit.view_changed.get() {
                            wake();
                        }
                        log::info!("disk {}: compaction: {} is in place", self.unit.place, compacted);
                        return Duration::ZERO;
                    }
                    // What kept it from its place would keep the next copy from it too.
                    log::warn!("disk {}: compaction: {} was not published", self.unit.place, compacted);
                    return AFTER_OBSTACLE;
                }
                Err(TryRecvError::Empty) => return LOOK_UP,
                // The lane has ended, or the disk failed under it.
                Err(TryRecvError::Disconnected) => return IDLE,
            }
        }
        if self.unit.state.has_failed() || self.pace.garbage_percent == 0 {
            self.compaction.stop();
            return IDLE;
        }
        let free = self.unit.free_bytes.load(Ordering::Relaxed);
        let tight = self.unit.state.is_full() || free < TIGHT_SEGMENTS * self.compaction.segment_bytes();
        let room = free.saturating_add(self.unit.reserve.compaction_bytes());
        let began = self.unit.clock.now();
        let step = self.compaction.step(self.pace.garbage_percent, room, tight);
        let took = Duration::from_nanos(self.unit.clock.now().since(began));
        match step {
            CompactionStep::Rest => IDLE,
            CompactionStep::Worked(bytes) => self.rest_after(bytes, took, tight),
            CompactionStep::Publish(compacted) => self.publish(compacted),
            CompactionStep::Roll(volume) => {
                // One that finds no place is asked for again.
                drop(self.book.leave(Order::Roll(volume)));
                IDLE
            }
            CompactionStep::GaveUp(obstacle) => {
                self.note(&obstacle);
                AFTER_OBSTACLE
            }
        }
    }

    fn rest_after(&self, bytes: u64, took: Duration, tight: bool) -> Duration {
        let pace = Duration::from_secs_f64(bytes as f64 / self.pace.bytes_per_s.max(1) as f64).saturating_sub(took);
        let metrics = &self.unit.metrics;
        let waits = metrics.reads_outstanding.value() + metrics.appends_outstanding.value() > 0;
        let urgent = tight || self.compaction.garbage_percent() >= 2 * self.pace.garbage_percent;
        if waits && !urgent { pace.max(took * YIELD) } else { pace }
    }

    fn publish(&mut self, compacted: Box<Compacted>) -> Duration {
        let (sender, receiver) = bounded(1);
        match self.book.leave(Order::Publish(compacted, sender)).map_err(|order| *order) {
            Ok(()) => self.awaited = Some(receiver),
            Err(Order::Publish(compacted, _)) => self.unsent = Some(compacted),
            Err(Order::Roll(_)) => {}
        }
        LOOK_UP
    }

    fn note(&self, obstacle: &Obstacle) {
        let place = &self.unit.place;
        match obstacle {
            Obstacle::Stale => {}
            Obstacle::Full { .. } => log::warn!("disk {place}: compaction: {obstacle}"),
            Obstacle::Damaged { volume, sequence, .. } => {
                self.unit.metrics.damaged.increment();
                log::error!(
                    "disk {place}: compaction: {obstacle}; it is marked damaged, and its segment stays as it is"
                );
                let done = Completion::new(|_marked: u64| ());
                let work = LaneWork::Damage { volume: *volume, first: *sequence, count: 1, done };
                let job = LaneJob { work, queued: self.unit.clock.now(), deadline: Moment(u64::MAX) };
                // One that finds no place is met again when the segment is tried again.
                drop(append::submit(&self.unit, job));
            }
            Obstacle::Io { .. } if obstacle.is_write_failure() => {
                self.unit.metrics.errors.increment();
                self.unit.state.enter(Event::Failed, &format!("compaction: {obstacle}"));
            }
            Obstacle::Io { error, .. } if is_shortage(error) => log::warn!("disk {place}: compaction: {obstacle}"),
            Obstacle::Io { error, .. } => {
                self.unit.read_error(error);
                log::error!("disk {place}: compaction: {obstacle}");
            }
        }
    }
}

impl Chore for Compactor {
    fn turn(&mut self) -> Duration {
        let rest = self.step();
        *self.unit.compaction.lock() = self.compaction.report();
        rest
    }

    fn stop(&mut self) {
        self.compaction.stop();
    }
}
