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
//! | V | bad bytes between two neighbours, or zeros to the end | any, or no | nothing is missing: it was cut here before, or never came |
//!
//! Always: no sequence below a mark is cut; planning the outcome of a plan again finds nothing to cut and no new damage.

use super::scan::Sight;
use crate::base::ids::Sequence;
use std::ops::Range;

/// What is known from outside the segment: everything below this sequence was synced here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// The highest of the mark file's and the manifest's marks.
    pub synced: Sequence,
    /// The manifest closed the segment: nothing will be appended to it, nothing in it may be cut.
    pub closed: bool,
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
    /// Nothing is missing.
    V,
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
    for run in &sight.runs {
        let proven = run.mark_behind.max(proof.synced);
        match run.next {
            Some(next) if next == run.first => plan.cases.push(Case::V),
            _ if run.first >= proven && !proof.closed => {
                let nothing_left = sight.used <= run.position;
                plan.cases.push(if nothing_left { Case::V } else { Case::B });
                plan.cut = (!nothing_left).then_some(run.position);
                (plan.next, plan.end, plan.chain) = (run.first, run.end, run.chain);
                return plan;
            }
            Some(next) => {
                plan.cases.push(Case::C);
                plan.damaged.push((run.first.0..next.0, run.position));
            }
            None => {
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
