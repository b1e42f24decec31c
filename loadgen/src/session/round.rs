//! One round: warm-up, then measuring; what was seen, second by second.
//!
//! The thread that watches the run. Always: what is counted, and what it cost, are of the same seconds.

use super::hooks::Hooks;
use super::interrupt::Interrupt;
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
    /// Ends it before its time.
    pub(super) interrupt: Interrupt,
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
        if seen.watching.seconds.is_none() || seen.watching.warm_up == WarmUp::For(Duration::ZERO) {
            seen.begin(Duration::ZERO, true);
        }
        seen
    }

    fn begin(&mut self, at: Duration, is_steady: bool) {
        self.is_steady = is_steady;
        self.round.warm_up_seconds = at.as_secs_f64();
        // What happened in the warm-up happened before.
        self.events.iter_mut().for_each(|event| event.at_seconds -= at.as_secs_f64());
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
        let left = from.and(self.watching.seconds).map(|seconds| seconds.as_secs_f64() - second.at_seconds);
        self.watching.progress.second(&second, tick, from.is_some(), left);
        match from {
            None => {
                // Nothing of a warm-up is measured; contents that are wrong are wrong all the same.
                self.add_wrong(tick);
                let cost = cpu_us.filter(|_| second.ok > 0).map(|us| us / second.ok as f64);
                let figure = cost.or((second.ok > 0).then(|| second.ok as f64 / second.seconds.max(1e-9)));
                if self.watching.interrupt.is_asked() {
                    control.stop();
                } else if !tick.is_last && self.warming.second(tick.at, figure) {
                    self.begin(tick.at, self.warming.is_steady);
                }
            }
            Some(from) if !self.is_over => {
                self.totals.iter_mut().zip(&tick.streams).for_each(|(total, new)| total.add(new));
                if second.seconds > 0.0 {
                    self.series.push(second);
                }
                self.look_at_connections(tick);
                self.silent(tick.silence.min(tick.at.saturating_sub(from)));
                for told in self.watching.hooks.due(tick.at.saturating_sub(from)) {
                    self.event(from, tick.at, told);
                }
                let measured = tick.at.saturating_sub(from) + TICK / 2;
                let enough = self.watching.seconds.is_some_and(|seconds| measured >= seconds);
                if enough || tick.is_last || self.watching.interrupt.is_asked() {
                    self.silent(tick.at.saturating_sub(control.answered_at().max(from)));
                    self.end(from, tick.at);
                    control.stop();
                }
            }
            Some(_) => {
                self.add_wrong(tick);
                self.add_late(tick);
            }
        }
    }

    fn add_wrong(&mut self, tick: &Tick) {
        for (total, new) in self.totals.iter_mut().zip(&tick.streams) {
            new.iter().for_each(|(verb, tally)| total.of(verb).wrong += tally.wrong);
        }
    }

    /// Behind the end of measuring open requests are waited for. Their answers are no part of the rate; of the latency they
    /// are the longest part, as when a server stands still at the end.
    fn add_late(&mut self, tick: &Tick) {
        for (total, new) in self.totals.iter_mut().zip(&tick.streams) {
            for (verb, tally) in new.iter() {
                total.of(verb).add_late(tally);
            }
        }
    }

    fn look_at_connections(&mut self, tick: &Tick) {
        // At the very end all are closed.
        if !tick.is_last {
            self.round.connections_min = Some(self.round.connections_min.map_or(tick.ready, |min| min.min(tick.ready)));
        }
        self.round.broken += tick.broken;
    }

    fn silent(&mut self, silence: Duration) {
        self.round.longest_silence_seconds = self.round.longest_silence_seconds.max(silence.as_secs_f64());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Verb;

    fn tick(second: u64, fill: impl FnOnce(&mut Tally)) -> Tick {
        let mut tallies = Tallies::default();
        fill(tallies.of(Verb::Get));
        Tick { at: Duration::from_secs(second), streams: vec![tallies], ready: 4, ..Tick::default() }
    }

    /// A round of so many seconds, after one of warm-up.
    fn watching<'a>(seconds: Duration, own: &'a mut Meter, progress: &'a mut Progress) -> Watching<'a> {
        Watching {
            names: vec![String::new()],
            seconds: Some(seconds),
            warm_up: WarmUp::For(Duration::from_secs(1)),
            hooks: Hooks::new(&[]),
            server: None,
            own,
            progress,
            interrupt: Interrupt::default(),
        }
    }

    #[test]
    fn each_second_counts_where_it_belongs() {
        let (mut own, mut progress) = (Meter::own().unwrap(), Progress::new(true));
        let watching = watching(Duration::from_secs(2), &mut own, &mut progress);
        let (mut seen, control) = (Seen::new(watching), Control::default());
        // The warm-up: nothing of it counts, but what was wrong.
        let mut first = tick(1, |tally| (tally.ok, tally.wrong, tally.lost) = (100, 1, 1));
        first.remarks.push("early".to_string());
        seen.tick(&first, &control);
        let measured = |ready| Tick { ready, broken: 1, ..tick(2, |tally| (tally.ok, tally.lost) = (10, 1)) };
        seen.tick(&measured(3), &control);
        seen.tick(&Tick { at: Duration::from_secs(3), ..measured(4) }, &control);
        // What was open at the end: lost, or late, and no part of the rate.
        let late = |tally: &mut Tally| {
            (tally.ok, tally.lost, tally.shed) = (5, 2, 3);
            tally.response.saturating_record(7_000_000_000);
        };
        seen.tick(&Tick { is_last: true, ready: 0, ..tick(9, late) }, &control);
        let (round, _, events) = seen.finish();
        let get = &round.requests["get"];
        assert_eq!((get.ok, get.wrong, get.lost, get.shed), (20, 1, 4, 3));
        assert_eq!(get.response.decode().unwrap().len(), 1);
        assert_eq!((round.seconds, round.warm_up_seconds), (2.0, 1.0));
        assert_eq!((round.broken, round.connections_min, round.series.len()), (2, Some(3), 2));
        // Nobody ever answered the control.
        assert_eq!(round.longest_silence_seconds, 2.0);
        assert_eq!((events[0].at_seconds, events[0].what.as_str()), (0.0, "early"));
    }

    #[test]
    fn a_run_that_ends_before_its_time_has_all_that_it_saw() {
        let (mut own, mut progress) = (Meter::own().unwrap(), Progress::new(true));
        let watching = watching(Duration::from_secs(60), &mut own, &mut progress);
        let (mut seen, control) = (Seen::new(watching), Control::default());
        seen.tick(&tick(1, |tally| tally.ok = 1), &control);
        seen.tick(&Tick { is_last: true, ..tick(2, |tally| (tally.ok, tally.lost) = (10, 4)) }, &control);
        let (round, _, _) = seen.finish();
        assert_eq!((round.requests["get"].ok, round.requests["get"].lost, round.seconds), (10, 4, 1.0));
    }
}
