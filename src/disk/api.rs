//! The calls that the node makes on one data directory.
//!
//! Names are plain file names in the directory, never paths. Which threads may call what: only
//! [`File::read_cached_at`] and [`File::resident`] never wait for the device, and only these two may be called on a
//! processor thread. Everything else belongs to readers, the append lane and the background thread of the disk.
//! Errors are those of the system call behind each; none is retried here but EINTR.

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// What address, length and offset of a direct read are multiples of: no device or file system in use asks for more.
pub const DIRECT_BYTES: usize = 4096;

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// An existing file, for reading. Read-ahead is off: objects are read whole or by block.
    Read,
    /// An existing file, for reading and writing.
    Write,
    /// A new file, for reading and writing; an existing one is an error.
    Create,
    /// An existing file, for reading around the page cache, so that what is read is what the device has: `O_DIRECT`.
    ///
    /// Only [`File::read_at`] reads; address, length and offset are multiples of [`DIRECT_BYTES`] (see
    /// [`DirectBuffer`](super::DirectBuffer)), else it is `InvalidInput`. What is dirty in the page cache is written back
    /// first. A file system that refuses `O_DIRECT` is read plainly, and the pages of each read are dropped before and
    /// after it; dirty pages stay, and are then what is read.
    Direct,
}

/// What a name in the directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A link, a socket, or anything else.
    Other,
}

/// One name in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name; one that is not UTF-8 is shown with replacement characters, and is never ours.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes, of a file.
    pub bytes: u64,
}

/// Room on the file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Of the file system.
    pub total: u64,
    /// Free for this process.
    pub free: u64,
}

/// Holds a directory against other processes while it lives.
pub trait Lock: Send + Sync + Debug {}

/// One data directory.
pub trait Disk: Send + Sync + Debug {
    /// Where it is, for messages.
    fn place(&self) -> String;

    /// Opens a file.
    fn open(&self, name: &str, how: Open) -> io::Result<Arc<dyn File>>;

    /// All names in the directory, in no order.
    fn list(&self) -> io::Result<Vec<Entry>>;

    /// Renames a file, over an existing one if there is one. Not durable before [`sync_directory`](Self::sync_directory).
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a name. Not durable before [`sync_directory`](Self::sync_directory).
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes creations, renames and removals durable.
    fn sync_directory(&self) -> io::Result<()>;

    /// Room on its file system.
    fn space(&self) -> io::Result<Space>;

    /// Takes the directory for this process; [`io::ErrorKind::WouldBlock`] if another has it.
    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>>;
}

/// One open file.
pub trait File: Send + Sync + Debug {
    /// Reads at an offset; fewer bytes than asked for only at the end of the file.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Reads what is in the page cache, without waiting for the device: `preadv2` with `RWF_NOWAIT`.
    ///
    /// `None` when any byte is missing (EAGAIN, or a short read before the end); then the read is a job.
    fn read_cached_at(&self, into: &mut [u8], offset: u64) -> io::Result<Option<usize>>;

    /// Whether all of these bytes are in the page cache, by `cachestat`; false where the kernel cannot tell.
    fn resident(&self, offset: u64, bytes: u64) -> io::Result<bool>;

    /// Writes all parts one after another at an offset, taking up where a short write ended. After an error any of it
    /// may have been written.
    fn write_all_at(&self, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()>;

    /// Makes the content durable: `fdatasync`. After an error nothing on this file may be trusted or retried.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes content and size durable: `fsync`.
    fn sync_all(&self) -> io::Result<()>;

    /// Starts writing these bytes back, without waiting for it and without any promise.
    fn start_writeback(&self, offset: u64, bytes: u64) -> io::Result<()>;

    /// Reserves room, so that a later write finds it: `fallocate`. Reserved bytes read as zeros, and the
    /// file is at least that long afterwards. What was written stays. No bytes are no work.
    fn allocate(&self, offset: u64, bytes: u64) -> io::Result<()>;

    /// Gives the room of these bytes back; they read as zeros. The length stays.
    fn punch(&self, offset: u64, bytes: u64) -> io::Result<()>;

    /// Cuts or extends the file.
    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// Bytes in the file.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file is empty.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Writes dirty pages back and drops all of the file from the page cache, so that what is read next comes from the
    /// device. No promise that anything is durable.
    fn drop_pages(&self) -> io::Result<()>;
}
