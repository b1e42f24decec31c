//! A session of changes: it gives each its number, so that one that is sent again is made once.
//!
//! Any thread; a session is shared by reference. Always: no number is given out twice; the chunks of an upload and its
//! commit have numbers of one session of the node's; a change is sent under another number only if the first was not
//! made. The session at the node is renewed before it was silent for too long, and another takes its place when the node
//! does not know it any more, or when too many of its numbers led to nothing.

use super::names::read_changed;
use super::patience::patiently;
use super::{Client, ClientError};
use crate::base::ids::Origin;
use crate::base::limits::SESSION_GAPS_MAX;
use crate::base::path::NamePath;
use crate::request::{
    Attributes, Change, ChangeRequest, Changed, Class, Condition, Refusal, SessionAct, Stage, Status,
};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A node takes no further change in a session with too many numbers that led to nothing: well before, another is opened.
const ABANDONED_MAX: u64 = SESSION_GAPS_MAX as u64 / 4;

/// What the farewell to a session may take, for which nobody waits.
const FAREWELL: Duration = Duration::from_millis(250);

/// A session of changes. Closed when it is dropped, as far as the node can be reached then.
#[derive(Debug)]
pub struct NameSession {
    client: Client,
    /// The lock is held while another is opened: those who want one wait for it.
    opened: Mutex<Arc<Opened>>,
}

/// A session that the node gave.
#[derive(Debug)]
pub(super) struct Opened {
    client: Client,
    session: u64,
    number_next: AtomicU64,
    /// Numbers that led to nothing, as far as is known.
    abandoned: AtomicU64,
    silent_max: Duration,
    /// When the node last heard of it.
    heard: Mutex<Instant>,
    /// The node need not be told of its end.
    is_closed: AtomicBool,
}

impl Client {
    /// Opens a session for changes of names.
    ///
    /// ```no_run
    /// # use larder::base::path::NamePath;
    /// # use larder::client::{Client, UploadOptions};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::connect("127.0.0.1:7400")?;
    /// let session = client.open_session()?;
    /// session.make_directory(&NamePath::parse(b"/pictures")?, true)?;
    /// let mut file = std::fs::File::open("cat.jpg")?;
    /// session.upload(&NamePath::parse(b"/pictures/cat.jpg")?, &mut file, &UploadOptions::default())?;
    /// session.close()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn open_session(&self) -> Result<NameSession, ClientError> {
        Ok(NameSession { client: self.clone(), opened: Mutex::new(Opened::open(self)?) })
    }
}

impl NameSession {
    /// The client that it was opened with.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// An empty directory. With `parents`, also what is missing above it, and one that is there is no error.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn make_directory(&self, path: &NamePath, parents: bool) -> Result<Changed, ClientError> {
        self.change(Change::MakeDirectory { path: path.clone(), parents })
    }

    /// Another name for a file or a directory, in one step. With `replace`, a file or an empty directory that has the
    /// new name gives way to one of its kind.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn rename(
        &self,
        from: &NamePath,
        to: &NamePath,
        replace: bool,
        condition: Condition,
    ) -> Result<Changed, ClientError> {
        self.change(Change::Rename { from: from.clone(), to: to.clone(), replace, condition })
    }

    /// Removes a file or an empty directory; with `tree` a directory and all that is in it, whose content goes in the
    /// background: [`Client::removal`] says how far that is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn remove(&self, path: &NamePath, tree: bool, condition: Condition) -> Result<Changed, ClientError> {
        self.change(Change::Remove { path: path.clone(), tree, condition })
    }

    /// Other attributes for a file, in the place of all that it has.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn set_attributes(
        &self,
        path: &NamePath,
        attributes: Attributes,
        condition: Condition,
    ) -> Result<Changed, ClientError> {
        self.change(Change::SetAttributes { path: path.clone(), condition, attributes })
    }

    /// Closes the session at the node.
    ///
    /// # Errors
    /// [`ClientError`]. It is closed then by itself, after it was silent for its time.
    pub fn close(self) -> Result<(), ClientError> {
        self.opened.lock().close()
    }

    /// Makes a change that needs no chunks, once, in whatever session it takes.
    ///
    /// # Errors
    /// [`ClientError`]. Of class [`Unknown`](Class::Unknown): it may have been made.
    pub fn change(&self, change: Change) -> Result<Changed, ClientError> {
        let opened = self.opened()?;
        match opened.change(change.clone(), 1) {
            // Nothing was done, so it may have another number.
            Err(error) if is_at_its_end(&error) => self.give_up(&opened, &error)?.change(change, 1),
            outcome => outcome,
        }
    }

    /// The session at the node that new numbers come from.
    pub(super) fn opened(&self) -> Result<Arc<Opened>, ClientError> {
        let mut opened = self.opened.lock();
        let is_worn = opened.abandoned.load(Ordering::Relaxed) >= ABANDONED_MAX;
        let is_known = !is_worn
            && match opened.renew() {
                Err(error) if error.status() == Some(Status::SessionUnknown) => false,
                renewed => renewed.map(|()| true)?,
            };
        if !is_known {
            opened.is_closed.store(!is_worn, Ordering::Relaxed);
            *opened = Opened::open(&self.client)?;
        }
        Ok(Arc::clone(&opened))
    }

    /// Another session in the place of one that is at its end, as `error` says.
    pub(super) fn give_up(&self, ended: &Arc<Opened>, error: &ClientError) -> Result<Arc<Opened>, ClientError> {
        let is_unknown = error.status() == Some(Status::SessionUnknown);
        ended.is_closed.fetch_or(is_unknown, Ordering::Relaxed);
        let mut opened = self.opened.lock();
        // Another thread may have been faster.
        if Arc::ptr_eq(&opened, ended) {
            *opened = Opened::open(&self.client)?;
        }
        Ok(Arc::clone(&opened))
    }
}

/// Whether a change was not made because its session takes none any more: the node does not know it, or it has too many
/// numbers that led to nothing, which is the one way to be busy that no waiting helps.
pub(super) fn is_at_its_end(error: &ClientError) -> bool {
    match error {
        ClientError::Refused(refusal) => match refusal.status {
            Status::SessionUnknown => true,
            Status::Busy => refusal.stage == Stage::None && refusal.retry_after_ms == 0,
            _ => false,
        },
        _ => false,
    }
}

impl Opened {
    fn open(client: &Client) -> Result<Arc<Self>, ClientError> {
        let given = client.session(SessionAct::Open)?;
        Ok(Arc::new(Self {
            client: client.clone(),
            session: given.session,
            number_next: AtomicU64::new(1),
            abandoned: AtomicU64::new(0),
            silent_max: Duration::from_millis(given.silent_ms_max),
            heard: Mutex::new(Instant::now()),
            is_closed: AtomicBool::new(false),
        }))
    }

    /// A number that nothing else has.
    pub(super) fn number(&self) -> Origin {
        Origin { session: self.session, number: self.number_next.fetch_add(1, Ordering::Relaxed) }
    }

    /// Numbers that were given out and led to nothing.
    pub(super) fn abandon(&self, numbers: u64) {
        self.abandoned.fetch_add(numbers, Ordering::Relaxed);
    }

    /// Renews it if it was silent for a while; an upload does so now and then, as its chunks are no changes.
    pub(super) fn renew(&self) -> Result<(), ClientError> {
        let mut heard = self.heard.lock();
        if heard.elapsed() > self.silent_max / 3 {
            self.client.session(SessionAct::Renew(self.session))?;
            *heard = Instant::now();
        }
        Ok(())
    }

    /// Makes a change under a number of its own, which it keeps when it is sent again: up to `attempts` times, each of
    /// which may last a deadline, while it is not known whether it was made.
    pub(super) fn change(&self, change: Change, attempts: u32) -> Result<Changed, ClientError> {
        let request = ChangeRequest { id: self.number(), change };
        let mut is_in_doubt = false;
        let mut outcome = self.attempt(&request, &mut is_in_doubt);
        for _ in 1..attempts {
            match &outcome {
                Err(error) if is_unknown(error) => outcome = self.attempt(&request, &mut is_in_doubt),
                _ => break,
            }
        }
        let error = match outcome {
            Ok(changed) => {
                *self.heard.lock() = Instant::now();
                return Ok(changed);
            }
            Err(error) => error,
        };
        // A refusal that is a fact is an answer like any other: its number led to something.
        if !matches!(error.class(), Class::Fact | Class::Mend) {
            self.abandon(1);
        }
        // The first answer was lost, so the session may have ended after the change was made.
        if is_at_its_end(&error) && is_in_doubt {
            let detail = "the session ended while the answer was lost: the change may have been made";
            return Err(ClientError::Refused(Refusal::new(Status::OutcomeForgotten, detail)));
        }
        Err(error)
    }

    fn attempt(&self, request: &ChangeRequest, is_in_doubt: &mut bool) -> Result<Changed, ClientError> {
        patiently(&self.client, || {
            let ticket = self.client.submit_change(request.clone());
            ticket.wait_with(|request, waiting| {
                let outcome = read_changed(request, waiting);
                *is_in_doubt |= matches!(&outcome, Err(error) if is_unknown(error));
                outcome
            })
        })
    }

    fn close(&self) -> Result<(), ClientError> {
        self.is_closed.store(true, Ordering::Relaxed);
        self.client.submit_close(self.session).wait()
    }
}

/// Whether the change may have been made, and asking again under its number tells.
fn is_unknown(error: &ClientError) -> bool {
    error.class() == Class::Unknown && error.status() != Some(Status::OutcomeForgotten)
}

impl Drop for Opened {
    fn drop(&mut self) {
        if !self.is_closed.load(Ordering::Relaxed) {
            // Nobody waits for the answer: a session that is not closed now closes by itself.
            drop(self.client.with_deadline(FAREWELL).submit_close(self.session));
        }
    }
}
