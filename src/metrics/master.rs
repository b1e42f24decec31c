//! What the master counts.

use super::{Counter, Histogram};

/// Counts of the master. Each is written by one of its threads.
#[derive(Debug, Default)]
pub struct MasterMetrics {
    /// Commands that were proposed.
    pub commands: Counter,
    /// Groups of them: entries of the log.
    pub groups: Counter,
    /// Commands that were refused because a queue was full.
    pub refused_full: Counter,
    /// Layers that were taken to the store.
    pub checkpoints: Counter,
    /// Changes in them.
    pub checkpointed_changes: Counter,
    /// A command waits for the log.
    pub wait: Histogram,
    /// A group's write and sync.
    pub log: Histogram,
    /// A group is applied and answered.
    pub apply: Histogram,
    /// A layer is taken to the store.
    pub checkpoint: Histogram,
    /// A read waits for a metadata reader.
    pub read_wait: Histogram,
    /// A metadata reader works on it.
    pub read: Histogram,
}
