//! Forgets what the state has durably: entries in memory, then whole segments.
//!
//! Owned by the master thread. Always: a segment goes only if a later one says that all entries before it are in the
//! state, and the later ones hold a record, and so the hard state. An unlink that a power cut undoes is done again by the
//! next start.

use super::content::Applied;
use super::{Log, Segment, StateError, broken, names};
use crate::disk::Disk;
use crate::journal::failed_sync;
use std::collections::VecDeque;
use std::io;

impl Log {
    /// The state has all entries up to this one durably: they are not kept here any longer.
    ///
    /// # Errors
    /// Those of removing files; the log then takes nothing more.
    ///
    /// # Panics
    /// If the log does not reach so far, or has another term there.
    pub fn cut(&mut self, durable: Applied) -> Result<(), StateError> {
        if durable.index <= self.content.cut_at().index {
            return Ok(());
        }
        assert_eq!(self.content.term(durable.index), Some(durable.term), "the state has what the log has");
        self.content.cut(durable);
        self.guarded(|log| remove_below(&*log.disk, &mut log.segments, durable.index).map(drop))
    }
}

/// Removes the segments that hold nothing above `index`, oldest first; their names.
pub(super) fn remove_below(
    disk: &dyn Disk,
    segments: &mut VecDeque<Segment>,
    index: u64,
) -> Result<Vec<String>, StateError> {
    let mut removed = Vec::new();
    for _ in 0..useless(segments, index) {
        let Some(segment) = segments.pop_front() else { break };
        let name = names::segment(segment.first);
        match disk.remove(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(broken(format!("{}/{name}", disk.place()), error));
            }
            _ => removed.push(name),
        }
    }
    if !removed.is_empty() {
        disk.sync_directory().map_err(|error| broken(disk.place(), failed_sync(error)))?;
    }
    Ok(removed)
}

/// How many of the oldest segments hold nothing above `index`.
fn useless(segments: &VecDeque<Segment>, index: u64) -> usize {
    let mut records = 0;
    for (at, segment) in segments.iter().enumerate().rev() {
        records += segment.records;
        if records > 0 && segment.before.is_some_and(|before| before.index <= index) {
            return at;
        }
    }
    0
}
