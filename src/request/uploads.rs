//! The session of uploads that have none of their own: what comes by a protocol without sessions belongs to one that the
//! node keeps open for itself.
//!
//! Any thread; the lock is held over memory only. Always: no number is given out twice; who holds a session may still use
//! it, so it is closed only when nobody does.

use crate::base::ids::Origin;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// An open session, and the numbers that it has left.
#[derive(Debug)]
pub struct UploadSession {
    session: u64,
    number_next: AtomicU64,
    abandoned: AtomicU64,
    is_lost: AtomicBool,
}

impl UploadSession {
    /// A session that the master has just opened.
    #[must_use]
    pub fn new(session: u64) -> Self {
        Self { session, number_next: AtomicU64::new(1), abandoned: AtomicU64::new(0), is_lost: AtomicBool::new(false) }
    }

    /// Its number at the master.
    #[must_use]
    pub fn session(&self) -> u64 {
        self.session
    }

    /// The first of `count` numbers in a row that nothing else has.
    pub fn numbers(&self, count: u64) -> Origin {
        Origin { session: self.session, number: self.number_next.fetch_add(count, Ordering::Relaxed) }
    }

    /// Says that numbers which were given out led to nothing: what was put under them is garbage once the session is closed.
    pub fn abandon(&self, count: u64) {
        self.abandoned.fetch_add(count, Ordering::Relaxed);
    }

    /// Numbers that led to nothing.
    #[must_use]
    pub fn abandoned(&self) -> u64 {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// Says that the master takes no more in it.
    pub fn lose(&self) {
        self.is_lost.store(true, Ordering::Relaxed);
    }

    /// Whether the master takes no more in it.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }
}

/// The session that is in use now, for whoever begins an upload.
#[derive(Debug, Default)]
pub struct UploadSessions(Mutex<Option<Arc<UploadSession>>>);

impl UploadSessions {
    /// The session for a new upload; `None` while the master gives none.
    #[must_use]
    pub fn current(&self) -> Option<Arc<UploadSession>> {
        self.0.lock().clone().filter(|session| !session.is_lost())
    }

    /// From now on uploads begin in this one. Returns the one before.
    pub fn replace(&self, session: Option<Arc<UploadSession>>) -> Option<Arc<UploadSession>> {
        std::mem::replace(&mut self.0.lock(), session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_given_once_and_a_lost_session_is_not_begun_with() {
        let sessions = UploadSessions::default();
        assert!(sessions.current().is_none());
        sessions.replace(Some(Arc::new(UploadSession::new(7))));
        let session = sessions.current().unwrap();
        let numbers = [session.numbers(3), session.numbers(1), session.numbers(2)];
        assert_eq!(numbers.map(|origin| (origin.session, origin.number)), [(7, 1), (7, 4), (7, 5)]);
        session.abandon(3);
        assert_eq!((session.abandoned(), session.session()), (3, 7));
        session.lose();
        assert!(session.is_lost() && sessions.current().is_none());
    }
}
