//! Files: a name gets content, or other attributes.
//!
//! Owned by the apply thread.

use super::change::check_condition;
use super::entry::{ChunkList, FileEntry, NameEntry};
use super::keys::name_key;
use super::parent::{Parent, above};
use super::state::{Namespace, Touched};
use super::stop::{Stop, refused};
use crate::base::ids::ContentHash;
use crate::base::limits::{CHUNK_BYTES_MAX, FILE_CHUNKS_MAX};
use crate::base::path::NamePath;
use crate::master::command::Checked;
use crate::master::table::TableMut;
use crate::request::{Attributes, Changed, Condition, Status};

impl Namespace {
    pub(super) fn commit(
        &mut self,
        table: &mut dyn TableMut,
        commit: &Checked,
        touched: &mut Touched,
    ) -> Result<Changed, Stop> {
        let Checked::Commit { path, condition, parents, modified_ms, attributes, size, hash, chunks } = commit else {
            return Err(refused(Status::Internal, "a commit was expected"));
        };
        if chunks.len() > FILE_CHUNKS_MAX {
            let detail = format!("{path}: {} chunks are over the limit of {FILE_CHUNKS_MAX}", chunks.len());
            return Err(refused(Status::TooLarge, detail));
        }
        if *size > (chunks.len() * CHUNK_BYTES_MAX) as u64 {
            let detail = format!("{path}: {} chunks cannot hold {size} bytes", chunks.len());
            return Err(refused(Status::BadRequest, detail));
        }
        let (parent, name) = above(path);
        if path.is_root() {
            return Err(refused(Status::IsADirectory, "/ is a directory"));
        }
        let parent = self.directory(table, parent)?;
        let mut old = None;
        match &parent {
            Parent::There(directory) => old = table.value(&name_key(*directory, name))?,
            Parent::Missing { .. } if *parents => {}
            Parent::Missing { names, .. } => {
                let first = names.first().copied().unwrap_or_default();
                let detail = format!("{path}: there is no directory {first} above it");
                return Err(refused(Status::ParentNotFound, detail));
            }
        }
        let old = old.as_deref().map(NameEntry::of).transpose()?;
        let old = match &old {
            Some(NameEntry::Directory(_)) => {
                return Err(refused(Status::IsADirectory, format!("{path} is a directory")));
            }
            Some(NameEntry::File(file)) => Some(file),
            None => None,
        };
        check_condition(path, *condition, old.map(|file| NameEntry::File(*file)).as_ref())?;
        let buried = old.map(|file| file.chunks.all()).transpose()?;

        // Nothing is refused from here on.
        let now_ms = self.meta.time_ms;
        let version = self.next_revision();
        let directory = match parent {
            Parent::There(directory) => directory,
            Parent::Missing { above, names } => self.make_directories(table, above, &names, version, touched),
        };
        let file = FileEntry {
            version,
            size: *size,
            created_ms: old.map_or(now_ms, |file| file.created_ms),
            modified_ms: modified_ms.unwrap_or(now_ms),
            hash: *hash,
            attributes: attributes.bytes(),
            chunks: ChunkList::default(),
        };
        self.put(table, name_key(directory, name), file.encode_with(chunks));
        touched.names.push((directory, name.into()));
        self.meta.files += u64::from(old.is_none());
        self.meta.bytes = self.meta.bytes.saturating_sub(old.map_or(0, |file| file.size)).saturating_add(*size);
        self.bury(table, &buried.unwrap_or_default(), version);
        let ContentHash(hash) = *hash;
        Ok(Changed { version, hash, size: *size, removal: 0, replaced: old.is_some() })
    }

    pub(super) fn set_attributes(
        &mut self,
        table: &mut dyn TableMut,
        path: &NamePath,
        condition: Condition,
        attributes: &Attributes,
        touched: &mut Touched,
    ) -> Result<Changed, Stop> {
        let directory = || refused(Status::IsADirectory, format!("{path} is a directory: it has no attributes"));
        if path.is_root() {
            return Err(directory());
        }
        let (parent, name, key, value) = self.named(table, path)?;
        let entry = NameEntry::of(&value)?;
        let NameEntry::File(file) = entry else {
            return Err(directory());
        };
        check_condition(path, condition, Some(&entry))?;

        let version = self.next_revision();
        self.put(table, key, FileEntry { version, attributes: attributes.bytes(), ..file }.encode());
        touched.names.push((parent, name.into()));
        Ok(Changed { version, ..Changed::default() })
    }
}
