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
