//! A disk in memory that can lose power: for tests and simulations, thousands of runs a minute.
//!
//! Any thread; one lock, held over arithmetic and copies. Content and length of a file are durable after its sync,
//! names after that of the directory, and neither brings the other. Unsynced writes survive a crash by sectors of 512
//! bytes, each as last written or as last synced. Space counts whole pages of 4 KiB.

mod dice;
mod directory;
mod extents;
mod file;
mod image;
mod inode;
#[cfg(test)]
mod tests;

use super::api::{Disk, Entry, EntryKind, File, Lock, Open, Space};
use super::name;
use dice::Dice;
use directory::Directory;
use file::MemoryFile;
use inode::Inode;
use parking_lot::Mutex;
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::Arc;

/// What a disk without a capacity claims to have: more than any test fills.
const BYTES_UNBOUNDED: u64 = 1 << 60;

/// A disk in memory; clones are the same disk.
#[derive(Clone)]
pub struct MemoryDisk {
    shared: Arc<Mutex<State>>,
}

#[derive(Clone)]
struct State {
    inodes: BTreeMap<u64, Inode>,
    inode_next: u64,
    directory: Directory,
    locks: BTreeSet<String>,
    capacity: u64,
    resident: bool,
    /// Syncs of files to come that do not do what they should.
    bad_syncs: BadSyncs,
}

/// Some syncs go well, then some do not.
#[derive(Debug, Clone, Copy, Default)]
struct BadSyncs {
    passing: u64,
    striking: u64,
    /// With an error; without one they say that they went well.
    error: Option<Errno>,
}

impl BadSyncs {
    /// Counts a sync; whether it does what it should.
    fn meet(&mut self) -> bool {
        if self.passing > 0 {
            self.passing -= 1;
        } else if self.striking > 0 {
            self.striking -= 1;
            return false;
        }
        true
    }
}

impl Default for MemoryDisk {
    fn default() -> Self {
        Self::with_capacity(BYTES_UNBOUNDED)
    }
}

impl MemoryDisk {
    /// An empty disk with all the room there is.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty disk of so many bytes; what does not fit is answered ENOSPC.
    #[must_use]
    pub fn with_capacity(bytes: u64) -> Self {
        Self::holding(State {
            inodes: BTreeMap::new(),
            inode_next: 0,
            directory: Directory::default(),
            locks: BTreeSet::new(),
            capacity: bytes,
            resident: true,
            bad_syncs: BadSyncs::default(),
        })
    }

    /// The disk after a power cut: what was durable, and of the rest what the seed keeps. This one goes on untouched.
    #[must_use]
    pub fn crash(&self, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        Self::holding(self.shared.lock().crashed(Some(&mut dice)))
    }

    /// The disk after a power cut that took everything not durable. This one goes on untouched.
    #[must_use]
    pub fn crash_clean(&self) -> Self {
        Self::holding(self.shared.lock().crashed(None))
    }

    /// The disk after the death of the process: all that was written, still not durable, and no handle and no lock.
    #[must_use]
    pub fn kill(&self) -> Self {
        let mut state = self.shared.lock().clone();
        state.locks.clear();
        for inode in state.inodes.values_mut() {
            inode.handles = 0;
        }
        state.forget_unnamed();
        Self::holding(state)
    }

    /// Changes the room, also below what is used.
    pub fn set_capacity(&self, bytes: u64) {
        self.shared.lock().capacity = bytes;
    }

    /// Whether reads from the page cache find what they look for; of all files.
    pub fn set_resident(&self, resident: bool) {
        self.shared.lock().resident = resident;
    }

    /// As [`set_resident`](Self::set_resident), of one file.
    ///
    /// # Errors
    /// ENOENT.
    pub fn set_file_resident(&self, name: &str, resident: bool) -> io::Result<()> {
        let mut state = self.shared.lock();
        let inode = state.directory.inode(name).ok_or(Errno::NOENT)?;
        state.inode(inode).resident = resident;
        Ok(())
    }

    /// Makes the next `count` syncs of files fail with EIO as Linux does it: what they should have written is never
    /// written by a later sync either, and is still read until the pages are dropped.
    pub fn fail_syncs(&self, count: u64) {
        self.fail_syncs_from(1, count, Errno::IO.raw_os_error());
    }

    /// As [`fail_syncs`](Self::fail_syncs), from the `nth` sync of a file on, counted from 1, and with this errno.
    pub fn fail_syncs_from(&self, nth: u64, count: u64, errno: i32) {
        let error = Some(Errno::from_raw_os_error(errno));
        self.shared.lock().bad_syncs = BadSyncs { passing: nth.saturating_sub(1), striking: count, error };
    }

    /// Makes the next `count` syncs of files lie as a bad device does: they say that they went well, and what they
    /// should have written is lost as after [`fail_syncs`](Self::fail_syncs).
    pub fn lose_syncs(&self, count: u64) {
        self.shared.lock().bad_syncs = BadSyncs { passing: 0, striking: count, error: None };
    }

    fn holding(state: State) -> Self {
        Self { shared: Arc::new(Mutex::new(state)) }
    }
}

impl State {
    fn inode(&mut self, inode: u64) -> &mut Inode {
        self.inodes.get_mut(&inode).expect("an inode lives as long as its names and handles")
    }

    fn create(&mut self, name: &str) -> u64 {
        let inode = self.inode_next;
        self.inode_next += 1;
        self.inodes.insert(inode, Inode::default());
        self.directory.create(name, inode);
        inode
    }

    /// Bytes not held by a file that has a name or a handle.
    fn room(&self) -> u64 {
        let held = |(inode, file): (&u64, &Inode)| {
            let counts = file.bytes_held() > 0 && (file.handles > 0 || self.directory.has(*inode));
            if counts { file.bytes_held() } else { 0 }
        };
        self.capacity.saturating_sub(self.inodes.iter().map(held).sum())
    }

    /// As [`room`](Self::room), spared the sum when the disk has no bound.
    fn room_to_write(&self) -> u64 {
        if self.capacity == BYTES_UNBOUNDED { BYTES_UNBOUNDED } else { self.room() }
    }

    fn crashed(&self, mut dice: Option<&mut Dice>) -> Self {
        let crashed = |(inode, file): (&u64, &Inode)| (*inode, file.crashed(dice.as_deref_mut()));
        let inodes = self.inodes.iter().map(crashed).collect();
        let mut state = Self {
            inodes,
            inode_next: self.inode_next,
            directory: self.directory.crashed(dice),
            locks: BTreeSet::new(),
            capacity: self.capacity,
            resident: true,
            bad_syncs: BadSyncs::default(),
        };
        state.forget_unnamed();
        state
    }

    fn forget_unnamed(&mut self) {
        let directory = &self.directory;
        self.inodes.retain(|inode, file| file.handles > 0 || directory.may_have(*inode));
    }
}

impl Disk for MemoryDisk {
    fn place(&self) -> String {
        "memory".to_owned()
    }

    fn open(&self, name: &str, how: Open) -> io::Result<Arc<dyn File>> {
        name::check(name)?;
        let mut state = self.shared.lock();
        let inode = match (state.directory.inode(name), how) {
            (Some(_), Open::Create) => return Err(Errno::EXIST.into()),
            (Some(inode), _) => inode,
            (None, Open::Create) => state.create(name),
            (None, _) => return Err(Errno::NOENT.into()),
        };
        state.inode(inode).handles += 1;
        Ok(Arc::new(MemoryFile::new(Arc::clone(&self.shared), inode, how)))
    }

    fn list(&self) -> io::Result<Vec<Entry>> {
        let state = self.shared.lock();
        let entry = |(name, inode): (&str, u64)| Entry {
            name: name.to_owned(),
            kind: EntryKind::File,
            bytes: state.inodes.get(&inode).map_or(0, Inode::bytes),
        };
        Ok(state.directory.names().map(entry).collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        name::check(from)?;
        name::check(to)?;
        let renamed = self.shared.lock().directory.rename(from, to);
        renamed.then_some(()).ok_or_else(|| Errno::NOENT.into())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        name::check(name)?;
        let removed = self.shared.lock().directory.remove(name);
        removed.then_some(()).ok_or_else(|| Errno::NOENT.into())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.shared.lock();
        state.directory.sync();
        state.forget_unnamed();
        Ok(())
    }

    fn space(&self) -> io::Result<Space> {
        let state = self.shared.lock();
        Ok(Space { total: state.capacity, free: state.room() })
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        name::check(name)?;
        let mut state = self.shared.lock();
        if state.directory.inode(name).is_none() {
            state.create(name);
        }
        if !state.locks.insert(name.to_owned()) {
            return Err(Errno::AGAIN.into());
        }
        Ok(Box::new(MemoryLock { shared: Arc::clone(&self.shared), name: name.to_owned() }))
    }
}

impl fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDisk").finish_non_exhaustive()
    }
}

struct MemoryLock {
    shared: Arc<Mutex<State>>,
    name: String,
}

impl Lock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.shared.lock().locks.remove(&self.name);
    }
}

impl fmt::Debug for MemoryLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLock").field("name", &self.name).finish_non_exhaustive()
    }
}
