//! What a client can be told before it connects.

use super::pool::Pool;
use super::{Client, ClientError};
use crate::wire::ChecksumKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The options of a [`Client`].
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    pub(super) connections: usize,
    pub(super) deadline: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) checksum_kind: ChecksumKind,
    pub(super) name: String,
    pub(super) retry_burst: u32,
    pub(super) transfer_bytes_max: usize,
}

/// More connections than this help nobody: each carries many requests.
const CONNECTIONS_MAX: usize = 1024;

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            connections: 2,
            deadline: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(3),
            checksum_kind: ChecksumKind::Crc32c,
            name: concat!("larder-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            retry_burst: 10,
            transfer_bytes_max: 64 << 20,
        }
    }
}

/// No call waits longer, so that a deadline is always a moment that the clock has.
const DEADLINE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The moment that is `duration` away.
pub(super) fn after(duration: Duration) -> Instant {
    Instant::now() + duration.min(DEADLINE_MAX)
}

impl ClientBuilder {
    /// Connections at most, 1 to 1,024; each is made when it is first used. Default: 2.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections.clamp(1, CONNECTIONS_MAX);
        self
    }

    /// How long a call may take in all, with its retries; a day at most. Default: 10 s.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long making a connection may take, within the deadline of the call. Default: 3 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How bodies are checked on their way. Default: CRC-32C.
    #[must_use]
    pub fn checksum_kind(mut self, kind: ChecksumKind) -> Self {
        self.checksum_kind = kind;
        self
    }

    /// What the node's log calls this client.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Retries at once; in the long run there is one for ten calls that succeed. 0: none. Default: 10.
    #[must_use]
    pub fn retry_burst(mut self, retries: u32) -> Self {
        self.retry_burst = retries;
        self
    }

    /// Bytes of files that all uploads and downloads together hold on their way; 8 MiB at least. Default: 64 MiB.
    #[must_use]
    pub fn transfer_bytes_max(mut self, bytes: usize) -> Self {
        self.transfer_bytes_max = bytes;
        self
    }

    /// Connects to a node at `host:port`.
    ///
    /// # Errors
    /// [`ClientError`], if the first connection cannot be made within the deadline.
    pub fn connect(self, address: impl Into<String>) -> Result<Client, ClientError> {
        let deadline = self.deadline;
        let pool = Arc::new(Pool::new(address.into(), self));
        pool.connection(after(deadline))?;
        Ok(Client::over(pool, deadline))
    }
}
