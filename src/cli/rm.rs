//! `larder rm`: deletes objects.

use super::failure::{Failure, Failures};
use super::output;
use super::server::Server;
use crate::base::ids::ObjectId;
use std::collections::VecDeque;

/// Deletions that may be on their way at once: a group commit takes them together.
const IN_FLIGHT_MAX: usize = 64;

/// Deletes objects
///
/// Deleting twice is no failure; deleting what never was is. What cannot be deleted is told on standard error, and the
/// others go on.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  larder rm 3-1f-00c0ffee00c0ffee
  cut -f1 ids.tsv | xargs larder rm")]
pub struct Rm {
    /// The objects, as `larder put` printed them
    #[arg(value_name = "ID", required = true)]
    ids: Vec<ObjectId>,

    /// Print a line of JSON for each object that is deleted
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    server: Server,
}

impl Rm {
    pub fn run(self) -> Result<(), Failure> {
        let client = self.server.connect("rm")?;
        let mut failures = Failures::default();
        let mut window = VecDeque::new();
        let mut ids = self.ids.iter();
        loop {
            while window.len() < IN_FLIGHT_MAX
                && let Some(id) = ids.next()
            {
                window.push_back((id, client.submit_delete(*id)));
            }
            let Some((id, ticket)) = window.pop_front() else {
                return failures.end();
            };
            match ticket.wait() {
                Ok(durability) if self.json => {
                    output::json_line(&serde_json::json!({ "id": id.to_string(), "durability": durability }))?;
                }
                Ok(_) => {}
                Err(error) => failures.add(Failure::of_client(&id.to_string(), &error))?,
            }
        }
    }
}
