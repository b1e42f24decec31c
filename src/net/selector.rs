//! mio's poll, behind the few calls that the reactor makes.
//!
//! Each selector belongs to one thread. Always: events are edge-triggered, so whoever sees one reads or writes until
//! WouldBlock (or a short read), or remembers that it did not; spurious events are harmless.

use crate::base::mailbox::Wake;
use mio::event::{Event, Source};
use mio::{Events, Interest, Poll, Token, Waker};
use std::io;
use std::sync::Arc;
use std::time::Duration;

const WAKER: Token = Token(usize::MAX);

pub(super) struct Selector {
    poll: Poll,
    events: Events,
}

/// Ends a selector's poll from another thread.
#[derive(Debug, Clone)]
pub(super) struct SelectorWaker(Arc<Waker>);

impl Wake for SelectorWaker {
    fn wake(&self) {
        // An eventfd write fails only when its counter is full, and then a wake is pending already.
        if let Err(error) = self.0.wake() {
            log::warn!("reactor: a wake failed: {error}");
        }
    }
}

impl Selector {
    pub(super) fn new(events_max: usize) -> io::Result<(Self, SelectorWaker)> {
        let poll = Poll::new()?;
        let waker = SelectorWaker(Arc::new(Waker::new(poll.registry(), WAKER)?));
        Ok((Self { poll, events: Events::with_capacity(events_max) }, waker))
    }

    pub(super) fn register(&self, source: &mut impl Source, key: usize, write_too: bool) -> io::Result<()> {
        let interest = if write_too { Interest::READABLE.add(Interest::WRITABLE) } else { Interest::READABLE };
        self.poll.registry().register(source, Token(key), interest)
    }

    pub(super) fn deregister(&self, source: &mut impl Source) -> io::Result<()> {
        self.poll.registry().deregister(source)
    }

    /// Waits for events at most `timeout` (for ever without one).
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            done => done,
        }
    }

    /// The events of the last wait, but for wakes.
    pub(super) fn events(&self) -> impl Iterator<Item = (usize, &Event)> {
        self.events.iter().filter(|event| event.token() != WAKER).map(|event| (event.token().0, event))
    }
}
