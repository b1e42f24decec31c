//! What an operator may choose about the master.

use crate::master::log::LogOptions;
use std::time::Duration;

/// Settings.
#[derive(Debug, Clone)]
pub struct MasterSettings {
    /// Bytes of the cache of hot names.
    pub hot_bytes: u64,
    /// Bytes of the state store's own cache.
    pub store_cache_bytes: usize,
    /// Commands that may wait for the log; then BUSY.
    pub commands_max: usize,
    /// Bytes of the commands that may wait for the log; then BUSY.
    pub command_bytes_max: usize,
    /// Reads that may wait for a metadata reader; then BUSY.
    pub questions_max: usize,
    /// Metadata readers.
    pub readers: usize,
    /// Sizes of the log's files.
    pub log: LogOptions,
    /// What was applied is taken to the store after so long, or when there is much of it.
    pub checkpoint_every: Duration,
    /// Bytes of changes in memory at which they are taken to the store whatever the time.
    pub layer_bytes_max: usize,
    /// A session without a change for so long is closed.
    pub session_silent: Duration,
    /// A stop waits so long for threads that hang on the metadata disk.
    pub close_max: Duration,
}

impl Default for MasterSettings {
    fn default() -> Self {
        Self {
            hot_bytes: 64 << 20,
            store_cache_bytes: 128 << 20,
            commands_max: 8192,
            command_bytes_max: 32 << 20,
            questions_max: 4096,
            readers: 2,
            log: LogOptions::default(),
            checkpoint_every: Duration::from_secs(1),
            layer_bytes_max: 64 << 20,
            session_silent: Duration::from_secs(86_400),
            close_max: Duration::from_secs(30),
        }
    }
}
