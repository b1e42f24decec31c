//! `larder ls`: the names in a directory.

use super::facts::name_facts;
use super::failure::{Exit, Failure};
use super::listing::Listing;
use super::output::Lines;
use super::report::printable;
use super::server::Server;
use super::thing::name;
use crate::base::path::NamePath;
use crate::base::utc::utc;
use crate::client::Client;
use crate::request::{NameFacts, NameKind};

/// Lists the names in a directory, in order
///
/// Directories end with /. With -l each line has size, time of the last change and name; with -r all that is below is
/// listed, by its path.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  larder ls
  larder ls -l /pictures
  larder ls -r --json / | jq -r .path")]
pub struct Ls {
    /// The directory
    #[arg(value_name = "PATH", default_value = "/", value_parser = name)]
    path: NamePath,

    /// Show sizes and times
    #[arg(short, long)]
    long: bool,

    /// List what is in the directories below, too
    #[arg(short, long)]
    recursive: bool,

    /// Print a line of JSON for each name
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    server: Server,
}

impl Ls {
    pub fn run(self) -> Result<(), Failure> {
        let client = self.server.connect(self.path.as_str())?;
        let mut lines = Lines::default();
        let outcome = self.list(&client, &mut |line| lines.add(line));
        // What came before a failure is told, too.
        lines.end()?;
        outcome
    }

    fn list(&self, client: &Client, add: &mut dyn FnMut(String) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut listing = Listing::of(client, &self.path, self.recursive).peekable();
        // Only what is no directory is looked up: most lists are of directories.
        if let Some(Err(Failure::Told(Exit::Conflict, _))) = listing.peek() {
            let entry = client.stat_name(&self.path);
            let entry = entry.map_err(|error| Failure::of_client(self.path.as_str(), &error))?;
            return add(self.line(&self.path, &entry.facts));
        }
        for found in listing {
            let (path, facts) = found?;
            add(self.line(&path, &facts))?;
        }
        Ok(())
    }

    fn line(&self, path: &NamePath, facts: &NameFacts) -> String {
        if self.json {
            return name_facts(path, facts).to_string();
        }
        let name = match path.split() {
            Some((_, name)) if !self.recursive => name,
            _ => path.as_str(),
        };
        let (end, size) = match facts.kind {
            NameKind::Directory => ("/", "-".to_owned()),
            NameKind::File => ("", facts.size.to_string()),
        };
        let name = format!("{}{end}", printable(name));
        if self.long { format!("{size:>13}  {}  {name}", utc(facts.modified_ms)) } else { name }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Command, CommandLine};
    use super::*;
    use crate::client::memory::MemoryNode;
    use clap::Parser;

    #[test]
    fn names_are_listed_plain_long_and_all_the_way_down() {
        let node = MemoryNode::new();
        let client = node.client(Client::builder());
        let session = client.open_session().unwrap();
        session.make_directory(&NamePath::parse(b"/b/deep").unwrap(), true).unwrap();
        node.with(|state| {
            state.page_max = 1;
            state.replace("/a", b"12345");
            state.replace("/b/x", b"");
        });
        let list = |arguments: &[&str]| {
            let Command::Ls(ls) = CommandLine::parse_from(["larder", "ls"].iter().chain(arguments)).command else {
                panic!("it is an ls")
            };
            let mut lines = Vec::new();
            let outcome = ls.list(&client, &mut |line| {
                lines.push(line);
                Ok(())
            });
            outcome.map(|()| lines)
        };
        assert_eq!(list(&[]).unwrap(), ["a", "b/"]);
        assert_eq!(list(&["-r"]).unwrap(), ["/a", "/b/", "/b/deep/", "/b/x"]);
        assert_eq!(list(&["-l", "/a"]).unwrap(), ["            5  1970-01-01T00:00:00.002Z  a"], "a file lists itself");
        let json = list(&["--json", "/b"]).unwrap();
        let facts: serde_json::Value = serde_json::from_str(&json[1]).unwrap();
        assert_eq!((&facts["path"], &facts["kind"], &facts["size_bytes"]), (&"/b/x".into(), &"file".into(), &0.into()));
        assert!(matches!(list(&["/no"]), Err(Failure::Told(Exit::NotFound, _))));
    }
}
