//! A record in short: its rounds added up.
//!
//! Any thread; a pure function. Always: histograms are added and never averaged; a histogram that is damaged is named and
//! counts as empty.

use super::histogram::{Encoded, latencies};
use super::{Cost, Record, Requests};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// All rounds of a record.
#[derive(Debug, Clone)]
pub struct Summary {
    /// How long was measured.
    pub seconds: f64,
    /// Requests by name.
    pub kinds: Vec<Kind>,
    /// What the server took in all rounds, if it is local.
    pub server: Option<Cost>,
    /// What the generator took.
    pub generator: Cost,
    /// Histograms that could not be read, and why.
    pub damaged: Vec<String>,
}

/// Requests of one kind in all rounds.
#[derive(Debug, Clone)]
pub struct Kind {
    /// "get", "background put".
    pub name: String,
    /// Counts, as in [`Requests`].
    pub ok: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// Contents that were not those of their keys.
    pub wrong: u64,
    /// Contents that were compared.
    pub verified: u64,
    /// Unanswered.
    pub lost: u64,
    /// Never sent.
    pub shed: u64,
    /// Answers of other kinds.
    pub refused: BTreeMap<String, u64>,
    /// From sending to the answer, in nanoseconds, as all histograms here.
    pub service: Histogram<u64>,
    /// From the intended time to the answer; empty in a closed loop.
    pub response: Histogram<u64>,
    /// From the intended time to sending; empty in a closed loop.
    pub lag: Histogram<u64>,
    /// From sending to a refusal.
    pub refusal: Histogram<u64>,
}

impl Kind {
    /// Whether requests were due at times of their own.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.response.is_empty()
    }

    /// What a user would have waited: the response in an open loop, the service in a closed one.
    #[must_use]
    pub fn latency(&self) -> &Histogram<u64> {
        if self.is_open() { &self.response } else { &self.service }
    }

    fn empty(name: &str) -> Self {
        Self {
            name: name.to_string(),
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

    fn add(&mut self, requests: &Requests, damaged: &mut Vec<String>) {
        self.ok = self.ok.saturating_add(requests.ok);
        self.bytes = self.bytes.saturating_add(requests.bytes);
        self.wrong = self.wrong.saturating_add(requests.wrong);
        self.verified = self.verified.saturating_add(requests.verified);
        self.lost = self.lost.saturating_add(requests.lost);
        self.shed = self.shed.saturating_add(requests.shed);
        for (reason, count) in &requests.refused {
            let sum = self.refused.entry(reason.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
        let name = &self.name;
        let mut join = |whole: &mut Histogram<u64>, text: &Encoded, which: &str| match text.decode() {
            Ok(part) => whole.add(part).expect("all have the same bounds"),
            Err(damage) => damaged.push(format!("{name}, {which}: {damage}")),
        };
        join(&mut self.service, &requests.service, "service");
        join(&mut self.response, &requests.response, "response");
        join(&mut self.lag, &requests.lag, "lag");
        join(&mut self.refusal, &requests.refusal, "refusal");
    }
}

impl Summary {
    /// The sum of the rounds of a record.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let mut kinds: BTreeMap<&str, Kind> = BTreeMap::new();
        let mut damaged = Vec::new();
        for round in &record.rounds {
            for (name, requests) in &round.requests {
                kinds.entry(name).or_insert_with(|| Kind::empty(name)).add(requests, &mut damaged);
            }
        }
        let ok = kinds.values().fold(0u64, |sum, kind| sum.saturating_add(kind.ok));
        Self {
            seconds: record.rounds.iter().map(|round| round.seconds).sum(),
            kinds: kinds.into_values().collect(),
            server: total(record.rounds.iter().filter_map(|round| round.server.as_ref()), ok),
            generator: total(record.rounds.iter().map(|round| &round.generator), ok).unwrap_or_default(),
            damaged,
        }
    }

    /// A count for each second that was measured; zero if none was.
    #[must_use]
    pub fn per_second(&self, count: u64) -> f64 {
        if self.seconds > 0.0 { count as f64 / self.seconds } else { 0.0 }
    }
}

/// Costs of several rounds as one; `None` of none.
fn total<'a>(costs: impl Iterator<Item = &'a Cost>, ok: u64) -> Option<Cost> {
    let mut count = 0u32;
    let mut sum = Cost::default();
    for cost in costs {
        count += 1;
        sum.cpu_seconds += cost.cpu_seconds;
        sum.wait_seconds += cost.wait_seconds;
        sum.busiest_thread_seconds += cost.busiest_thread_seconds;
        for (name, seconds) in &cost.threads {
            *sum.threads.entry(name.clone()).or_default() += seconds;
        }
        sum.cpu_us_per_request = cost.cpu_us_per_request;
        sum.read_bytes = sum.read_bytes.saturating_add(cost.read_bytes);
        sum.dirtied_bytes = sum.dirtied_bytes.saturating_add(cost.dirtied_bytes);
        sum.device = match (sum.device, cost.device) {
            (Some(sum), Some(more)) => Some(sum.and(more)),
            (sum, more) => sum.or(more),
        };
        sum.switches = sum.switches.saturating_add(cost.switches);
        sum.resident_bytes = cost.resident_bytes;
        sum.resident_bytes_max = sum.resident_bytes_max.max(cost.resident_bytes_max);
        sum.syncs = match (sum.syncs, cost.syncs) {
            (Some(sum), Some(more)) => Some(sum.saturating_add(more)),
            (sum, more) => sum.or(more),
        };
    }
    if count > 1 {
        sum.cpu_us_per_request = if ok > 0 { sum.cpu_seconds * 1e6 / ok as f64 } else { 0.0 };
    }
    (count > 0).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::made_up;

    #[test]
    fn rounds_are_added_up() {
        let record = made_up::record(3);
        let summary = Summary::of(&record);
        let get = summary.kinds.iter().find(|kind| kind.name == "get").unwrap();
        let counted: u64 = record.rounds.iter().map(|round| round.requests["get"].ok).sum();
        assert_eq!((get.ok, get.response.len()), (counted, counted));
        assert!(get.is_open() && summary.damaged.is_empty());
        let server = summary.server.unwrap();
        assert!((server.cpu_us_per_request - 7.1).abs() < 0.5, "{}", server.cpu_us_per_request);
        assert_eq!(server.syncs, Some(3 * 1_210));
    }

    #[test]
    fn nothing_is_no_error_and_damage_has_a_name() {
        let mut record = made_up::record(1);
        record.rounds[0].requests.get_mut("get").unwrap().service = Encoded("x".into());
        let summary = Summary::of(&record);
        assert_eq!(summary.damaged, ["get, service: not base64"]);
        record.rounds.clear();
        let summary = Summary::of(&record);
        assert_eq!((summary.kinds.len(), summary.server.is_none()), (0, true));
        assert!(summary.per_second(5).abs() < f64::EPSILON);
    }
}
