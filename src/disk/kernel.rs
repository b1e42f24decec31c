//! The two system calls that rustix does not offer: `cachestat` and `sync_file_range`.
//!
//! Any thread: `cached` looks at the page cache only; `start_writeback` may wait for room in the device's queue.
#![allow(unsafe_code, reason = "cachestat (Linux 6.5) and sync_file_range have no safe wrapper in our dependencies")]

use rustix::fd::{AsRawFd, BorrowedFd};
use std::io;
use std::sync::OnceLock;

/// The number is the same on every architecture that Larder builds for; libc has it for a few only.
const CACHESTAT: libc::c_long = 451;

/// `struct cachestat_range` of `linux/mman.h`.
#[repr(C)]
struct Range {
    offset: u64,
    bytes: u64,
}

/// `struct cachestat` of `linux/mman.h`, in pages.
#[repr(C)]
#[derive(Default)]
struct Statistics {
    cached: u64,
    dirty: u64,
    in_writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// Whether every page that `bytes` (more than zero) at `offset` touch is in the page cache.
///
/// False where the kernel does not know the call, the file system has none, or it is not allowed for this file.
pub fn cached(file: BorrowedFd<'_>, offset: u64, bytes: u64) -> io::Result<bool> {
    debug_assert!(bytes > 0, "zero would mean up to the end of the file");
    let range = Range { offset, bytes };
    let mut statistics = Statistics::default();
    // SAFETY: the descriptor is open as long as its borrow; both pointers are to live values laid out as the kernel's
    // structures, which it reads and writes during the call only; the last argument is its flags, which must be zero.
    let result = unsafe { libc::syscall(CACHESTAT, file.as_raw_fd(), &raw const range, &raw mut statistics, 0u32) };
    if result == 0 {
        let page = page_bytes();
        let pages = (offset + bytes).div_ceil(page) - offset / page;
        return Ok(statistics.cached >= pages);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EOPNOTSUPP | libc::EPERM) => Ok(false),
        _ => Err(error),
    }
}

/// Starts write-back of `bytes` (more than zero) at `offset`; nothing where the kernel or the file system cannot.
pub fn start_writeback(file: BorrowedFd<'_>, offset: i64, bytes: i64) -> io::Result<()> {
    debug_assert!(bytes > 0, "zero would mean up to the end of the file");
    // SAFETY: the descriptor is open as long as its borrow; the call takes no pointers.
    let result = unsafe { libc::sync_file_range(file.as_raw_fd(), offset, bytes, libc::SYNC_FILE_RANGE_WRITE) };
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EOPNOTSUPP) => Ok(()),
        _ => Err(error),
    }
}

fn page_bytes() -> u64 {
    static BYTES: OnceLock<u64> = OnceLock::new();
    *BYTES.get_or_init(|| {
        // SAFETY: the call takes no pointers and may be made from any thread.
        let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        u64::try_from(bytes).expect("every kernel has pages")
    })
}
