//! How an operation ended, in one byte, and what a client should do about it.

use serde::Serialize;

/// The outcome of a request. The numbers are those of the wire, and never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(u8)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// No such object: unknown, deleted, or the cookie is wrong.
    NotFound = 1,
    /// The range holds no byte of the object.
    RangeNotSatisfiable = 2,
    /// The stored bytes failed their checksum; nothing wrong was sent.
    Damaged = 3,
    /// A body arrived with a checksum that is not its own.
    ChecksumMismatch = 4,
    /// The request says something that cannot be.
    BadRequest = 5,
    /// The opcode is unknown to this node.
    UnknownOperation = 6,
    /// The version is unknown to this node.
    UnsupportedVersion = 7,
    /// The object or frame is over a limit.
    TooLarge = 8,
    /// A queue or budget is full; nothing was done.
    Busy = 9,
    /// The deadline passed; a write may or may not have been done.
    TimedOut = 10,
    /// What would answer is out of service now: a failed disk, or a volume on no present disk.
    Unavailable = 11,
    /// No disk has room for it.
    Full = 12,
    /// The node is stopping.
    ShuttingDown = 13,
    /// Not allowed for this object.
    Refused = 14,
    /// The node failed in a way that it did not foresee.
    Internal = 15,
    /// The frame's head is not one of this protocol; the connection ends.
    BadFrame = 16,
    /// The peer was too slow or silent; the connection ends.
    TooSlow = 17,
    /// A path or a name in it is over its limit.
    PathTooLong = 18,
    /// A path holds what no path may hold.
    BadPath = 19,
    /// The directory above the name is not there.
    ParentNotFound = 20,
    /// What must be a directory is a file.
    NotADirectory = 21,
    /// What must be a file is a directory.
    IsADirectory = 22,
    /// The directory holds something.
    DirectoryNotEmpty = 23,
    /// The name is taken.
    AlreadyExists = 24,
    /// The name leads to another version than the one that was named.
    VersionMismatch = 25,
    /// A directory cannot be moved into itself, nor the root moved or removed.
    IntoItself = 26,
    /// The cursor is not one of this directory.
    BadCursor = 27,
    /// A chunk of the commit is not there, or is not on the disk yet.
    NoSuchChunk = 28,
    /// A chunk of the commit is of another session, of a file, or was put by id.
    ForeignChunk = 29,
    /// The session was closed, or never opened: open another.
    SessionUnknown = 30,
    /// The number was used so long ago that its answer is not known any more.
    OutcomeForgotten = 31,
}

/// What a client should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Nothing: it is done.
    Done,
    /// Nothing: it is a fact, and will stay one.
    Fact,
    /// The same again, after the delay.
    Retry,
    /// Not the same again: the request must change.
    Mend,
    /// Find out what happened before trying again, unless it is safe to repeat.
    Unknown,
    /// Open a new connection.
    Reconnect,
    /// Tell an operator.
    Report,
}

impl Status {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 32] = [
        Self::Ok,
        Self::NotFound,
        Self::RangeNotSatisfiable,
        Self::Damaged,
        Self::ChecksumMismatch,
        Self::BadRequest,
        Self::UnknownOperation,
        Self::UnsupportedVersion,
        Self::TooLarge,
        Self::Busy,
        Self::TimedOut,
        Self::Unavailable,
        Self::Full,
        Self::ShuttingDown,
        Self::Refused,
        Self::Internal,
        Self::BadFrame,
        Self::TooSlow,
        Self::PathTooLong,
        Self::BadPath,
        Self::ParentNotFound,
        Self::NotADirectory,
        Self::IsADirectory,
        Self::DirectoryNotEmpty,
        Self::AlreadyExists,
        Self::VersionMismatch,
        Self::IntoItself,
        Self::BadCursor,
        Self::NoSuchChunk,
        Self::ForeignChunk,
        Self::SessionUnknown,
        Self::OutcomeForgotten,
    ];

    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The status of a number.
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// The name that people read.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::NotFound => "NOT_FOUND",
            Self::RangeNotSatisfiable => "RANGE_NOT_SATISFIABLE",
            Self::Damaged => "DAMAGED",
            Self::ChecksumMismatch => "CHECKSUM_MISMATCH",
            Self::BadRequest => "BAD_REQUEST",
            Self::UnknownOperation => "UNKNOWN_OPERATION",
            Self::UnsupportedVersion => "UNSUPPORTED_VERSION",
            Self::TooLarge => "TOO_LARGE",
            Self::Busy => "BUSY",
            Self::TimedOut => "TIMED_OUT",
            Self::Unavailable => "UNAVAILABLE",
            Self::Full => "FULL",
            Self::ShuttingDown => "SHUTTING_DOWN",
            Self::Refused => "REFUSED",
            Self::Internal => "INTERNAL",
            Self::BadFrame => "BAD_FRAME",
            Self::TooSlow => "TOO_SLOW",
            Self::PathTooLong => "PATH_TOO_LONG",
            Self::BadPath => "BAD_PATH",
            Self::ParentNotFound => "PARENT_NOT_FOUND",
            Self::NotADirectory => "NOT_A_DIRECTORY",
            Self::IsADirectory => "IS_A_DIRECTORY",
            Self::DirectoryNotEmpty => "DIRECTORY_NOT_EMPTY",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::VersionMismatch => "VERSION_MISMATCH",
            Self::IntoItself => "INTO_ITSELF",
            Self::BadCursor => "BAD_CURSOR",
            Self::NoSuchChunk => "NO_SUCH_CHUNK",
            Self::ForeignChunk => "FOREIGN_CHUNK",
            Self::SessionUnknown => "SESSION_UNKNOWN",
            Self::OutcomeForgotten => "OUTCOME_FORGOTTEN",
        }
    }

    /// What a client should do.
    #[must_use]
    pub fn class(self) -> Class {
        match self {
            Self::Ok => Class::Done,
            Self::NotFound
            | Self::ParentNotFound
            | Self::NotADirectory
            | Self::IsADirectory
            | Self::DirectoryNotEmpty
            | Self::AlreadyExists
            | Self::VersionMismatch => Class::Fact,
            Self::RangeNotSatisfiable
            | Self::BadRequest
            | Self::UnknownOperation
            | Self::UnsupportedVersion
            | Self::TooLarge
            | Self::Refused
            | Self::PathTooLong
            | Self::BadPath
            | Self::IntoItself
            | Self::BadCursor
            | Self::NoSuchChunk
            | Self::ForeignChunk
            | Self::SessionUnknown => Class::Mend,
            Self::ChecksumMismatch | Self::Busy | Self::Unavailable | Self::Full => Class::Retry,
            Self::TimedOut | Self::OutcomeForgotten => Class::Unknown,
            Self::ShuttingDown | Self::BadFrame | Self::TooSlow => Class::Reconnect,
            Self::Damaged | Self::Internal => Class::Report,
        }
    }

    /// Whether the request was carried out or told a fact, rather than turned away.
    #[must_use]
    pub fn is_answer(self) -> bool {
        matches!(self.class(), Class::Done | Class::Fact) || matches!(self, Self::RangeNotSatisfiable | Self::Damaged)
    }
}

/// Where a request was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Stage {
    /// No stage: the refusal is of the request itself.
    None = 0,
    /// The connection's bound, or the completion queue of its processor.
    Processor = 1,
    /// The budget of bytes.
    Memory = 2,
    /// The queue of the disk's readers.
    ReadQueue = 3,
    /// The queue of the disk's append lane.
    AppendQueue = 4,
    /// The disk itself.
    Disk = 5,
}

impl Stage {
    /// The stage of a number on the wire; unknown ones are `None`.
    #[must_use]
    pub fn of_code(code: u8) -> Self {
        match code {
            1 => Self::Processor,
            2 => Self::Memory,
            3 => Self::ReadQueue,
            4 => Self::AppendQueue,
            5 => Self::Disk,
            _ => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_statuses_are_one_to_one() {
        for (place, status) in Status::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(status.code()), place);
            assert_eq!(Status::of_code(status.code()), Some(status));
        }
        assert_eq!(Status::of_code(32), None);
    }
}
