//! What an operator may set about connections, with defaults and reasons.

use std::time::Duration;

/// Bounds and times of connections.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Requests of one connection that may be unanswered; at this bound it is muted.
    pub in_flight_max: usize,
    /// Connections that wait for one processor.
    pub inbox_max: usize,
    /// Unfinished work that one processor may have outside.
    pub mailbox_max: usize,
    /// A connection without requests is closed after this.
    pub idle: Duration,
    /// A head must be whole this long after its first byte.
    pub head: Duration,
    /// A body's rate, and a reader's, is looked at over windows of this length.
    pub rate_window: Duration,
    /// A body must bring at least this many bytes in each window.
    pub body_bytes_min: u64,
    /// A peer with replies waiting must take at least this many bytes in each window.
    pub read_bytes_min: u64,
    /// The deadline of a request that names none.
    pub deadline_default: Duration,
    /// The longest deadline.
    pub deadline_max: Duration,
    /// After a stop was asked for, requests may take this long.
    pub drain: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            in_flight_max: 128,
            inbox_max: 256,
            mailbox_max: 65_536,
            idle: Duration::from_secs(600),
            head: Duration::from_secs(10),
            rate_window: Duration::from_secs(5),
            body_bytes_min: 5 * 1024,
            read_bytes_min: 5 * 1024,
            deadline_default: Duration::from_secs(30),
            deadline_max: Duration::from_secs(300),
            drain: Duration::from_secs(10),
        }
    }
}
