//! The master as the node runs it: its threads, its queues, and the doors for processors.
//!
//! [`Master::hot`], [`Master::submit`] and [`Master::ask`] are what a processor may call: memory and bounded queues only. Who
//! calls [`Master::tombstones_due`] may wait for the metadata disk.
//!
//! ```text
//! submit -> queue -> master (log, one sync a group) -> apply (state, answers) -> checkpoint (store)
//! hot, or ask -> queue -> metadata readers (state)
//! ```

mod apply;
mod cached;
mod checkpoint;
mod offline;
mod opened;
mod proposer;
mod reader;
mod report;
mod restore;
mod role;
mod settings;
mod shared;
#[cfg(test)]
mod tests;

pub use offline::{Offline, OfflineReport, OfflineVerification};
pub use reader::Question;
pub use report::MasterReport;
pub use restore::{Restored, restore};
pub use settings::MasterSettings;
pub use shared::MasterEnd;

use super::StateError;
use super::command::{Command, TombstoneKey};
use super::log::LogReport;
use super::namespace::{DirectoryEntry, NameEntry, tombstones_due};
use crate::base::clock::{Clock, Moment};
use crate::base::completion::Completion;
use crate::base::ids::{ObjectId, Origin};
use crate::base::queue::{QueueSender, queue};
use crate::disk::{Disk, Lock};
use crate::metrics::MasterMetrics;
use crate::request::{Entry, Lookup, NameStamps, Refusal, Stage, Stamp, Status};
use apply::Applying;
use bytes::Bytes;
use opened::Opened;
use parking_lot::Mutex;
use proposer::Proposer;
use reader::Asked;
use shared::{Proposed, Shared};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a command counts in the bytes of its queue, besides its paths and chunks.
const COMMAND_BYTES: usize = 256;
/// Sessions that are forgotten by one command.
const SESSIONS_AT_ONCE: usize = 4096;
/// Bytes of questions that may wait.
const QUESTION_BYTES_MAX: usize = 16 << 20;

/// The master of this process, or the reason why it has none.
#[derive(Debug)]
pub struct Master(Inner);

enum Inner {
    Running(Running),
    /// Told to who asks; and whether it should be running.
    Out(Refusal, bool),
}

struct Running {
    shared: Arc<Shared>,
    commands: QueueSender<Proposed>,
    questions: QueueSender<Asked>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Keeps other processes out of the directory until it is closed.
    lock: Mutex<Option<Box<dyn Lock>>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Running(running) => f.debug_tuple("Running").field(&running.shared.role).finish(),
            Self::Out(refusal, _) => f.debug_tuple("Out").field(refusal).finish(),
        }
    }
}

impl Master {
    /// The master could not be opened; names are answered UNAVAILABLE with the reason.
    #[must_use]
    pub fn out(reason: &str) -> Self {
        Self(Inner::Out(Refusal::new(Status::Unavailable, reason.to_string()), true))
    }

    /// This process is to have no master; names are answered UNAVAILABLE with the reason.
    #[must_use]
    pub fn none(reason: &str) -> Self {
        Self(Inner::Out(Refusal::new(Status::Unavailable, reason.to_string()), false))
    }

    /// Whether this process is to have a master, well or not.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        !matches!(self.0, Inner::Out(_, false))
    }

    /// Opens log and state in a metadata directory, applies what the state lacks, and starts the threads. Waits for the disk.
    ///
    /// # Errors
    /// [`StateError`]: the directory is in use, damaged or of another owner, or the disk fails. Nothing is left running.
    pub fn open(
        disk: Arc<dyn Disk>,
        owner: u128,
        settings: MasterSettings,
        clock: &Arc<dyn Clock>,
        metrics: &Arc<MasterMetrics>,
    ) -> Result<Self, StateError> {
        let began = clock.now();
        let place = disk.place();
        let lock = opened::lock(&*disk)?;
        let Opened { store: _, shared, applier, consensus, replayed, report } =
            Opened::open(disk, owner, settings, clock, metrics)?;
        tell(&place, &report);
        let no_thread = |error| StateError::io("a thread of the master", error);
        let time_ms = shared.facts.lock().time_ms;
        shared.begin_time(time_ms);
        let applying = Applying::start(applier).map_err(no_thread)?;
        let (commands, proposed) = queue(shared.settings.commands_max, shared.settings.command_bytes_max);
        let (questions, asked) = queue(shared.settings.questions_max, QUESTION_BYTES_MAX);
        let proposer = Proposer::new(Arc::clone(&shared), proposed, applying, consensus, time_ms);
        let mut threads = vec![shared.spawn("master", move || proposer.run()).map_err(no_thread)?];
        for number in 0..shared.settings.readers {
            let (own, asked, again) = (Arc::clone(&shared), asked.clone(), questions.clone());
            let run = move || reader::run(&own, &asked, &again);
            threads.push(shared.spawn(&format!("names-read-{number}"), run).map_err(no_thread)?);
        }
        let took_ms = (clock.now() - began).as_millis();
        let facts = shared.facts.lock().clone();
        log::info!(
            "master: {place}: {} files and {} directories, {replayed} entries of the log applied, in {took_ms} ms",
            facts.files,
            facts.directories
        );
        Ok(Self(Inner::Running(Running {
            shared,
            commands,
            questions,
            threads: Mutex::new(threads),
            lock: Mutex::new(Some(lock)),
        })))
    }

    /// Answers a lookup from the hot names; `None` when not all of its path is there. Processor thread.
    #[must_use]
    pub fn hot(&self, lookup: &Lookup) -> Option<(Box<Entry>, Option<Stamp>)> {
        let Inner::Running(Running { shared, .. }) = &self.0 else { return None };
        let found = shared.role.refuses_read().is_none().then(|| hot(shared, lookup)).flatten();
        shared.hot.count(found.is_some());
        found
    }

    /// The marks by which others see whether names were changed.
    #[must_use]
    pub fn stamps(&self) -> Arc<NameStamps> {
        match &self.0 {
            Inner::Running(running) => Arc::clone(running.shared.hot.stamps()),
            Inner::Out(..) => Arc::default(),
        }
    }

    /// Why a change would be refused now, if it would: asked before anything is done for it.
    #[must_use]
    pub fn refuses_change(&self) -> Option<Refusal> {
        match &self.0 {
            Inner::Running(running) => running.shared.role.refuses_change(),
            Inner::Out(refusal, _) => Some(refusal.clone()),
        }
    }

    /// Submits a command; `done` learns how it ended, or that there was no room for it.
    pub fn submit(&self, command: Command, deadline: Moment, done: Completion<MasterEnd>) {
        let running = match &self.0 {
            Inner::Running(running) => running,
            Inner::Out(refusal, _) => return done.complete(Err(refusal.clone())),
        };
        let role = &running.shared.role;
        if let Some(refusal) = if command.makes_room() { role.refuses_removal() } else { role.refuses_change() } {
            return done.complete(Err(refusal));
        }
        let bytes = command_bytes(&command);
        let proposed = Proposed { command, done: Some(done), queued: running.shared.clock.now(), deadline };
        if let Err(full) = running.commands.try_send(bytes, proposed)
            && let Some(done) = full.0.done
        {
            running.shared.metrics.refused_full.increment();
            let detail = "the log of names has as many commands waiting as it may";
            done.complete(Err(Refusal::busy(Stage::AppendQueue, 20, detail)));
        }
    }

    /// Submits a question; `done` learns the answer, or that there was no room for it.
    pub fn ask(&self, question: Question, deadline: Moment, done: Completion<MasterEnd>) {
        let running = match &self.0 {
            Inner::Running(running) => running,
            Inner::Out(refusal, _) => return done.complete(Err(refusal.clone())),
        };
        if let Some(refusal) = running.shared.role.refuses_read() {
            return done.complete(Err(refusal));
        }
        let asked = Asked { done, queued: running.shared.clock.now(), deadline, question };
        if let Err(full) = running.questions.try_send(asked.question.bytes(), asked) {
            running.shared.metrics.refused_full.increment();
            let detail = "the metadata readers have as many questions waiting as they may";
            full.0.done.complete(Err(Refusal::busy(Stage::ReadQueue, 20, detail)));
        }
    }

    /// Content that lost its name at least `wait` ago and is not deleted yet, behind `after` in the to-do list. Waits for
    /// the metadata disk.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn tombstones_due(
        &self,
        after: Option<TombstoneKey>,
        wait: Duration,
        ids_max: usize,
    ) -> Result<Vec<(TombstoneKey, Vec<ObjectId>)>, StateError> {
        let Inner::Running(Running { shared, .. }) = &self.0 else { return Ok(Vec::new()) };
        tombstones_due(&shared.layers, after, shared.time_ms(), milliseconds(wait), ids_max)
    }

    /// Whether a chunk that was put under this origin will never belong to a file. `false` also of what is not known.
    #[must_use]
    pub fn is_dead(&self, origin: Origin) -> bool {
        match &self.0 {
            Inner::Running(running) => running.shared.dead.read().is_dead(origin),
            Inner::Out(..) => false,
        }
    }

    /// Whether this session is known to be closed: what is put under it now will never belong to a file. Processor thread.
    #[must_use]
    pub fn is_closed(&self, session: u64) -> bool {
        match &self.0 {
            Inner::Running(running) => running.shared.dead.read().is_closed(session),
            Inner::Out(..) => false,
        }
    }

    /// Closed sessions that ended before a time, in milliseconds since 1970; some of them, when they are many.
    #[must_use]
    pub fn sessions_closed_until(&self, time_ms: u64) -> Vec<u64> {
        match &self.0 {
            Inner::Running(running) => {
                running.shared.dead.read().closed_until(time_ms).take(SESSIONS_AT_ONCE).collect()
            }
            Inner::Out(..) => Vec::new(),
        }
    }

    /// Whether what [`is_dead`](Self::is_dead) denies is known to be alive: the state is there, and follows the log.
    #[must_use]
    pub fn is_well(&self) -> bool {
        matches!(&self.0, Inner::Running(running) if !running.shared.role.has_ended())
    }

    /// The master at a glance.
    #[must_use]
    pub fn report(&self) -> MasterReport {
        match &self.0 {
            Inner::Running(running) => running.shared.report(running.commands.depth(), running.questions.depth()),
            Inner::Out(refusal, kept) => MasterReport::out(if *kept { "out" } else { "none" }, &refusal.detail),
        }
    }

    /// Applies what is in the log, takes the state to its store, and ends the threads. Those that hang on the disk are left
    /// behind after a while, with the lock: nothing acknowledged depends on them.
    pub fn close(&self) {
        let Inner::Running(running) = &self.0 else { return };
        running.shared.stopping.store(true, Ordering::Release);
        for _ in 0..running.shared.settings.readers {
            // Something to do ends a reader's wait. A full queue does so too.
            self.ask(Question::Removal(0), Moment::NEVER, Completion::new(|_| ()));
        }
        let ends = Instant::now() + running.shared.settings.close_max;
        let mut hang = 0;
        for thread in std::mem::take(&mut *running.threads.lock()) {
            while !thread.is_finished() && Instant::now() < ends {
                std::thread::sleep(Duration::from_millis(1));
            }
            if thread.is_finished() {
                // A panic was logged when it happened.
                drop(thread.join());
            } else {
                hang += 1;
            }
        }
        let lock = running.lock.lock().take();
        if hang > 0 {
            // They may write yet, when the disk comes back: nobody else gets the directory from this process.
            std::mem::forget(lock);
            running.shared.role.end("the node is stopping");
            log::error!(
                "master: {hang} threads hang on the metadata disk and are left behind; the next start replays the log"
            );
        }
    }
}

/// The path of a lookup, walked through the hot names.
fn hot(shared: &Shared, lookup: &Lookup) -> Option<(Box<Entry>, Option<Stamp>)> {
    // Before anything is looked at: what is changed from now on has a later number.
    let mut stamp = Some(Stamp::new(shared.layers.published()));
    let moved = shared.layers.moved();
    let mut directory = DirectoryEntry::ROOT.inode;
    let mut components = lookup.path.components().peekable();
    while let Some(name) = components.next() {
        if components.peek().is_none() {
            let chunks_max = usize::try_from(lookup.chunks_max).unwrap_or(usize::MAX);
            let read = |value: &Bytes| NameEntry::of(value).ok()?.entry(lookup.chunk_first, chunks_max).ok();
            let entry = shared.hot.look(directory, name, &mut stamp, read)??;
            return (shared.layers.moved() == moved).then(|| (Box::new(entry), stamp));
        }
        directory = shared.hot.look(directory, name, &mut stamp, |value| inode_of(value))??;
    }
    None
}

/// The number of a directory; `None` if the entry is a file's.
fn inode_of(value: &[u8]) -> Option<u64> {
    match NameEntry::of(value).ok()? {
        NameEntry::Directory(found) => Some(found.inode),
        NameEntry::File(_) => None,
    }
}

/// About what a command holds in memory.
fn command_bytes(command: &Command) -> usize {
    COMMAND_BYTES
        + match command {
            Command::Change { change, .. } => change.bytes(),
            Command::TombstonesWritten(keys) => keys.len() * size_of::<TombstoneKey>(),
            _ => 0,
        }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What opening the log found, for an operator.
fn tell(place: &str, report: &LogReport) {
    if let Some(torn) = &report.torn {
        log::warn!(
            "master: {place}: {} was cut at {}: {} bytes were never acknowledged as durable, and are kept in {}",
            torn.file,
            torn.position,
            torn.bytes,
            torn.copy
        );
    }
    for damage in &report.damages {
        log::error!("master: {}: {}; the state has what was there", damage.place, damage.what);
    }
    if report.headers_damaged > 0 || report.mark_damaged || report.stray > 0 {
        log::error!(
            "master: {place}: of the log, {} headers of segments, {} mark files and {} ends of sectors are damaged, which costs \
             nothing now",
            report.headers_damaged,
            u8::from(report.mark_damaged),
            report.stray
        );
    }
}
