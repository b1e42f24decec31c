//! `larder status`: the node at a glance.

use super::failure::Failure;
use super::server::Server;
use super::{output, report};

/// Shows a node: requests, queues, memory, disks
///
/// Times are in the unit that their name ends with (_us is microseconds). In long lists what is zero is left out; --json
/// has everything, with sizes as plain numbers of bytes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  larder status
  larder status --json | jq .disks")]
pub struct Status {
    /// Print the node's JSON as it is
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    server: Server,
}

impl Status {
    pub fn run(self) -> Result<(), Failure> {
        let client = self.server.connect("status")?;
        let status = client.status().map_err(|error| Failure::of_client("status", &error))?;
        if self.json { output::json(&status) } else { output::print(report::report(&status).as_bytes()) }
    }
}
