//! Deletes the content that no name leads to any more: the to-do list of tombstones, worked off.
//!
//! A thread of its own. What was replaced or removed stands on a list in the metadata state, which survives crashes; after
//! a wait, so that readers who began with it can end, its objects are deleted on their disks, and then it leaves the list.
//! Always: an entry leaves the list only after the tombstones of all its objects are on their disks; what is on a disk that
//! is away stays on it. A crash in between only deletes again, which changes nothing.

use crate::base::clock::{Clock, Moment};
use crate::base::completion::Completion;
use crate::base::ids::{ObjectId, Origin};
use crate::base::thread;
use crate::io::{DeleteBy, DeleteEnd, DiskState, Disks, Found, Uploads, Views};
use crate::master::{Command, Master, TombstoneKey};
use crate::request::Status;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the list is looked at when nothing was due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Objects that are deleted at once.
const IDS_MAX: usize = 1024;
/// The wait when a disk is full: most readers end within it.
const WAIT_WHEN_FULL: Duration = Duration::from_secs(10);
/// The pause when nothing of what was due could be deleted: a list for a disk that is away is not read over and over.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// A delete, or the command that takes entries off the list, may take so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often closed sessions are looked at.
const FORGET_EVERY: Duration = Duration::from_secs(60);
/// A chunk reaches its disk at most so long after its session was closed: far above any deadline's rest in a queue.
const SEARCH_MARGIN: Duration = Duration::from_secs(600);

/// The thread.
pub struct Tombstones {
    thread: Mutex<Option<JoinHandle<()>>>,
    stop: Mutex<Option<Sender<()>>>,
}

impl std::fmt::Debug for Tombstones {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tombstones").finish_non_exhaustive()
    }
}

impl Tombstones {
    /// Starts the thread; content is deleted `wait` after its name was taken away.
    ///
    /// # Errors
    /// That of the kernel, when it gives no thread.
    pub fn start(disks: &Arc<Disks>, master: &Arc<Master>, clock: &Arc<dyn Clock>, wait: Duration) -> io::Result<Self> {
        disks.collect(Arc::new(DeadChunks(Arc::clone(master))));
        let (stop, stopped) = bounded(0);
        let sweeper = Sweeper {
            disks: Arc::clone(disks),
            master: Arc::clone(master),
            clock: Arc::clone(clock),
            wait,
            after: None,
            views: Views::default(),
            forgot: clock.now(),
        };
        let thread = thread::spawn("tombstones", move || sweeper.run(&stopped))?;
        Ok(Self { thread: Mutex::new(Some(thread)), stop: Mutex::new(Some(stop)) })
    }

    /// Ends the thread.
    pub fn close(&self) {
        drop(self.stop.lock().take());
        if let Some(thread) = self.thread.lock().take() {
            // A panic was logged when it happened.
            drop(thread.join());
        }
    }
}

/// Tells the scrub which chunks are garbage.
struct DeadChunks(Arc<Master>);

impl Uploads for DeadChunks {
    fn is_dead(&self, origin: Origin) -> bool {
        self.0.is_dead(origin)
    }

    fn is_sure(&self) -> bool {
        self.0.is_well()
    }
}

struct Sweeper {
    disks: Arc<Disks>,
    master: Arc<Master>,
    clock: Arc<dyn Clock>,
    wait: Duration,
    /// Where the list was left: what could not be deleted is passed over until the next round.
    after: Option<TombstoneKey>,
    views: Views,
    /// When closed sessions were looked at.
    forgot: Moment,
}

impl Sweeper {
    fn run(mut self, stopped: &Receiver<()>) {
        let mut pause = Duration::ZERO;
        while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            pause = self.some(stopped);
            self.forget_if_due(stopped);
        }
    }

    /// Works on a few entries, and says how long to pause: longest when none was due behind the place that was reached,
    /// which starts a new round.
    fn some(&mut self, stopped: &Receiver<()>) -> Duration {
        // Without room for the log the list stays as it is, but what stands on it goes: that is where room comes from.
        if self.master.refuses_change().is_some_and(|refusal| refusal.status != Status::Full) {
            return LOOK_EVERY;
        }
        let is_full = self.disks.reports().iter().any(|disk| disk.state == DiskState::Full);
        let wait = if is_full { self.wait.min(WAIT_WHEN_FULL) } else { self.wait };
        let due = match self.master.tombstones_due(self.after, wait, IDS_MAX) {
            Ok(due) => due,
            Err(error) => {
                log::error!("tombstones: the list cannot be read: {error}");
                return LOOK_EVERY;
            }
        };
        self.after = due.last().map(|(key, _)| *key);
        if due.is_empty() {
            return LOOK_EVERY;
        }
        self.disks.renew(&mut self.views);
        let deadline = self.clock.now() + PATIENCE;
        let (tell, ended) = bounded(due.iter().map(|(_, ids)| ids.len()).sum());
        for (entry, (_, ids)) in due.iter().enumerate() {
            for id in ids {
                self.delete(entry, *id, deadline, &tell, stopped);
            }
        }
        drop(tell);
        let mut left: Vec<usize> = due.iter().map(|(_, ids)| ids.len()).collect();
        // A disk that hangs never tells: what it does not say is not gone.
        while let Some((entry, gone)) = told(&ended, stopped, deadline - self.clock.now()) {
            if let Some(left) = left.get_mut(entry).filter(|_| gone) {
                *left -= 1;
            }
        }
        let gone: Vec<_> = due.into_iter().zip(left).filter(|(_, left)| *left == 0).map(|((key, _), _)| key).collect();
        match gone.is_empty() {
            true => LOOK_AGAIN,
            false if self.done(Command::TombstonesWritten(gone), stopped) => Duration::ZERO,
            false => LOOK_EVERY,
        }
    }

    /// Deletes an object; `tell` learns whether it is gone.
    fn delete(
        &mut self,
        entry: usize,
        id: ObjectId,
        deadline: Moment,
        tell: &Sender<(usize, bool)>,
        stopped: &Receiver<()>,
    ) {
        // The channel has room for every object.
        let say = |gone| _ = tell.try_send((entry, gone));
        let target = match self.disks.find(&mut self.views, id) {
            Found::Object(target) | Found::Damaged(target) => target,
            Found::Deleted(_) | Found::Absent => return say(true),
            Found::Unavailable => return say(false),
        };
        loop {
            let now = self.clock.now();
            let tell_later = tell.clone();
            let done = move |end| _ = tell_later.try_send((entry, is_gone(id, end)));
            match self.disks.delete(target.clone(), DeleteBy::Name, (now, deadline), || Some(Completion::new(done))) {
                Ok(()) => return,
                Err(_) if now < deadline && stopped.try_recv() == Err(TryRecvError::Empty) => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(_) => return say(false),
            }
        }
    }

    /// Closed sessions are forgotten when every disk was searched for their dead chunks. The margin is for what was on its
    /// way to a disk when its session was closed.
    fn forget_if_due(&mut self, stopped: &Receiver<()>) {
        let now = self.clock.now();
        if now < self.forgot + FORGET_EVERY || self.master.refuses_change().is_some() {
            return;
        }
        self.forgot = now;
        let margin_ms = u64::try_from(SEARCH_MARGIN.as_millis()).unwrap_or(u64::MAX);
        let Some(until_ms) = self.disks.searched_since().and_then(|since_ms| since_ms.checked_sub(margin_ms)) else {
            return;
        };
        let sessions = self.master.sessions_closed_until(until_ms);
        if !sessions.is_empty() {
            self.done(Command::ForgetSessions(sessions), stopped);
        }
    }

    /// Has a command carried out; true if that is known to be done.
    fn done(&self, command: Command, stopped: &Receiver<()>) -> bool {
        let (tell, done) = bounded(1);
        let deadline = self.clock.now() + PATIENCE;
        let completion = Completion::new(move |end: crate::master::MasterEnd| _ = tell.try_send(end.is_ok()));
        self.master.submit(command, deadline, completion);
        told(&done, stopped, PATIENCE).unwrap_or(false)
    }
}

/// What comes next from others, who may hang; `None` when nothing comes any more, or in time, or the node stops.
fn told<T>(from: &Receiver<T>, stopped: &Receiver<()>, wait: Duration) -> Option<T> {
    crossbeam_channel::select! {
        recv(from) -> told => told.ok(),
        recv(stopped) -> _ => None,
        default(wait) => None,
    }
}

/// Whether an object is gone for good.
fn is_gone(id: ObjectId, end: DeleteEnd) -> bool {
    match end {
        DeleteEnd::Deleted | DeleteEnd::NotFound => true,
        DeleteEnd::NotNamed => {
            // A commit takes none, so this is a state from elsewhere; objects that were put by id are never collected.
            log::error!("tombstones: {id} belonged to a name and was put by id: it is left alone");
            true
        }
        DeleteEnd::Named
        | DeleteEnd::Damaged
        | DeleteEnd::Refused(_)
        | DeleteEnd::Full
        | DeleteEnd::Failed
        | DeleteEnd::Expired => false,
    }
}
