//! A disk that stands before another one and makes it fail, lie, dawdle or hang on request.
//!
//! Threads are those of the trait. Always: a delay or a hang never holds the calls that never wait for a device
//! (`read_cached_at` and `resident`), or a test of slow disks would measure its own tool. For tests and for hands, so
//! it is part of the library.

mod fault;
mod faults;
#[cfg(test)]
mod tests;

pub use fault::{Call, Called, Fault, FaultPlan};
pub use faults::Faults;

use super::api::{Disk, Entry, File, Lock, Open, Space};
use super::{gather, name};
use fault::{Effect, Target};
use std::io::{self, IoSlice};
use std::sync::Arc;

/// A disk with faults before it.
#[derive(Debug)]
pub struct FaultyDisk {
    inner: Arc<dyn Disk>,
    faults: Arc<Faults>,
}

impl FaultyDisk {
    /// Puts a plan of faults before a disk.
    #[must_use]
    pub fn new(inner: Arc<dyn Disk>, plan: FaultPlan) -> Self {
        Self { inner, faults: Arc::new(Faults::new(plan)) }
    }

    /// The controls, to be turned while it runs.
    #[must_use]
    pub fn faults(&self) -> Arc<Faults> {
        Arc::clone(&self.faults)
    }
}

fn whole(call: Call, name: &str) -> Target<'_> {
    Target { call, name, offset: 0, bytes: 0 }
}

impl Disk for FaultyDisk {
    fn place(&self) -> String {
        self.inner.place()
    }

    fn open(&self, name: &str, how: Open) -> io::Result<Arc<dyn File>> {
        let inner = self.faults.answer(whole(Call::Open, name), || self.inner.open(name, how))?;
        Ok(Arc::new(FaultyFile { inner, name: name.to_owned(), faults: Arc::clone(&self.faults) }))
    }

    fn list(&self) -> io::Result<Vec<Entry>> {
        self.faults.answer(whole(Call::List, ""), || self.inner.list())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.faults.run(whole(Call::Rename, from), || self.inner.rename(from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.faults.run(whole(Call::Remove, name), || self.inner.remove(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.faults.run(whole(Call::SyncDirectory, ""), || self.inner.sync_directory())
    }

    fn space(&self) -> io::Result<Space> {
        self.faults.answer(whole(Call::Space, ""), || self.inner.space())
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        self.faults.answer(whole(Call::Lock, name), || self.inner.lock(name))
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Arc<dyn File>,
    name: String,
    faults: Arc<Faults>,
}

impl FaultyFile {
    fn target(&self, call: Call, offset: u64, bytes: u64) -> Target<'_> {
        Target { call, name: &self.name, offset, bytes }
    }

    fn whole(&self, call: Call) -> Target<'_> {
        whole(call, &self.name)
    }

    /// As a real file writes when the system takes less than it is given, through the same loop.
    fn write_in_two_goes(&self, parts: &mut [IoSlice<'_>], offset: u64, bytes: usize) -> io::Result<()> {
        let mut goes = 0;
        gather::write_all(parts, offset, |parts, at| {
            goes += 1;
            let mut taken = match (goes, bytes) {
                (1, 0) => return Err(io::ErrorKind::Interrupted.into()),
                (1, bytes) => first(parts, bytes),
                _ => parts.to_vec(),
            };
            let written = taken.iter().map(|part| part.len()).sum();
            self.inner.write_all_at(&mut taken, at)?;
            Ok(written)
        })
    }
}

impl File for FaultyFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let target = self.target(Call::Read, offset, name::length(into.len()));
        self.faults.strike(target, |effect, flips| {
            if let Some(effect) = effect.filter(|effect| *effect != Effect::Lost) {
                return Err(effect.error());
            }
            let read = self.inner.read_at(into, offset)?;
            turn(flips, into, offset, read);
            Ok(read)
        })
    }

    fn read_cached_at(&self, into: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        let target = self.target(Call::ReadCached, offset, name::length(into.len()));
        self.faults.strike(target, |effect, flips| {
            if let Some(effect) = effect.filter(|effect| *effect != Effect::Lost) {
                return Err(effect.error());
            }
            if self.faults.is_cold() {
                return Ok(None);
            }
            let read = self.inner.read_cached_at(into, offset)?;
            turn(flips, into, offset, read.unwrap_or(0));
            Ok(read)
        })
    }

    fn resident(&self, offset: u64, bytes: u64) -> io::Result<bool> {
        self.faults.answer(self.target(Call::Resident, offset, bytes), || {
            Ok(!self.faults.is_cold() && self.inner.resident(offset, bytes)?)
        })
    }

    fn write_all_at(&self, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let bytes = parts.iter().map(|part| name::length(part.len())).sum();
        self.faults.strike(self.target(Call::Write, offset, bytes), |effect, _| match effect {
            None => self.inner.write_all_at(parts, offset),
            Some(Effect::Lost) => Ok(()),
            Some(Effect::Torn { bytes, errno }) => {
                self.inner.write_all_at(&mut first(parts, bytes), offset)?;
                Err(io::Error::from_raw_os_error(errno))
            }
            Some(Effect::Short { bytes }) => self.write_in_two_goes(parts, offset, bytes),
            Some(Effect::Misdirected { to }) => self.inner.write_all_at(parts, to),
            Some(effect) => Err(effect.error()),
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.run(self.whole(Call::SyncData), || self.inner.sync_data())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.faults.run(self.whole(Call::SyncAll), || self.inner.sync_all())
    }

    fn start_writeback(&self, offset: u64, bytes: u64) -> io::Result<()> {
        let target = self.target(Call::StartWriteback, offset, bytes);
        self.faults.run(target, || self.inner.start_writeback(offset, bytes))
    }

    fn allocate(&self, offset: u64, bytes: u64) -> io::Result<()> {
        let target = self.target(Call::Allocate, offset, bytes);
        self.faults.run(target, || self.inner.allocate(offset, bytes))
    }

    fn punch(&self, offset: u64, bytes: u64) -> io::Result<()> {
        let target = self.target(Call::Punch, offset, bytes);
        self.faults.run(target, || self.inner.punch(offset, bytes))
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.faults.run(self.whole(Call::SetLen), || self.inner.set_len(bytes))
    }

    fn len(&self) -> io::Result<u64> {
        self.faults.answer(self.whole(Call::Len), || self.inner.len())
    }

    fn drop_pages(&self) -> io::Result<()> {
        self.faults.run(self.whole(Call::DropPages), || self.inner.drop_pages())
    }
}

/// Turns bits in the `read` bytes that were read from `offset` on.
fn turn(flips: &[Effect], into: &mut [u8], offset: u64, read: usize) {
    for flip in flips {
        if let Effect::Flip { offset: at, mask } = flip {
            let within = at.checked_sub(offset).and_then(|within| usize::try_from(within).ok());
            if let Some(byte) = within.filter(|within| *within < read).and_then(|within| into.get_mut(within)) {
                *byte ^= mask;
            }
        }
    }
}

/// The first `bytes` of all parts.
fn first<'a>(parts: &'a [IoSlice<'_>], bytes: usize) -> Vec<IoSlice<'a>> {
    let mut rest = bytes;
    let mut kept = Vec::new();
    for part in parts {
        let taken = part.len().min(rest);
        kept.push(IoSlice::new(&part[..taken]));
        rest -= taken;
    }
    kept
}
