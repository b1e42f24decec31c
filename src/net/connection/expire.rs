//! What is due on a connection: deadlines of requests, rooms that did not come, slow peers, silence.
//!
//! Processor thread; called when the wheel brings the connection up.

use super::Connection;
use crate::base::buffers::capacity_for;
use crate::base::clock::Moment;
use crate::net::Output;
use crate::net::input::{Input, Receiving};
use crate::net::mute::Reason;
use crate::net::requests::{Fetch, Phase, Request, Slot};
use crate::net::world::{RoomFor, World};
use crate::request::{Answer, Refusal, Stage, Status};
use std::time::Duration;

impl Connection {
    /// Looks at everything that may be due, and returns when to look again.
    pub(in crate::net) fn expire(&mut self, world: &mut World) -> Moment {
        if let Some(linger) = self.lingering {
            return linger.ends;
        }
        self.call_again(world);
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
            self.output.rest();
        }
        let due = self.expire_body_room(world);
        let is_ending = self.mute.has(Reason::Ending);
        let due = self.later.iter().filter(|_| !is_ending).map(|later| later.due).fold(due, Moment::min);
        let due = due.min(self.expire_reader(world)).min(self.expire_input(world)).min(self.expire_idle(world));
        self.requests
            .iter()
            .filter(|(_, request)| Self::expires(request))
            .map(|(_, request)| request.deadline)
            .fold(due, Moment::min)
    }

    /// A reply whose next piece waits only for its reader is judged by the reader's rate.
    pub(super) fn expires(request: &Request) -> bool {
        !matches!(request.phase, Phase::Streaming { fetch: Fetch::Idle, .. })
    }

    pub(super) fn time_out(&mut self, world: &mut World, slot: Slot) {
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

    /// Asks again for room that could not be waited for; tells a body that waited too long that there is none.
    pub(super) fn expire_body_room(&mut self, world: &mut World) -> Moment {
        let Receiving::Waiting { body_bytes, gathers, since } = self.input.state else {
            return Moment::NEVER;
        };
        let ends = since + world.settings.deadline_default;
        if ends <= world.now {
            self.protocol.give_up(Refusal::busy(Stage::Memory, 1000, "no room for the body came in time"));
            self.input.state = if gathers { Receiving::Head } else { Receiving::Skip { left: body_bytes } };
            self.input.window = Some((world.now, 0));
            self.input.needs_more = false;
            self.unmute(world, Reason::RoomIn);
            self.follow(world);
            return world.now + world.settings.rate_window;
        }
        if !self.promised
            && let Some(room) = self.reserve_in(world, capacity_for(body_bytes))
        {
            self.room(world, RoomFor::Body, room);
        }
        ends
    }

    pub(super) fn expire_reader(&mut self, world: &mut World) -> Moment {
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

    pub(super) fn expire_input(&mut self, world: &mut World) -> Moment {
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

    pub(super) fn expire_idle(&mut self, world: &mut World) -> Moment {
        // A request that its peer has begun and does not go on with is no idle connection.
        let silence = if self.protocol.is_at_rest() { world.settings.idle } else { world.settings.head };
        let ends = self.active + silence;
        let is_idle = self.under_way() == 0 && self.output.waiting() == 0 && self.input.is_idle();
        if !is_idle {
            return world.now + world.settings.idle;
        }
        if ends <= world.now && !self.protocol.is_at_rest() {
            world.metrics.timed_out_body.increment();
            self.end(world, &Refusal::new(Status::TooSlow, "the rest of the request did not arrive in time"));
            return Moment::NEVER;
        }
        if ends <= world.now {
            world.metrics.timed_out_idle.increment();
            self.mute(world, Reason::Ending);
            return Moment::NEVER;
        }
        ends
    }
}
