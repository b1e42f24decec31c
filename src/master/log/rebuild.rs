//! What the records of the log come to, also where some of them do not verify.
//!
//! Pure; fed by recovery, record after record, in order. Always: entries that the durable state lacks are given back only
//! if every record that said something about them was whole; else it is an error, and nothing is guessed.

use super::content::{Applied, Content};
use super::record::Record;
use crate::base::ids::Sequence;

/// What the mark file says that matters here.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Everything below was durable.
    pub mark: Sequence,
    /// The last entry below it.
    pub last: Applied,
    /// The hard state below it.
    pub hard: super::HardState,
}

/// A place whose records are not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Where.
    pub place: String,
    /// What is wrong there.
    pub what: String,
    /// The sequence behind what was lost there.
    pub past: Sequence,
}

/// What cannot be put right: the place, and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beyond(pub String, pub String);

/// The log of entries as it comes out of its records.
#[derive(Debug)]
pub struct Rebuild {
    applied: Applied,
    content: Content,
    /// What was lost and may hold entries that the state lacks: not decided yet.
    gap: Option<Gap>,
    /// The term that the log has where the state ends.
    term_there: Option<u64>,
    /// The last index that a record gave, also below the state.
    last_seen: u64,
}

impl Rebuild {
    /// Nothing yet; the durable state ends at `applied`.
    #[must_use]
    pub fn new(applied: Applied) -> Self {
        Self { applied, content: Content::new(applied), gap: None, term_there: None, last_seen: 0 }
    }

    /// A segment begins whose header says what the last entry before it was.
    pub fn begin(&mut self, before: Applied) {
        if before.index <= self.applied.index && self.gap.take().is_some() {
            // Whatever was lost, nothing of it was behind the state when this segment was begun.
            self.content.clear();
        }
    }

    /// Here something is lost.
    pub fn lose(&mut self, lost: Gap) {
        let past = self.gap.as_ref().map_or(lost.past, |gap| gap.past.max(lost.past));
        // The first place is the one that people should look at.
        let first = self.gap.take().unwrap_or(lost);
        self.gap = Some(Gap { past, ..first });
    }

    /// Takes the next whole record, which lies at `place`.
    ///
    /// # Errors
    /// [`Beyond`].
    pub fn take(&mut self, record: Record, place: &str) -> Result<(), Beyond> {
        let before = self.content.hard();
        if record.hard.term < before.term || record.hard.commit < before.commit {
            return Err(Beyond(
                place.to_owned(),
                "its hard state is older than that of the records before it".to_owned(),
            ));
        }
        self.content.set_hard(record.hard);
        let (Some(first), Some(last)) = (record.entries.first(), record.entries.last()) else {
            return Ok(());
        };
        let (first, last) = (first.index, last.index);
        if first > self.applied.index.saturating_add(1) {
            if let Some(gap) = &self.gap {
                return Err(gap.beyond());
            }
            if first > self.content.last().index.saturating_add(1) {
                return Err(Beyond(place.to_owned(), "entries before its first one are missing".to_owned()));
            }
        } else {
            self.gap = None;
        }
        if first <= self.applied.index {
            let there = record.entries.iter().find(|entry| entry.index == self.applied.index);
            self.term_there = there.map(|entry| entry.term);
        }
        self.content.replace_from(record.entries);
        self.last_seen = last;
        Ok(())
    }

    /// The end of the log.
    ///
    /// # Errors
    /// [`Beyond`].
    pub fn finish(mut self, known: Option<&Known>) -> Result<Content, Beyond> {
        if let Some(gap) = &self.gap {
            // Behind the gap no record gave entries, so the mark knows the last of them, if it is not older than the gap.
            let known = known.filter(|known| known.mark >= gap.past && known.last.index <= self.applied.index);
            let Some(known) = known else { return Err(gap.beyond()) };
            self.content.clear();
            let (hard, held) = (known.hard, self.content.hard());
            self.content.set_hard(if held.term >= hard.term && held.commit >= hard.commit { held } else { hard });
        }
        if self.term_there.is_some_and(|term| term != self.applied.term) {
            let Applied { index, term } = self.applied;
            let what = format!("the state ends at entry {index} of term {term}, which has another term in the log");
            return Err(Beyond("the log and the state".to_owned(), what));
        }
        let mut hard = self.content.hard();
        if hard.commit > self.content.last().index {
            let what = format!("entry {} is committed and is not there", hard.commit);
            return Err(Beyond("the log".to_owned(), what));
        }
        // What is in the state was committed, and in a term that was seen.
        hard.commit = hard.commit.max(self.applied.index);
        if hard.term < self.applied.term {
            (hard.term, hard.vote) = (self.applied.term, 0);
        }
        self.content.set_hard(hard);
        Ok(self.content)
    }

    /// The last entry as the log stands now, for what is said of it.
    #[must_use]
    pub fn last_seen(&self) -> u64 {
        self.last_seen
    }
}

impl Gap {
    fn beyond(&self) -> Beyond {
        Beyond(self.place.clone(), format!("{}, and they may hold changes that the state does not have", self.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::log::{EntryKind, HardState, LogEntry};
    use bytes::Bytes;

    fn at(index: u64, term: u64) -> Applied {
        Applied { index, term }
    }

    fn record(term: u64, commit: u64, indexes: std::ops::Range<u64>) -> Record {
        let entry = |index| LogEntry { index, term, kind: EntryKind::Normal, data: Bytes::new() };
        Record { hard: HardState { term, vote: 1, commit }, entries: indexes.map(entry).collect() }
    }

    fn gap(past: u64) -> Gap {
        Gap { place: format!("below {past}"), what: "lost".to_owned(), past: Sequence(past) }
    }

    fn last(content: Result<Content, Beyond>) -> Result<u64, String> {
        content.map(|content| content.last().index).map_err(|Beyond(place, _)| place)
    }

    #[test]
    fn what_is_lost_matters_only_behind_the_state() {
        /// Applied; the first entry behind the loss; the header behind it; the mark; what comes of it.
        type Row = (u64, Option<u64>, Option<u64>, Option<Known>, Result<u64, &'static str>);
        let known = |mark, index| Known { mark: Sequence(mark), last: at(index, 1), hard: HardState::default() };
        let cases: [Row; 9] = [
            (5, Some(6), None, None, Ok(8)),
            (5, Some(4), None, None, Ok(6)),
            (5, Some(7), None, None, Err("below 9")),
            (5, None, None, None, Err("below 9")),
            (5, None, Some(5), None, Ok(5)),
            (5, None, Some(6), None, Err("below 9")),
            (5, None, None, Some(known(9, 5)), Ok(5)),
            (5, None, None, Some(known(9, 6)), Err("below 9")),
            // The mark is older than what was lost.
            (5, None, None, Some(known(8, 5)), Err("below 9")),
        ];
        for (number, (applied, first, header, known, expected)) in cases.into_iter().enumerate() {
            let mut rebuild = Rebuild::new(at(applied, 1));
            rebuild.take(record(1, 3, 1..5), "before").unwrap();
            rebuild.lose(gap(9));
            if let Some(index) = header {
                rebuild.begin(at(index, 1));
            }
            rebuild.take(record(1, 4, 0..0), "a hard state").unwrap();
            let taken = first.map_or(Ok(()), |first| rebuild.take(record(1, 4, first..first + 3), "behind"));
            let outcome = taken.map_err(|Beyond(place, _)| place).and_then(|()| last(rebuild.finish(known.as_ref())));
            assert_eq!(outcome, expected.map_err(str::to_owned), "case {number}");
        }
    }

    #[test]
    fn the_first_of_two_losses_is_named_and_both_count() {
        let mut rebuild = Rebuild::new(at(5, 1));
        rebuild.lose(gap(3));
        rebuild.lose(gap(9));
        let known = Known { mark: Sequence(8), last: at(5, 1), hard: HardState::default() };
        assert_eq!(last(rebuild.finish(Some(&known))), Err("below 3".to_owned()));
    }

    #[test]
    fn contradictions_are_no_log() {
        let take = |records: &[Record]| {
            let mut rebuild = Rebuild::new(at(2, 1));
            records.iter().try_for_each(|one| rebuild.take(one.clone(), "here"))?;
            rebuild.finish(None)
        };
        assert!(take(&[record(1, 0, 1..4), record(1, 2, 4..6)]).is_ok());
        assert!(take(&[record(2, 0, 1..4), record(1, 0, 4..6)]).is_err(), "an older term");
        assert!(take(&[record(1, 2, 1..4), record(1, 1, 4..6)]).is_err(), "an older commit index");
        assert!(take(&[record(1, 0, 1..4), record(1, 0, 5..6)]).is_err(), "entries are missing");
        assert!(take(&[record(1, 9, 1..4)]).is_err(), "what is committed is missing");
        assert!(take(&[record(3, 0, 1..4)]).is_err(), "another term than in the state");
        // What another leader replaced is no contradiction.
        assert!(take(&[record(0, 0, 1..4), record(1, 0, 2..4)]).is_ok());
    }
}
