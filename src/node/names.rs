//! The master and the threads around it, built over the disks and stopped before them.
//!
//! Runs on the thread that builds the node. Always: whatever is wrong with the metadata directory, the node starts: names
//! are UNAVAILABLE with the reason, ids go on.

use super::assembly::MetaDirectory;
use super::{Configuration, NodeError};
use crate::base::clock::Clock;
use crate::handler::{LargeCommits, Names, SessionKeeper, Tombstones};
use crate::io::{DiskState, Disks};
use crate::master::{Master, MasterSettings, StateError};
use crate::metrics::MasterMetrics;
use crate::request::UploadSessions;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct NameThreads {
    pub(super) names: Names,
    tombstones: Tombstones,
    keeper: SessionKeeper,
}

impl NameThreads {
    pub(super) fn start(
        configuration: &Configuration,
        disks: &Arc<Disks>,
        meta: Option<MetaDirectory>,
        clock: &Arc<dyn Clock>,
        metrics: &Arc<MasterMetrics>,
    ) -> Result<Self, NodeError> {
        let master = Arc::new(open(configuration, disks, meta, clock, metrics));
        let large = LargeCommits::start(disks, &master, clock)
            .map_err(NodeError::system("a thread for large commits"))
            .inspect_err(|_| master.close())?;
        let wait = Duration::from_millis(configuration.tombstone_wait_ms);
        let tombstones = Tombstones::start(disks, &master, clock, wait)
            .map_err(NodeError::system("a thread for tombstones"))
            .inspect_err(|_| {
                large.close();
                master.close();
            })?;
        let silent = Duration::from_millis(configuration.session_silent_ms);
        let keeper = SessionKeeper::start(&master, clock, silent)
            .map_err(NodeError::system("a thread for the session of uploads"))
            .inspect_err(|_| {
                tombstones.close();
                large.close();
                master.close();
            })?;
        Ok(Self { names: Names { master, large, receipts: Arc::default() }, tombstones, keeper })
    }

    /// The session of uploads that have none of their own.
    pub(super) fn uploads(&self) -> Arc<UploadSessions> {
        self.keeper.sessions()
    }

    pub(super) fn close(&self) {
        self.keeper.close();
        self.tombstones.close();
        self.names.large.close();
        self.names.master.close();
    }
}

fn open(
    configuration: &Configuration,
    disks: &Arc<Disks>,
    meta: Option<MetaDirectory>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<MasterMetrics>,
) -> Master {
    let Some(reach) = meta else {
        return Master::none("this node keeps no names: it has no metadata directory");
    };
    let first_is_out = disks.reports().first().is_some_and(|first| first.state == DiskState::Failed);
    if configuration.meta.is_none() && first_is_out {
        return out("the first data directory is out of service, and the metadata directory is in it");
    }
    let disk = match reach() {
        Ok(disk) => disk,
        Err(error) => return out(&format!("the metadata directory cannot be reached: {error}")),
    };
    let settings = MasterSettings {
        hot_bytes: configuration.hot_names_bytes as u64,
        store_cache_bytes: configuration.meta_cache_bytes,
        readers: configuration.meta_readers,
        session_silent: Duration::from_millis(configuration.session_silent_ms),
        ..MasterSettings::default()
    };
    let (cluster, _) = disks.identity();
    kept_in(|| Master::open(disk, cluster.0, settings, clock, metrics))
}

/// The master, or none: also a panic, of the consensus core above all, which finds contradictions so, costs the names only.
fn kept_in(open: impl FnOnce() -> Result<Master, StateError>) -> Master {
    match std::panic::catch_unwind(AssertUnwindSafe(open)) {
        Ok(Ok(master)) => master,
        Ok(Err(error)) => out(&error.to_string()),
        Err(_) => out("opening the metadata directory panicked; see the node's log"),
    }
}

fn out(reason: &str) -> Master {
    log::error!("master: names are out of service, ids go on: {reason}");
    Master::out(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_that_panics_at_its_start_costs_the_names_only() {
        let master = kept_in(|| panic!("a contradiction"));
        assert!(master.refuses_change().unwrap().detail.contains("panicked"));
    }
}
