//! The trait between sockets and work.
//!
//! Each processor owns one service. Always: a call never waits. What it may do is arithmetic, memory lookups and one
//! non-blocking read of the page cache; everything else is a job, answered through the responder.

use super::{Answer, Operation, Refusal, Responder};
use crate::base::budget::Reservation;
use crate::base::clock::Moment;
use std::time::Duration;

/// What the processor gives along with an operation.
pub struct Call<'a> {
    /// The time of this turn.
    pub now: Moment,
    /// When the processor will answer TIMED_OUT by itself.
    pub deadline: Moment,
    /// Room for the reply, if an earlier call asked for it.
    pub room: Option<Reservation>,
    /// Takes a place in the completion queue; `None` when there is none.
    pub responder: &'a mut dyn FnMut() -> Option<Responder>,
}

impl std::fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("deadline", &self.deadline).field("room", &self.room).finish_non_exhaustive()
    }
}

/// How a call went. `T` is what is given back when it could not begin.
#[derive(Debug)]
pub enum Outcome<T> {
    /// Here is the answer.
    Answered(Answer),
    /// The responder will bring it.
    Pending,
    /// The reply needs this much room, and there is none: call again with it.
    NoRoom {
        /// Bytes of room.
        bytes: usize,
        /// What to call again with.
        again: T,
    },
    /// It could not begin now: call again after a while, as long as its deadline allows.
    Later {
        /// How long.
        after: Duration,
        /// What to call again with.
        again: T,
        /// What it is told when there is no time left.
        refusal: Refusal,
    },
}

/// Turns operations into answers.
pub trait Service: Send {
    /// Carries out an operation, or submits it.
    fn call(&mut self, operation: Operation, call: Call<'_>) -> Outcome<Operation>;

    /// Called once a turn before its calls: renews views that have changed.
    fn turn(&mut self) {}
}

/// Content that comes piece by piece.
pub trait Pieces: Send + std::fmt::Debug {
    /// The next piece, as [`Answer::More`], or a refusal that ends the content.
    fn next(&mut self, call: Call<'_>) -> Outcome<()>;

    /// Whether there is another piece.
    fn is_done(&self) -> bool;
}
