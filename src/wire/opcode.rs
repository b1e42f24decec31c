//! The operations of the protocol, by number.
//!
//! ```text
//! 0x00          none: the reply to a frame whose opcode cannot be known
//! 0x01..=0x0f   the connection and the node: HELLO 1, PING 2, STATUS 3
//! 0x10..=0x1f   objects: PUT 0x10, GET 0x11, STAT 0x12, DELETE 0x13
//! 0x20..=0x3f   names: SESSION 0x20, COMMIT 0x21, MAKE_DIRECTORY 0x22, RENAME 0x23, REMOVE 0x24, SET_ATTRIBUTES 0x25,
//!               LOOKUP 0x28, LIST 0x29, USAGE 0x2a, REMOVAL 0x2b
//! 0x40..=0x5f   administration: SCRUB 0x40
//! 0x60..=0x7f   between nodes
//! 0x80..=0xff   never given out: for private use
//! ```

use super::object::OBJECT_ID_BYTES;
use crate::base::limits::BODY_BYTES_MAX;

/// What a frame asks for, or what it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// The first frame of a connection: versions and limits.
    Hello = 0x01,
    /// The same bytes back.
    Ping = 0x02,
    /// The node, as JSON.
    Status = 0x03,
    /// Stores an object.
    Put = 0x10,
    /// Reads an object or a part of it.
    Get = 0x11,
    /// Reads what is known about an object.
    Stat = 0x12,
    /// Deletes an object.
    Delete = 0x13,
    /// Opens, renews or closes a session.
    Session = 0x20,
    /// Gives a file its name and content.
    Commit = 0x21,
    /// Makes a directory.
    MakeDirectory = 0x22,
    /// Another name for a file or a directory.
    Rename = 0x23,
    /// Removes a file, a directory or a tree.
    Remove = 0x24,
    /// Other attributes for a file.
    SetAttributes = 0x25,
    /// What a name leads to.
    Lookup = 0x28,
    /// The names in a directory.
    List = 0x29,
    /// What is under a name.
    Usage = 0x2a,
    /// How far a removal in the background is.
    Removal = 0x2b,
    /// The scrub of each disk, as JSON; starts a pass if it is asked to.
    Scrub = 0x40,
}

/// Bodies of HELLO, which may grow, and of PING.
const SMALL_BODY_BYTES_MAX: usize = 4 << 10;

impl Opcode {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Hello,
        Self::Ping,
        Self::Status,
        Self::Put,
        Self::Get,
        Self::Stat,
        Self::Delete,
        Self::Session,
        Self::Commit,
        Self::MakeDirectory,
        Self::Rename,
        Self::Remove,
        Self::SetAttributes,
        Self::Lookup,
        Self::List,
        Self::Usage,
        Self::Removal,
        Self::Scrub,
    ];

    /// The opcode of a number, if this version knows it.
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        match code {
            0x01 => Some(Self::Hello),
            0x02 => Some(Self::Ping),
            0x03 => Some(Self::Status),
            0x10 => Some(Self::Put),
            0x11 => Some(Self::Get),
            0x12 => Some(Self::Stat),
            0x13 => Some(Self::Delete),
            0x20 => Some(Self::Session),
            0x21 => Some(Self::Commit),
            0x22 => Some(Self::MakeDirectory),
            0x23 => Some(Self::Rename),
            0x24 => Some(Self::Remove),
            0x25 => Some(Self::SetAttributes),
            0x28 => Some(Self::Lookup),
            0x29 => Some(Self::List),
            0x2a => Some(Self::Usage),
            0x2b => Some(Self::Removal),
            0x40 => Some(Self::Scrub),
            _ => None,
        }
    }

    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The name that people read.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hello => "HELLO",
            Self::Ping => "PING",
            Self::Status => "STATUS",
            Self::Put => "PUT",
            Self::Get => "GET",
            Self::Stat => "STAT",
            Self::Delete => "DELETE",
            Self::Session => "SESSION",
            Self::Commit => "COMMIT",
            Self::MakeDirectory => "MAKE_DIRECTORY",
            Self::Rename => "RENAME",
            Self::Remove => "REMOVE",
            Self::SetAttributes => "SET_ATTRIBUTES",
            Self::Lookup => "LOOKUP",
            Self::List => "LIST",
            Self::Usage => "USAGE",
            Self::Removal => "REMOVAL",
            Self::Scrub => "SCRUB",
        }
    }

    /// Bytes that the body of a request may have.
    #[must_use]
    pub fn body_bytes_max(self) -> usize {
        match self {
            Self::Hello | Self::Ping => SMALL_BODY_BYTES_MAX,
            Self::Status => 0,
            Self::Scrub => super::scrub::SCRUB_BYTES,
            Self::Put => BODY_BYTES_MAX,
            Self::Session
            | Self::Commit
            | Self::MakeDirectory
            | Self::Rename
            | Self::Remove
            | Self::SetAttributes
            | Self::Lookup
            | Self::List
            | Self::Usage
            | Self::Removal => super::name::body_bytes_max(self),
            Self::Get => super::get::GET_BYTES,
            Self::Stat | Self::Delete => OBJECT_ID_BYTES,
        }
    }

    /// Whether the operation may be repeated without knowing what became of the first: a repeat changes nothing more.
    #[must_use]
    pub fn may_be_repeated(self) -> bool {
        // A PUT that is sent twice may be stored twice. A change of names has a request id, and is made once; a session
        // that is opened twice is one that nobody uses, which ends after its time.
        self != Self::Put
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_opcodes_are_one_to_one() {
        let known: Vec<_> = (0..=u8::MAX).filter_map(Opcode::of_code).collect();
        assert_eq!(known, Opcode::ALL);
        assert!((0..=u8::MAX).all(|code| Opcode::of_code(code).is_none_or(|opcode| opcode.code() == code)));
    }
}
