//! `larder get`: a file or an object to a file or to standard output; a tree to a directory.

use super::failure::{Exit, Failure};
use super::get_tree;
use super::server::Server;
use super::target::Target;
use super::thing::Thing;
use crate::client::{Client, ClientError, DownloadOptions};
use crate::request::NameKind;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Reads a file or an object; with -r a directory and all that is in it
///
/// Every byte is verified before it is written. With -o the file appears whole or not at all; what was there before is
/// replaced. With -r the files of a directory go into DIR, which is made if it is missing; they keep their modification
/// times, and what is there of the same name is replaced.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  larder get /pictures/cat.jpg -o cat.jpg
  larder get -r /pictures pictures/
  larder get 3-1f-00c0ffee00c0ffee -o photo.jpg
  larder get 3-1f-00c0ffee00c0ffee | file -")]
pub struct Get {
    /// The name, which begins with /, or the ID of an object, as `larder put --id` printed it
    #[arg(value_name = "PATH|ID")]
    thing: Thing,

    /// With -r: where the files go
    #[arg(value_name = "DIR", requires = "recursive")]
    directory: Option<PathBuf>,

    /// Read all that is in a directory
    #[arg(short, long, requires = "directory", conflicts_with = "output")]
    recursive: bool,

    /// The file to write; - is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,

    /// With -r: files that may be on their way at once
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    in_flight: u16,

    /// With -r: print a line of JSON for each file
    #[arg(long, requires = "recursive")]
    json: bool,

    #[command(flatten)]
    server: Server,
}

impl Get {
    pub fn run(self) -> Result<(), Failure> {
        let thing = self.thing.to_string();
        if let Some(directory) = &self.directory {
            let Thing::Name(path) = &self.thing else {
                let line = format!("{thing}: an object is no directory: leave out -r, and name a file with -o");
                return Err(Failure::new(Exit::Usage, line));
            };
            let client = self.server.connect_for_files(&thing)?;
            return get_tree::get(&client, path, directory, self.in_flight.into(), self.json);
        }
        let client = self.server.connect(&thing)?;
        if self.output == Path::new("-") {
            let mut output = std::io::stdout().lock();
            read(&client, &self.thing, &mut output).map_err(|error| Failure::of_client(&thing, &error))?;
            return output.flush().map_err(|error| Failure::of_output(&error));
        }
        let of_file = |error: &std::io::Error| cannot_write(&self.output, error);
        let mut target = Target::create(&self.output).map_err(|error| of_file(&error))?;
        read(&client, &self.thing, &mut target).map_err(|error| not_read(&thing, &self.output, &error))?;
        target.finish().map_err(|error| of_file(&error))
    }
}

fn read(client: &Client, thing: &Thing, output: &mut impl Write) -> Result<NameKind, ClientError> {
    match thing {
        Thing::Name(path) => client.download(path, output, DownloadOptions::default()).map(|entry| entry.facts.kind),
        Thing::Object(id) => client.get_to(*id, output).map(|_| NameKind::File),
    }
}

/// Writing a file failed.
pub fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    let shown = super::report::printable(&path.display().to_string());
    Failure::new(Exit::Failed, format!("{shown}: cannot write: {error}"))
}

/// Reading `thing` into a file failed.
pub fn not_read(thing: &str, file: &Path, error: &ClientError) -> Failure {
    match error {
        ClientError::Output(error) => cannot_write(file, error),
        // Nothing is left of what came, so how much it was tells nobody anything.
        ClientError::BrokeOff { source, .. } => not_read(thing, file, source),
        _ => Failure::of_client(thing, error),
    }
}
