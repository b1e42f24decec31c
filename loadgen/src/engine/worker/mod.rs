//! One event loop: connections, times, and the requests between them.
//!
//! Runs on its own thread. Always: each request that was begun is counted once, as answered or as lost; each time of an
//! open loop is taken once, for a request that is sent or for one that is shed; nothing is allocated for a request.

mod connections;
mod requests;

use super::alarm::Alarm;
use super::arrivals::Times;
use super::connection::{Connection, Open, READ_BYTES, State};
use super::control::{Control, Ended, Interval, Said};
use super::plan::{Patience, Stream};
use crate::workload::{Share, Workload};
use mio::{Events, Poll, Token};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

/// How often it says what it did.
const SECOND: Duration = Duration::from_secs(1);
/// A connection that failed is opened again after this time.
const RECONNECT: Duration = Duration::from_millis(50);
/// Remarks of a second; more of them say nothing new.
const REMARKS_MAX: usize = 4;
/// Times nearer than this are waited for without sleeping: waking takes as long.
const NEAR: Duration = Duration::from_micros(15);
/// Times farther than this are left to the timeout of the poll.
const FAR: Duration = Duration::from_millis(5);
const ALARM: Token = Token(usize::MAX);

/// A part of a stream, as one thread runs it.
pub(super) struct Worker {
    pub(super) number: u32,
    share: Share,
    stream: Arc<Stream>,
    patience: Patience,
    control: Arc<Control>,
    poll: Poll,
    alarm: Alarm,
    /// Those that send come first, then those that are idle.
    connections: Vec<Connection>,
    sending: usize,
    /// Connections with a free slot, each once.
    free: VecDeque<usize>,
    closed: Vec<usize>,
    /// Requests under way that their connection's server will not read: they go out over others.
    again: VecDeque<Open>,
    /// Connections with something to send.
    unsent: Vec<usize>,
    /// Connections that had more to read than a turn takes.
    unread: Vec<usize>,
    connecting: usize,
    under_way: usize,
    /// When an answer came last, or the first request of those under way was begun.
    heard_at: Duration,
    /// Since when no connection is ready.
    alone_since: Option<Duration>,
    /// What happened to the connection that was lost last.
    trouble: Option<String>,
    /// Why there is no going on.
    fatal: Option<String>,
    times: Option<Times>,
    /// Times that are due, without a request yet.
    waiting: VecDeque<Duration>,
    workload: Workload,
    begun: u64,
    has_more: bool,
    stopped_at: Option<Duration>,
    interval: Box<Interval>,
    said: SyncSender<Said>,
    spare: Receiver<Box<Interval>>,
    start: Instant,
    tick_at: Duration,
    input: Vec<u8>,
}

/// How a worker talks to whoever runs it.
pub(super) struct Ties {
    pub(super) control: Arc<Control>,
    pub(super) said: SyncSender<Said>,
    pub(super) spare: Receiver<Box<Interval>>,
    pub(super) start: Instant,
}

impl Worker {
    pub(super) fn new(
        number: u32,
        share: Share,
        stream: Arc<Stream>,
        workload: Workload,
        patience: Patience,
        ties: Ties,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let alarm = Alarm::new(poll.registry(), ALARM)?;
        let part = |all: u32| usize::try_from(share.of(all.into())).expect("at most a u32");
        let sending = part(stream.connections);
        let all = sending + part(stream.idle_connections);
        let connections: Vec<_> = (0..all).map(|_| Connection::new((stream.driver)())).collect();
        Ok(Self {
            number,
            share,
            times: stream.arrivals.times(stream.seed, share.index, share.count),
            patience,
            control: ties.control,
            poll,
            alarm,
            closed: if stream.is_storm { (sending..all).rev().collect() } else { (0..all).rev().collect() },
            free: if stream.is_storm { (0..sending).collect() } else { VecDeque::with_capacity(sending) },
            connections,
            sending,
            again: VecDeque::new(),
            unsent: Vec::new(),
            unread: Vec::new(),
            connecting: 0,
            under_way: 0,
            heard_at: Duration::ZERO,
            alone_since: Some(Duration::ZERO),
            trouble: None,
            fatal: None,
            waiting: VecDeque::new(),
            workload,
            begun: 0,
            has_more: true,
            stopped_at: None,
            interval: Box::default(),
            said: ties.said,
            spare: ties.spare,
            start: ties.start,
            tick_at: SECOND,
            input: vec![0; READ_BYTES],
            stream,
        })
    }

    /// Runs until it is told to stop, or has sent all that it is to send, or cannot go on.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        let error = loop {
            match self.turn(&mut events) {
                Ok(true) => {}
                Ok(false) => break None,
                Err(line) => break Some(line),
            }
        };
        for number in 0..self.connections.len() {
            self.lose(number);
        }
        while let Some(open) = self.again.pop_front() {
            self.count_lost(&open);
        }
        // They were due, and nobody took them.
        self.interval.tallies.of(self.workload.main_verb()).shed += self.waiting.len() as u64;
        let mut last = std::mem::take(&mut *self.interval);
        last.at = self.now();
        let ended = Ended { last, workload: self.workload, error };
        // Nobody listens any more if the run itself has failed.
        let _ = self.said.send(Said::Ended(self.number, Box::new(ended)));
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// One turn; whether there is to be another.
    fn turn(&mut self, events: &mut Events) -> Result<bool, String> {
        let now = self.now();
        self.tick(now);
        self.reconnect(now)?;
        self.expect_answers(now)?;
        self.gather(now);
        self.issue(now);
        self.flush();
        if self.is_done(now) {
            return Ok(false);
        }
        self.wait(events).map_err(|error| format!("the poll failed: {error}"))?;
        for event in events.iter() {
            if event.token() != ALARM {
                self.take(event.token().0, event.is_read_closed() || event.is_error());
            }
        }
        for number in std::mem::take(&mut self.unread) {
            // Whether the peer has closed was told before, and is not told again.
            self.take(number, true);
        }
        Ok(true)
    }

    /// Says what it did, once a second.
    fn tick(&mut self, now: Duration) {
        if now < self.tick_at {
            return;
        }
        self.tick_at = Duration::from_secs(now.as_secs() + 1);
        self.interval.at = now;
        self.interval.outstanding = (self.under_way + self.waiting.len()) as u64;
        let ready = self.connections.iter().filter(|connection| connection.state == State::Ready).count();
        self.interval.ready = u32::try_from(ready).unwrap_or(u32::MAX);
        let Ok(spare) = self.spare.try_recv() else {
            // Whoever reads is late: this second becomes a longer one.
            return;
        };
        let full = std::mem::replace(&mut self.interval, spare);
        if let Err(refused) = self.said.try_send(Said::Interval(self.number, full))
            && let std::sync::mpsc::TrySendError::Full(Said::Interval(_, full)) = refused
        {
            self.interval = full;
        }
    }

    fn remark(&mut self, line: impl FnOnce() -> String) {
        if self.interval.remarks.len() < REMARKS_MAX {
            let line = line();
            self.interval.remarks.push(line);
        }
    }

    /// Says what happened to a connection.
    fn tell(&mut self, why: String) {
        self.remark(|| why.clone());
        self.trouble = Some(why);
    }

    /// A server that takes requests and answers none would hold a run without a time for ever.
    fn expect_answers(&mut self, now: Duration) -> Result<(), String> {
        if self.under_way == 0 {
            self.heard_at = now;
        }
        let silent = now.saturating_sub(self.heard_at);
        if self.stream.count.is_none() || silent <= self.patience.answer {
            return Ok(());
        }
        Err(format!("{}: no answer for {silent:.0?}, and {} requests open", self.stream.address, self.under_way))
    }

    fn is_done(&mut self, now: Duration) -> bool {
        if self.stopped_at.is_none() && (self.control.stops() || !self.has_more) {
            self.stopped_at = Some(now);
        }
        if !self.has_more {
            self.waiting.clear();
        }
        // What was due before is still sent while there is somebody to send it to: it has waited longest.
        let is_idle = self.under_way == 0 && (self.waiting.is_empty() || self.alone_since.is_some());
        self.stopped_at.is_some_and(|at| is_idle || now.saturating_sub(at) > self.patience.drain)
    }

    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let now = self.now();
        let mut until = self.tick_at;
        if !self.closed.is_empty() || self.stopped_at.is_some() {
            until = until.min(now + RECONNECT);
        }
        if !self.unread.is_empty() {
            until = now;
        }
        if let Some(times) = &self.times
            && self.has_more
            && self.stopped_at.is_none()
        {
            until = until.min(times.next());
        }
        let rest = until.saturating_sub(now);
        let timeout = if rest < NEAR {
            Duration::ZERO
        } else if rest < FAR {
            self.alarm.set(rest)?;
            FAR
        } else {
            rest - FAR / 2
        };
        match self.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }
}
