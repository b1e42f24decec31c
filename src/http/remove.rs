//! DELETE of a file, of an empty directory, or of an object.
//!
//! Processor thread; pure.
//!
//! ```text
//! Ask ──conditions need it──▶ Looking ──current facts──▶ Remove      Ask ──else──▶ Remove
//! Remove ──change──▶ Removing ──receipt──▶ (answered)                Removing ──somebody else was faster──▶ Ask again
//! ```

use super::Origin;
use super::conditions::{Conditions, Validators, Verdict};
use super::exchange::{Say, Step};
use super::refused::Failure;
use super::reply::ReplyHead;
use super::upload::is_at_its_end;
use crate::base::ids::ObjectId;
use crate::base::path::NamePath;
use crate::request::{
    Answer, Change, ChangeRequest, Condition, Lookup, NameAnswer, NameKind, NameOperation, Operation, Refusal, Status,
    UploadSession,
};
use std::sync::Arc;

/// Times that it is tried because somebody else was faster, and the conditions still hold.
const TRIES_MAX: u8 = 8;

/// What is removed.
#[derive(Debug)]
pub(super) enum What {
    /// A name: of a directory if its target said so.
    Name { path: NamePath, is_directory: bool },
    /// An object that was put by id.
    Id(ObjectId),
}

pub(super) struct Removal {
    what: What,
    conditions: Conditions,
    session: Option<Arc<UploadSession>>,
    state: State,
    tries: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ask,
    Looking,
    Remove(Condition),
    Removing,
    Failed(Failure),
    Ended,
}

impl Removal {
    pub(super) fn new(what: What, conditions: Conditions) -> Self {
        Self { what, conditions, session: None, state: State::Ask, tries: 0 }
    }

    pub(super) fn next(&mut self, origin: &Origin) -> Option<Step> {
        match (self.state, &self.what) {
            (State::Ask, What::Id(id)) if self.conditions.is_empty() => {
                self.state = State::Removing;
                Some(Step::Ask(0, Operation::Delete(*id)))
            }
            (State::Ask, What::Id(id)) => {
                self.state = State::Looking;
                Some(Step::Ask(0, Operation::Stat(*id)))
            }
            (State::Remove(_), What::Id(id)) => {
                self.state = State::Removing;
                Some(Step::Ask(0, Operation::Delete(*id)))
            }
            // What a name leads to decides about conditions, and whether it is what the target says.
            (State::Ask, What::Name { path, .. }) => {
                self.state = State::Looking;
                let lookup = Lookup { path: path.clone(), chunk_first: 0, chunks_max: 0 };
                Some(Step::Ask(0, Operation::Name(NameOperation::Lookup(lookup))))
            }
            (State::Remove(condition), What::Name { path, .. }) => {
                let Some(session) = origin.uploads.current() else {
                    self.state = State::Ended;
                    return Some(Step::Refuse(Failure::no_session()));
                };
                let change = Change::Remove { path: path.clone(), tree: false, condition };
                let request = ChangeRequest { id: session.numbers(1), change };
                self.session = Some(session);
                self.state = State::Removing;
                Some(Step::Ask(0, Operation::Name(NameOperation::Change(Box::new(request)))))
            }
            _ => None,
        }
    }

    pub(super) fn answer(&mut self, answer: Answer, say: &mut Say<'_>) {
        match (self.state, answer) {
            (State::Looking, Answer::Name(NameAnswer::Entry(entry))) => {
                let facts = entry.facts;
                let is_directory = facts.kind == NameKind::Directory;
                match &self.what {
                    What::Name { is_directory: wanted, .. } if *wanted && !is_directory => {
                        self.state = State::Failed(Failure::not_found());
                    }
                    What::Name { is_directory: wanted, .. } if !*wanted && is_directory => {
                        self.state = State::Failed(Failure::of(&Refusal::new(Status::IsADirectory, ""), true));
                    }
                    _ => {
                        let current = Validators { hash: facts.hash, modified_s: facts.modified_ms / 1000 };
                        let condition =
                            if self.conditions.is_empty() { Condition::Any } else { Condition::Version(facts.version) };
                        self.decide(&current, condition);
                    }
                }
            }
            (State::Looking, Answer::Stat(meta)) => {
                let current = Validators { hash: meta.hash, modified_s: meta.stored_ms / 1000 };
                self.decide(&current, Condition::Any);
            }
            (State::Removing, Answer::Name(NameAnswer::Changed(_)) | Answer::Deleted(_)) => {
                self.state = State::Ended;
                let mut head = ReplyHead::begin(204, say.line, say.now_ms());
                head.field("Cache-Control", b"no-store");
                return say.all(204, head.end());
            }
            (State::Removing, Answer::Refused(refusal))
                if refusal.status == Status::VersionMismatch && self.tries < TRIES_MAX =>
            {
                self.tries += 1;
                self.state = State::Ask;
            }
            (State::Looking, Answer::Refused(refusal)) => self.state = State::Failed(Failure::of(&refusal, false)),
            (_, Answer::Refused(refusal)) => {
                if let Some(session) = self.session.as_ref().filter(|_| is_at_its_end(&refusal)) {
                    session.lose();
                }
                self.state = State::Failed(Failure::of(&refusal, true));
            }
            _ => self.state = State::Failed(Failure::internal()),
        }
        if let State::Failed(failure) = self.state {
            self.state = State::Ended;
            say.fail(failure);
        }
    }

    fn decide(&mut self, current: &Validators, condition: Condition) {
        self.state = match self.conditions.evaluate(Some(current), false) {
            Verdict::Go => State::Remove(condition),
            Verdict::NotModified | Verdict::Failed => State::Failed(Failure::precondition()),
        };
    }
}
