//! What a run gave, as a table or as JSON.

use crate::Verdict;
use crate::arguments::Load;
use crate::run::Outcome;
use crate::tally::Tally;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;

const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// Prints a run.
///
/// # Errors
/// A line, when standard output cannot be written to.
pub fn print(load: &Load, outcome: &Outcome) -> Result<Verdict, String> {
    let text = if load.json { format!("{:#}\n", json(load, outcome)) } else { table(load, outcome) };
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(format!("standard output: {error}")),
        _ => Ok(Verdict {
            wrong: outcome.put.wrong + outcome.get.wrong,
            failed: outcome.put.failed() + outcome.get.failed(),
        }),
    }
}

fn kinds(outcome: &Outcome) -> Vec<(&'static str, &Tally)> {
    let all = [("put", &outcome.put), ("get", &outcome.get)];
    let used = |(_, tally): &(_, &Tally)| !tally.service.is_empty() || tally.lost > 0;
    all.into_iter().filter(used).collect()
}

fn per_second(count: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() { 0.0 } else { count as f64 / elapsed.as_secs_f64() }
}

/// Megabytes are 10^6 bytes, as networks and disks are sold.
fn megabytes_per_second(tally: &Tally, elapsed: Duration) -> f64 {
    per_second(tally.bytes, elapsed) / 1e6
}

fn table(load: &Load, outcome: &Outcome) -> String {
    let loop_kind = match load.rate {
        Some(rate) => format!("open loop at {rate}/s"),
        None => "closed loop".to_string(),
    };
    let mut text = format!(
        "{} connections, {} in flight each, {loop_kind}, {:.3} s\n\n",
        load.connections,
        load.in_flight,
        outcome.elapsed.as_secs_f64()
    );
    text += &format!("{:6}{:>12}{:>10}{:>8}{:>8}{:>12}{:>10}\n", "", "ok", "refused", "lost", "wrong", "ok/s", "MB/s");
    for (name, tally) in kinds(outcome) {
        let refused: u64 = tally.refused.values().sum();
        let (rate, megabytes) = (per_second(tally.done, outcome.elapsed), megabytes_per_second(tally, outcome.elapsed));
        text += &format!(
            "{name:6}{:>12}{refused:>10}{:>8}{:>8}{rate:>12.1}{megabytes:>10.1}\n",
            tally.done, tally.lost, tally.wrong
        );
    }
    text += &format!("\n{:14}", "latency, us");
    for (quantile, _) in QUANTILES {
        text += &format!("{quantile:>12}");
    }
    text += &format!("{:>12}\n", "max");
    for (name, tally) in kinds(outcome) {
        text += &latencies(&format!("{name} service"), &tally.service);
        if !tally.response.is_empty() {
            text += &latencies(&format!("{name} response"), &tally.response);
        }
    }
    for (name, tally) in kinds(outcome) {
        for (status, count) in &tally.refused {
            text += &format!("\n{name}: {status} {count}");
        }
    }
    for end in &outcome.ends {
        text += &format!("\n{end}");
    }
    text.trim_end().to_string() + "\n"
}

fn latencies(title: &str, histogram: &Histogram<u64>) -> String {
    let mut line = format!("{title:14}");
    for (_, quantile) in QUANTILES {
        line += &format!("{:>12}", histogram.value_at_quantile(quantile));
    }
    line + &format!("{:>12}\n", histogram.max())
}

fn json(load: &Load, outcome: &Outcome) -> Value {
    let kinds = kinds(outcome).into_iter().map(|(name, tally)| {
        let value = json!({
            "ok": tally.done,
            "bytes": tally.bytes,
            "wrong": tally.wrong,
            "lost": tally.lost,
            "refused": tally.refused,
            "ok_per_second": per_second(tally.done, outcome.elapsed),
            "megabytes_per_second": megabytes_per_second(tally, outcome.elapsed),
            "service_us": quantiles(&tally.service),
            "response_us": if tally.response.is_empty() { Value::Null } else { quantiles(&tally.response) },
        });
        (name.to_string(), value)
    });
    json!({
        "connections": load.connections,
        "in_flight": load.in_flight,
        "rate": load.rate,
        "seconds": outcome.elapsed.as_secs_f64(),
        "requests": kinds.collect::<serde_json::Map<_, _>>(),
        "ends": outcome.ends,
    })
}

fn quantiles(histogram: &Histogram<u64>) -> Value {
    let quantiles =
        QUANTILES.into_iter().map(|(name, quantile)| (name.to_string(), json!(histogram.value_at_quantile(quantile))));
    Value::Object(quantiles.chain([("max".to_string(), json!(histogram.max()))]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Arguments, Command};
    use clap::Parser;
    use larder::request::Status;

    fn load(arguments: &[&str]) -> Load {
        let all = ["loadgen", "put"].iter().chain(arguments);
        let Command::Put(load) = Arguments::try_parse_from(all).unwrap().command else { panic!("it is a put") };
        load
    }

    fn outcome() -> Outcome {
        let mut outcome = Outcome { elapsed: Duration::from_secs(2), ends: vec!["lost".into()], ..Outcome::default() };
        for us in 1..=1000 {
            let (service, wait) = (Duration::from_micros(us), Duration::from_micros(1000));
            outcome.put.answered(Status::Ok, 4096, service, Some(wait));
        }
        outcome.put.answered(Status::Busy, 0, Duration::from_micros(5), None);
        outcome
    }

    #[test]
    fn a_table_of_a_run() {
        let want = "\
4 connections, 8 in flight each, open loop at 500/s, 2.000 s

                ok   refused    lost   wrong        ok/s      MB/s
put           1000         1       0       0       500.0       2.0

latency, us            p50         p90         p99       p99.9         max
put service            500         900         990         999        1000
put response          1500        1900        1990        1999        2000

put: BUSY 1
lost
";
        assert_eq!(table(&load(&["--rate", "500"]), &outcome()), want);
    }

    #[test]
    fn the_same_as_json() {
        let value = json(&load(&[]), &outcome());
        assert_eq!(value.pointer("/requests/put/ok"), Some(&json!(1000)));
        assert_eq!(value.pointer("/requests/put/refused/BUSY"), Some(&json!(1)));
        assert_eq!(value.pointer("/requests/put/response_us/p99"), Some(&json!(1990)));
        assert_eq!(value.pointer("/requests/get"), None);
    }
}
