//! Where the description of the node comes from, and what probes and scrapers are told.

use crate::io::Disks;
use bytes::Bytes;

/// Describes the node; made by whoever built it, called on processor threads, waits for nothing.
pub trait StatusSource: Send + Sync {
    /// The node as a JSON text.
    fn describe(&self, disks: &Disks) -> Bytes;

    /// The node's metrics as OpenMetrics text.
    fn metrics(&self, disks: &Disks) -> Bytes;

    /// That the node can serve, as a JSON text.
    ///
    /// # Errors
    /// Why it cannot, in a few words for each part, without paths or other internals.
    fn ready(&self, disks: &Disks) -> Result<Bytes, String>;
}
