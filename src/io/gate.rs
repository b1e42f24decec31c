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
        Self { outstanding: AtomicUsize::new(0), busy_since: (0..readers).map(|_| AtomicU64::new(IDLE)).collect() }
    }

    pub(super) fn inline(&self, now: Moment) -> Inline {
        let outstanding = self.outstanding.load(Ordering::Relaxed);
        if outstanding == 0 {
            return Inline::Try;
        }
        let oldest = self.busy_since.iter().map(|since| since.load(Ordering::Relaxed)).min().unwrap_or(IDLE);
        let is_slow = oldest != IDLE && now.since(Moment(oldest)) > INLINE_JOB_AGE_MAX_NS;
        if outstanding >= INLINE_MISSES_MAX || is_slow { Inline::IfResident } else { Inline::Try }
    }

    pub(super) fn submitted(&self) {
        self.outstanding.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ended(&self) {
        self.outstanding.fetch_sub(1, Ordering::Relaxed);
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

    /// How long the oldest job has been worked on, in nanoseconds.
    pub(super) fn oldest_ns(&self, now: Moment) -> u64 {
        let oldest = self.busy_since.iter().map(|since| since.load(Ordering::Relaxed)).min().unwrap_or(IDLE);
        if oldest == IDLE { 0 } else { now.since(Moment(oldest)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
