//! Reads back what was acknowledged.

use super::exit::Exit;
use super::load::LoadArguments;
use super::output;
use crate::scenario::Scenario;
use crate::session;
use clap::{Args, FromArgMatches};
use std::path::PathBuf;

/// Arguments of an audit.
#[derive(Debug, clap::Args)]
pub(super) struct Audit {
    /// Whom to ask, as of a load
    #[arg(long, visible_alias = "server", env = "LARDER_SERVER", default_value = "127.0.0.1:7400", value_name = "URL")]
    target: String,

    /// The ledger, as a load wrote it with --ledger
    #[arg(long, value_name = "FILE")]
    ids: PathBuf,

    /// Connections
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=4096))]
    connections: u32,

    /// Print the record instead of a table
    #[arg(long)]
    json: bool,
}

/// Reads each object of the ledger once.
pub(super) fn audit(audit: &Audit, arguments: &[String]) -> Result<Exit, String> {
    let ids = audit.ids.display().to_string();
    let connections = audit.connections.to_string();
    let mut given = vec!["audit", "--target", &audit.target, "--ids", &ids, "--connections", &connections];
    given.extend(["--mix", "get=1", "--keys", "once", "--depth", "8", "--verify", "all", "--count", "1000000000000"]);
    if audit.json {
        given.push("--json");
    }
    let matches = LoadArguments::augment_args(clap::Command::new("audit")).try_get_matches_from(given);
    let load =
        matches.and_then(|matches| LoadArguments::from_arg_matches(&matches)).map_err(|error| error.to_string())?;
    let scenario = Scenario::of("run").expect("it is in the table");
    let plan = load.plan(scenario)?;
    let mut outcome = session::run(&plan, arguments)?;
    // It reads as fast as it can, and measures nothing.
    for record in &mut outcome.records {
        record.scenario = "audit".to_string();
        record.question = "Is everything there that was acknowledged, as it was?".to_string();
        record.doubts.retain(|doubt| doubt.name == "wrong" || doubt.name == "lost");
    }
    output::session(&load, &outcome)
}
