//! A session: stores what is to be read, warms up, measures in rounds, and keeps what it saw.
//!
//! The main thread. Always: a session that loses its server gives what it had.

mod doubts;
pub mod hooks;
mod interrupt;
pub mod plan;
pub mod progress;
mod round;
pub mod saturate;
mod search;
mod software;
pub mod steady;
mod subject;

use crate::record::{FORMAT, Machine, Record, Target};
use interrupt::Interrupt;
use larder::base::utc::utc;
use plan::Plan;
use progress::Progress;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use subject::Subject;

/// What a session gave.
#[derive(Debug)]
pub struct Outcome {
    /// One for each target.
    pub records: Vec<Record>,
    /// Requests that failed, and contents that were wrong.
    pub failed: u64,
    /// Contents that were not those of their keys.
    pub wrong: u64,
    /// Why it did not go on to its end.
    pub errors: Vec<String>,
}

/// Runs a session.
///
/// # Errors
/// A line, when nothing could be measured: an unreachable server, objects that could not be stored, a request that the
/// protocol does not have.
pub fn run(plan: &Plan, arguments: &[String]) -> Result<Outcome, String> {
    let interrupt = Interrupt::catch()?;
    let mut progress = Progress::new(plan.quiet);
    if let Some(path) = &plan.ledger {
        // Better now than after the run. What is in it stays: it may be what is to be read.
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(path);
        opened.map_err(|error| format!("{}: cannot write: {error}", path.display()))?;
    }
    let mut subjects = Vec::new();
    for target in &plan.targets {
        let mut subject = Subject::new(plan, target, record(plan, target, arguments), &interrupt)?;
        subject.prepare(plan, &mut progress)?;
        subjects.push(subject);
    }
    if plan.drop_caches {
        drop_page_cache()?;
    }
    let mut errors = Vec::new();
    'rounds: for round in 0..plan.rounds {
        let mut order: Vec<usize> = (0..subjects.len()).collect();
        // ABBA: what drifts with time meets both alike.
        if round % 2 == 1 {
            order.reverse();
        }
        for place in order {
            let Some(subject) = subjects.get_mut(place) else {
                continue;
            };
            progress.begin(format!("{} round {}", subject.text(), round + 1));
            errors.extend(subject.round(plan, &mut progress)?);
            if !errors.is_empty() {
                break 'rounds;
            }
        }
    }
    progress.end();
    let mut outcome = Outcome { records: Vec::new(), failed: 0, wrong: 0, errors };
    for subject in subjects {
        outcome.failed += subject.failed;
        outcome.wrong += subject.wrong;
        let (record, error) = subject.finish(plan);
        outcome.records.push(record);
        outcome.errors.extend(error);
    }
    Ok(outcome)
}

fn record(plan: &Plan, target: &crate::driver::target::Target, arguments: &[String]) -> Record {
    Record {
        format: FORMAT,
        loadgen: env!("CARGO_PKG_VERSION").to_string(),
        began: now(),
        // The first is the name of the program.
        arguments: arguments.iter().skip(1).cloned().collect(),
        scenario: plan.scenario.name.to_string(),
        question: plan.scenario.question.to_string(),
        seed: plan.seed,
        target: Target {
            driver: target.kind.scheme().to_string(),
            address: target.address.to_string(),
            software: String::new(),
            durability: if plan.in_memory { "memory" } else { "disk" }.to_string(),
            is_local: false,
        },
        machine: Machine::default(),
        plan: plan.describe(),
        rounds: Vec::new(),
        curve: Vec::new(),
        doubts: Vec::new(),
        events: Vec::new(),
    }
}

fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    utc(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Writes back what is dirty and empties the page cache, so that reads meet the disk.
fn drop_page_cache() -> Result<(), String> {
    const FILE: &str = "/proc/sys/vm/drop_caches";
    let synced = Command::new("sync").status().map_err(|error| format!("sync: {error}"))?;
    if !synced.success() {
        return Err(format!("sync: {synced}"));
    }
    std::fs::write(FILE, "3").map_err(|error| format!("{FILE}: cannot write, for which one must be root: {error}"))
}
