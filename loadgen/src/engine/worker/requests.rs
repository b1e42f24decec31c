//! Requests: begun when it is their time, counted when they are answered.

use super::Worker;
use super::connections::After;
use crate::driver::{Driver, Garbage};
use crate::engine::connection::{Open, State};
use crate::engine::taking::Taking;
use crate::engine::tally::nanoseconds;
use crate::workload::Next;
use std::time::Duration;

/// What was found in what a connection brought.
pub(super) struct Heard<R> {
    pub(super) outcome: R,
    /// Requests that were answered.
    pub(super) ended: usize,
    /// The first answer that cannot be right.
    fault: Option<String>,
}

impl Worker {
    /// Takes the times that are due.
    pub(super) fn gather(&mut self, now: Duration) {
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
    pub(super) fn issue(&mut self, now: Duration) {
        while !self.again.is_empty() || self.has_due() {
            let Some(number) = self.free.pop_front() else {
                return;
            };
            self.connections[number].is_queued = false;
            if !self.has_room(number) {
                continue;
            }
            if let Some(open) = self.again.pop_front() {
                self.encode(number, open);
            } else if !self.begin(number, now) {
                self.queue(number);
                return;
            }
            if !self.stream.is_storm && self.has_room(number) {
                self.queue(number);
            }
        }
    }

    /// Whether a new request is to be begun now.
    fn has_due(&self) -> bool {
        self.has_more && if self.times.is_some() { !self.waiting.is_empty() } else { self.stopped_at.is_none() }
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
    pub(super) fn queue(&mut self, number: usize) {
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

    pub(super) fn encode(&mut self, number: usize, open: Open) {
        let connection = &mut self.connections[number];
        let slot = connection.free.pop().expect("the caller saw a free slot");
        if connection.output.is_empty() {
            self.unsent.push(number);
        }
        connection.driver.encode(&open.step, slot, &mut connection.output);
        connection.open[slot.0 as usize] = Some(open);
    }

    pub(super) fn flush(&mut self) {
        while let Some(number) = self.unsent.pop() {
            if let Err(error) = self.connections[number].flush() {
                self.end(number, &error.to_string());
            }
        }
    }

    pub(super) fn decode(&mut self, number: usize, bytes: usize) -> Result<(), String> {
        let input = std::mem::take(&mut self.input);
        let came = &input[..bytes];
        let heard = self.hear(number, |driver, unread, taking| {
            if unread.is_empty() {
                let used = driver.decode(came, taking)?;
                unread.extend_from_slice(&came[used..]);
            } else {
                unread.extend_from_slice(came);
                let used = driver.decode(unread, taking)?;
                unread.drain(..used);
            }
            Ok(())
        });
        self.input = input;
        if let Err(Garbage(garbage)) = heard.outcome {
            return Err(format!("what came is not of the protocol: {garbage}"));
        }
        if let Some(fault) = heard.fault {
            self.remark(|| fault);
        }
        if self.connections[number].is_swollen() {
            return Err("an answer does not end".to_string());
        }
        self.after_answers(number, heard.ended);
        Ok(())
    }

    /// Takes the answers that a connection's driver finds.
    pub(super) fn hear<R>(
        &mut self,
        number: usize,
        find: impl FnOnce(&mut dyn Driver, &mut Vec<u8>, &mut Taking<'_>) -> R,
    ) -> Heard<R> {
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
        let outcome = find(connection.driver.as_mut(), &mut connection.unread, &mut taking);
        let (ended, good, fault) = (taking.ended, taking.good, taking.fault);
        self.ended(now, ended, good);
        Heard { outcome, ended, fault }
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
}
