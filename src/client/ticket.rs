//! A request that is under way.

use super::ClientError;
use super::builder::after;
use super::pool::Pool;
use super::retry::{delay, may_repeat};
use super::waiting::Waiting;
use crate::wire::Request;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The claim to the answer of a request that was sent. Many may be open at once; they may be waited for in any order,
/// and a ticket that is dropped gives its answer up, which undoes nothing.
#[must_use = "the answer of a request is known by waiting for it"]
#[derive(Debug)]
pub struct Ticket<T> {
    pool: Arc<Pool>,
    request: Request,
    deadline: Instant,
    sent: Result<Waiting, ClientError>,
    read: fn(&Request, &mut Waiting) -> Result<T, ClientError>,
}

impl<T> Ticket<T> {
    /// Sends a request. A failure is kept for [`wait`](Self::wait), which may try again.
    pub(super) fn send(
        pool: &Arc<Pool>,
        request: Request,
        deadline: Duration,
        read: fn(&Request, &mut Waiting) -> Result<T, ClientError>,
    ) -> Self {
        let deadline = after(deadline);
        Self { sent: send(pool, &request, deadline), pool: Arc::clone(pool), request, deadline, read }
    }

    /// Waits for the answer, and sends the request again where that is safe.
    ///
    /// # Errors
    /// [`ClientError`], at the deadline at the latest.
    pub fn wait(self) -> Result<T, ClientError> {
        let read = self.read;
        self.wait_with(read)
    }

    /// As [`wait`](Self::wait), reading the reply by `read`.
    pub(super) fn wait_with<R>(
        self,
        mut read: impl FnMut(&Request, &mut Waiting) -> Result<R, ClientError>,
    ) -> Result<R, ClientError> {
        let Self { pool, request, deadline, mut sent, .. } = self;
        let mut attempt = 0;
        loop {
            let error = match sent.and_then(|mut waiting| read(&request, &mut waiting)) {
                Ok(answer) => {
                    pool.budget.earn();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            attempt += 1;
            let delay = delay(attempt, &error, pool.random()?);
            let in_time = Instant::now().checked_add(delay).is_some_and(|then| then < deadline);
            if !may_repeat(&error, request.opcode()) || !in_time || !pool.budget.spend() {
                return Err(error);
            }
            std::thread::sleep(delay);
            sent = send(&pool, &request, deadline);
        }
    }
}

fn send(pool: &Pool, request: &Request, deadline: Instant) -> Result<Waiting, ClientError> {
    request.check().map_err(ClientError::Refused)?;
    #[cfg(test)]
    if let Some(node) = &pool.memory {
        return node.send(request);
    }
    pool.connection(deadline)?.send(request, deadline)
}
