//! One round: warm-up, then measuring; what was seen, second by second.
//!
//! The thread that watches the run. Always: what is counted, and what it cost, are of the same seconds.

use super::hooks::Hooks;
use super::progress::Progress;
use super::steady::{WarmUp, Warming};
use crate::engine::tally::{Tallies, Tally};
use crate::engine::{Control, Tick};
use crate::record::{Event, Requests, Round, Second, histogram::Encoded};
use crate::server::{Meter, Reading};
use std::collections::BTreeMap;
use std::time::Duration;

/// Seconds of workers end at about this distance.
const TICK: Duration = Duration::from_secs(1);
/// Lines about connections that a record keeps.
const EVENTS_MAX: usize = 200;

/// What is to be seen.
#[derive(Debug)]
pub(super) struct Watching<'a> {
    /// Names of the streams.
    pub(super) names: Vec<String>,
    /// How long; `None`: until all was sent.
    pub(super) seconds: Option<Duration>,
    pub(super) warm_up: WarmUp,
    pub(super) hooks: Hooks,
    pub(super) server: Option<&'a mut Meter>,
    pub(super) own: &'a mut Meter,
    pub(super) progress: &'a mut Progress,
}

/// What was seen so far.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    watching: Watching<'a>,
    warming: Warming,
    measuring: Option<Measuring>,
    totals: Vec<Tallies>,
    series: Vec<Second>,
    pub(super) events: Vec<Event>,
    before: Duration,
    server_before: Option<Reading>,
    round: Round,
    is_over: bool,
    /// Whether the warm-up ended because it was steady.
    pub(super) is_steady: bool,
}

#[derive(Debug)]
struct Measuring {
    from: Duration,
    server: Option<Reading>,
    own: Option<Reading>,
}

impl<'a> Seen<'a> {
    pub(super) fn new(mut watching: Watching<'a>) -> Self {
        let warming = Warming::new(watching.warm_up);
        let totals = vec![Tallies::default(); watching.names.len()];
        let server_before = watching.server.as_mut().and_then(|meter| meter.read().ok());
        let mut seen = Self {
            warming,
            measuring: None,
            totals,
            series: Vec::new(),
            events: Vec::new(),
            before: Duration::ZERO,
            server_before,
            round: Round::default(),
            is_over: false,
            is_steady: false,
            watching,
        };
        if seen.watching.seconds.is_none() {
            seen.begin(Duration::ZERO, true);
        }
        seen
    }

    fn begin(&mut self, at: Duration, is_steady: bool) {
        self.is_steady = is_steady;
        self.round.warm_up_seconds = at.as_secs_f64();
        let own = self.watching.own.read().ok();
        self.measuring = Some(Measuring { from: at, server: self.server_before.clone(), own });
    }

    /// Takes another second.
    pub(super) fn tick(&mut self, tick: &Tick, control: &Control) {
        let server = self.watching.server.as_mut().and_then(|meter| meter.read().ok());
        let cpu_us = match (&server, &self.server_before) {
            (Some(now), Some(before)) => Some(now.since(before).cpu_seconds * 1e6),
            _ => None,
        };
        self.server_before = server;
        let from = self.measuring.as_ref().map(|measuring| measuring.from);
        for remark in &tick.remarks {
            self.event(from.unwrap_or_default(), tick.at, remark.clone());
        }
        let second = self.second(tick, from.unwrap_or_default(), cpu_us);
        self.before = tick.at;
        self.watching.progress.second(&second, tick, from.is_some());
        match from {
            None => {
                let cost = cpu_us.filter(|_| second.ok > 0).map(|us| us / second.ok as f64);
                let figure = cost.or((second.ok > 0).then(|| second.ok as f64 / second.seconds.max(1e-9)));
                if !tick.is_last && self.warming.second(tick.at, figure) {
                    self.begin(tick.at, self.warming.is_steady);
                }
            }
            Some(from) if !self.is_over => {
                // Of a run by time the end is no part: there requests were only waited for.
                let counts = !tick.is_last || self.watching.seconds.is_none();
                for (total, new) in self.totals.iter_mut().zip(&tick.streams) {
                    if counts {
                        total.add(new);
                    }
                }
                if second.seconds > 0.0 && counts {
                    self.series.push(second);
                }
                for told in self.watching.hooks.due(tick.at.saturating_sub(from)) {
                    self.event(from, tick.at, told);
                }
                let measured = tick.at.saturating_sub(from) + TICK / 2;
                let enough = self.watching.seconds.is_some_and(|seconds| measured >= seconds);
                if enough || tick.is_last {
                    self.end(from, if counts { tick.at } else { self.before.min(tick.at) });
                    control.stop();
                }
            }
            Some(_) => self.add_end(tick),
        }
    }

    /// What was wrong or lost behind the end of measuring is told too.
    fn add_end(&mut self, tick: &Tick) {
        for (total, new) in self.totals.iter_mut().zip(&tick.streams) {
            for (verb, tally) in new.iter() {
                total.of(verb).wrong += tally.wrong;
                total.of(verb).lost += tally.lost;
            }
        }
    }

    fn end(&mut self, from: Duration, at: Duration) {
        self.is_over = true;
        self.round.seconds = at.saturating_sub(from).as_secs_f64();
        let ok: u64 = self.totals.iter().map(|tallies| tallies.sum(|tally| tally.ok)).sum();
        let Some(measuring) = &self.measuring else {
            return;
        };
        if let (Some(before), Some(now)) = (&measuring.server, &self.server_before) {
            self.round.server = Some(now.since(before).shared_by(ok));
        }
        if let (Some(before), Ok(now)) = (&measuring.own, self.watching.own.read()) {
            self.round.generator = now.since(before).shared_by(ok);
        }
    }

    fn event(&mut self, from: Duration, at: Duration, what: String) {
        if self.events.len() < EVENTS_MAX {
            self.events.push(Event { at_seconds: at.as_secs_f64() - from.as_secs_f64(), what });
        }
    }

    fn second(&self, tick: &Tick, from: Duration, server_cpu_us: Option<f64>) -> Second {
        let mut all = Tally::default();
        if let Some(first) = tick.streams.first() {
            first.iter().for_each(|(_, tally)| all.add(tally));
        }
        let latency = all.latency();
        let us = |quantile: f64| latency.value_at_quantile(quantile) as f64 / 1000.0;
        Second {
            at_seconds: tick.at.saturating_sub(from).as_secs_f64(),
            seconds: tick.at.saturating_sub(self.before).as_secs_f64(),
            ok: all.ok,
            not_ok: all.wrong + all.lost + all.refused.values().sum::<u64>(),
            shed: all.shed,
            p50_us: us(0.5),
            p99_us: us(0.99),
            max_us: latency.max() as f64 / 1000.0,
            server_cpu_us,
        }
    }

    /// The round, and what was counted of each stream.
    pub(super) fn finish(mut self) -> (Round, Vec<Tallies>, Vec<Event>) {
        let mut requests = BTreeMap::new();
        for (name, tallies) in self.watching.names.iter().zip(&self.totals) {
            for (verb, tally) in tallies.iter() {
                let name = if name.is_empty() { verb.to_string() } else { format!("{name} {verb}") };
                requests.insert(name, recorded(tally));
            }
        }
        self.round.requests = requests;
        self.round.series = self.series;
        (self.round, self.totals, self.events)
    }
}

fn recorded(tally: &Tally) -> Requests {
    Requests {
        ok: tally.ok,
        bytes: tally.bytes,
        wrong: tally.wrong,
        verified: tally.verified,
        lost: tally.lost,
        shed: tally.shed,
        refused: tally
            .refused
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(name, count)| (name.to_string(), *count))
            .collect(),
        service: Encoded::of(&tally.service),
        response: Encoded::of(&tally.response),
        lag: Encoded::of(&tally.lag),
        refusal: Encoded::of(&tally.refusal),
    }
}
