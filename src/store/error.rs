//! Why a data directory was not opened: the thing, the place, and what to do, on one line.

use std::io;

/// An error of opening, checking or raising; each says where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the directory.
    #[error("{place}: in use by another process; stop it, or name another directory")]
    Locked {
        /// The directory.
        place: String,
    },
    /// There are files, but none of ours.
    #[error(
        "{place}: not a Larder directory, it holds {found:?}; name an empty directory or an existing one of Larder"
    )]
    NotLarder {
        /// The directory.
        place: String,
        /// One of the names in it.
        found: String,
    },
    /// It belongs to somebody else.
    #[error("{place}: belongs to {what} {found}, not {expected}; attach the right disk or start the right node")]
    Foreign {
        /// The directory.
        place: String,
        /// `cluster` or `node`.
        what: &'static str,
        /// The id on the disk.
        found: String,
        /// The id that was expected.
        expected: String,
    },
    /// A later program wrote it.
    #[error(
        "{place}: format version {found} is newer than {known}, the latest that this program knows; use a newer larder"
    )]
    Newer {
        /// The directory and file.
        place: String,
        /// The version found.
        found: u32,
        /// The version known.
        known: u32,
    },
    /// Nothing says whose directory this is.
    #[error(
        "{place}: both copies are damaged or gone; restore the file superblock from a backup, or recover the volumes into a new directory"
    )]
    Superblock {
        /// The directory and file.
        place: String,
    },
    /// The list of volumes has no readable beginning.
    #[error(
        "{place}: the head of the manifest is damaged or gone; `larder volume reindex` makes it anew from the segments"
    )]
    Manifest {
        /// The directory and file.
        place: String,
    },
    /// The list of volumes is gone, and a compacted segment cannot be placed without it.
    #[error(
        "{place}: is a compacted segment, and without the manifest it is not known what it replaces; restore the file manifest from a backup"
    )]
    Compacted {
        /// The directory and file.
        place: String,
    },
    /// The options contradict each other or the format.
    #[error("option {option} = {value}: {reason}")]
    Options {
        /// The option.
        option: &'static str,
        /// Its value.
        value: u64,
        /// The bound.
        reason: &'static str,
    },
    /// A volume number cannot be given out.
    #[error("{place}: no volume number is left; add a node")]
    NumbersUsedUp {
        /// The directory.
        place: String,
    },
    /// The device or the file system failed.
    #[error("{place}: {action} failed at byte {offset}: {error}; check the device, then open the disk again")]
    Io {
        /// The directory and file.
        place: String,
        /// What was tried.
        action: &'static str,
        /// Where in the file.
        offset: u64,
        /// What the system said.
        #[source]
        error: io::Error,
    },
}

impl StoreError {
    /// An error of the system with its place.
    pub fn io(disk: &dyn crate::disk::Disk, file: &str, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let place = format!("{}/{file}", disk.place());
        move |error| Self::Io { place, action, offset: 0, error }
    }
}
