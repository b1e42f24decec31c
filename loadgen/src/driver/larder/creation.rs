//! The session that names are made in.
//!
//! A worker's thread. Always: one request for a session at a time; no number is given out twice; another session is asked
//! for before too many numbers of one led to nothing.

use super::Garbage;
use ::larder::base::ids::Origin;
use ::larder::base::limits::SESSION_GAPS_MAX;
use ::larder::request::{NameAnswer, NameOperation, SessionAct, Status};
use ::larder::wire::{Header, Received, Request};
use bytes::Bytes;

/// A node takes no further change in a session with too many numbers that led to nothing: well before, another is opened.
const ABANDONED_MAX: usize = SESSION_GAPS_MAX / 4;

#[derive(Debug, Default)]
pub(super) struct Creation {
    is_asked: bool,
    /// 0 for none.
    session: u64,
    number: u64,
    abandoned: usize,
    is_lost: bool,
}

impl Creation {
    pub(super) fn is_asked(&self) -> bool {
        self.is_asked
    }

    pub(super) fn is_open(&self) -> bool {
        self.session != 0
    }

    /// Whether the session is at its end, and no other was asked for.
    pub(super) fn needs_another(&self) -> bool {
        !self.is_asked && (self.is_lost || self.abandoned >= ABANDONED_MAX)
    }

    /// The request for a session.
    pub(super) fn ask(&mut self) -> Request {
        self.is_asked = true;
        Request::Name(NameOperation::Session(SessionAct::Open))
    }

    pub(super) fn answered(&mut self, header: &Header, status: Status, body: &Bytes) -> Result<(), Garbage> {
        self.is_asked = false;
        match Received::parse(header, body, false).map_err(super::bad)? {
            Received::Name(NameAnswer::Session(open)) => {
                *self = Self { session: open.session, ..Self::default() };
                Ok(())
            }
            // It is asked for again with the next name.
            Received::Refused(_) if self.is_open() => Ok(()),
            _ => Err(Garbage(format!("the node opens no session: {} {}", status.name(), body.escape_ascii()))),
        }
    }

    /// The id of the next change.
    pub(super) fn number(&mut self) -> Origin {
        assert!(self.is_open(), "requests are sent when the driver is ready");
        self.number += 1;
        Origin { session: self.session, number: self.number }
    }

    /// A number of a session led to nothing.
    pub(super) fn abandoned(&mut self, session: u64) {
        self.abandoned += usize::from(session == self.session);
    }

    /// The node does not know a session any more.
    pub(super) fn lost(&mut self, session: u64) {
        self.is_lost |= session == self.session;
    }
}
