//! What the master's threads have in common.
//!
//! Any thread. Each field says who writes it.

use super::cached::HotName;
use super::role::Role;
use super::settings::MasterSettings;
use crate::base::clock::{Clock, Moment};
use crate::base::completion::Completion;
use crate::base::thread;
use crate::master::command::Command;
use crate::master::consensus::{Applied, ConsensusStatus};
use crate::master::hot::HotNames;
use crate::master::layers::Layers;
use crate::master::namespace::{DeadNumbers, Namespace, NamespaceFacts};
use crate::metrics::MasterMetrics;
use crate::request::{NameAnswer, Refusal};
use parking_lot::{Mutex, RwLock};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread::JoinHandle;

/// How work of the master ends.
pub type MasterEnd = Result<NameAnswer, Refusal>;

/// A command on its way to the log.
pub(super) struct Proposed {
    pub(super) command: Command,
    pub(super) done: Option<Completion<MasterEnd>>,
    pub(super) queued: Moment,
    /// Behind it nobody waits for the answer, so nothing is begun.
    pub(super) deadline: Moment,
}

/// A group that is in the log, on its way to the state.
pub(super) struct Logged {
    pub(super) index: u64,
    pub(super) term: u64,
    pub(super) time_ms: u64,
    pub(super) commands: Vec<Command>,
    /// One for each command; none of a group that is replayed.
    pub(super) done: Vec<Option<Completion<MasterEnd>>>,
}

pub(super) struct Shared {
    pub(super) settings: MasterSettings,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<MasterMetrics>,
    pub(super) role: Role,
    pub(super) layers: Layers,
    pub(super) hot: HotNames<HotName>,
    /// The apply thread's counts after the last group.
    pub(super) facts: Mutex<NamespaceFacts>,
    /// Whose chunks are garbage, as of the last checkpoint: a number that is dead stays so. Apply thread.
    pub(super) dead: RwLock<DeadNumbers>,
    /// The first removal that has something left to do, or 0. Apply thread.
    pub(super) removal: AtomicU64,
    /// What the log may be cut below: the entry that the last durable checkpoint ends with. Checkpoint thread.
    pub(super) durable: Mutex<Applied>,
    /// What the log said of itself last. Master thread.
    pub(super) log: Mutex<ConsensusStatus>,
    /// The last use of the session that was silent the longest, or the end of time. Apply thread, at checkpoints.
    pub(super) silent_since_ms: AtomicU64,
    /// A time of the master, and the moment that had it; see [`Shared::time_ms`].
    time: Mutex<(u64, Moment)>,
    /// Syncs of the log in the last whole second. Master thread.
    pub(super) syncs_per_s: AtomicU64,
    /// Bytes that the store takes. Checkpoint thread.
    pub(super) store_bytes: AtomicU64,
    pub(super) stopping: AtomicBool,
}

impl Shared {
    pub(super) fn new(
        settings: MasterSettings,
        layers: Layers,
        namespace: &Namespace,
        clock: &Arc<dyn Clock>,
        metrics: &Arc<MasterMetrics>,
    ) -> Self {
        Self {
            hot: HotNames::new(settings.hot_bytes),
            settings,
            clock: Arc::clone(clock),
            metrics: Arc::clone(metrics),
            role: Role::default(),
            layers,
            facts: Mutex::new(namespace.facts()),
            dead: RwLock::new(namespace.dead_numbers()),
            removal: AtomicU64::new(0),
            durable: Mutex::new(Applied::default()),
            log: Mutex::new(ConsensusStatus::default()),
            silent_since_ms: AtomicU64::new(u64::MAX),
            time: Mutex::new((0, clock.now())),
            syncs_per_s: AtomicU64::new(0),
            store_bytes: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
        }
    }

    /// The master's time, in milliseconds since 1970: the wall clock's, but it never goes back, not even over a restart, and
    /// while the wall clock is behind it goes on all the same. What the log says of times is compared with this alone: a
    /// clock that was ahead once and was put right would otherwise hold up tombstones and silent sessions until it comes
    /// there again.
    pub(super) fn time_ms(&self) -> u64 {
        let mut time = self.time.lock();
        let (now, wall_ms) = (self.clock.now(), self.clock.wall_ms());
        let (from_ms, since) = *time;
        let on_ms = from_ms.saturating_add(now.since(since) / 1_000_000);
        if wall_ms > on_ms {
            *time = (wall_ms, now);
        }
        wall_ms.max(on_ms)
    }

    /// The log has a group of this time.
    pub(super) fn begin_time(&self, time_ms: u64) {
        *self.time.lock() = (time_ms, self.clock.now());
    }

    /// Starts a thread whose panic ends the role.
    ///
    /// # Errors
    /// That of the kernel, when it gives no thread.
    pub(super) fn spawn(
        self: &Arc<Self>,
        role: &str,
        body: impl FnOnce() + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let guard = EndsRole(Arc::clone(self));
        thread::spawn(role, move || {
            let guard = guard;
            body();
            drop(guard);
        })
    }
}

struct EndsRole(Arc<Shared>);

impl Drop for EndsRole {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.role.end("a thread of the master panicked; see the node's log");
        }
    }
}
