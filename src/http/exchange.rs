//! A request and its answer, from the head to the last byte.
//!
//! Processor thread; pure. Always: it asks for one thing after another, says its answer once, and has ended when the last
//! byte of the answer is handed over; nothing that comes for it later does anything.

use super::Origin;
use super::listing::Listed;
use super::probe::Probe;
use super::read::Read;
use super::refused::Failure;
use super::remove::Removal;
use super::reply::ReplyHead;
use super::upload::Upload;
use crate::base::clock::Moment;
use crate::metrics::HttpMethod;
use crate::net::{Arrival, Output, Tag};
use crate::request::{Answer, NameAnswer, Operation};
use bytes::Bytes;

/// What every answer to a request needs of its head.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) method: HttpMethod,
    /// HEAD: no content.
    pub(super) is_head: bool,
    /// HTTP/1.0.
    pub(super) is_old: bool,
    /// Whether the connection goes on after the answer.
    pub(super) keep_alive: bool,
    pub(super) started: Moment,
}

#[cfg(test)]
impl Line {
    pub(super) fn for_tests() -> Self {
        Self { method: HttpMethod::Get, is_head: false, is_old: false, keep_alive: true, started: Moment(0) }
    }
}

/// What a request asks for.
#[expect(clippy::large_enum_variant, reason = "a request is boxed as a whole, and most are reads")]
pub(super) enum Act {
    /// Content, or what is known about it.
    Read(Read),
    /// The names in a directory.
    List(Listed),
    /// The node itself.
    Probe(Probe),
    /// New content.
    Upload(Box<Upload>),
    /// No more content.
    Remove(Removal),
    /// Nothing that is done: the answer is known.
    Told,
}

/// What an act does next.
pub(super) enum Step {
    /// Asks for this; the answer comes with the number.
    Ask(u64, Operation),
    /// Says this, and goes on.
    Say(Bytes),
    /// Says this as the whole answer, with its status.
    Answer(u16, Bytes),
    /// The request cannot be done.
    Refuse(Failure),
    /// The request cannot be done, and what is left of it is not read.
    Fail(Failure),
}

/// Where an act says its answer.
pub(super) struct Say<'a> {
    pub(super) origin: &'a Origin,
    pub(super) line: &'a mut Line,
    pub(super) told: &'a mut Told,
    pub(super) output: &'a mut Output,
}

/// How far the answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Told {
    /// Of the head that was said.
    pub(super) status: Option<u16>,
    /// Bytes of content that were handed over.
    pub(super) bytes: u64,
    /// The last byte was handed over.
    pub(super) is_whole: bool,
    /// The answer ends before what its head announced: only the end of the connection tells.
    pub(super) is_broken: bool,
}

impl Say<'_> {
    pub(super) fn now_ms(&self) -> u64 {
        self.origin.clock.wall_ms()
    }

    /// Says a head; content follows, or not.
    pub(super) fn head(&mut self, status: u16, head: Bytes) {
        debug_assert!(self.told.status.is_none(), "an answer has one head");
        self.told.status = Some(status);
        self.output.push(head);
    }

    /// Says a whole answer.
    pub(super) fn all(&mut self, status: u16, answer: Bytes) {
        self.head(status, answer);
        self.told.is_whole = true;
    }

    /// Says a whole answer with a short text, which a HEAD is not sent.
    pub(super) fn text(&mut self, status: u16, head: ReplyHead, text: &[u8]) {
        self.told.bytes = text.len() as u64;
        let answer = head.end_with(self.line, text);
        self.all(status, answer);
    }

    /// Says why it is not done; in the middle of an answer nothing can be said any more.
    pub(super) fn fail(&mut self, failure: Failure) {
        if self.told.status.is_some() {
            self.told.is_broken = true;
            self.told.is_whole = true;
            return;
        }
        let answer = failure.bytes(self.line, self.now_ms());
        self.all(failure.status, answer);
    }
}

/// The request that a connection is about.
pub(super) struct Exchange {
    pub(super) line: Line,
    pub(super) told: Told,
    pub(super) act: Act,
}

impl Exchange {
    /// What it does next by itself.
    pub(super) fn next(&mut self, origin: &Origin) -> Option<Arrival> {
        if self.told.is_whole {
            return None;
        }
        let step = match &mut self.act {
            Act::Read(read) => read.next(),
            Act::List(list) => list.next(),
            Act::Probe(probe) => probe.next(&self.line, origin.clock.wall_ms()),
            Act::Upload(upload) => upload.next(),
            Act::Remove(removal) => removal.next(origin),
            Act::Told => None,
        };
        match step? {
            Step::Ask(correlation, operation) => {
                Some(Arrival::Request { tag: Tag { correlation, detail: 0 }, operation, deadline_ms: 0 })
            }
            Step::Say(bytes) => Some(Arrival::Reply(bytes)),
            Step::Answer(status, bytes) => {
                self.told.status = Some(status);
                self.told.is_whole = true;
                Some(Arrival::Reply(bytes))
            }
            Step::Refuse(failure) => {
                self.told.status = Some(failure.status);
                self.told.is_whole = true;
                Some(Arrival::Reply(failure.bytes(&self.line, origin.clock.wall_ms())))
            }
            Step::Fail(failure) => {
                self.line.keep_alive = false;
                self.told.status = Some(failure.status);
                self.told.is_whole = true;
                Some(Arrival::End(failure.bytes(&self.line, origin.clock.wall_ms())))
            }
        }
    }

    /// Takes an answer of the service.
    pub(super) fn answer(&mut self, origin: &Origin, tag: Tag, answer: Answer, last: bool, output: &mut Output) {
        if self.told.is_whole {
            return;
        }
        let Self { line, told, act } = self;
        // That it comes from memory is news to reads only.
        let answer = match answer {
            Answer::HotName(entry, _) if !matches!(act, Act::Read(_)) => Answer::Name(NameAnswer::Entry(entry)),
            answer => answer,
        };
        let mut say = Say { origin, line, told, output };
        match act {
            Act::Read(read) => read.answer(answer, last, &mut say),
            Act::List(list) => list.answer(answer, &mut say),
            Act::Probe(probe) => probe.answer(answer, &mut say),
            Act::Upload(upload) => upload.answer(tag.correlation, answer, &mut say),
            Act::Remove(removal) => removal.answer(answer, &mut say),
            Act::Told => {}
        }
    }
}
