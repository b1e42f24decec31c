//! The log as the consensus core reads it: from memory.
//!
//! Owned by the master thread. Always: the first index is the one behind the last entry that was cut, whose term is still
//! known; nothing here waits.

use crate::master::log::{EntryKind, HardState, Log, LogEntry};
use raft::eraftpb::{self, EntryType, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

/// The only voter for now: a change of the voters will be a command of its own.
pub const VOTER: u64 = 1;

/// The log of one voter.
#[derive(Debug)]
pub struct LogStorage {
    pub log: Log,
}

impl Storage for LogStorage {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let HardState { term, vote, commit } = self.log.hard();
        let mut hard = eraftpb::HardState::default();
        (hard.term, hard.vote, hard.commit) = (term, vote, commit);
        Ok(RaftState::new(hard, (vec![VOTER], vec![]).into()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<eraftpb::Entry>> {
        if low < self.first_index()? {
            return Err(StorageError::Compacted.into());
        }
        if high > self.last_index()?.saturating_add(1) {
            return Err(StorageError::Unavailable.into());
        }
        let mut entries: Vec<_> = self.log.entries(low, high).map(to_raft).collect();
        raft::util::limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        let missing =
            || if index < self.log.cut_at().index { StorageError::Compacted } else { StorageError::Unavailable };
        Ok(self.log.term(index).ok_or_else(missing)?)
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.log.cut_at().index.saturating_add(1))
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.log.last().index)
    }

    fn snapshot(&self, _request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        // Only another voter would ask for one.
        Err(StorageError::SnapshotTemporarilyUnavailable.into())
    }
}

fn to_raft(entry: &LogEntry) -> eraftpb::Entry {
    let mut to = eraftpb::Entry::default();
    (to.index, to.term, to.data) = (entry.index, entry.term, entry.data.clone());
    to.entry_type = match entry.kind {
        EntryKind::Normal => EntryType::EntryNormal,
        EntryKind::ConfChange => EntryType::EntryConfChangeV2,
    };
    to
}

/// An entry as the log keeps it.
pub fn from_raft(entry: eraftpb::Entry) -> LogEntry {
    let kind = match entry.entry_type {
        EntryType::EntryNormal => EntryKind::Normal,
        EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => EntryKind::ConfChange,
    };
    LogEntry { index: entry.index, term: entry.term, kind, data: entry.data }
}
