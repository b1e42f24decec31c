//! The seam between the reactor and a protocol: bytes in, requests out; answers in, bytes out.
//!
//! A protocol runs on the processor thread that owns its connection. Always: it never sees a socket, keeps no more
//! than a head of its own, and takes its time only in proportion to the bytes that it is given.

use super::Output;
use crate::base::budget::Reservation;
use crate::request::{Answer, Operation, Refusal};
use bytes::Bytes;

/// What a listener speaks: makes the protocol of each of its connections.
pub trait Guest: Send + Sync {
    /// Its name in messages.
    fn name(&self) -> &'static str;

    /// The protocol of a new connection.
    fn begin(&self) -> Box<dyn Protocol>;

    /// What a connection is told that is closed before it began.
    fn turn_away(&self, refusal: &Refusal) -> Bytes;
}

/// One request's mark, given by the protocol with the request and handed back with its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tag {
    /// The protocol's own number of the request.
    pub correlation: u64,
    /// Whatever else the protocol needs to encode the answer.
    pub detail: u64,
}

/// A body that has arrived whole, and the room that it holds.
#[derive(Debug)]
pub struct Body {
    /// All its bytes.
    pub bytes: Bytes,
    /// Their room in the budget of incoming bodies.
    pub room: Option<Reservation>,
}

/// What the bytes at the front of the input are.
#[derive(Debug)]
pub enum Decoded {
    /// Not yet a whole head.
    More,
    /// A head with a body behind it: `absorb` is called with its bytes as they come, then `finish`.
    Body {
        /// Bytes of the head.
        head_bytes: usize,
        /// Bytes of the body; more than zero.
        body_bytes: usize,
        /// Whether the body is wanted; if not, its bytes are read and dropped.
        keep: bool,
    },
    /// A head without a body.
    Whole {
        /// Bytes of the head.
        head_bytes: usize,
        /// What it is.
        arrival: Arrival,
    },
}

/// What has arrived.
#[derive(Debug)]
pub enum Arrival {
    /// A request.
    Request {
        /// Its mark.
        tag: Tag,
        /// What it asks for.
        operation: Operation,
        /// How long its client will wait, in milliseconds; 0 leaves it to the server.
        deadline_ms: u32,
    },
    /// A request that the protocol itself turns away; the connection lives.
    Refused {
        /// Its mark.
        tag: Tag,
        /// Why.
        refusal: Refusal,
    },
    /// Something of the protocol's own, with its reply.
    Reply(Bytes),
    /// Nothing that can be gone on from: these bytes are sent, then the connection ends.
    End(Bytes),
}

/// One protocol's side of one connection.
pub trait Protocol: Send {
    /// Looks at the front of the input. The same bytes come again, with more behind them, after [`Decoded::More`].
    fn decode(&mut self, input: &[u8]) -> Decoded;

    /// Takes the next bytes of the body that `decode` announced and wants.
    fn absorb(&mut self, bytes: &[u8]);

    /// The body is whole (`None`: it was not wanted, and is dropped).
    fn finish(&mut self, body: Option<Body>) -> Arrival;

    /// The body that `decode` announced will not be taken after all: it is skipped, and then answered with this.
    fn give_up(&mut self, refusal: Refusal);

    /// Writes an answer. `last` says that no more content follows; the source of further content is not in it.
    fn encode(&mut self, tag: Tag, answer: Answer, last: bool, output: &mut Output);

    /// Writes why the connection ends.
    fn last_words(&mut self, refusal: &Refusal, output: &mut Output);
}
