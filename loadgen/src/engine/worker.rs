//! One event loop: connections, times, and the requests between them.
//!
//! Runs on its own thread. Always: each request that was begun is counted once, as answered or as lost; each time of an
//! open loop is taken once, for a request that is sent or for one that is shed; nothing is allocated for a request.

use super::alarm::Alarm;
use super::arrivals::Times;
use super::connection::{Connection, Open, READ_BYTES, State};
use super::control::{Control, Ended, Interval, Said};
use super::plan::{Patience, Stream};
use super::taking::Taking;
use super::tally::nanoseconds;
use crate::workload::{Next, Share, Workload};
use mio::{Events, Poll, Token};
use std::collections::VecDeque;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

/// How often it says what it did.
const SECOND: Duration = Duration::from_secs(1);
/// A connection that failed is opened again after this time.
const RECONNECT: Duration = Duration::from_millis(50);
/// Connections that are being opened at once: fewer than the backlogs of usual servers.
const CONNECTING_MAX: usize = 256;
/// Reads of a connection before others have their turn.
const READS_A_TURN: usize = 8;
/// Remarks of a second; more of them say nothing new.
const REMARKS_MAX: usize = 4;
/// Times nearer than this are waited for without sleeping: waking takes as long.
const NEAR: Duration = Duration::from_micros(15);
/// Times farther than this are left to the timeout of the poll.
const FAR: Duration = Duration::from_millis(5);
const ALARM: Token = Token(usize::MAX);
/// EMFILE and ENFILE of Linux: no descriptor is left, of the process or of the system.
const PROCESS_FILES: i32 = 24;
const SYSTEM_FILES: i32 = 23;

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

    /// Opens connections that are closed.
    fn reconnect(&mut self, now: Duration) -> Result<(), String> {
        if let Some(line) = self.fatal.take() {
            return Err(line);
        }
        if let Some(since) = self.alone_since
            && self.sending > 0
            && now.saturating_sub(since) > self.patience.server
        {
            let address = self.stream.address;
            let why = self.trouble.as_deref().map(|why| format!("; {why}")).unwrap_or_default();
            return Err(format!("{address}: no connection for {:.0?}{why}", self.patience.server));
        }
        if self.closed.is_empty() || self.connecting >= CONNECTING_MAX || self.stopped_at.is_some() {
            return Ok(());
        }
        let mut kept = Vec::new();
        while let Some(number) = self.closed.pop() {
            let closed_at = self.connections[number].closed_at;
            let is_due = closed_at.is_zero() || now >= closed_at + RECONNECT;
            if !is_due || self.connecting >= CONNECTING_MAX {
                kept.push(number);
                break;
            }
            if self.stream.is_storm && number < self.sending {
                self.queue(number);
            } else {
                self.connect(number);
            }
        }
        self.closed.extend(kept);
        Ok(())
    }

    fn connect(&mut self, number: usize) {
        let source = (self.stream.sources > 0).then(|| {
            let step = u32::try_from(number).unwrap_or(0).wrapping_add(self.share.index) % self.stream.sources;
            Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 0, 2)) + step)
        });
        let address = self.stream.address;
        self.connecting += 1;
        let opened = self.connections[number].connect(self.poll.registry(), Token(number), address, source);
        if let Err(error) = opened {
            if matches!(error.raw_os_error(), Some(PROCESS_FILES | SYSTEM_FILES)) {
                let all = self.connections.len();
                self.fatal =
                    Some(format!("{all} connections want more open files than there may be: raise ulimit -n: {error}"));
            }
            self.interval.broken += 1;
            self.tell(format!("cannot connect: {error}"));
            self.connecting -= 1;
            self.lose_open(number);
            self.shut(number, After::Loss);
        }
    }

    /// Takes the times that are due.
    fn gather(&mut self, now: Duration) {
        let Some(times) = &mut self.times else {
            return;
        };
        if !self.has_more || self.stopped_at.is_some() {
            return;
        }
        let bound = usize::try_from(self.stream.outstanding_max / self.share.count).unwrap_or(usize::MAX).max(1);
        while times.next() <= now {
            let time = times.take();
            let tally = self.interval.tallies.of(self.workload.main_verb());
            // What it waits for a free slot later is the server's time.
            tally.lag.saturating_record(nanoseconds(now.saturating_sub(time)));
            if self.waiting.len() + self.under_way < bound {
                self.waiting.push_back(time);
            } else {
                tally.shed += 1;
            }
        }
    }

    /// Begins requests while there are any, and places for them: the next request goes over the next connection.
    fn issue(&mut self, now: Duration) {
        while self.has_more && if self.times.is_some() { !self.waiting.is_empty() } else { self.stopped_at.is_none() } {
            let Some(number) = self.free.pop_front() else {
                return;
            };
            self.connections[number].is_queued = false;
            if !self.has_room(number) {
                continue;
            }
            if !self.begin(number, now) {
                self.queue(number);
                return;
            }
            if !self.stream.is_storm && self.has_room(number) {
                self.queue(number);
            }
        }
    }

    /// Whether a request can be begun on a connection.
    fn has_room(&self, number: usize) -> bool {
        let connection = &self.connections[number];
        match connection.state {
            // A server may have said that it closes.
            State::Ready => !connection.free.is_empty() && connection.driver.is_ready(),
            State::Connecting => false,
            State::Closed => self.stream.is_storm,
        }
    }

    /// Puts a connection into the queue of those with a free slot.
    fn queue(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        if !connection.is_queued && number < self.sending {
            connection.is_queued = true;
            self.free.push_back(number);
        }
    }

    /// Begins a request on a connection that has room for it; whether there was one.
    fn begin(&mut self, number: usize, now: Duration) -> bool {
        if self.stream.count.is_some_and(|count| self.begun >= self.share.of(count)) {
            self.has_more = false;
            return false;
        }
        let step = match self.workload.next() {
            Next::Step(step) => step,
            Next::Wait => return false,
            Next::Exhausted => {
                self.has_more = false;
                return false;
            }
            Next::Empty => {
                // What is under way may make objects known; without that there is nothing more to choose.
                self.has_more = self.under_way > 0;
                self.remark(|| "no object is known that could be asked for: see --objects and --ids".to_string());
                return false;
            }
        };
        let intended = self.waiting.pop_front();
        let connection = &mut self.connections[number];
        let is_compared = self.stream.verify.takes(self.begun) && connection.driver.has_contents();
        let open = Open { step, intended, sent: now, came: 0, is_compared, is_wrong: false };
        self.begun += 1;
        self.under_way += 1;
        if self.stream.is_storm {
            connection.first = Some(open);
            self.connect(number);
        } else {
            self.encode(number, open);
        }
        true
    }

    fn encode(&mut self, number: usize, open: Open) {
        let connection = &mut self.connections[number];
        let slot = connection.free.pop().expect("the caller saw a free slot");
        if connection.output.is_empty() {
            self.unsent.push(number);
        }
        connection.driver.encode(&open.step, slot, &mut connection.output);
        connection.open[slot.0 as usize] = Some(open);
    }

    fn flush(&mut self) {
        while let Some(number) = self.unsent.pop() {
            if let Err(error) = self.connections[number].flush() {
                self.end(number, &error.to_string());
            }
        }
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

    /// Takes what came on a connection.
    fn take(&mut self, number: usize, to_end: bool) {
        if self.connections[number].state == State::Closed {
            return;
        }
        if let Err(line) = self.step(number, to_end) {
            self.end(number, &line);
        }
    }

    fn step(&mut self, number: usize, to_end: bool) -> Result<(), String> {
        self.advance(number)?;
        self.connections[number].flush().map_err(|error| error.to_string())?;
        for _ in 0..READS_A_TURN {
            let Some(bytes) = self.connections[number].read(&mut self.input).map_err(|error| error.to_string())? else {
                return Ok(());
            };
            if bytes == 0 {
                return self.closed_by_peer(number);
            }
            self.decode(number, bytes)?;
            self.advance(number)?;
            if self.connections[number].state == State::Closed || bytes < READ_BYTES && !to_end {
                return Ok(());
            }
        }
        self.unread.push(number);
        Ok(())
    }

    fn advance(&mut self, number: usize) -> Result<(), String> {
        if self.connections[number].state != State::Connecting {
            return Ok(());
        }
        let connection = &mut self.connections[number];
        if connection.advance().map_err(|error| format!("cannot connect: {error}"))? {
            self.connecting -= 1;
            self.alone_since = None;
            if let Some(first) = connection.first.take() {
                self.encode(number, first);
                self.flush();
            } else {
                self.queue(number);
            }
        }
        Ok(())
    }

    fn decode(&mut self, number: usize, bytes: usize) -> Result<(), String> {
        let now = self.now();
        let connection = &mut self.connections[number];
        let mut taking = Taking {
            now,
            open: &mut connection.open,
            free: &mut connection.free,
            tallies: &mut self.interval.tallies,
            workload: &mut self.workload,
            ended: 0,
            good: 0,
            fault: None,
        };
        let garbage = if connection.unread.is_empty() {
            let input = &self.input[..bytes];
            match connection.driver.decode(input, &mut taking) {
                Ok(used) => {
                    connection.unread.extend_from_slice(&input[used..]);
                    None
                }
                Err(garbage) => Some(garbage),
            }
        } else {
            connection.unread.extend_from_slice(&self.input[..bytes]);
            match connection.driver.decode(&connection.unread, &mut taking) {
                Ok(used) => {
                    connection.unread.drain(..used);
                    None
                }
                Err(garbage) => Some(garbage),
            }
        };
        let (ended, good, fault) = (taking.ended, taking.good, taking.fault);
        self.ended(now, ended, good);
        if let Some(garbage) = garbage {
            return Err(format!("what came is not of the protocol: {garbage}"));
        }
        if let Some(fault) = fault {
            self.remark(|| fault);
        }
        if self.connections[number].is_swollen() {
            return Err("an answer does not end".to_string());
        }
        self.after_answers(number, ended);
        Ok(())
    }

    fn ended(&mut self, now: Duration, ended: usize, good: usize) {
        self.under_way -= ended;
        if ended > 0 {
            self.heard_at = now;
        }
        if good > 0 && self.stream.name.is_empty() {
            self.interval.silence = self.interval.silence.max(self.control.answered(now));
        }
    }

    fn after_answers(&mut self, number: usize, ended: usize) {
        if ended == 0 || number >= self.sending {
            return;
        }
        if self.stream.is_storm {
            self.shut(number, After::StormAnswer);
            return;
        }
        let connection = &self.connections[number];
        if connection.state != State::Ready {
            return;
        }
        if connection.driver.is_ready() {
            self.queue(number);
        } else {
            self.reopen(number);
        }
    }

    /// The server said with an answer that it is the last on this connection: that is no failure, and nothing to wait for.
    /// What was sent behind it is lost.
    fn reopen(&mut self, number: usize) {
        let lost = self.connections[number].under_way();
        if lost > 0 {
            self.interval.broken += 1;
            self.tell(format!("connection lost: the server ends it with {lost} requests open"));
        }
        self.lose_open(number);
        self.shut(number, After::Announced);
    }

    fn closed_by_peer(&mut self, number: usize) -> Result<(), String> {
        let now = self.now();
        let connection = &mut self.connections[number];
        let mut taking = Taking {
            now,
            open: &mut connection.open,
            free: &mut connection.free,
            tallies: &mut self.interval.tallies,
            workload: &mut self.workload,
            ended: 0,
            good: 0,
            fault: None,
        };
        let is_whole = connection.driver.closed(&mut taking);
        let (ended, good) = (taking.ended, taking.good);
        self.ended(now, ended, good);
        let lost = self.connections[number].under_way();
        if !is_whole || lost > 0 || number >= self.sending {
            return Err(format!("closed by the server with {lost} requests open"));
        }
        let is_announced = !self.connections[number].driver.is_ready();
        self.shut(number, if is_announced { After::Announced } else { After::Loss });
        Ok(())
    }

    /// A connection is of no further use.
    fn end(&mut self, number: usize, why: &str) {
        self.interval.broken += 1;
        self.tell(format!("connection lost: {why}"));
        self.lose_open(number);
        self.shut(number, After::Loss);
    }

    fn lose(&mut self, number: usize) {
        self.lose_open(number);
        let now = self.now();
        self.connections[number].close(self.poll.registry(), now, self.stream.is_storm);
    }

    fn lose_open(&mut self, number: usize) {
        for open in self.connections[number].take_open() {
            self.under_way -= 1;
            self.workload.lost(&open.step);
            self.interval.tallies.of(open.step.verb).lost += 1;
        }
    }

    /// Closes a connection, that is opened again when it is its turn.
    fn shut(&mut self, number: usize, after: After) {
        let now = self.now().max(Duration::from_nanos(1));
        let connection = &mut self.connections[number];
        if connection.state == State::Connecting {
            self.connecting -= 1;
        }
        connection.close(self.poll.registry(), now, after == After::StormAnswer);
        connection.free.clear();
        connection.open.clear();
        match after {
            After::StormAnswer => return self.queue(number),
            After::Announced => {
                connection.closed_at = Duration::ZERO;
                self.closed.push(number);
            }
            After::Loss if number < self.sending => self.closed.insert(0, number),
            After::Loss => {}
        }
        let is_alone = self.connections[..self.sending].iter().all(|connection| connection.state != State::Ready);
        if is_alone && self.alone_since.is_none() {
            self.alone_since = Some(now);
        }
    }
}

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// A storm's request was answered: it is reset, and the next request opens another.
    StormAnswer,
    /// The server had said that it closes: another is opened at once.
    Announced,
    /// It failed: it is opened again after a while.
    Loss,
}
