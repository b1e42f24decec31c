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

#[derive(Debug)]
pub(super) struct Waiting {
    connection: Arc<Connection>,
    events: Receiver<Event>,
    sent: Instant,
    deadline: Instant,
}

impl Waiting {
    pub(super) fn new(connection: Arc<Connection>, events: Receiver<Event>, deadline: Instant) -> Self {
        Self { connection, events, sent: Instant::now(), deadline }
    }

    /// The next frame, and whether it is the last. A refusal is an error.
    pub(super) fn next(&mut self, content_began: bool) -> Result<(Received, bool), ClientError> {
        let left = (self.deadline + GRACE).saturating_duration_since(Instant::now());
        let (header, body) = match self.events.recv_timeout(left) {
            Ok(Event::Frame(header, body)) => (header, body),
            Ok(Event::Damaged(what)) => return Err(self.corrupt(what)),
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
            Ok(Received::Refused(refusal)) => Err(ClientError::Refused(refusal)),
            Ok(received) => Ok((received, header.is_last())),
            Err(bad) => Err(self.connection.protocol_error(bad)),
        }
    }

    /// The one frame of a reply that is no content.
    pub(super) fn only(&mut self) -> Result<Received, ClientError> {
        self.next(false).map(|(received, _)| received)
    }

    /// The error of a reply of another kind than the request's.
    pub(super) fn unexpected(&self) -> ClientError {
        self.connection.protocol_error("a reply of another operation than the request's")
    }

    pub(super) fn protocol_error(&self, what: impl ToString) -> ClientError {
        self.connection.protocol_error(what)
    }

    pub(super) fn corrupt(&self, what: impl Into<String>) -> ClientError {
        ClientError::Corrupt { peer: Arc::clone(self.connection.peer()), what: what.into() }
    }
}
