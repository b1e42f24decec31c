//! What a connection receives: heads, bodies, and bodies that nobody wants.
//!
//! Processor thread. The states are those of `input.rs`.

use super::Connection;
use crate::base::budget::Reservation;
use crate::base::buffers::capacity_for;
use crate::base::limits::{
    BODY_COPIED_BYTES_MAX, BODY_FREE_BYTES_MAX, READ_BUFFER_BYTES, TURN_BYTES_PER_CONNECTION,
    TURN_FRAMES_PER_CONNECTION,
};
use crate::net::input::Receiving;
use crate::net::mute::Reason;
use crate::net::protocol::{Body, Decoded};
use crate::net::world::{RoomFor, World};
use crate::request::{Refusal, Stage};
use bytes::Bytes;
use std::io::{self, Read};
use std::time::Duration;

impl Connection {
    /// Takes what the socket has, within this turn's share. Returns whether there may be more.
    pub(super) fn receive(&mut self, world: &mut World) -> io::Result<bool> {
        let mut frames = TURN_FRAMES_PER_CONNECTION.min(world.frames);
        let mut bytes = TURN_BYTES_PER_CONNECTION.min(world.bytes_in);
        let (frames_before, bytes_before) = (frames, bytes);
        let more = self.receive_within(world, &mut frames, &mut bytes);
        world.frames -= frames_before - frames;
        world.bytes_in = world.bytes_in.saturating_sub(bytes_before - bytes);
        more
    }

    pub(super) fn receive_within(
        &mut self,
        world: &mut World,
        frames: &mut usize,
        bytes: &mut usize,
    ) -> io::Result<bool> {
        loop {
            if self.mute.is_muted() || !self.has_unread() {
                return Ok(false);
            }
            if *frames == 0 || *bytes == 0 {
                return Ok(true);
            }
            let moved = match &self.input.state {
                Receiving::Head | Receiving::Gathering { .. } => self.receive_head(world, frames)?,
                Receiving::Body { .. } => self.receive_body(world, *bytes)?,
                Receiving::Skip { .. } => self.receive_skipped(world, *bytes)?,
                Receiving::Waiting { .. } => return Ok(false),
            };
            *bytes = bytes.saturating_sub(moved);
        }
    }

    /// Reads once, and notes whether the socket is drained.
    pub(super) fn read(&mut self, world: &mut World, into: &mut [u8]) -> io::Result<usize> {
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

    pub(super) fn receive_head(&mut self, world: &mut World, frames: &mut usize) -> io::Result<usize> {
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
    pub(super) fn decode(&mut self, world: &mut World, here: &[u8], frames: &mut usize) {
        let mut rest = here;
        let mut needs_more = false;
        if self.input.began.is_none() && !rest.is_empty() {
            self.input.began = Some(world.now);
        }
        while !rest.is_empty() && *frames > 0 && !self.mute.is_muted() && self.input.is_decoded() {
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
                Decoded::Open { head_bytes, bytes_max } => {
                    *frames -= 1;
                    rest = rest.get(head_bytes..).unwrap_or(&[]);
                    self.begin_gathering(world, bytes_max);
                }
                Decoded::Content { skip, take } => {
                    let (content, behind) = rest.get(skip..).unwrap_or(&[]).split_at_checked(take).unwrap_or_default();
                    self.gather(world, content);
                    rest = behind;
                }
                Decoded::Sealed { skip } => {
                    rest = rest.get(skip..).unwrap_or(&[]);
                    self.seal(world);
                }
            }
        }
        self.keep(world, rest, needs_more);
        if needs_more && matches!(self.input.state, Receiving::Head) {
            let began = self.input.began.unwrap_or(world.now);
            self.arm(world, began + world.settings.head);
        }
        if matches!(self.input.state, Receiving::Head) {
            if self.under_way() == 0 && !self.protocol.is_at_rest() {
                // The peer is waited for, and nothing else has this connection looked at.
                self.arm(world, world.now + world.settings.head);
            }
            // What is left is the beginning of a head, perhaps behind a body.
            self.input.began = (!rest.is_empty()).then_some(self.input.began.unwrap_or(world.now));
        }
    }

    /// A head has announced a body; `rest` is what came behind the head. Returns what is behind the body.
    pub(super) fn begin_body<'a>(
        &mut self,
        world: &mut World,
        rest: &'a [u8],
        body_bytes: usize,
        keep: bool,
    ) -> &'a [u8] {
        if !keep {
            self.input.state = Receiving::Skip { left: body_bytes };
            self.input.window = Some((world.now, 0));
            self.arm(world, world.now + world.settings.rate_window);
            let (_, behind) = rest.split_at(self.skip(world, rest.len()));
            return behind;
        }
        if body_bytes <= BODY_COPIED_BYTES_MAX
            && let Some((body, behind)) = rest.split_at_checked(body_bytes)
            && let Some(room) = Self::small_room(world, body_bytes)
        {
            self.absorb(world, body);
            let arrival = self.protocol.finish(Some(Body { bytes: Bytes::copy_from_slice(body), room }));
            self.arrive(world, arrival);
            return behind;
        }
        if !self.wait_for_body(world, body_bytes, false) {
            return rest;
        }
        let (_, behind) = rest.split_at(self.fill_body(world, rest));
        behind
    }

    /// Takes room for a body. Returns whether it is here, and the body open.
    fn wait_for_body(&mut self, world: &mut World, body_bytes: usize, gathers: bool) -> bool {
        self.input.state = Receiving::Waiting { body_bytes, gathers, since: world.now };
        let Some(room) = self.reserve_in(world, capacity_for(body_bytes)) else {
            self.mute(world, Reason::RoomIn);
            self.arm(world, world.now + world.settings.deadline_default);
            return false;
        };
        self.open_body(world, room);
        true
    }

    /// A head has announced a body whose length only its end will tell.
    fn begin_gathering(&mut self, world: &mut World, bytes_max: usize) {
        self.wait_for_body(world, bytes_max, true);
    }

    /// The protocol has found bytes of the body that is gathered.
    fn gather(&mut self, world: &mut World, content: &[u8]) {
        if let Receiving::Gathering { buffer, .. } = &mut self.input.state {
            debug_assert!(
                content.len() <= buffer.capacity() - buffer.filled().len(),
                "the protocol keeps to its bound"
            );
            buffer.extend(content);
            self.absorb(world, content);
            self.count_in_window(content.len());
        }
    }

    /// The body that is gathered is whole. A small one gives its buffer back at once.
    fn seal(&mut self, world: &mut World) {
        let Receiving::Gathering { buffer, room } = std::mem::take(&mut self.input.state) else {
            return;
        };
        self.input.window = None;
        let length = buffer.filled().len();
        let small = if length <= BODY_COPIED_BYTES_MAX { Self::small_room(world, length) } else { None };
        let body = match small {
            Some(room) => Body { bytes: Bytes::copy_from_slice(buffer.filled()), room },
            None => Body { bytes: buffer.freeze(), room: Some(room) },
        };
        let arrival = self.protocol.finish(Some(body));
        self.arrive(world, arrival);
        self.input.began = None;
    }

    /// Hands bytes of a body to the protocol; what they cost beyond being moved counts for this turn.
    fn absorb(&mut self, world: &mut World, bytes: &[u8]) {
        let work = self.protocol.absorb(bytes);
        world.bytes_in = world.bytes_in.saturating_sub(work.saturating_sub(bytes.len()));
    }

    /// Room for a body that is here already: `Some(None)` when it needs none, `None` when it has to wait.
    ///
    /// A read, a ping and the like need none, so that they go on while bodies hold all of the budget.
    fn small_room(world: &World, body_bytes: usize) -> Option<Option<Reservation>> {
        if body_bytes <= BODY_FREE_BYTES_MAX {
            return Some(None);
        }
        world.budget_in.try_reserve(body_bytes).map(Some)
    }

    pub(super) fn reserve_in(&mut self, world: &mut World, bytes: usize) -> Option<Reservation> {
        let Some(granted) = world.room_completion(self.key, RoomFor::Body) else {
            // No place to be told by: look again soon.
            self.arm(world, world.now + Duration::from_millis(10));
            return world.budget_in.try_reserve(bytes);
        };
        let room = world.budget_in.reserve_or_wait(bytes, || granted);
        self.promised = room.is_none();
        room
    }

    /// The room for the body that was announced is here.
    pub(super) fn open_body(&mut self, world: &mut World, room: Reservation) {
        let Receiving::Waiting { body_bytes, gathers, .. } = self.input.state else {
            return;
        };
        match world.pool.buffer(body_bytes) {
            Ok(buffer) => {
                self.input.state = if gathers {
                    Receiving::Gathering { buffer, room }
                } else {
                    Receiving::Body { buffer, room, body_bytes }
                };
                self.input.window = Some((world.now, 0));
                self.arm(world, world.now + world.settings.rate_window);
            }
            Err(error) => {
                log::error!("reactor: no memory for a body of {body_bytes} bytes: {error}");
                let refusal = Refusal::busy(Stage::Memory, 1000, "the node has no memory for this body");
                self.end(world, &refusal);
            }
        }
    }

    /// Moves bytes that came with the head into the body's buffer. Returns how many.
    pub(super) fn fill_body(&mut self, world: &mut World, bytes: &[u8]) -> usize {
        let Receiving::Body { buffer, body_bytes, .. } = &mut self.input.state else {
            return 0;
        };
        let count = bytes.len().min(*body_bytes - buffer.filled().len());
        let (ours, _) = bytes.split_at(count);
        buffer.extend(ours);
        self.absorb(world, ours);
        self.close_body_if_whole(world);
        count
    }

    pub(super) fn receive_body(&mut self, world: &mut World, bytes_max: usize) -> io::Result<usize> {
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
        self.absorb(world, buffer.filled().get(from..).unwrap_or(&[]));
        self.input.state = Receiving::Body { buffer, room, body_bytes };
        self.count_in_window(read);
        self.close_body_if_whole(world);
        Ok(read)
    }

    pub(super) fn close_body_if_whole(&mut self, world: &mut World) {
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

    pub(super) fn receive_skipped(&mut self, world: &mut World, bytes_max: usize) -> io::Result<usize> {
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
    pub(super) fn skip(&mut self, world: &mut World, count: usize) -> usize {
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

    pub(super) fn keep(&mut self, world: &mut World, bytes: &[u8], needs_more: bool) {
        world.kept = world.kept - self.input.pending.len() + bytes.len();
        self.input.keep(bytes, needs_more);
    }

    pub(super) fn take_pending(&mut self, world: &mut World) -> Vec<u8> {
        world.kept -= self.input.pending.len();
        std::mem::take(&mut self.input.pending)
    }

    pub(super) fn count_in_window(&mut self, bytes: usize) {
        if let Some((_, count)) = &mut self.input.window {
            *count += bytes as u64;
        }
    }
}
