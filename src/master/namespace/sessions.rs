//! All sessions: who may change something, and whose chunks are garbage.
//!
//! Owned by the apply thread, in memory; what changed since is written when the state is stored. Always: a session is open
//! or closed or forgotten, in this order; at most `SESSIONS_OPEN_MAX` are open and `SESSIONS_CLOSED_MAX` closed; their
//! answers and gaps are shared out, so that memory is bounded also with all of them open.

use super::keys;
use super::numbers::Numbers;
use super::session::{ClosedSession, Ending, OpenSession, Stored};
use crate::base::ids::Origin;
use crate::base::limits::{
    ANSWERS_MAX, GAPS_MAX, SESSION_ANSWERS_MAX, SESSION_ANSWERS_MIN, SESSION_GAPS_MAX, SESSIONS_CLOSED_MAX,
    SESSIONS_OPEN_MAX,
};
use crate::master::StateError;
use crate::master::table::{Table, TableMut};
use crate::request::{Refusal, Stage, Status};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Sessions {
    open: BTreeMap<u64, OpenSession>,
    /// Shared with who searches the disks: it is copied only if one changes while a snapshot of it is out.
    closed: Arc<BTreeMap<u64, ClosedSession>>,
    /// Those to store.
    changed: Vec<u64>,
}

/// Which numbers of which sessions are dead, at one moment: what was put under them and is in no file is garbage.
#[derive(Debug, Clone)]
pub struct DeadNumbers {
    closed: Arc<BTreeMap<u64, ClosedSession>>,
    next_session: u64,
}

impl DeadNumbers {
    /// Whether a chunk of this origin is garbage. One of an open session may still be committed; one of a session that
    /// was forgotten is in a file, as every disk was searched before; one of a session that was never given is not ours
    /// to judge.
    #[must_use]
    pub fn is_dead(&self, origin: Origin) -> bool {
        self.closed.get(&origin.session).is_some_and(|session| !session.finished.contains(origin.number))
    }

    /// Whether a session is closed, and not forgotten.
    #[must_use]
    pub fn is_closed(&self, session: u64) -> bool {
        self.closed.contains_key(&session)
    }

    /// Sessions that were closed until then: when every disk was searched since, they can be forgotten.
    pub fn closed_until(&self, time_ms: u64) -> impl Iterator<Item = u64> {
        self.closed.iter().filter(move |(_, closed)| closed.closed_ms <= time_ms).map(|(session, _)| *session)
    }

    /// Closed sessions.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.closed.len()
    }

    /// The number that the next session will get.
    #[must_use]
    pub fn next_session(&self) -> u64 {
        self.next_session
    }
}

impl Sessions {
    pub fn load(table: &dyn Table) -> Result<Self, StateError> {
        let (mut open, mut closed, mut failed) = (BTreeMap::new(), BTreeMap::new(), None);
        let (from, to) = keys::SESSIONS_ALL;
        table.scan(&from, &to, &mut |key, value| {
            let session = keys::session_of(key).unwrap_or_default();
            match Stored::decode(session, value) {
                Ok(Stored::Open(stored)) => drop(open.insert(session, stored)),
                Ok(Stored::Closed(stored)) => drop(closed.insert(session, stored)),
                Err(error) => {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        match failed {
            Some(error) => Err(error),
            None => Ok(Self { open, closed: Arc::new(closed), changed: Vec::new() }),
        }
    }

    pub fn store(&mut self, table: &mut dyn TableMut) {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        for session in changed {
            let key = keys::session_key(session);
            if let Some(open) = self.open.get_mut(&session) {
                open.listed = false;
                table.put(key, open.encode());
            } else if let Some(closed) = self.closed.get(&session) {
                table.put(key, closed.encode());
            } else {
                table.remove(key);
            }
        }
    }

    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    pub fn closed_count(&self) -> usize {
        self.closed.len()
    }

    pub fn dead_numbers(&self, next_session: u64) -> DeadNumbers {
        DeadNumbers { closed: Arc::clone(&self.closed), next_session }
    }

    /// Opens a session.
    pub fn open(&mut self, session: u64, now_ms: u64) -> Result<(), Refusal> {
        if self.open.len() >= SESSIONS_OPEN_MAX {
            let detail = "as many sessions are open as may be: close some, or wait until silent ones expire";
            return Err(Refusal::busy(Stage::None, 60_000, detail));
        }
        self.open.insert(session, OpenSession::new(now_ms));
        self.changed.push(session);
        Ok(())
    }

    pub fn renew(&mut self, session: u64, now_ms: u64) -> Result<(), Refusal> {
        self.used(session, now_ms).map(|_| ())
    }

    /// Closes a session; closing it again is no mistake. How many were forgotten early for want of room.
    pub fn close(&mut self, session: u64, now_ms: u64) -> Result<u64, Refusal> {
        let Some(open) = self.open.remove(&session) else {
            return if self.closed.contains_key(&session) { Ok(0) } else { Err(unknown(session)) };
        };
        self.changed.push(session);
        let closed = Arc::make_mut(&mut self.closed);
        closed.insert(session, open.close(now_ms));
        let mut forgotten = 0;
        while closed.len() > SESSIONS_CLOSED_MAX
            && let Some((oldest, _)) = closed.pop_first()
        {
            self.changed.push(oldest);
            forgotten += 1;
        }
        Ok(forgotten)
    }

    /// Open sessions that were last used so long ago.
    pub fn silent_until(&self, time_ms: u64) -> Vec<u64> {
        self.open.iter().filter(|(_, open)| open.used_ms <= time_ms).map(|(session, _)| *session).collect()
    }

    /// The last use of the open session that was silent the longest; the end of time if none is open.
    pub fn silent_since_ms(&self) -> u64 {
        self.open.values().map(|open| open.used_ms).min().unwrap_or(u64::MAX)
    }

    /// Forgets a session, if it is closed.
    pub fn forget(&mut self, session: u64) {
        if self.closed.contains_key(&session) {
            Arc::make_mut(&mut self.closed).remove(&session);
            self.changed.push(session);
        }
    }

    /// The answer that a number got before, or `None` when it is new.
    pub fn answered(&mut self, id: Origin, now_ms: u64) -> Result<Option<Ending>, Refusal> {
        let session = self.used(id.session, now_ms)?;
        if !session.finished.contains(id.number) {
            return Ok(None);
        }
        session.answer(id.number).map(Some).ok_or_else(|| {
            let detail = format!("number {} of session {} is finished, its answer forgotten", id.number, id.session);
            Refusal::new(Status::OutcomeForgotten, detail)
        })
    }

    /// The finished numbers of an open session.
    pub fn finished(&self, session: u64) -> Result<&Numbers, Refusal> {
        self.open.get(&session).map(|open| &open.finished).ok_or_else(|| unknown(session))
    }

    /// Whether the set of finished numbers may take these, which ascend and are new.
    pub fn check_room(&self, session: u64, numbers: &[u64]) -> Result<(), Refusal> {
        let finished = self.finished(session)?;
        let (ranges, ranges_max) = (finished.ranges(), self.share(GAPS_MAX, 1, SESSION_GAPS_MAX));
        let ranges_after = finished.ranges_with(numbers);
        if ranges_after > ranges && ranges_after > ranges_max {
            let detail = format!("session {session} left too many gaps between its numbers: open another session");
            return Err(Refusal::busy(Stage::None, 0, detail));
        }
        Ok(())
    }

    /// Notes how a change ended, and the numbers of the chunks that it committed.
    pub fn finish(&mut self, id: Origin, chunks: &[u64], ending: Ending) {
        let answers_max = self.share(ANSWERS_MAX, SESSION_ANSWERS_MIN, SESSION_ANSWERS_MAX);
        if let Some(open) = self.open.get_mut(&id.session) {
            chunks.iter().for_each(|number| open.finished.insert(*number));
            open.finish(id.number, ending, answers_max);
        }
    }

    fn used(&mut self, session: u64, now_ms: u64) -> Result<&mut OpenSession, Refusal> {
        let open = self.open.get_mut(&session).ok_or_else(|| unknown(session))?;
        open.used_ms = now_ms;
        if !open.listed {
            open.listed = true;
            self.changed.push(session);
        }
        Ok(open)
    }

    /// What one session may have of what all of them share.
    fn share(&self, all: usize, min: usize, max: usize) -> usize {
        (all / self.open.len().max(1)).clamp(min, max)
    }
}

fn unknown(session: u64) -> Refusal {
    Refusal::new(Status::SessionUnknown, format!("session {session} is not open: open another"))
}
