//! Why a data directory was not opened: the thing, the place, and what to do, on one line.

use crate::disk::is_full;
use std::io;

/// Who has to do something about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Whoever named the directory or set the options: a node does not start before that is put right.
    Operator,
    /// The disk: a node starts without it.
    Disk,
}

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
        "{place}: both copies in the file superblock are damaged, or it is gone; restore the file from a backup, or recover the volumes into a new directory"
    )]
    Superblock {
        /// The directory and file.
        place: String,
    },
    /// The list of volumes has no readable beginning.
    #[error(
        "{place}: the head of the manifest is damaged or gone; restore the file, or run `larder volume reindex` on the directory, which makes it anew from the segments"
    )]
    Manifest {
        /// The directory and file.
        place: String,
    },
    /// Something else stands where one of the small files should be.
    #[error("{place}: is {found} where a file of Larder should be; move it away and put the file back")]
    NoFile {
        /// The directory and name.
        place: String,
        /// What is there.
        found: &'static str,
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
    #[error("{place}: {action} failed at byte {offset}: {error}; {}, then open the disk again", way_out(.error))]
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
    /// Who has to do something about it.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            // A manifest of another disk is a mixture of files; nobody named it.
            Self::Foreign { what: "disk", .. } => Blame::Disk,
            Self::Locked { .. } | Self::NotLarder { .. } | Self::Foreign { .. } | Self::Options { .. } => {
                Blame::Operator
            }
            Self::Io { error, .. } if error.kind() == io::ErrorKind::NotADirectory => Blame::Operator,
            Self::Newer { .. }
            | Self::Superblock { .. }
            | Self::Manifest { .. }
            | Self::NumbersUsedUp { .. }
            | Self::NoFile { .. }
            | Self::Io { .. } => Blame::Disk,
        }
    }

    /// Whether it is for want of room. A sync that found none is a failure: what is on the disk then is not known.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { error, action, .. } if *action != "sync" && is_full(error))
    }

    /// An error of the system with its place.
    pub fn io(disk: &dyn crate::disk::Disk, file: &str, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let place = format!("{}/{file}", disk.place());
        move |error| Self::Io { place, action, offset: 0, error }
    }
}

fn way_out(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "give the node's user the right to read and write it (chown, chmod)",
        io::ErrorKind::StorageFull => "make room",
        _ => "check the device",
    }
}
