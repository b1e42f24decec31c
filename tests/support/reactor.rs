//! A reactor with a scripted service in the place of disks: what a request does is in its sequence number.

use bytes::Bytes;
use larder::base::budget::{Budget, Reservation};
use larder::base::buffers::BufferPool;
use larder::base::clock::SystemClock;
use larder::base::ids::{ClusterId, ContentHash, Cookie, NodeId, ObjectId, Sequence, VolumeId};
use larder::base::mailbox::Wake;
use larder::binary::Binary;
use larder::metrics::{NodeMetrics, ProcessorMetrics};
use larder::net::{Acceptor, Control, Inbox, Listener, Processor, ProcessorParts, Quota, Settings};
use larder::request::{
    Answer, Attributes, Call, Content, Durability, Limits, Meta, Operation, Outcome, Piece, Pieces, Responder, Service,
    Stored,
};
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::JoinHandle;

/// Is answered at once.
pub const AT_ONCE: u64 = 0;
/// Is answered when the test takes its responder.
pub const HELD: u64 = 1;
/// Its worker drops it.
pub const DROPPED: u64 = 2;
/// Content of as many MiB as the sequence says beyond this, 256 KiB a piece.
pub const CONTENT: u64 = 1000;
/// As `CONTENT`, and the second piece is damaged.
pub const BROKEN: u64 = 2000;
/// As `CONTENT`, and every piece is in memory: it is answered without a worker.
pub const IN_MEMORY: u64 = 3000;
/// Content of 192 KiB and a bit, as a range over five blocks is: its second piece is short, and in memory.
pub const SHORT: u64 = 4000;

pub fn id(sequence: u64) -> ObjectId {
    ObjectId { volume: VolumeId(1), sequence: Sequence(sequence), cookie: Cookie(7) }
}

/// The byte at a place of scripted content.
pub fn byte_at(place: u64) -> u8 {
    (place % 251) as u8
}

/// Bytes of scripted content, at most 512 KiB.
fn scripted(place: u64, bytes: u64) -> Bytes {
    static BYTES: LazyLock<Bytes> = LazyLock::new(|| (0..(512 << 10) + 251).map(byte_at).collect::<Vec<u8>>().into());
    let first = (place % 251) as usize;
    BYTES.slice(first..first + bytes as usize)
}

pub struct Reactor {
    pub address: SocketAddr,
    pub metrics: Arc<ProcessorMetrics>,
    pub node_metrics: Arc<NodeMetrics>,
    pub budget_in: Arc<Budget>,
    pub budget_out: Arc<Budget>,
    /// The responders of requests that are held.
    pub held: Arc<Mutex<Vec<Responder>>>,
    /// The payloads that were put.
    pub stored: Arc<Mutex<Vec<Bytes>>>,
    control: Arc<Control>,
    inbox: Inbox,
    nudge: Box<dyn Wake>,
    threads: Vec<JoinHandle<()>>,
}

pub struct Script {
    pub settings: Settings,
    pub budget_in: usize,
    pub budget_out: usize,
    pub connections_per_address: usize,
}

impl Default for Script {
    fn default() -> Self {
        Self { settings: Settings::default(), budget_in: 64 << 20, budget_out: 64 << 20, connections_per_address: 1000 }
    }
}

impl Script {
    pub fn start(self) -> Reactor {
        let clock = SystemClock::shared();
        let control = Arc::new(Control::default());
        let (budget_in, budget_out) = (Budget::new(self.budget_in), Budget::new(self.budget_out));
        let parts = ProcessorParts {
            clock: Arc::clone(&clock),
            settings: Arc::new(self.settings),
            pool: BufferPool::new(16 << 20),
            budget_in: Arc::clone(&budget_in),
            budget_out: Arc::clone(&budget_out),
            control: Arc::clone(&control),
        };
        let metrics = Arc::<ProcessorMetrics>::default();
        let (held, stored) = (Arc::default(), Arc::default());
        let service =
            Scripted { held: Arc::clone(&held), stored: Arc::clone(&stored), budget: Arc::clone(&budget_out) };
        let processor = Processor::new(parts, Box::new(service), Arc::clone(&metrics)).unwrap();
        let inbox = processor.inbox();
        let limits = Limits {
            cluster: ClusterId(1),
            node: NodeId(2),
            body_bytes_max: 8 << 20,
            chunk_bytes_max: 8 << 20,
            in_flight_max: 8,
            deadline_default_ms: 1,
            deadline_max_ms: 1,
        };
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Arc::new(Binary::new(limits))).unwrap();
        let address = listener.address();
        let node_metrics = Arc::<NodeMetrics>::default();
        let quota = Quota::new(10_000, self.connections_per_address);
        let (inboxes, node) = (vec![inbox.clone()], Arc::clone(&node_metrics));
        let acceptor = Acceptor::new(vec![listener], inboxes, quota, clock, node, Arc::clone(&control)).unwrap();
        let nudge = acceptor.nudge();
        let threads = vec![
            std::thread::spawn(move || processor.run().unwrap()),
            std::thread::spawn(move || acceptor.run().unwrap()),
        ];
        Reactor { address, metrics, node_metrics, budget_in, budget_out, held, stored, control, inbox, nudge, threads }
    }
}

impl Reactor {
    pub fn start() -> Self {
        Script::default().start()
    }

    pub fn drain(&self) {
        self.control.drain();
        self.nudge.wake();
        self.inbox.nudge();
    }

    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Takes a held request, waiting for it.
    pub fn take_held(&self) -> Responder {
        super::eventually("a request is held", || !self.held.lock().unwrap().is_empty());
        self.held.lock().unwrap().remove(0)
    }

    /// Every request has ended one way, and nothing is held anywhere.
    pub fn assert_at_rest(&self) {
        let metrics = &self.metrics;
        super::eventually("every request ended", || {
            metrics.accepted.value() == metrics.answered.value() + metrics.rejected.value() + metrics.abandoned.value()
        });
        super::eventually("every gauge is zero", || {
            metrics.in_flight.value() == 0
                && metrics.muted.value() == 0
                && metrics.sending.value() == 0
                && metrics.parsing.value() == 0
                && self.budget_in.used() + self.budget_out.used() == 0
                && self.budget_in.waiting() + self.budget_out.waiting() == 0
        });
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        self.control.drain();
        self.control.end();
        self.nudge.wake();
        self.inbox.nudge();
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "a reactor thread panicked");
        }
    }
}

struct Scripted {
    held: Arc<Mutex<Vec<Responder>>>,
    stored: Arc<Mutex<Vec<Bytes>>>,
    budget: Arc<Budget>,
}

impl Service for Scripted {
    fn call(&mut self, operation: Operation, call: Call<'_>) -> Outcome<Operation> {
        match operation {
            Operation::Ping(bytes) => Outcome::Answered(Answer::Pong(bytes)),
            Operation::Put(put) => {
                let payload = put.payload;
                let stored = Stored {
                    id: id(5),
                    hash: payload.hash,
                    size: payload.bytes.len() as u64,
                    durability: Durability::Disk,
                };
                // A copy, so that the buffer and its room go back.
                self.stored.lock().unwrap().push(Bytes::copy_from_slice(&payload.bytes));
                Outcome::Answered(Answer::Stored(stored))
            }
            Operation::Stat(id) | Operation::Get { id, .. } => self.script(id.sequence.0, call),
            Operation::Delete(_) => Outcome::Answered(Answer::Deleted(Durability::Disk)),
            Operation::Name(_) => {
                Outcome::Answered(Answer::refused(larder::request::Status::Unavailable, "no names here"))
            }
            Operation::Status | Operation::Scrub { .. } | Operation::Ready => {
                Outcome::Answered(Answer::Status(Bytes::from_static(b"{}")))
            }
            Operation::Metrics => Outcome::Answered(Answer::Status(Bytes::from_static(b"# EOF\n"))),
        }
    }
}

impl Scripted {
    fn script(&mut self, sequence: u64, call: Call<'_>) -> Outcome<Operation> {
        match sequence {
            AT_ONCE => Outcome::Answered(Answer::Stat(meta(0))),
            HELD => {
                self.held.lock().unwrap().push((call.responder)().expect("there is a place"));
                Outcome::Pending
            }
            DROPPED => {
                drop((call.responder)());
                Outcome::Pending
            }
            _ => self.content(sequence, call),
        }
    }

    fn content(&mut self, sequence: u64, call: Call<'_>) -> Outcome<Operation> {
        let in_memory = sequence >= IN_MEMORY;
        let broken = sequence >= BROKEN && !in_memory;
        let base = [SHORT, IN_MEMORY, BROKEN, CONTENT].into_iter().find(|base| sequence >= *base).expect("content");
        let size = if base == SHORT { (192 << 10) + 100 } else { (sequence - base) << 20 };
        let piece_bytes = if base == SHORT { 192 << 10 } else { 256 << 10 };
        let mut pieces = Scripture { next: 0, size, piece_bytes, budget: Arc::clone(&self.budget), broken, in_memory };
        match pieces.piece(call.room) {
            Err(bytes) => Outcome::NoRoom { bytes, again: Operation::Get { id: id(sequence), range: None } },
            Ok(first) => {
                let rest = (!pieces.is_done()).then(|| Box::new(pieces) as _);
                Outcome::Answered(Answer::Content(Content { meta: meta(size), range: 0..size, first, rest }))
            }
        }
    }
}

pub fn meta(size: u64) -> Arc<Meta> {
    Arc::new(Meta { size, hash: ContentHash(9), stored_ms: 1, attributes: Attributes::default() })
}

/// Content that is made up, piece by piece, with room as the real one has it.
#[derive(Debug)]
struct Scripture {
    next: u64,
    size: u64,
    piece_bytes: u64,
    budget: Arc<Budget>,
    broken: bool,
    in_memory: bool,
}

impl Scripture {
    fn piece(&mut self, room: Option<Reservation>) -> Result<Piece, usize> {
        let bytes = self.piece_bytes.min(self.size - self.next);
        let room = match room.or_else(|| self.budget.try_reserve(bytes as usize)) {
            Some(room) => room,
            None => return Err(bytes as usize),
        };
        let part = scripted(self.next, bytes);
        self.next += bytes;
        Ok(Piece { parts: vec![part].into(), room: Some(room), known: None })
    }
}

impl Pieces for Scripture {
    fn next(&mut self, call: Call<'_>) -> Outcome<()> {
        if self.broken {
            return Outcome::Answered(Answer::refused(larder::request::Status::Damaged, "scripted"));
        }
        match self.piece(call.room) {
            Err(bytes) => Outcome::NoRoom { bytes, again: () },
            Ok(piece) if self.in_memory => Outcome::Answered(Answer::More(piece)),
            Ok(piece) => {
                let responder = (call.responder)().expect("there is a place");
                std::thread::spawn(move || responder.answer(Answer::More(piece)));
                Outcome::Pending
            }
        }
    }

    fn is_done(&self) -> bool {
        self.next >= self.size
    }
}
