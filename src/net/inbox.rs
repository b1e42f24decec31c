//! The way of a connection from the acceptor to its processor, and what the acceptor's side can see of it.
//!
//! Offered to by the acceptor, taken from by the processor. Always: at most `inbox_max` connections wait, and a full
//! inbox gives the connection back.

use super::protocol::Guest;
use super::quota::Admission;
use super::world::Message;
use crate::base::clock::Moment;
use crate::base::mailbox::Mailbox;
use crossbeam_channel::Sender;
use mio::net::TcpStream;
use std::net::SocketAddr;
use std::sync::Arc;

/// A connection on its way from the acceptor.
pub(super) struct Accepted {
    pub(super) socket: TcpStream,
    pub(super) guest: Arc<dyn Guest>,
    pub(super) address: SocketAddr,
    pub(super) admission: Admission,
    pub(super) at: Moment,
}

/// The acceptor's side of a processor.
#[derive(Clone)]
pub struct Inbox {
    pub(super) sender: Sender<Accepted>,
    pub(super) mailbox: Arc<Mailbox<Message>>,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").field("depth", &self.sender.len()).finish()
    }
}

impl Inbox {
    /// Hands a connection over; gives it back if the inbox is full.
    pub(super) fn offer(&self, accepted: Accepted) -> Result<(), Accepted> {
        self.sender.try_send(accepted).map_err(crossbeam_channel::TrySendError::into_inner)?;
        self.mailbox.wake_if_asleep();
        Ok(())
    }

    /// Makes the processor look at its control.
    pub fn nudge(&self) {
        self.mailbox.nudge();
    }

    /// Connections that wait, completions that wait, and places that unfinished work has taken.
    #[must_use]
    pub fn depths(&self) -> (usize, usize, usize) {
        (self.sender.len(), self.mailbox.depth(), self.mailbox.taken())
    }
}
