//! The connections of a client, each made when it is first used, and again after it was lost.
//!
//! Any thread. A slot's lock is held while its connection is made: those who would use the same slot wait for it
//! rather than make another. Nothing else is done under it.

use super::connection::Connection;
use super::retry::RetryBudget;
use super::room::Room;
use super::{ClientBuilder, ClientError};
use crate::base::random::Random;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

#[derive(Debug)]
pub(super) struct Pool {
    address: Arc<str>,
    pub(super) options: ClientBuilder,
    pub(super) budget: RetryBudget,
    /// For the bytes of uploads and downloads.
    pub(super) room: Arc<Room>,
    /// What answers instead of a node.
    #[cfg(test)]
    pub(super) memory: Option<Arc<super::memory::MemoryNode>>,
    slots: Vec<Mutex<Option<Arc<Connection>>>>,
    turn: AtomicUsize,
    random: Mutex<Random>,
}

impl Pool {
    pub(super) fn new(address: String, options: ClientBuilder) -> Self {
        Self {
            address: address.into(),
            budget: RetryBudget::new(options.retry_burst),
            room: Room::new(options.transfer_bytes_max),
            #[cfg(test)]
            memory: None,
            slots: (0..options.connections).map(|_| Mutex::default()).collect(),
            turn: AtomicUsize::new(0),
            random: Mutex::default(),
            options,
        }
    }

    /// The next connection in turn, made by `deadline` if there is none.
    pub(super) fn connection(&self, deadline: Instant) -> Result<Arc<Connection>, ClientError> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.slots.len();
        let timed_out = || ClientError::TimedOut { peer: Arc::clone(&self.address) };
        let slot = self.slots.get(turn).expect("a turn is below the number of slots");
        let mut slot = slot.try_lock_until(deadline).ok_or_else(timed_out)?;
        if let Some(connection) = slot.as_ref().filter(|connection| !connection.is_broken()) {
            return Ok(Arc::clone(connection));
        }
        *slot = None;
        let connection = Arc::new(Connection::connect(&self.address, &self.options, deadline)?);
        *slot = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// The node, as it was named.
    pub(super) fn address(&self) -> &Arc<str> {
        &self.address
    }

    pub(super) fn random(&self) -> Result<u64, ClientError> {
        self.random.lock().number().map_err(ClientError::System)
    }
}
