//! All of a processor but its connections: what they share, and what is left of its turn.
//!
//! Processor thread.

use super::requests::Slot;
use super::settings::Settings;
use super::wheel::Wheel;
use crate::base::budget::{Budget, Reservation};
use crate::base::buffers::BufferPool;
use crate::base::clock::{Clock, Moment};
use crate::base::completion::Completion;
use crate::base::limits::{READ_BUFFER_BYTES, READ_KEPT_BYTES_MAX, READ_STARVED_BYTES};
use crate::base::mailbox::Mailbox;
use crate::metrics::ProcessorMetrics;
use crate::request::{Completed, Service, Status};
use std::sync::Arc;
use std::time::Duration;

/// Which connection: a slot of its processor, and the generation of that slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ConnectionKey {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

/// What is posted to a processor.
#[derive(Debug)]
pub(super) enum Message {
    Completed(Completed),
    Room { key: ConnectionKey, what: RoomFor, room: Reservation },
}

impl From<Completed> for Message {
    fn from(completed: Completed) -> Self {
        Self::Completed(completed)
    }
}

/// What room was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RoomFor {
    Body,
    Reply(Slot),
    Piece(Slot),
}

/// All of a processor but its connections: what they share.
pub(super) struct World {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: Arc<Settings>,
    pub(super) pool: Arc<BufferPool>,
    pub(super) budget_in: Arc<Budget>,
    pub(super) budget_out: Arc<Budget>,
    pub(super) metrics: Arc<ProcessorMetrics>,
    pub(super) mailbox: Arc<Mailbox<Message>>,
    pub(super) service: Box<dyn Service>,
    pub(super) draining: bool,
    /// The time of this turn.
    pub(super) now: Moment,
    /// Where heads are read to.
    pub(super) scratch: Vec<u8>,
    /// Bytes that connections keep unused.
    pub(super) kept: usize,
    /// What is left of this turn.
    pub(super) frames: usize,
    pub(super) bytes_in: usize,
    pub(super) bytes_out: usize,
    /// Content that may still be read and verified inline.
    pub(super) bytes_made: usize,
    /// When connections are to be looked at.
    pub(super) wheel: Wheel<ConnectionKey>,
}

impl World {
    /// How room is announced to a connection; `None` when there is no place for the announcement.
    pub(super) fn room_completion(&self, key: ConnectionKey, what: RoomFor) -> Option<Completion<Reservation>> {
        let place = self.mailbox.place()?;
        Some(Completion::new(move |room| place.post(Message::Room { key, what, room })))
    }

    /// The time that a request may take.
    pub(super) fn allowance(&self, deadline_ms: u32) -> Duration {
        match deadline_ms {
            0 => self.settings.deadline_default,
            ms => Duration::from_millis(u64::from(ms)).min(self.settings.deadline_max),
        }
    }

    /// How much of a head is read at once.
    pub(super) fn read_bytes(&self) -> usize {
        if self.kept > READ_KEPT_BYTES_MAX { READ_STARVED_BYTES } else { READ_BUFFER_BYTES }
    }

    /// Counts a request that has its answer.
    pub(super) fn count_ended(&self, status: Status) {
        self.metrics.by_status.of(status.code()).increment();
        if status.is_answer() { &self.metrics.answered } else { &self.metrics.rejected }.increment();
    }
}
