//! The master at a glance, for `status`. Any thread; atomics and short locks.

use super::shared::Shared;
use crate::metrics::Summary;
use serde::Serialize;
use std::sync::atomic::Ordering;

/// What `status` shows of the master.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MasterReport {
    /// `serving`, `full`, `ended`; `out` when it could not be opened, `none` when this process is to have none.
    pub state: &'static str,
    /// Why, when it is not serving.
    pub cause: String,
    /// Its role in consensus.
    pub role: &'static str,
    /// The term.
    pub term: u64,
    /// The last entry of the log, the last committed one, and the last that was applied.
    pub log_index: u64,
    /// See `log_index`.
    pub committed_index: u64,
    /// See `log_index`.
    pub applied_index: u64,
    /// The last entry that the store holds durably.
    pub durable_index: u64,
    /// Bytes of the log's files.
    pub log_bytes: u64,
    /// Bytes of the store.
    pub state_bytes: u64,
    /// Bytes of changes in memory that the store does not have.
    pub layer_bytes: usize,
    /// Files.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// The number of changes so far.
    pub version: u64,
    /// Sessions that are open.
    pub sessions: usize,
    /// Removals that go on in the background.
    pub removals: usize,
    /// Objects on the to-do list of tombstones.
    pub tombstones: u64,
    /// Names in the cache of hot names, and their bytes.
    pub hot_names: usize,
    /// See `hot_names`.
    pub hot_bytes: u64,
    /// Lookups that were answered from it, and those that were not.
    pub hot_hits: u64,
    /// See `hot_hits`.
    pub hot_misses: u64,
    /// Hits of all lookups, 0 to 1.
    pub hot_hit_rate: f64,
    /// Commands, groups of them, and syncs of the log so far.
    pub commands: u64,
    /// See `commands`.
    pub groups: u64,
    /// See `commands`.
    pub syncs: u64,
    /// Syncs in the last whole second.
    pub syncs_per_s: u64,
    /// Commands that wait for the log.
    pub commands_waiting: usize,
    /// Questions that wait for a reader.
    pub questions_waiting: usize,
    /// Refused for want of room in a queue.
    pub refused_full: u64,
    /// Time spent: waiting for the log, in the log, applying, taking to the store, waiting for a reader, reading.
    pub wait: Summary,
    /// See `wait`.
    pub log: Summary,
    /// See `wait`.
    pub apply: Summary,
    /// See `wait`.
    pub checkpoint: Summary,
    /// See `wait`.
    pub read_wait: Summary,
    /// See `wait`.
    pub read: Summary,
}

impl MasterReport {
    /// Of a process that has no master.
    pub(super) fn out(state: &'static str, cause: &str) -> Self {
        Self { state, cause: cause.to_string(), role: "none", ..Self::default() }
    }
}

impl Shared {
    pub(super) fn report(&self, commands_waiting: usize, questions_waiting: usize) -> MasterReport {
        let (state, cause) = self.role.told();
        let facts = self.facts.lock().clone();
        let log = *self.log.lock();
        let (hot_hits, hot_misses) = self.hot.counts();
        let (hot_names, hot_bytes) = self.hot.size();
        let metrics = &self.metrics;
        MasterReport {
            state,
            cause,
            role: log.role.name(),
            term: log.term,
            log_index: log.last,
            committed_index: log.commit,
            applied_index: facts.applied_index,
            durable_index: self.durable.lock().index,
            log_bytes: log.log_bytes,
            state_bytes: self.store_bytes.load(Ordering::Relaxed),
            layer_bytes: self.layers.weight().0,
            files: facts.files,
            directories: facts.directories,
            bytes: facts.bytes,
            version: facts.revision,
            sessions: facts.sessions_open,
            removals: facts.removals_pending.len(),
            tombstones: facts.tombstones_pending,
            hot_names,
            hot_bytes,
            hot_hits,
            hot_misses,
            hot_hit_rate: hot_hits as f64 / (hot_hits + hot_misses).max(1) as f64,
            commands: metrics.commands.value(),
            groups: metrics.groups.value(),
            syncs: log.syncs,
            syncs_per_s: self.syncs_per_s.load(Ordering::Relaxed),
            commands_waiting,
            questions_waiting,
            refused_full: metrics.refused_full.value(),
            wait: metrics.wait.summary(),
            log: metrics.log.summary(),
            apply: metrics.apply.summary(),
            checkpoint: metrics.checkpoint.summary(),
            read_wait: metrics.read_wait.summary(),
            read: metrics.read.summary(),
        }
    }
}
