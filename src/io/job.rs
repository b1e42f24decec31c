//! What is submitted to a disk, and how it ends.

use crate::base::budget::Reservation;
use crate::base::buffers::Parts;
use crate::base::checksum::Behind;
use crate::base::clock::Moment;
use crate::base::completion::Completion;
use crate::base::ids::{ContentHash, Cookie, ObjectId, Origin, Sequence, VolumeId};
use crate::base::payload::Payload;
use crate::base::range::ByteRange;
use crate::io::read::{Reading, Target};
use crate::store::{ObjectFacts, TOMBSTONE_BYTES, needle_bytes};
use bytes::Bytes;
use std::ops::Range;

/// Why a job was not taken. Nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The queue of the disk's readers is full.
    ReadQueue,
    /// The queue of the append lane is full, on every disk that could take the object.
    AppendQueue,
    /// Jobs of this disk hold as much of the budget as one disk may.
    DiskShare,
    /// No disk has room for objects.
    Full,
    /// No disk takes writes.
    NoDisk,
    /// The disks that could take the object hang, or had errors lately.
    Suspect,
    /// The node is being stopped.
    Closed,
    /// The processor has no place for a completion.
    Completions,
}

/// How a read from a processor went.
#[derive(Debug)]
pub enum Tried<E> {
    /// It has ended, without a job.
    Done(E),
    /// A job was submitted.
    Submitted,
    /// It was not taken.
    Refused(Refused),
}

/// How the first read of an object ended.
#[derive(Debug)]
pub enum ReadEnd {
    /// The head, and the first verified bytes of the part that was asked for.
    Opened(Opened),
    /// The part holds no byte of the object.
    OutOfRange {
        /// The object's size in bytes.
        size: u64,
    },
    /// Another cookie: as good as unknown.
    NotFound,
    /// A checksum failed, also in the current view.
    Damaged,
    /// The disk reported an error.
    Failed,
    /// Its deadline passed before a reader took it.
    Expired,
}

/// An object that was opened.
#[derive(Debug)]
pub struct Opened {
    /// What is told of it.
    pub facts: ObjectFacts,
    /// The bytes that are to be sent.
    pub range: Range<u64>,
    /// The first of them.
    pub parts: Parts,
    /// Their room.
    pub room: Option<Reservation>,
    /// Where the rest comes from, if there is a rest.
    pub rest: Option<Box<Reading>>,
    /// The checksum of `parts`, where it is known already.
    pub known: Option<Behind>,
}

/// How the read of a further piece ended.
#[derive(Debug)]
pub enum PieceEnd {
    /// Verified bytes.
    Piece {
        /// The bytes, in order.
        parts: Parts,
        /// Their room.
        room: Option<Reservation>,
    },
    /// A checksum failed, also in the current view.
    Damaged,
    /// It was deleted while it was read, and its room given back.
    Gone,
    /// The disk reported an error.
    Failed,
    /// Its deadline passed before a reader took it.
    Expired,
}

/// An object to append.
#[derive(Debug)]
pub struct Append {
    /// Its content.
    pub payload: Payload,
    /// Its attributes, as they are stored.
    pub attributes: Bytes,
    /// The unguessable part of its id.
    pub cookie: Cookie,
    /// The upload that it belongs to, or zero.
    pub origin: Origin,
    /// Whether it belongs to a name.
    pub named: bool,
    /// Whether the answer waits for the sync.
    pub sync: bool,
}

/// An append that no lane took, given back.
#[derive(Debug)]
pub struct NotAppended {
    /// Why.
    pub refused: Refused,
    /// What was to be stored.
    pub append: Box<Append>,
}

/// How an append ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendEnd {
    /// It is stored.
    Stored {
        /// Its id.
        id: ObjectId,
        /// Its content's hash.
        hash: ContentHash,
        /// Its size in bytes.
        size: u64,
        /// Whether a sync covers it.
        synced: bool,
    },
    /// The disk is full; nothing was stored.
    Full,
    /// The disk failed; it may be stored or not, and was not acknowledged.
    Failed,
    /// Its deadline passed before the lane took it.
    Expired,
}

/// Who asks for a delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteBy {
    /// Whoever knows the id: objects that belong to a name are not theirs.
    Id,
    /// The namespace, of what no name leads to any more: objects that were put by id are not its own.
    Name,
}

/// How a delete ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteEnd {
    /// It is deleted, and a sync covers that.
    Deleted,
    /// No such object.
    NotFound,
    /// It belongs to a name.
    Named,
    /// It was put by id, so no name may delete it.
    NotNamed,
    /// Its head is damaged, so its cookie cannot be checked.
    Damaged,
    /// The lane did not take it; nothing was done.
    Refused(Refused),
    /// The disk has no room for a tombstone.
    Full,
    /// The disk failed.
    Failed,
    /// Its deadline passed.
    Expired,
}

/// What waits in the queue of a disk's readers.
#[derive(Debug)]
pub(super) struct ReadJob {
    pub(super) work: ReadWork,
    pub(super) queued: Moment,
    pub(super) deadline: Moment,
}

#[derive(Debug)]
pub(super) enum ReadWork {
    Open {
        target: Target,
        part: Option<ByteRange>,
        head_only: bool,
        room: Option<Reservation>,
        done: Completion<ReadEnd>,
    },
    Piece {
        reading: Reading,
        range: Range<u64>,
        room: Option<Reservation>,
        done: Completion<PieceEnd>,
    },
    Delete {
        target: Target,
        by: DeleteBy,
        done: Completion<DeleteEnd>,
    },
}

/// What waits in the queue of an append lane.
#[derive(Debug)]
pub(super) struct LaneJob {
    pub(super) work: LaneWork,
    pub(super) queued: Moment,
    pub(super) deadline: Moment,
}

#[derive(Debug)]
pub(super) enum LaneWork {
    Put {
        append: Append,
        done: Completion<AppendEnd>,
    },
    Delete {
        id: ObjectId,
        done: Completion<DeleteEnd>,
    },
    /// Marks needles that the scrub found damaged; ends with how many were.
    Damage {
        volume: VolumeId,
        first: Sequence,
        count: u64,
        done: Completion<u64>,
    },
}

impl LaneWork {
    /// Bytes that its needle takes in a segment.
    pub(super) fn needle_bytes(&self) -> usize {
        let (payload, attributes) = match self {
            Self::Put { append, .. } => (append.payload.bytes.len(), append.attributes.len()),
            Self::Delete { .. } => (TOMBSTONE_BYTES, 0),
            Self::Damage { .. } => return 0,
        };
        let payload = u32::try_from(payload).expect("an object is at most a chunk");
        let attributes = u16::try_from(attributes).expect("attributes are at most 4 KiB");
        usize::try_from(needle_bytes(payload, attributes)).expect("a needle is little more than a chunk")
    }

    /// Bytes that it holds of the budget of incoming bodies.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Self::Put { append, .. } => {
                append.payload.room.as_ref().map_or(append.payload.bytes.len(), Reservation::bytes)
            }
            Self::Delete { .. } | Self::Damage { .. } => 0,
        }
    }
}
