//! What becomes of a request: the call of the service, room for the reply, the answer, the pieces of a large one.
//!
//! Processor thread. The phases are those of `requests.rs`.

use super::{Connection, Later, Stalled};
use crate::base::budget::Reservation;
use crate::base::clock::Moment;
use crate::base::limits::{LOOSE_BYTES_MAX, OUTPUT_BYTES_MAX, PIECE_BYTES};
use crate::net::input::Receiving;
use crate::net::mute::Reason;
use crate::net::output::Ends;
use crate::net::protocol::Arrival;
use crate::net::requests::{Fetch, Phase, Request, Slot};
use crate::net::world::{Message, RoomFor, World};
use crate::request::{Answer, Call, Content, Operation, Outcome, Refusal, RequestKey, Responder, Stage, Status};
use std::sync::Arc;
use std::time::Duration;

impl Connection {
    pub(super) fn arrive(&mut self, world: &mut World, arrival: Arrival) {
        self.take(world, arrival, world.draining);
        self.input.began = Some(world.now);
        self.follow(world);
    }

    /// Asks the protocol for what it does by itself, one thing after another, while there is room for the output. Returns
    /// whether this turn's share ended it.
    pub(super) fn follow(&mut self, world: &mut World) -> bool {
        // An answer that comes at once has the protocol asked again by the loop that is under way.
        if self.following {
            return false;
        }
        self.following = true;
        self.follows = false;
        while !self.mute.has(Reason::Ending) {
            if self.output.waiting() >= PIECE_BYTES || world.bytes_made == 0 {
                self.follows = !self.protocol.takes_more();
                break;
            }
            let Some(arrival) = self.protocol.next() else { break };
            // What continues a request that was taken is not turned away by a stop.
            self.take(world, arrival, false);
        }
        self.following = false;
        self.settle(world);
        self.follows && world.bytes_made == 0
    }

    /// Whether the connection can take another request, or more of the one under way.
    fn settle(&mut self, world: &mut World) {
        if self.under_way() >= world.settings.in_flight_max || !self.protocol.takes_more() {
            self.mute(world, Reason::InFlight);
        } else {
            self.unmute(world, Reason::InFlight);
        }
    }

    fn take(&mut self, world: &mut World, arrival: Arrival, turns_away: bool) {
        match arrival {
            Arrival::Taken => {}
            Arrival::Reply(bytes) => self.output.push(bytes),
            Arrival::Answer { head, own, content } => {
                world.metrics.accepted.increment();
                world.count_ended(Status::Ok);
                let (before, rest) = head.split_at_checked(own.at).unwrap_or((&head, &[]));
                self.output.push_copy(&[before, &own.bytes, rest.get(own.bytes.len()..).unwrap_or(&[])]);
                self.output.push(content);
                if self.output.waiting() > OUTPUT_BYTES_MAX || self.output.loose() > LOOSE_BYTES_MAX {
                    self.mute(world, Reason::Output);
                }
            }
            Arrival::Close => {
                self.lingers = self.has_unread();
                self.mute(world, Reason::Ending);
            }
            Arrival::End(bytes) => {
                self.output.push(bytes);
                self.lingers = true;
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
                self.arm(world, deadline);
                if turns_away {
                    let refusal = Refusal::new(Status::ShuttingDown, "the node is stopping: use another connection");
                    self.answer(world, slot, Answer::Refused(refusal));
                } else {
                    self.call(world, slot, operation, None);
                }
            }
        }
    }

    pub(super) fn call(&mut self, world: &mut World, slot: Slot, operation: Operation, room: Option<Reservation>) {
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
            Outcome::Later { after, again, refusal } => {
                if let Some(request) = self.requests.remove(slot) {
                    let due = (world.now + after).min(request.deadline);
                    self.later.push(Later { request, operation: again, refusal, due });
                    self.arm(world, due);
                }
            }
        }
    }

    /// Calls those again whose while has passed; who has no time left is told why it waited.
    pub(super) fn call_again(&mut self, world: &mut World) {
        // After the last words nothing is begun; what waits is abandoned with the connection.
        if self.mute.has(Reason::Ending) {
            return;
        }
        let now = world.now;
        let due: Vec<Later> = self.later.extract_if(.., |later| later.due <= now).collect();
        for Later { request, operation, refusal, .. } in due {
            let is_late = request.deadline <= now;
            let slot = self.requests.insert(request);
            if is_late {
                self.answer(world, slot, Answer::Refused(refusal));
            } else {
                self.call(world, slot, operation, None);
            }
        }
    }

    pub(super) fn request_key(&self, slot: Slot) -> RequestKey {
        RequestKey {
            connection: self.key.slot,
            generation: self.key.generation,
            request: slot.index,
            request_generation: slot.generation,
        }
    }

    /// A reply found no room: this connection waits for it, unread.
    pub(super) fn stall(&mut self, world: &mut World, slot: Slot, operation: Operation, bytes: usize) {
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
    pub(in crate::net) fn completed(&mut self, world: &mut World, slot: Slot, answer: Answer) {
        self.answer(world, slot, answer);
    }

    /// Room that this connection waited for is here.
    pub(in crate::net) fn room(&mut self, world: &mut World, what: RoomFor, room: Reservation) {
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

    pub(super) fn answer(&mut self, world: &mut World, slot: Slot, mut answer: Answer) {
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
        if let Answer::Content(Content { first: piece, .. }) | Answer::More(piece) = &answer {
            world.bytes_made = world.bytes_made.saturating_sub(piece.bytes());
        }
        self.protocol.encode(tag, answer, last, &mut self.output);
        if self.output.waiting() > OUTPUT_BYTES_MAX || self.output.loose() > LOOSE_BYTES_MAX {
            // At once, so that requests which came in one read do not all add to it; sending opens it again.
            self.mute(world, Reason::Output);
        }
        if last {
            self.output.ends(Ends { accepted, answered: world.now });
            self.requests.remove(slot);
            world.metrics.in_flight.decrement();
            world.count_ended(status);
        }
        self.follow(world);
    }

    /// Asks for further pieces while less than one waits to be sent. Returns whether this turn's share ended it.
    pub(super) fn pump(&mut self, world: &mut World) -> bool {
        // Nothing follows the last words.
        if self.mute.has(Reason::Ending) {
            return false;
        }
        while self.requests.streaming() > 0 && self.output.waiting() < PIECE_BYTES {
            let idle = self.requests.iter().find_map(|(slot, request)| {
                matches!(request.phase, Phase::Streaming { fetch: Fetch::Idle, .. }).then_some(slot)
            });
            let Some(slot) = idle else { return false };
            if world.bytes_made == 0 {
                return true;
            }
            self.fetch(world, slot, None);
        }
        false
    }

    pub(super) fn fetch(&mut self, world: &mut World, slot: Slot, room: Option<Reservation>) {
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
                self.arm(world, due);
            }
            Outcome::NoRoom { bytes, again: () } => self.wait_for_piece(world, slot, bytes),
            Outcome::Later { refusal, .. } => self.answer(world, slot, Answer::Refused(refusal)),
        }
    }

    pub(super) fn wait_for_piece(&mut self, world: &mut World, slot: Slot, bytes: usize) {
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
            self.arm(world, deadline);
        }
    }
}
