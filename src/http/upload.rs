//! PUT of a file, and POST of an object: a body of any size becomes chunks as it comes, and at the end a name, in one step.
//!
//! Processor thread; pure. Always: nothing is visible before the commit; at most two chunks of a body are in memory, one that
//! comes and one that is stored; what a broken upload leaves is told to its session as garbage; the answer is said when no
//! chunk is on its way any more.
//!
//! ```text
//! Receiving ──all is here and stored, conditions need it──▶ Looking ──they hold of what is there──▶ Commit ──▶ Committing
//! Receiving ──all is here and stored──▶ Committing        Receiving ──an object is stored──▶ Ended (answered)
//! Committing ──receipt──▶ Ended (answered)                Committing ──somebody else was faster, conditions need it──▶ Receiving
//! any ──failure──▶ Failed ──body not read to its end, or nothing on its way──▶ Ended (answered; the former ends the connection)
//! ```

use super::conditions::{Conditions, Validators, Verdict, WriteCondition};
use super::digest::Digests;
use super::exchange::{Say, Step};
use super::refused::Failure;
use super::reply::ReplyHead;
use crate::base::ids::{ObjectId, Origin as Number};
use crate::base::limits::{CHUNK_BYTES_MAX, FILE_CHUNKS_MAX};
use crate::base::path::NamePath;
use crate::base::payload::{Payload, PayloadDigest};
use crate::net::Body;
use crate::request::{
    Answer, Attributes, Change, ChangeRequest, Changed, Condition, Durability, Lookup, NameAnswer, NameKind,
    NameOperation, Operation, Put, Refusal, Stage, Status, Stored, UploadSession,
};
use std::sync::Arc;

/// Chunks of one upload that are stored at once: one is received meanwhile.
const STORED_AT_ONCE: usize = 1;
/// What hashing a byte for a digest costs, in bytes that are moved and checked as usual.
const DIGEST_COST: usize = 8;
/// Times that a commit is tried because somebody else was faster, and the conditions still hold.
const TRIES_MAX: u8 = 8;
/// The pieces of a body larger than this wait for room in the queue of a disk; of a smaller one BUSY is told at once.
const PATIENT_ABOVE: u64 = 1 << 20;
/// The number of what is no chunk.
const NO_CHUNK: u64 = u64::MAX;

/// What the content gets.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "an upload is boxed as a whole")]
pub(super) enum For {
    /// A name.
    Name { path: NamePath, session: Arc<UploadSession>, conditions: Conditions },
    /// An id.
    Id,
}

pub(super) struct Upload {
    what: For,
    attributes: Attributes,
    /// Bytes of the body, if the head said so.
    length: Option<u64>,
    digests: Option<Digests>,
    /// Over the chunk that is coming.
    digest: PayloadDigest,
    /// Bytes that have come.
    size: u64,
    /// Whether the client waits to be told to go on.
    expects: bool,
    all_here: bool,
    ready: Option<Payload>,
    /// The ids of chunks, in order; `None` while one is on its way.
    chunks: Vec<Option<ObjectId>>,
    on_their_way: usize,
    /// The numbers of the chunks and of the commit, when they are known ahead: so that they are one run.
    numbers: Option<Number>,
    numbers_taken: u64,
    stored: Option<Stored>,
    state: State,
    tries: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Receiving,
    Looking,
    Commit(Condition),
    Committing,
    Failed(Failure),
    Ended,
}

impl Upload {
    pub(super) fn new(what: For, attributes: Attributes, length: Option<u64>, digests: Option<Digests>) -> Self {
        Self {
            what,
            attributes,
            length,
            digests,
            digest: PayloadDigest::default(),
            size: 0,
            expects: false,
            all_here: length == Some(0),
            ready: None,
            chunks: Vec::new(),
            on_their_way: 0,
            numbers: None,
            numbers_taken: 0,
            stored: None,
            state: State::Receiving,
            tries: 0,
        }
    }

    /// The client waits to be told to send the body.
    pub(super) fn expects_continue(&mut self) {
        self.expects = !self.all_here;
    }

    /// The largest body.
    pub(super) fn bytes_max(&self) -> u64 {
        match self.what {
            For::Name { .. } => (FILE_CHUNKS_MAX * CHUNK_BYTES_MAX) as u64,
            For::Id => CHUNK_BYTES_MAX as u64,
        }
    }

    /// Whether more of the body is wanted now. Not before its client was told to send it: who takes more has nothing to say.
    pub(super) fn takes_more(&self) -> bool {
        let has_room = self.ready.is_none() && self.on_their_way <= STORED_AT_ONCE;
        !self.all_here && !self.expects && self.state == State::Receiving && has_room
    }

    /// Bytes of the chunk that comes next, of a body whose length is known.
    pub(super) fn next_chunk_bytes(&self) -> usize {
        let left = self.length.unwrap_or(u64::MAX).saturating_sub(self.size);
        usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_BYTES_MAX)
    }

    /// Bytes that still fit the chunk that is coming.
    pub(super) fn room_in_chunk(&self) -> usize {
        CHUNK_BYTES_MAX - usize::try_from(self.digest.length()).unwrap_or(CHUNK_BYTES_MAX).min(CHUNK_BYTES_MAX)
    }

    pub(super) fn absorb(&mut self, bytes: &[u8]) -> usize {
        self.digest.update(bytes);
        self.size += bytes.len() as u64;
        match &mut self.digests {
            Some(digests) => {
                digests.update(bytes);
                bytes.len() * DIGEST_COST
            }
            None => bytes.len(),
        }
    }

    /// A chunk is whole. `None`: it was given up.
    pub(super) fn chunk(&mut self, body: Option<Body>) {
        let Some(body) = body else { return };
        let digest = std::mem::take(&mut self.digest);
        // An object may be empty; a chunk of a file is not.
        if !body.bytes.is_empty() {
            self.ready = Some(digest.finish(body.bytes, body.room));
        }
        if self.length == Some(self.size) {
            self.all_here = true;
        }
    }

    /// A body that came in chunks of its own has ended.
    pub(super) fn ended(&mut self) {
        self.all_here = true;
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        if !matches!(self.state, State::Failed(_) | State::Ended) {
            self.state = State::Failed(failure);
            self.ready = None;
        }
    }

    pub(super) fn next(&mut self) -> Option<Step> {
        let step = match self.state {
            State::Receiving => self.receive(),
            State::Commit(condition) => self.commit(condition),
            State::Failed(_) | State::Looking | State::Committing | State::Ended => None,
        };
        step.or_else(|| self.failure())
    }

    /// The failure, when it can be told: at once if the body is not read to its end, else when nothing is on its way.
    fn failure(&mut self) -> Option<Step> {
        let State::Failed(failure) = self.state else { return None };
        let step = match self.all_here {
            false => Step::Fail(failure),
            true if self.on_their_way > 0 => return None,
            true => Step::Refuse(failure),
        };
        self.state = State::Ended;
        Some(step)
    }

    /// Bytes of the body that came.
    pub(super) fn received(&self) -> u64 {
        self.size
    }

    /// Whether a further byte would be over the limit.
    pub(super) fn is_full(&self) -> bool {
        self.size >= self.bytes_max()
    }

    fn receive(&mut self) -> Option<Step> {
        if self.expects {
            // RFC 9110, 10.1.1.
            self.expects = false;
            return Some(Step::Say(CONTINUE));
        }
        // Before the last chunk is stored: an object is there as soon as it is.
        if self.all_here
            && let Some(digests) = self.digests.take()
            && let Err(detail) = digests.verify()
        {
            self.fail(Failure::new(400, "DIGEST_MISMATCH", detail));
            return None;
        }
        if let Some(payload) = self.ready.take() {
            return Some(self.put(payload));
        }
        if !self.all_here || self.on_their_way > 0 {
            return None;
        }
        match &self.what {
            For::Id if self.stored.is_none() => {
                Some(self.put(PayloadDigest::default().finish(Default::default(), None)))
            }
            For::Id => None,
            For::Name { path, conditions, .. } => match conditions.write_condition() {
                WriteCondition::Any => self.commit(Condition::Any),
                WriteCondition::Absent => self.commit(Condition::Absent),
                WriteCondition::Look => {
                    let lookup = Lookup { path: path.clone(), chunk_first: 0, chunks_max: 0 };
                    self.state = State::Looking;
                    Some(Step::Ask(NO_CHUNK, Operation::Name(NameOperation::Lookup(lookup))))
                }
            },
        }
    }

    fn put(&mut self, payload: Payload) -> Step {
        let number = self.chunks.len() as u64;
        self.chunks.push(None);
        self.on_their_way += 1;
        let (attributes, origin) = match &self.what {
            For::Id => (self.attributes.clone(), Number::default()),
            // The attributes of a file are those of its name.
            For::Name { .. } => (Attributes::default(), self.number()),
        };
        // What is small is sent again as a whole; of what is large, its client would have to send all again.
        let is_patient = self.length.is_none_or(|length| length > PATIENT_ABOVE);
        let put = Put { payload, attributes, durability: Durability::Disk, origin, is_patient };
        Step::Ask(number, Operation::Put(Box::new(put)))
    }

    /// The next number of the session. Those of a body of known length are one run, as a session counts gaps.
    fn number(&mut self) -> Number {
        let For::Name { session, .. } = &self.what else { return Number::default() };
        let Some(length) = self.length else {
            self.numbers_taken += 1;
            return session.numbers(1);
        };
        let first = *self.numbers.get_or_insert_with(|| session.numbers(length.div_ceil(CHUNK_BYTES_MAX as u64) + 1));
        let number = Number { number: first.number + self.numbers_taken, ..first };
        self.numbers_taken += 1;
        number
    }

    fn commit(&mut self, condition: Condition) -> Option<Step> {
        // A commit that is tried again is another change, with a number of its own.
        let id = match (&self.what, self.tries) {
            (For::Name { session, .. }, 1..) => session.numbers(1),
            _ => self.number(),
        };
        let For::Name { path, .. } = &self.what else { return None };
        let change = Change::Commit {
            path: path.clone(),
            condition,
            parents: true,
            modified_ms: None,
            attributes: self.attributes.clone(),
            chunks: self.chunks.iter().copied().flatten().collect(),
        };
        self.state = State::Committing;
        let request = ChangeRequest { id, change };
        Some(Step::Ask(NO_CHUNK, Operation::Name(NameOperation::Change(Box::new(request)))))
    }

    pub(super) fn answer(&mut self, correlation: u64, answer: Answer, say: &mut Say<'_>) {
        if correlation == NO_CHUNK {
            self.answer_about_name(answer, say);
        } else {
            self.on_their_way -= 1;
            self.chunk_answer(correlation, answer, say);
        }
    }

    fn chunk_answer(&mut self, number: u64, answer: Answer, say: &mut Say<'_>) {
        match answer {
            Answer::Stored(stored) => {
                if let Some(place) = usize::try_from(number).ok().and_then(|number| self.chunks.get_mut(number)) {
                    *place = Some(stored.id);
                }
                if matches!(self.what, For::Id) {
                    self.stored = Some(stored);
                    self.created(&stored, say);
                }
            }
            Answer::Refused(refusal) => self.refused(&refusal),
            _ => self.fail(Failure::internal()),
        }
    }

    fn created(&mut self, stored: &Stored, say: &mut Say<'_>) {
        self.state = State::Ended;
        let mut head = ReplyHead::begin(201, say.line, say.now_ms());
        let place = format!("/.id/{}", stored.id);
        head.field("Location", place.as_bytes()).field("Content-Type", b"application/json").etag(stored.hash);
        head.field("Cache-Control", b"no-store");
        let text = format!("{{\"id\":\"{}\",\"size\":{},\"hash\":\"{}\"}}\n", stored.id, stored.size, stored.hash);
        say.text(201, head, text.as_bytes());
    }

    fn answer_about_name(&mut self, answer: Answer, say: &mut Say<'_>) {
        match (self.state, answer) {
            (State::Looking, Answer::Name(NameAnswer::Entry(entry))) if entry.facts.kind == NameKind::File => {
                let facts = entry.facts;
                let current = Validators { hash: facts.hash, modified_s: facts.modified_ms / 1000 };
                self.look(Some(&current), Condition::Version(facts.version));
            }
            (State::Looking, Answer::Name(NameAnswer::Entry(_))) => {
                self.fail(Failure::of(&Refusal::new(Status::IsADirectory, ""), true));
            }
            (State::Looking, Answer::Refused(refusal))
                if matches!(refusal.status, Status::NotFound | Status::ParentNotFound) =>
            {
                self.look(None, Condition::Absent);
            }
            (State::Committing, Answer::Name(NameAnswer::Changed(changed))) => self.changed(changed, say),
            (State::Committing, Answer::Refused(refusal)) => self.not_committed(&refusal),
            (_, Answer::Refused(refusal)) => self.refused(&refusal),
            _ => self.fail(Failure::internal()),
        }
    }

    /// RFC 9110, 13.2.2, on what is there now; the commit is made only if it still is.
    fn look(&mut self, current: Option<&Validators>, condition: Condition) {
        let For::Name { conditions, .. } = &self.what else { return };
        match conditions.evaluate(current, false) {
            Verdict::Go => self.state = State::Commit(condition),
            Verdict::NotModified | Verdict::Failed => self.fail(Failure::precondition()),
        }
    }

    fn not_committed(&mut self, refusal: &Refusal) {
        let is_race = matches!(refusal.status, Status::VersionMismatch | Status::AlreadyExists);
        let looks =
            matches!(&self.what, For::Name { conditions, .. } if conditions.write_condition() == WriteCondition::Look);
        if is_race && looks && self.tries < TRIES_MAX {
            // Somebody else was faster: whether the conditions hold of what is there now is another question.
            self.tries += 1;
            self.state = State::Receiving;
        } else {
            self.refused(refusal);
        }
    }

    fn refused(&mut self, refusal: &Refusal) {
        if let For::Name { session, .. } = &self.what
            && is_at_its_end(refusal)
        {
            session.lose();
        }
        self.fail(Failure::of(refusal, true));
    }

    fn changed(&mut self, changed: Changed, say: &mut Say<'_>) {
        self.state = State::Ended;
        // The numbers led to something: nothing is garbage.
        self.numbers_taken = 0;
        // RFC 9110, 9.3.4: 201 if there was nothing, 204 if there was.
        let status = if changed.replaced { 204 } else { 201 };
        let mut head = ReplyHead::begin(status, say.line, say.now_ms());
        head.etag(crate::base::ids::ContentHash(changed.hash)).field("Cache-Control", b"no-store");
        let answer = if status == 204 { head.end() } else { head.end_with(say.line, b"") };
        say.all(status, answer);
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let For::Name { session, .. } = &self.what
            && self.numbers_taken > 0
        {
            session.abandon(self.numbers_taken);
        }
    }
}

/// Whether the master takes no change in the session any more: it does not know it, or too many of its numbers led to nothing.
pub(super) fn is_at_its_end(refusal: &Refusal) -> bool {
    refusal.status == Status::SessionUnknown
        || refusal.status == Status::Busy && refusal.stage == Stage::None && refusal.retry_after_ms == 0
}

const CONTINUE: bytes::Bytes = bytes::Bytes::from_static(b"HTTP/1.1 100 Continue\r\n\r\n");

/// What an upload is refused with before its body is read: then the connection ends.
pub(super) fn too_large() -> Failure {
    Failure::new(413, "TOO_LARGE", "the content is over a limit")
}
