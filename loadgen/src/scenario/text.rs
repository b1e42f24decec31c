//! The scenarios as text.

use super::SCENARIOS;
use std::fmt::Write;

/// A list of all of them: name, question, load, what to mind.
#[must_use]
pub fn list() -> String {
    let mut text = String::new();
    for scenario in &SCENARIOS {
        let mind = scenario.mind.split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = write!(
            text,
            "{}\n    {}\n    {}; {}; {} connections, {} in flight{}\n    {mind}\n\n",
            scenario.name,
            scenario.question,
            scenario.mix,
            scenario.size,
            scenario.connections,
            scenario.depth,
            if scenario.needs_rate { ", open loop" } else { "" },
        );
    }
    text.trim_end().to_string() + "\n"
}
