//! The one way back: from whoever ends a request to the processor that owns its connection.
//!
//! Made on a processor, used by any thread. Always: each responder answers exactly once; one that is dropped answers
//! INTERNAL, so no request is ever forgotten.

use super::{Answer, Status};
use crate::base::clock::{Clock, Moment};
use crate::base::mailbox::Place;
use std::sync::Arc;

/// A request in flight, as its processor knows it. A key that was used again has another generation, so an answer
/// that comes late finds nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestKey {
    /// The slot of the connection.
    pub connection: u32,
    /// The generation of that slot.
    pub generation: u32,
    /// The request on that connection.
    pub request: u32,
    /// The generation of that request's slot.
    pub request_generation: u32,
}

/// An answer on its way to a processor.
#[derive(Debug)]
pub struct Completed {
    /// Whose it is.
    pub key: RequestKey,
    /// What it is.
    pub answer: Answer,
    /// When it was posted.
    pub posted: Moment,
}

/// The right and the duty to answer one request.
pub struct Responder(Option<Open>);

struct Open {
    key: RequestKey,
    clock: Arc<dyn Clock>,
    post: Box<dyn FnOnce(Completed) + Send>,
}

impl std::fmt::Debug for Responder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Responder").field(&self.0.as_ref().map(|open| open.key)).finish()
    }
}

impl Responder {
    /// A responder whose answer takes `place`.
    #[must_use]
    pub fn new<M: From<Completed> + Send + 'static>(key: RequestKey, clock: Arc<dyn Clock>, place: Place<M>) -> Self {
        Self(Some(Open { key, clock, post: Box::new(move |completed| place.post(completed.into())) }))
    }

    /// Answers.
    pub fn answer(mut self, answer: Answer) {
        self.send(answer);
    }

    fn send(&mut self, answer: Answer) {
        if let Some(open) = self.0.take() {
            let posted = open.clock.now();
            (open.post)(Completed { key: open.key, answer, posted });
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.send(Answer::refused(Status::Internal, "the worker of this request ended without an answer"));
    }
}
