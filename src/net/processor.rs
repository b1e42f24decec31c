//! A processor: the thread that owns connections, reads and parses what they send, calls the service, and sends what
//! comes back.
//!
//! Always: it waits for nothing but its own poll. One turn handles a bounded number of events, connections, frames,
//! bytes and completions, and what is left over is taken up in the next turn, without a wait between.

use super::connection::{Connection, Next};
use super::control::Control;
use super::inbox::{Accepted, Inbox};
use super::protocol::Peer;
use super::requests::Slot;
use super::selector::Selector;
use super::settings::Settings;
use super::wheel::Wheel;
use super::world::{ConnectionKey, Message, World};
use crate::base::budget::Budget;
use crate::base::buffers::BufferPool;
use crate::base::clock::{Clock, Moment};
use crate::base::limits::{
    READ_BUFFER_BYTES, TURN_ACCEPTS, TURN_BYTES, TURN_COMPLETIONS, TURN_CONNECTIONS, TURN_EVENTS, TURN_FRAMES,
};
use crate::base::mailbox::Mailbox;
use crate::metrics::ProcessorMetrics;
use crate::request::Service;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// What a processor is made of.
#[derive(Clone)]
pub struct ProcessorParts {
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Bounds and times.
    pub settings: Arc<Settings>,
    /// Where bodies are received.
    pub pool: Arc<BufferPool>,
    /// Room for bodies coming in.
    pub budget_in: Arc<Budget>,
    /// Room for replies going out.
    pub budget_out: Arc<Budget>,
    /// How it is told to stop.
    pub control: Arc<Control>,
}

impl std::fmt::Debug for ProcessorParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProcessorParts").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The processor, before and while it runs.
pub struct Processor {
    selector: Selector,
    inbox: Receiver<Accepted>,
    sender: Sender<Accepted>,
    connections: Vec<(u32, Option<Box<Connection>>)>,
    free: Vec<u32>,
    listed: Vec<ConnectionKey>,
    due: Vec<ConnectionKey>,
    /// Empty between turns; their memory is used again.
    left_over: Vec<ConnectionKey>,
    again: Vec<ConnectionKey>,
    control: Arc<Control>,
    drain_ends: Moment,
    world: World,
}

impl std::fmt::Debug for Processor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Processor").field("connections", &self.connections.len()).finish_non_exhaustive()
    }
}

impl Processor {
    /// A processor with a service of its own.
    ///
    /// # Errors
    /// Those of epoll and eventfd: no descriptor is left.
    pub fn new(parts: ProcessorParts, service: Box<dyn Service>, metrics: Arc<ProcessorMetrics>) -> io::Result<Self> {
        let (selector, waker) = Selector::new(TURN_EVENTS)?;
        let (sender, inbox) = bounded(parts.settings.inbox_max);
        let mailbox = Mailbox::new(parts.settings.mailbox_max, Box::new(waker));
        let now = parts.clock.now();
        Ok(Self {
            selector,
            inbox,
            sender,
            connections: Vec::new(),
            free: Vec::new(),
            listed: Vec::new(),
            due: Vec::new(),
            left_over: Vec::new(),
            again: Vec::new(),
            control: parts.control,
            drain_ends: Moment::NEVER,
            world: World {
                clock: parts.clock,
                settings: parts.settings,
                pool: parts.pool,
                budget_in: parts.budget_in,
                budget_out: parts.budget_out,
                metrics,
                mailbox,
                service,
                draining: false,
                now,
                // Half for what was kept, half for one read.
                scratch: vec![0; 2 * READ_BUFFER_BYTES],
                kept: 0,
                frames: 0,
                bytes_in: 0,
                bytes_out: 0,
                bytes_made: 0,
                wheel: Wheel::new(now),
            },
        })
    }

    /// The acceptor's side of it.
    #[must_use]
    pub fn inbox(&self) -> Inbox {
        Inbox { sender: self.sender.clone(), mailbox: Arc::clone(&self.world.mailbox) }
    }

    /// Runs until it is told to end, or has drained.
    ///
    /// # Errors
    /// That of epoll, which leaves the thread without a way to go on.
    pub fn run(mut self) -> io::Result<()> {
        loop {
            self.sleep()?;
            self.begin_turn();
            self.notice();
            self.welcome();
            self.deliver();
            self.expire();
            self.step();
            self.end_turn();
            if self.is_finished() {
                break;
            }
        }
        self.close_all();
        Ok(())
    }

    fn sleep(&mut self) -> io::Result<()> {
        // The inbox is looked at after saying so: whoever adds to it later sees the processor asleep.
        let rests = self.listed.is_empty() && self.world.mailbox.fall_asleep() && self.inbox.is_empty();
        let timeout = if !rests {
            Some(Duration::ZERO)
        } else {
            let due = self.world.wheel.next().unwrap_or(Moment::NEVER).min(self.drain_ends);
            (due != Moment::NEVER).then(|| due - self.world.clock.now())
        };
        let waited = self.selector.wait(timeout);
        self.world.mailbox.awake();
        waited
    }

    fn begin_turn(&mut self) {
        self.world.now = self.world.clock.now();
        self.world.frames = TURN_FRAMES;
        self.world.bytes_in = TURN_BYTES;
        self.world.bytes_out = TURN_BYTES;
        self.world.bytes_made = TURN_BYTES;
        self.world.service.turn();
        if self.control.is_draining() && !self.world.draining {
            self.begin_drain();
        }
    }

    fn begin_drain(&mut self) {
        self.world.draining = true;
        self.drain_ends = self.world.now + self.world.settings.drain;
        let resting: Vec<u32> = (0u32..)
            .zip(&self.connections)
            .filter(|(_, (_, connection))| connection.as_ref().is_some_and(|connection| connection.is_at_rest()))
            .map(|(slot, _)| slot)
            .collect();
        for slot in resting {
            self.close(slot);
        }
    }

    fn end_turn(&mut self) {
        self.world.metrics.turn.record(self.world.clock.now().since(self.world.now));
    }

    fn is_finished(&self) -> bool {
        let drained = self.world.draining
            && (self.world.now >= self.drain_ends
                || self.free.len() == self.connections.len() && self.inbox.is_empty());
        drained || self.control.is_ended()
    }

    /// Notes which sockets are ready.
    fn notice(&mut self) {
        for (slot, event) in self.selector.events() {
            let Some((_, Some(connection))) = self.connections.get_mut(slot) else {
                continue;
            };
            // An error comes out of the next read or write, which closes the connection.
            let broken = event.is_error();
            connection.ready(
                event.is_readable() || broken,
                event.is_writable() || broken,
                event.is_read_closed() || event.is_write_closed(),
            );
            list(&mut self.listed, connection);
        }
    }

    /// Takes new connections in.
    fn welcome(&mut self) {
        for _ in 0..TURN_ACCEPTS {
            let Ok(accepted) = self.inbox.try_recv() else { return };
            self.world.metrics.inbox.record(self.world.now.since(accepted.at));
            self.open(accepted);
        }
    }

    fn open(&mut self, mut accepted: Accepted) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.connections.push((0, None));
            u32::try_from(self.connections.len() - 1).expect("connections are bounded by descriptors")
        });
        if let Err(error) = self.selector.register(&mut accepted.socket, slot as usize, true) {
            log::warn!("reactor: a connection could not be registered: {error}");
            self.free.push(slot);
            return;
        }
        let (generation, place) = &mut self.connections[slot as usize];
        let key = ConnectionKey { slot, generation: *generation };
        let peer = Peer { address: accepted.address, metrics: Arc::clone(&self.world.metrics) };
        let protocol = accepted.guest.begin(peer);
        let mut connection =
            Box::new(Connection::new(key, accepted.socket, protocol, accepted.admission, self.world.now));
        self.world.metrics.connections.increment();
        let idle = self.world.now + self.world.settings.idle;
        connection.arm(&mut self.world, idle);
        list(&mut self.listed, &mut connection);
        *place = Some(connection);
    }

    /// Brings what workers have ended to its connections.
    fn deliver(&mut self) {
        for _ in 0..TURN_COMPLETIONS {
            let Some(message) = self.world.mailbox.take() else {
                return;
            };
            match message {
                Message::Completed(completed) => {
                    let key = completed.key;
                    self.world.metrics.completion.record(self.world.now.since(completed.posted));
                    let connection = ConnectionKey { slot: key.connection, generation: key.generation };
                    let slot = Slot { index: key.request, generation: key.request_generation };
                    if let Some(connection) = find(&mut self.connections, connection) {
                        connection.completed(&mut self.world, slot, completed.answer);
                        list(&mut self.listed, connection);
                    }
                }
                Message::Room { key, what, room } => {
                    if let Some(connection) = find(&mut self.connections, key) {
                        connection.room(&mut self.world, what, room);
                        list(&mut self.listed, connection);
                    }
                }
            }
        }
    }

    /// Looks at the connections whose moment has come.
    fn expire(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        self.world.wheel.advance(self.world.now, &mut due);
        for key in due.drain(..) {
            let Some(connection) = find(&mut self.connections, key) else {
                continue;
            };
            if !connection.armed.is_due(self.world.now) {
                continue;
            }
            let next = connection.expire(&mut self.world);
            connection.arm(&mut self.world, next);
            list(&mut self.listed, connection);
        }
        self.due = due;
    }

    /// Steps the connections that have something to do, within this turn's share.
    fn step(&mut self) {
        let mut listed = std::mem::take(&mut self.listed);
        let (mut left_over, mut again) = (std::mem::take(&mut self.left_over), std::mem::take(&mut self.again));
        let mut stepped = 0;
        for key in listed.drain(..) {
            let Some(connection) = find(&mut self.connections, key) else {
                continue;
            };
            let is_spent = self.world.frames == 0
                || self.world.bytes_in == 0
                || self.world.bytes_out == 0
                || self.world.bytes_made == 0;
            if is_spent || stepped == TURN_CONNECTIONS {
                left_over.push(key);
                continue;
            }
            stepped += 1;
            connection.listed = false;
            match connection.step(&mut self.world) {
                Next::Rest => {}
                Next::Again => {
                    connection.listed = true;
                    again.push(key);
                }
                Next::Close => self.close(key.slot),
            }
        }
        // Those left over come before those that had their share, or a few that always have more would starve the rest.
        left_over.append(&mut again);
        // What is empty now is the next turn's memory.
        (self.listed, self.left_over, self.again) = (left_over, listed, again);
    }

    fn close(&mut self, slot: u32) {
        let (generation, place) = &mut self.connections[slot as usize];
        let Some(mut connection) = place.take() else { return };
        *generation = generation.wrapping_add(1);
        self.free.push(slot);
        if let Err(error) = self.selector.deregister(&mut connection.socket) {
            log::debug!("reactor: deregistering a connection: {error}");
        }
        connection.abandon(&mut self.world);
    }

    fn close_all(&mut self) {
        for slot in 0..u32::try_from(self.connections.len()).unwrap_or(u32::MAX) {
            self.close(slot);
        }
    }
}

fn find(connections: &mut [(u32, Option<Box<Connection>>)], key: ConnectionKey) -> Option<&mut Connection> {
    match connections.get_mut(key.slot as usize) {
        Some((generation, connection)) if *generation == key.generation => connection.as_deref_mut(),
        _ => None,
    }
}

fn list(listed: &mut Vec<ConnectionKey>, connection: &mut Connection) {
    if !connection.listed {
        connection.listed = true;
        listed.push(connection.key);
    }
}
