//! What a client can ask of names, and what it is told, freed from the protocol that carries it.
//!
//! Any thread. A name leads to a file (size, times, hash, attributes and a list of chunks, which are objects) or to a
//! directory. Changes carry a request id and are applied once; every answer carries the version of what it tells of.

use super::{Attributes, Status};
use crate::base::ids::{ContentHash, ObjectId, Origin};
use crate::base::path::{BadPath, NamePath};
use bytes::Bytes;

/// One operation on names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameOperation {
    /// Opens, renews or closes a session.
    Session(SessionAct),
    /// Changes the namespace.
    Change(Box<ChangeRequest>),
    /// What a name leads to.
    Lookup(Lookup),
    /// The names in a directory.
    List(List),
    /// What is under a name.
    Usage(NamePath),
    /// How far a removal in the background is.
    Removal(u64),
}

/// What to do with a session. Opening needs no request id: a session that nobody uses is closed after its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionAct {
    /// A new one.
    Open,
    /// It is still in use.
    Renew(u64),
    /// It will not be used again: chunks of it that no file has are garbage from now on.
    Close(u64),
}

/// A change, and the number that makes it happen once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRequest {
    /// The session, and a number that no other request of the session has; chunks take numbers of the same row.
    pub id: Origin,
    /// What to change.
    pub change: Change,
}

/// A change of the namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A file with these chunks, in the place of what the name led to.
    Commit {
        /// The name.
        path: NamePath,
        /// What it must lead to before.
        condition: Condition,
        /// Make missing directories above it.
        parents: bool,
        /// Its modification time; `None` is now.
        modified_ms: Option<u64>,
        /// Its attributes.
        attributes: Attributes,
        /// Its content: objects of the same session, each of 8 MiB but the last, which no file has yet.
        chunks: Vec<ObjectId>,
    },
    /// An empty directory.
    MakeDirectory {
        /// The name.
        path: NamePath,
        /// Make missing directories above it too, and take it as done if it is there.
        parents: bool,
    },
    /// Another name for a file or a directory, in one step.
    Rename {
        /// What it is called.
        from: NamePath,
        /// What it shall be called.
        to: NamePath,
        /// A file, or an empty directory, at the new name is replaced by one of its kind.
        replace: bool,
        /// What the old name must lead to.
        condition: Condition,
    },
    /// Removes a file or an empty directory.
    Remove {
        /// The name.
        path: NamePath,
        /// A directory with all that is in it: the name goes at once, the content in the background.
        tree: bool,
        /// What it must lead to.
        condition: Condition,
    },
    /// Other attributes for a file.
    SetAttributes {
        /// The name.
        path: NamePath,
        /// What it must lead to.
        condition: Condition,
        /// All of its attributes from now on.
        attributes: Attributes,
    },
}

/// What must hold for a change to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// Nothing.
    #[default]
    Any,
    /// The name leads to nothing.
    Absent,
    /// It leads to this version.
    Version(u64),
}

/// A lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The name.
    pub path: NamePath,
    /// The place of the first chunk to tell.
    pub chunk_first: u32,
    /// How many to tell at most; 0 tells the facts only.
    pub chunks_max: u32,
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// The directory.
    pub path: NamePath,
    /// Where the page before ended; empty for the first.
    pub cursor: Bytes,
    /// Entries at most; 0 is as many as fit.
    pub limit: u32,
}

/// What a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum NameKind {
    /// A file.
    File = 1,
    /// A directory.
    Directory = 2,
}

impl NameKind {
    /// The kind of a number.
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::File),
            2 => Some(Self::Directory),
            _ => None,
        }
    }
}

/// What is known about a name, without its chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameFacts {
    /// What it leads to.
    pub kind: NameKind,
    /// It grows with each change, over the whole namespace: what has another version is another.
    pub version: u64,
    /// Bytes of content; 0 for a directory.
    pub size: u64,
    /// When the name was first given, in milliseconds since 1970.
    pub created_ms: u64,
    /// When its content was last changed.
    pub modified_ms: u64,
    /// XXH3-128: of one chunk its hash, of more over their hashes in order (16 bytes each, most significant first), of
    /// none that of nothing; zero for a directory.
    pub hash: ContentHash,
    /// Chunks in all.
    pub chunks: u32,
}

/// An answer to an operation on names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameAnswer {
    /// A session, opened or renewed.
    Session(Session),
    /// The session is closed.
    SessionClosed,
    /// The change is made.
    Changed(Changed),
    /// What the name leads to.
    Entry(Box<Entry>),
    /// A page of a listing.
    Listing(Listing),
    /// What is under a name.
    Usage(Usage),
    /// How far a removal is.
    Removal(Removal),
}

/// A session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Its number.
    pub session: u64,
    /// It is closed after so long without a change.
    pub silent_ms_max: u64,
}

/// The receipt of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changed {
    /// The version of what was changed; of a removal the version that the namespace reached with it.
    pub version: u64,
    /// The hash of a file that was committed, else zero.
    pub hash: u128,
    /// Its size.
    pub size: u64,
    /// The number of the removal that goes on in the background, or 0.
    pub removal: u64,
    /// Whether something else was there before.
    pub replaced: bool,
}

/// What a name leads to, with some of its chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The facts.
    pub facts: NameFacts,
    /// Its attributes.
    pub attributes: Attributes,
    /// The place of the first of `chunks`.
    pub chunk_first: u32,
    /// Chunks from there on.
    pub chunks: Vec<ObjectId>,
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The names, in the order of their bytes.
    pub entries: Vec<(String, NameFacts)>,
    /// Where the next page begins; empty at the end.
    pub cursor: Bytes,
}

/// What is under a name. Counted while changes go on: exact only for a tree that rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Files.
    pub files: u64,
    /// Directories, the named one not counted.
    pub directories: u64,
    /// Bytes of content.
    pub bytes: u64,
}

/// How far a removal in the background is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removal {
    /// Names that are gone.
    pub names: u64,
    /// Bytes of content that are gone.
    pub bytes: u64,
    /// Nothing is left of it.
    pub done: bool,
}

/// The status of a path that is none.
#[must_use]
pub fn path_status(bad: &BadPath) -> Status {
    if bad.is_too_long() { Status::PathTooLong } else { Status::BadPath }
}
