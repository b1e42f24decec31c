//! `larder du`: how much is under a name.

use super::failure::{Failure, Failures};
use super::output;
use super::server::Server;
use super::thing::name;
use crate::base::path::NamePath;
use indicatif::BinaryBytes;
use serde_json::json;

/// Shows how much is under a name: bytes of content, files and directories
///
/// It is counted while changes go on, so it is exact only for a tree that rests.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  larder du /pictures /www")]
pub struct Du {
    /// The names
    #[arg(value_name = "PATH", default_value = "/", value_parser = name)]
    paths: Vec<NamePath>,

    /// Print a line of JSON for each name
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    server: Server,
}

impl Du {
    pub fn run(self) -> Result<(), Failure> {
        let client = self.server.connect("du")?;
        let mut failures = Failures::default();
        for path in &self.paths {
            match client.usage(path) {
                Ok(usage) if self.json => output::json_line(&json!({
                    "path": path.as_str(),
                    "bytes": usage.bytes,
                    "files": usage.files,
                    "directories": usage.directories,
                }))?,
                Ok(usage) => output::line(format!(
                    "{}\t{} files\t{} directories\t{path}",
                    BinaryBytes(usage.bytes),
                    usage.files,
                    usage.directories
                ))?,
                Err(error) => failures.add_of_many(Failure::of_client(path.as_str(), &error))?,
            }
        }
        failures.end()
    }
}
