//! Operations on names: from the cache of hot names, by a metadata reader, or as a command of the master.
//!
//! Processor thread; waits for nothing.

use super::commit::{CHUNKS_AT_ONCE_MAX, Checking, Large, LargeCommits};
use super::receipts::Receipts;
use crate::base::completion::Completion;
use crate::io::{Disks, Views};
use crate::master::{Command, Master, MasterEnd, Question};
use crate::request::{
    Answer, Call, Change, ChangeRequest, NameOperation, Operation, Outcome, Refusal, Responder, SessionAct, Stage,
};
use std::sync::Arc;

/// What a processor needs for names.
#[derive(Debug, Clone)]
pub struct Names {
    /// The master, as far as this process has one.
    pub master: Arc<Master>,
    /// Who checks commits of many chunks.
    pub large: Arc<LargeCommits>,
    /// What was stored lately.
    pub receipts: Arc<Receipts>,
}

impl Names {
    pub(super) fn call(
        &self,
        operation: NameOperation,
        disks: &Disks,
        views: &mut Views,
        call: Call<'_>,
    ) -> Outcome<Operation> {
        let question = match operation {
            NameOperation::Session(act) => return self.submit(session_command(act), call),
            NameOperation::Change(request) => return self.change(*request, disks, views, call),
            NameOperation::Lookup(lookup) => match self.master.hot(&lookup) {
                Some((entry, stamp)) => return Outcome::Answered(Answer::HotName(entry, stamp)),
                None => Question::Lookup(lookup),
            },
            NameOperation::List(list) => Question::List(list),
            NameOperation::Usage(path) => Question::Usage(path),
            NameOperation::Removal(removal) => Question::Removal(removal),
        };
        let Some(responder) = (call.responder)() else { return no_place() };
        self.master.ask(question, call.deadline, answering(responder));
        Outcome::Pending
    }

    fn submit(&self, command: Command, call: Call<'_>) -> Outcome<Operation> {
        let Some(responder) = (call.responder)() else { return no_place() };
        self.master.submit(command, call.deadline, answering(responder));
        Outcome::Pending
    }

    fn change(&self, request: ChangeRequest, disks: &Disks, views: &mut Views, call: Call<'_>) -> Outcome<Operation> {
        // What makes room may be taken on a full disk; the master says so.
        let makes_room = matches!(request.change, Change::Remove { .. });
        if let Some(refusal) = self.master.refuses_change().filter(|_| !makes_room) {
            return Outcome::Answered(Answer::Refused(refusal));
        }
        let Some(responder) = (call.responder)() else { return no_place() };
        let ids = match &request.change {
            Change::Commit { chunks, .. } if chunks.len() > CHUNKS_AT_ONCE_MAX => {
                self.large.submit(Large { request, responder, deadline: call.deadline });
                return Outcome::Pending;
            }
            Change::Commit { chunks, .. } => chunks.clone(),
            _ => Vec::new(),
        };
        let session = request.id.session;
        Checking::new(&self.master, request, responder, call.deadline).ask(
            (disks, &self.receipts),
            views,
            call.now,
            session,
            &ids,
        );
        Outcome::Pending
    }
}

fn session_command(act: SessionAct) -> Command {
    match act {
        SessionAct::Open => Command::OpenSession,
        SessionAct::Renew(session) => Command::RenewSession(session),
        SessionAct::Close(session) => Command::CloseSession(session),
    }
}

/// How the end of the master's work reads as an answer.
pub(super) fn answer_of(end: MasterEnd) -> Answer {
    match end {
        Ok(answer) => Answer::Name(answer),
        Err(refusal) => Answer::Refused(refusal),
    }
}

fn answering(responder: Responder) -> Completion<MasterEnd> {
    Completion::new(move |end| responder.answer(answer_of(end)))
}

fn no_place() -> Outcome<Operation> {
    let refusal = Refusal::busy(Stage::Processor, 20, "the processor has as much unfinished work as it may");
    Outcome::Answered(Answer::Refused(refusal))
}
