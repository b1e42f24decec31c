//! A needle of a name, as the scrub met it.
//!
//! Plain data, any thread. Always: its head and payload were whole, and the index had it as living at that place.

use crate::base::ids::{ObjectId, Origin};

/// An object that was put for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedNeedle {
    /// Its id.
    pub id: ObjectId,
    /// The request that made it.
    pub origin: Origin,
    /// Bytes of its content.
    pub bytes: u32,
}
