//! The tables at the end of a run, for a terminal.
//!
//! Any thread; pure. Always: what is not to be believed is said first.

use super::units::{self, bytes, count, digits, printable, rate};
use crate::record::summary::{Kind, Summary};
use crate::record::{Cost, Doubt, Record};
use hdrhistogram::Histogram;

/// Percentiles of the tables.
pub const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];
/// Threads that are named.
const THREADS: usize = 5;

/// A record as text, ending in a line break.
#[must_use]
pub fn text(record: &Record) -> String {
    let summary = Summary::of(record);
    let mut text = verdict(record);
    text += &heading(record, &summary);
    text += &requests(&summary);
    text += &latencies(&summary);
    text += &silence(record);
    if let Some(server) = &summary.server {
        text += &cost(server, &summary);
    }
    text += &curve(record);
    text += &remarks(record, &summary);
    text
}

/// What a run is not valid for, with the doubts that say so; empty if it is valid.
#[must_use]
pub fn verdict(record: &Record) -> String {
    let figures = ["rate", "latency", "cost"].into_iter().filter(|figure| !record.is_valid_for(figure));
    let spoiled = figures.collect::<Vec<_>>().join(", ");
    if spoiled.is_empty() {
        return String::new();
    }
    let mut text = format!("INVALID for {spoiled}\n");
    for doubt in record.doubts.iter().filter(|doubt| !doubt.spoils.is_empty()) {
        text += &format!("  {}\n", self::doubt(doubt));
    }
    text + "\n"
}

fn doubt(doubt: &Doubt) -> String {
    printable(&format!("{}: {}", doubt.name, doubt.detail))
}

fn heading(record: &Record, summary: &Summary) -> String {
    let target = &record.target;
    let rounds = match record.rounds.len() {
        1 => "1 round".to_string(),
        number => format!("{number} rounds"),
    };
    let line = format!(
        "{}: {} at {}, done means {}; {rounds}, {} s measured, seed {}",
        record.scenario,
        if target.software.is_empty() { &target.driver } else { &target.software },
        target.address,
        if target.durability.is_empty() { "unknown" } else { &target.durability },
        digits(summary.seconds),
        record.seed,
    );
    let plan = record.plan.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join("; ");
    format!("{}\n{}\n\n", printable(&line), printable(&plan))
}

fn requests(summary: &Summary) -> String {
    let mut table = Table::of(&["requests", "ok", "ok/s", "MB/s", "refused", "shed", "lost", "wrong", "verified"]);
    for kind in &summary.kinds {
        let refused: u64 = kind.refused.values().fold(0, |sum, count| sum.saturating_add(*count));
        table.row(vec![
            printable(&kind.name),
            count(kind.ok),
            rate(summary.per_second(kind.ok)),
            digits(summary.per_second(kind.bytes) / 1e6),
            count(refused),
            count(kind.shed),
            count(kind.lost),
            count(kind.wrong),
            count(kind.verified),
        ]);
    }
    let mut text = table.text();
    for kind in &summary.kinds {
        for (reason, number) in kind.refused.iter().filter(|(_, number)| **number > 0) {
            text += &format!("  {} refused as {}: {}\n", printable(&kind.name), printable(reason), count(*number));
        }
    }
    text + "\n"
}

fn latencies(summary: &Summary) -> String {
    let mut names = vec!["latency, us"];
    names.extend(QUANTILES.map(|(name, _)| name));
    names.push("max");
    let mut table = Table::of(&names);
    for kind in &summary.kinds {
        for (name, histogram) in series(kind) {
            table.row(percentiles(format!("{} {name}", printable(&kind.name)), histogram));
        }
    }
    if table.rows.is_empty() { String::new() } else { table.text() + "\n" }
}

/// The longest time that nobody was served, which percentiles do not show.
fn silence(record: &Record) -> String {
    let longest = record.rounds.iter().map(|round| round.longest_silence_seconds).fold(0.0, f64::max);
    format!("longest time without a good answer: {} ms\n\n", digits(longest * 1e3))
}

/// The histograms of a kind that hold something.
fn series(kind: &Kind) -> impl Iterator<Item = (&'static str, &Histogram<u64>)> {
    [("service", &kind.service), ("response", &kind.response), ("lag", &kind.lag), ("refusal", &kind.refusal)]
        .into_iter()
        .filter(|(_, histogram)| !histogram.is_empty())
}

fn percentiles(name: String, histogram: &Histogram<u64>) -> Vec<String> {
    let us = |ns: u64| format!("{:.1}", ns as f64 / 1e3);
    let mut row = vec![name];
    row.extend(QUANTILES.map(|(_, quantile)| us(histogram.value_at_quantile(quantile))));
    row.push(us(histogram.max()));
    row
}

fn cost(server: &Cost, summary: &Summary) -> String {
    let mut threads: Vec<_> = server.threads.iter().collect();
    threads.sort_by(|a, b| b.1.total_cmp(a.1));
    let share = |seconds: f64| if summary.seconds > 0.0 { 100.0 * seconds / summary.seconds } else { 0.0 };
    let named = threads.iter().take(THREADS).map(|(name, seconds)| format!("{name} {:.1} %", share(**seconds)));
    let others = match threads.len().saturating_sub(THREADS) {
        0 => String::new(),
        number => format!(", and {number} more"),
    };
    let mut text = format!(
        "server      {} us of CPU per request; {} s in all, {:.1} % of the time ready and waiting\n",
        digits(server.cpu_us_per_request),
        digits(server.cpu_seconds),
        share(server.wait_seconds),
    );
    if !threads.is_empty() {
        text += &format!("  threads   {}{others}\n", printable(&named.collect::<Vec<_>>().join(", ")));
    }
    text += &format!(
        "  files     {} read from devices, at most {} dirtied\n",
        bytes(server.read_bytes as f64),
        bytes(server.dirtied_bytes as f64),
    );
    if let Some(device) = server.device {
        text += &format!(
            "  device    {} read in {} reads, {} written in {} writes, for all processes\n",
            bytes(device.read_bytes as f64),
            count(device.reads),
            bytes(device.written_bytes as f64),
            count(device.writes),
        );
    }
    if let Some(syncs) = server.syncs {
        text += &format!("  syncs     {}\n", count(syncs));
    }
    text + &format!(
        "  memory    {} resident, {} at most; {} context switches\n\n",
        bytes(server.resident_bytes as f64),
        bytes(server.resident_bytes_max as f64),
        count(server.switches),
    )
}

fn curve(record: &Record) -> String {
    if record.curve.is_empty() {
        return String::new();
    }
    let mut table = Table::of(&["offered/s", "ok/s", "p50 us", "p99 us", "p99.9 us", "CPU us", "objective"]);
    for point in &record.curve {
        table.row(vec![
            rate(point.offered),
            rate(point.achieved),
            digits(point.p50_us),
            digits(point.p99_us),
            digits(point.p999_us),
            point.server_cpu_us.map_or_else(|| "-".to_string(), digits),
            if point.is_kept { "kept".to_string() } else { printable(&point.why) },
        ]);
    }
    table.text() + "\n"
}

fn remarks(record: &Record, summary: &Summary) -> String {
    let mut text = String::new();
    for doubt in record.doubts.iter().filter(|doubt| doubt.spoils.is_empty()) {
        text += &format!("remark: {}\n", self::doubt(doubt));
    }
    for damage in &summary.damaged {
        text += &format!("damaged: {}\n", printable(damage));
    }
    for event in &record.events {
        text += &format!("at {} s: {}\n", units::digits(event.at_seconds), printable(&event.what));
    }
    text
}

/// Columns of text: the first to the left, the others to the right.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    names: Vec<String>,
}

impl Table {
    pub(super) fn of(names: &[&str]) -> Self {
        Self { rows: Vec::new(), names: names.iter().map(ToString::to_string).collect() }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(super) fn text(&self) -> String {
        let lines = || std::iter::once(&self.names).chain(&self.rows);
        let width = |column: usize| lines().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..self.names.len()).map(|column| width(column).unwrap_or(0)).collect();
        let mut text = String::new();
        for row in lines() {
            let cells = row.iter().zip(&widths).enumerate().map(|(index, (cell, width))| match index {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            text += cells.collect::<Vec<_>>().join("  ").trim_end();
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::made_up;

    #[test]
    fn a_run_is_tables() {
        let text = text(&made_up::record(1));
        assert!(text.starts_with("get-hot: larder 0.1.0 at 127.0.0.1:7420, done means disk; 1 round, 60 s"), "{text}");
        for expected in [
            "requests            ok  ok/s",
            "get             30 000   500",
            "get refused as BUSY: 17",
            "latency, us                p50",
            "get response",
            "get lag",
            "7.1 us of CPU per request",
            "processor-0 0.3 %",
            "syncs     1 210",
            "remark: contended",
            "at 20 s: stop the server",
            "110 k",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    }

    #[test]
    fn what_is_invalid_is_said_first() {
        let mut record = made_up::record(1);
        record.doubts.push(Doubt {
            name: "lag".into(),
            detail: "p99 of 4 ms\x1b[0m".into(),
            spoils: vec!["latency".into(), "rate".into()],
        });
        let text = text(&record);
        assert!(text.starts_with("INVALID for rate, latency\n  lag: p99 of 4 ms\u{fffd}[0m\n\n"), "{text}");
    }

    #[test]
    fn a_run_that_saw_nothing_is_told_too() {
        let mut record = made_up::record(1);
        record.rounds = vec![crate::record::Round::default()];
        record.curve.clear();
        record.target.software = "a\nb".into();
        let text = text(&record);
        assert!(!text.contains("NaN") && !text.contains("inf") && text.contains("a\u{fffd}b"), "{text}");
    }
}
