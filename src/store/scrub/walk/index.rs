//! What the index has and the file has not, and how findings are told.

use super::super::finding::{Finding, Kind};
use super::super::reader::Reader;
use super::Walk;
use crate::base::ids::Sequence;
use crate::base::planted::{self, Bug};
use crate::store::needle::HEAD_BYTES_FIXED;
use crate::store::slots::Slot;
use std::ops::Range;

impl Walk {
    /// The next needle that the index has and that was not met.
    pub(super) fn peek(&mut self) -> Option<(Sequence, Slot)> {
        let entry = self.segment.entries(self.due).next();
        if let Some((sequence, _)) = entry {
            self.due = sequence;
        }
        entry
    }

    /// The index's entry of a sequence.
    pub(super) fn entry(&self, sequence: Sequence) -> Option<Slot> {
        self.segment.entries(sequence).next().filter(|(found, _)| *found == sequence).map(|(_, slot)| slot)
    }

    /// Passes over needles of the index that lie before `position`: those that are not marked are findings. Returns
    /// whether there were any, all of them marked.
    pub(super) fn pass_to(&mut self, position: u64, reader: &Reader) -> bool {
        if planted::on(Bug::ScrubSkipsIndex) {
            return false;
        }
        self.pass(position, "no needle lies where the index has one", reader)
    }

    pub(super) fn pass(&mut self, position: u64, what: &str, reader: &Reader) -> bool {
        let (mut any, mut all_marked) = (false, true);
        while let Some((sequence, slot)) = self.peek().filter(|(_, slot)| slot.position() < position) {
            self.due = Sequence(sequence.0.saturating_add(1));
            any = true;
            all_marked &= slot.is_damaged();
            let place = slot.position()..slot.position().saturating_add(HEAD_BYTES_FIXED as u64);
            if slot.is_damaged() || !reader.is_unreadable(&place) {
                self.missed(sequence, slot, what);
            }
        }
        any && all_marked
    }

    pub(super) fn pass_all(&mut self, what: &str) {
        if planted::on(Bug::ScrubSkipsIndex) {
            return;
        }
        let past = self.past;
        while let Some((sequence, slot)) = self.peek().filter(|(sequence, _)| *sequence < past) {
            self.due = sequence.plus(1);
            self.missed(sequence, slot, what);
        }
    }

    /// A needle of the index that is not on the disk; neighbours at one place are one finding.
    pub(super) fn missed(&mut self, sequence: Sequence, slot: Slot, what: &str) {
        let kind = if slot.is_damaged() { Kind::Known } else { Kind::Needle };
        if let Some(last) = self.findings.last_mut()
            && (last.kind, last.offset) == (kind, slot.position())
            && last.sequence.is_some_and(|first| first.saturating_add(last.count) == sequence.0)
        {
            last.count += 1;
            return;
        }
        self.find(kind, slot.position(), Some((sequence, 1)), what.to_string());
    }

    /// A finding that is no needle; what cannot be read is told as such.
    pub(super) fn place(&mut self, offset: u64, bytes: u64, what: &str, reader: &Reader) {
        if !reader.is_unreadable(&(offset..offset.saturating_add(bytes))) {
            self.find(Kind::Place, offset, None, what.to_string());
        }
    }

    pub(super) fn unreadable(&mut self, place: &Range<u64>, error: &str) {
        let from = place.start.max(self.unreadable_to);
        if from < place.end {
            self.unreadable_to = place.end;
            let what = format!("{} bytes cannot be read: {error}", place.end - from);
            self.find(Kind::Unreadable, from, None, what);
        }
    }

    pub(super) fn find(&mut self, kind: Kind, offset: u64, needles: Option<(Sequence, u64)>, what: String) {
        self.findings.push(Finding {
            kind,
            file: self.segment.name().to_string(),
            offset,
            volume: Some(self.segment.volume().0),
            sequence: needles.map(|(first, _)| first.0),
            count: needles.map_or(0, |(_, count)| count),
            what,
        });
    }
}
