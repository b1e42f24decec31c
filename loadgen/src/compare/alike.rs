//! Whether two sides did the same work, on the same machine.
//!
//! Any thread; pure. Always: what is asked (the store) may differ, as that is what one compares; the work and the machine
//! may not.

use crate::record::Record;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Something in which two sides are not alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What differs: "scenario", "plan: depth", "machine: processors".
    pub what: String,
    /// In the first record of A, or the one before.
    pub a: String,
    /// In the other.
    pub b: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} and {}", self.what, self.a, self.b)
    }
}

/// All differences to the first record of A: of the others of A too, as a side must be one thing.
#[must_use]
pub fn differences(a: &[Record], b: &[Record]) -> Vec<Difference> {
    let mut found = Vec::new();
    let Some((first, others)) = a.split_first() else { return found };
    let traits = traits(first);
    for other in others.iter().chain(b) {
        let theirs = self::traits(other);
        let names: BTreeSet<_> = traits.keys().chain(theirs.keys()).collect();
        for name in names {
            let text = |traits: &BTreeMap<String, String>| traits.get(name).cloned().unwrap_or_else(|| "none".into());
            let difference = Difference { what: name.clone(), a: text(&traits), b: text(&theirs) };
            if difference.a != difference.b && !found.contains(&difference) {
                found.push(difference);
            }
        }
    }
    found
}

/// All that must be the same.
fn traits(record: &Record) -> BTreeMap<String, String> {
    let machine = &record.machine;
    let mut traits: BTreeMap<String, String> = [
        ("scenario", record.scenario.clone()),
        ("machine: kernel", machine.kernel.clone()),
        ("machine: processor", machine.processor.clone()),
        ("machine: processors", machine.processors.to_string()),
        ("machine: generator on", machine.generator_processors.clone()),
        ("machine: server on", machine.server_processors.clone()),
        ("server is local", record.target.is_local.to_string()),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .into();
    // A put that is on disk and one that is in memory are different work. Reads are the same.
    if stores(record) {
        traits.insert("durability".to_string(), record.target.durability.clone());
    }
    traits.extend(record.plan.iter().map(|(name, value)| (format!("plan: {name}"), value.clone())));
    traits
}

fn stores(record: &Record) -> bool {
    let mut names = record.rounds.iter().flat_map(|round| round.requests.keys());
    names.any(|name| name.split(' ').any(|word| ["put", "create", "delete"].contains(&word)))
}
