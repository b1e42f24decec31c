//! What a protocol is to the engine: bytes out for requests, answers from bytes that came.
//!
//! A worker's thread. Always: a driver allocates nothing a request; every request that was encoded is ended once by
//! [`Sink::done`], or lost with its connection.

#[cfg(test)]
mod cuts;
pub mod echo;
pub mod http;
pub mod larder;
mod line;
pub mod memcached;
pub mod output;
mod pending;
pub mod resp;
pub mod target;

use crate::workload::{Step, Verb};
use ::larder::base::ids::ObjectId;
pub use output::Output;
use std::fmt;

/// Which of the requests under way on a connection: below the depth that the driver was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(pub u32);

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// As asked. `id`: what the store calls a new object, where it names objects itself.
    Ok {
        /// Of a put.
        id: Option<ObjectId>,
    },
    /// There is no such object.
    Missing,
    /// The server has too much to do and said so: an answer, no failure.
    Busy,
    /// Anything else, by the protocol's own name for it ("FULL", "500").
    Refused(&'static str),
}

/// What takes answers.
pub trait Sink {
    /// More content of a request, in order.
    fn content(&mut self, slot: Slot, bytes: &[u8]);
    /// A request has ended, and its slot is free.
    fn done(&mut self, slot: Slot, reply: Reply);
}

/// What came is not of the protocol; the connection is of no further use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Garbage(pub String);

impl Garbage {
    /// What was expected, and the front of what came.
    #[must_use]
    pub fn instead_of(expected: &str, came: &[u8]) -> Self {
        const SHOWN_BYTES: usize = 80;
        let front = came.get(..SHOWN_BYTES).unwrap_or(came);
        Self(format!("expected {expected}, came \"{}\"", front.escape_ascii()))
    }
}

impl fmt::Display for Garbage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A protocol, on one connection.
pub trait Driver: fmt::Debug + Send {
    /// What is said first on a new connection; forgets all that an earlier connection left.
    fn open(&mut self, output: &mut Output);

    /// Whether requests may be sent: nothing had to be said first, or it has been answered.
    fn is_ready(&self) -> bool;

    /// Requests that both sides let be unanswered: at most the depth that it was made for.
    fn depth(&self) -> usize;

    /// Whether the protocol has such requests.
    fn can(&self, verb: Verb) -> bool;

    /// Whether contents of answers are those that were put. If not, only their lengths can be checked.
    fn has_contents(&self) -> bool {
        true
    }

    /// Bytes of the largest content that a request can put.
    fn content_bytes_max(&self) -> u64 {
        u64::MAX
    }

    /// Adds a request that it [can](Driver::can), of at most [`Driver::content_bytes_max`]. `slot` is free and below
    /// [`Driver::depth`].
    fn encode(&mut self, step: &Step, slot: Slot, output: &mut Output);

    /// Takes bytes from the front of `input`, and says how many; what it leaves is shown again with more behind it, and
    /// is never more than 64 KiB (content is taken as it comes).
    ///
    /// # Errors
    /// [`Garbage`], with what was expected and what came.
    fn decode(&mut self, input: &[u8], sink: &mut dyn Sink) -> Result<usize, Garbage>;

    /// The peer has closed. Whether that was a whole end: nothing was under way, or an answer that ends so.
    fn closed(&mut self, sink: &mut dyn Sink) -> bool;
}
