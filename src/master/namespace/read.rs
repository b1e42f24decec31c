//! Questions about names, over any view of the table.
//!
//! Any thread that may wait for the table. Always: nothing here changes anything; an answer is that of one view.

use super::drain;
use super::entry::{DirectoryEntry, NameEntry};
use super::keys::{self, name_key};
use super::meta::Meta;
use super::stop::{Stop, apart, refused};
use crate::base::limits::LOOKUP_CHUNKS_MAX;
use crate::base::path::NamePath;
use crate::master::StateError;
use crate::master::table::Table;
use crate::request::{Entry, Lookup, Refusal, Removal, Status};
use bytes::Bytes;
use std::ops::ControlFlow;
use xxhash_rust::xxh3::Xxh3;

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// To a directory.
    Directory(DirectoryEntry),
    /// To a file: the value of its name, which [`NameEntry::of`] reads.
    File(Bytes),
    /// To nothing: there is no such name in its directory.
    Nothing,
    /// To nothing: a directory above it is missing.
    NoParent,
    /// To nothing: what should be a directory above it is a file.
    NotADirectory,
}

/// The value of a name, as [`NameEntry::of`] reads it.
///
/// # Errors
/// [`StateError`], of reading the table.
pub fn value_of(table: &dyn Table, directory: u64, name: &str) -> Result<Option<Bytes>, StateError> {
    table.value(&name_key(directory, name))
}

/// Where a path leads, component by component.
///
/// # Errors
/// [`StateError`], of reading the table.
pub fn resolve(table: &dyn Table, path: &NamePath) -> Result<Found, StateError> {
    let mut found = DirectoryEntry::ROOT;
    let mut names = path.components().peekable();
    while let Some(name) = names.next() {
        let last = names.peek().is_none();
        let Some(value) = value_of(table, found.inode, name)? else {
            return Ok(if last { Found::Nothing } else { Found::NoParent });
        };
        match NameEntry::of(&value)? {
            NameEntry::Directory(directory) => found = directory,
            NameEntry::File(_) if last => return Ok(Found::File(value)),
            NameEntry::File(_) => return Ok(Found::NotADirectory),
        }
    }
    Ok(Found::Directory(found))
}

/// What a name leads to, with as many of its chunks as were asked for and fit.
///
/// # Errors
/// [`StateError`], of reading the table. What is not there is a refusal.
pub fn lookup(table: &dyn Table, lookup: &Lookup) -> Result<Result<Entry, Refusal>, StateError> {
    let chunks_max = usize::try_from(lookup.chunks_max).unwrap_or(usize::MAX).min(LOOKUP_CHUNKS_MAX);
    match resolve(table, &lookup.path)? {
        Found::Directory(directory) => NameEntry::Directory(directory).entry(lookup.chunk_first, 0).map(Ok),
        Found::File(value) => NameEntry::of(&value)?.entry(lookup.chunk_first, chunks_max).map(Ok),
        found => apart(Err(found.stop(&lookup.path))),
    }
}

/// How far a removal is; the last 64 that are done are remembered.
///
/// # Errors
/// [`StateError`], of reading the table. A removal that is not known is a refusal.
pub fn removal(table: &dyn Table, id: u64) -> Result<Result<Removal, Refusal>, StateError> {
    let key = keys::removal_key(id);
    match table.value(&key)? {
        Some(value) => Ok(Ok(drain::decode(&key, &value)?.1)),
        None => Ok(Err(Refusal::new(Status::NotFound, format!("removal {id} is not known, or forgotten")))),
    }
}

/// The index and the term of the last log entry whose effects a stored table has.
///
/// # Errors
/// [`StateError`], of reading the table.
pub fn names_applied(table: &dyn Table) -> Result<(u64, u64), StateError> {
    match table.value(&keys::META)? {
        Some(value) => Meta::decode(&value).map(|meta| (meta.index, meta.term)),
        None => Ok((0, 0)),
    }
}

/// XXH3-128 over all keys and values in order, each behind its length.
///
/// # Errors
/// [`StateError`], of reading the table.
pub fn digest_of(table: &dyn Table) -> Result<u128, StateError> {
    let mut digest = Xxh3::new();
    table.scan(&[], &keys::END, &mut |key, value| {
        for part in [key, value] {
            digest.update(&(part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        ControlFlow::Continue(())
    })?;
    Ok(digest.digest128())
}

impl Found {
    /// The refusal of who wanted something that is there.
    pub(super) fn stop(&self, path: &NamePath) -> Stop {
        match self {
            Self::NotADirectory => refused(Status::NotADirectory, format!("{path}: a name above it is a file")),
            Self::NoParent => refused(Status::NotFound, format!("{path}: a directory above it is not there")),
            _ => refused(Status::NotFound, format!("{path}: there is no such name")),
        }
    }
}
