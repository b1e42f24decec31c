//! The rest of a large object: read piece by piece as its connection sends what it has.
//!
//! Processor thread; a piece that is not in memory is a job of its disk.

use super::answers;
use crate::base::budget::Budget;
use crate::base::completion::Completion;
use crate::io::{Disks, PieceEnd, Reading, Tried};
use crate::request::{Call, Outcome, Pieces};
use std::sync::Arc;

/// Where content comes from: the disks, and the room to hold it.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) disks: Arc<Disks>,
    pub(super) budget_out: Arc<Budget>,
}

#[derive(Debug)]
pub(super) struct Rest {
    reading: Reading,
    source: Arc<Source>,
}

impl Rest {
    pub(super) fn new(reading: Reading, source: Arc<Source>) -> Self {
        Self { reading, source }
    }
}

impl Pieces for Rest {
    fn next(&mut self, call: Call<'_>) -> Outcome<()> {
        let bytes = self.reading.room_bytes();
        let Some(room) = call.room.or_else(|| self.source.budget_out.try_reserve(bytes)) else {
            return Outcome::NoRoom { bytes, again: () };
        };
        let responder = call.responder;
        let done = || {
            let responder = responder()?;
            Some(Completion::new(move |end: PieceEnd| responder.answer(answers::of_piece(end))))
        };
        match self.source.disks.read_piece(&mut self.reading, Some(room), (call.now, call.deadline), done) {
            Tried::Done(end) => Outcome::Answered(answers::of_piece(end)),
            Tried::Submitted => Outcome::Pending,
            Tried::Refused(refused) => Outcome::Answered(answers::of_refused(refused)),
        }
    }

    fn is_done(&self) -> bool {
        self.reading.is_done()
    }
}
