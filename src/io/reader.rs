//! A reader: one of the few threads of a disk that may wait for its reads.
//!
//! Always: it works on one job at a time, in the order of the queue; a job whose deadline has passed is ended unread.

use super::gate::Inline;
use super::job::{DeleteBy, DeleteEnd, LaneJob, LaneWork, PieceEnd, ReadEnd, ReadJob, ReadWork, Refused};
use super::read::{Missed, Now, Reading, Source, Target, open_end, piece_end};
use super::unit::Unit;
use crate::base::budget::Reservation;
use crate::base::buffers::Parts;
use crate::base::clock::Moment;
use crate::base::completion::Completion;
use crate::base::queue::{Closed, QueueReceiver};
use crate::base::range::ByteRange;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often an idle reader looks whether the node stops.
const LOOK_UP: Duration = Duration::from_millis(200);

pub(super) fn run(unit: &Arc<Unit>, number: usize, queue: &QueueReceiver<ReadJob>) {
    loop {
        match queue.receive_for(LOOK_UP) {
            Ok(Some(job)) => work(unit, number, job),
            Ok(None) if unit.stopping.load(Ordering::Acquire) => return,
            Ok(None) => {}
            Err(Closed) => return,
        }
    }
}

fn work(unit: &Arc<Unit>, number: usize, job: ReadJob) {
    let began = unit.clock.now();
    unit.gate.began(number, began);
    unit.metrics.read_wait.record(began.since(job.queued));
    let is_expired = unit.gate.is_too_late(began, job.deadline);
    if is_expired {
        unit.metrics.expired.increment();
    }
    match job.work {
        ReadWork::Open { target, part, head_only, mut room, done } => {
            let held = room.as_ref().map_or(0, Reservation::bytes);
            let end = if is_expired { ReadEnd::Expired } else { open(&target, part, head_only, &mut room) };
            finish(unit, number, began, held, is_expired);
            done.complete(end);
        }
        ReadWork::Piece { reading, range, room, done } => {
            let held = room.as_ref().map_or(0, Reservation::bytes);
            let end = if is_expired { PieceEnd::Expired } else { piece(&reading, &range, room) };
            finish(unit, number, began, held, is_expired);
            done.complete(end);
        }
        ReadWork::Delete { target, by, done } => {
            let end = if is_expired { Err(DeleteEnd::Expired) } else { check_delete(&target, by) };
            finish(unit, number, began, 0, is_expired);
            match end {
                Err(end) => done.complete(end),
                Ok(()) => hand_to_lane(unit, &target, job.deadline, done),
            }
        }
    }
}

/// Counts the job out before its answer is on its way, so that who has seen the answer sees gauges at rest.
fn finish(unit: &Unit, number: usize, began: Moment, held: usize, is_expired: bool) {
    let now = unit.clock.now();
    let took = now.since(began);
    if !is_expired {
        unit.metrics.read.record(took);
        unit.gate.took(took, now);
    }
    unit.gate.rests(number);
    unit.gate.ended();
    unit.metrics.reads_outstanding.decrement();
    unit.share_out.give_back(held);
}

fn open(target: &Target, part: Option<ByteRange>, head_only: bool, room: &mut Option<Reservation>) -> ReadEnd {
    let missed = match try_open(target, part, head_only, room) {
        Ok(end) => return end,
        Err(missed) => missed,
    };
    match target.now() {
        Now::Moved(moved) => try_open(&moved, part, head_only, room).unwrap_or_else(|missed| open_end(&moved, &missed)),
        Now::Gone => ReadEnd::NotFound,
        Now::Here => open_end(target, &missed),
    }
}

fn try_open(
    target: &Target,
    part: Option<ByteRange>,
    head_only: bool,
    room: &mut Option<Reservation>,
) -> Result<ReadEnd, Missed> {
    let file = target.place.segment.file().map_err(Missed::Failed)?;
    target.open(&Source::Waiting { file: &*file }, part, head_only, room)
}

fn piece(reading: &Reading, range: &Range<u64>, room: Option<Reservation>) -> PieceEnd {
    let read = match try_piece(reading, range) {
        Err(missed) => match reading.target.now() {
            Now::Moved(target) => try_piece(&Reading { target, ..reading.clone() }, range),
            Now::Gone => return PieceEnd::Gone,
            Now::Here => Err(missed),
        },
        read => read,
    };
    match read {
        Ok(parts) => PieceEnd::Piece { parts, room },
        Err(missed) => piece_end(&reading.target, &missed),
    }
}

fn try_piece(reading: &Reading, range: &Range<u64>) -> Result<Parts, Missed> {
    let file = reading.target.place.segment.file().map_err(Missed::Failed)?;
    reading.read(&Source::Waiting { file: &*file }, range)
}

/// Whether the object may be deleted: its cookie fits, and it belongs to a name exactly if its name asks.
fn check_delete(target: &Target, by: DeleteBy) -> Result<(), DeleteEnd> {
    let mut room = None;
    match open(target, None, true, &mut room) {
        ReadEnd::Opened(opened) => match (by, opened.facts.is_named) {
            (DeleteBy::Id, true) => Err(DeleteEnd::Named),
            (DeleteBy::Name, false) => Err(DeleteEnd::NotNamed),
            (DeleteBy::Id, false) | (DeleteBy::Name, true) => Ok(()),
        },
        ReadEnd::NotFound | ReadEnd::OutOfRange { .. } => Err(DeleteEnd::NotFound),
        ReadEnd::Damaged => Err(DeleteEnd::Damaged),
        ReadEnd::Failed => Err(DeleteEnd::Failed),
        ReadEnd::Expired => Err(DeleteEnd::Expired),
    }
}

fn hand_to_lane(unit: &Arc<Unit>, target: &Target, deadline: Moment, done: Completion<DeleteEnd>) {
    let job = LaneJob { work: LaneWork::Delete { id: target.id, done }, queued: unit.clock.now(), deadline };
    if let Err(job) = super::append::submit(unit, job)
        && let LaneWork::Delete { done, .. } = job.work
    {
        done.complete(DeleteEnd::Refused(super::append::refusal(unit)));
    }
}

/// Whether a read would be refused now: asked before anything is made for it.
pub(super) fn refuses(unit: &Unit, (now, deadline): (Moment, Moment)) -> Option<Refused> {
    let refused = if unit.closed.load(Ordering::Acquire) {
        Refused::Closed
    } else if unit.reads.is_full() || unit.gate.is_hopeless(now, deadline) {
        Refused::ReadQueue
    } else {
        return None;
    };
    unit.metrics.refused_full.increment();
    Some(refused)
}

/// Submits a read. What is refused is dropped with its completion, and what that then says finds its request answered.
pub(super) fn submit(unit: &Arc<Unit>, job: ReadJob) -> Result<(), Refused> {
    let held = match &job.work {
        ReadWork::Open { room, .. } | ReadWork::Piece { room, .. } => room.as_ref().map_or(0, Reservation::bytes),
        ReadWork::Delete { .. } => 0,
    };
    if unit.closed.load(Ordering::Acquire) {
        return Err(Refused::Closed);
    }
    if !unit.share_out.take(held) {
        unit.metrics.refused_full.increment();
        return Err(Refused::DiskShare);
    }
    // Counted before it is sent: a reader may end it before this thread goes on.
    unit.gate.submitted();
    unit.metrics.reads_outstanding.increment();
    unit.reads.try_send(held, job).map_err(|_| {
        unit.gate.ended();
        unit.metrics.reads_outstanding.decrement();
        unit.share_out.give_back(held);
        unit.metrics.refused_full.increment();
        Refused::ReadQueue
    })
}

/// The inline read of a processor: `None` when it has to be a job.
pub(super) fn inline<T>(
    target: &Target,
    now: Moment,
    read: impl FnOnce(&Source<'_>) -> Result<T, Missed>,
) -> Option<T> {
    let metrics = &target.unit.metrics;
    let Some(file) = target.open_file() else {
        metrics.inline_skips.increment();
        return None;
    };
    let how = target.inline(now);
    match read(&Source::Inline { file: &*file, how }) {
        Ok(done) => {
            metrics.inline_hits.increment();
            Some(done)
        }
        // A reader looks once more, and has the last word on damage and errors.
        Err(_) => {
            if how == Inline::IfResident { &metrics.inline_skips } else { &metrics.inline_misses }.increment();
            None
        }
    }
}
