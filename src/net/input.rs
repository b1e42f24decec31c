//! What a connection is receiving: a head, or a body on its way into a buffer of its own.
//!
//! Processor thread. Always: room for a whole body is held before its first byte is read from the socket into a
//! buffer; a connection that waits for room holds none; bytes that came along with a head and could not be used yet
//! are at most one read.
//!
//! ```text
//! Head ──small body, all here, room──▶ Head          Head ──body, room──▶ Body ──last byte──▶ Head
//! Head ──body, no room──▶ Waiting ──room──▶ Body     Waiting ──too long──▶ Skip, and told BUSY
//! Head ──unwanted body──▶ Skip ──last byte──▶ Head
//! Head ──body of unknown length, room──▶ Gathering ──sealed──▶ Head, or by Waiting when there is no room
//! ```

use crate::base::budget::Reservation;
use crate::base::buffers::Buffer;
use crate::base::clock::Moment;

#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) state: Receiving,
    /// Bytes that were read and not yet used.
    pub(super) pending: Vec<u8>,
    /// Whether `pending` is known to be less than a head.
    pub(super) needs_more: bool,
    /// When the head being received began.
    pub(super) began: Option<Moment>,
    /// The window over which a body's rate is looked at: its start, and the bytes since.
    pub(super) window: Option<(Moment, u64)>,
}

#[derive(Debug, Default)]
pub(super) enum Receiving {
    #[default]
    Head,
    Waiting {
        body_bytes: usize,
        /// Its length is not known: `body_bytes` is the most that it may be.
        gathers: bool,
        since: Moment,
    },
    Body {
        buffer: Buffer,
        room: Reservation,
        body_bytes: usize,
    },
    /// A body of unknown length: the protocol says what of the input belongs to it.
    Gathering {
        buffer: Buffer,
        room: Reservation,
    },
    Skip {
        left: usize,
    },
}

impl Input {
    /// Whether a body is being received.
    pub(super) fn in_body(&self) -> bool {
        matches!(self.state, Receiving::Body { .. } | Receiving::Gathering { .. } | Receiving::Skip { .. })
    }

    /// Whether the protocol is asked what the input is.
    pub(super) fn is_decoded(&self) -> bool {
        matches!(self.state, Receiving::Head | Receiving::Gathering { .. })
    }

    /// Whether nothing of a request has arrived.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, Receiving::Head) && self.pending.is_empty()
    }

    /// Whether there is something to decode without reading.
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty() && !self.needs_more
    }

    /// Keeps bytes for later, in exactly as much memory as they take.
    pub(super) fn keep(&mut self, bytes: &[u8], needs_more: bool) {
        self.needs_more = needs_more;
        if bytes.is_empty() {
            self.pending = Vec::new();
        } else {
            self.pending = bytes.to_vec();
        }
    }
}
