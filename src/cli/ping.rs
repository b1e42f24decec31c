//! `larder ping`: whether a node answers, and how fast.

use super::failure::Failure;
use super::output;
use super::server::Server;
use std::time::Instant;

/// Asks a node whether it answers, and prints how long that took
///
/// The time is that of one small frame there and back, on a connection that is open.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  larder ping --server 10.0.0.7:7400 --timeout-ms 1000 && echo alive")]
pub struct Ping {
    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    server: Server,
}

impl Ping {
    pub fn run(self) -> Result<(), Failure> {
        let client = self.server.connect("ping")?;
        let began = Instant::now();
        client.ping(&b"larder ping"[..]).map_err(|error| Failure::of_client("ping", &error))?;
        let us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let server = self.server.address();
        if self.json {
            return output::json_line(&serde_json::json!({ "server": server, "round_trip_us": us }));
        }
        output::line(format!("{server} answered in {us} us"))
    }
}
