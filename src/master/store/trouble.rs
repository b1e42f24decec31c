//! What went wrong first: it is kept, and everything after it is refused with it.
//!
//! Any thread. Always: once set it stays, so that nobody reads or writes on after an error whose extent is not known.

use crate::disk::is_full;
use crate::master::StateError;
use parking_lot::Mutex;
use std::io;

/// The first thing that went wrong with a file.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// Bytes do not verify, or the code that reads them stumbled over them.
    Damaged {
        /// Where.
        place: String,
        /// What.
        what: String,
    },
    /// A call failed.
    Io {
        /// Where.
        place: String,
        /// Its kind.
        kind: io::ErrorKind,
        /// What the system said.
        message: String,
    },
    /// A write found no room.
    Full {
        /// Where.
        place: String,
    },
}

impl Trouble {
    /// The error of a call that was not a sync.
    pub fn of(place: &str, error: &io::Error) -> Self {
        let place = place.to_owned();
        if is_full(error) {
            return Self::Full { place };
        }
        Self::Io { place, kind: error.kind(), message: error.to_string() }
    }

    /// What does not verify.
    pub fn damaged(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Damaged { place: place.into(), what: what.into() }
    }

    /// The same, where want of room is no answer that could be tried again.
    pub fn unwelcome(self) -> Self {
        match self {
            Self::Full { place } => {
                let message = "no room, after something was written that may count".to_owned();
                Self::Io { place, kind: io::ErrorKind::Other, message }
            }
            trouble => trouble,
        }
    }
}

impl From<Trouble> for StateError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Damaged { place, what } => Self::Damaged { place, what },
            Trouble::Io { place, kind, message } => Self::Io { place, error: io::Error::new(kind, message) },
            Trouble::Full { place } => Self::Full { place },
        }
    }
}

impl From<Trouble> for io::Error {
    fn from(trouble: Trouble) -> Self {
        let kind = match &trouble {
            Trouble::Damaged { .. } => io::ErrorKind::InvalidData,
            Trouble::Io { kind, .. } => *kind,
            Trouble::Full { .. } => io::ErrorKind::StorageFull,
        };
        Self::new(kind, StateError::from(trouble).to_string())
    }
}

/// Holds the first trouble.
#[derive(Debug, Default)]
pub struct Latch(Mutex<Option<Trouble>>);

impl Latch {
    /// Keeps it, if it is the first, and gives back the first.
    pub fn set(&self, trouble: Trouble) -> Trouble {
        self.0.lock().get_or_insert(trouble).clone()
    }

    /// The first, if there was one.
    pub fn get(&self) -> Option<Trouble> {
        self.0.lock().clone()
    }

    /// Refuses after the first.
    pub fn check(&self) -> Result<(), Trouble> {
        self.get().map_or(Ok(()), Err)
    }
}
