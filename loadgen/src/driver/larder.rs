//! Larder's binary protocol: `protocol.md` of the node.
//!
//! A worker's thread. Always: the correlation id of a request is its slot and a generation, so no reply of an older
//! request is taken for one of a newer; a frame whose checksum is wrong ends the connection. Content goes to the sink as
//! it comes, before the checksum of its frame is known.

mod creation;
mod frame;

use super::{Driver, Garbage, Output, Reply, Sink, Slot};
use crate::workload::{Key, Step, Verb, payload};
use ::larder::base::ids::Origin;
use ::larder::base::limits::CHUNK_BYTES_MAX;
use ::larder::request::{ByteRange, Class, Durability, Status};
use ::larder::wire::{
    ChecksumKind, EmptyCommit, Get, Header, Hello, LookupHead, Opcode, PutHead, Request, Welcome, encode_object_id,
    parse_stored,
};
use bytes::Bytes;
use creation::Creation;
use frame::{Frame, Part};
use std::ops::Range;

/// CRC-32C: what a client that wants speed takes.
const CHECKSUM: ChecksumKind = ChecksumKind::Crc32c;
/// The correlation of the hello. Those of a connection's own requests have no slot in their low half.
const HELLO: u64 = 1 << 32;
/// The correlation of a request for a session.
const SESSION: u64 = 2 << 32;
/// A lookup tells where content up to 8 MiB is.
const LOOKUP_CHUNKS: u32 = 1;

/// How a node is spoken to.
#[derive(Debug, Clone)]
pub struct LarderOptions {
    /// Requests that may be unanswered on a connection.
    pub depth: usize,
    /// When a put is to be answered.
    pub durability: Durability,
    /// The deadline of requests; 0 for the node's default.
    pub deadline_ms: u32,
    /// Whether names will be made: then each connection opens a session first.
    pub creates: bool,
    /// Where names are: a path without a slash at its end, "" for the root.
    pub directory: String,
}

/// A connection to a node.
#[derive(Debug)]
pub struct Larder {
    options: LarderOptions,
    asked: Vec<Asked>,
    generation: u32,
    /// Requests that the node lets be unanswered; `None` before its welcome.
    in_flight_max: Option<usize>,
    creation: Creation,
    /// The frame that is being read.
    frame: Option<Frame>,
    /// The path of a name, made anew for each.
    path: Vec<u8>,
}

/// What a slot waits for.
#[derive(Debug, Clone, Default)]
struct Asked {
    generation: u32,
    opcode: Option<Opcode>,
    /// Bytes to put.
    bytes: u64,
    /// The part to get; `None` for the whole.
    range: Option<(u64, u64)>,
    /// The session of a create.
    session: u64,
    /// Bytes of content that are still to come; `None` before the first frame.
    left: Option<u64>,
}

impl Larder {
    /// A driver for one connection.
    #[must_use]
    pub fn new(options: LarderOptions) -> Self {
        assert!(options.depth > 0, "a driver lets a request be unanswered");
        Self {
            asked: vec![Asked::default(); options.depth],
            generation: 0,
            in_flight_max: None,
            creation: Creation::default(),
            frame: None,
            path: Vec::new(),
            options,
        }
    }

    fn add(
        &self,
        opcode: Opcode,
        correlation: u64,
        fixed: &[u8],
        path: &[u8],
        content: Option<(Key, u64)>,
        output: &mut Output,
    ) {
        let mut checksum = CHECKSUM.running();
        checksum.update(fixed);
        checksum.update(path);
        let mut body_bytes = (fixed.len() + path.len()) as u64;
        if let Some((key, bytes)) = content {
            payload::each(key, 0, bytes, |part| checksum.update(part));
            body_bytes += bytes;
        }
        let mut header = Header::request(opcode.code(), CHECKSUM, correlation, self.options.deadline_ms);
        header.body_bytes = u32::try_from(body_bytes).expect("contents are at most those of a chunk");
        header.body_checksum = checksum.value();
        output.bytes(&header.encode());
        output.bytes(fixed);
        output.bytes(path);
        if let Some((key, bytes)) = content {
            output.content(key, bytes);
        }
    }

    fn add_request(&self, request: &Request, correlation: u64, output: &mut Output) {
        for part in request.encode(CHECKSUM, correlation, self.options.deadline_ms) {
            output.bytes(&part);
        }
    }

    fn set_path(&mut self, key: Key) {
        self.path.clear();
        self.path.extend_from_slice(self.options.directory.as_bytes());
        self.path.push(b'/');
        crate::workload::name(key, &mut self.path);
    }

    /// The next header, and what its frame is to; `None` until it is whole.
    fn begin(&mut self, input: &[u8]) -> Result<Option<usize>, Garbage> {
        let Some(frame) = Frame::begin(input)? else { return Ok(None) };
        let header = &frame.header;
        let opcode = match header.correlation {
            0 => None,
            HELLO if self.in_flight_max.is_none() => Some(Opcode::Hello),
            SESSION if self.creation.is_asked() => Some(Opcode::Session),
            correlation => Some(self.asked_of(correlation)?.opcode.ok_or_else(|| unasked(correlation))?),
        };
        if let Some(opcode) = opcode.filter(|opcode| opcode.code() != header.opcode) {
            let place = format!("a reply to {}, came one to opcode {:#04x}", opcode.name(), header.opcode);
            return Err(Garbage(format!("expected {place}")));
        }
        let is_content = opcode == Some(Opcode::Get) && header.status == Status::Ok.code();
        if !is_content && !header.is_last() {
            return Err(Garbage(format!("opcode {:#04x}: expected one frame, came more", header.opcode)));
        }
        let has_front = is_content && self.asked_of(header.correlation)?.left.is_none();
        self.frame = Some(frame.of(is_content, has_front)?);
        Ok(Some(::larder::wire::HEADER_BYTES))
    }

    /// What a correlation id is of. It is Garbage if it is of nothing that is unanswered.
    fn asked_of(&mut self, correlation: u64) -> Result<&mut Asked, Garbage> {
        let (slot, generation) = (slot_of(correlation), correlation >> 32);
        slot.and_then(|slot| self.asked.get_mut(usize::try_from(slot.0).ok()?))
            .filter(|asked| asked.opcode.is_some() && u64::from(asked.generation) == generation)
            .ok_or_else(|| unasked(correlation))
    }

    /// More of the body of `frame`; `None` until more is here, and then the frame is put back.
    fn go_on(&mut self, mut frame: Frame, input: &[u8], sink: &mut dyn Sink) -> Result<Option<usize>, Garbage> {
        let correlation = frame.header.correlation;
        let taken = match frame.part {
            Part::Small => {
                let Some(body) = frame.whole(input)? else {
                    self.frame = Some(frame);
                    return Ok(None);
                };
                self.answer(&frame.header, body, sink)?;
                return Ok(Some(body.len()));
            }
            Part::Front => match frame.front(input)? {
                Some(front) => {
                    let asked = self.asked_of(correlation)?;
                    asked.begin_content(&front.range, front.size)?;
                    frame.part = Part::Attributes(front.attribute_bytes);
                    ::larder::wire::ContentFront::BYTES
                }
                None => {
                    self.frame = Some(frame);
                    return Ok(None);
                }
            },
            Part::Attributes(0) => {
                frame.part = Part::Content;
                0
            }
            Part::Attributes(left) => {
                let taken = frame.take(input, left)?.len();
                frame.part = Part::Attributes(left - taken);
                taken
            }
            Part::Content if frame.left == 0 => {
                frame.check()?;
                if frame.header.is_last() {
                    self.end_content(correlation, sink)?;
                }
                return Ok(Some(0));
            }
            Part::Content => {
                let content = frame.take(input, usize::MAX)?;
                if !content.is_empty() {
                    self.asked_of(correlation)?.take_content(content.len())?;
                    sink.content(slot_of(correlation).ok_or_else(|| unasked(correlation))?, content);
                }
                content.len()
            }
        };
        let needs_more = input.is_empty() && frame.left > 0;
        self.frame = Some(frame);
        Ok((!needs_more).then_some(taken))
    }

    fn end_content(&mut self, correlation: u64, sink: &mut dyn Sink) -> Result<(), Garbage> {
        let asked = self.asked_of(correlation)?;
        match asked.left {
            Some(0) => self.end(correlation, Reply::Ok { id: None }, sink),
            left => Err(Garbage(format!("a content ended {} bytes before its end", left.unwrap_or_default()))),
        }
    }

    fn end(&mut self, correlation: u64, reply: Reply, sink: &mut dyn Sink) -> Result<(), Garbage> {
        let asked = self.asked_of(correlation)?;
        asked.opcode = None;
        asked.left = None;
        sink.done(slot_of(correlation).ok_or_else(|| unasked(correlation))?, reply);
        Ok(())
    }

    /// A reply that is one small frame, whose body is here and checked.
    fn answer(&mut self, header: &Header, body: &[u8], sink: &mut dyn Sink) -> Result<(), Garbage> {
        let status = Status::of_code(header.status).unwrap_or(Status::Internal);
        match header.correlation {
            0 => Err(Garbage(format!("the node ends the connection: {} {}", status.name(), body.escape_ascii()))),
            HELLO if self.in_flight_max.is_none() => self.welcome(status, body),
            SESSION if self.creation.is_asked() => {
                self.creation.answered(header, status, &Bytes::copy_from_slice(body))
            }
            correlation if status == Status::Ok => self.done(correlation, body, sink),
            correlation => self.refused(correlation, status, sink),
        }
    }

    fn welcome(&mut self, status: Status, body: &[u8]) -> Result<(), Garbage> {
        if status != Status::Ok {
            return Err(Garbage(format!("the node refuses the hello: {} {}", status.name(), body.escape_ascii())));
        }
        let welcome = Welcome::parse(body).map_err(bad)?;
        self.in_flight_max = Some(usize::try_from(welcome.limits.in_flight_max).unwrap_or(usize::MAX));
        Ok(())
    }

    fn done(&mut self, correlation: u64, body: &[u8], sink: &mut dyn Sink) -> Result<(), Garbage> {
        let durability = self.options.durability;
        let asked = self.asked_of(correlation)?;
        let bytes_min = match asked.opcode.ok_or_else(|| unasked(correlation))? {
            Opcode::Put => {
                let stored = parse_stored(body).map_err(bad)?;
                let is_weaker = durability == Durability::Disk && stored.durability != Durability::Disk;
                if stored.size != asked.bytes || is_weaker {
                    let expected = format!("{} bytes stored ({durability:?})", asked.bytes);
                    return Err(Garbage(format!("expected {expected}, came {stored:?}")));
                }
                return self.end(correlation, Reply::Ok { id: Some(stored.id) }, sink);
            }
            Opcode::Delete => ::larder::wire::DELETED_BYTES,
            Opcode::Stat => frame::STAT_BYTES,
            Opcode::Commit => frame::CHANGED_BYTES,
            _ => frame::ENTRY_BYTES,
        };
        if body.len() < bytes_min {
            return Err(Garbage(format!("expected a reply of {bytes_min} bytes, came {}", body.len())));
        }
        self.end(correlation, Reply::Ok { id: None }, sink)
    }

    fn refused(&mut self, correlation: u64, status: Status, sink: &mut dyn Sink) -> Result<(), Garbage> {
        let asked = self.asked_of(correlation)?;
        // The number of any other refusal has led to something.
        if asked.opcode == Some(Opcode::Commit) && !matches!(status.class(), Class::Fact | Class::Mend) {
            let session = asked.session;
            self.creation.abandoned(session);
        } else if asked.opcode == Some(Opcode::Commit) && status == Status::SessionUnknown {
            let session = asked.session;
            self.creation.lost(session);
        }
        let reply = match status {
            Status::Busy => Reply::Busy,
            Status::NotFound => Reply::Missing,
            other => Reply::Refused(other.name()),
        };
        self.end(correlation, reply, sink)
    }
}

impl Asked {
    /// The range that a content will have, as its first frame says.
    fn begin_content(&mut self, range: &Range<u64>, size: u64) -> Result<(), Garbage> {
        let fits = match self.range {
            None => *range == (0..size),
            Some((start, bytes)) => range.start == start && range.end - range.start <= bytes,
        };
        if !fits {
            let expected = self.range.map_or("all".to_owned(), |(start, bytes)| format!("{bytes} from {start}"));
            return Err(Garbage(format!("expected the bytes {expected}, came {range:?} of {size}")));
        }
        self.left = Some(range.end - range.start);
        Ok(())
    }

    fn take_content(&mut self, bytes: usize) -> Result<(), Garbage> {
        let left = self.left.and_then(|left| left.checked_sub(bytes as u64));
        self.left = Some(left.ok_or_else(|| Garbage("a content goes on behind its end".to_owned()))?);
        Ok(())
    }
}

impl Driver for Larder {
    fn open(&mut self, output: &mut Output) {
        self.frame = None;
        self.in_flight_max = None;
        self.creation = Creation::default();
        for asked in &mut self.asked {
            asked.opcode = None;
            asked.left = None;
        }
        self.add_request(&Request::Hello(Hello::of("loadgen")), HELLO, output);
        if self.options.creates {
            let ask = self.creation.ask();
            self.add_request(&ask, SESSION, output);
        }
    }

    fn is_ready(&self) -> bool {
        self.in_flight_max.is_some() && (!self.options.creates || self.creation.is_open())
    }

    fn depth(&self) -> usize {
        self.options.depth.min(self.in_flight_max.unwrap_or(usize::MAX))
    }

    fn can(&self, verb: Verb) -> bool {
        verb != Verb::Create || self.options.creates
    }

    fn content_bytes_max(&self) -> u64 {
        CHUNK_BYTES_MAX as u64
    }

    fn encode(&mut self, step: &Step, slot: Slot, output: &mut Output) {
        self.generation = self.generation.wrapping_add(1);
        let correlation = u64::from(self.generation) << 32 | (u64::from(slot.0) + 1);
        let object = &step.object;
        let range = step.range.filter(|_| step.verb == Verb::Range);
        let id = || object.id.expect("a node names what is put, and so what is asked for");
        let mut session = 0;
        let opcode = match step.verb {
            Verb::Put => {
                let payload_bytes = usize::try_from(object.bytes).expect("contents are at most those of a chunk");
                let origin = Origin::default();
                let head = PutHead { durability: self.options.durability, origin, attribute_bytes: 0, payload_bytes };
                let content = Some((object.key, object.bytes));
                self.add(Opcode::Put, correlation, &head.encode(), &[], content, output);
                Opcode::Put
            }
            Verb::Get | Verb::Range => {
                let range = range.map(|(start, length)| ByteRange { start, length });
                let get = Get { id: id(), range };
                self.add(Opcode::Get, correlation, &get.encode(), &[], None, output);
                Opcode::Get
            }
            Verb::Head | Verb::Delete => {
                let opcode = if step.verb == Verb::Head { Opcode::Stat } else { Opcode::Delete };
                self.add(opcode, correlation, &encode_object_id(id()), &[], None, output);
                opcode
            }
            Verb::Create => {
                if self.creation.needs_another() {
                    let ask = self.creation.ask();
                    self.add_request(&ask, SESSION, output);
                }
                self.set_path(object.key);
                let origin = self.creation.number();
                session = origin.session;
                let head = EmptyCommit { id: origin, path_bytes: self.path.len() };
                self.add(Opcode::Commit, correlation, &head.encode(), &self.path, None, output);
                Opcode::Commit
            }
            Verb::Lookup => {
                self.set_path(object.key);
                let path_bytes = self.path.len();
                let head = LookupHead { chunk_first: 0, chunks_max: LOOKUP_CHUNKS, path_bytes };
                self.add(Opcode::Lookup, correlation, &head.encode(), &self.path, None, output);
                Opcode::Lookup
            }
        };
        let place = usize::try_from(slot.0).expect("a slot is below the depth");
        let asked = &mut self.asked[place];
        assert!(asked.opcode.is_none(), "the slot is free");
        let generation = self.generation;
        *asked = Asked { generation, opcode: Some(opcode), bytes: object.bytes, range, session, left: None };
    }

    fn decode(&mut self, input: &[u8], sink: &mut dyn Sink) -> Result<usize, Garbage> {
        let mut rest = input;
        loop {
            let taken = match self.frame.take() {
                None => self.begin(rest)?,
                Some(frame) => self.go_on(frame, rest, sink)?,
            };
            let Some(taken) = taken else { return Ok(input.len() - rest.len()) };
            rest = rest.get(taken..).expect("no more is taken than is there");
        }
    }

    fn closed(&mut self, _: &mut dyn Sink) -> bool {
        self.frame.is_none() && self.is_ready() && self.asked.iter().all(|asked| asked.opcode.is_none())
    }
}

fn slot_of(correlation: u64) -> Option<Slot> {
    u32::try_from(correlation & u64::from(u32::MAX)).ok()?.checked_sub(1).map(Slot)
}

fn unasked(correlation: u64) -> Garbage {
    Garbage(format!("a reply to {correlation:#x}, which no unanswered request has"))
}

fn bad(bad: ::larder::wire::BadBody) -> Garbage {
    Garbage(bad.to_string())
}

#[cfg(test)]
#[path = "larder/tests.rs"]
mod tests;
