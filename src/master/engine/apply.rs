//! The apply thread: makes what the log says true, in its order, and answers.
//!
//! Always: a command's changes are published at once; hot names are forgotten before that, and so before the answer; the same
//! log gives the same state on every replica, for nothing here asks a clock or another thread. An error of the state ends
//! the master's role: nothing more is applied, and what waits is answered with an unknown outcome.

use super::checkpoint::{Checkpoint, Checkpoints};
use super::shared::{Logged, Shared};
use crate::base::clock::Moment;
use crate::base::mailbox::together;
use crate::base::planted::{self, Bug};
use crate::master::StateError;
use crate::master::command::{Command, Group};
use crate::master::consensus::{Applied, Committed};
use crate::master::namespace::{Namespace, Touched};
use crate::request::{NameAnswer, Refusal, Status};
use crossbeam_channel::{Receiver, SendTimeoutError, Sender, bounded};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

/// Groups that may wait: the log is never far ahead of the state.
const GROUPS_MAX: usize = 16;
/// How often a wait looks whether the role has ended.
const LOOK_UP: Duration = Duration::from_millis(50);

impl Logged {
    /// An entry that this process did not propose; a new leader's own is empty.
    pub(super) fn of(entry: &Committed) -> Result<Self, StateError> {
        let (index, term) = (entry.index, entry.term);
        if entry.data.is_empty() {
            return Ok(Self { index, term, time_ms: 0, commands: Vec::new(), done: Vec::new() });
        }
        let Group { time_ms, commands } = Group::decode(&entry.data)?;
        Ok(Self { index, term, time_ms, commands, done: Vec::new() })
    }
}

/// The master thread's end.
pub(super) struct Applying {
    shared: Arc<Shared>,
    groups: Option<Sender<Logged>>,
    thread: Option<JoinHandle<()>>,
}

impl Applying {
    /// Starts the thread.
    ///
    /// # Errors
    /// That of the kernel, when it gives no thread.
    pub(super) fn start(applier: Applier) -> io::Result<Self> {
        let (groups, logged) = bounded(GROUPS_MAX);
        let shared = Arc::clone(&applier.shared);
        let thread = shared.spawn("master-apply", move || applier.run(&logged))?;
        Ok(Self { shared, groups: Some(groups), thread: Some(thread) })
    }

    /// Hands a group on, waiting for room; false when nothing is applied any more.
    pub(super) fn hand_on(&self, mut logged: Logged) -> bool {
        let Some(groups) = &self.groups else { return false };
        loop {
            match groups.send_timeout(logged, LOOK_UP) {
                Ok(()) => return true,
                Err(SendTimeoutError::Timeout(back)) if !self.shared.role.has_ended() => logged = back,
                Err(SendTimeoutError::Timeout(back) | SendTimeoutError::Disconnected(back)) => {
                    unknown(back);
                    return false;
                }
            }
        }
    }

    /// Applies what waits, takes it to the store, and ends the thread.
    pub(super) fn close(&mut self) {
        self.groups = None;
        if let Some(thread) = self.thread.take() {
            // A panic was logged when it happened.
            drop(thread.join());
        }
    }
}

pub(super) struct Applier {
    pub(super) shared: Arc<Shared>,
    namespace: Namespace,
    checkpoints: Checkpoints,
    checkpointed: Moment,
    /// Something was applied since the last checkpoint.
    dirty: bool,
    touched: Touched,
    /// It replays the log: nobody would see a wait for room, and the node waits with it.
    starting: bool,
}

impl Applier {
    pub(super) fn new(shared: Arc<Shared>, namespace: Namespace, checkpoints: Checkpoints) -> Self {
        let checkpointed = shared.clock.now();
        Self { shared, namespace, checkpoints, checkpointed, dirty: false, touched: Touched::default(), starting: true }
    }

    fn run(mut self, logged: &Receiver<Logged>) {
        self.starting = false;
        let every = self.shared.settings.checkpoint_every;
        loop {
            match logged.recv_timeout(every) {
                Ok(group) => {
                    if let Err(error) = self.apply(group) {
                        log::error!("master: the state failed, names are out of service: {error}");
                        self.shared.role.end(&error.to_string());
                        break;
                    }
                }
                Err(crossbeam_channel::RecvTimeoutError::Timeout) => {}
                Err(crossbeam_channel::RecvTimeoutError::Disconnected) => break,
            }
            if !self.checkpoint_if_due() {
                break;
            }
        }
        while let Ok(group) = logged.try_recv() {
            unknown(group);
        }
        self.close();
    }

    /// Applies a group and answers it. At start the groups of the log that the store does not have come here too.
    ///
    /// # Errors
    /// [`StateError`]; the role is over then.
    pub(super) fn apply(&mut self, group: Logged) -> Result<(), StateError> {
        let began = self.shared.clock.now();
        let mut ends = Vec::with_capacity(group.commands.len());
        for command in &group.commands {
            match self.command(command, group.time_ms) {
                Ok(end) => ends.push(end),
                Err(error) => {
                    unknown(group);
                    return Err(error);
                }
            }
        }
        self.dirty |= !group.commands.is_empty();
        self.namespace.end_group(group.index, group.term, group.time_ms);
        let facts = self.namespace.facts();
        self.shared.removal.store(self.namespace.removal_pending().unwrap_or(0), Ordering::Release);
        *self.shared.facts.lock() = facts;
        together(|| {
            for (done, end) in group.done.into_iter().zip(ends) {
                if let Some(done) = done {
                    done.complete(end);
                }
            }
        });
        if !group.commands.is_empty() {
            self.shared.metrics.apply.record(self.shared.clock.now().since(began));
        }
        Ok(())
    }

    fn command(&mut self, command: &Command, time_ms: u64) -> Result<Result<NameAnswer, Refusal>, StateError> {
        let mut transaction = self.shared.layers.begin();
        let end = self.namespace.apply(&mut transaction, command, time_ms, &mut self.touched)?;
        if end.is_ok() {
            // Before the publication, whose number is known as nobody else publishes: were it after, one could read the new
            // state from the layers, and then the old one from the hot names.
            let next = self.shared.layers.published() + 1;
            let changed = if planted::on(Bug::KeepHotNames) { 0 } else { self.touched.names.len() };
            for (directory, name) in self.touched.names.drain(..changed) {
                self.shared.hot.forget(directory, &name, next);
            }
            let published = transaction.publish(self.touched.directories_moved);
            debug_assert_eq!(published, next, "only the apply thread publishes");
        }
        self.touched.names.clear();
        self.touched.directories_moved = false;
        Ok(end)
    }

    /// Freezes what has gathered once it is old or large enough; false when the role has ended.
    pub(super) fn checkpoint_if_due(&mut self) -> bool {
        let (bytes, _) = self.shared.layers.weight();
        let full = bytes >= self.shared.settings.layer_bytes_max;
        if full && !self.checkpoints.wait(&self.shared, self.starting) {
            return false;
        }
        let now = self.shared.clock.now();
        let due = full || now >= self.checkpointed + self.shared.settings.checkpoint_every;
        if due && self.dirty && !self.checkpoints.under_way() {
            self.checkpointed = now;
            self.freeze();
        }
        true
    }

    /// Writes what the namespace keeps in memory into the layers, so that they are the whole state.
    pub(super) fn store(&mut self) {
        let mut transaction = self.shared.layers.begin();
        self.namespace.store(&mut transaction);
        transaction.publish(false);
    }

    fn freeze(&mut self) {
        self.dirty = false;
        self.store();
        let dead = self.namespace.dead_numbers();
        // Of many sessions the old one takes its time to drop, and processors take this lock: not under it.
        let old = std::mem::replace(&mut *self.shared.dead.write(), dead);
        drop(old);
        self.shared.silent_since_ms.store(self.namespace.silent_since_ms(), Ordering::Relaxed);
        let (index, term) = self.namespace.applied();
        let applied = Applied { index, term };
        if let Some(layer) = self.shared.layers.freeze() {
            self.checkpoints.begin(Checkpoint { layer, applied });
        }
    }

    /// The last checkpoint, so that the next start has nothing to replay.
    pub(super) fn close(mut self) {
        if !self.shared.role.has_ended() && self.checkpoints.wait(&self.shared, false) && self.dirty {
            self.freeze();
            self.checkpoints.wait(&self.shared, false);
        }
        self.checkpoints.close();
    }

    /// Ends the thread of the checkpoints after a start that failed. The role has ended.
    pub(super) fn give_up(self) {
        self.checkpoints.close();
    }
}

/// Answers a group that may be applied at the next start.
fn unknown(group: Logged) {
    let refusal =
        Refusal::new(Status::TimedOut, "the master ended before it could answer; ask again with the same number");
    for done in group.done.into_iter().flatten() {
        done.complete(Err(refusal.clone()));
    }
}
