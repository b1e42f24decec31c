//! Which names and offsets every disk takes, so that all disks refuse the same.
//!
//! Any thread; arithmetic only.

use rustix::io::Errno;
use std::io;

/// The kernel's NAME_MAX.
const NAME_BYTES_MAX: usize = 255;

/// Refuses what is not a plain file name: EINVAL, or ENAMETOOLONG.
pub fn check(name: &str) -> io::Result<()> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Errno::NAMETOOLONG.into());
    }
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(Errno::INVAL.into());
    }
    Ok(())
}

/// The end of a range of a file; EINVAL beyond what the kernel's signed offsets can say.
///
/// The check matters: `preadv2` takes an offset of all ones as "where the handle stands".
pub fn end_of(offset: u64, bytes: u64) -> io::Result<u64> {
    offset.checked_add(bytes).filter(|end| *end <= i64::MAX.unsigned_abs()).ok_or_else(|| Errno::INVAL.into())
}

/// A length in memory as a length in a file.
pub fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a length in memory fits 64 bits")
}
