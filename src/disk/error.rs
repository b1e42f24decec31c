//! What an error of a disk says about the disk. Any thread; pure.

use rustix::io::Errno;
use std::io;

/// No room, on the file system or under a quota: the disk is full, not broken.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// This process or this machine ran short of something: nothing is known about the disk.
#[must_use]
pub fn is_shortage(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::INTR | Errno::AGAIN))
        || matches!(error.kind(), io::ErrorKind::OutOfMemory | io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_is_one_of_three() {
        let cases = [
            (Errno::NOSPC, (true, false)),
            (Errno::DQUOT, (true, false)),
            (Errno::MFILE, (false, true)),
            (Errno::NFILE, (false, true)),
            (Errno::NOMEM, (false, true)),
            (Errno::INTR, (false, true)),
            (Errno::IO, (false, false)),
            (Errno::NODEV, (false, false)),
            (Errno::STALE, (false, false)),
            (Errno::NOENT, (false, false)),
            (Errno::ROFS, (false, false)),
        ];
        for (errno, want) in cases {
            let error = io::Error::from(errno);
            assert_eq!((is_full(&error), is_shortage(&error)), want, "{error}");
        }
    }
}
