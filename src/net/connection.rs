//! One connection: its socket, what it receives, what it has in flight, what it sends.
//!
//! Runs on the processor thread that owns it. Always: it is read only while it is not muted; each request that was
//! accepted is answered, rejected or abandoned exactly once; between turns it holds the room of at most one body, two
//! pieces of each reply, and what waits to be sent.

use super::input::{Input, Receiving};
use super::mute::{Change, Mute, Reason};
use super::output::{Ends, Flushed, Output};
use super::processor::{Message, RoomFor, World};
use super::protocol::{Arrival, Body, Decoded, Protocol};
use super::quota::Admission;
use super::requests::{Fetch, Phase, Request, Requests, Slot};
use super::wheel::Armed;
use crate::base::budget::Reservation;
use crate::base::buffers::capacity_for;
use crate::base::clock::Moment;
use crate::base::limits::{
    BODY_COPIED_BYTES_MAX, OUTPUT_BYTES_MAX, PIECE_BYTES, READ_BUFFER_BYTES, TURN_BYTES_PER_CONNECTION,
    TURN_FRAMES_PER_CONNECTION,
};
use crate::request::{Answer, Call, Operation, Outcome, Refusal, RequestKey, Responder, Stage, Status};
use bytes::Bytes;
use mio::net::TcpStream;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

/// Which connection: a slot of its processor, and the generation of that slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ConnectionKey {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

/// What a connection wants of its processor after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing until something happens.
    Rest,
    /// Another step in the next turn: it has used up its share of this one.
    Again,
    /// To be closed.
    Close,
}

pub(super) struct Connection {
    pub(super) key: ConnectionKey,
    pub(super) socket: TcpStream,
    protocol: Box<dyn Protocol>,
    input: Input,
    output: Output,
    requests: Requests,
    stalled: Option<Stalled>,
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
    pub(super) armed: Armed,
    /// Whether it is counted as receiving a request, and as sending.
    counted: (bool, bool),
    /// A body waits for room, and will be told.
    promised: bool,
    /// Whether it is in the processor's list of connections to step in this or the next turn.
    pub(super) listed: bool,
    _admission: Admission,
}

/// A request whose reply waits for room.
struct Stalled {
    slot: Slot,
    operation: Operation,
}

impl Connection {
    pub(super) fn new(
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
            counted: (false, false),
            listed: false,
            _admission: admission,
        }
    }

    /// Notes what the selector saw.
    pub(super) fn ready(&mut self, readable: bool, writable: bool, read_closed: bool) {
        self.readable |= readable || read_closed;
        self.writable |= writable;
        self.peer_done |= read_closed;
    }

    /// One turn of this connection: receive, ask for further pieces, send.
    pub(super) fn step(&mut self, world: &mut World) -> Next {
        if self.is_cut {
            return Next::Close;
        }
        let mut again = false;
        match self.receive(world) {
            Ok(more) => again |= more,
            Err(_) => return Next::Close,
        }
        let mut budget = TURN_BYTES_PER_CONNECTION.min(world.bytes_out);
        let whole_budget = budget;
        loop {
            self.pump(world);
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
                // What was sent made way for the next pieces: they may be in memory.
                Ok(Flushed::All) if before != budget && self.requests.streaming() > 0 => {}
                Ok(Flushed::All) => break,
            }
        }
        world.bytes_out -= whole_budget - budget;
        again |= self.after_sending(world);
        // A reply that ended while pieces were fetched may have opened the connection since it was read from.
        again |= !self.mute.is_muted() && self.has_unread();
        self.count(world, !self.input.is_idle(), self.output.waiting() > 0);
        if self.is_finished(world) {
            return Next::Close;
        }
        if again { Next::Again } else { Next::Rest }
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
        let quiet = self.requests.count() == 0;
        // All that the peer sent has been taken: a further read would bring the end of its stream.
        let drained = self.peer_done && !self.readable && !self.input.has_pending();
        quiet && (drained || world.draining && self.input.is_idle())
    }

    fn after_sending(&mut self, world: &mut World) -> bool {
        let waiting = self.output.waiting();
        if waiting == 0 {
            self.send_window = None;
        } else if self.send_window.is_none() {
            self.send_window = Some((world.now, self.sent));
            world.arm(self, world.now + world.settings.rate_window);
        }
        if waiting > OUTPUT_BYTES_MAX {
            self.mute(world, Reason::Output);
        } else if waiting < OUTPUT_BYTES_MAX / 2 && self.mute.has(Reason::Output) {
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

    // Receiving.

    /// Takes what the socket has, within this turn's share. Returns whether there may be more.
    fn receive(&mut self, world: &mut World) -> io::Result<bool> {
        let mut frames = TURN_FRAMES_PER_CONNECTION.min(world.frames);
        let mut bytes = TURN_BYTES_PER_CONNECTION.min(world.bytes_in);
        let (frames_before, bytes_before) = (frames, bytes);
        let more = self.receive_within(world, &mut frames, &mut bytes);
        world.frames -= frames_before - frames;
        world.bytes_in -= bytes_before - bytes;
        more
    }

    fn receive_within(&mut self, world: &mut World, frames: &mut usize, bytes: &mut usize) -> io::Result<bool> {
        loop {
            if self.mute.is_muted() || !self.has_unread() {
                return Ok(false);
            }
            if *frames == 0 || *bytes == 0 {
                return Ok(true);
            }
            let moved = match &self.input.state {
                Receiving::Head => self.receive_head(world, frames)?,
                Receiving::Body { .. } => self.receive_body(world, *bytes)?,
                Receiving::Skip { .. } => self.receive_skipped(world, *bytes)?,
                Receiving::Waiting { .. } => return Ok(false),
            };
            *bytes = bytes.saturating_sub(moved);
        }
    }

    /// Reads once, and notes whether the socket is drained.
    fn read(&mut self, world: &mut World, into: &mut [u8]) -> io::Result<usize> {
        let asked = into.len();
        let read = loop {
            match self.socket.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    return Ok(0);
                }
                other => break other?,
            }
        };
        if read == 0 && asked > 0 {
            self.readable = false;
            self.peer_done = true;
            // Nobody will send the rest of what has begun, and nothing that waits behind it.
            if !matches!(self.input.state, Receiving::Head) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.keep(world, &[], false);
            return Ok(0);
        }
        // epoll(7): on a stream a short read says that it is drained. The end of the stream would still be behind it.
        if read < asked && !self.peer_done {
            self.readable = false;
        }
        self.active = world.now;
        world.metrics.received_bytes.add(read as u64);
        Ok(read)
    }

    fn receive_head(&mut self, world: &mut World, frames: &mut usize) -> io::Result<usize> {
        let mut scratch = std::mem::take(&mut world.scratch);
        let kept = self.input.pending.len();
        let done = match scratch.get_mut(..kept) {
            Some(front) => {
                front.copy_from_slice(&self.input.pending);
                let mut read = Ok(0);
                if !self.input.has_pending() {
                    let window = world.read_bytes();
                    let spare = scratch.get_mut(kept..kept + window).unwrap_or(&mut []);
                    read = self.read(world, spare);
                }
                read.inspect(|&read| {
                    if read > 0 || self.input.has_pending() {
                        let here = scratch.get(..kept + read).unwrap_or(&[]);
                        self.decode(world, here, frames);
                    }
                })
            }
            None => Err(io::Error::other("a head outgrew the read buffer")),
        };
        world.scratch = scratch;
        done
    }

    /// Takes requests off the front of `here`, and keeps what is left.
    fn decode(&mut self, world: &mut World, here: &[u8], frames: &mut usize) {
        let mut rest = here;
        let mut needs_more = false;
        if self.input.began.is_none() && !rest.is_empty() {
            self.input.began = Some(world.now);
        }
        while !rest.is_empty() && *frames > 0 && !self.mute.is_muted() && matches!(self.input.state, Receiving::Head) {
            match self.protocol.decode(rest) {
                Decoded::More => {
                    needs_more = true;
                    break;
                }
                Decoded::Whole { head_bytes, arrival } => {
                    *frames -= 1;
                    rest = rest.get(head_bytes..).unwrap_or(&[]);
                    self.arrive(world, arrival);
                }
                Decoded::Body { head_bytes, body_bytes, keep } => {
                    *frames -= 1;
                    rest = rest.get(head_bytes..).unwrap_or(&[]);
                    rest = self.begin_body(world, rest, body_bytes, keep);
                }
            }
        }
        self.keep(world, rest, needs_more);
        if needs_more {
            let began = self.input.began.unwrap_or(world.now);
            world.arm(self, began + world.settings.head);
        }
        if matches!(self.input.state, Receiving::Head) {
            // What is left is the beginning of a head, perhaps behind a body.
            self.input.began = (!rest.is_empty()).then_some(self.input.began.unwrap_or(world.now));
        }
    }

    /// A head has announced a body; `rest` is what came behind the head. Returns what is behind the body.
    fn begin_body<'a>(&mut self, world: &mut World, rest: &'a [u8], body_bytes: usize, keep: bool) -> &'a [u8] {
        if !keep {
            self.input.state = Receiving::Skip { left: body_bytes };
            self.input.window = Some((world.now, 0));
            world.arm(self, world.now + world.settings.rate_window);
            let (_, behind) = rest.split_at(self.skip(world, rest.len()));
            return behind;
        }
        if body_bytes <= BODY_COPIED_BYTES_MAX
            && let Some((body, behind)) = rest.split_at_checked(body_bytes)
            && let Some(room) = world.budget_in.try_reserve(body_bytes)
        {
            self.protocol.absorb(body);
            let arrival = self.protocol.finish(Some(Body { bytes: Bytes::copy_from_slice(body), room: Some(room) }));
            self.arrive(world, arrival);
            return behind;
        }
        self.input.state = Receiving::Waiting { body_bytes };
        let Some(room) = self.reserve_in(world, capacity_for(body_bytes)) else {
            self.mute(world, Reason::RoomIn);
            return rest;
        };
        self.open_body(world, room);
        let (_, behind) = rest.split_at(self.fill_body(world, rest));
        behind
    }

    fn reserve_in(&mut self, world: &mut World, bytes: usize) -> Option<Reservation> {
        let Some(granted) = world.room_completion(self.key, RoomFor::Body) else {
            // No place to be told by: look again soon.
            world.arm(self, world.now + Duration::from_millis(10));
            return world.budget_in.try_reserve(bytes);
        };
        let room = world.budget_in.reserve_or_wait(bytes, || granted);
        self.promised = room.is_none();
        room
    }

    /// The room for the body that was announced is here.
    fn open_body(&mut self, world: &mut World, room: Reservation) {
        let Receiving::Waiting { body_bytes } = self.input.state else {
            return;
        };
        match world.pool.buffer(body_bytes) {
            Ok(buffer) => {
                self.input.state = Receiving::Body { buffer, room, body_bytes };
                self.input.window = Some((world.now, 0));
                world.arm(self, world.now + world.settings.rate_window);
            }
            Err(error) => {
                log::error!("reactor: no memory for a body of {body_bytes} bytes: {error}");
                let refusal = Refusal::busy(Stage::Memory, 1000, "the node has no memory for this body");
                self.end(world, &refusal);
            }
        }
    }

    /// Moves bytes that came with the head into the body's buffer. Returns how many.
    fn fill_body(&mut self, world: &mut World, bytes: &[u8]) -> usize {
        let Receiving::Body { buffer, body_bytes, .. } = &mut self.input.state else {
            return 0;
        };
        let count = bytes.len().min(*body_bytes - buffer.filled().len());
        let (ours, _) = bytes.split_at(count);
        buffer.extend(ours);
        self.protocol.absorb(ours);
        self.close_body_if_whole(world);
        count
    }

    fn receive_body(&mut self, world: &mut World, bytes_max: usize) -> io::Result<usize> {
        if self.input.has_pending() {
            let pending = self.take_pending(world);
            let used = self.fill_body(world, &pending);
            let (_, behind) = pending.split_at(used);
            self.keep(world, behind, false);
            return Ok(used);
        }
        let state = std::mem::take(&mut self.input.state);
        let Receiving::Body { mut buffer, room, body_bytes } = state else {
            return Ok(0);
        };
        let left = (body_bytes - buffer.filled().len()).min(bytes_max);
        let from = buffer.filled().len();
        self.input.state = Receiving::Skip { left: 0 };
        let spare = buffer.spare_mut().get_mut(..left).unwrap_or(&mut []);
        let read = self.read(world, spare)?;
        buffer.advance(read);
        self.protocol.absorb(buffer.filled().get(from..).unwrap_or(&[]));
        self.input.state = Receiving::Body { buffer, room, body_bytes };
        self.count_in_window(read);
        self.close_body_if_whole(world);
        Ok(read)
    }

    fn close_body_if_whole(&mut self, world: &mut World) {
        let whole = matches!(&self.input.state, Receiving::Body { buffer, body_bytes, .. }
            if buffer.filled().len() == *body_bytes);
        if !whole {
            return;
        }
        if let Receiving::Body { buffer, room, .. } = std::mem::take(&mut self.input.state) {
            self.input.window = None;
            let arrival = self.protocol.finish(Some(Body { bytes: buffer.freeze(), room: Some(room) }));
            self.arrive(world, arrival);
            self.input.began = None;
        }
    }

    fn receive_skipped(&mut self, world: &mut World, bytes_max: usize) -> io::Result<usize> {
        if self.input.has_pending() {
            let pending = self.take_pending(world);
            let used = self.skip(world, pending.len());
            let (_, behind) = pending.split_at(used);
            self.keep(world, behind, false);
            return Ok(used);
        }
        let Receiving::Skip { left } = self.input.state else {
            return Ok(0);
        };
        let mut scratch = std::mem::take(&mut world.scratch);
        let window = left.min(bytes_max).min(READ_BUFFER_BYTES);
        let read = self.read(world, scratch.get_mut(..window).unwrap_or(&mut []));
        world.scratch = scratch;
        let read = read?;
        self.count_in_window(read);
        self.skip(world, read);
        Ok(read)
    }

    /// Drops bytes of an unwanted body. Returns how many of `count` belonged to it.
    fn skip(&mut self, world: &mut World, count: usize) -> usize {
        let Receiving::Skip { left } = &mut self.input.state else {
            return 0;
        };
        let dropped = count.min(*left);
        *left -= dropped;
        if *left == 0 {
            self.input.state = Receiving::Head;
            self.input.window = None;
            let arrival = self.protocol.finish(None);
            self.arrive(world, arrival);
            self.input.began = None;
        }
        dropped
    }

    fn keep(&mut self, world: &mut World, bytes: &[u8], needs_more: bool) {
        world.kept = world.kept - self.input.pending.len() + bytes.len();
        self.input.keep(bytes, needs_more);
    }

    fn take_pending(&mut self, world: &mut World) -> Vec<u8> {
        world.kept -= self.input.pending.len();
        std::mem::take(&mut self.input.pending)
    }

    fn count_in_window(&mut self, bytes: usize) {
        if let Some((_, count)) = &mut self.input.window {
            *count += bytes as u64;
        }
    }

    // Requests.

    fn arrive(&mut self, world: &mut World, arrival: Arrival) {
        match arrival {
            Arrival::Reply(bytes) => self.output.push(bytes),
            Arrival::End(bytes) => {
                self.output.push(bytes);
                world.metrics.protocol_errors.increment();
                self.mute(world, Reason::Ending);
            }
            Arrival::Refused { tag, refusal } => {
                world.metrics.accepted.increment();
                world.count_ended(refusal.status);
                self.protocol.encode(tag, Answer::Refused(refusal), true, &mut self.output);
            }
            Arrival::Request { tag, operation, deadline_ms } => {
                let began = self.input.began.unwrap_or(world.now);
                world.metrics.parse.record(world.now.since(began));
                world.metrics.accepted.increment();
                world.metrics.in_flight.increment();
                let allowance = world.allowance(deadline_ms);
                let deadline = world.now + allowance;
                let slot = self.requests.insert(Request {
                    tag,
                    accepted: world.now,
                    deadline,
                    allowance_ns: deadline.since(world.now),
                    phase: Phase::Called,
                });
                world.arm(self, deadline);
                if self.requests.count() >= world.settings.in_flight_max {
                    self.mute(world, Reason::InFlight);
                }
                if world.draining {
                    let refusal = Refusal::new(Status::ShuttingDown, "the node is stopping: use another connection");
                    self.answer(world, slot, Answer::Refused(refusal));
                } else {
                    self.call(world, slot, operation, None);
                }
            }
        }
        self.input.began = Some(world.now);
    }

    fn call(&mut self, world: &mut World, slot: Slot, operation: Operation, room: Option<Reservation>) {
        let Some(deadline) = self.requests.find(slot).map(|request| request.deadline) else {
            return;
        };
        let key = self.request_key(slot);
        let outcome = {
            let World { service, mailbox, clock, .. } = world;
            let mut responder =
                || mailbox.place().map(|place| Responder::new::<Message>(key, Arc::clone(clock), place));
            service.call(operation, Call { now: world.now, deadline, room, responder: &mut responder })
        };
        match outcome {
            Outcome::Answered(answer) => self.answer(world, slot, answer),
            Outcome::Pending => {}
            Outcome::NoRoom { bytes, again } => self.stall(world, slot, again, bytes),
        }
    }

    fn request_key(&self, slot: Slot) -> RequestKey {
        RequestKey {
            connection: self.key.slot,
            generation: self.key.generation,
            request: slot.index,
            request_generation: slot.generation,
        }
    }

    /// A reply found no room: this connection waits for it, unread.
    fn stall(&mut self, world: &mut World, slot: Slot, operation: Operation, bytes: usize) {
        let room = match world.room_completion(self.key, RoomFor::Reply(slot)) {
            Some(granted) => world.budget_out.reserve_or_wait(bytes, || granted),
            None => {
                let refusal = Refusal::busy(Stage::Memory, 50, "no room for the reply");
                return self.answer(world, slot, Answer::Refused(refusal));
            }
        };
        match room {
            Some(room) => self.call(world, slot, operation, Some(room)),
            None => {
                self.stalled = Some(Stalled { slot, operation });
                self.mute(world, Reason::RoomOut);
            }
        }
    }

    /// A worker has ended a request, or a piece of one.
    pub(super) fn completed(&mut self, world: &mut World, slot: Slot, answer: Answer) {
        self.answer(world, slot, answer);
    }

    /// Room that this connection waited for is here.
    pub(super) fn room(&mut self, world: &mut World, what: RoomFor, room: Reservation) {
        match what {
            RoomFor::Body => {
                self.promised = false;
                if matches!(self.input.state, Receiving::Waiting { .. }) {
                    self.open_body(world, room);
                    self.input.needs_more = false;
                    self.unmute(world, Reason::RoomIn);
                }
            }
            RoomFor::Reply(slot) => {
                if let Some(stalled) = self.stalled.take_if(|stalled| stalled.slot == slot) {
                    self.unmute(world, Reason::RoomOut);
                    self.call(world, slot, stalled.operation, Some(room));
                }
            }
            RoomFor::Piece(slot) => {
                if let Some(request) = self.requests.find(slot)
                    && let Phase::Streaming { fetch, .. } = &mut request.phase
                {
                    *fetch = Fetch::Idle;
                    self.fetch(world, slot, Some(room));
                }
            }
        }
    }

    fn answer(&mut self, world: &mut World, slot: Slot, mut answer: Answer) {
        let Some(request) = self.requests.find(slot) else {
            return;
        };
        let (tag, accepted) = (request.tag, request.accepted);
        let status = answer.status();
        let mut last = true;
        match &mut answer {
            Answer::Content(content) => {
                if let Some(pieces) = content.rest.take() {
                    last = false;
                    self.requests.stream(slot, pieces);
                }
            }
            Answer::More(_) => {
                if let Phase::Streaming { pieces, fetch } = &mut request.phase {
                    *fetch = Fetch::Idle;
                    last = pieces.is_done();
                }
            }
            _ => {}
        }
        self.protocol.encode(tag, answer, last, &mut self.output);
        if self.output.waiting() > OUTPUT_BYTES_MAX {
            // At once, so that requests which came in one read do not all add to it; sending opens it again.
            self.mute(world, Reason::Output);
        }
        if last {
            self.output.ends(Ends { accepted, answered: world.now });
            self.requests.remove(slot);
            world.metrics.in_flight.decrement();
            world.count_ended(status);
            if self.requests.count() < world.settings.in_flight_max {
                self.unmute(world, Reason::InFlight);
            }
        }
    }

    /// Asks for further pieces while less than one waits to be sent.
    fn pump(&mut self, world: &mut World) {
        // Nothing follows the last words.
        if self.mute.has(Reason::Ending) {
            return;
        }
        while self.requests.streaming() > 0 && self.output.waiting() < PIECE_BYTES {
            let idle = self.requests.iter().find_map(|(slot, request)| {
                matches!(request.phase, Phase::Streaming { fetch: Fetch::Idle, .. }).then_some(slot)
            });
            let Some(slot) = idle else { return };
            self.fetch(world, slot, None);
        }
    }

    fn fetch(&mut self, world: &mut World, slot: Slot, room: Option<Reservation>) {
        let key = self.request_key(slot);
        let outcome = {
            let Some(request) = self.requests.find(slot) else {
                return;
            };
            // Each piece has the whole time again: a slow reader is judged by its rate, not by this.
            request.deadline = world.now + Duration::from_nanos(request.allowance_ns);
            let deadline = request.deadline;
            let Phase::Streaming { pieces, fetch } = &mut request.phase else {
                return;
            };
            *fetch = Fetch::Fetching;
            let World { mailbox, clock, .. } = world;
            let mut responder =
                || mailbox.place().map(|place| Responder::new::<Message>(key, Arc::clone(clock), place));
            pieces.next(Call { now: world.now, deadline, room, responder: &mut responder })
        };
        match outcome {
            Outcome::Answered(answer) => self.answer(world, slot, answer),
            Outcome::Pending => {
                let due = self.requests.find(slot).map_or(Moment::NEVER, |request| request.deadline);
                world.arm(self, due);
            }
            Outcome::NoRoom { bytes, again: () } => self.wait_for_piece(world, slot, bytes),
        }
    }

    fn wait_for_piece(&mut self, world: &mut World, slot: Slot, bytes: usize) {
        let Some(granted) = world.room_completion(self.key, RoomFor::Piece(slot)) else {
            let refusal = Refusal::busy(Stage::Memory, 50, "no room for the rest of the reply");
            return self.answer(world, slot, Answer::Refused(refusal));
        };
        if let Some(room) = world.budget_out.reserve_or_wait(bytes, || granted) {
            return self.fetch(world, slot, Some(room));
        }
        if let Some(request) = self.requests.find(slot) {
            if let Phase::Streaming { fetch, .. } = &mut request.phase {
                *fetch = Fetch::Waiting;
            }
            let deadline = request.deadline;
            world.arm(self, deadline);
        }
    }

    // Time.

    /// Looks at everything that may be due, and returns when to look again.
    pub(super) fn expire(&mut self, world: &mut World) -> Moment {
        let now = world.now;
        let due: Vec<Slot> = self
            .requests
            .iter()
            .filter(|(_, request)| request.deadline <= now && Self::expires(request))
            .map(|(slot, _)| slot)
            .collect();
        for slot in due {
            self.time_out(world, slot);
        }
        if self.requests.count() == 0 {
            self.requests.rest();
        }
        self.expire_body_room(world);
        let due = self.expire_reader(world).min(self.expire_input(world)).min(self.expire_idle(world));
        self.requests
            .iter()
            .filter(|(_, request)| Self::expires(request))
            .map(|(_, request)| request.deadline)
            .fold(due, Moment::min)
    }

    /// A reply whose next piece waits only for its reader is judged by the reader's rate.
    fn expires(request: &Request) -> bool {
        !matches!(request.phase, Phase::Streaming { fetch: Fetch::Idle, .. })
    }

    fn time_out(&mut self, world: &mut World, slot: Slot) {
        let was_stalled = self.stalled.as_ref().is_some_and(|stalled| stalled.slot == slot);
        let refusal = if was_stalled {
            self.stalled = None;
            self.unmute(world, Reason::RoomOut);
            Refusal::busy(Stage::Memory, 100, "no room for the reply came in time")
        } else {
            Refusal::new(Status::TimedOut, "the deadline passed before the disk answered")
        };
        self.answer(world, slot, Answer::Refused(refusal));
    }

    /// Asks again for room that could not be waited for.
    fn expire_body_room(&mut self, world: &mut World) {
        if let (Receiving::Waiting { body_bytes }, false) = (&self.input.state, self.promised) {
            let bytes = capacity_for(*body_bytes);
            if let Some(room) = self.reserve_in(world, bytes) {
                self.room(world, RoomFor::Body, room);
            }
        }
    }

    fn expire_reader(&mut self, world: &mut World) -> Moment {
        let Some((since, sent)) = self.send_window else {
            return Moment::NEVER;
        };
        let ends = since + world.settings.rate_window;
        if ends > world.now {
            return ends;
        }
        if self.sent - sent < world.settings.read_bytes_min {
            world.metrics.timed_out_reader.increment();
            self.output = Output::default();
            self.is_cut = true;
            self.mute(world, Reason::Ending);
            return Moment::NEVER;
        }
        self.send_window = Some((world.now, self.sent));
        world.now + world.settings.rate_window
    }

    fn expire_input(&mut self, world: &mut World) -> Moment {
        let refusal = |detail| Refusal::new(Status::TooSlow, detail);
        if self.input.in_body() {
            let Some((since, bytes)) = self.input.window else {
                return Moment::NEVER;
            };
            if self.mute.is_muted() {
                // It is not the peer who waits: the window begins when it is read again, or a little before.
                self.input.window = Some((world.now, 0));
                return world.now + world.settings.rate_window / 4;
            }
            let ends = since + world.settings.rate_window;
            if ends > world.now {
                return ends;
            }
            if bytes < world.settings.body_bytes_min {
                world.metrics.timed_out_body.increment();
                self.take_pending(world);
                self.input = Input::default();
                self.end(world, &refusal("the body came too slowly"));
                return Moment::NEVER;
            }
            self.input.window = Some((world.now, 0));
            return world.now + world.settings.rate_window;
        }
        let in_head = !self.input.pending.is_empty() && self.input.needs_more;
        let (Some(began), true) = (self.input.began, in_head) else {
            return Moment::NEVER;
        };
        let ends = began + world.settings.head;
        if ends <= world.now && !self.mute.is_muted() {
            world.metrics.timed_out_head.increment();
            self.end(world, &refusal("the head of the request did not arrive in time"));
            return Moment::NEVER;
        }
        ends.max(world.now + Duration::from_millis(100))
    }

    fn expire_idle(&mut self, world: &mut World) -> Moment {
        let ends = self.active + world.settings.idle;
        let is_idle = self.requests.count() == 0 && self.output.waiting() == 0 && self.input.is_idle();
        if !is_idle {
            return world.now + world.settings.idle;
        }
        if ends <= world.now {
            world.metrics.timed_out_idle.increment();
            self.mute(world, Reason::Ending);
            return Moment::NEVER;
        }
        ends
    }

    /// Whether it can be closed by a drain right now.
    pub(super) fn is_at_rest(&self) -> bool {
        self.requests.count() == 0 && self.output.waiting() == 0 && self.input.is_idle()
    }

    fn end(&mut self, world: &mut World, refusal: &Refusal) {
        self.protocol.last_words(refusal, &mut self.output);
        self.mute(world, Reason::Ending);
    }

    /// Counts what the peer will not get.
    pub(super) fn abandon(&mut self, world: &mut World) {
        self.take_pending(world);
        self.count(world, false, false);
        let left = self.requests.count();
        world.metrics.abandoned.add(left as u64);
        world.metrics.in_flight.add(-i64::try_from(left).unwrap_or(0));
        if self.mute.is_muted() {
            world.metrics.muted.decrement();
        }
        world.metrics.connections.decrement();
    }
}
