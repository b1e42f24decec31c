//! A handle on a file of a disk in memory.

use super::State;
use super::inode::{Full, Inode};
use crate::disk::api::{File, Open};
use crate::disk::{direct, name};
use parking_lot::{Mutex, MutexGuard};
use rustix::io::Errno;
use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;

pub struct MemoryFile {
    shared: Arc<Mutex<State>>,
    inode: u64,
    how: Open,
}

impl MemoryFile {
    /// A handle that is already counted in the inode.
    pub fn new(shared: Arc<Mutex<State>>, inode: u64, how: Open) -> Self {
        Self { shared, inode, how }
    }

    fn with<T>(&self, run: impl FnOnce(&mut Inode) -> T) -> T {
        run(self.shared.lock().inode(self.inode))
    }

    fn lock_to_write(&self) -> io::Result<MutexGuard<'_, State>> {
        match self.how {
            Open::Write | Open::Create => Ok(self.shared.lock()),
            Open::Read | Open::Direct => Err(Errno::BADF.into()),
        }
    }
}

impl File for MemoryFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        name::end_of(offset, name::length(into.len()))?;
        if self.how == Open::Direct {
            direct::check(into, offset)?;
            return Ok(self.with(|inode| inode.read_direct(into, offset)));
        }
        Ok(self.with(|inode| inode.read(into, offset)))
    }

    fn read_cached_at(&self, into: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        let resident = self.resident(offset, name::length(into.len()))? && self.how != Open::Direct;
        if resident { Ok(Some(self.read_at(into, offset)?)) } else { Ok(None) }
    }

    fn resident(&self, offset: u64, bytes: u64) -> io::Result<bool> {
        name::end_of(offset, bytes)?;
        let mut state = self.shared.lock();
        Ok(state.resident && state.inode(self.inode).resident)
    }

    fn write_all_at(&self, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let bytes = parts.iter().map(|part| name::length(part.len())).sum();
        name::end_of(offset, bytes)?;
        let mut state = self.lock_to_write()?;
        let mut room = state.room_to_write();
        let inode = state.inode(self.inode);
        let mut at = offset;
        for part in parts.iter() {
            inode.write(part, at, &mut room).map_err(full)?;
            at += name::length(part.len());
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync_all()
    }

    fn sync_all(&self) -> io::Result<()> {
        let mut state = self.shared.lock();
        if !state.bad_syncs.meet() {
            state.inode(self.inode).fail_sync();
            return state.bad_syncs.error.map_or(Ok(()), |error| Err(error.into()));
        }
        state.inode(self.inode).sync();
        Ok(())
    }

    fn start_writeback(&self, offset: u64, bytes: u64) -> io::Result<()> {
        name::end_of(offset, bytes).map(|_| ())
    }

    fn allocate(&self, offset: u64, bytes: u64) -> io::Result<()> {
        let end = name::end_of(offset, bytes)?;
        let mut state = self.lock_to_write()?;
        let room = state.room_to_write();
        if bytes > 0 {
            state.inode(self.inode).allocate(offset, end, room).map_err(full)?;
        }
        Ok(())
    }

    fn punch(&self, offset: u64, bytes: u64) -> io::Result<()> {
        let end = name::end_of(offset, bytes)?;
        self.lock_to_write()?.inode(self.inode).punch(offset, end);
        Ok(())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        name::end_of(bytes, 0)?;
        self.lock_to_write()?.inode(self.inode).set_len(bytes);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.with(|inode| inode.bytes()))
    }

    fn drop_pages(&self) -> io::Result<()> {
        self.with(Inode::drop_pages);
        Ok(())
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.inode(self.inode).handles -= 1;
        if state.inode(self.inode).handles == 0 && !state.directory.may_have(self.inode) {
            state.inodes.remove(&self.inode);
        }
    }
}

impl fmt::Debug for MemoryFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryFile").field("inode", &self.inode).finish_non_exhaustive()
    }
}

fn full(_: Full) -> io::Error {
    Errno::NOSPC.into()
}
