//! A file or a directory gets another name, in one step.
//!
//! Owned by the apply thread. Always: one entry moves, whatever lies below it; no directory comes to lie in itself, as a
//! directory has one name only, and the new path may not begin with the old one.

use super::change::check_condition;
use super::directory::is_empty;
use super::entry::{DirectoryEntry, FileEntry, NameEntry};
use super::keys::name_key;
use super::state::{Namespace, Touched};
use super::stop::{Stop, refused};
use crate::base::path::NamePath;
use crate::master::table::{Table, TableMut};
use crate::request::{Changed, Condition, Status};

impl Namespace {
    pub(super) fn rename(
        &mut self,
        table: &mut dyn TableMut,
        (from, to): (&NamePath, &NamePath),
        replace: bool,
        condition: Condition,
        touched: &mut Touched,
    ) -> Result<Changed, Stop> {
        if from.is_root() || to.is_root() {
            return Err(refused(Status::IntoItself, "/ cannot be renamed, nor be a new name"));
        }
        let (directory, name, key, value) = self.named(table, from)?;
        let entry = NameEntry::of(&value)?;
        check_condition(from, condition, Some(&entry))?;
        if from == to {
            return Ok(Changed { version: entry.version(), ..Changed::default() });
        }
        let is_directory = matches!(entry, NameEntry::Directory(_));
        if is_directory && to.as_str().strip_prefix(from.as_str()).is_some_and(|below| below.starts_with('/')) {
            return Err(refused(Status::IntoItself, format!("{to} is in {from} itself")));
        }
        let (new_directory, new_name) = self.place(table, to, Status::ParentNotFound)?;
        let new_key = name_key(new_directory, new_name);
        let old_value = table.value(&new_key)?;
        let old = old_value.as_deref().map(NameEntry::of).transpose()?;
        if let Some(old) = &old {
            check_replaced(table, to, is_directory, replace, old)?;
        }
        let buried = match &old {
            Some(NameEntry::File(file)) => file.chunks.all()?,
            _ => Vec::new(),
        };

        let version = self.next_revision();
        let moved = match entry {
            NameEntry::Directory(directory) => DirectoryEntry { version, ..directory }.encode(),
            NameEntry::File(file) => FileEntry { version, ..file }.encode(),
        };
        self.remove(table, key);
        self.put(table, new_key, moved);
        match &old {
            Some(NameEntry::File(file)) => self.uncount_file(file.size),
            Some(NameEntry::Directory(_)) => self.meta.directories = self.meta.directories.saturating_sub(1),
            None => {}
        }
        self.bury(table, &buried, version);
        if is_directory {
            self.directories.forget(directory, name);
            self.directories.forget(new_directory, new_name);
            touched.directories_moved = true;
        }
        touched.names.extend([(directory, name.into()), (new_directory, new_name.into())]);
        Ok(Changed { version, replaced: old.is_some(), ..Changed::default() })
    }
}

fn check_replaced(
    table: &dyn Table,
    to: &NamePath,
    is_directory: bool,
    replace: bool,
    old: &NameEntry<'_>,
) -> Result<(), Stop> {
    match old {
        _ if !replace => Err(refused(Status::AlreadyExists, format!("{to}: the name is taken"))),
        NameEntry::Directory(_) if !is_directory => Err(refused(Status::IsADirectory, format!("{to} is a directory"))),
        NameEntry::File(_) if is_directory => Err(refused(Status::NotADirectory, format!("{to} is a file"))),
        NameEntry::Directory(directory) if !is_empty(table, directory.inode)? => {
            Err(refused(Status::DirectoryNotEmpty, format!("{to} is not empty")))
        }
        _ => Ok(()),
    }
}
