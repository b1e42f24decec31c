//! What a node counts, grouped by who writes it.
//!
//! Each processor and each disk owns one group, so threads do not share lines of memory; `status` sums them up.

use super::{Counter, Gauge, Histogram, HttpMetrics, MasterMetrics};
use std::sync::Arc;

/// A stage of a request's life, each with a histogram of the time spent in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A new connection waits for its processor.
    Inbox,
    /// From the first byte of a frame to the whole request.
    Parse,
    /// A job waits in the queue of its disk.
    DiskQueue,
    /// A worker works on it.
    Disk,
    /// An outcome waits for its processor.
    Completion,
    /// From the answer to its last byte in the socket.
    Send,
    /// The whole: from the whole request to the answer's last byte in the socket.
    Whole,
}

impl Stage {
    /// All, in the order of a request's life.
    pub const ALL: [Self; 7] =
        [Self::Inbox, Self::Parse, Self::DiskQueue, Self::Disk, Self::Completion, Self::Send, Self::Whole];

    /// The stage's name in `status` and in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Parse => "parse",
            Self::DiskQueue => "disk_queue",
            Self::Disk => "disk",
            Self::Completion => "completion",
            Self::Send => "send",
            Self::Whole => "whole",
        }
    }
}

/// What one processor counts.
///
/// Always: `accepted` = `answered` + `rejected` + `abandoned` + `in_flight`.
#[derive(Debug, Default)]
pub struct ProcessorMetrics {
    /// Whole requests that were decoded.
    pub accepted: Counter,
    /// Requests whose operation was carried out, or that were told a fact (such as NOT_FOUND).
    pub answered: Counter,
    /// Requests that were refused: BUSY, TIMED_OUT, malformed, too large.
    pub rejected: Counter,
    /// Requests whose peer went away before its answer.
    pub abandoned: Counter,
    /// Requests that have no answer yet.
    pub in_flight: Gauge,
    /// Connections that have sent a part of a request.
    pub parsing: Gauge,
    /// Connections with bytes that wait to be sent.
    pub sending: Gauge,
    /// Answers by status code.
    pub by_status: StatusCounters,
    /// Connections that are open.
    pub connections: Gauge,
    /// Connections that were closed by a timer, by reason.
    pub timed_out_idle: Counter,
    /// See `timed_out_idle`.
    pub timed_out_head: Counter,
    /// See `timed_out_idle`.
    pub timed_out_body: Counter,
    /// See `timed_out_idle`.
    pub timed_out_reader: Counter,
    /// Connections that were ended for what they sent.
    pub protocol_errors: Counter,
    /// Connections that are muted now.
    pub muted: Gauge,
    /// Bytes received.
    pub received_bytes: Counter,
    /// Bytes sent.
    pub sent_bytes: Counter,
    /// Length of a turn.
    pub turn: Histogram,
    /// The stages that a processor sees.
    pub inbox: Histogram,
    /// See [`Stage::Parse`].
    pub parse: Histogram,
    /// See [`Stage::Completion`].
    pub completion: Histogram,
    /// See [`Stage::Send`].
    pub send: Histogram,
    /// See [`Stage::Whole`].
    pub whole: Histogram,
    /// What came by HTTP.
    pub http: HttpMetrics,
}

/// A counter for each status code.
#[derive(Debug)]
pub struct StatusCounters([Counter; 64]);

impl Default for StatusCounters {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl StatusCounters {
    /// The counter of a code; codes from 63 on share the last.
    #[must_use]
    pub fn of(&self, code: u8) -> &Counter {
        self.0.get(usize::from(code)).unwrap_or(&self.0[63])
    }
}

/// What one disk counts.
#[derive(Debug, Default)]
pub struct DiskMetrics {
    /// Reads answered on a processor from the page cache.
    pub inline_hits: Counter,
    /// Inline reads that found a page missing, and became jobs.
    pub inline_misses: Counter,
    /// Reads that went to the queue at once, because the disk was slow or the segment not open.
    pub inline_skips: Counter,
    /// Reads answered from the cache of verified blocks.
    pub cache_hits: Counter,
    /// Reads that are queued or under way.
    pub reads_outstanding: Gauge,
    /// Appends that are queued or under way.
    pub appends_outstanding: Gauge,
    /// Jobs refused because a queue was full.
    pub refused_full: Counter,
    /// Jobs that were dropped because their deadline had passed.
    pub expired: Counter,
    /// Groups committed.
    pub groups: Counter,
    /// Needles in them.
    pub needles: Counter,
    /// Bytes in them.
    pub appended_bytes: Counter,
    /// Syncs of segments.
    pub syncs: Counter,
    /// Blocks or heads that failed their checksum.
    pub damaged: Counter,
    /// Errors that the disk reported.
    pub errors: Counter,
    /// Times that it became healthy again.
    pub entered_healthy: Counter,
    /// Times that it became full.
    pub entered_full: Counter,
    /// Times that it became suspect.
    pub entered_suspect: Counter,
    /// Times that it failed, or was left out at start: at most one.
    pub entered_failed: Counter,
    /// Bytes that the scrub has read.
    pub scrubbed_bytes: Counter,
    /// What the scrub has found.
    pub scrub_findings: Counter,
    /// Needles that were marked damaged because of it.
    pub scrub_marked: Counter,
    /// Chunks of uploads that never ended, which the scrub has deleted.
    pub collected: Counter,
    /// Bytes of their content.
    pub collected_bytes: Counter,
    /// See [`Stage::DiskQueue`], of reads.
    pub read_wait: Histogram,
    /// See [`Stage::Disk`], of reads.
    pub read: Histogram,
    /// See [`Stage::DiskQueue`], of appends.
    pub append_wait: Histogram,
    /// See [`Stage::Disk`], of appends: the group's write and sync.
    pub append: Histogram,
}

/// All groups of a node.
///
/// Always: `disks` is in the order of the directories, also those that were left out.
#[derive(Debug, Default)]
pub struct NodeMetrics {
    /// One for each processor.
    pub processors: Vec<Arc<ProcessorMetrics>>,
    /// One for each disk.
    pub disks: Vec<Arc<DiskMetrics>>,
    /// The master's.
    pub master: Arc<MasterMetrics>,
    /// Connections accepted.
    pub connections_accepted: Counter,
    /// Connections closed at once, over a quota.
    pub connections_refused: Counter,
    /// Lines of the access log that found no room, or could not be written.
    pub access_log_dropped: Arc<Counter>,
    /// Times that accepting paused: all inboxes full, or no descriptor left.
    pub accept_pauses: Counter,
}

impl NodeMetrics {
    /// The histograms that together are those of a stage.
    #[must_use]
    pub fn of_stage(&self, stage: Stage) -> Vec<&Histogram> {
        let processors =
            |one: fn(&ProcessorMetrics) -> &Histogram| self.processors.iter().map(|all| one(all)).collect();
        let disks = |both: fn(&DiskMetrics) -> [&Histogram; 2]| self.disks.iter().flat_map(|all| both(all)).collect();
        match stage {
            Stage::Inbox => processors(|processor| &processor.inbox),
            Stage::Parse => processors(|processor| &processor.parse),
            Stage::DiskQueue => disks(|disk| [&disk.read_wait, &disk.append_wait]),
            Stage::Disk => disks(|disk| [&disk.read, &disk.append]),
            Stage::Completion => processors(|processor| &processor.completion),
            Stage::Send => processors(|processor| &processor.send),
            Stage::Whole => processors(|processor| &processor.whole),
        }
    }

    /// The sum of a counter over all processors.
    #[must_use]
    pub fn sum(&self, counter: impl Fn(&ProcessorMetrics) -> &Counter) -> u64 {
        self.processors.iter().map(|processor| counter(processor).value()).sum()
    }

    /// The sum of a gauge over all processors.
    #[must_use]
    pub fn total(&self, gauge: impl Fn(&ProcessorMetrics) -> &Gauge) -> i64 {
        self.processors.iter().map(|processor| gauge(processor).value()).sum()
    }
}
