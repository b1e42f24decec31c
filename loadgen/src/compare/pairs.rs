//! Figures of two sides, in pairs.
//!
//! Any thread; pure. Always: the n-th value of A belongs to the n-th of B; a pair without a ratio is left out and counted.

use super::Pairing;
use crate::record::histogram::Encoded;
use crate::record::{Record, Requests, Round, Second};
use std::collections::BTreeSet;

/// Samples that must lie above a percentile for it to be a figure and no accident.
const SAMPLES_BEYOND: f64 = 10.0;

/// What was paired.
#[derive(Debug, Clone)]
pub struct Paired {
    /// How.
    pub pairing: Pairing,
    /// Figure by figure.
    pub series: Vec<Pairs>,
    /// Figures that neither side or only one has.
    pub left_out: Vec<String>,
}

/// The pairs of one figure.
#[derive(Debug, Clone)]
pub struct Pairs {
    /// As "server CPU per request", "get, p99".
    pub name: String,
    /// Its unit.
    pub unit: &'static str,
    /// The word by which doubts spoil it: rate, latency, cost.
    pub kind: &'static str,
    /// Whether more is better.
    pub is_more_better: bool,
    /// Values of A and of B, by time.
    pub values: Vec<(f64, f64)>,
    /// Pairs that have no ratio: a side was without.
    pub left_out: usize,
}

/// Pairs of rounds if both sides have as many, two or more; else of seconds.
#[must_use]
pub fn of(a: &[Record], b: &[Record]) -> Paired {
    let rounds = |records: &'_ [Record]| records.iter().map(|record| record.rounds.len()).sum::<usize>();
    let mut gather = Gather::default();
    let pairing = if rounds(a) == rounds(b) && rounds(a) >= 2 {
        gather.rounds(a, b);
        Pairing::Rounds
    } else {
        gather.seconds(a, b);
        Pairing::Seconds
    };
    Paired { pairing, series: gather.series, left_out: gather.left_out }
}

#[derive(Default)]
struct Gather {
    series: Vec<Pairs>,
    left_out: Vec<String>,
}

impl Gather {
    fn rounds(&mut self, a: &[Record], b: &[Record]) {
        let all = |records| -> Vec<&Round> { <[Record]>::iter(records).flat_map(|record| &record.rounds).collect() };
        let (a, b) = (all(a), all(b));
        let cost = |round: &&Round| round.server.as_ref().map(|cost| cost.cpu_us_per_request);
        self.cost(pair(&a, &b, cost));
        let names: BTreeSet<&String> = a.iter().chain(&b).flat_map(|round| round.requests.keys()).collect();
        for name in names {
            self.kind(name, &a, &b);
        }
    }

    fn kind(&mut self, name: &str, a: &[&Round], b: &[&Round]) {
        let requests =
            |round: &&Round| -> Option<(f64, Requests)> { Some((round.seconds, round.requests.get(name)?.clone())) };
        let rate = |round: &&Round| requests(round).and_then(|(seconds, of)| ratio(of.ok as f64, seconds));
        self.rate(&format!("{name}, answered as asked"), pair(a, b, rate));
        // Response times and service times are different things: both sides must have the one that is compared.
        let has_response = |rounds: &[&Round]| {
            rounds.iter().all(|round| round.requests.get(name).is_some_and(|of| !of.response.0.is_empty()))
        };
        let is_open = has_response(a) && has_response(b);
        let which = if is_open { "response" } else { "service" };
        let text = |of: &Requests| -> Encoded { if is_open { of.response.clone() } else { of.service.clone() } };
        // Each is decoded once for all percentiles.
        let decode = |rounds: &[&Round]| -> Vec<_> {
            rounds.iter().map(|round| requests(round).and_then(|(_, of)| text(&of).decode().ok())).collect()
        };
        let (a, b) = (decode(a), decode(b));
        for (percentile, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            let figure = format!("{name}, {which} {percentile}");
            let samples = SAMPLES_BEYOND / (1.0 - quantile);
            let histograms = || a.iter().chain(&b).flatten();
            let fewest = histograms().map(|histogram| histogram.len()).min().unwrap_or(0);
            if fewest > 0 && (fewest as f64) < samples {
                self.left_out.push(format!("{figure}: a round has {fewest} samples, fewer than {samples:.0}"));
                continue;
            }
            let value = |histogram: &Option<hdrhistogram::Histogram<u64>>| {
                let histogram = histogram.as_ref().filter(|histogram| !histogram.is_empty())?;
                Some(histogram.value_at_quantile(quantile) as f64 / 1e3)
            };
            self.latency(&figure, pair(&a, &b, value));
        }
    }

    fn seconds(&mut self, a: &[Record], b: &[Record]) {
        let all = |records| -> Vec<&Second> {
            <[Record]>::iter(records).flat_map(|record| &record.rounds).flat_map(|round| &round.series).collect()
        };
        let (a, b) = (all(a), all(b));
        let cost = |second: &&Second| second.server_cpu_us.and_then(|cpu| ratio(cpu, second.ok as f64));
        self.cost(pair(&a, &b, cost));
        let rate = |second: &&Second| ratio(second.ok as f64, second.seconds);
        self.rate("first stream, answered as asked", pair(&a, &b, rate));
        let latency = |at: fn(&Second) -> f64| move |second: &&Second| (second.ok > 0).then(|| at(second));
        self.latency("first stream, p50", pair(&a, &b, latency(|second| second.p50_us)));
        self.latency("first stream, p99", pair(&a, &b, latency(|second| second.p99_us)));
    }

    fn cost(&mut self, (values, left_out): (Vec<(f64, f64)>, usize)) {
        let name = "server CPU per request".to_string();
        self.add(Pairs { name, unit: "us", kind: "cost", is_more_better: false, values, left_out });
    }

    fn rate(&mut self, name: &str, (values, left_out): (Vec<(f64, f64)>, usize)) {
        self.add(Pairs { name: name.into(), unit: "/s", kind: "rate", is_more_better: true, values, left_out });
    }

    fn latency(&mut self, name: &str, (values, left_out): (Vec<(f64, f64)>, usize)) {
        self.add(Pairs { name: name.into(), unit: "us", kind: "latency", is_more_better: false, values, left_out });
    }

    fn add(&mut self, pairs: Pairs) {
        if pairs.values.is_empty() {
            self.left_out.push(format!("{}: no pair has it on both sides", pairs.name));
        } else {
            self.series.push(pairs);
        }
    }
}

/// Pairs that have a ratio, and how many have none. A rate of zero in B is a ratio; in A it is none.
fn pair<T>(a: &[T], b: &[T], value: impl Fn(&T) -> Option<f64>) -> (Vec<(f64, f64)>, usize) {
    let mut pairs = Vec::new();
    for (a, b) in a.iter().zip(b) {
        let both = value(a).zip(value(b));
        pairs.extend(both.filter(|(a, b)| *a > 0.0 && *b >= 0.0 && (b / a).is_finite()));
    }
    let left_out = a.len().max(b.len()) - pairs.len();
    (pairs, left_out)
}

fn ratio(above: f64, below: f64) -> Option<f64> {
    (below > 0.0).then(|| above / below)
}
