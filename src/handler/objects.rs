//! The service of one processor: operations on objects.
//!
//! Runs on its processor's thread and waits for nothing.

use super::answers;
use super::content::Source;
use super::names::Names;
use super::status::StatusSource;
use crate::base::budget::Budget;
use crate::base::completion::Completion;
use crate::base::ids::{Cookie, ObjectId};
use crate::base::random::Random;
use crate::base::range::ByteRange;
use crate::io::{Append, AppendEnd, DeleteBy, DeleteEnd, Disks, Found, Placement, ReadEnd, Refused, Tried, Views};
use crate::request::{Answer, Call, Durability, Operation, Outcome, Put, Service, Status};
use std::sync::Arc;
use std::time::Duration;

/// Carries out operations for one processor.
pub struct Handler {
    disks: Arc<Disks>,
    names: Names,
    source: Arc<Source>,
    status: Arc<dyn StatusSource>,
    views: Views,
    placement: Placement,
    random: Random,
    metas: answers::Metas,
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handler").field("disks", &self.disks).finish_non_exhaustive()
    }
}

impl Handler {
    /// A service over these disks; `status` describes the node.
    #[must_use]
    pub fn new(disks: Arc<Disks>, names: Names, budget_out: Arc<Budget>, status: Arc<dyn StatusSource>) -> Self {
        let mut views = Views::default();
        disks.renew(&mut views);
        let source = Arc::new(Source { disks: Arc::clone(&disks), budget_out });
        Self {
            disks,
            names,
            source,
            status,
            views,
            placement: Placement::default(),
            random: Random::default(),
            metas: answers::Metas::default(),
        }
    }

    fn put(&mut self, put: Put, call: Call<'_>) -> Outcome<Operation> {
        if put.origin.session != 0 && self.names.master.is_closed(put.origin.session) {
            return Outcome::Answered(Answer::refused(
                Status::SessionUnknown,
                format!("session {} is closed: open another, and put the chunk in it", put.origin.session),
            ));
        }
        let cookie = match self.random.number() {
            Ok(number) => Cookie(number),
            Err(error) => {
                log::error!("handler: no random number for a cookie: {error}");
                return Outcome::Answered(Answer::refused(Status::Internal, "the node has no random numbers"));
            }
        };
        let (attributes, durability, is_patient) = (put.attributes.clone(), put.durability, put.is_patient);
        let append = Append {
            payload: put.payload,
            attributes: put.attributes.bytes().clone(),
            cookie,
            origin: put.origin,
            named: put.origin.session != 0,
            // What a name is given must be there after a power cut: a commit does not ask again.
            sync: put.durability == Durability::Disk || put.origin.session != 0,
        };
        let responder = call.responder;
        let (origin, receipts) = (put.origin, &self.names.receipts);
        let done = || {
            let (responder, receipts) = (responder()?, Arc::clone(receipts));
            Some(Completion::new(move |end: AppendEnd| {
                if let AppendEnd::Stored { id, hash, size, synced: true } = end
                    && origin.session != 0
                {
                    receipts.keep(id, origin, u32::try_from(size).unwrap_or(u32::MAX), hash);
                }
                responder.answer(answers::of_append(end));
            }))
        };
        let Err(not) = self.disks.append(&mut self.placement, append, (call.now, call.deadline), done) else {
            return Outcome::Pending;
        };
        match answers::of_refused(not.refused) {
            Answer::Refused(refusal) if is_patient && refusal.status == Status::Busy => {
                let (payload, origin) = (not.append.payload, not.append.origin);
                let again = Put { payload, attributes, durability, origin, is_patient };
                let after = Duration::from_millis(refusal.retry_after_ms.into());
                Outcome::Later { after, again: Operation::Put(Box::new(again)), refusal }
            }
            answer => Outcome::Answered(answer),
        }
    }

    fn delete(&mut self, id: ObjectId, call: Call<'_>) -> Outcome<Operation> {
        let target = match self.disks.find(&mut self.views, id) {
            // A deleted object too: the cookie decides whether this is a repeat or a guess. Of a damaged one the head may
            // be whole, which is all that a delete needs.
            Found::Object(target) | Found::Deleted(target) | Found::Damaged(target) => target,
            other => return Outcome::Answered(absent(&other)),
        };
        let responder = call.responder;
        let done = || {
            let responder = responder()?;
            Some(Completion::new(move |end: DeleteEnd| responder.answer(answers::of_delete(end))))
        };
        submitted(self.disks.delete(target, DeleteBy::Id, (call.now, call.deadline), done))
    }

    fn read(&mut self, id: ObjectId, part: Option<ByteRange>, head_only: bool, call: Call<'_>) -> Outcome<Operation> {
        let target = match self.disks.find(&mut self.views, id) {
            Found::Object(target) => target,
            other => return Outcome::Answered(absent(&other)),
        };
        let bytes = target.room_bytes(part, head_only);
        let room = match call.room {
            Some(room) => Some(room),
            None if bytes == 0 => None,
            None => match self.source.budget_out.try_reserve(bytes) {
                Some(room) => Some(room),
                None => return Outcome::NoRoom { bytes, again: Operation::Get { id, range: part } },
            },
        };
        let (responder, source) = (call.responder, &self.source);
        let done = || {
            let (responder, source) = (responder()?, Arc::clone(source));
            Some(Completion::new(move |end: ReadEnd| {
                responder.answer(answer_of(end, head_only, &source, &mut answers::Metas::default()))
            }))
        };
        match self.disks.read(target, part, head_only, room, (call.now, call.deadline), done) {
            Tried::Done(end) => Outcome::Answered(answer_of(end, head_only, &self.source, &mut self.metas)),
            Tried::Submitted => Outcome::Pending,
            Tried::Refused(refused) => Outcome::Answered(answers::of_refused(refused)),
        }
    }
}

impl Service for Handler {
    fn call(&mut self, operation: Operation, call: Call<'_>) -> Outcome<Operation> {
        match operation {
            Operation::Ping(bytes) => Outcome::Answered(Answer::Pong(bytes)),
            Operation::Put(put) => self.put(*put, call),
            Operation::Get { id, range } => self.read(id, range, false, call),
            Operation::Stat(id) => self.read(id, None, true, call),
            Operation::Delete(id) => self.delete(id, call),
            Operation::Name(operation) => self.names.call(operation, &self.disks, &mut self.views, call),
            Operation::Scrub { now } => Outcome::Answered(answers::of_scrub(&self.disks.scrub(now))),
            Operation::Status => Outcome::Answered(Answer::Status(self.status.describe(&self.disks))),
            Operation::Metrics => Outcome::Answered(Answer::Status(self.status.metrics(&self.disks))),
            Operation::Ready => Outcome::Answered(match self.status.ready(&self.disks) {
                Ok(text) => Answer::Status(text),
                Err(reasons) => Answer::refused(Status::Unavailable, reasons),
            }),
        }
    }

    fn turn(&mut self) {
        self.disks.renew(&mut self.views);
    }
}

fn answer_of(end: ReadEnd, head_only: bool, source: &Arc<Source>, metas: &mut answers::Metas) -> Answer {
    if head_only { answers::of_stat(end, metas) } else { answers::of_read(end, source, metas) }
}

fn absent(found: &Found) -> Answer {
    match found {
        Found::Damaged(_) => answers::damaged(),
        Found::Unavailable => Answer::refused(
            Status::Unavailable,
            "the object's volume is on no disk that is present; see `larder status`",
        ),
        Found::Absent | Found::Object(_) | Found::Deleted(_) => answers::not_found(),
    }
}

fn submitted(result: Result<(), Refused>) -> Outcome<Operation> {
    match result {
        Ok(()) => Outcome::Pending,
        Err(refused) => Outcome::Answered(answers::of_refused(refused)),
    }
}
