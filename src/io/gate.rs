//! Whether a processor may try an inline read of a disk, and how.
//!
//! Any thread; a few atomics. A non-blocking read that misses still submits I/O, and sleeps when the device's queue is
//! full (seen: 4 s on a disk of 500 ms a read, from the 108th miss on). So it is tried freely only while few misses
//! are outstanding and none is old; otherwise `cachestat` is asked first, which never touches the device.

use crate::base::clock::Moment;
use crate::base::limits::{INLINE_JOB_AGE_MAX_NS, INLINE_MISSES_MAX};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const IDLE: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct Gate {
    outstanding: AtomicUsize,
    /// How long a read takes, smoothed over the last few.
    service_ns: AtomicU64,
    /// When a read last ended.
    worked: AtomicU64,
    /// For each reader thread: when it began the job that it works on.
    busy_since: Vec<AtomicU64>,
}

/// How to read inline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inline {
    /// Try.
    Try,
    /// Try only what is wholly resident.
    IfResident,
}

impl Gate {
    pub(super) fn new(readers: usize) -> Self {
        Self {
            outstanding: AtomicUsize::new(0),
            service_ns: AtomicU64::new(0),
            worked: AtomicU64::new(0),
            busy_since: (0..readers).map(|_| AtomicU64::new(IDLE)).collect(),
        }
    }

    pub(super) fn inline(&self, now: Moment) -> Inline {
        let outstanding = self.outstanding.load(Ordering::Relaxed);
        if outstanding == 0 {
            return Inline::Try;
        }
        let is_slow = self.oldest().is_some_and(|oldest| now.since(oldest) > INLINE_JOB_AGE_MAX_NS);
        if outstanding >= INLINE_MISSES_MAX || is_slow { Inline::IfResident } else { Inline::Try }
    }

    pub(super) fn submitted(&self) {
        self.outstanding.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ended(&self) {
        self.outstanding.fetch_sub(1, Ordering::Relaxed);
    }

    /// Notes how long a read took that ended now.
    pub(super) fn took(&self, nanoseconds: u64, now: Moment) {
        let before = self.service_ns.load(Ordering::Relaxed);
        self.service_ns.store(before - before / 8 + nanoseconds / 8, Ordering::Relaxed);
        self.worked.store(now.0, Ordering::Relaxed);
    }

    /// Whether a read that begins now would end after `deadline`, as reads go. When none was tried for as long as one
    /// takes, this one is, whatever is expected of it: so a slow time that is over is found out.
    pub(super) fn is_too_late(&self, now: Moment, deadline: Moment) -> bool {
        if now >= deadline {
            return true;
        }
        let service = self.service_ns.load(Ordering::Relaxed);
        let is_known = now.since(Moment(self.worked.load(Ordering::Relaxed))) <= service;
        is_known && now.0.saturating_add(service) > deadline.0
    }

    /// Whether a read that is queued now would come to its turn only after `deadline`: then the client is better told
    /// at once than kept waiting for nothing.
    pub(super) fn is_hopeless(&self, now: Moment, deadline: Moment) -> bool {
        let ahead = self.outstanding.load(Ordering::Relaxed) as u64;
        let rounds = ahead / self.busy_since.len().max(1) as u64;
        let wait = rounds.saturating_mul(self.service_ns.load(Ordering::Relaxed));
        // A quarter for its own reading and for what the estimate does not know.
        rounds > 0 && wait > deadline.since(now) / 4 * 3
    }

    pub(super) fn began(&self, reader: usize, now: Moment) {
        if let Some(since) = self.busy_since.get(reader) {
            since.store(now.0, Ordering::Relaxed);
        }
    }

    pub(super) fn rests(&self, reader: usize) {
        if let Some(since) = self.busy_since.get(reader) {
            since.store(IDLE, Ordering::Relaxed);
        }
    }

    /// When the oldest job that is worked on was begun.
    pub(super) fn oldest(&self) -> Option<Moment> {
        let oldest = self.busy_since.iter().map(|since| since.load(Ordering::Relaxed)).min().unwrap_or(IDLE);
        (oldest != IDLE).then_some(Moment(oldest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_cannot_be_in_time_is_known_before_it_is_queued() {
        let gate = Gate::new(2);
        let ms = |n: u64| Moment(n * 1_000_000);
        for _ in 0..100 {
            gate.took(10_000_000, ms(0));
        }
        assert!(!gate.is_hopeless(ms(0), ms(1)), "nothing is ahead");
        for _ in 0..20 {
            gate.submitted();
        }
        assert!(gate.is_hopeless(ms(0), ms(120)));
        assert!(!gate.is_hopeless(ms(0), ms(140)));
        assert!(gate.is_too_late(ms(5), ms(10)), "a read takes 10 ms");
        assert!(!gate.is_too_late(ms(5), ms(16)));
        assert!(!gate.is_too_late(ms(30), ms(32)), "none was tried for a while");
        assert!(gate.is_too_late(ms(30), ms(30)));
    }

    #[test]
    fn many_misses_or_an_old_one_close_the_gate() {
        let gate = Gate::new(2);
        let ms = |n: u64| Moment(n * 1_000_000);
        assert_eq!(gate.inline(ms(0)), Inline::Try);
        gate.submitted();
        gate.began(0, ms(0));
        assert_eq!(gate.inline(ms(20)), Inline::Try);
        assert_eq!(gate.inline(ms(21)), Inline::IfResident);
        gate.rests(0);
        assert_eq!(gate.inline(ms(21)), Inline::Try);
        for _ in 1..INLINE_MISSES_MAX {
            gate.submitted();
        }
        assert_eq!(gate.inline(ms(21)), Inline::IfResident);
        gate.ended();
        assert_eq!(gate.inline(ms(21)), Inline::Try);
    }
}
