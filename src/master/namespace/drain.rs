//! The content of removed trees is taken out, some names at a time.
//!
//! Owned by the apply thread. Always: what is left to do is in the table, so that it goes on after a crash where it was;
//! the directories left to empty are under the removal, each with the last name that was taken out of it, so that no
//! command passes over what is gone; one command is bounded in names and in chunks.
//!
//! ```text
//! removal:    version u8 = 1 | done u8 | names | bytes      (varints; the removed directory itself is one of the names)
//! directory:  the last name that was taken out, or nothing
//! ```

use super::entry::NameEntry;
use super::keys;
use super::state::Namespace;
use super::stop::{Stop, refused};
use crate::base::ids::ObjectId;
use crate::base::limits::{DRAIN_CHUNKS_MAX, DRAIN_NAMES_MAX, REMOVALS_DONE_MAX};
use crate::master::StateError;
use crate::master::fields::{Fields, push_varint};
use crate::master::table::{Table, TableMut};
use crate::request::{Removal, Status};
use std::ops::ControlFlow;

const VERSION: u8 = 1;

pub(super) fn encode(removal: &Removal) -> Vec<u8> {
    let mut out = vec![VERSION, u8::from(removal.done)];
    push_varint(&mut out, removal.names);
    push_varint(&mut out, removal.bytes);
    out
}

pub(super) fn decode(key: &[u8], value: &[u8]) -> Result<(u64, Removal), StateError> {
    let parse = || {
        let mut fields = Fields(value);
        let (VERSION, done @ 0..=1) = (fields.byte()?, fields.byte()?) else { return None };
        let removal = Removal { names: fields.varint()?, bytes: fields.varint()?, done: done == 1 };
        fields.is_empty().then_some((keys::removal_of(key)?, removal))
    };
    parse().ok_or_else(|| StateError::damaged("a removal of the metadata state", "its record is none"))
}

/// What one command takes out: gathered first, then written.
#[derive(Debug, Default)]
struct Batch {
    names_max: usize,
    /// Keys that go: names, and directories that are empty now.
    gone: Vec<Vec<u8>>,
    /// Directories that were found.
    found: Vec<u64>,
    /// The directory that is not empty yet, and the last name taken out of it.
    rest: Option<(Vec<u8>, Vec<u8>)>,
    chunks: Vec<ObjectId>,
    names: usize,
    files: u64,
    bytes: u64,
    /// There are directories that it did not come to.
    more: bool,
}

impl Namespace {
    pub(super) fn drain(&mut self, table: &mut dyn TableMut, id: u64, names_max: u32) -> Result<Removal, Stop> {
        let key = keys::removal_key(id);
        let Some(value) = table.value(&key)? else {
            return Err(refused(Status::NotFound, format!("removal {id} is not known, or forgotten")));
        };
        let (_, mut removal) = decode(&key, &value)?;
        if removal.done {
            return Ok(removal);
        }
        let batch = Batch::gather(table, id, names_max)?;

        let version = self.next_revision();
        removal.done = batch.found.is_empty() && batch.rest.is_none() && !batch.more;
        removal.names = removal.names.saturating_add(batch.names as u64);
        removal.bytes = removal.bytes.saturating_add(batch.bytes);
        self.meta.files = self.meta.files.saturating_sub(batch.files);
        self.meta.directories = self.meta.directories.saturating_sub(batch.found.len() as u64);
        self.meta.bytes = self.meta.bytes.saturating_sub(batch.bytes);
        for key in batch.gone {
            self.remove(table, key);
        }
        for inode in batch.found {
            self.put(table, keys::work_key(id, inode), Vec::new());
        }
        if let Some((key, last)) = batch.rest {
            self.put(table, key, last);
        }
        self.bury(table, &batch.chunks, version);
        self.put(table, key, encode(&removal));
        if removal.done {
            self.removal_done(table, id);
        }
        Ok(removal)
    }

    fn removal_done(&mut self, table: &mut dyn TableMut, id: u64) {
        self.removals.remove(&id);
        self.removals_done.insert(id);
        while self.removals_done.len() > REMOVALS_DONE_MAX
            && let Some(oldest) = self.removals_done.pop_first()
        {
            self.remove(table, keys::removal_key(oldest));
        }
    }
}

impl Batch {
    fn gather(table: &dyn Table, id: u64, names_max: u32) -> Result<Self, StateError> {
        let names_max = usize::try_from(names_max).unwrap_or(usize::MAX).clamp(1, DRAIN_NAMES_MAX);
        let mut batch = Self { names_max, ..Self::default() };
        let mut work: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let (from, to) = keys::work_all(id);
        table.scan(&from, &to, &mut |key, last| {
            if work.len() == names_max {
                batch.more = true;
                return ControlFlow::Break(());
            }
            work.push((key.to_vec(), last.to_vec()));
            ControlFlow::Continue(())
        })?;
        for (key, last) in work {
            if batch.is_full() {
                batch.more = true;
                break;
            }
            batch.empty(table, key, last)?;
        }
        Ok(batch)
    }

    fn is_full(&self) -> bool {
        self.names >= self.names_max || self.chunks.len() >= DRAIN_CHUNKS_MAX
    }

    /// Takes names out of one directory, from where the last command ended.
    fn empty(&mut self, table: &dyn Table, work: Vec<u8>, last: Vec<u8>) -> Result<(), StateError> {
        let damaged = || StateError::damaged("a removal of the metadata state", "a directory to empty is none");
        let directory = keys::work_of(&work).ok_or_else(damaged)?;
        let last = String::from_utf8(last).map_err(|_| damaged())?;
        let (from, to) = keys::names_from(directory, &last);
        let (mut failed, mut cut) = (None, false);
        table.scan(&from, &to, &mut |key, value| {
            if self.is_full() {
                cut = true;
                return ControlFlow::Break(());
            }
            match self.take(key, value) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        if cut {
            let last = self.gone.last().and_then(|key| keys::name_of(key)).ok_or_else(damaged)?;
            self.rest = Some((work, last.as_bytes().to_vec()));
        } else {
            self.gone.push(work);
        }
        Ok(())
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), StateError> {
        match NameEntry::of(value)? {
            NameEntry::Directory(directory) => self.found.push(directory.inode),
            NameEntry::File(file) => {
                self.chunks.extend(file.chunks.all()?);
                self.files += 1;
                self.bytes = self.bytes.saturating_add(file.size);
            }
        }
        self.names += 1;
        self.gone.push(key.to_vec());
        Ok(())
    }
}
