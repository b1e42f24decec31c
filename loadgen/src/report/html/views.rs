//! What is plotted of records.
//!
//! Any thread; pure. Always: a plot shows what the record has and no more; points that stand for several seconds say so.

use super::axis::{Kind, Unit};
use super::bars::Bars;
use super::plot::{Plot, Series};
use crate::record::summary::Summary;
use crate::record::{Point, Record, Second};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// The most points that a line over time has; of a longer run, each is of several seconds.
const POINTS_MAX: usize = 400;
/// The most lines of one plot; the figures of others stand in the tables.
const LINES_MAX: usize = 8;
/// Of more rounds, no line is drawn where each begins.
const ROUNDS_MARKED: usize = 10;
/// Points between a share and the one with another nine.
const NINE_STEPS: f64 = 20.0;
/// The most bars of threads.
const THREADS_MAX: usize = 12;

/// Latency by percentile, of one or several runs with their names.
#[must_use]
pub fn percentiles(id: &str, runs: &[(String, &Summary)]) -> Plot {
    let mut series = Vec::new();
    for (run, (title, summary)) in runs.iter().enumerate() {
        // What was asked for most comes first, in the first colour.
        let mut kinds: Vec<_> = summary.kinds.iter().collect();
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.ok));
        // Colours tell runs apart if there are several: then there is one kind of each.
        let count = if runs.len() > 1 { 1 } else { kinds.len() };
        for (index, kind) in kinds.into_iter().take(count).enumerate() {
            let colour = if runs.len() > 1 { run } else { index };
            for (what, histogram) in [("response", &kind.response), ("service", &kind.service)] {
                if histogram.is_empty() {
                    continue;
                }
                let name = match runs.len() {
                    1 => format!("{} {what}", kind.name),
                    _ => format!("{title}: {} {what}", kind.name),
                };
                let is_dashed = what == "service" && kind.is_open();
                series.push(Series { name, points: nines(histogram), colour, is_dashed, has_dots: false });
            }
        }
    }
    series.truncate(LINES_MAX);
    Plot {
        id: format!("{id}-percentiles"),
        title: "Latency by percentile".into(),
        description: "How long all but the slowest requests took; each nine to the right leaves a tenth of them."
            .into(),
        x: ("share of requests that were as fast or faster", Kind::Nines, Unit::Share),
        y: ("latency", Kind::Log, Unit::Micros),
        series,
        marks: Vec::new(),
    }
}

/// Latencies in microseconds by share, a twentieth of a nine apart, up to the largest.
fn nines(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let steps = ((histogram.len().max(1) as f64).log10() * NINE_STEPS).ceil() as u32;
    let shares = (0..=steps).map(|step| 1.0 - 10f64.powf(-f64::from(step) / NINE_STEPS));
    shares.map(|share| (share, histogram.value_at_quantile(share) as f64 / 1e3)).collect()
}

/// Latency and rate over time.
#[must_use]
pub fn over_time(id: &str, record: &Record) -> [Plot; 2] {
    let (seconds, step) = timeline(record);
    let marks = marks(record);
    let is_open = record.rounds.iter().flat_map(|round| round.requests.values()).any(|of| !of.response.0.is_empty());
    let which = if is_open { "response" } else { "service" };
    let each = match step {
        1 => "each second".to_string(),
        _ => format!("each {step} seconds (the middle p50, the worst p99 and maximum of them)"),
    };
    let rounds = match record.rounds.len() {
        0 | 1 => String::new(),
        count => format!("; {count} rounds, one after the other"),
    };
    let line = |name: &str, colour, value: fn(&Second) -> Option<f64>| Series {
        name: name.into(),
        // A second without an answer has no latency: the line has a gap there.
        points: seconds.iter().map(|second| (second.at_seconds, value(second).unwrap_or(f64::NAN))).collect(),
        colour,
        is_dashed: false,
        has_dots: false,
    };
    let latency = |second: &Second, value: f64| (second.ok > 0).then_some(value);
    let mut rates = vec![line("answered as asked", 0, |second| per_second(second, second.ok))];
    if seconds.iter().any(|second| second.not_ok > 0) {
        rates.push(line("refused, wrong or lost", 1, |second| per_second(second, second.not_ok)));
    }
    if seconds.iter().any(|second| second.shed > 0) {
        rates.push(line("never sent", 3, |second| per_second(second, second.shed)));
    }
    let series = vec![
        line("p50", 2, |second| (second.ok > 0).then_some(second.p50_us)),
        line("p99", 0, |second| (second.ok > 0).then_some(second.p99_us)),
        Series {
            points: seconds
                .iter()
                .map(|second| (second.at_seconds, latency(second, second.max_us).unwrap_or(f64::NAN)))
                .collect(),
            ..line("maximum", 1, |_| None)
        },
    ];
    let time = ("time", Kind::Linear, Unit::Seconds);
    [
        Plot {
            id: format!("{id}-latency"),
            title: "Latency over time".into(),
            description: format!("The {which} time of the first stream in {each}{rounds}."),
            x: time,
            y: ("latency", Kind::Log, Unit::Micros),
            series,
            marks: marks.clone(),
        },
        Plot {
            id: format!("{id}-rate"),
            title: "Rate over time".into(),
            description: "Requests of the first stream, a second.".into(),
            x: time,
            y: ("requests", Kind::FromZero, Unit::Rate),
            series: rates,
            marks,
        },
    ]
}

fn per_second(second: &Second, count: u64) -> Option<f64> {
    (second.seconds > 0.0).then(|| count as f64 / second.seconds)
}

/// Seconds of all rounds one after the other, and how many of them a point is.
fn timeline(record: &Record) -> (Vec<Second>, usize) {
    let mut seconds = Vec::new();
    let mut before = 0.0;
    for round in &record.rounds {
        let moved = |second: &Second| Second { at_seconds: second.at_seconds + before, ..second.clone() };
        seconds.extend(round.series.iter().map(moved));
        before += round.seconds;
    }
    seconds.sort_by(|a, b| a.at_seconds.total_cmp(&b.at_seconds));
    let step = seconds.len().div_ceil(POINTS_MAX).max(1);
    let joined = seconds.chunks(step).map(join).collect();
    (joined, step)
}

/// Some seconds as one.
fn join(seconds: &[Second]) -> Second {
    let sum = |value: fn(&Second) -> u64| seconds.iter().map(value).fold(0u64, u64::saturating_add);
    let most = |value: fn(&Second) -> f64| seconds.iter().map(value).fold(0.0, f64::max);
    let p50: Vec<f64> = seconds.iter().filter(|second| second.ok > 0).map(|second| second.p50_us).collect();
    Second {
        at_seconds: seconds.last().map_or(0.0, |second| second.at_seconds),
        seconds: seconds.iter().map(|second| second.seconds).sum(),
        ok: sum(|second| second.ok),
        not_ok: sum(|second| second.not_ok),
        shed: sum(|second| second.shed),
        p50_us: crate::compare::bootstrap::median(&p50).unwrap_or(0.0),
        p99_us: most(|second| second.p99_us),
        max_us: most(|second| second.max_us),
        server_cpu_us: None,
    }
}

/// Events on the plot: those of the first round, and where the next ones begin. Between rounds time passes that is not
/// plotted, so later events have no place; the list of events has them.
fn marks(record: &Record) -> Vec<(f64, String)> {
    let first = record.rounds.first().map_or(0.0, |round| round.seconds);
    let events = record.events.iter().filter(|event| (0.0..=first).contains(&event.at_seconds));
    let mut marks: Vec<_> = events.map(|event| (event.at_seconds, event.what.clone())).collect();
    let mut before = 0.0;
    for (index, round) in record.rounds.iter().enumerate() {
        if index > 0 && record.rounds.len() <= ROUNDS_MARKED {
            marks.push((before, format!("round {}", index + 1)));
        }
        before += round.seconds;
    }
    marks
}

/// Latency against rate, with the knee of the first.
#[must_use]
pub fn curve(id: &str, runs: &[(String, &Record)]) -> Plot {
    let mut series = Vec::new();
    let mut marks = Vec::new();
    for (run, (title, record)) in runs.iter().enumerate() {
        type Value = fn(&Point) -> f64;
        let all: [(&str, usize, Value); 3] =
            [("p50", 2, |point| point.p50_us), ("p99", 0, |point| point.p99_us), ("p99.9", 1, |point| point.p999_us)];
        // Colours tell runs apart if there are several: then there is one line of each.
        for (what, colour, value) in all.into_iter().filter(|(what, ..)| runs.len() == 1 || *what == "p99") {
            let mut points: Vec<_> = record.curve.iter().map(|point| (point.offered, value(point))).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            let name = if runs.len() > 1 { format!("{title}: {what}") } else { what.to_string() };
            let colour = if runs.len() > 1 { run } else { colour };
            series.push(Series { name, points, colour, is_dashed: false, has_dots: true });
        }
        if let Some(knee) = knee(&record.curve) {
            let of = if runs.len() > 1 { format!(" of {title}") } else { String::new() };
            marks.push((knee, format!("knee{of}: the highest rate at which the objective was kept")));
        }
    }
    series.truncate(LINES_MAX);
    Plot {
        id: format!("{id}-curve"),
        title: "Latency against rate".into(),
        description: "The response time at each rate that was offered.".into(),
        x: ("requests offered", Kind::FromZero, Unit::Rate),
        y: ("latency", Kind::Log, Unit::Micros),
        series,
        marks,
    }
}

/// The highest rate below the first one at which the objective was not kept.
fn knee(curve: &[Point]) -> Option<f64> {
    let mut points: Vec<_> = curve.iter().collect();
    points.sort_by(|a, b| a.offered.total_cmp(&b.offered));
    points.into_iter().take_while(|point| point.is_kept).last().map(|point| point.offered)
}

/// CPU time of the server for a request, thread by thread.
#[must_use]
pub fn cost(id: &str, runs: &[(String, &Summary)]) -> Bars {
    let mut threads: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (run, (_, summary)) in runs.iter().enumerate() {
        let ok = summary.kinds.iter().fold(0u64, |sum, kind| sum.saturating_add(kind.ok));
        for (name, seconds) in summary.server.iter().flat_map(|server| &server.threads) {
            let us = if ok > 0 { seconds * 1e6 / ok as f64 } else { 0.0 };
            let values = threads.entry(name).or_insert_with(|| vec![0.0; runs.len()]);
            values.splice(run..=run, [us]);
        }
    }
    let mut groups: Vec<(String, Vec<f64>)> =
        threads.into_iter().map(|(name, values)| (name.to_string(), values)).collect();
    groups.sort_by(|a, b| b.1.iter().sum::<f64>().total_cmp(&a.1.iter().sum()));
    groups.truncate(THREADS_MAX);
    Bars {
        id: format!("{id}-cost"),
        title: "What a request costs the server".into(),
        description: "CPU time of each of its threads for a request that was answered as asked, the busiest first."
            .into(),
        names: runs.iter().map(|(title, _)| title.clone()).collect(),
        groups,
    }
}
