//! A small log in memory, and a simple model of what it must hold.

use crate::disk::{Disk, MemoryDisk, Open};
use crate::master::StateError;
use crate::master::log::{Applied, EntryKind, HardState, Log, LogEntry, LogOptions, LogReport, Record};
use bytes::Bytes;
use std::io::IoSlice;
use std::sync::Arc;

pub const OWNER: u128 = 77;

pub fn small() -> LogOptions {
    LogOptions { segment_bytes: 16 << 10, fill_ahead_bytes: 4096, restored: false }
}

pub fn at(index: u64, term: u64) -> Applied {
    Applied { index, term }
}

pub fn try_open(disk: &MemoryDisk, applied: Applied) -> Result<(Log, LogReport), StateError> {
    Log::open(Arc::new(disk.clone()), OWNER, applied, &small())
}

pub fn open(disk: &MemoryDisk, applied: Applied) -> (Log, LogReport) {
    try_open(disk, applied).unwrap_or_else(|error| panic!("the log does not open: {error}"))
}

/// The place and the text of damage.
pub fn damage(disk: &MemoryDisk, applied: Applied) -> String {
    match try_open(disk, applied) {
        Err(StateError::Damaged { place, what }) => format!("{place}: {what}"),
        other => panic!("no damage: {:?}", other.map(|(_, report)| report)),
    }
}

pub fn entry(index: u64, term: u64, bytes: usize) -> LogEntry {
    let data: Vec<u8> = (0..bytes).map(|n| (index * 31 + term * 7 + n as u64) as u8).collect();
    LogEntry { index, term, kind: EntryKind::Normal, data: data.into() }
}

/// A record with entries `from..=to` of a term, all before committed.
pub fn record(from: u64, to: u64, term: u64, bytes: usize) -> Record {
    let entries = (from..=to).map(|index| entry(index, term, bytes)).collect();
    Record { hard: HardState { term, vote: 1, commit: from - 1 }, entries }
}

pub fn all(log: &Log) -> Vec<LogEntry> {
    log.entries(log.cut_at().index + 1, log.last().index + 1).cloned().collect()
}

pub fn names(disk: &MemoryDisk) -> Vec<String> {
    let mut names: Vec<_> = disk.list().unwrap().into_iter().map(|entry| entry.name).collect();
    names.sort();
    names
}

pub fn content(disk: &MemoryDisk, name: &str) -> Vec<u8> {
    let file = disk.open(name, Open::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    let read = file.read_at(&mut bytes, 0).unwrap();
    assert_eq!(read, bytes.len());
    bytes
}

pub fn write(disk: &MemoryDisk, name: &str, position: usize, bytes: &[u8]) {
    let how = if names(disk).iter().any(|known| known == name) { Open::Write } else { Open::Create };
    let file = disk.open(name, how).unwrap();
    file.write_all_at(&mut [IoSlice::new(bytes)], position as u64).unwrap();
    file.sync_all().unwrap();
    disk.sync_directory().unwrap();
}

pub fn flip(disk: &MemoryDisk, name: &str, position: usize) {
    let byte = content(disk, name)[position];
    write(disk, name, position, &[byte ^ 4]);
}

/// Where the frames of a segment lie.
pub fn frames(disk: &MemoryDisk, name: &str) -> Vec<usize> {
    let bytes = content(disk, name);
    (0..bytes.len()).step_by(512).filter(|&at| bytes[at..].starts_with(b"LARDGRUP")).collect()
}

/// What a log must hold: all entries there ever were, by index, and the hard state.
#[derive(Debug, Clone, Default)]
pub struct Model {
    pub entries: Vec<LogEntry>,
    pub hard: HardState,
    /// How far the state reaches.
    pub applied: Applied,
}

impl Model {
    pub fn last(&self) -> u64 {
        self.entries.len() as u64
    }

    pub fn take(&mut self, record: &Record) {
        self.hard = record.hard;
        if let Some(first) = record.entries.first() {
            self.entries.truncate(first.index as usize - 1);
            self.entries.extend(record.entries.iter().cloned());
        }
    }

    pub fn term(&self, index: u64) -> u64 {
        if index == 0 { 0 } else { self.entries[index as usize - 1].term }
    }

    /// The entries that the log must give.
    pub fn kept(&self) -> Vec<LogEntry> {
        self.entries[self.applied.index as usize..].to_vec()
    }

    /// A hard state as a start gives it.
    pub fn hard_at_start(&self) -> HardState {
        HardState { commit: self.hard.commit.max(self.applied.index), ..self.hard }
    }

    pub fn assert_is(&self, log: &Log) {
        assert_eq!(all(log), self.kept());
        assert_eq!(log.hard(), self.hard_at_start());
        assert_eq!(log.last().index, self.last());
        assert_eq!(log.term(self.applied.index), Some(self.term(self.applied.index)));
    }
}

/// Chance, from a seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// A record that may follow: new entries, now and then none, or a suffix replaced in a higher term.
    pub fn record(&mut self, model: &Model) -> Record {
        let last = model.last();
        let kind = self.below(10);
        let mut hard = model.hard;
        hard.commit = hard.commit.max(model.applied.index);
        hard.commit += self.below(last - hard.commit + 1);
        let first = if kind == 0 { hard.commit + 1 + self.below(last - hard.commit + 1) } else { last + 1 };
        if kind <= 1 || hard.term == 0 {
            (hard.term, hard.vote) = (hard.term + 1, 1 + self.below(3));
        }
        let count = if kind == 2 { 0 } else { 1 + self.below(4) };
        let sizes = [0, 9, 100, 700, 3000];
        let mut one = |index| {
            let mut entry = entry(index, hard.term, sizes[self.below(5) as usize]);
            if self.once_in(40) {
                entry.kind = EntryKind::ConfChange;
            }
            if self.once_in(200) {
                entry.data = Bytes::from(vec![index as u8; 30_000]);
            }
            entry
        };
        let entries = (first..first + count).map(&mut one).collect();
        Record { hard, entries }
    }
}
