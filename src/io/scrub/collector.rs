//! What a pass of the scrub does about chunks that will never belong to a file: it has the append lane delete them.
//!
//! [`Collector`] belongs to the background thread of the disk; the append lane counts in its [`Tally`]. Always: only
//! what was put for a name by a session, and what the uploads say is dead, is deleted; at most [`UNDER_WAY_MAX`]
//! deletes are under way, and behind them the pass waits.

use crate::base::clock::Moment;
use crate::base::completion::Completion;
use crate::base::ids::Origin;
use crate::base::planted::{self, Bug};
use crate::io::append;
use crate::io::job::{DeleteEnd, LaneJob, LaneWork};
use crate::io::unit::Unit;
use crate::store::NamedNeedle;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Deletes that the lane has and has not ended: enough that one sync covers many, and few beside what clients send.
const UNDER_WAY_MAX: usize = 64;

/// Who knows what became of uploads. Asked by the background threads of the disks, often.
pub trait Uploads: Send + Sync {
    /// Whether a chunk of this origin will never belong to a file. Once it is so it stays so; of an upload that is not
    /// known any more it is not so. Waits for nothing but short locks of memory.
    fn is_dead(&self, origin: Origin) -> bool;

    /// Whether it still knows: if not, `is_dead` says no to everything, and a pass that asked it does not count as one
    /// that has searched the disk. Once it does not know it never does again.
    fn is_sure(&self) -> bool {
        true
    }
}

/// How the deletes of one pass went.
#[derive(Debug, Default)]
struct Tally {
    under_way: AtomicUsize,
    objects: AtomicU64,
    bytes: AtomicU64,
    failed: AtomicU64,
}

/// A delete that the lane has. Dropped before its end it has failed, so that the pass never waits for it in vain.
struct Ticket {
    tally: Arc<Tally>,
    is_done: bool,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_done {
            self.tally.failed.fetch_add(1, Ordering::Relaxed);
        }
        // Who sees it gone sees how it ended.
        self.tally.under_way.fetch_sub(1, Ordering::Release);
    }
}

/// The dead chunks of one pass.
pub(super) struct Collector {
    unit: Arc<Unit>,
    waiting: VecDeque<NamedNeedle>,
    tally: Arc<Tally>,
    /// The uploads could not always tell.
    is_unsure: bool,
    /// For a planted bug: the session that is asked for.
    session: Option<u64>,
}

impl Collector {
    pub(super) fn new(unit: Arc<Unit>) -> Self {
        Self { unit, waiting: VecDeque::new(), tally: Arc::default(), is_unsure: false, session: None }
    }

    /// Keeps those that are dead, to be deleted. To be called when none waits, so that no more wait than a step meets.
    pub(super) fn meet(&mut self, named: Vec<NamedNeedle>) {
        for needle in named {
            if self.is_dead(needle.origin) {
                self.waiting.push_back(needle);
            }
        }
        // In this order: what was said while it knew holds.
        self.is_unsure |= !self.unit.uploads.get().is_some_and(|uploads| uploads.is_sure());
    }

    fn is_dead(&mut self, origin: Origin) -> bool {
        // Session 0 is of no upload.
        let Some(uploads) = self.unit.uploads.get().filter(|_| origin.session != 0) else { return false };
        if planted::on(Bug::CollectByNumber) {
            let session = *self.session.get_or_insert(origin.session);
            return uploads.is_dead(Origin { session, ..origin });
        }
        uploads.is_dead(origin)
    }

    /// Hands dead chunks to the lane; false while some wait for room in its queue.
    pub(super) fn hand_over(&mut self) -> bool {
        while let Some(needle) = self.waiting.front().copied() {
            if self.tally.under_way.load(Ordering::Acquire) >= UNDER_WAY_MAX || !self.submit(needle) {
                return false;
            }
            self.waiting.pop_front();
        }
        true
    }

    fn submit(&self, needle: NamedNeedle) -> bool {
        self.tally.under_way.fetch_add(1, Ordering::AcqRel);
        let mut ticket = Ticket { tally: Arc::clone(&self.tally), is_done: false };
        let metrics = Arc::clone(&self.unit.metrics);
        let done = Completion::new(move |end: DeleteEnd| {
            ticket.is_done = matches!(end, DeleteEnd::Deleted | DeleteEnd::NotFound);
            if end == DeleteEnd::Deleted {
                metrics.collected.increment();
                metrics.collected_bytes.add(u64::from(needle.bytes));
                ticket.tally.objects.fetch_add(1, Ordering::Relaxed);
                ticket.tally.bytes.fetch_add(u64::from(needle.bytes), Ordering::Relaxed);
            }
        });
        let work = LaneWork::Delete { id: needle.id, done };
        let job = LaneJob { work, queued: self.unit.clock.now(), deadline: Moment(u64::MAX) };
        match append::submit(&self.unit, job) {
            Ok(()) => true,
            Err(back) => {
                // Its ticket counts as one that failed, but it is only tried again.
                drop(back);
                self.tally.failed.fetch_sub(1, Ordering::Relaxed);
                false
            }
        }
    }

    /// Every dead chunk that was met is deleted, or could not be.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.tally.under_way.load(Ordering::Acquire) == 0
    }

    /// Whether a dead chunk may be left among those that were met. Asked when it is idle.
    pub(super) fn has_failed(&self) -> bool {
        self.is_unsure || self.tally.failed.load(Ordering::Relaxed) > 0 && !planted::on(Bug::CountFailedCollect)
    }

    /// One line for a pass that has ended, if there is something to tell.
    pub(super) fn tell(&self) {
        let place = &self.unit.place;
        let [objects, bytes, failed] =
            [&self.tally.objects, &self.tally.bytes, &self.tally.failed].map(|counter| counter.load(Ordering::Relaxed));
        if objects > 0 {
            log::info!(
                "disk {place}: the scrub has deleted {objects} chunks, {bytes} bytes, of uploads that never ended"
            );
        }
        if failed > 0 {
            log::warn!(
                "disk {place}: {failed} chunks of uploads that never ended could not be deleted; the next scrub tries again"
            );
        }
    }
}
