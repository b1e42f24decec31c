//! How work that was handed to another thread ends: exactly once, with an outcome.
//!
//! Made where the work is submitted, run by the worker that ends it. It must not wait: it maps the outcome and
//! posts it. A completion that is dropped unused drops what it holds, and a responder in it answers for itself.

use std::fmt;

/// The end of a job: a function of its outcome, called at most once.
pub struct Completion<T>(Box<dyn FnOnce(T) + Send>);

impl<T> Completion<T> {
    /// A completion that calls `then` on the worker's thread.
    pub fn new(then: impl FnOnce(T) + Send + 'static) -> Self {
        Self(Box::new(then))
    }

    /// Ends the job.
    pub fn complete(self, outcome: T) {
        (self.0)(outcome);
    }
}

impl<T> fmt::Debug for Completion<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Completion(..)")
    }
}
