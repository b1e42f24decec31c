//! What is under a name, all the way down.
//!
//! The caller's thread. Always: names come in the order of their bytes, a directory before what is in it; only the pages
//! of the directories on the way down are held.

use super::failure::Failure;
use super::tree::bad_name;
use crate::base::path::NamePath;
use crate::client::{Client, Entries};
use crate::request::{NameFacts, NameKind};

/// A walk of names.
#[derive(Debug)]
pub struct Listing {
    client: Client,
    recursive: bool,
    levels: Vec<(NamePath, Entries)>,
}

impl Listing {
    /// What is in a directory; with `recursive` also what is in the directories below.
    pub fn of(client: &Client, path: &NamePath, recursive: bool) -> Self {
        Self { client: client.clone(), recursive, levels: vec![(path.clone(), client.entries(path))] }
    }
}

impl Iterator for Listing {
    type Item = Result<(NamePath, NameFacts), Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (directory, entries) = self.levels.last_mut()?;
            let (path, facts) = match entries.next() {
                None => {
                    self.levels.pop();
                    continue;
                }
                Some(Err(error)) => return Some(Err(Failure::of_client(directory.as_str(), &error))),
                Some(Ok((name, facts))) => match directory.join(&name) {
                    Ok(path) => (path, facts),
                    Err(bad) => return Some(Err(bad_name(directory, &bad))),
                },
            };
            if self.recursive && facts.kind == NameKind::Directory {
                self.levels.push((path.clone(), self.client.entries(&path)));
            }
            return Some(Ok((path, facts)));
        }
    }
}
