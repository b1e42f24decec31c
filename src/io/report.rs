//! What `status` tells about a disk.

use super::scrub::ScrubReport;
use super::state::DiskState;
use super::unit::Unit;
use crate::metrics::Summary;
use crate::store::CatalogStats;
use serde::Serialize;
use std::sync::atomic::Ordering;

/// A disk at a glance.
#[derive(Debug, Serialize)]
pub struct DiskReport {
    /// Where it is.
    pub place: String,
    /// Its id.
    pub disk: String,
    /// What it can do now.
    pub state: DiskState,
    /// Why, if it is not healthy.
    pub cause: String,
    /// Bytes of its file system.
    pub total_bytes: u64,
    /// Free bytes of its file system.
    pub free_bytes: u64,
    /// Its volumes.
    pub store: CatalogStats,
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

impl DiskReport {
    pub(super) fn of(unit: &Unit) -> Self {
        let metrics = &unit.metrics;
        Self {
            place: unit.place.clone(),
            disk: unit.identity.disk.to_string(),
            state: unit.state.state(),
            cause: unit.state.cause(),
            total_bytes: unit.total_bytes.load(Ordering::Relaxed),
            free_bytes: unit.free_bytes.load(Ordering::Relaxed),
            store: unit.catalog.stats(),
            read_queue: unit.reads.depth(),
            append_queue: unit.appends.depth(),
            append_queue_bytes: unit.appends.bytes(),
            reads_outstanding: metrics.reads_outstanding.value(),
            appends_outstanding: metrics.appends_outstanding.value(),
            held_in_bytes: unit.share_in.held(),
            held_out_bytes: unit.share_out.held(),
            oldest_read_us: unit.gate.oldest_ns(unit.clock.now()) / 1000,
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
