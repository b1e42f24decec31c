//! What a worker counts and times, second by second.
//!
//! Always: filled by one thread, handed over whole; recording allocates nothing.

use crate::record::histogram::latencies;
use crate::workload::Verb;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// One kind of request.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Answered as asked.
    pub ok: u64,
    /// Bytes of content in those, either way.
    pub bytes: u64,
    /// Contents that were not those of their keys, and answers that cannot be.
    pub wrong: u64,
    /// Contents that were compared.
    pub verified: u64,
    /// Unanswered when their connection was lost, or at the end.
    pub lost: u64,
    /// Due and never sent: too many were outstanding, or still waited at the end.
    pub shed: u64,
    /// Other answers, by name.
    pub refused: BTreeMap<&'static str, u64>,
    /// From sending to the whole answer, in nanoseconds.
    pub service: Histogram<u64>,
    /// From the intended time to the whole answer; empty in a closed loop.
    pub response: Histogram<u64>,
    /// From the intended time to sending; empty in a closed loop.
    pub lag: Histogram<u64>,
    /// From sending to another answer.
    pub refusal: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            ok: 0,
            bytes: 0,
            wrong: 0,
            verified: 0,
            lost: 0,
            shed: 0,
            refused: BTreeMap::new(),
            service: latencies(),
            response: latencies(),
            lag: latencies(),
            refusal: latencies(),
        }
    }
}

/// Nanoseconds of a histogram: at least one, as it has no zero.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).max(1)
}

impl Tally {
    /// Adds what another counted.
    pub fn add(&mut self, other: &Self) {
        self.ok += other.ok;
        self.bytes += other.bytes;
        self.wrong += other.wrong;
        self.verified += other.verified;
        self.lost += other.lost;
        self.shed += other.shed;
        for (name, count) in &other.refused {
            *self.refused.entry(name).or_default() += count;
        }
        for (to, from) in [
            (&mut self.service, &other.service),
            (&mut self.response, &other.response),
            (&mut self.lag, &other.lag),
            (&mut self.refusal, &other.refusal),
        ] {
            if !from.is_empty() {
                to.add(from).expect("all histograms have the same bounds");
            }
        }
    }

    /// Adds what became of requests that were open, or due, at the end of measuring.
    pub fn add_late(&mut self, other: &Self) {
        self.lost += other.lost;
        self.shed += other.shed;
        for (to, from) in [
            (&mut self.service, &other.service),
            (&mut self.response, &other.response),
            (&mut self.refusal, &other.refusal),
        ] {
            if !from.is_empty() {
                to.add(from).expect("all histograms have the same bounds");
            }
        }
    }

    /// Empties it, and keeps its memory.
    pub fn clear(&mut self) {
        for histogram in [&mut self.service, &mut self.response, &mut self.lag, &mut self.refusal] {
            if !histogram.is_empty() {
                histogram.reset();
            }
        }
        self.refused.values_mut().for_each(|count| *count = 0);
        (self.ok, self.bytes, self.wrong, self.verified) = (0, 0, 0, 0);
        (self.lost, self.shed) = (0, 0);
    }

    /// Answers of all kinds.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.ok + self.wrong + self.refused.values().sum::<u64>()
    }

    /// What should not have been: wrong, lost, or refused otherwise than by BUSY.
    #[must_use]
    pub fn failed(&self) -> u64 {
        let failed = |(name, count): (&&str, &u64)| if [BUSY, RACED].contains(name) { 0 } else { *count };
        // An answer that is wrong may be counted by its name too.
        self.lost + (self.refused.iter().map(failed).sum::<u64>()).max(self.wrong)
    }

    /// What users wait for: response in an open loop, service in a closed one.
    #[must_use]
    pub fn latency(&self) -> &Histogram<u64> {
        if self.response.is_empty() { &self.service } else { &self.response }
    }
}

/// The name under which answers of overload are counted.
pub const BUSY: &str = "BUSY";
/// The name under which answers are counted that an object is not there which was being deleted meanwhile.
pub const RACED: &str = "RACED";
/// The name under which answers are counted that there is no such object.
pub const MISSING: &str = "MISSING";

/// Tallies of one stream by kind of request.
#[derive(Debug, Clone, Default)]
pub struct Tallies([Option<Box<Tally>>; Verb::ALL.len()]);

impl Tallies {
    /// That of a kind. Made when it is first asked for.
    pub fn of(&mut self, verb: Verb) -> &mut Tally {
        self.0[verb as usize].get_or_insert_default()
    }

    /// All that were asked for.
    pub fn iter(&self) -> impl Iterator<Item = (Verb, &Tally)> {
        Verb::ALL.into_iter().zip(&self.0).filter_map(|(verb, tally)| Some((verb, tally.as_deref()?)))
    }

    /// Adds what others counted.
    pub fn add(&mut self, other: &Self) {
        for (verb, tally) in other.iter() {
            self.of(verb).add(tally);
        }
    }

    /// Empties all, and keeps their memory.
    pub fn clear(&mut self) {
        self.0.iter_mut().flatten().for_each(|tally| tally.clear());
    }

    /// The sum of a figure over all kinds.
    pub fn sum(&self, of: impl Fn(&Tally) -> u64) -> u64 {
        self.iter().map(|(_, tally)| of(tally)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_counted_is_summed() {
        let mut one = Tallies::default();
        one.of(Verb::Get).ok = 2;
        one.of(Verb::Get).service.saturating_record(50_000);
        let mut other = Tallies::default();
        *other.of(Verb::Get).refused.entry(BUSY).or_default() += 3;
        *other.of(Verb::Get).refused.entry("FULL").or_default() += 1;
        other.of(Verb::Put).lost = 4;
        one.add(&other);
        assert_eq!((one.sum(|tally| tally.ok), one.sum(Tally::failed), one.sum(Tally::answered)), (2, 5, 6));
        one.clear();
        assert_eq!((one.sum(Tally::answered), one.sum(Tally::failed)), (0, 0));
        assert!(one.of(Verb::Get).service.is_empty());
    }
}
