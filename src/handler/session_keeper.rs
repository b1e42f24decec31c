//! Keeps a session open for uploads that have none of their own.
//!
//! A thread of its own, which may wait for the master. Always: the session that is in use is renewed before it was silent for
//! too long; another takes its place when the master does not take changes in it any more, when many of its numbers led to
//! nothing, or when some did and a while has passed: for garbage is known as such only once its session is closed. A session
//! is closed when no upload holds it.

use crate::base::clock::{Clock, Moment};
use crate::base::completion::Completion;
use crate::base::limits::SESSION_GAPS_MAX;
use crate::base::thread;
use crate::master::{Command, Master, MasterEnd};
use crate::request::{NameAnswer, Status, UploadSession, UploadSessions};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// A session takes no further change with too many numbers that led to nothing: well before, another is opened.
const ABANDONED_MAX: u64 = SESSION_GAPS_MAX as u64 / 4;
/// With any such number a session is replaced after this, so that the scrub can collect what was put under it.
const ABANDONED_FOR: Duration = Duration::from_secs(600);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long the master may take for a command.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a farewell may take, for which nobody waits.
const FAREWELL: Duration = Duration::from_millis(500);

/// The thread.
pub struct SessionKeeper {
    sessions: Arc<UploadSessions>,
    thread: Mutex<Option<JoinHandle<()>>>,
    stop: Mutex<Option<Sender<()>>>,
}

impl std::fmt::Debug for SessionKeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionKeeper").field("sessions", &self.sessions).finish_non_exhaustive()
    }
}

impl SessionKeeper {
    /// Opens a session, if the master gives one now, and starts the thread; a session may be `silent` for so long.
    ///
    /// # Errors
    /// That of the kernel, when it gives no thread.
    pub fn start(master: &Arc<Master>, clock: &Arc<dyn Clock>, silent: Duration) -> io::Result<Self> {
        let sessions = Arc::<UploadSessions>::default();
        let (stop, stopped) = bounded(0);
        let mut keeper = Keeper {
            master: Arc::clone(master),
            clock: Arc::clone(clock),
            sessions: Arc::clone(&sessions),
            silent,
            kept: None,
            leaving: Vec::new(),
        };
        // Before the node says that it is ready: so that its first uploads find a session.
        keeper.look(&stopped);
        let thread = thread::spawn("upload-session", move || keeper.run(&stopped))?;
        Ok(Self { sessions, thread: Mutex::new(Some(thread)), stop: Mutex::new(Some(stop)) })
    }

    /// Where uploads find their session.
    #[must_use]
    pub fn sessions(&self) -> Arc<UploadSessions> {
        Arc::clone(&self.sessions)
    }

    /// Closes the session and ends the thread.
    pub fn close(&self) {
        drop(self.stop.lock().take());
        if let Some(thread) = self.thread.lock().take() {
            // A panic was logged when it happened.
            drop(thread.join());
        }
    }
}

struct Kept {
    session: Arc<UploadSession>,
    opened: Moment,
    renewed: Moment,
}

struct Keeper {
    master: Arc<Master>,
    clock: Arc<dyn Clock>,
    sessions: Arc<UploadSessions>,
    silent: Duration,
    kept: Option<Kept>,
    /// Replaced, and held by uploads that have begun in them.
    leaving: Vec<Kept>,
}

impl Keeper {
    fn run(mut self, stopped: &Receiver<()>) {
        while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
            self.look(stopped);
        }
        self.leave();
    }

    fn look(&mut self, stopped: &Receiver<()>) {
        let now = self.clock.now();
        if self.kept.as_ref().is_none_or(|kept| kept.is_worn(now)) {
            self.replace(stopped);
        }
        self.renew(now, stopped);
        self.close_those_left(stopped);
    }

    fn replace(&mut self, stopped: &Receiver<()>) {
        // Asked first: a master that is out of service is not asked five times a second for what it cannot give.
        if self.master.refuses_change().is_some() {
            return;
        }
        let Some(Ok(NameAnswer::Session(given))) = self.done(Command::OpenSession, stopped, PATIENCE) else { return };
        let session = Arc::new(UploadSession::new(given.session));
        self.sessions.replace(Some(Arc::clone(&session)));
        let now = self.clock.now();
        self.leaving.extend(self.kept.replace(Kept { session, opened: now, renewed: now }));
    }

    /// Says that sessions are in use: also those that were replaced, as an upload that has begun in one takes its time.
    fn renew(&mut self, now: Moment, stopped: &Receiver<()>) {
        let is_due = |kept: &&Kept| now >= kept.renewed + self.silent / 3;
        let due: Vec<_> =
            self.kept.iter().chain(&self.leaving).filter(is_due).map(|kept| Arc::clone(&kept.session)).collect();
        for session in due {
            let Some(end) = self.done(Command::RenewSession(session.session()), stopped, PATIENCE) else { continue };
            // One that the master does not know any more. What it is too busy for is asked again after a third of the time, twice
            // before it would be too late.
            if end.is_err_and(|refusal| refusal.status == Status::SessionUnknown) {
                session.lose();
            }
            let mut all = self.kept.iter_mut().chain(&mut self.leaving);
            if let Some(kept) = all.find(|kept| Arc::ptr_eq(&kept.session, &session)) {
                kept.renewed = now;
            }
        }
    }

    /// Closes the sessions that no upload holds any more.
    fn close_those_left(&mut self, stopped: &Receiver<()>) {
        let is_held = |left: &Kept| Arc::strong_count(&left.session) > 1;
        let (held, free) = std::mem::take(&mut self.leaving).into_iter().partition(is_held);
        self.leaving = held;
        for left in Vec::<Kept>::into_iter(free) {
            // One that cannot be told closes by itself when it was silent for its time.
            drop(self.done(Command::CloseSession(left.session.session()), stopped, PATIENCE));
        }
    }

    /// The node stops: nothing begins any more.
    fn leave(mut self) {
        drop(self.sessions.replace(None));
        self.leaving.extend(self.kept.take());
        let (_open, not_stopped) = bounded(0);
        for left in std::mem::take(&mut self.leaving) {
            drop(self.done(Command::CloseSession(left.session.session()), &not_stopped, FAREWELL));
        }
    }

    /// Has a command carried out; `None` when the answer does not come in time, or the node stops.
    fn done(&self, command: Command, stopped: &Receiver<()>, patience: Duration) -> Option<MasterEnd> {
        let (tell, done) = bounded(1);
        let completion = Completion::new(move |end: MasterEnd| _ = tell.try_send(end));
        self.master.submit(command, self.clock.now() + patience, completion);
        crossbeam_channel::select! {
            recv(done) -> end => end.ok(),
            recv(stopped) -> _ => None,
            default(patience) => None,
        }
    }
}

impl Kept {
    fn is_worn(&self, now: Moment) -> bool {
        let abandoned = self.session.abandoned();
        self.session.is_lost() || abandoned >= ABANDONED_MAX || abandoned > 0 && now >= self.opened + ABANDONED_FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::ManualClock;

    #[test]
    fn a_session_that_was_replaced_is_renewed_while_an_upload_holds_it() {
        const SILENT: Duration = Duration::from_secs(30);
        let clock = Arc::new(ManualClock::default());
        let kept = |session| {
            let session = Arc::new(UploadSession::new(session));
            Kept { session, opened: clock.now(), renewed: clock.now() }
        };
        let (now, before, left) = (kept(3), kept(2), kept(1));
        let upload = Arc::clone(&before.session);
        let mut keeper = Keeper {
            master: Arc::new(Master::out("of a test")),
            clock: Arc::<ManualClock>::clone(&clock),
            sessions: Arc::default(),
            silent: SILENT,
            kept: Some(now),
            leaving: vec![before, left],
        };
        let (_open, stopped) = bounded(0);
        clock.advance(SILENT / 3);
        keeper.look(&stopped);
        let [before] = &keeper.leaving[..] else { panic!("who is held by nobody is closed") };
        assert!(Arc::ptr_eq(&before.session, &upload));
        assert_eq!(before.renewed, clock.now());
        assert_eq!(keeper.kept.unwrap().renewed, clock.now());
    }
}
