//! Whether this process is the master now, and if not, why: a small state machine.
//!
//! Read by any thread before anything is queued; one atomic load while all is well.
//!
//! | from | to | when |
//! |---|---|---|
//! | serving | full | the log or the state found no room |
//! | full | serving | it found room again |
//! | any | ended | an error or a panic in consensus, log or state; or the node stops. For good: the next start looks anew |
//!
//! Always: only serving takes changes; full answers reads, and takes what makes room while the log has some; ended answers
//! nothing.

use crate::request::{Refusal, Stage, Status};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

const SERVING: u8 = 0;
const ENDED: u8 = 0x80;

/// What has no room: one bit each, for they fill and empty by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Full {
    Log = 1,
    State = 2,
}

/// Milliseconds after which a change may be tried again on a full disk.
const FULL_RETRY_MS: u32 = 1000;

/// The state.
#[derive(Debug, Default)]
pub(super) struct Role {
    state: AtomicU8,
    cause: Mutex<String>,
}

impl Role {
    /// Why a change is refused now.
    pub(super) fn refuses_change(&self) -> Option<Refusal> {
        match self.state.load(Ordering::Acquire) {
            SERVING => None,
            state if state & ENDED == 0 => Some(Refusal {
                status: Status::Full,
                stage: Stage::Disk,
                retry_after_ms: FULL_RETRY_MS,
                detail: format!("the metadata disk is full, names can be read only: {}", self.cause.lock()).into(),
            }),
            _ => Some(self.ended()),
        }
    }

    /// Why a command that makes room is refused now: without room for the state the log and the memory can hold some.
    pub(super) fn refuses_removal(&self) -> Option<Refusal> {
        let only_state = self.state.load(Ordering::Acquire) == Full::State as u8;
        if only_state { None } else { self.refuses_change() }
    }

    /// Why a read is refused now.
    pub(super) fn refuses_read(&self) -> Option<Refusal> {
        self.has_ended().then(|| self.ended())
    }

    /// What is said of work that was under way when the role ended.
    pub(super) fn ended(&self) -> Refusal {
        Refusal::new(Status::Unavailable, format!("the master is out of service, ids go on: {}", self.cause.lock()))
    }

    /// No room; a repeat says nothing new.
    pub(super) fn enter_full(&self, what: Full, cause: &str) {
        let before = self.state.fetch_or(what as u8, Ordering::AcqRel);
        if before == SERVING {
            *self.cause.lock() = cause.to_string();
            log::error!("master: changes of names are refused until there is room: {cause}");
        }
    }

    /// Room again.
    pub(super) fn leave_full(&self, what: Full) {
        if self.state.load(Ordering::Acquire) & what as u8 == 0 {
            return;
        }
        if self.state.fetch_and(!(what as u8), Ordering::AcqRel) == what as u8 {
            log::info!("master: there is room again, names can be changed");
        }
    }

    /// The end of the role; the first cause stays.
    pub(super) fn end(&self, cause: &str) {
        let mut said = self.cause.lock();
        if self.state.fetch_or(ENDED, Ordering::AcqRel) & ENDED == 0 {
            *said = cause.to_string();
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state.load(Ordering::Acquire) & ENDED != 0
    }

    /// The state and its cause, for people.
    pub(super) fn told(&self) -> (&'static str, String) {
        match self.state.load(Ordering::Acquire) {
            SERVING => ("serving", String::new()),
            state if state & ENDED == 0 => ("full", self.cause.lock().clone()),
            _ => ("ended", self.cause.lock().clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_of_the_table() {
        let role = Role::default();
        assert!(role.refuses_change().is_none() && role.refuses_read().is_none());
        role.enter_full(Full::Log, "log: no room");
        let refusal = role.refuses_change().unwrap();
        assert_eq!((refusal.status, refusal.retry_after_ms), (Status::Full, 1000));
        assert!(role.refuses_read().is_none());
        role.enter_full(Full::State, "state: no room");
        assert!(role.refuses_removal().is_some(), "the log has no room");
        role.leave_full(Full::Log);
        assert!(role.refuses_change().is_some(), "the state has no room yet");
        assert!(role.refuses_removal().is_none(), "what makes room is taken");
        role.leave_full(Full::State);
        assert!(role.refuses_change().is_none());
        role.end("state: damaged");
        role.end("later");
        role.enter_full(Full::Log, "later");
        role.leave_full(Full::Log);
        let refusal = role.refuses_read().unwrap();
        assert_eq!(refusal.status, Status::Unavailable);
        assert!(role.refuses_removal().is_some());
        assert!(refusal.detail.ends_with("state: damaged"), "{}", refusal.detail);
        assert_eq!(role.told(), ("ended", "state: damaged".to_string()));
    }
}
