//! The seam between the reactor and a protocol: bytes in, requests out; answers in, bytes out.
//!
//! A protocol runs on the processor thread that owns its connection. Always: it never sees a socket, keeps no more
//! than a head of its own, and takes its time only in proportion to the bytes that it is given.

use super::Output;
use crate::base::budget::Reservation;
use crate::metrics::ProcessorMetrics;
use crate::request::{Answer, Operation, Refusal};
use bytes::Bytes;
use smallvec::SmallVec;
use std::net::SocketAddr;
use std::sync::Arc;

/// What a listener speaks: makes the protocol of each of its connections.
pub trait Guest: Send + Sync {
    /// Its name in messages.
    fn name(&self) -> &'static str;

    /// The protocol of a new connection.
    fn begin(&self, peer: Peer) -> Box<dyn Protocol>;

    /// What a connection is told that is closed before it began.
    fn turn_away(&self, refusal: &Refusal) -> Bytes;
}

/// Whose a connection is, at both ends.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The client's address.
    pub address: SocketAddr,
    /// What the processor that owns the connection counts.
    pub metrics: Arc<ProcessorMetrics>,
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
    /// A head without a body; or, while a body is gathered, what ends it before it is whole: the protocol is asked what it does.
    Whole {
        /// Bytes of the head.
        head_bytes: usize,
        /// What it is.
        arrival: Arrival,
    },
    /// A head with a body behind it whose length only its end will tell: it is gathered. From the moment there is room,
    /// `decode` is asked what of the input belongs to it, until it says [`Sealed`](Self::Sealed).
    Open {
        /// Bytes of the head.
        head_bytes: usize,
        /// The most that is gathered; room for all of it is taken.
        bytes_max: usize,
    },
    /// While a body is gathered: some of its bytes, which `absorb` is called with.
    Content {
        /// Bytes of framing before them, which are dropped.
        skip: usize,
        /// Bytes of the body; no more than there is room for, and no more than the input holds.
        take: usize,
    },
    /// The gathered body is whole: `finish` is called.
    Sealed {
        /// Bytes of framing before the end, which are dropped.
        skip: usize,
    },
}

/// A few bytes of a kept head that are another answer's: those from `at` on are replaced.
#[derive(Debug)]
pub struct Own {
    /// Their place in the head.
    pub at: usize,
    /// What stands there instead.
    pub bytes: SmallVec<[u8; 32]>,
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
    /// A request that the protocol has answered by itself, from memory.
    Answer {
        /// The answer's head, as it is kept.
        head: Bytes,
        /// What stands in it of this answer's own.
        own: Own,
        /// Its content.
        content: Bytes,
    },
    /// Nothing yet: the protocol goes on by itself.
    Taken,
    /// Nothing more will be said: the connection ends when all is sent.
    Close,
    /// Nothing that can be gone on from: these bytes are sent, then the connection ends.
    End(Bytes),
}

/// One protocol's side of one connection.
///
/// A protocol whose requests take several operations has them asked for one after another by [`next`](Self::next), and says
/// by [`takes_more`](Self::takes_more) when it may be given further bytes.
pub trait Protocol: Send {
    /// Looks at the front of the input. The same bytes come again, with more behind them, after [`Decoded::More`].
    fn decode(&mut self, input: &[u8]) -> Decoded;

    /// Takes the next bytes of the body that `decode` announced and wants. Returns the work that this was, in bytes that
    /// are moved and checked as usual: what is also hashed slowly counts for more of the turn.
    fn absorb(&mut self, bytes: &[u8]) -> usize;

    /// The body is whole (`None`: it was not wanted, and is dropped).
    fn finish(&mut self, body: Option<Body>) -> Arrival;

    /// The body that `decode` announced will not be taken after all: it is skipped, and then answered with this. A body
    /// of unknown length cannot be skipped: the protocol ends the connection by [`next`](Self::next).
    fn give_up(&mut self, refusal: Refusal);

    /// Writes an answer. `last` says that no more content follows; the source of further content is not in it.
    fn encode(&mut self, tag: Tag, answer: Answer, last: bool, output: &mut Output);

    /// What it asks for by itself, now that it has been given an answer or a body.
    fn next(&mut self) -> Option<Arrival> {
        None
    }

    /// Whether it can be given more of the input now.
    fn takes_more(&self) -> bool {
        true
    }

    /// Whether nothing of a request is under way, as far as the protocol knows.
    fn is_at_rest(&self) -> bool {
        true
    }

    /// Writes why the connection ends.
    fn last_words(&mut self, refusal: &Refusal, output: &mut Output);
}
