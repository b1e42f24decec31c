//! Log and state of a metadata directory, opened: the part of a start that a node and the offline tools have in common.
//!
//! Runs on a thread that may wait for the disk, and owns what the threads of a node take over. Always: nothing is served
//! from a directory into which a restore is not completed; when it is open, the state has all that the log has.

use super::apply::Applier;
use super::checkpoint::Checkpoints;
use super::restore::is_restoring;
use super::settings::MasterSettings;
use super::shared::{Logged, Shared};
use crate::base::clock::Clock;
use crate::disk::{Disk, Lock};
use crate::master::StateError;
use crate::master::consensus::{Applied, Consensus};
use crate::master::layers::Layers;
use crate::master::log::LogReport;
use crate::master::namespace::Namespace;
use crate::master::store::{EmbeddedStore, StoreOptions};
use crate::master::table::StateStore;
use crate::metrics::MasterMetrics;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The state store's file.
pub(super) const STORE_NAME: &str = "state";
/// The lock of the directory.
pub(super) const LOCK_NAME: &str = "lock";
/// Steps until the only voter leads; each is a write and a sync at most.
const ELECTION_STEPS_MAX: usize = 100;

/// What is open.
pub(super) struct Opened {
    pub(super) store: Arc<dyn StateStore>,
    pub(super) shared: Arc<Shared>,
    pub(super) applier: Applier,
    pub(super) consensus: Consensus,
    /// Entries of the log that the store did not have.
    pub(super) replayed: u64,
    pub(super) report: LogReport,
}

/// Keeps other processes out of the directory.
///
/// # Errors
/// [`StateError::InUse`], or that of the disk.
pub(super) fn lock(disk: &dyn Disk) -> Result<Box<dyn Lock>, StateError> {
    disk.lock(LOCK_NAME).map_err(|error| StateError::locked(&disk.place(), error))
}

impl Opened {
    /// Opens log and state, and applies what the state lacks. The caller holds the lock.
    ///
    /// # Errors
    /// [`StateError`]: damaged, of another owner, not completely restored, or the disk fails.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        owner: u128,
        settings: MasterSettings,
        clock: &Arc<dyn Clock>,
        metrics: &Arc<MasterMetrics>,
    ) -> Result<Self, StateError> {
        if is_restoring(&*disk)? {
            let what = "a restore into this directory was not completed, so names would be missing: run `larder master \
                        restore` on it once more";
            return Err(StateError::damaged(disk.place(), what));
        }
        let options = StoreOptions { cache_bytes: settings.store_cache_bytes, ..StoreOptions::default() };
        let store: Arc<dyn StateStore> = Arc::new(EmbeddedStore::open(Arc::clone(&disk), STORE_NAME, owner, options)?);
        let layers = Layers::new(&*store)?;
        let mut namespace = Namespace::load(&layers)?;
        namespace.set_silent_ms_max(super::milliseconds(settings.session_silent));
        let (index, term) = namespace.applied();
        let applied = Applied { index, term };
        let (mut consensus, report) = Consensus::open(disk, owner, applied, &settings.log)?;
        let shared = Arc::new(Shared::new(settings, layers, &namespace, clock, metrics));
        shared.store_bytes.store(store.bytes(), Ordering::Relaxed);
        *shared.durable.lock() = applied;
        let no_thread = |error| StateError::io("a thread of the master", error);
        let checkpoints = Checkpoints::start(&shared, Arc::clone(&store)).map_err(no_thread)?;
        let mut applier = Applier::new(Arc::clone(&shared), namespace, checkpoints);
        let replayed = match lead(&mut consensus, &mut applier) {
            Ok(replayed) => replayed,
            Err(error) => {
                shared.role.end(&error.to_string());
                applier.give_up();
                return Err(error);
            }
        };
        Ok(Self { store, shared, applier, consensus, replayed, report })
    }
}

/// Steps until this node leads and everything that was in the log is applied; how many entries that was.
fn lead(consensus: &mut Consensus, applier: &mut Applier) -> Result<u64, StateError> {
    let mut entries = 0;
    for _ in 0..ELECTION_STEPS_MAX {
        let committed = consensus.step()?;
        let is_done = committed.is_empty() && consensus.is_leader();
        for entry in committed {
            entries += u64::from(!entry.data.is_empty());
            applier.apply(Logged::of(&entry)?)?;
            if !applier.checkpoint_if_due() {
                // For want of room, too: what the log has need not fit into memory.
                return Err(StateError::damaged("metadata state", applier.shared.role.told().1));
            }
        }
        if is_done {
            return Ok(entries);
        }
    }
    Err(StateError::damaged("metadata log", "the only voter could not be elected"))
}
