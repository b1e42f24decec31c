//! Takes answers of one connection: compares contents, counts, frees slots.
//!
//! A worker's thread.

use super::connection::Open;
use super::tally::{BUSY, MISSING, RACED, Tallies, nanoseconds};
use crate::driver::{Reply, Sink, Slot};
use crate::workload::{Verb, Verdict, Workload, payload};
use std::time::Duration;

pub(super) struct Taking<'a> {
    pub(super) now: Duration,
    pub(super) open: &'a mut [Option<Open>],
    pub(super) free: &'a mut Vec<Slot>,
    pub(super) tallies: &'a mut Tallies,
    pub(super) workload: &'a mut Workload,
    /// Requests that ended.
    pub(super) ended: usize,
    /// Those of them that were answered as asked.
    pub(super) good: usize,
    /// The first answer that cannot be right.
    pub(super) fault: Option<String>,
}

impl Sink for Taking<'_> {
    fn content(&mut self, slot: Slot, bytes: &[u8]) {
        let Some(open) = self.open.get_mut(slot.0 as usize).and_then(Option::as_mut) else {
            return;
        };
        if open.is_compared && !open.is_wrong {
            let at = open.step.range.map_or(0, |(start, _)| start) + open.came;
            open.is_wrong = open.came + bytes.len() as u64 > open.step.expected_bytes()
                || !payload::matches(open.step.object.key, at, bytes);
        }
        open.came += bytes.len() as u64;
    }

    fn done(&mut self, slot: Slot, reply: Reply) {
        let Some(open) = self.open.get_mut(slot.0 as usize).and_then(Option::take) else {
            return;
        };
        self.free.push(slot);
        self.ended += 1;
        self.count(&open, reply);
    }
}

impl Taking<'_> {
    fn count(&mut self, open: &Open, reply: Reply) {
        let tally = self.tallies.of(open.step.verb);
        let service = nanoseconds(self.now.saturating_sub(open.sent));
        let verdict = self.workload.done(&open.step, reply);
        let refused = match reply {
            Reply::Ok { .. } => None,
            Reply::Busy => Some(BUSY),
            Reply::Missing if verdict == Verdict::Raced => Some(RACED),
            Reply::Missing => Some(MISSING),
            Reply::Refused(name) => Some(name),
        };
        if let Some(name) = refused {
            *tally.refused.entry(name).or_default() += 1;
            tally.refusal.saturating_record(service);
            if verdict == Verdict::Wrong {
                tally.wrong += 1;
                self.fault.get_or_insert_with(|| format!("{:?} was answered by {reply:?}", open.step));
            }
            return;
        }
        let expected = open.step.expected_bytes();
        if open.is_wrong || open.came != expected || verdict == Verdict::Wrong {
            tally.wrong += 1;
            self.fault.get_or_insert_with(|| {
                let what = if open.is_wrong { "other bytes than its key's" } else { "another length or answer" };
                format!("{:?} brought {} of {expected} bytes: {what}", open.step, open.came)
            });
            return;
        }
        tally.ok += 1;
        self.good += 1;
        tally.verified += u64::from(open.is_compared && expected > 0);
        tally.bytes += if open.step.verb == Verb::Put { open.step.object.bytes } else { open.came };
        tally.service.saturating_record(service);
        if let Some(intended) = open.intended {
            tally.response.saturating_record(nanoseconds(self.now.saturating_sub(intended)));
        }
    }
}
