//! The checkpoint thread: takes frozen layers to the store, one durable batch each.
//!
//! Its own thread, so that applying goes on meanwhile. Always: a layer leaves memory, and the log may be cut below it, only
//! after its commit is durable. A store without room keeps the layer and is asked again each second; any other error ends
//! the master's role.

use super::role::Full;
use super::shared::Shared;
use crate::master::StateError;
use crate::master::consensus::Applied;
use crate::master::layers::Layer;
use crate::master::table::StateStore;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

/// How often a full store is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How often a wait looks whether the node stops.
const LOOK_UP: Duration = Duration::from_millis(50);

/// A frozen layer, and the log entry that it ends with.
pub(super) struct Checkpoint {
    pub(super) layer: Arc<Layer>,
    pub(super) applied: Applied,
}

/// The apply thread's end: hands over layers, and learns when each is durable.
pub(super) struct Checkpoints {
    due: Option<Sender<Checkpoint>>,
    done: Receiver<()>,
    thread: Option<JoinHandle<()>>,
    under_way: bool,
}

impl Checkpoints {
    /// Starts the thread.
    ///
    /// # Errors
    /// That of the kernel, when it gives no thread.
    pub(super) fn start(shared: &Arc<Shared>, store: Arc<dyn StateStore>) -> io::Result<Self> {
        let (due, checkpoints) = bounded::<Checkpoint>(1);
        let (tell, done) = bounded(1);
        let own = Arc::clone(shared);
        let thread = shared.spawn("master-checkpoint", move || {
            while let Ok(checkpoint) = checkpoints.recv() {
                if !take_to_store(&own, &*store, &checkpoint) {
                    return;
                }
                drop(checkpoint);
                // Nobody listens when the apply thread has ended.
                if tell.send(()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { due: Some(due), done, thread: Some(thread), under_way: false })
    }

    /// Whether one is under way.
    pub(super) fn under_way(&mut self) -> bool {
        if self.under_way && self.done.try_recv().is_ok() {
            self.under_way = false;
        }
        self.under_way
    }

    /// Hands a layer over; none may be under way.
    pub(super) fn begin(&mut self, checkpoint: Checkpoint) {
        assert!(!self.under_way, "one checkpoint at a time");
        self.under_way = true;
        // A thread that has ended has ended the role, which the caller sees.
        if let Some(due) = &self.due {
            drop(due.send(checkpoint));
        }
    }

    /// Waits until none is under way; false if it never will be, or, if asked so, if the store has no room.
    pub(super) fn wait(&mut self, shared: &Shared, only_with_room: bool) -> bool {
        while self.under_way() {
            if self.done.recv_timeout(LOOK_UP).is_ok() {
                self.under_way = false;
            } else if shared.role.has_ended() || self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                return !self.under_way();
            } else if only_with_room && shared.role.refuses_change().is_some() {
                return false;
            }
        }
        true
    }

    /// Ends the thread.
    pub(super) fn close(mut self) {
        self.due = None;
        if let Some(thread) = self.thread.take() {
            // A panic was logged when it happened.
            drop(thread.join());
        }
    }
}

/// Commits a layer; false when the role has ended.
fn take_to_store(shared: &Shared, store: &dyn StateStore, checkpoint: &Checkpoint) -> bool {
    loop {
        let began = shared.clock.now();
        let committed = store.commit(&mut checkpoint.layer.changes()).and_then(|()| shared.layers.thaw(store));
        match committed {
            Ok(()) => {
                shared.metrics.checkpoint.record(shared.clock.now().since(began));
                shared.metrics.checkpoints.increment();
                shared.metrics.checkpointed_changes.add(checkpoint.layer.len() as u64);
                shared.store_bytes.store(store.bytes(), Ordering::Relaxed);
                *shared.durable.lock() = checkpoint.applied;
                shared.role.leave_full(Full::State);
                return true;
            }
            Err(StateError::Full { place }) => {
                shared.role.enter_full(Full::State, &format!("{place}: no room for the state"));
                if wait_for_stop(shared, ASK_AGAIN) {
                    return false;
                }
            }
            Err(error) => {
                log::error!("master: a checkpoint failed, names are out of service: {error}");
                shared.role.end(&error.to_string());
                return false;
            }
        }
    }
}

/// Waits, and says whether the master stops.
fn wait_for_stop(shared: &Shared, wait: Duration) -> bool {
    for _ in 0..wait.as_millis() / LOOK_UP.as_millis() {
        if shared.stopping.load(Ordering::Acquire) || shared.role.has_ended() {
            return true;
        }
        std::thread::sleep(LOOK_UP);
    }
    false
}
