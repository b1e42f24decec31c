//! `larder get`: an object to a file or to standard output.

use super::failure::{Exit, Failure};
use super::server::Server;
use super::target::Target;
use crate::base::ids::ObjectId;
use crate::client::ClientError;
use std::path::{Path, PathBuf};

/// Reads an object
///
/// Every byte is verified before it is written. With -o the file appears whole or not at all; what was there before is
/// replaced.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  larder get 3-1f-00c0ffee00c0ffee -o photo.jpg
  larder get 3-1f-00c0ffee00c0ffee | file -")]
pub struct Get {
    /// The object, as `larder put` printed it
    #[arg(value_name = "ID")]
    id: ObjectId,

    /// The file to write; - is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,

    #[command(flatten)]
    server: Server,
}

impl Get {
    pub fn run(self) -> Result<(), Failure> {
        let thing = self.id.to_string();
        let client = self.server.connect(&thing)?;
        if self.output == Path::new("-") {
            let mut output = std::io::stdout().lock();
            client.get_to(self.id, &mut output).map_err(|error| Failure::of_client(&thing, &error))?;
            return std::io::Write::flush(&mut output).map_err(|error| Failure::of_output(&error));
        }
        let of_file = |error: &std::io::Error| {
            Failure::new(Exit::Failed, format!("{}: cannot write: {error}", self.output.display()))
        };
        let mut target = Target::create(&self.output).map_err(|error| of_file(&error))?;
        client.get_to(self.id, &mut target).map_err(|error| match &error {
            ClientError::Output(error) => of_file(error),
            ClientError::BrokeOff { source, .. } => match &**source {
                ClientError::Output(error) => of_file(error),
                // Nothing is left of what came, so how much it was tells nobody anything.
                other => Failure::of_client(&thing, other),
            },
            _ => Failure::of_client(&thing, &error),
        })?;
        target.finish().map_err(|error| of_file(&error))
    }
}
