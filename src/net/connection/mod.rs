//! One connection: its socket, what it receives, what it has in flight, what it sends.
//!
//! Runs on the processor thread that owns it. Always: it is read only while it is not muted; each request that was
//! accepted is answered, rejected or abandoned exactly once; between turns it holds the room of at most one body, two
//! pieces of each reply, and what waits to be sent.
//!
//! Here: what a connection is, and one turn of it. `receive` takes bytes in, `answer` brings requests to the service and
//! answers back, `expire` looks at the time.

mod answer;
mod expire;
mod receive;

use crate::base::clock::Moment;
use crate::base::limits::{LINGER_BYTES_MAX, LOOSE_BYTES_MAX, OUTPUT_BYTES_MAX, TURN_BYTES_PER_CONNECTION};
use crate::net::input::Input;
use crate::net::mute::{Change, Mute, Reason};
use crate::net::output::{Flushed, Output};
use crate::net::protocol::Protocol;
use crate::net::quota::Admission;
use crate::net::requests::{Request, Requests, Slot};
use crate::net::wheel::Armed;
use crate::net::world::{ConnectionKey, World};
use crate::request::{Operation, Refusal};
use mio::net::TcpStream;
use std::net::Shutdown;
use std::time::Duration;

/// How long a connection is still read after its last words.
const LINGER: Duration = Duration::from_secs(2);

/// What a connection wants of its processor after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::net) enum Next {
    /// Nothing until something happens.
    Rest,
    /// Another step in the next turn: it has used up its share of this one.
    Again,
    /// To be closed.
    Close,
}

pub(in crate::net) struct Connection {
    pub(in crate::net) key: ConnectionKey,
    pub(in crate::net) socket: TcpStream,
    protocol: Box<dyn Protocol>,
    input: Input,
    output: Output,
    requests: Requests,
    stalled: Option<Stalled>,
    /// Requests that could not begin, and are called again after a while.
    later: Vec<Later>,
    mute: Mute,
    readable: bool,
    writable: bool,
    /// The peer has said that it sends no more.
    peer_done: bool,
    /// Its output was dropped in the middle of a frame: nothing may be sent any more.
    is_cut: bool,
    active: Moment,
    /// The window over which the peer's reading is looked at: its start, and what waited to be sent in all.
    send_window: Option<(Moment, u64)>,
    sent: u64,
    /// When the wheel will bring this connection up.
    pub(in crate::net) armed: Armed,
    /// Whether it is counted as receiving a request, and as sending.
    counted: (bool, bool),
    /// A body waits for room, and will be told.
    promised: bool,
    /// The protocol is being asked for what it does next.
    following: bool,
    /// What it does next waits for output to be sent, or for the next turn.
    follows: bool,
    /// Whether the peer may still send when the last words are said: then they must not be lost with the connection.
    lingers: bool,
    /// The last words are sent: what still comes is dropped, until then.
    lingering: Option<Linger>,
    /// Whether it is in the processor's list of connections to step in this or the next turn.
    pub(in crate::net) listed: bool,
    _admission: Admission,
}

/// How long, and for how much, a connection is still read that has had its last words.
///
/// A socket that is closed with unread bytes resets the connection, and the peer loses what it has not read of the answer
/// (RFC 9112, 9.6): so the sending side is closed first, and what comes is dropped for a while.
#[derive(Debug, Clone, Copy)]
struct Linger {
    ends: Moment,
    bytes_left: usize,
}

/// A request whose reply waits for room.
struct Stalled {
    slot: Slot,
    operation: Operation,
}

/// A request that is called again. It is in no slot meanwhile: what comes for the call before finds nobody.
struct Later {
    request: Request,
    operation: Operation,
    refusal: Refusal,
    due: Moment,
}

impl Connection {
    pub(in crate::net) fn new(
        key: ConnectionKey,
        socket: TcpStream,
        protocol: Box<dyn Protocol>,
        admission: Admission,
        now: Moment,
    ) -> Self {
        Self {
            key,
            socket,
            protocol,
            input: Input::default(),
            output: Output::default(),
            requests: Requests::default(),
            stalled: None,
            later: Vec::new(),
            mute: Mute::default(),
            readable: true,
            writable: true,
            peer_done: false,
            is_cut: false,
            active: now,
            send_window: None,
            sent: 0,
            armed: Armed::default(),
            promised: false,
            following: false,
            follows: false,
            lingers: false,
            lingering: None,
            counted: (false, false),
            listed: false,
            _admission: admission,
        }
    }

    /// Makes sure that it is looked at no later than `due`.
    pub(in crate::net) fn arm(&mut self, world: &mut World, due: Moment) {
        self.armed.arm(&mut world.wheel, world.now, due, self.key);
    }

    /// Notes what the selector saw.
    pub(in crate::net) fn ready(&mut self, readable: bool, writable: bool, read_closed: bool) {
        self.readable |= readable || read_closed;
        self.writable |= writable;
        self.peer_done |= read_closed;
    }

    /// One turn of this connection: receive, ask for further pieces, send.
    pub(in crate::net) fn step(&mut self, world: &mut World) -> Next {
        if self.is_cut {
            return Next::Close;
        }
        if self.lingering.is_some() {
            return self.linger(world);
        }
        let mut again = false;
        match self.receive(world) {
            Ok(more) => again |= more,
            Err(_) => return Next::Close,
        }
        let mut budget = TURN_BYTES_PER_CONNECTION.min(world.bytes_out);
        let whole_budget = budget;
        loop {
            again |= self.follow(world);
            again |= self.pump(world);
            let before = budget;
            let flushed = if self.writable {
                self.output.flush(&mut self.socket, &mut budget, world.now, &world.metrics)
            } else {
                Ok(Flushed::Blocked)
            };
            self.sent += (before - budget) as u64;
            match flushed {
                Err(_) => return Next::Close,
                Ok(Flushed::Blocked) => {
                    self.writable = false;
                    break;
                }
                Ok(Flushed::Budget) => {
                    again = true;
                    break;
                }
                // What was sent made way for the next pieces: they may be in memory. If this turn's share is used up, they
                // come in the next: nothing else would bring this connection up again.
                Ok(Flushed::All) if before != budget && self.has_more_to_say() => {
                    if world.bytes_made == 0 {
                        again = true;
                        break;
                    }
                }
                Ok(Flushed::All) => break,
            }
        }
        if budget < whole_budget {
            // A connection that has just been answered is not idle, however long that took.
            self.active = world.now;
        }
        world.bytes_out -= whole_budget - budget;
        again |= self.after_sending(world);
        // A reply that ended while pieces were fetched may have opened the connection since it was read from.
        again |= !self.mute.is_muted() && self.has_unread();
        self.count(world, !self.input.is_idle(), self.output.waiting() > 0);
        if self.is_finished(world) {
            return if self.begin_to_linger(world) { Next::Again } else { Next::Close };
        }
        if again { Next::Again } else { Next::Rest }
    }

    fn has_more_to_say(&self) -> bool {
        self.requests.streaming() > 0 || self.follows
    }

    /// Whether the peer may lose the last words if the connection is closed at once: then only its sending side is.
    fn begin_to_linger(&mut self, world: &mut World) -> bool {
        // That the peer sends no more is known before all that it sent is read.
        let is_read = self.peer_done && !self.readable;
        if !self.lingers || is_read || self.socket.shutdown(Shutdown::Write).is_err() {
            return false;
        }
        self.take_pending(world);
        self.input = Input::default();
        let ends = world.now + LINGER;
        self.lingering = Some(Linger { ends, bytes_left: LINGER_BYTES_MAX });
        self.arm(world, ends);
        true
    }

    /// Reads and drops what still comes after the last words.
    fn linger(&mut self, world: &mut World) -> Next {
        let Some(linger) = self.lingering else { return Next::Close };
        let mut left = linger.bytes_left;
        let mut turn = TURN_BYTES_PER_CONNECTION.min(world.bytes_in);
        while self.readable && turn > 0 {
            let mut scratch = std::mem::take(&mut world.scratch);
            let read = self.read(world, &mut scratch);
            world.scratch = scratch;
            let Ok(read) = read else { return Next::Close };
            left = left.saturating_sub(read);
            turn = turn.saturating_sub(read);
            world.bytes_in = world.bytes_in.saturating_sub(read);
            if self.peer_done && !self.readable || left == 0 {
                return Next::Close;
            }
        }
        if world.now >= linger.ends {
            return Next::Close;
        }
        self.lingering = Some(Linger { bytes_left: left, ..linger });
        if self.readable { Next::Again } else { Next::Rest }
    }

    /// Keeps the gauges of the stages that a connection itself is in.
    fn count(&mut self, world: &World, parsing: bool, sending: bool) {
        let before = std::mem::replace(&mut self.counted, (parsing, sending));
        world.metrics.parsing.add(i64::from(parsing) - i64::from(before.0));
        world.metrics.sending.add(i64::from(sending) - i64::from(before.1));
    }

    fn is_finished(&self, world: &World) -> bool {
        if self.output.waiting() > 0 {
            return false;
        }
        if self.mute.has(Reason::Ending) {
            return true;
        }
        let quiet = self.under_way() == 0 && !self.follows;
        // All that the peer sent has been taken: a further read would bring the end of its stream.
        let drained = self.peer_done && !self.readable && !self.input.has_pending();
        quiet && (drained || world.draining && self.input.is_idle() && self.protocol.is_at_rest())
    }

    fn after_sending(&mut self, world: &mut World) -> bool {
        let waiting = self.output.waiting();
        if waiting == 0 {
            self.send_window = None;
        } else if self.send_window.is_none() {
            self.send_window = Some((world.now, self.sent));
            self.arm(world, world.now + world.settings.rate_window);
        }
        let loose = self.output.loose();
        if waiting > OUTPUT_BYTES_MAX || loose > LOOSE_BYTES_MAX {
            self.mute(world, Reason::Output);
        } else if waiting < OUTPUT_BYTES_MAX / 2 && loose < LOOSE_BYTES_MAX / 2 && self.mute.has(Reason::Output) {
            return self.unmute(world, Reason::Output);
        }
        false
    }

    fn mute(&mut self, world: &World, reason: Reason) {
        if self.mute.mute(reason) == Change::Muted {
            world.metrics.muted.increment();
        }
    }

    /// Whether there may be something to take from the socket, or from what was read.
    fn has_unread(&self) -> bool {
        self.readable || self.input.has_pending()
    }

    /// Returns whether the connection is to be stepped again, because it remembers something to read.
    fn unmute(&mut self, world: &World, reason: Reason) -> bool {
        if self.mute.unmute(reason) == Change::Opened {
            world.metrics.muted.decrement();
            return self.has_unread();
        }
        false
    }

    /// Whether it can be closed by a drain right now.
    pub(in crate::net) fn is_at_rest(&self) -> bool {
        self.under_way() == 0 && self.output.waiting() == 0 && self.input.is_idle() && self.protocol.is_at_rest()
    }

    /// Requests that have no whole answer yet.
    fn under_way(&self) -> usize {
        self.requests.count() + self.later.len()
    }

    fn end(&mut self, world: &mut World, refusal: &Refusal) {
        self.protocol.last_words(refusal, &mut self.output);
        self.lingers = true;
        self.mute(world, Reason::Ending);
    }

    /// Counts what the peer will not get.
    pub(in crate::net) fn abandon(&mut self, world: &mut World) {
        self.take_pending(world);
        self.count(world, false, false);
        let left = self.under_way();
        world.metrics.abandoned.add(left as u64);
        world.metrics.in_flight.add(-i64::try_from(left).unwrap_or(0));
        if self.mute.is_muted() {
            world.metrics.muted.decrement();
        }
        world.metrics.connections.decrement();
    }
}
