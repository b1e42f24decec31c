//! Wakes a poll at a time that is nearer than its timeouts can tell: those of epoll are milliseconds.
//!
//! A worker's thread. A `timerfd` is registered like a socket, edge-triggered, so setting it again is all that is needed.

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// A timer that a poll can wait for.
#[derive(Debug)]
pub struct Alarm(OwnedFd);

impl Alarm {
    /// A timer that is not set, known to the poll as `token`.
    ///
    /// # Errors
    /// Those of the kernel: no descriptor is left.
    pub fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        registry.register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self(fd))
    }

    /// Sets it to go off after `delay`, which is not zero; an earlier setting is forgotten.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn set(&self, delay: Duration) -> io::Result<()> {
        let seconds = i64::try_from(delay.as_secs()).unwrap_or(i64::MAX);
        let value = Timespec { tv_sec: seconds, tv_nsec: i64::from(delay.subsec_nanos()).max(1) };
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: never, it_value: value })?;
        Ok(())
    }
}
