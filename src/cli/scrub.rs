//! `larder scrub`: how far the disks of a node are checked, and a check at once.

use super::failure::{Exit, Failure};
use super::server::Server;
use super::{output, report};
use crate::client::Client;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::thread;
use std::time::Duration;

/// How often a node is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Shows how far each disk of a node is checked, or checks all of them at once
///
/// A node reads every byte of its disks around the page cache, spread over scrub_days, and checks it. What does not
/// verify is in the node's log, is listed here until the node restarts, and is answered DAMAGED from then on. Chunks of
/// uploads that never ended are deleted on the way, and counted as collected. Ends with 3 if the last check of a disk, or
/// the current one, has found anything.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  larder scrub
  larder scrub --now && echo all is sound
  larder scrub --json | jq '.disks[].found'")]
pub struct Scrub {
    /// Check everything now, as fast as scrub_bytes_per_s allows, and wait for the end
    #[arg(long)]
    now: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    server: Server,
}

impl Scrub {
    pub fn run(self) -> Result<(), Failure> {
        let client = self.server.connect("scrub")?;
        let told = if self.now { check(&client)? } else { ask(&client, false)? };
        if self.json {
            output::json(&told)?;
        } else {
            output::print(shown(&told).as_bytes())?;
        }
        if findings(&told) == 0 { Ok(()) } else { Err(Failure::Silent(Exit::Damaged)) }
    }
}

fn ask(client: &Client, now: bool) -> Result<Value, Failure> {
    client.scrub(now).map_err(|error| Failure::of_client("scrub", &error))
}

/// Starts a pass on each disk and waits for the last of them to end.
fn check(client: &Client) -> Result<Value, Failure> {
    let template = "{bar:30} {binary_bytes}/{binary_total_bytes} ({binary_bytes_per_sec}) {eta}";
    let style = ProgressStyle::with_template(template).expect("a template of this program");
    let bar = ProgressBar::no_length().with_style(style);
    let mut told = ask(client, true)?;
    while disks(&told).any(|disk| disk["scrub"]["requested"] == true) {
        // A disk that is done counts nothing more, and a bar does not go back.
        bar.set_length(sum(&told, "pass_bytes").max(bar.length().unwrap_or(0)));
        bar.set_position(sum(&told, "checked_bytes").max(bar.position()));
        thread::sleep(ASK_EVERY);
        told = ask(client, false)?;
    }
    bar.finish_and_clear();
    Ok(told)
}

fn disks(told: &Value) -> impl Iterator<Item = &Value> {
    told["disks"].as_array().into_iter().flatten()
}

fn sum(told: &Value, field: &str) -> u64 {
    disks(told).filter_map(|disk| disk["scrub"][field].as_u64()).sum()
}

/// What the current pass of each disk has found, or the last one where none runs.
fn findings(told: &Value) -> u64 {
    let of = |disk: &Value| {
        let number = |field: &str| disk["scrub"][field].as_u64().unwrap_or(0);
        let is_running = matches!(disk["scrub"]["state"].as_str(), Some("running" | "now"));
        number("findings") + if is_running { 0 } else { number("completed_findings") }
    };
    disks(told).map(of).sum()
}

/// A row for each disk, then one for each finding.
fn shown(told: &Value) -> String {
    let mut rows = Vec::new();
    let mut found = Vec::new();
    for disk in disks(told) {
        let mut row = disk["scrub"].clone();
        row["place"] = disk["place"].clone();
        for time in ["begun", "completed", "searched"] {
            if let Some(fields) = row.as_object_mut() {
                let at = fields.remove(&format!("{time}_ms")).and_then(|ms| ms.as_u64()).filter(|&ms| ms > 0);
                fields.insert(time.to_string(), at.map_or(json!("never"), |ms| json!(crate::base::utc::utc(ms))));
            }
        }
        rows.push(row);
        for finding in disk["found"].as_array().into_iter().flatten() {
            let mut finding = finding.clone();
            finding["place"] = disk["place"].clone();
            if let Some(sequence) = finding["sequence"].as_u64() {
                finding["sequence"] = json!(format!("{sequence:x}"));
            }
            found.push(finding);
        }
    }
    report::report(&json!({ "disks": rows, "found": found }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(state: &str, findings: u64, completed: u64) -> Value {
        let scrub = json!({
            "state": state, "findings": findings, "completed_findings": completed, "completed_ms": 0, "begun_ms": 1_000,
            "searched_ms": 86_400_000, "collected": 17,
        });
        let found = json!([{ "file": "v1", "offset": 70, "sequence": 31, "what": "zeros" }]);
        json!({ "disks": [{ "place": "/disk/a", "scrub": scrub, "found": found }] })
    }

    #[test]
    fn the_current_pass_counts_else_the_last() {
        assert_eq!(findings(&told("now", 2, 5)), 2);
        assert_eq!(findings(&told("resting", 0, 5)), 5);
        assert_eq!(findings(&told("running", 0, 5)), 0);
        assert_eq!(findings(&json!({})), 0);
    }

    #[test]
    fn findings_are_told_with_their_place() {
        let lines = shown(&told("resting", 0, 1));
        for part in ["never", "1970-01-01", "1970-01-02", "17", "/disk/a", "v1", "70", "1f", "zeros"] {
            assert!(lines.contains(part), "{part}: {lines}");
        }
    }
}
