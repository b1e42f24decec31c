//! What `status` tells about a disk.

use super::opening::LeftOut;
use super::scrub::ScrubReport;
use super::state::DiskState;
use super::unit::Unit;
use crate::metrics::Summary;
use crate::store::{CatalogStats, CompactionReport, FileFinding};
use serde::Serialize;
use std::sync::atomic::Ordering;

/// More than a person reads; `larder volume verify` tells all of them.
const FINDINGS_TOLD_MAX: usize = 32;

/// A disk at a glance.
#[derive(Debug, Default, Serialize)]
pub struct DiskReport {
    /// Where it is.
    pub place: String,
    /// Its id; empty if it could not be read.
    pub disk: String,
    /// What it can do now.
    pub state: DiskState,
    /// What last changed its state, and the way out if it is not healthy.
    pub cause: String,
    /// When that was, in milliseconds since 1970 in UTC.
    pub since_ms: u64,
    /// How often it came into each state.
    pub entered: Entered,
    /// It could not be opened at start, and the node goes on without it.
    pub left_out: bool,
    /// Bytes of its file system.
    pub total_bytes: u64,
    /// Free bytes of its file system that objects may take.
    pub free_bytes: u64,
    /// Bytes of its reserve.
    pub reserve_bytes: u64,
    /// Bytes of its reserve when it is whole.
    pub reserve_wanted_bytes: u64,
    /// Bytes at which a segment is closed and the next begun.
    pub segment_bytes: u64,
    /// Whether the reserve holds all that it should; objects are taken only then.
    pub reserve_whole: bool,
    /// Its volumes.
    pub store: CatalogStats,
    /// What compaction has done, and what it is doing.
    pub compaction: CompactionReport,
    /// Files that opening found wrong, each with the way out; the first of them.
    pub findings: Vec<FileFinding>,
    /// Reads that wait.
    pub read_queue: usize,
    /// Appends that wait.
    pub append_queue: usize,
    /// Bytes of the appends that wait.
    pub append_queue_bytes: usize,
    /// Reads queued or under way.
    pub reads_outstanding: i64,
    /// Appends queued or under way.
    pub appends_outstanding: i64,
    /// Bytes that its jobs hold of the budget of incoming bodies.
    pub held_in_bytes: usize,
    /// Bytes that its jobs hold of the budget of replies.
    pub held_out_bytes: usize,
    /// Microseconds that the oldest read has been worked on.
    pub oldest_read_us: u64,
    /// Reads answered from the cache of verified blocks.
    pub cache_hits: u64,
    /// Reads answered from the page cache on a processor.
    pub inline_hits: u64,
    /// Inline reads that found a page missing.
    pub inline_misses: u64,
    /// Reads that were not tried inline.
    pub inline_skips: u64,
    /// Jobs refused because something was full.
    pub refused_full: u64,
    /// Jobs whose deadline passed before they were begun.
    pub expired: u64,
    /// Groups committed.
    pub groups: u64,
    /// Needles in them.
    pub needles: u64,
    /// Bytes of content in them.
    pub appended_bytes: u64,
    /// Syncs.
    pub syncs: u64,
    /// Reads that failed their checksum.
    pub damaged: u64,
    /// Errors of the disk.
    pub errors: u64,
    /// Its scrub.
    pub scrub: ScrubReport,
    /// Time that reads waited.
    pub read_wait: Summary,
    /// Time that reads took.
    pub read: Summary,
    /// Time that appends waited.
    pub append_wait: Summary,
    /// Time that groups took.
    pub append: Summary,
}

/// Transitions of a disk's state.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Entered {
    /// Into healthy, from another state.
    pub healthy: u64,
    /// Into full.
    pub full: u64,
    /// Into suspect.
    pub suspect: u64,
    /// Into failed.
    pub failed: u64,
}

impl DiskReport {
    /// A disk that is not open.
    pub(super) fn of_left_out(one: &LeftOut, since_ms: u64) -> Self {
        Self {
            place: one.place.clone(),
            disk: one.disk.map(|disk| disk.to_string()).unwrap_or_default(),
            state: DiskState::Failed,
            cause: format!("left out at start: {}", one.error),
            since_ms,
            entered: Entered { failed: 1, ..Entered::default() },
            left_out: true,
            ..Self::default()
        }
    }

    pub(super) fn of(unit: &Unit) -> Self {
        let metrics = &unit.metrics;
        let now = unit.clock.now();
        let (cause, since_ms) = unit.state.cause();
        Self {
            place: unit.place.clone(),
            disk: unit.identity.disk.to_string(),
            state: unit.state.state(),
            cause,
            since_ms,
            entered: Entered {
                healthy: metrics.entered_healthy.value(),
                full: metrics.entered_full.value(),
                suspect: metrics.entered_suspect.value(),
                failed: metrics.entered_failed.value(),
            },
            left_out: false,
            total_bytes: unit.total_bytes.load(Ordering::Relaxed),
            free_bytes: unit.free_bytes.load(Ordering::Relaxed),
            reserve_bytes: unit.reserve.bytes(),
            reserve_wanted_bytes: unit.reserve.wanted_bytes(),
            segment_bytes: unit.segment_bytes,
            reserve_whole: unit.reserve.is_whole(),
            store: unit.catalog.stats(),
            compaction: unit.compaction.lock().clone(),
            findings: unit.findings.iter().take(FINDINGS_TOLD_MAX).cloned().collect(),
            read_queue: unit.reads.depth(),
            append_queue: unit.appends.depth(),
            append_queue_bytes: unit.appends.bytes(),
            reads_outstanding: metrics.reads_outstanding.value(),
            appends_outstanding: metrics.appends_outstanding.value(),
            held_in_bytes: unit.share_in.held(),
            held_out_bytes: unit.share_out.held(),
            oldest_read_us: unit.gate.oldest().map_or(0, |since| now.since(since) / 1000),
            cache_hits: metrics.cache_hits.value(),
            inline_hits: metrics.inline_hits.value(),
            inline_misses: metrics.inline_misses.value(),
            inline_skips: metrics.inline_skips.value(),
            refused_full: metrics.refused_full.value(),
            expired: metrics.expired.value(),
            groups: metrics.groups.value(),
            needles: metrics.needles.value(),
            appended_bytes: metrics.appended_bytes.value(),
            syncs: metrics.syncs.value(),
            damaged: metrics.damaged.value(),
            errors: metrics.errors.value(),
            scrub: unit.scrub.report(),
            read_wait: metrics.read_wait.summary(),
            read: metrics.read.summary(),
            append_wait: metrics.append_wait.summary(),
            append: metrics.append.summary(),
        }
    }
}
