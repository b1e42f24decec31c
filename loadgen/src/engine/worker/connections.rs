//! Connections: opened, read, lost, and opened again.

use super::{RECONNECT, Worker};
use crate::engine::connection::{Open, READ_BYTES, State};
use mio::Token;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Connections that are being opened at once: fewer than the backlogs of usual servers.
const CONNECTING_MAX: usize = 256;
/// Reads of a connection before others have their turn.
const READS_A_TURN: usize = 8;
/// EMFILE and ENFILE of Linux: no descriptor is left, of the process or of the system.
const PROCESS_FILES: i32 = 24;
const SYSTEM_FILES: i32 = 23;

impl Worker {
    /// Opens connections that are closed.
    pub(super) fn reconnect(&mut self, now: Duration) -> Result<(), String> {
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
        let is_over = self.stopped_at.is_some() && self.again.is_empty();
        if self.closed.is_empty() || self.connecting >= CONNECTING_MAX || is_over {
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

    pub(super) fn connect(&mut self, number: usize) {
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

    /// Takes what came on a connection.
    pub(super) fn take(&mut self, number: usize, to_end: bool) {
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

    /// The server said with an answer that it is the last on this connection: that is no failure, and nothing to wait for.
    /// What was sent behind it is not read by the server (RFC 9112, 9.6), and goes out again over another connection.
    pub(super) fn reopen(&mut self, number: usize) {
        while let Some(open) = self.connections[number].take_open() {
            self.again.push_back(Open { came: 0, is_wrong: false, ..open });
        }
        self.shut(number, After::Announced);
    }

    fn closed_by_peer(&mut self, number: usize) -> Result<(), String> {
        let heard = self.hear(number, |driver, _, taking| driver.closed(taking));
        let lost = self.connections[number].under_way();
        if !heard.outcome || lost > 0 || number >= self.sending {
            return Err(format!("closed by the server with {lost} requests open"));
        }
        let is_announced = !self.connections[number].driver.is_ready();
        self.shut(number, if is_announced { After::Announced } else { After::Loss });
        Ok(())
    }

    /// A connection is of no further use.
    pub(super) fn end(&mut self, number: usize, why: &str) {
        self.interval.broken += 1;
        self.tell(format!("connection lost: {why}"));
        self.lose_open(number);
        self.shut(number, After::Loss);
    }

    pub(super) fn lose(&mut self, number: usize) {
        self.lose_open(number);
        let now = self.now();
        self.connections[number].close(self.poll.registry(), now, self.stream.is_storm);
    }

    fn lose_open(&mut self, number: usize) {
        while let Some(open) = self.connections[number].take_open() {
            self.count_lost(&open);
        }
    }

    pub(super) fn count_lost(&mut self, open: &Open) {
        self.under_way -= 1;
        self.workload.lost(&open.step);
        self.interval.tallies.of(open.step.verb).lost += 1;
    }

    /// Closes a connection, that is opened again when it is its turn.
    pub(super) fn shut(&mut self, number: usize, after: After) {
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
pub(super) enum After {
    /// A storm's request was answered: it is reset, and the next request opens another.
    StormAnswer,
    /// The server had said that it closes: another is opened at once.
    Announced,
    /// It failed: it is opened again after a while.
    Loss,
}
