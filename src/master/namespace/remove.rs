//! A name goes: a file, an empty directory, or a directory with all that is in it.
//!
//! Owned by the apply thread. Always: a directory with content is detached in one step, and from then on nobody finds it;
//! what is in it is taken out later, command by command.

use super::change::check_condition;
use super::directory::is_empty;
use super::drain;
use super::entry::NameEntry;
use super::keys;
use super::state::{Namespace, Touched};
use super::stop::{Stop, refused};
use crate::base::limits::REMOVALS_MAX;
use crate::base::path::NamePath;
use crate::master::table::TableMut;
use crate::request::{Changed, Condition, Refusal, Removal, Stage, Status};

impl Namespace {
    pub(super) fn remove_name(
        &mut self,
        table: &mut dyn TableMut,
        path: &NamePath,
        tree: bool,
        condition: Condition,
        touched: &mut Touched,
    ) -> Result<Changed, Stop> {
        if path.is_root() {
            return Err(refused(Status::IntoItself, "/ cannot be removed"));
        }
        let (directory, name, key, value) = self.named(table, path)?;
        let entry = NameEntry::of(&value)?;
        check_condition(path, condition, Some(&entry))?;
        let (buried, full) = match &entry {
            NameEntry::File(file) => (file.chunks.all()?, false),
            NameEntry::Directory(found) => (Vec::new(), !is_empty(table, found.inode)?),
        };
        if full && !tree {
            return Err(refused(Status::DirectoryNotEmpty, format!("{path} is not empty")));
        }
        if full && self.removals.len() >= REMOVALS_MAX {
            let detail = "as many removals of trees are under way as may be";
            return Err(Refusal::busy(Stage::None, 1000, detail).into());
        }

        let version = self.next_revision();
        self.remove(table, key);
        touched.names.push((directory, name.into()));
        let mut removal = 0;
        match entry {
            NameEntry::File(file) => {
                self.uncount_file(file.size);
                self.bury(table, &buried, version);
            }
            NameEntry::Directory(found) => {
                self.meta.directories = self.meta.directories.saturating_sub(1);
                self.directories.forget(directory, name);
                if full {
                    removal = self.meta.next_removal;
                    self.meta.next_removal += 1;
                    self.removals.insert(removal);
                    let begun = Removal { names: 1, bytes: 0, done: false };
                    self.put(table, keys::removal_key(removal), drain::encode(&begun));
                    self.put(table, keys::work_key(removal, found.inode), Vec::new());
                    touched.directories_moved = true;
                }
            }
        }
        Ok(Changed { version, removal, ..Changed::default() })
    }

    pub(super) fn uncount_file(&mut self, size: u64) {
        self.meta.files = self.meta.files.saturating_sub(1);
        self.meta.bytes = self.meta.bytes.saturating_sub(size);
    }
}
