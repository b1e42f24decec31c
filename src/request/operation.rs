//! What a client can ask for, freed from the protocol that it came by.

use super::{Attributes, Durability, NameOperation};
use crate::base::ids::{ObjectId, Origin};
use crate::base::payload::Payload;
pub use crate::base::range::{ByteRange, Unsatisfiable};
use bytes::Bytes;

/// One operation.
#[derive(Debug)]
pub enum Operation {
    /// Answers with the same bytes, from the processor's thread.
    Ping(Bytes),
    /// Stores an object.
    Put(Box<Put>),
    /// Reads an object, or a part of it.
    Get {
        /// The object.
        id: ObjectId,
        /// The part; `None` for the whole.
        range: Option<ByteRange>,
    },
    /// Reads what is known about an object.
    Stat(ObjectId),
    /// Deletes an object.
    Delete(ObjectId),
    /// Asks of names.
    Name(NameOperation),
    /// Describes the node, as JSON.
    Status,
    /// Describes the scrub of each disk, as JSON.
    Scrub {
        /// Start a pass at full speed first.
        now: bool,
    },
    /// The node's metrics, as OpenMetrics text. Not on the binary wire.
    Metrics,
    /// Whether the node can serve, as JSON; UNAVAILABLE with the reasons when it cannot. Not on the binary wire.
    Ready,
}

/// An object to be stored.
#[derive(Debug)]
pub struct Put {
    /// The content.
    pub payload: Payload,
    /// Its attributes.
    pub attributes: Attributes,
    /// What must have happened before the answer.
    pub durability: Durability,
    /// The upload that it belongs to, or zero.
    pub origin: Origin,
    /// Whether it waits, up to its deadline, for room in the queue of a disk: a piece of a large body, which its client cannot
    /// send again alone.
    pub is_patient: bool,
}
