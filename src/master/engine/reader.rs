//! A metadata reader: answers what the hot names could not.
//!
//! One of a few threads that may wait for the metadata disk. Always: a path is resolved as it was at one moment: if a
//! directory was moved meanwhile, it is resolved anew; a question whose deadline has passed is ended unanswered; a long walk
//! goes back into the queue after each slice, so that short questions pass it.

use super::MasterEnd;
use super::cached::Cached;
use super::shared::Shared;
use crate::base::clock::Moment;
use crate::base::completion::Completion;
use crate::base::limits::PATH_BYTES_MAX;
use crate::base::path::NamePath;
use crate::base::queue::{Closed, QueueReceiver, QueueSender};
use crate::master::StateError;
use crate::master::namespace::{UsageStep, UsageWalk, list, lookup, removal};
use crate::request::{List, Lookup, NameAnswer, Refusal, Status};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often an idle reader looks whether the node stops.
const LOOK_UP: Duration = Duration::from_millis(200);
/// Names that a walk passes before others have their turn.
const SLICE_NAMES: usize = 4096;
/// Times that a path is resolved anew because directories were moved: each is a move that happened within microseconds.
const TRIES_MAX: usize = 64;
/// What a question counts in the bytes of its queue, besides its path.
const QUESTION_BYTES: usize = 128;

/// What a reader answers.
#[derive(Debug)]
pub enum Question {
    /// What a name leads to.
    Lookup(Lookup),
    /// A page of a listing.
    List(List),
    /// What is under a name.
    Usage(NamePath),
    /// How far a removal is.
    Removal(u64),
    /// A usage that was begun.
    More(Box<UsageWalk>),
}

impl Question {
    pub(super) fn bytes(&self) -> usize {
        QUESTION_BYTES
            + match self {
                Self::Lookup(lookup) => lookup.path.as_str().len(),
                Self::List(list) => list.path.as_str().len() + list.cursor.len(),
                Self::Usage(path) => path.as_str().len(),
                Self::Removal(_) => 0,
                // One name for each directory on the way down.
                Self::More(_) => PATH_BYTES_MAX,
            }
    }
}

/// A question in the queue.
pub(super) struct Asked {
    pub(super) question: Question,
    pub(super) done: Completion<MasterEnd>,
    pub(super) queued: Moment,
    pub(super) deadline: Moment,
}

pub(super) fn run(shared: &Arc<Shared>, queue: &QueueReceiver<Asked>, again: &QueueSender<Asked>) {
    while !shared.stopping.load(Ordering::Acquire) {
        match queue.receive_for(LOOK_UP) {
            Ok(Some(asked)) => answer(shared, asked, again),
            Ok(None) => {}
            Err(Closed) => return,
        }
    }
}

fn answer(shared: &Shared, asked: Asked, again: &QueueSender<Asked>) {
    let began = shared.clock.now();
    shared.metrics.read_wait.record(began.since(asked.queued));
    let Asked { question, done, deadline, queued } = asked;
    if deadline <= began {
        return done
            .complete(Err(Refusal::new(Status::TimedOut, "the deadline passed before a metadata reader was free")));
    }
    if let Some(refusal) = shared.role.refuses_read() {
        return done.complete(Err(refusal));
    }
    let table = Cached { layers: &shared.layers, hot: &shared.hot };
    let end = match question {
        Question::Lookup(question) => {
            let entry = at_one_moment(shared, || lookup(&table, &question));
            entry.map(|entry| entry.map(|entry| NameAnswer::Entry(Box::new(entry))))
        }
        Question::List(question) => {
            at_one_moment(shared, || list(&table, &question)).map(|page| page.map(NameAnswer::Listing))
        }
        Question::Removal(id) => removal(&shared.layers, id).map(|removal| removal.map(NameAnswer::Removal)),
        Question::Usage(path) => match at_one_moment(shared, || UsageWalk::begin(&table, &path)) {
            Ok(Ok(walk)) => return walk_on(shared, Box::new(walk), done, (queued, deadline), again),
            Ok(Err(refusal)) => Ok(Err(refusal)),
            Err(error) => Err(error),
        },
        Question::More(walk) => return walk_on(shared, walk, done, (queued, deadline), again),
    };
    shared.metrics.read.record(shared.clock.now().since(began));
    done.complete(ended(shared, end));
}

fn walk_on(
    shared: &Shared,
    mut walk: Box<UsageWalk>,
    mut done: Completion<MasterEnd>,
    (queued, deadline): (Moment, Moment),
    again: &QueueSender<Asked>,
) {
    // A loop, for as long as there is no room to go back to: a call a slice would come to the end of the stack.
    loop {
        match walk.step(&shared.layers, SLICE_NAMES) {
            Ok(UsageStep::Done(usage)) => return done.complete(Ok(NameAnswer::Usage(usage))),
            Ok(UsageStep::Refused(refusal)) => return done.complete(Err(refusal)),
            Ok(UsageStep::More) => {}
            Err(error) => return done.complete(ended(shared, Err(error))),
        }
        let question = Question::More(walk);
        let asked = Asked { done, queued, deadline, question };
        let Err(full) = again.try_send(asked.question.bytes(), asked) else { return };
        let Asked { question: Question::More(back), done: waiting, .. } = full.0 else { return };
        (walk, done) = (back, waiting);
        if shared.stopping.load(Ordering::Acquire) {
            return done
                .complete(Err(Refusal::new(Status::ShuttingDown, "the node is stopping: use another connection")));
        }
        if deadline <= shared.clock.now() {
            return done.complete(Err(Refusal::new(Status::TimedOut, "the deadline passed while names were counted")));
        }
        if let Some(refusal) = shared.role.refuses_read() {
            return done.complete(Err(refusal));
        }
    }
}

/// What `read` gives, as of a moment at which no directory was being moved.
fn at_one_moment<T>(
    shared: &Shared,
    mut read: impl FnMut() -> Result<Result<T, Refusal>, StateError>,
) -> Result<Result<T, Refusal>, StateError> {
    for _ in 0..TRIES_MAX {
        let moved = shared.layers.moved();
        let read = read()?;
        if shared.layers.moved() == moved {
            return Ok(read);
        }
    }
    let detail = "directories on the path are moved all the time";
    Ok(Err(Refusal::busy(crate::request::Stage::Processor, 20, detail)))
}

/// An error of a read ends the role: what the state says next could not be believed.
fn ended(shared: &Shared, end: Result<MasterEnd, StateError>) -> MasterEnd {
    end.unwrap_or_else(|error| {
        log::error!("master: the state cannot be read, names are out of service: {error}");
        shared.role.end(&error.to_string());
        Err(shared.role.ended())
    })
}
