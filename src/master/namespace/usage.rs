//! How much is under a name, counted a slice at a time.
//!
//! Any thread that may wait for the table; between two slices it may do something else, on another view. Always: a slice
//! looks at a bounded number of names, and the walk remembers one name for each directory that it is in, for a bounded
//! depth.

use super::entry::NameEntry;
use super::keys;
use super::read::{Found, resolve};
use super::stop::apart;
use crate::base::limits::WALK_DEPTH_MAX;
use crate::base::path::NamePath;
use crate::master::StateError;
use crate::master::table::Table;
use crate::request::{Refusal, Status, Usage};
use std::ops::ControlFlow;

/// A walk through a tree.
#[derive(Debug, Clone)]
pub struct UsageWalk {
    /// The directories that it is in, from the top down, each with the last name that was looked at.
    within: Vec<(u64, String)>,
    usage: Usage,
}

/// Where a slice ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsageStep {
    /// There is more to count.
    More,
    /// All is counted.
    Done(Usage),
    /// The tree is too deep to be counted.
    Refused(Refusal),
}

impl UsageWalk {
    /// A walk from a name on.
    ///
    /// # Errors
    /// [`StateError`], of reading the table. A name that is not there is a refusal.
    pub fn begin(table: &dyn Table, path: &NamePath) -> Result<Result<Self, Refusal>, StateError> {
        let mut walk = Self { within: Vec::new(), usage: Usage::default() };
        match resolve(table, path)? {
            Found::Directory(directory) => walk.within.push((directory.inode, String::new())),
            Found::File(value) => {
                walk.usage = Usage { files: 1, directories: 0, bytes: NameEntry::of(&value)?.facts().size }
            }
            found => return apart(Err(found.stop(path))),
        }
        Ok(Ok(walk))
    }

    /// Looks at up to `names_max` further names.
    ///
    /// # Errors
    /// [`StateError`], of reading the table.
    pub fn step(&mut self, table: &dyn Table, names_max: usize) -> Result<UsageStep, StateError> {
        let mut left = names_max.max(1);
        while let Some((inode, last)) = self.within.last_mut() {
            if left == 0 {
                return Ok(UsageStep::More);
            }
            match count(table, *inode, last, &mut self.usage, &mut left)? {
                Halt::Below(_) if self.within.len() >= WALK_DEPTH_MAX => {
                    let detail = format!("directories lie more than {WALK_DEPTH_MAX} deep in one another");
                    return Ok(UsageStep::Refused(Refusal::new(Status::TooLarge, detail)));
                }
                Halt::Below(inode) => self.within.push((inode, String::new())),
                Halt::Slice => return Ok(UsageStep::More),
                Halt::End => {
                    self.within.pop();
                    // A directory without names is looked at, too.
                    left = left.saturating_sub(1);
                }
            }
        }
        Ok(UsageStep::Done(self.usage))
    }
}

/// Why counting in one directory halts.
enum Halt {
    /// It is counted.
    End,
    /// A directory in it comes first.
    Below(u64),
    /// The slice is over.
    Slice,
}

fn count(
    table: &dyn Table,
    directory: u64,
    last: &mut String,
    usage: &mut Usage,
    left: &mut usize,
) -> Result<Halt, StateError> {
    let (from, to) = keys::names_from(directory, last);
    let mut halt = Ok(Halt::End);
    table.scan(&from, &to, &mut |key, value| {
        if *left == 0 {
            halt = Ok(Halt::Slice);
            return ControlFlow::Break(());
        }
        *left -= 1;
        let below = match NameEntry::of(value) {
            Ok(NameEntry::File(file)) => {
                usage.files += 1;
                usage.bytes = usage.bytes.saturating_add(file.size);
                None
            }
            Ok(NameEntry::Directory(directory)) => {
                usage.directories += 1;
                Some(directory.inode)
            }
            Err(error) => {
                halt = Err(error);
                return ControlFlow::Break(());
            }
        };
        if below.is_some() || *left == 0 {
            last.clear();
            last.push_str(keys::name_of(key).unwrap_or_default());
        }
        match below {
            Some(inode) => {
                halt = Ok(Halt::Below(inode));
                ControlFlow::Break(())
            }
            None => ControlFlow::Continue(()),
        }
    })?;
    halt
}
