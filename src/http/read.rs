//! GET and HEAD of a file or an object.
//!
//! Processor thread; pure. Always: conditions are evaluated on what the content that follows belongs to; the head is said with
//! the first verified bytes, so that what goes wrong before is told as a status; what goes wrong later ends the connection.
//!
//! ```text
//! Ask ──lookup, stat──▶ Asked ──facts──▶ (answered), or Send
//! Ask ──get of an object by id, without conditions──▶ Whole ──content──▶ Sending
//! Send ──get of a part──▶ Sending ──last piece──▶ Send, or (answered)
//! Send ──ids of further chunks──▶ Looking ──ids──▶ Send
//! Sending ──a chunk is gone, nothing said yet──▶ Ask: the name was given other content
//! ```

use super::conditions::{Conditions, Validators, Verdict};
use super::content_type::content_type;
use super::disposition::{Wish, disposition};
use super::exchange::{Say, Step};
use super::field_value::stored;
use super::multipart::Multipart;
use super::plan::{Part, Place, Plan};
use super::range::{Ranges, Resolved};
use super::refused::Failure;
use super::reply::{DATE_AT, ReplyHead};
use super::target::Query;
use super::{date, metadata};
use crate::base::ids::{ContentHash, ObjectId};
use crate::base::limits::{CHUNK_BYTES_MAX, LOOKUP_CHUNKS_MAX};
use crate::base::path::NamePath;
use crate::request::{
    Answer, Attributes, Content, Entry, Lookup, Meta, NameAnswer, NameKind, NameOperation, Operation, Piece, Stamp,
    Status,
};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;

/// Times that a name is looked up because its content was replaced between lookup and read.
const TRIES_MAX: u8 = 4;
/// What is at an id never changes.
const CACHE_CONTROL_IDS: &[u8] = b"public, max-age=31536000, immutable";

/// What is read.
#[derive(Debug)]
pub(super) enum What {
    /// What a name leads to.
    Name(NamePath),
    /// An object.
    Id(ObjectId),
}

pub(super) struct Read {
    pub(super) what: What,
    pub(super) conditions: Conditions,
    pub(super) ranges: Option<Ranges>,
    pub(super) query: Option<Box<Query>>,
    pub(super) is_head: bool,
    /// The target of a plain GET, whose answer may be kept.
    pub(super) keeps_as: Option<Box<[u8]>>,
    stamp: Option<Stamp>,
    state: State,
    tries: u8,
}

enum State {
    Ask,
    Asked,
    Whole,
    Send(Sending),
    Sending(Sending, Option<Part>),
    Looking(Sending),
    Ended,
}

/// An answer with content.
struct Sending {
    plan: Plan,
    /// Said with the first bytes.
    head: Option<(u16, Bytes)>,
    /// Of the name; what has another version is other content.
    version: u64,
}

/// What is known about what is read.
struct Facts {
    size: u64,
    hash: ContentHash,
    modified_ms: u64,
    attributes: Attributes,
    version: u64,
    chunks: Vec<ObjectId>,
}

impl Read {
    pub(super) fn new(what: What, conditions: Conditions, ranges: Option<Ranges>, query: Query, is_head: bool) -> Self {
        let query = (query != Query::default()).then(|| Box::new(query));
        Self { what, conditions, ranges, query, is_head, keeps_as: None, stamp: None, state: State::Ask, tries: 0 }
    }

    pub(super) fn next(&mut self) -> Option<Step> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Ask => {
                let operation = self.first_operation();
                self.state = if matches!(operation, Operation::Get { .. }) { State::Whole } else { State::Asked };
                Some(Step::Ask(0, operation))
            }
            State::Send(sending) => match sending.plan.place() {
                Place::Part(part) => {
                    let operation = Operation::Get { id: part.id, range: part.asked() };
                    self.state = State::Sending(sending, Some(part));
                    Some(Step::Ask(0, operation))
                }
                Place::Beyond(first) => {
                    self.state = State::Looking(sending);
                    self.lookup(first).map(|operation| Step::Ask(0, operation))
                }
                Place::End => None,
            },
            other => {
                self.state = other;
                None
            }
        }
    }

    fn first_operation(&self) -> Operation {
        match &self.what {
            What::Id(id) if self.is_head || !self.conditions.is_empty() || self.ranges.is_some() => {
                Operation::Stat(*id)
            }
            What::Id(id) => Operation::Get { id: *id, range: None },
            What::Name(path) => lookup(path, 0),
        }
    }

    fn lookup(&self, first: u32) -> Option<Operation> {
        match &self.what {
            What::Name(path) => Some(lookup(path, first)),
            What::Id(_) => None,
        }
    }

    pub(super) fn answer(&mut self, answer: Answer, last: bool, say: &mut Say<'_>) {
        let answer = match answer {
            Answer::HotName(entry, stamp) => {
                self.stamp = stamp;
                Answer::Name(NameAnswer::Entry(entry))
            }
            answer => answer,
        };
        match (std::mem::replace(&mut self.state, State::Ended), answer) {
            (State::Asked, Answer::Name(NameAnswer::Entry(entry))) => self.entry(*entry, say),
            (State::Asked, Answer::Stat(meta)) => {
                let facts = self.facts_of(&meta);
                self.decide(facts, say);
            }
            (State::Whole, Answer::Content(content)) => self.whole(content, last, say),
            (State::Sending(sending, part), Answer::Content(content)) => {
                let is_asked = part
                    .as_ref()
                    .is_some_and(|part| content.meta.size == part.chunk_bytes && content.range == part.range);
                if !is_asked {
                    log::error!("http: a chunk is not of the size that its name says; it is not sent");
                    // What further pieces there are must not meet another request.
                    say.line.keep_alive &= last;
                    return say.fail(Failure::internal());
                }
                self.piece(sending, part, content.first, last, say);
            }
            (State::Sending(sending, part), Answer::More(piece)) => self.piece(sending, part, piece, last, say),
            (State::Looking(mut sending), Answer::Name(NameAnswer::Entry(entry))) => {
                if entry.facts.version != sending.version || entry.chunks.is_empty() {
                    return self.again_or(Failure::internal(), say);
                }
                sending.plan.hold(entry.chunk_first, entry.chunks);
                self.state = State::Send(sending);
            }
            (State::Sending(..), Answer::Refused(refusal)) if refusal.status == Status::NotFound => {
                self.again_or(Failure::not_found(), say);
            }
            (_, Answer::Refused(refusal)) => say.fail(Failure::of(&refusal, false)),
            _ => say.fail(Failure::internal()),
        }
    }

    /// A chunk is gone: a name that was given other content meanwhile is looked up again, as long as nothing was said.
    fn again_or(&mut self, failure: Failure, say: &mut Say<'_>) {
        let is_name = matches!(self.what, What::Name(_));
        if is_name && say.told.status.is_none() && self.tries < TRIES_MAX {
            self.tries += 1;
            self.state = State::Ask;
        } else {
            say.fail(failure);
        }
    }

    fn entry(&mut self, entry: Entry, say: &mut Say<'_>) {
        let What::Name(path) = &self.what else { return say.fail(Failure::internal()) };
        if entry.facts.kind == NameKind::Directory {
            return redirect(path, say);
        }
        let facts = Facts {
            size: entry.facts.size,
            hash: entry.facts.hash,
            modified_ms: entry.facts.modified_ms,
            attributes: entry.attributes,
            version: entry.facts.version,
            chunks: entry.chunks,
        };
        self.decide(facts, say);
    }

    fn facts_of(&self, meta: &Arc<Meta>) -> Facts {
        Facts {
            size: meta.size,
            hash: meta.hash,
            modified_ms: meta.stored_ms,
            attributes: meta.attributes.clone(),
            version: 0,
            chunks: match self.what {
                What::Id(id) => vec![id],
                What::Name(_) => Vec::new(),
            },
        }
    }

    /// An object that was asked for without knowing it: no condition, no range.
    fn whole(&mut self, content: Content, last: bool, say: &mut Say<'_>) {
        let facts = self.facts_of(&content.meta);
        let head = self.head(200, &facts, &Extent::Whole, say);
        let plan = Plan::one(facts.size, facts.chunks, 0..facts.size);
        let sending = Sending { plan, head: Some((200, head)), version: 0 };
        self.piece(sending, None, content.first, last, say);
    }

    /// Conditions, then ranges: RFC 9110, 13.2.2, steps 1 to 6.
    fn decide(&mut self, facts: Facts, say: &mut Say<'_>) {
        let current = Validators { hash: facts.hash, modified_s: facts.modified_ms / 1000 };
        match self.conditions.evaluate(Some(&current), true) {
            Verdict::Go => {}
            Verdict::NotModified => {
                let head = self.head(304, &facts, &Extent::Nothing, say);
                return say.all(304, head);
            }
            Verdict::Failed => return say.fail(Failure::precondition()),
        }
        let resolved = match &self.ranges {
            Some(ranges) if self.conditions.range_holds(&current, say.now_ms() / 1000) => ranges.resolve(facts.size),
            _ => Resolved::Whole,
        };
        let (status, extent) = match resolved {
            Resolved::Whole => (200, Extent::Whole),
            Resolved::One(range) => (206, Extent::One(range)),
            Resolved::Several(ranges) => {
                let kind = self.content_type(&facts);
                (206, Extent::Several(Multipart::new(say.origin.boundary(), kind, facts.size, ranges)))
            }
            Resolved::Unsatisfiable => return say.fail(Failure::range(facts.size)),
        };
        let head = self.head(status, &facts, &extent, say);
        if self.is_head || facts.size == 0 {
            return say.all(status, head);
        }
        let (size, version, chunks) = (facts.size, facts.version, facts.chunks);
        let plan = match extent {
            Extent::One(range) => Plan::one(size, chunks, range),
            Extent::Several(multipart) => Plan::several(size, chunks, multipart),
            Extent::Whole | Extent::Nothing => Plan::one(size, chunks, 0..size),
        };
        self.state = State::Send(Sending { plan, head: Some((status, head)), version });
    }

    fn piece(&mut self, mut sending: Sending, part: Option<Part>, piece: Piece, last: bool, say: &mut Say<'_>) {
        if let Some((status, head)) = sending.head.take() {
            if last && status == 200 {
                self.keep(&head, &piece, &sending.plan, say);
            }
            say.head(status, head);
        }
        if let Some(delimiter) = sending.plan.delimiter() {
            say.output.push(delimiter);
        }
        let bytes = piece.bytes() as u64;
        say.told.bytes += bytes;
        for part in piece.parts {
            say.output.push(part);
        }
        say.output.hold(piece.room);
        if let Some(tail) = sending.plan.sent(bytes) {
            say.output.push(tail);
        }
        if !last {
            self.state = State::Sending(sending, part);
        } else if sending.plan.is_done() {
            say.told.is_whole = true;
        } else {
            self.state = State::Send(sending);
        }
    }

    /// Offers the whole answer to those that are kept.
    fn keep(&mut self, head: &Bytes, piece: &Piece, plan: &Plan, say: &Say<'_>) {
        if let (Some(target), Some(stamp), [content]) = (self.keeps_as.take(), self.stamp, &piece.parts[..])
            && plan.is_rest(content.len() as u64)
        {
            say.origin.hot.offer(target, (head, DATE_AT), content, stamp);
        }
    }

    fn content_type<'a>(&self, facts: &'a Facts) -> &'a [u8] {
        content_type(&facts.attributes, self.name())
    }

    /// The last component of the path; an object has none.
    fn name(&self) -> Option<&str> {
        match &self.what {
            What::Name(path) => path.as_str().rsplit_once('/').map(|(_, name)| name),
            What::Id(_) => None,
        }
    }

    fn head(&self, status: u16, facts: &Facts, extent: &Extent, say: &Say<'_>) -> Bytes {
        let now_ms = say.now_ms();
        let mut head = ReplyHead::begin(status, say.line, now_ms);
        let kind = self.content_type(facts);
        match extent {
            // RFC 9110, 15.4.5: a 304 says what the cache needs, and nothing about the content.
            Extent::Nothing => {}
            Extent::Whole => {
                head.field("Content-Type", kind).number("Content-Length", facts.size);
            }
            Extent::One(range) => {
                head.field("Content-Type", kind).number("Content-Length", range.end - range.start);
                head.content_range(range, facts.size);
            }
            Extent::Several(multipart) => {
                head.field("Content-Type", &multipart.content_type());
                head.number("Content-Length", multipart.content_length());
            }
        }
        head.field("Last-Modified", &date::last_modified(facts.modified_ms, now_ms)).etag(facts.hash);
        head.field("Cache-Control", self.cache_control(facts, say));
        if !matches!(extent, Extent::Nothing) {
            head.field("Accept-Ranges", b"bytes");
            self.disposition(facts, &mut head);
            if let Some(run) = facts.attributes.value(Attributes::METADATA) {
                metadata::write_lines(run, head.raw());
            }
        }
        head.end()
    }

    fn cache_control<'a>(&self, facts: &'a Facts, say: &'a Say<'_>) -> &'a [u8] {
        match (stored(&facts.attributes, Attributes::CACHE_CONTROL), &self.what) {
            (Some(stored), _) => stored,
            (_, What::Id(_)) => CACHE_CONTROL_IDS,
            (_, What::Name(_)) => say.origin.cache_control.as_bytes(),
        }
    }

    fn disposition(&self, facts: &Facts, head: &mut ReplyHead) {
        let wish = self.query.as_deref().and_then(Wish::of);
        if let Some(value) = disposition(&facts.attributes, wish.as_ref(), self.name()) {
            head.field("Content-Disposition", &value);
        }
    }
}

/// How much of it is sent.
enum Extent {
    Nothing,
    Whole,
    One(Range<u64>),
    Several(Multipart),
}

fn lookup(path: &NamePath, chunk_first: u32) -> Operation {
    let chunks_max = u32::try_from(LOOKUP_CHUNKS_MAX).unwrap_or(u32::MAX);
    Operation::Name(NameOperation::Lookup(Lookup { path: path.clone(), chunk_first, chunks_max }))
}

/// A directory is read with a slash behind its name.
fn redirect(path: &NamePath, say: &mut Say<'_>) {
    let mut head = ReplyHead::begin(301, say.line, say.now_ms());
    let mut place = super::target::escaped(path.as_str());
    place.push('/');
    head.field("Location", place.as_bytes()).field("Cache-Control", b"no-store");
    let answer = head.end_with(say.line, b"");
    say.all(301, answer);
}

const _: () = assert!(LOOKUP_CHUNKS_MAX * CHUNK_BYTES_MAX >= 1 << 34, "most files need one lookup");
