//! `larder mv`: another name for a file or a directory.

use super::failure::{Exit, Failure};
use super::output;
use super::server::Server;
use super::thing::{Destination, name};
use crate::base::path::NamePath;
use crate::request::Condition;
use serde_json::json;

/// Gives a file or a directory another name, in one step
///
/// A directory moves with all that is in it, at once. If TO ends with /, it is the directory to move into.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  larder mv /pictures/new.jpg /pictures/cat.jpg
  larder mv -f /site-new /site
  larder mv /pictures/cat.jpg /archive/")]
pub struct Mv {
    /// What it is called
    #[arg(value_name = "FROM", value_parser = name)]
    from: NamePath,

    /// What it shall be called
    #[arg(value_name = "TO")]
    to: Destination,

    /// Replace a file, or an empty directory, that has the new name
    #[arg(short = 'f', long)]
    replace: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    server: Server,
}

impl Mv {
    pub fn run(self) -> Result<(), Failure> {
        let to = self.destination()?;
        let thing = format!("{} to {to}", self.from);
        let failed = |error| Failure::of_client(&thing, &error);
        let session = self.server.connect(&thing)?.open_session().map_err(failed)?;
        let changed = session.rename(&self.from, &to, self.replace, Condition::Any).map_err(failed)?;
        if !self.json {
            return Ok(());
        }
        output::json_line(&json!({
            "from": self.from.as_str(),
            "path": to.as_str(),
            "version": changed.version,
            "replaced": changed.replaced,
        }))
    }

    fn destination(&self) -> Result<NamePath, Failure> {
        match self.from.split() {
            Some((_, name)) if self.to.is_directory => {
                let to = self.to.path.join(name);
                to.map_err(|bad| Failure::new(Exit::Usage, format!("{}: {bad}", self.to.path)))
            }
            _ => Ok(self.to.path.clone()),
        }
    }
}

#[test]
fn a_slash_at_the_end_is_a_directory_to_move_into() {
    use super::{Command, CommandLine};
    use clap::Parser;
    for (to, want) in [("/b", "/b"), ("/b/", "/b/x"), ("/", "/x")] {
        let Command::Mv(mv) = CommandLine::parse_from(["larder", "mv", "/a/x", to]).command else { panic!() };
        assert_eq!(mv.destination().unwrap().as_str(), want);
    }
}
