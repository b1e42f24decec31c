//! A processor: the thread that owns connections, reads and parses what they send, calls the service, and sends what
//! comes back.
//!
//! Always: it waits for nothing but its own poll. One turn handles a bounded number of events, connections, frames,
//! bytes and completions, and what is left over is taken up in the next turn, without a wait between.

use super::connection::{Connection, ConnectionKey, Next};
use super::control::Control;
use super::protocol::Guest;
use super::quota::Admission;
use super::requests::Slot;
use super::selector::Selector;
use super::settings::Settings;
use super::wheel::Wheel;
use crate::base::budget::{Budget, Reservation};
use crate::base::buffers::BufferPool;
use crate::base::clock::{Clock, Moment};
use crate::base::completion::Completion;
use crate::base::limits::{
    READ_BUFFER_BYTES, READ_KEPT_BYTES_MAX, READ_STARVED_BYTES, TURN_ACCEPTS, TURN_BYTES, TURN_COMPLETIONS,
    TURN_CONNECTIONS, TURN_EVENTS, TURN_FRAMES,
};
use crate::base::mailbox::Mailbox;
use crate::metrics::ProcessorMetrics;
use crate::request::{Completed, Service, Status};
use crossbeam_channel::{Receiver, Sender, bounded};
use mio::net::TcpStream;
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

/// What is posted to a processor.
#[derive(Debug)]
pub(super) enum Message {
    Completed(Completed),
    Room { key: ConnectionKey, what: RoomFor, room: Reservation },
}

impl From<Completed> for Message {
    fn from(completed: Completed) -> Self {
        Self::Completed(completed)
    }
}

/// What room was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RoomFor {
    Body,
    Reply(Slot),
    Piece(Slot),
}

/// A connection on its way from the acceptor.
pub(super) struct Accepted {
    pub(super) socket: TcpStream,
    pub(super) guest: Arc<dyn Guest>,
    pub(super) admission: Admission,
    pub(super) at: Moment,
}

/// The acceptor's side of a processor.
#[derive(Clone)]
pub struct Inbox {
    sender: Sender<Accepted>,
    mailbox: Arc<Mailbox<Message>>,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").field("depth", &self.sender.len()).finish()
    }
}

impl Inbox {
    /// Hands a connection over; gives it back if the inbox is full.
    pub(super) fn offer(&self, accepted: Accepted) -> Result<(), Accepted> {
        self.sender.try_send(accepted).map_err(crossbeam_channel::TrySendError::into_inner)?;
        self.mailbox.wake_if_asleep();
        Ok(())
    }

    /// Makes the processor look at its control.
    pub fn nudge(&self) {
        self.mailbox.nudge();
    }

    /// Connections that wait, completions that wait, and places that unfinished work has taken.
    #[must_use]
    pub fn depths(&self) -> (usize, usize, usize) {
        (self.sender.len(), self.mailbox.depth(), self.mailbox.taken())
    }
}

/// All of a processor but its connections: what they share.
pub(super) struct World {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: Arc<Settings>,
    pub(super) pool: Arc<BufferPool>,
    pub(super) budget_in: Arc<Budget>,
    pub(super) budget_out: Arc<Budget>,
    pub(super) metrics: Arc<ProcessorMetrics>,
    pub(super) mailbox: Arc<Mailbox<Message>>,
    pub(super) service: Box<dyn Service>,
    pub(super) draining: bool,
    /// The time of this turn.
    pub(super) now: Moment,
    /// Where heads are read to.
    pub(super) scratch: Vec<u8>,
    /// Bytes that connections keep unused.
    pub(super) kept: usize,
    /// What is left of this turn.
    pub(super) frames: usize,
    pub(super) bytes_in: usize,
    pub(super) bytes_out: usize,
    wheel: Wheel<ConnectionKey>,
}

impl World {
    /// Makes sure that the connection is looked at no later than `due`.
    pub(super) fn arm(&mut self, connection: &mut Connection, due: Moment) {
        connection.armed.arm(&mut self.wheel, self.now, due, connection.key);
    }

    /// How room is announced to a connection; `None` when there is no place for the announcement.
    pub(super) fn room_completion(&self, key: ConnectionKey, what: RoomFor) -> Option<Completion<Reservation>> {
        let place = self.mailbox.place()?;
        Some(Completion::new(move |room| place.post(Message::Room { key, what, room })))
    }

    /// The time that a request may take.
    pub(super) fn allowance(&self, deadline_ms: u32) -> Duration {
        match deadline_ms {
            0 => self.settings.deadline_default,
            ms => Duration::from_millis(u64::from(ms)).min(self.settings.deadline_max),
        }
    }

    /// How much of a head is read at once.
    pub(super) fn read_bytes(&self) -> usize {
        if self.kept > READ_KEPT_BYTES_MAX { READ_STARVED_BYTES } else { READ_BUFFER_BYTES }
    }

    /// Counts a request that has its answer.
    pub(super) fn count_ended(&self, status: Status) {
        self.metrics.by_status.of(status.code()).increment();
        if status.is_answer() { &self.metrics.answered } else { &self.metrics.rejected }.increment();
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
        let protocol = accepted.guest.begin();
        let mut connection =
            Box::new(Connection::new(key, accepted.socket, protocol, accepted.admission, self.world.now));
        self.world.metrics.connections.increment();
        let idle = self.world.now + self.world.settings.idle;
        self.world.arm(&mut connection, idle);
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
            self.world.arm(connection, next);
            list(&mut self.listed, connection);
        }
        self.due = due;
    }

    /// Steps the connections that have something to do, within this turn's share.
    fn step(&mut self) {
        let mut listed = std::mem::take(&mut self.listed);
        let (mut left_over, mut again) = (Vec::new(), Vec::new());
        let mut stepped = 0;
        for key in listed.drain(..) {
            let Some(connection) = find(&mut self.connections, key) else {
                continue;
            };
            let is_spent = self.world.frames == 0 || self.world.bytes_in == 0 || self.world.bytes_out == 0;
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
        self.listed = left_over;
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
