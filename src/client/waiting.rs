//! The wait for the frames of one reply.
//!
//! Owned by whoever sent the request. Dropping it gives the reply up: its frames are dropped as they come.

use super::ClientError;
use super::connection::Connection;
use crate::wire::{Header, Received};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Waited beyond the deadline, for the node's own TIMED_OUT and its way here.
const GRACE: Duration = Duration::from_millis(250);

/// What the reader thread tells a request.
#[derive(Debug)]
pub(super) enum Event {
    /// A frame of the reply, checked.
    Frame(Header, Bytes),
    /// A frame whose checksum is wrong.
    Damaged(String),
    /// The connection ended before the last frame.
    Lost(Arc<str>),
}

/// Where the frames come from.
#[derive(Debug)]
pub(super) enum Waiting {
    /// A connection.
    Connection(OnConnection),
    /// A node in memory, whose reply is here already.
    #[cfg(test)]
    Memory(super::memory::Reply),
}

#[derive(Debug)]
pub(super) struct OnConnection {
    connection: Arc<Connection>,
    events: Receiver<Event>,
    sent: Instant,
    deadline: Instant,
}

impl Waiting {
    pub(super) fn new(connection: Arc<Connection>, events: Receiver<Event>, deadline: Instant) -> Self {
        Self::Connection(OnConnection { connection, events, sent: Instant::now(), deadline })
    }

    /// The next frame, and whether it is the last. A refusal is an error.
    pub(super) fn next(&mut self, content_began: bool) -> Result<(Received, bool), ClientError> {
        let (received, is_last) = match self {
            Self::Connection(waiting) => waiting.next(content_began)?,
            #[cfg(test)]
            Self::Memory(reply) => reply.next()?,
        };
        match received {
            Received::Refused(refusal) => Err(ClientError::Refused(refusal)),
            received => Ok((received, is_last)),
        }
    }

    /// The one frame of a reply that is no content.
    pub(super) fn only(&mut self) -> Result<Received, ClientError> {
        self.next(false).map(|(received, _)| received)
    }

    /// The error of a reply of another kind than the request's.
    pub(super) fn unexpected(&self) -> ClientError {
        self.protocol_error("a reply of another operation than the request's")
    }

    pub(super) fn protocol_error(&self, what: impl ToString) -> ClientError {
        match self {
            Self::Connection(waiting) => waiting.connection.protocol_error(what),
            #[cfg(test)]
            Self::Memory(_) => ClientError::Protocol { peer: "memory".into(), what: what.to_string() },
        }
    }

    pub(super) fn corrupt(&self, what: impl Into<String>) -> ClientError {
        let peer = match self {
            Self::Connection(waiting) => Arc::clone(waiting.connection.peer()),
            #[cfg(test)]
            Self::Memory(_) => "memory".into(),
        };
        ClientError::Corrupt { peer, what: what.into() }
    }
}

impl OnConnection {
    fn next(&mut self, content_began: bool) -> Result<(Received, bool), ClientError> {
        let left = (self.deadline + GRACE).saturating_duration_since(Instant::now());
        let (header, body) = match self.events.recv_timeout(left) {
            Ok(Event::Frame(header, body)) => (header, body),
            Ok(Event::Damaged(what)) => {
                return Err(ClientError::Corrupt { peer: Arc::clone(self.connection.peer()), what });
            }
            Ok(Event::Lost(reason)) => return Err(self.connection.lost(&reason)),
            Err(RecvTimeoutError::Timeout) => {
                self.connection.end_if_silent(self.sent);
                return Err(self.connection.timed_out());
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(self.connection.protocol_error("frames after the last of a reply"));
            }
        };
        match Received::parse(&header, &body, content_began) {
            Ok(received) => Ok((received, header.is_last())),
            Err(bad) => Err(self.connection.protocol_error(bad)),
        }
    }
}
