//! `larder rm`: removes names and deletes objects.

use super::failure::{Failure, Failures};
use super::progress::counter;
use super::server::Server;
use super::thing::Thing;
use super::{output, workers};
use crate::base::ids::ObjectId;
use crate::base::path::NamePath;
use crate::client::{Client, NameSession};
use crate::request::{Changed, Condition, Status};
use serde_json::json;
use std::collections::VecDeque;
use std::time::Duration;

/// Deletions that may be on their way at once: a group commit takes them together.
const IN_FLIGHT_MAX: usize = 64;

/// How often the node is asked how far a removal is.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Removes files, directories and objects
///
/// A directory must be empty, unless -r is given: then its name goes at once, and what is in it goes in the background.
/// That is waited for, unless --no-wait is given; it goes on also when this command ends. Deleting an object twice is no
/// failure; deleting what never was is. What cannot be removed is told on standard error, and the others go on.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  larder rm /pictures/cat.jpg
  larder rm -r /pictures/2019
  larder rm 3-1f-00c0ffee00c0ffee
  cut -f1 ids.tsv | xargs larder rm")]
pub struct Rm {
    /// Names, which begin with /, and IDs of objects, as `larder put --id` printed them
    #[arg(value_name = "PATH|ID", required = true)]
    things: Vec<Thing>,

    /// Remove directories with all that is in them
    #[arg(short, long)]
    recursive: bool,

    /// With -r: do not wait until the content is gone
    #[arg(long, requires = "recursive")]
    no_wait: bool,

    /// Print a line of JSON for each thing that is removed
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    server: Server,
}

impl Rm {
    pub fn run(self) -> Result<(), Failure> {
        let client = self.server.connect("rm")?;
        let mut failures = Failures::default();
        let (mut names, mut objects) = (Vec::new(), Vec::new());
        for thing in &self.things {
            match thing {
                Thing::Name(path) => names.push(path.clone()),
                Thing::Object(id) => objects.push(*id),
            }
        }
        self.delete(&client, &objects, &mut failures)?;
        if !names.is_empty() {
            self.remove(&client, names, &mut failures)?;
        }
        failures.end()
    }

    fn delete(&self, client: &Client, ids: &[ObjectId], failures: &mut Failures) -> Result<(), Failure> {
        let mut window = VecDeque::new();
        let mut ids = ids.iter();
        loop {
            while window.len() < IN_FLIGHT_MAX
                && let Some(id) = ids.next()
            {
                window.push_back((id, client.submit_delete(*id)));
            }
            let Some((id, ticket)) = window.pop_front() else {
                return Ok(());
            };
            match ticket.wait() {
                Ok(durability) if self.json => {
                    output::json_line(&json!({ "id": id.to_string(), "durability": durability }))?;
                }
                Ok(_) => {}
                Err(error) => failures.add(Failure::of_client(&id.to_string(), &error))?,
            }
        }
    }

    fn remove(&self, client: &Client, names: Vec<NamePath>, failures: &mut Failures) -> Result<(), Failure> {
        let session = client.open_session().map_err(|error| Failure::of_client("rm", &error))?;
        let tree = self.recursive;
        let mut removals = Vec::new();
        workers::each(
            names.len().min(IN_FLIGHT_MAX),
            names.into_iter().map(Ok),
            move |path| remove(&session, path, tree),
            |done| match done {
                Ok((path, changed)) => {
                    removals.extend((changed.removal != 0).then_some((path.clone(), changed.removal)));
                    if !self.json {
                        return Ok(());
                    }
                    let removal = Some(changed.removal).filter(|removal| *removal != 0);
                    let fact = json!({ "path": path.as_str(), "version": changed.version, "removal": removal });
                    output::json_line(&fact)
                }
                Err(failure) => failures.add_of_many(failure),
            },
        )?;
        if self.no_wait {
            return Ok(());
        }
        removals.iter().try_for_each(|(path, removal)| wait(client, path, *removal))
    }
}

fn remove(session: &NameSession, path: NamePath, tree: bool) -> Result<(NamePath, Changed), Failure> {
    match session.remove(&path, tree, Condition::Any) {
        Ok(changed) => Ok((path, changed)),
        Err(error) => Err(Failure::of_client(path.as_str(), &error)),
    }
}

/// Waits until nothing is left of a tree.
fn wait(client: &Client, path: &NamePath, removal: u64) -> Result<(), Failure> {
    let bar = counter("names removed");
    let outcome = loop {
        match client.removal(removal) {
            Ok(removal) => {
                bar.set_position(removal.names);
                if removal.done {
                    break Ok(());
                }
            }
            // It is so long done that the node does not know it any more.
            Err(error) if error.status() == Some(Status::NotFound) => break Ok(()),
            Err(error) => {
                let thing = format!("{path}: its name is gone, its content is being removed");
                break Err(Failure::of_client(&thing, &error));
            }
        }
        std::thread::sleep(LOOK_EVERY);
    };
    bar.finish_and_clear();
    outcome
}

#[cfg(test)]
mod tests {
    use super::super::{Command, CommandLine};
    use super::*;
    use crate::client::memory::MemoryNode;
    use crate::wire::Opcode;
    use clap::Parser;

    #[test]
    fn names_go_and_trees_are_waited_for() {
        let node = MemoryNode::new();
        let client = node.client(Client::builder());
        let run = |arguments: &[&str]| {
            let Command::Rm(rm) = CommandLine::parse_from(["larder", "rm"].iter().chain(arguments)).command else {
                panic!("it is an rm")
            };
            let names = arguments.iter().filter(|argument| argument.starts_with('/'));
            let names = names.map(|name| NamePath::parse(name.as_bytes()).unwrap()).collect();
            let mut failures = Failures::default();
            rm.remove(&client, names, &mut failures).and_then(|()| failures.end())
        };
        node.with(|state| ["/a", "/b", "/d/x", "/d/y", "/e/x"].map(|name| state.replace(name, b"x")));
        let session = client.open_session().unwrap();
        for name in ["/d", "/e", "/empty"] {
            session.make_directory(&NamePath::parse(name.as_bytes()).unwrap(), true).unwrap();
        }
        assert_eq!(run(&["/a", "/b", "/empty"]), Ok(()));
        assert_eq!(run(&["/a", "/d"]), Err(Failure::Silent(super::super::failure::Exit::Failed)));
        assert_eq!(run(&["-r", "/d"]), Ok(()));
        assert_eq!(node.asked(Opcode::Removal), 2);
        assert_eq!(run(&["-r", "--no-wait", "/e"]), Ok(()));
        assert_eq!(node.asked(Opcode::Removal), 2);
        assert!(node.with(|state| state.names.is_empty()));
    }
}
