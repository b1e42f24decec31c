//! What a protocol is to the engine: bytes out for requests, answers from bytes that came.
//!
//! A worker's thread. Always: a driver allocates nothing a request; every request that was encoded is ended once by
//! [`Sink::done`], or lost with its connection.

pub mod echo;
pub mod http;
pub mod larder;
pub mod memcached;
pub mod output;
pub mod resp;

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

    /// Adds a request. `slot` is free and below [`Driver::depth`].
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
