//! The file of checked blocks that redb lives in.
//!
//! Read by any thread that may wait, written by the one that commits; one lock over the checksums and the head, held over
//! reads and writes of these, never over those of blocks. Always: what a read hands out verified; after the first
//! error every call is refused with it.

use super::BLOCK_BYTES;
use super::header::{HEADER_BYTES, Header, REDB_BYTES, Slots};
use super::sums::{GROUP_BLOCKS, Sums, block_at, sum};
use super::trouble::{Latch, Trouble};
use crate::base::random::Random;
use crate::disk::{Disk, File, Open};
use crate::journal::failed_sync;
use parking_lot::Mutex;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// An open file of checked blocks.
#[derive(Debug)]
pub struct Blocks {
    place: String,
    file: Arc<dyn File>,
    /// The same file; what is opened for reading only is not read ahead, and blocks are looked up one by one.
    lookups: Arc<dyn File>,
    salt: u64,
    state: Mutex<State>,
    /// The end of what was written, checksums and head included.
    end: AtomicU64,
    /// A sync ended well after redb wrote its header: what is on the disk may already be the new commit.
    decided: AtomicBool,
    latch: Latch,
}

#[derive(Debug)]
struct State {
    header: Header,
    slots: Slots,
    sums: Sums,
    /// Redb wrote its header since the last sync.
    header_written: bool,
}

impl Blocks {
    /// Makes an empty file under a name that it shall not keep; nothing of it is durable yet.
    pub fn create(
        disk: &dyn Disk,
        temporary: &str,
        name: &str,
        owner: u128,
        sums_bytes: usize,
    ) -> Result<Self, Trouble> {
        let place = place(disk, name);
        let salt = Random::default().number().map_err(|error| Trouble::of(&place, &error))?;
        let header = Header { owner, salt, length: 0, redb: [0; REDB_BYTES] };
        let file = disk.open(temporary, Open::Create).map_err(|error| Trouble::of(&place, &error))?;
        let lookups = disk.open(temporary, Open::Read).map_err(|error| Trouble::of(&place, &error))?;
        let mut slots = Slots::new();
        slots.write(&*file, &header).map_err(|error| Trouble::of(&place, &error))?;
        Ok(Self::with(place, [file, lookups], header, slots, sums_bytes, HEADER_BYTES))
    }

    /// Opens a file as the device has it.
    pub fn open(disk: &dyn Disk, name: &str, owner: u128, sums_bytes: usize) -> Result<Self, Trouble> {
        let place = place(disk, name);
        let failed = |error: io::Error| Trouble::of(&place, &error);
        let file = disk.open(name, Open::Write).map_err(failed)?;
        // What a process that died has written must not be lost later, when this one has built on it.
        file.sync_data().map_err(|error| failed(failed_sync(error)))?;
        let (slots, header) = Slots::read(disk, name, &place)?;
        if header.owner != owner {
            let what = format!("it belongs to {:032x}, not to {owner:032x}: it was put here by mistake", header.owner);
            return Err(Trouble::damaged(place, what));
        }
        let end = file.len().map_err(failed)?;
        let lookups = disk.open(name, Open::Read).map_err(failed)?;
        Ok(Self::with(place, [file, lookups], header, slots, sums_bytes, end))
    }

    fn with(
        place: String,
        [file, lookups]: [Arc<dyn File>; 2],
        header: Header,
        slots: Slots,
        sums_bytes: usize,
        end: u64,
    ) -> Self {
        let state = State { header, slots, sums: Sums::new(sums_bytes), header_written: false };
        Self {
            place,
            file,
            lookups,
            salt: header.salt,
            state: Mutex::new(state),
            end: AtomicU64::new(end),
            decided: AtomicBool::new(false),
            latch: Latch::default(),
        }
    }

    /// Where it is, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The first thing that went wrong.
    pub fn latch(&self) -> &Latch {
        &self.latch
    }

    /// Bytes of the file.
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    /// A commit begins: nothing is decided.
    pub fn begin(&self) {
        self.decided.store(false, Ordering::Relaxed);
    }

    /// Whether a commit that failed may be on the disk all the same.
    pub fn is_decided(&self) -> bool {
        self.decided.load(Ordering::Relaxed)
    }

    /// Gives back what a commit took that found no room: what lies behind the end of the one before.
    pub fn cut(&self, end: u64) -> Result<(), Trouble> {
        if self.end() > end {
            self.file.set_len(end).map_err(|error| self.latch.set(Trouble::of(&self.place, &error)))?;
            self.end.store(end, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Bytes of redb's file.
    pub fn length(&self) -> Result<u64, Trouble> {
        self.latch.check()?;
        Ok(self.state.lock().header.length)
    }

    /// Changes the length of redb's file. Nothing is written but the head: blocks take room when they come.
    pub fn set_length(&self, length: u64) -> Result<(), Trouble> {
        self.guarded(|| {
            let mut state = self.state.lock();
            state.header.length = length;
            state.write_header(&*self.file)?;
            drop(state);
            let end = block_at(length.div_ceil(BLOCK_BYTES as u64));
            if end < self.end() {
                self.file.set_len(end)?;
                self.end.store(end, Ordering::Relaxed);
            }
            Ok(())
        })
    }

    /// Reads redb's header, or whole blocks, checked.
    pub fn read(&self, into: &mut [u8], offset: u64) -> Result<(), Trouble> {
        self.latch.check()?;
        if offset == 0 && into.len() <= REDB_BYTES {
            let header = self.state.lock().header;
            into.iter_mut().zip(header.redb).for_each(|(into, byte)| *into = byte);
            return Ok(());
        }
        let mut rest = into;
        for run in self.runs(offset, rest.len())? {
            let (now, later) = rest.split_at_mut(run_bytes(&run));
            self.read_run(now, run)?;
            rest = later;
        }
        Ok(())
    }

    fn read_run(&self, into: &mut [u8], run: Range<u64>) -> Result<(), Trouble> {
        // What lies beyond the end stays zero, as a hole reads, and does not verify.
        let read = self.lookups.read_at(into, block_at(run.start));
        read.map_err(|error| self.latch.set(Trouble::of(&self.place, &error)))?;
        let mut state = self.state.lock();
        for (block, bytes) in run.zip(into.chunks_exact(BLOCK_BYTES)) {
            let stored = state.sums.value(&*self.file, block);
            let stored = stored.map_err(|error| self.latch.set(Trouble::of(&self.place, &error)))?;
            if stored != sum(self.salt, block, bytes) {
                let place = format!("{} at byte {}", self.place, block_at(block));
                let what = match stored {
                    0 => "a block is missing that the tree leads to; restore a backup",
                    _ => "a block does not verify; restore a backup",
                };
                return Err(self.latch.set(Trouble::damaged(place, what)));
            }
        }
        Ok(())
    }

    /// Writes redb's header, or whole blocks.
    pub fn write(&self, bytes: &[u8], offset: u64) -> Result<(), Trouble> {
        if offset == 0 && bytes.len() <= REDB_BYTES {
            return self.guarded(|| {
                let mut state = self.state.lock();
                state.header.redb.iter_mut().zip(bytes).for_each(|(into, byte)| *into = *byte);
                state.header_written = true;
                state.write_header(&*self.file)
            });
        }
        let runs = self.runs(offset, bytes.len())?;
        self.guarded(|| {
            let mut rest = bytes;
            for run in runs {
                let (now, later) = rest.split_at(run_bytes(&run));
                self.write_run(now, run)?;
                rest = later;
            }
            Ok(())
        })
    }

    fn write_run(&self, bytes: &[u8], run: Range<u64>) -> io::Result<()> {
        let (at, to) = (block_at(run.start), block_at(run.start) + bytes.len() as u64);
        let mut state = self.state.lock();
        for (block, bytes) in run.zip(bytes.chunks_exact(BLOCK_BYTES)) {
            state.sums.set(&*self.file, block, sum(self.salt, block, bytes))?;
        }
        drop(state);
        self.file.write_all_at(&mut [IoSlice::new(bytes)], at)?;
        self.end.fetch_max(to, Ordering::Relaxed);
        Ok(())
    }

    /// Makes all that was written durable, checksums included.
    pub fn sync(&self) -> Result<(), Trouble> {
        self.guarded(|| {
            let mut state = self.state.lock();
            state.sums.write(&*self.file)?;
            self.file.sync_data().map_err(failed_sync)?;
            state.slots.synced();
            if std::mem::take(&mut state.header_written) {
                self.decided.store(true, Ordering::Relaxed);
            }
            Ok(())
        })
    }

    /// Runs calls that change the file, unless one went wrong before; keeps what goes wrong.
    fn guarded(&self, run: impl FnOnce() -> io::Result<()>) -> Result<(), Trouble> {
        self.latch.check()?;
        run().map_err(|error| self.latch.set(Trouble::of(&self.place, &error)))
    }

    /// The blocks of a range of redb's file, in runs that lie together in ours. Redb reads and writes whole pages only, so
    /// anything else comes from a damaged page number.
    fn runs(&self, offset: u64, bytes: usize) -> Result<Vec<Range<u64>>, Trouble> {
        let block_bytes = BLOCK_BYTES as u64;
        let end = offset.checked_add(bytes as u64).filter(|end| *end <= self.state.lock().header.length);
        let whole = offset.is_multiple_of(block_bytes) && bytes.is_multiple_of(BLOCK_BYTES);
        let Some(end) = end.filter(|_| whole && offset > 0) else {
            let what = format!("{bytes} bytes at {offset} of the tree's file are no blocks of it; restore a backup");
            return Err(self.latch.set(Trouble::damaged(&self.place, what)));
        };
        let (mut first, last) = (offset / block_bytes, end / block_bytes);
        let mut runs = Vec::with_capacity(1);
        while first < last {
            let next = last.min((first / GROUP_BLOCKS + 1) * GROUP_BLOCKS);
            runs.push(first..next);
            first = next;
        }
        Ok(runs)
    }
}

impl State {
    fn write_header(&mut self, file: &dyn File) -> io::Result<()> {
        self.slots.write(file, &self.header)
    }
}

fn place(disk: &dyn Disk, name: &str) -> String {
    format!("{}/{name}", disk.place())
}

fn run_bytes(run: &Range<u64>) -> usize {
    usize::try_from((run.end - run.start) * BLOCK_BYTES as u64).expect("a run lies in one buffer")
}
