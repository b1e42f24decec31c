//! The directory above a name that shall be changed.
//!
//! Owned by the apply thread. Always: the cache holds only directories that are there under that name; it makes resolving
//! cheaper and decides nothing.

use super::entry::NameEntry;
use super::keys::name_key;
use super::state::Namespace;
use super::stop::{Stop, refused};
use crate::base::limits::DIRECTORIES_CACHED_MAX;
use crate::base::path::NamePath;
use crate::master::table::Table;
use crate::request::Status;
use bytes::Bytes;
use quick_cache::Equivalent;
use quick_cache::unsync::Cache;
use std::fmt;

/// Where a path leads down to.
#[derive(Debug)]
pub(super) enum Parent<'p> {
    /// The directory is there.
    There(u64),
    /// It is not: the last one that is there, and the names that are missing below it.
    Missing { above: u64, names: Vec<&'p str> },
}

/// Inodes of directories by where they are.
pub(super) struct DirectoryCache(Cache<(u64, Box<str>), u64>);

#[derive(Hash)]
struct Place<'a>(u64, &'a str);

impl Equivalent<(u64, Box<str>)> for Place<'_> {
    fn equivalent(&self, key: &(u64, Box<str>)) -> bool {
        self.0 == key.0 && *self.1 == *key.1
    }
}

impl Default for DirectoryCache {
    fn default() -> Self {
        Self(Cache::new(DIRECTORIES_CACHED_MAX))
    }
}

impl fmt::Debug for DirectoryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DirectoryCache({} of {DIRECTORIES_CACHED_MAX})", self.0.len())
    }
}

impl DirectoryCache {
    pub fn forget(&mut self, directory: u64, name: &str) {
        self.0.remove(&Place(directory, name));
    }
}

impl Namespace {
    /// The inode of a directory, found component by component.
    pub(super) fn directory<'p>(&mut self, table: &dyn Table, path: &'p str) -> Result<Parent<'p>, Stop> {
        let mut inode = super::entry::DirectoryEntry::ROOT.inode;
        let mut names = path.split('/').filter(|name| !name.is_empty());
        while let Some(name) = names.next() {
            if let Some(found) = self.directories.0.get(&Place(inode, name)) {
                inode = *found;
                continue;
            }
            let Some(value) = table.value(&name_key(inode, name))? else {
                return Ok(Parent::Missing { above: inode, names: std::iter::once(name).chain(names).collect() });
            };
            let NameEntry::Directory(directory) = NameEntry::of(&value)? else {
                return Err(refused(Status::NotADirectory, format!("{path}: {name} is a file")));
            };
            self.directories.0.insert((inode, name.into()), directory.inode);
            inode = directory.inode;
        }
        Ok(Parent::There(inode))
    }

    /// The directory above a name that must be there, and the name; the root has none.
    pub(super) fn place<'p>(
        &mut self,
        table: &dyn Table,
        path: &'p NamePath,
        missing: Status,
    ) -> Result<(u64, &'p str), Stop> {
        let (above, name) = above(path);
        match self.directory(table, above)? {
            Parent::There(inode) => Ok((inode, name)),
            Parent::Missing { names, .. } => {
                let first = names.first().copied().unwrap_or_default();
                Err(refused(missing, format!("{path}: there is no directory {first} above it")))
            }
        }
    }

    /// The place and the value of a name that must be there.
    pub(super) fn named<'p>(
        &mut self,
        table: &dyn Table,
        path: &'p NamePath,
    ) -> Result<(u64, &'p str, Vec<u8>, Bytes), Stop> {
        let (directory, name) = self.place(table, path, Status::NotFound)?;
        let key = name_key(directory, name);
        match table.value(&key)? {
            Some(value) => Ok((directory, name, key, value)),
            None => Err(refused(Status::NotFound, format!("{path}: there is no such name"))),
        }
    }
}

/// The path of the directory above, without its last slash, and the name; the name of the root is empty.
pub(super) fn above(path: &NamePath) -> (&str, &str) {
    path.as_str().rsplit_once('/').unwrap_or_default()
}
