//! One disk as the node's threads share it: its catalog, its queues, its gate, its state.
//!
//! Made at start; read by every thread.

use super::blocks::Blocks;
use super::gate::Gate;
use super::job::{LaneJob, ReadJob};
use super::scrub::{ScrubCell, Uploads};
use super::state::{Event, StateCell};
use super::suspicion::Suspicion;
use crate::base::buffers::BufferPool;
use crate::base::clock::{Clock, Moment};
use crate::base::queue::QueueSender;
use crate::disk::is_shortage;
use crate::metrics::DiskMetrics;
use crate::store::{Catalog, CompactionReport, FileFinding, Identity, Reserve, Snapshots};
use parking_lot::Mutex;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

pub(super) struct Unit {
    pub(super) index: usize,
    pub(super) place: String,
    pub(super) identity: Identity,
    pub(super) catalog: Arc<Catalog>,
    pub(super) snapshots: Arc<Snapshots>,
    pub(super) reads: QueueSender<ReadJob>,
    pub(super) appends: QueueSender<LaneJob>,
    pub(super) gate: Gate,
    pub(super) state: Arc<StateCell>,
    pub(super) suspicion: Suspicion,
    pub(super) reserve: Arc<Reserve>,
    pub(super) segment_bytes: u64,
    pub(super) share_in: Share,
    pub(super) share_out: Share,
    pub(super) blocks: Arc<Blocks>,
    pub(super) pool: Arc<BufferPool>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<DiskMetrics>,
    /// What opening found wrong with whole files.
    pub(super) findings: Vec<FileFinding>,
    /// When the lane began the group that it works on, in nanoseconds of the clock; `u64::MAX` while it rests.
    pub(super) appending_since: AtomicU64,
    /// When the background thread began its look, likewise.
    pub(super) looking_since: AtomicU64,
    /// When it began the chore that it works on, likewise.
    pub(super) background_since: AtomicU64,
    /// Called when the view has changed, so that idle processors let go of the old one.
    pub(super) view_changed: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// Who knows which chunks are dead; none is deleted before it is set.
    pub(super) uploads: OnceLock<Arc<dyn Uploads>>,
    /// What compaction has done, as it last told.
    pub(super) compaction: Mutex<CompactionReport>,
    /// Room on the file system, as the background thread last saw it; free for objects.
    pub(super) total_bytes: AtomicU64,
    pub(super) free_bytes: AtomicU64,
    pub(super) scrub: ScrubCell,
    pub(super) stopping: AtomicBool,
    /// Jobs are refused from here on: the node is being stopped.
    pub(super) closed: AtomicBool,
}

impl Unit {
    /// A read of this disk failed: by a reader, or by whatever reads in the background. Enough of them make it suspect.
    pub(super) fn read_error(&self, error: &io::Error) {
        self.metrics.errors.increment();
        if !is_shortage(error) {
            self.suspicion.note(self.clock.now());
            self.judge();
        }
    }

    /// Suspects the disk, or trusts it again. Any thread; loads of atomics.
    pub(super) fn judge(&self) {
        if self.state.has_failed() {
            return;
        }
        let now = self.clock.now();
        let busy = |what, since: &AtomicU64| match since.load(Ordering::Relaxed) {
            u64::MAX => None,
            since => Some((what, Moment(since))),
        };
        let works = [
            self.gate.oldest().map(|since| ("a read", since)),
            busy("an append", &self.appending_since),
            busy("a look at the directory", &self.looking_since),
            busy("background work", &self.background_since),
        ];
        let oldest = works.into_iter().flatten().min_by_key(|(_, since)| *since);
        if let Some((event, cause)) = self.suspicion.judge(now, oldest)
            && (event == Event::Trusted) == self.state.is_suspect()
        {
            self.state.enter(event, &cause);
        }
    }
}

impl std::fmt::Debug for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unit").field("place", &self.place).finish_non_exhaustive()
    }
}

/// What the jobs of one disk hold of a budget: at most half, so that a slow disk leaves room for the others.
#[derive(Debug)]
pub(super) struct Share {
    held: AtomicUsize,
    max: usize,
}

impl Share {
    pub(super) fn new(max: usize) -> Self {
        Self { held: AtomicUsize::new(0), max }
    }

    /// Counts a job of `bytes` in; false if that is too much.
    pub(super) fn take(&self, bytes: usize) -> bool {
        let before = self.held.fetch_add(bytes, Ordering::AcqRel);
        if before != 0 && before + bytes > self.max {
            self.held.fetch_sub(bytes, Ordering::AcqRel);
            return false;
        }
        true
    }

    /// Counts a job out.
    pub(super) fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::AcqRel);
    }

    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_bounded_but_never_shut() {
        let share = Share::new(100);
        assert!(share.take(500), "one job of any size");
        assert!(!share.take(1));
        share.give_back(500);
        assert!(share.take(60) && share.take(40) && !share.take(1));
        assert_eq!(share.held(), 100);
    }
}
