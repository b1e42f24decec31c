//! A data directory of the machine, reached through one descriptor of it.
//!
//! Threads are those of the trait. Always: every name is opened relative to the directory and never through a link, so
//! a directory that is moved or mounted over while the node runs stays the one it was; descriptors are not inherited.
//! Only EINTR is retried.

use super::api::{DIRECT_BYTES, Disk, Entry, EntryKind, File, Lock, Open, Space};
use super::{direct, gather, kernel, name};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Advice, AtFlags, Dir, FallocateFlags, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::{Errno, ReadWriteFlags, retry_on_intr};
use std::io::{self, IoSlice, IoSliceMut};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A directory of the machine.
#[derive(Debug)]
pub struct RealDisk {
    path: PathBuf,
    directory: OwnedFd,
}

impl RealDisk {
    /// Opens a directory; a missing one is made, with those above it, and is durable on return.
    ///
    /// # Errors
    /// Those of mkdir, open and fsync; ENOTDIR if the path is something else.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        make_durably(path)?;
        Ok(Self { path: path.to_owned(), directory: open_directory(path)? })
    }

    fn open_at(&self, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
        name::check(name)?;
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(retry_on_intr(|| rustix::fs::openat(&self.directory, name, flags, mode))?)
    }

    fn open_direct(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let (file, plain) = match self.open_at(name, OFlags::RDONLY | OFlags::DIRECT) {
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
                (self.open_at(name, OFlags::RDONLY)?, true)
            }
            other => (other?, false),
        };
        // No page beyond those of a read is brought in.
        advise(&file, Advice::Random)?;
        Ok(Arc::new(DirectFile { file: RealFile(file), plain: AtomicBool::new(plain) }))
    }
}

/// Advice only: a file system may have none to take.
fn advise(file: &OwnedFd, advice: Advice) -> io::Result<()> {
    match rustix::fs::fadvise(file, 0, None, advice) {
        Ok(()) | Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?)
}

/// The parent is synced also when the directory is there: who made it may have died before its own sync.
fn make_durably(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    let made = match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) => true,
        Err(Errno::NOENT) => {
            make_durably(parent)?;
            rustix::fs::mkdir(path, Mode::RWXU)?;
            true
        }
        // EEXIST, or whatever a read-only or foreign parent says about a directory that is there.
        Err(_) if path.is_dir() => false,
        Err(Errno::EXIST) => return Err(Errno::NOTDIR.into()),
        Err(error) => return Err(error.into()),
    };
    match open_directory(parent).and_then(|parent| Ok(retry_on_intr(|| rustix::fs::fsync(&parent))?)) {
        Err(error) if made || error.kind() != io::ErrorKind::PermissionDenied => Err(error),
        _ => Ok(()),
    }
}

impl Disk for RealDisk {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn open(&self, name: &str, how: Open) -> io::Result<Arc<dyn File>> {
        let flags = match how {
            Open::Read => OFlags::RDONLY,
            Open::Write => OFlags::RDWR,
            Open::Create => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
            Open::Direct => return self.open_direct(name),
        };
        let file = self.open_at(name, flags)?;
        if how == Open::Read {
            advise(&file, Advice::Random)?;
        }
        Ok(Arc::new(RealFile(file)))
    }

    fn list(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(&self.directory)? {
            let entry = entry?;
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            let stat = match rustix::fs::statat(&self.directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                // Removed since the directory was read.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            let kind = match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => EntryKind::File,
                FileType::Directory => EntryKind::Directory,
                _ => EntryKind::Other,
            };
            let name = entry.file_name().to_string_lossy().into_owned();
            let bytes = if kind == EntryKind::File { size(&stat) } else { 0 };
            entries.push(Entry { name, kind, bytes });
        }
        Ok(entries)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        name::check(from)?;
        name::check(to)?;
        Ok(retry_on_intr(|| rustix::fs::renameat(&self.directory, from, &self.directory, to))?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        name::check(name)?;
        Ok(retry_on_intr(|| rustix::fs::unlinkat(&self.directory, name, AtFlags::empty()))?)
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(retry_on_intr(|| rustix::fs::fsync(&self.directory))?)
    }

    fn space(&self) -> io::Result<Space> {
        let room = retry_on_intr(|| rustix::fs::fstatvfs(&self.directory))?;
        Ok(Space {
            total: room.f_blocks.saturating_mul(room.f_frsize),
            free: room.f_bavail.saturating_mul(room.f_frsize),
        })
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        let file = self.open_at(name, OFlags::RDWR | OFlags::CREATE)?;
        retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive))?;
        Ok(Box::new(RealLock { _file: file }))
    }
}

/// The kernel lets go of the lock when the descriptor closes, also when the process dies.
#[derive(Debug)]
struct RealLock {
    _file: OwnedFd,
}

impl Lock for RealLock {}

#[derive(Debug)]
struct RealFile(OwnedFd);

impl File for RealFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        name::end_of(offset, name::length(into.len()))?;
        let mut filled = 0;
        while filled < into.len() {
            let at = offset + name::length(filled);
            match retry_on_intr(|| rustix::io::pread(&self.0, &mut into[filled..], at))? {
                0 => break,
                more => filled += more,
            }
        }
        Ok(filled)
    }

    fn read_cached_at(&self, into: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        name::end_of(offset, name::length(into.len()))?;
        if into.is_empty() {
            return Ok(Some(0));
        }
        let mut parts = [IoSliceMut::new(into)];
        let read = match retry_on_intr(|| rustix::io::preadv2(&self.0, &mut parts, offset, ReadWriteFlags::NOWAIT)) {
            Ok(read) => read,
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if read == into.len() {
            return Ok(Some(read));
        }
        // Some kernels answer short, or even 0, for a page that is missing: only the length tells that from the end.
        let at_end = offset.saturating_add(name::length(read)) >= self.len()?;
        Ok(at_end.then_some(read))
    }

    fn resident(&self, offset: u64, bytes: u64) -> io::Result<bool> {
        let end = name::end_of(offset, bytes)?.min(self.len()?);
        // Nothing beyond the end has to come from the device.
        if end <= offset {
            return Ok(true);
        }
        kernel::cached(self.0.as_fd(), offset, end - offset)
    }

    fn write_all_at(&self, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        gather::write_all(parts, offset, |parts, at| Ok(rustix::io::pwritev(&self.0, parts, at)?))
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(retry_on_intr(|| rustix::fs::fdatasync(&self.0))?)
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(retry_on_intr(|| rustix::fs::fsync(&self.0))?)
    }

    fn start_writeback(&self, offset: u64, bytes: u64) -> io::Result<()> {
        name::end_of(offset, bytes)?;
        match (i64::try_from(offset), i64::try_from(bytes)) {
            (Ok(_), Ok(0)) => Ok(()),
            (Ok(offset), Ok(bytes)) => kernel::start_writeback(self.0.as_fd(), offset, bytes),
            _ => Err(Errno::INVAL.into()),
        }
    }

    fn allocate(&self, offset: u64, bytes: u64) -> io::Result<()> {
        self.change_room(FallocateFlags::empty(), offset, bytes)
    }

    fn punch(&self, offset: u64, bytes: u64) -> io::Result<()> {
        self.change_room(FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, bytes)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        name::end_of(bytes, 0)?;
        Ok(retry_on_intr(|| rustix::fs::ftruncate(&self.0, bytes))?)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(size(&rustix::fs::fstat(&self.0)?))
    }

    fn drop_pages(&self) -> io::Result<()> {
        // Dirty pages would stay.
        self.sync_data()?;
        Ok(rustix::fs::fadvise(&self.0, 0, None, Advice::DontNeed)?)
    }
}

/// A file that is read around the page cache.
#[derive(Debug)]
struct DirectFile {
    file: RealFile,
    /// The file system has no such reads: pages are dropped before and after each read instead.
    plain: AtomicBool,
}

impl DirectFile {
    fn read_direct(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < into.len() {
            let at = offset + name::length(filled);
            match retry_on_intr(|| rustix::io::pread(&self.file.0, &mut into[filled..], at))? {
                0 => break,
                more => filled += more,
            }
            // A read that ends inside a page has come to the end of the file; going on there would be refused.
            if !filled.is_multiple_of(DIRECT_BYTES) {
                break;
            }
        }
        Ok(filled)
    }

    fn read_dropping(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.drop_range(offset, into.len())?;
        let filled = self.file.read_at(into, offset)?;
        self.drop_range(offset, into.len())?;
        Ok(filled)
    }

    fn drop_range(&self, offset: u64, bytes: usize) -> io::Result<()> {
        let bytes = NonZeroU64::new(name::length(bytes));
        match rustix::fs::fadvise(&self.file.0, offset, bytes, Advice::DontNeed) {
            // A file system without pages has none to drop.
            Ok(()) | Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl File for DirectFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        name::end_of(offset, name::length(into.len()))?;
        direct::check(into, offset)?;
        if into.is_empty() {
            return Ok(0);
        }
        if !self.plain.load(Ordering::Relaxed) {
            match self.read_direct(into, offset) {
                // Some file systems refuse only when they are read.
                Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
                    rustix::fs::fcntl_setfl(&self.file.0, OFlags::empty())?;
                    self.plain.store(true, Ordering::Relaxed);
                }
                other => return other,
            }
        }
        self.read_dropping(into, offset)
    }

    fn read_cached_at(&self, into: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        name::end_of(offset, name::length(into.len()))?;
        Ok(None)
    }

    fn resident(&self, offset: u64, bytes: u64) -> io::Result<bool> {
        self.file.resident(offset, bytes)
    }

    fn write_all_at(&self, _: &mut [IoSlice<'_>], _: u64) -> io::Result<()> {
        Err(Errno::BADF.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn start_writeback(&self, offset: u64, bytes: u64) -> io::Result<()> {
        self.file.start_writeback(offset, bytes)
    }

    fn allocate(&self, _: u64, _: u64) -> io::Result<()> {
        Err(Errno::BADF.into())
    }

    fn punch(&self, _: u64, _: u64) -> io::Result<()> {
        Err(Errno::BADF.into())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(Errno::BADF.into())
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn drop_pages(&self) -> io::Result<()> {
        self.file.drop_pages()
    }
}

impl RealFile {
    fn change_room(&self, how: FallocateFlags, offset: u64, bytes: u64) -> io::Result<()> {
        name::end_of(offset, bytes)?;
        // The kernel refuses an empty range.
        if bytes == 0 {
            return Ok(());
        }
        Ok(retry_on_intr(|| rustix::fs::fallocate(&self.0, how, offset, bytes))?)
    }
}

fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).expect("the kernel has no negative sizes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::DirectBuffer;

    #[test]
    fn a_file_system_without_direct_reads_is_read_plainly() {
        let place = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(place.path()).unwrap();
        std::fs::write(place.path().join("x"), [7; 10_000]).unwrap();
        let file = RealFile(disk.open_at("x", OFlags::RDONLY).unwrap());
        let direct = DirectFile { file, plain: AtomicBool::new(true) };
        let mut buffer = DirectBuffer::new(8192);
        assert_eq!(direct.read_at(buffer.bytes_mut(), 0).unwrap(), 8192);
        assert_eq!(direct.read_at(buffer.bytes_mut(), 8192).unwrap(), 10_000 - 8192);
        assert!(buffer.bytes()[..10_000 - 8192].iter().all(|&byte| byte == 7));
        assert!(direct.read_at(buffer.bytes_mut(), 512).is_err(), "the contract is the same");
    }
}
