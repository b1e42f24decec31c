//! `larder mkdir`: makes directories.

use super::failure::{Failure, Failures};
use super::server::Server;
use super::thing::name;
use crate::base::path::NamePath;

/// Makes directories
///
/// Those that cannot be made are told on standard error, and the others go on.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  larder mkdir -p /pictures/2026/summer")]
pub struct Mkdir {
    /// The directories
    #[arg(value_name = "PATH", required = true, value_parser = name)]
    paths: Vec<NamePath>,

    /// Make what is missing above them, too, and take those that are there as made
    #[arg(short, long)]
    parents: bool,

    #[command(flatten)]
    server: Server,
}

impl Mkdir {
    pub fn run(self) -> Result<(), Failure> {
        let session = self.server.connect("mkdir")?.open_session();
        let session = session.map_err(|error| Failure::of_client("mkdir", &error))?;
        let mut failures = Failures::default();
        for path in &self.paths {
            if let Err(error) = session.make_directory(path, self.parents) {
                failures.add_of_many(Failure::of_client(path.as_str(), &error))?;
            }
        }
        failures.end()
    }
}
