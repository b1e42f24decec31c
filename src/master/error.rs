//! What can go wrong with the metadata log and the metadata state. Any thread.

use crate::disk::is_full;
use std::io;

/// Why the state or the log could not be read or written. After any but [`Full`](Self::Full) the master gives up its role in
/// this process.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Reading, writing or syncing failed; what is on the disk is not known.
    #[error("{place}: {error}")]
    Io {
        /// The file or the directory.
        place: String,
        /// What the system said.
        error: io::Error,
    },
    /// The metadata disk has no room; nothing was changed, and it may be tried again.
    #[error("{place}: no room")]
    Full {
        /// The file or the directory.
        place: String,
    },
    /// Another process has the directory.
    #[error("{place}: another process has this metadata directory: stop it, or name another with --meta")]
    InUse {
        /// The directory.
        place: String,
    },
    /// Stored bytes do not verify, or contradict each other.
    #[error("{place}: {what}")]
    Damaged {
        /// The file, and where in it.
        place: String,
        /// What is wrong, and the way out.
        what: String,
    },
}

impl StateError {
    /// The error of a call on `place`; want of room only if the call was not a sync.
    #[must_use]
    pub fn io(place: impl Into<String>, error: io::Error) -> Self {
        let place = place.into();
        if is_full(&error) { Self::Full { place } } else { Self::Io { place, error } }
    }

    /// Another process has the directory, or it cannot be locked.
    #[must_use]
    pub fn locked(place: &str, error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::WouldBlock {
            return Self::InUse { place: place.to_string() };
        }
        Self::Io { place: place.to_string(), error }
    }

    /// Damage at a place.
    #[must_use]
    pub fn damaged(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Damaged { place: place.into(), what: what.into() }
    }
}
