//! What the log carries: groups of commands.
//!
//! Pure. Always: a command holds all that applying it needs, the time included, so that every replica comes to the same state.

mod codec;

pub use codec::{Commands, GroupEncoder};

use crate::base::ids::{ContentHash, ObjectId, Origin};
use crate::base::path::NamePath;
use crate::request::{Attributes, Condition};

/// Commands that are applied one after another, with one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// When it was proposed: milliseconds since 1970. It never goes back from one group to the next.
    pub time_ms: u64,
    /// The commands, in order.
    pub commands: Vec<Command>,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A new session.
    OpenSession,
    /// The session is still in use.
    RenewSession(u64),
    /// The session ends; its numbers that did not commit are dead.
    CloseSession(u64),
    /// A change that a client asked for.
    Change {
        /// Its request id.
        id: Origin,
        /// What to change.
        change: Checked,
    },
    /// Asks how a change ended, if it did; it is answered with an empty receipt if it did not.
    Recall(Origin),
    /// Takes up to so many names out of a removed tree.
    Drain {
        /// The removal.
        removal: u64,
        /// Names at most.
        names_max: u32,
    },
    /// These tombstones are on their disks: they leave the to-do list. Named by their keys in it.
    TombstonesWritten(Vec<TombstoneKey>),
    /// Closes the sessions that were silent for so long.
    ExpireSessions {
        /// Milliseconds.
        silent_ms: u64,
    },
    /// Forgets closed sessions: every disk has been searched for their dead chunks since.
    ForgetSessions(Vec<u64>),
}

impl Command {
    /// Whether it leads to more room on the disks, or is needed for that: it is taken also when there is little.
    #[must_use]
    pub fn makes_room(&self) -> bool {
        match self {
            Self::Change { change, .. } => matches!(change, Checked::Remove { .. }),
            Self::OpenSession | Self::RenewSession(_) | Self::CloseSession(_) => true,
            Self::Drain { .. } | Self::TombstonesWritten(_) => true,
            Self::Recall(_) | Self::ExpireSessions { .. } | Self::ForgetSessions(_) => false,
        }
    }
}

/// The place of an entry in the to-do list of tombstones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TombstoneKey {
    /// When its content was replaced or removed, in milliseconds since 1970.
    pub since_ms: u64,
    /// The version that replaced or removed it, and a part of the list of chunks.
    pub version: u64,
    /// The part: lists of many chunks are several entries.
    pub part: u32,
}

/// A change whose chunks were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// See [`Change::Commit`](crate::request::Change::Commit).
    Commit {
        /// The name.
        path: NamePath,
        /// What it must lead to before.
        condition: Condition,
        /// Make missing directories above it.
        parents: bool,
        /// Its modification time; `None` is the time of the group.
        modified_ms: Option<u64>,
        /// Its attributes.
        attributes: Attributes,
        /// Bytes of content.
        size: u64,
        /// The hash of the content.
        hash: ContentHash,
        /// Its chunks, each with the number that its PUT had in the session.
        chunks: Vec<(ObjectId, u64)>,
    },
    /// See [`Change::MakeDirectory`](crate::request::Change::MakeDirectory).
    MakeDirectory {
        /// The name.
        path: NamePath,
        /// Also what is missing above it.
        parents: bool,
    },
    /// See [`Change::Rename`](crate::request::Change::Rename).
    Rename {
        /// What it is called.
        from: NamePath,
        /// What it shall be called.
        to: NamePath,
        /// Replace what is there.
        replace: bool,
        /// What the old name must lead to.
        condition: Condition,
    },
    /// See [`Change::Remove`](crate::request::Change::Remove).
    Remove {
        /// The name.
        path: NamePath,
        /// With all that is in it.
        tree: bool,
        /// What it must lead to.
        condition: Condition,
    },
    /// See [`Change::SetAttributes`](crate::request::Change::SetAttributes).
    SetAttributes {
        /// The name.
        path: NamePath,
        /// What it must lead to.
        condition: Condition,
        /// All of its attributes.
        attributes: Attributes,
    },
}

impl Checked {
    /// Bytes of memory that it holds besides its own, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let path = |path: &NamePath| path.as_str().len();
        match self {
            Self::Commit { path: name, attributes, chunks, .. } => {
                path(name) + attributes.bytes().len() + size_of_val(chunks.as_slice())
            }
            Self::MakeDirectory { path: name, .. } | Self::Remove { path: name, .. } => path(name),
            Self::Rename { from, to, .. } => path(from) + path(to),
            Self::SetAttributes { path: name, attributes, .. } => path(name) + attributes.bytes().len(),
        }
    }
}
