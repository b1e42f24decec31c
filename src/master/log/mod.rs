//! The metadata log: the entries of consensus and its hard state, written ahead of the state.
//!
//! Segments `log-<first sequence>` of 64 MiB in the metadata directory, and a mark file. A segment is a header sector,
//! then groups of one record each (see `record`), each group on a sector of its own behind a frame of `journal`. One
//! append is one record, one gathered write and one sync.
//!
//! Owned by the master thread. Always: what [`Log::append`] returned `Ok` for is durable; after an error of a sync, or any
//! error of a write but "no room", every call fails without touching the disk; a file is durable under its name before it
//! holds a record; what was proven durable is never cut. The clock only measures syncs: nothing depends on it.

mod content;
mod cut;
mod files;
mod look;
mod mark;
mod names;
mod open;
mod read;
mod rebuild;
mod record;
mod rest;
mod segment_header;
#[cfg(test)]
mod tests;
mod writer;

pub use content::Applied;
pub use names::is_log_file;
pub use open::{LogDamage, LogReport, TornTail};
pub use record::{EntryKind, HardState, LogEntry, Record};

use super::StateError;
use crate::base::clock::Clock;
use crate::base::ids::{Epoch, Sequence};
use crate::disk::{Disk, File};
use crate::journal::Pair;
use content::Content;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// The default size of a segment.
pub const LOG_SEGMENT_BYTES: u64 = 64 << 20;

/// Zeros that are written ahead of the records: a sync over blocks that were written before takes a fraction of one that
/// grows the file.
pub const LOG_FILL_AHEAD_BYTES: u64 = 1 << 20;

/// Room behind the end of the log that records with data leave alone, so that on a full disk a start still finds room for
/// the entry that makes it a leader; at most an eighth of a segment.
const SPARE_BYTES: u64 = 64 << 10;

/// What may be chosen about a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// A segment takes records up to this size; one that is larger has a segment of its own.
    pub segment_bytes: u64,
    /// See [`LOG_FILL_AHEAD_BYTES`].
    pub fill_ahead_bytes: u64,
    /// The state was restored from a backup into an empty directory: that there is no log is no damage.
    pub restored: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { segment_bytes: LOG_SEGMENT_BYTES, fill_ahead_bytes: LOG_FILL_AHEAD_BYTES, restored: false }
    }
}

/// Counts of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogCounts {
    /// Records that were appended.
    pub records: u64,
    /// Syncs of them.
    pub syncs: u64,
    /// What the last one took, in nanoseconds.
    pub sync_ns: u64,
}

/// An open log.
pub struct Log {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    options: LogOptions,
    owner: u128,
    salt: u64,
    epoch: Epoch,
    /// The sequence of the next record; everything below is synced.
    next: Sequence,
    chain: u128,
    /// All segments, the open one last.
    segments: VecDeque<Segment>,
    tail: Tail,
    mark: Pair,
    /// What the mark file holds.
    marked: mark::Mark,
    content: Content,
    scratch: Vec<u8>,
    zeros: Vec<u8>,
    counts: LogCounts,
    failed: bool,
}

/// One file of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    first: Sequence,
    /// The last entry before it; not known if its header does not verify.
    before: Option<Applied>,
    /// Whole records in it.
    records: u64,
    /// Bytes of the file.
    bytes: u64,
}

/// The file that is appended to.
#[derive(Debug)]
struct Tail {
    name: String,
    file: Arc<dyn File>,
    /// The byte behind the last record or frame.
    end: u64,
    /// Zeros were written up to here.
    filled: u64,
    /// Room was reserved up to here.
    allocated: u64,
    /// The last closing frame was written at this sequence.
    closing_at: Option<Sequence>,
}

impl Log {
    /// The hard state.
    #[must_use]
    pub fn hard(&self) -> HardState {
        self.content.hard()
    }

    /// The last entry that is not in memory any more: the state has it durably.
    #[must_use]
    pub fn cut_at(&self) -> Applied {
        self.content.cut_at()
    }

    /// The last entry.
    #[must_use]
    pub fn last(&self) -> Applied {
        self.content.last()
    }

    /// The term of an entry, or of the one at the cut.
    #[must_use]
    pub fn term(&self, index: u64) -> Option<u64> {
        self.content.term(index)
    }

    /// The entries in `from..to`, as far as they are in memory.
    pub fn entries(&self, from: u64, to: u64) -> impl Iterator<Item = &LogEntry> {
        self.content.entries(from, to)
    }

    /// Bytes of data of the entries in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.content.bytes()
    }

    /// Bytes of the files, the reserved room included.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Segments.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Counts of this run.
    #[must_use]
    pub fn counts(&self) -> LogCounts {
        self.counts
    }

    /// Whether it takes nothing more.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Runs what may fail: after any error but "no room" nothing touches the disk any more.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, StateError>) -> Result<T, StateError> {
        if self.failed {
            let error =
                io::Error::other("an earlier write or sync failed; the log takes no more until it is opened again");
            return Err(StateError::Io { place: self.place(), error });
        }
        let outcome = work(self);
        self.failed = !matches!(outcome, Ok(_) | Err(StateError::Full { .. }));
        outcome
    }

    fn place(&self) -> String {
        format!("{}/{}", self.disk.place(), self.tail.name)
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("next", &self.next).field("tail", &self.tail).finish_non_exhaustive()
    }
}

/// What is no matter of room, whatever the system says: it ends the log.
fn broken(place: impl Into<String>, error: io::Error) -> StateError {
    StateError::Io { place: place.into(), error }
}
