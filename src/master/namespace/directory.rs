//! Directories: made, and whether they are empty.
//!
//! Owned by the apply thread. Always: an inode is given once.

use super::entry::{DirectoryEntry, NameEntry};
use super::keys::{self, name_key};
use super::parent::{Parent, above};
use super::state::{Namespace, Touched};
use super::stop::{Stop, refused};
use crate::base::path::NamePath;
use crate::master::StateError;
use crate::master::table::{Table, TableMut};
use crate::request::{Changed, Status};
use std::ops::ControlFlow;

impl Namespace {
    pub(super) fn make_directory(
        &mut self,
        table: &mut dyn TableMut,
        path: &NamePath,
        parents: bool,
        touched: &mut Touched,
    ) -> Result<Changed, Stop> {
        let (parent, name) = above(path);
        let taken = |entry: NameEntry<'_>| match entry {
            NameEntry::Directory(directory) if parents => {
                Ok(Changed { version: directory.version, ..Changed::default() })
            }
            _ => Err(refused(Status::AlreadyExists, format!("{path}: the name is taken"))),
        };
        if path.is_root() {
            return taken(NameEntry::Directory(DirectoryEntry::ROOT));
        }
        let (directory, names) = match self.directory(table, parent)? {
            Parent::There(directory) => match table.value(&name_key(directory, name))? {
                Some(value) => return taken(NameEntry::of(&value)?),
                None => (directory, vec![name]),
            },
            Parent::Missing { above, mut names } if parents => {
                names.push(name);
                (above, names)
            }
            Parent::Missing { names, .. } => {
                let first = names.first().copied().unwrap_or_default();
                let detail = format!("{path}: there is no directory {first} above it");
                return Err(refused(Status::ParentNotFound, detail));
            }
        };

        let version = self.next_revision();
        self.make_directories(table, directory, &names, version, touched);
        Ok(Changed { version, ..Changed::default() })
    }

    /// Makes directories, each in the one before, and tells the inode of the last.
    pub(super) fn make_directories(
        &mut self,
        table: &mut dyn TableMut,
        above: u64,
        names: &[&str],
        version: u64,
        touched: &mut Touched,
    ) -> u64 {
        let now_ms = self.meta.time_ms;
        let mut parent = above;
        for name in names {
            let inode = self.meta.next_inode;
            self.meta.next_inode += 1;
            self.meta.directories += 1;
            let directory = DirectoryEntry { inode, version, created_ms: now_ms, modified_ms: now_ms };
            self.put(table, name_key(parent, name), directory.encode());
            touched.names.push((parent, (*name).into()));
            parent = inode;
        }
        parent
    }
}

/// Whether no name is in a directory.
pub(super) fn is_empty(table: &dyn Table, directory: u64) -> Result<bool, StateError> {
    let (from, to) = keys::names_from(directory, "");
    let mut empty = true;
    table.scan(&from, &to, &mut |_, _| {
        empty = false;
        ControlFlow::Break(())
    })?;
    Ok(empty)
}
