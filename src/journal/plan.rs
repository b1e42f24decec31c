//! What recovery will do with a segment, decided from what the walk saw and before anything is changed.
//!
//! Pure. A place that does not verify was durable if a later whole frame, the mark file or the manifest says that
//! everything below a higher sequence was synced: that is corruption, and its bytes stay. Otherwise nothing there was
//! ever acknowledged as synced: that is a torn tail.
//!
//! | case | what the tail looks like | a mark above it | what happens |
//! |---|---|---|---|
//! | A | whole records, then zeros or nothing | reached | the log goes on here |
//! | B | bad bytes, something whole may follow | no | copied aside and cut, with all that follows |
//! | C | bad bytes, something whole follows | yes | marked damaged, kept, the log goes on behind |
//! | D | bad bytes, nothing whole follows | yes, outside | marked damaged up to the mark, kept, the segment is closed |
//! | E | whole records, then zeros or nothing | above the last record | the missing ones are marked damaged, the segment is closed |
//! | U | as B or D, but the bytes could not all be read, or nothing says whose they are | any, or no | kept, marked damaged as far as records may reach, the segment is closed |
//! | V | bad bytes between two neighbours, or zeros to the end | any, or no | nothing is missing: it was cut here before, or never came |
//! | X | bytes behind the end of a closed segment | any | kept, not believed |
//!
//! X comes with another row. The rows for whole files are in `store::directory_plan`.
//! Always: no sequence below a mark is cut; planning the outcome of a plan again finds nothing to cut and no new damage.

use super::scan::Sight;
use crate::base::ids::Sequence;
use crate::base::planted::{self, Bug};
use std::ops::Range;

/// What is known from outside the segment: everything below this sequence was synced here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// The highest of the mark file's and the manifest's marks.
    pub synced: Sequence,
    /// The manifest closed the segment: nothing will be appended to it, nothing in it may be cut.
    pub closed: bool,
    /// A torn tail may not be cut, for not all of it could be read or nothing says whose it is. The number is the
    /// fewest bytes that a record takes: so many may lie in it.
    pub keep: Option<u64>,
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Case {
    /// A clean end.
    A,
    /// A torn tail.
    B,
    /// Damage inside.
    C,
    /// Damage at the end.
    D,
    /// Durable records are missing at the end.
    E,
    /// What may be a torn tail, kept.
    U,
    /// Nothing is missing.
    V,
    /// Bytes behind the end.
    X,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The rows that applied, in the order of their places.
    pub cases: Vec<Case>,
    /// Copy aside and cut everything from this position on.
    pub cut: Option<u64>,
    /// Mark these as damaged; the position is where they were looked for.
    pub damaged: Vec<(Range<u64>, u64)>,
    /// The next sequence of the volume.
    pub next: Sequence,
    /// The byte behind what counts.
    pub end: u64,
    /// The chain digest there.
    pub chain: u128,
    /// Close the segment: nothing may be written behind damage that has no end.
    pub close: bool,
}

/// Decides what to do with a segment.
#[must_use]
pub fn plan(sight: &Sight, proof: &Proof) -> Plan {
    let mut plan = Plan {
        cases: Vec::new(),
        cut: None,
        damaged: Vec::new(),
        next: sight.next,
        end: sight.end,
        chain: sight.chain,
        close: proof.closed,
    };
    if sight.behind.is_some() {
        plan.cases.push(Case::X);
    }
    for run in &sight.runs {
        let proven = run.mark_behind.max(proof.synced);
        let unproven = (run.first >= proven && !proof.closed) || planted::on(Bug::CutAtFirstBadNeedle);
        let nothing_left = sight.used <= run.position;
        match (run.next, proof.keep.filter(|_| !proof.closed && !nothing_left)) {
            (Some(next), _) if next == run.first => plan.cases.push(Case::V),
            (next, Some(record_bytes)) if unproven || next.is_none() => {
                // Any of the records that fit there may have been acknowledged, so none of them is absent.
                let most = (sight.used - run.position) / record_bytes.max(1) + 1;
                let past = Sequence(run.first.0.saturating_add(most)).max(sight.next).max(proven);
                plan.cases.push(Case::U);
                plan.damaged.push((run.first.0..past.0, run.position));
                (plan.next, plan.end, plan.chain, plan.close) = (past, sight.used, run.chain, true);
                return plan;
            }
            _ if unproven => {
                plan.cases.push(if nothing_left { Case::V } else { Case::B });
                plan.cut = (!nothing_left).then_some(run.position);
                (plan.next, plan.end, plan.chain) = (run.first, run.end, run.chain);
                return plan;
            }
            (Some(next), _) => {
                plan.cases.push(Case::C);
                plan.damaged.push((run.first.0..next.0, run.position));
            }
            (None, _) => {
                plan.cases.push(Case::D);
                plan.damaged.push((run.first.0..proven.0.max(run.first.0), run.position));
                plan.next = proven.max(sight.next);
                plan.end = sight.used;
                plan.close = true;
                return plan;
            }
        }
    }
    if sight.next < proof.synced {
        plan.cases.push(Case::E);
        plan.damaged.push((sight.next.0..proof.synced.0, sight.end));
        plan.next = proof.synced;
        plan.close = true;
    } else {
        plan.cases.push(Case::A);
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::Epoch;
    use crate::journal::BadRun;

    fn sight(runs: &[(u64, Option<u64>, u64)], next: u64, used: u64) -> Sight {
        let run = |&(first, next, mark): &(u64, Option<u64>, u64)| BadRun {
            position: 1000 + first * 8,
            end: 1000 + first * 8,
            first: Sequence(first),
            chain: u128::from(first),
            next: next.map(Sequence),
            mark_behind: Sequence(mark),
        };
        Sight {
            groups: 1,
            next: Sequence(next),
            end: 1000 + next * 8,
            used,
            chain: 99,
            epoch: Epoch(1),
            mark: Sequence(0),
            runs: runs.iter().map(run).collect(),
            chain_breaks: Vec::new(),
            stray: Vec::new(),
            behind: None,
        }
    }

    fn of(runs: &[(u64, Option<u64>, u64)], next: u64, synced: u64, closed: bool) -> Plan {
        plan(&sight(runs, next, 9000), &Proof { synced: Sequence(synced), closed, keep: None })
    }

    #[test]
    fn each_row_of_the_table() {
        // Whole to the end, and the mark is reached.
        let clean = of(&[], 7, 7, false);
        assert_eq!((clean.cases, clean.cut, clean.damaged.len(), clean.close), (vec![Case::A], None, 0, false));
        // Bad at 5, more follows, nothing proves it: all from there on goes, the whole part behind it too.
        let torn = of(&[(5, Some(6), 5)], 9, 5, false);
        assert_eq!((torn.cases, torn.cut, torn.next.0, torn.chain), (vec![Case::B], Some(1040), 5, 5));
        // The same, but a later frame says that 5 was synced.
        let inside = of(&[(5, Some(6), 6)], 9, 0, false);
        assert_eq!((inside.cases, inside.cut, inside.next.0), (vec![Case::C, Case::A], None, 9));
        assert_eq!(inside.damaged, [(5..6, 1040)]);
        // Bad at the end; the mark file says that 5 and 6 were synced.
        let end = of(&[(5, None, 0)], 5, 7, false);
        assert_eq!((end.cases, end.cut, end.next.0, end.close), (vec![Case::D], None, 7, true));
        assert_eq!(end.damaged, [(5..7, 1040)]);
        // Nothing bad, but less than the mark says.
        let less = of(&[], 5, 7, false);
        assert_eq!((less.cases, less.cut, less.next.0, less.close), (vec![Case::E], None, 7, true));
        assert_eq!(less.damaged, [(5..7, 1040)]);
        // A cut of before: the neighbours touch.
        let void = of(&[(5, Some(5), 0)], 9, 0, false);
        assert_eq!((void.cases, void.cut, void.damaged.len()), (vec![Case::V, Case::A], None, 0));
        // As the second, but the device would not give all of it: 7960 bytes hold at most 80 records of 100.
        let proof = Proof { synced: Sequence(5), closed: false, keep: Some(100) };
        let unread = plan(&sight(&[(5, Some(6), 5)], 9, 9000), &proof);
        assert_eq!((unread.cases, unread.cut, unread.next.0, unread.close), (vec![Case::U], None, 85, true));
        assert_eq!(unread.damaged, [(5..85, 1040)]);
        // What it left is not cut, and is no new damage, when the manifest has closed it.
        let again = of(&[(5, Some(6), 5)], 9, 85, true);
        assert_eq!((again.cases, again.cut, again.next.0), (vec![Case::C, Case::E], None, 85));
        assert_eq!(again.damaged, [(5..6, 1040), (9..85, 1072)]);
        // Bytes behind the end of a closed one.
        let extended = Sight { behind: Some(9100), ..sight(&[], 7, 9000) };
        let behind = plan(&extended, &Proof { synced: Sequence(7), closed: true, keep: None });
        assert_eq!((behind.cases, behind.cut, behind.end), (vec![Case::X, Case::A], None, 1056));
    }

    #[test]
    fn nothing_below_a_mark_is_ever_cut() {
        for first in 0..6 {
            for next in [None, Some(first), Some(first + 1), Some(first + 2)] {
                for mark in 0..8 {
                    for synced in 0..8 {
                        for closed in [false, true] {
                            let seen = next.unwrap_or(first);
                            let plan = of(&[(first, next, mark)], seen, synced, closed);
                            if plan.cut.is_some() {
                                assert!(!closed && plan.next.0 >= synced.max(mark), "{plan:?}");
                            }
                            assert!(
                                plan.next.0 >= synced.max(if next.is_none() { mark } else { 0 }) || plan.cut.is_none()
                            );
                            let lost: u64 = plan.damaged.iter().map(|(range, _)| range.end - range.start).sum();
                            assert!(plan.damaged.iter().all(|(range, _)| range.start >= first) && lost <= 10);
                        }
                    }
                }
            }
        }
    }
}
