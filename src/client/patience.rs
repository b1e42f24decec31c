//! Waiting out a node that is busy, and trying again where a repeat does no harm: for files, which are worth it.
//!
//! The caller's thread. Always: it ends, after the client's deadline for what is busy, after a few attempts otherwise.

use super::builder::after;
use super::retry::delay;
use super::session::is_at_its_end;
use super::{Client, ClientError, Ticket};
use crate::request::{Class, Status};
use std::time::Instant;

/// Attempts at something whose outcome stays unknown, each of which may last a whole deadline.
pub(super) const ATTEMPTS_MAX: u32 = 3;

/// Does it again while the node is busy, which says that nothing was done.
pub(super) fn patiently<T>(
    client: &Client,
    mut call: impl FnMut() -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let ends = after(client.deadline);
    let mut attempt = 0;
    loop {
        match call() {
            Err(error) if error.status() == Some(Status::Busy) && !is_at_its_end(&error) => {
                attempt += 1;
                let delay = delay(attempt, &error, client.pool.random()?);
                if Instant::now() + delay >= ends {
                    return Err(error);
                }
                std::thread::sleep(delay);
            }
            outcome => return outcome,
        }
    }
}

/// Waits for `first`, and asks `again` while the node is busy, or a few times when the outcome is not known.
pub(super) fn insist<T>(
    client: &Client,
    first: Ticket<T>,
    mut again: impl FnMut() -> Ticket<T>,
) -> Result<T, ClientError> {
    let mut first = Some(first);
    for _ in 1..ATTEMPTS_MAX {
        match patiently(client, || first.take().unwrap_or_else(&mut again).wait()) {
            Err(error) if error.class() == Class::Unknown => {}
            outcome => return outcome,
        }
    }
    patiently(client, || again().wait())
}
