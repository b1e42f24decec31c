//! What an operation ends in, freed from the protocol that carries it.

use super::{Attributes, Entry, NameAnswer, Pieces, Stage, Stamp, Status};
use crate::base::budget::Reservation;
use crate::base::buffers::Parts;
use crate::base::checksum::Behind;
use crate::base::ids::{ContentHash, ObjectId};
use bytes::Bytes;
use serde::Serialize;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// An answer.
#[derive(Debug)]
pub enum Answer {
    /// The bytes of the ping.
    Pong(Bytes),
    /// The object is stored.
    Stored(Stored),
    /// The first piece of content, and where the rest comes from.
    Content(Content),
    /// A further piece of content.
    More(Piece),
    /// What is known about an object.
    Stat(Arc<Meta>),
    /// The object is deleted; a repeat says the same.
    Deleted(Durability),
    /// About names.
    Name(NameAnswer),
    /// What a name leads to, from memory; with a mark by which it is seen whether it still does.
    HotName(Box<Entry>, Option<Stamp>),
    /// The node, the scrub of its disks, or that it is ready, as a JSON text; or its metrics, as OpenMetrics text.
    Status(Bytes),
    /// It was not done.
    Refused(Refusal),
}

/// How sure a write is when it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Durability {
    /// On the disk: the sync that covers it has returned.
    #[default]
    Disk = 0,
    /// In the machine's memory, at most a second from the disk.
    Memory = 1,
}

impl Durability {
    /// The class of a number on the wire.
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Disk),
            1 => Some(Self::Memory),
            _ => None,
        }
    }
}

/// The receipt of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its name from now on.
    pub id: ObjectId,
    /// XXH3-128 of its content.
    pub hash: ContentHash,
    /// Bytes of content.
    pub size: u64,
    /// The class that was reached.
    pub durability: Durability,
}

/// What is known about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Bytes of content.
    pub size: u64,
    /// XXH3-128 of the content.
    pub hash: ContentHash,
    /// When it was stored: milliseconds since 1970, UTC.
    pub stored_ms: u64,
    /// Its attributes.
    pub attributes: Attributes,
}

/// Content on its way to a client.
#[derive(Debug)]
pub struct Content {
    /// The object.
    pub meta: Arc<Meta>,
    /// The bytes of it that are sent.
    pub range: Range<u64>,
    /// The first of them.
    pub first: Piece,
    /// Where the rest comes from; `None` when `first` is all.
    pub rest: Option<Box<dyn Pieces>>,
}

/// Verified bytes, and the room that they hold until they are sent.
#[derive(Debug, Default)]
pub struct Piece {
    /// The bytes, in order.
    pub parts: Parts,
    /// Their room in the budget of replies.
    pub room: Option<Reservation>,
    /// The checksum of all of them, where it is known already.
    pub known: Option<Behind>,
}

impl Piece {
    /// Bytes in it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The outcome.
    pub status: Status,
    /// Where it was turned away.
    pub stage: Stage,
    /// Milliseconds after which to try again; zero when that is no use.
    pub retry_after_ms: u32,
    /// One line for a person: the thing, the place, the way out.
    pub detail: Cow<'static, str>,
}

impl Refusal {
    /// A refusal of the request itself.
    #[must_use]
    pub fn new(status: Status, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, stage: Stage::None, retry_after_ms: 0, detail: detail.into() }
    }

    /// A refusal for want of room.
    #[must_use]
    pub fn busy(stage: Stage, retry_after_ms: u32, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status: Status::Busy, stage, retry_after_ms, detail: detail.into() }
    }
}

impl Answer {
    /// A refusal of the request itself.
    #[must_use]
    pub fn refused(status: Status, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Refused(Refusal::new(status, detail))
    }

    /// The status that this answer carries.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Refused(refusal) => refusal.status,
            _ => Status::Ok,
        }
    }
}

/// The limits and identity that a node tells its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The cluster.
    pub cluster: crate::base::ids::ClusterId,
    /// The node.
    pub node: crate::base::ids::NodeId,
    /// The largest body of a frame, in bytes.
    pub body_bytes_max: u32,
    /// The largest object, in bytes.
    pub chunk_bytes_max: u32,
    /// Requests of one connection that may be unanswered.
    pub in_flight_max: u32,
    /// The deadline of a request that names none.
    pub deadline_default_ms: u32,
    /// The longest deadline; a longer one is cut to it.
    pub deadline_max_ms: u32,
}
