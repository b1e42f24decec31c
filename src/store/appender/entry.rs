//! What an append lane is asked to store, and what came of it.

use crate::base::ids::{Cookie, ObjectId, Origin};
use crate::base::payload::Payload;
use crate::store::error::StoreError;
use bytes::Bytes;
use std::io;
use std::sync::Arc;

/// One wish of a group.
#[derive(Debug)]
pub enum Entry {
    /// Store an object.
    Put {
        /// Its content with the checksums that were computed while it arrived.
        payload: Payload,
        /// The random part of its id.
        cookie: Cookie,
        /// At most 4 KiB.
        attributes: Bytes,
        /// The request that made it, or zeros.
        origin: Origin,
        /// It belongs to a name.
        named: bool,
    },
    /// Delete an object; the caller has read its head and checked cookie and kind.
    Delete {
        /// The object.
        id: ObjectId,
    },
}

/// What came of one wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// Stored under this id.
    Stored(ObjectId),
    /// Deleted.
    Deleted {
        /// It was deleted before, so nothing was written.
        already: bool,
    },
    /// There is no such object here.
    NotFound,
}

/// The disk failed for writing: nothing more is written to it before it is opened again.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{place}: {action} failed: {error}; the disk takes no more writes until it is opened again")]
pub struct Failure {
    /// The directory and file.
    pub place: String,
    /// What was tried.
    pub action: &'static str,
    /// What the system said.
    pub error: Arc<io::Error>,
}

/// Why a group was not stored; none of its entries was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// No room; the appender stays usable.
    #[error("{place}: the disk is full")]
    Full {
        /// The directory and file.
        place: String,
    },
    /// An entry, or the group, is above the format's or the options' bounds; the appender stays usable.
    #[error("entry {entry} takes {bytes} bytes with what is before it, a group may take {bytes_max}")]
    TooLarge {
        /// Which entry of the group.
        entry: usize,
        /// Bytes up to and with it.
        bytes: u64,
        /// The bound.
        bytes_max: u64,
    },
    /// No volume number could be had; the appender stays usable.
    #[error(transparent)]
    Numbers(Arc<StoreError>),
    /// The disk failed; every later call says so again without touching it.
    #[error(transparent)]
    Failed(#[from] Failure),
}
