//! The entries of the log that the state does not have durably yet, in memory.
//!
//! Owned by the master thread. Always: entries are dense from the one behind the cut on; what is at or below the cut is
//! in the durable state and is never replaced.

use super::record::{HardState, LogEntry};
use std::collections::VecDeque;

/// A place in the log of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// Its index; 0: before the first entry.
    pub index: u64,
    /// The term of the entry there.
    pub term: u64,
}

/// The entries behind the cut, and the hard state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    cut: Applied,
    entries: VecDeque<LogEntry>,
    bytes: u64,
    hard: HardState,
}

impl Content {
    /// Nothing behind the cut.
    #[must_use]
    pub fn new(cut: Applied) -> Self {
        Self { cut, entries: VecDeque::new(), bytes: 0, hard: HardState::default() }
    }

    /// The last entry that is not here any more.
    #[must_use]
    pub fn cut_at(&self) -> Applied {
        self.cut
    }

    /// The last entry; the cut if there is none behind it.
    #[must_use]
    pub fn last(&self) -> Applied {
        self.entries.back().map_or(self.cut, |entry| Applied { index: entry.index, term: entry.term })
    }

    /// The hard state.
    #[must_use]
    pub fn hard(&self) -> HardState {
        self.hard
    }

    /// Bytes of the entries' data.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// An entry.
    #[must_use]
    pub fn entry(&self, index: u64) -> Option<&LogEntry> {
        let offset = index.checked_sub(self.cut.index)?.checked_sub(1)?;
        self.entries.get(usize::try_from(offset).ok()?)
    }

    /// The term of an entry, or of the cut.
    #[must_use]
    pub fn term(&self, index: u64) -> Option<u64> {
        if index == self.cut.index { Some(self.cut.term) } else { self.entry(index).map(|entry| entry.term) }
    }

    /// The entries in `from..to`, as far as they are here.
    pub fn entries(&self, from: u64, to: u64) -> impl Iterator<Item = &LogEntry> {
        (from..to).map_while(|index| self.entry(index))
    }

    /// Takes a hard state.
    pub fn set_hard(&mut self, hard: HardState) {
        self.hard = hard;
    }

    /// Takes entries; those from the first of them on are replaced. What the state has already is passed over.
    pub fn replace_from(&mut self, entries: impl IntoIterator<Item = LogEntry>) {
        let mut entries = entries.into_iter().peekable();
        let Some(first) = entries.peek() else { return };
        let first = first.index;
        while self.entries.back().is_some_and(|last| last.index >= first) {
            let gone = self.entries.pop_back();
            self.bytes -= gone.map_or(0, |entry| entry.data.len() as u64);
        }
        for entry in entries.filter(|entry| entry.index > self.cut.index) {
            self.bytes += entry.data.len() as u64;
            self.entries.push_back(entry);
        }
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    /// Forgets what is at or below the cut, which only goes forward.
    pub fn cut(&mut self, cut: Applied) {
        while self.entries.front().is_some_and(|first| first.index <= cut.index) {
            let gone = self.entries.pop_front();
            self.bytes -= gone.map_or(0, |entry| entry.data.len() as u64);
        }
        if cut.index > self.cut.index {
            self.cut = cut;
        }
    }
}
