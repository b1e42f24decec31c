//! Where the description of the node comes from.

use crate::io::Disks;
use bytes::Bytes;

/// Describes the node; made by whoever built it, called on processor threads, waits for nothing.
pub trait StatusSource: Send + Sync {
    /// The node as a JSON text.
    fn describe(&self, disks: &Disks) -> Bytes;
}
