//! The embedded store: redb on a file of checked blocks.
//!
//! One thread commits, any thread that may wait reads. Always: a commit that returned is durable, and one that failed with
//! "no room" changed nothing; after any other error everything is refused. A write that finds no room has redb refuse
//! all further work, so the store opens its file anew then, and the views of the last commit go on from there.

use super::backend::Backend;
use super::blocks::Blocks;
use super::commit::{self, guarded};
use super::header::Slots;
use super::trouble::{Latch, Trouble};
use super::view::{Snapshot, View};
use crate::disk::Disk;
use crate::journal::failed_sync;
use crate::master::StateError;
use crate::master::table::{StateStore, StateView};
use parking_lot::{Mutex, RwLock};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// How a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreOptions {
    /// Bytes of memory for pages of the tree, read and written, and their checksums. A commit whose pages take
    /// more than half of it writes some of them early, and reads them once more.
    pub cache_bytes: usize,
    /// Free bytes of the disk below which a commit is refused as full before it is tried.
    pub free_bytes_min: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { cache_bytes: 256 << 20, free_bytes_min: 64 << 20 }
    }
}

/// The part of the cache that is for checksums: a page of them is for 2 MiB of blocks.
const SUMS_PART: usize = 16;

/// A store in one file of a directory that this process holds.
#[derive(Debug)]
pub struct EmbeddedStore(Arc<Shared>);

/// What the store and its views share.
#[derive(Debug)]
pub(super) struct Shared {
    disk: Arc<dyn Disk>,
    name: String,
    owner: u128,
    options: StoreOptions,
    instance: RwLock<Arc<Instance>>,
    /// The end of the file at the last commit; held over a commit.
    committed: Mutex<u64>,
    /// Commits since the store was opened.
    count: AtomicU64,
    /// Those that somebody still has; the lock is held while one is taken, and while all are moved.
    views: Mutex<Vec<Weak<View>>>,
    refused: Latch,
}

/// The file, opened once.
pub(super) struct Instance {
    /// Before the blocks, which its end writes to.
    tree: redb::Database,
    blocks: Arc<Blocks>,
}

impl EmbeddedStore {
    /// Opens the store of `owner` in the file `name`; a missing one is made, durably. The caller holds the directory.
    ///
    /// # Errors
    /// Those of the disk; damaged, newer, or another's.
    pub fn open(disk: Arc<dyn Disk>, name: &str, owner: u128, options: StoreOptions) -> Result<Self, StateError> {
        let found = disk.list().map_err(|error| StateError::io(disk.place(), error))?;
        let instance = if found.iter().any(|entry| entry.name == name) {
            // Who made it may have died before its name was durable.
            disk.sync_directory().map_err(failed_sync).map_err(|error| StateError::io(disk.place(), error))?;
            Instance::open(&*disk, name, owner, options)?
        } else {
            let temporary = format!("{name}.tmp");
            if found.iter().any(|entry| entry.name == temporary) {
                disk.remove(&temporary).map_err(|error| StateError::io(disk.place(), error))?;
            }
            Instance::create(&*disk, name, &temporary, owner, options)?
        };
        let committed = Mutex::new(instance.blocks.end());
        Ok(Self(Arc::new(Shared {
            disk,
            name: name.to_owned(),
            owner,
            options,
            instance: RwLock::new(Arc::new(instance)),
            committed,
            count: AtomicU64::new(0),
            views: Mutex::default(),
            refused: Latch::default(),
        })))
    }
}

/// Whose store a file is, as its head says.
///
/// # Errors
/// Those of the disk; damaged, or newer.
pub fn owner_of(disk: &dyn Disk, name: &str) -> Result<u128, StateError> {
    let place = format!("{}/{name}", disk.place());
    let (_, header) = Slots::read(disk, name, &place)?;
    Ok(header.owner)
}

impl StateStore for EmbeddedStore {
    fn view(&self) -> Result<Box<dyn StateView>, StateError> {
        let view = Shared::view(&self.0)?;
        Ok(Box::new(view))
    }

    fn commit(&self, changes: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>)>) -> Result<(), StateError> {
        Ok(self.0.commit(changes)?)
    }

    fn bytes(&self) -> u64 {
        self.0.instance.read().blocks.end()
    }
}

impl Shared {
    fn view(shared: &Arc<Self>) -> Result<Arc<View>, Trouble> {
        shared.try_view().or_else(|trouble| match trouble {
            // A commit has just found no room, and the file is being opened anew.
            Trouble::Full { .. } => {
                shared.settle();
                shared.try_view()
            }
            trouble => Err(trouble),
        })
    }

    fn try_view(self: &Arc<Self>) -> Result<Arc<View>, Trouble> {
        self.refused.check()?;
        let mut views = self.views.lock();
        // It may lag behind what redb shows; then the view is not moved to another opening of the file.
        let count = self.count.load(Ordering::Acquire);
        let snapshot = self.instance.read().snapshot().map_err(|trouble| self.refuse(trouble))?;
        let view = Arc::new(View::new(Arc::clone(self), snapshot, count));
        views.retain(|view| view.strong_count() > 0);
        views.push(Arc::downgrade(&view));
        Ok(view)
    }

    fn commit(&self, changes: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>)>) -> Result<(), Trouble> {
        let mut end = self.committed.lock();
        self.refused.check()?;
        let space = self.disk.space().map_err(|error| Trouble::of(&self.disk.place(), &error).unwelcome());
        let space = space.map_err(|trouble| self.refused.set(trouble))?;
        if space.free < self.options.free_bytes_min {
            return Err(Trouble::Full { place: self.disk.place() });
        }
        let instance = Arc::clone(&self.instance.read());
        instance.blocks.begin();
        match guarded(&instance.blocks, || commit::write(&instance.tree, changes)) {
            Ok(()) => {
                *end = instance.blocks.end();
                self.count.fetch_add(1, Ordering::AcqRel);
                Ok(())
            }
            Err(full @ Trouble::Full { .. }) if !instance.blocks.is_decided() => {
                drop(instance);
                self.reopen(*end).map_err(|trouble| self.refused.set(trouble.unwelcome()))?;
                Err(full)
            }
            Err(trouble) => Err(self.refused.set(trouble.unwelcome())),
        }
    }

    /// Goes back to the last commit, which the file still holds, and takes the views of it along.
    fn reopen(&self, end: u64) -> Result<(), Trouble> {
        let instance = Instance::open(&*self.disk, &self.name, self.owner, self.options)?;
        instance.blocks.cut(end)?;
        let views = self.views.lock();
        for view in views.iter().filter_map(Weak::upgrade) {
            if view.count() == self.count.load(Ordering::Acquire) {
                view.replace(instance.snapshot()?);
            }
        }
        *self.instance.write() = Arc::new(instance);
        Ok(())
    }

    /// Waits for a commit that is under way.
    pub(super) fn settle(&self) {
        drop(self.committed.lock());
    }

    /// Keeps an error of a view that is not want of room: everything is refused from now on.
    pub(super) fn refuse(&self, trouble: Trouble) -> Trouble {
        match trouble {
            Trouble::Full { .. } => trouble,
            trouble => self.refused.set(trouble),
        }
    }
}

impl Instance {
    fn create(
        disk: &dyn Disk,
        name: &str,
        temporary: &str,
        owner: u128,
        options: StoreOptions,
    ) -> Result<Self, StateError> {
        let failed = |error: io::Error| StateError::io(disk.place(), error);
        let blocks = Blocks::create(disk, temporary, name, owner, options.cache_bytes / SUMS_PART)?;
        let instance = Self::with(blocks, options)?;
        guarded(&instance.blocks, || commit::write(&instance.tree, &mut std::iter::empty()))?;
        disk.rename(temporary, name).map_err(failed)?;
        disk.sync_directory().map_err(failed_sync).map_err(failed)?;
        Ok(instance)
    }

    fn open(disk: &dyn Disk, name: &str, owner: u128, options: StoreOptions) -> Result<Self, Trouble> {
        let blocks = Blocks::open(disk, name, owner, options.cache_bytes / SUMS_PART)?;
        Self::with(blocks, options)
    }

    fn with(blocks: Blocks, options: StoreOptions) -> Result<Self, Trouble> {
        let blocks = Arc::new(blocks);
        let tree = guarded(&blocks, || {
            let mut builder = redb::Builder::new();
            builder.set_cache_size(options.cache_bytes - options.cache_bytes / SUMS_PART);
            Ok(builder.create_with_backend(Backend(Arc::clone(&blocks)))?)
        })?;
        Ok(Self { tree, blocks })
    }

    fn snapshot(&self) -> Result<Snapshot, Trouble> {
        let table = guarded(&self.blocks, || commit::read(&self.tree))?;
        Ok(Snapshot { table, blocks: Arc::clone(&self.blocks) })
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").field("blocks", &self.blocks).finish_non_exhaustive()
    }
}
