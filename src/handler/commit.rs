//! A commit on its way to the master: the heads of its chunks are read, at once or by jobs of their disks.
//!
//! Few chunks are asked for on the processor's thread; whoever brings the last head proposes the commit. Many would keep
//! the processor busy, so a thread of its own reads them one after another, with a bounded number of such commits waiting.
//! Always: each commit is answered exactly once, through its responder.

use super::chunks::{Chunk, chunk_of, command_of, target_of};
use super::receipts::Receipts;
use super::{answers, names};
use crate::base::clock::{Clock, Moment};
use crate::base::completion::Completion;
use crate::base::ids::ObjectId;
use crate::base::thread;
use crate::io::{Disks, ReadEnd, Refused, Tried, Views};
use crate::master::{Command, Master, MasterEnd};
use crate::request::{Answer, Change, ChangeRequest, NameAnswer, Refusal, Responder, Stage, Status};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Chunks that a processor looks at by itself: some 128 MiB of file, tens of microseconds.
pub(super) const CHUNKS_AT_ONCE_MAX: usize = 16;
/// Commits of many chunks that may wait.
const LARGE_COMMITS_MAX: usize = 64;
/// Heads that a large commit asks for at once.
const WINDOW: usize = 64;
/// How long until a disk whose queue is full is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(5);

/// A commit of few chunks: who is waited for.
pub(super) struct Checking {
    master: Arc<Master>,
    deadline: Moment,
    /// Heads that are not here yet, and one for whoever asks for them.
    left: AtomicUsize,
    state: Mutex<State>,
}

struct State {
    /// Taken by whoever brings the last head.
    open: Option<(ChangeRequest, Responder)>,
    chunks: Vec<Option<Result<Chunk, Refusal>>>,
}

impl Checking {
    pub(super) fn new(
        master: &Arc<Master>,
        request: ChangeRequest,
        responder: Responder,
        deadline: Moment,
    ) -> Arc<Self> {
        let count = chunks_of(&request).len();
        let state = State { open: Some((request, responder)), chunks: vec![None; count] };
        Arc::new(Self {
            master: Arc::clone(master),
            deadline,
            left: AtomicUsize::new(count + 1),
            state: Mutex::new(state),
        })
    }

    /// Asks for the heads. Processor thread.
    pub(super) fn ask(
        self: &Arc<Self>,
        (disks, receipts): (&Disks, &Receipts),
        views: &mut Views,
        now: Moment,
        session: u64,
        ids: &[ObjectId],
    ) {
        for (place, id) in ids.iter().copied().enumerate() {
            if let Some(chunk) = receipts.chunk(id, session) {
                self.came(place, Ok(chunk));
                continue;
            }
            let checking = Arc::clone(self);
            let then = move |end| checking.came(place, chunk_of(id, session, end));
            match head(disks, views, id, (now, self.deadline), then) {
                Asked::Here(end) => self.came(place, chunk_of(id, session, end)),
                Asked::Coming => {}
                Asked::Refused(refusal) => self.came(place, Err(refusal)),
            }
        }
        self.one_less();
    }

    fn came(&self, place: usize, chunk: Result<Chunk, Refusal>) {
        if let Some(slot) = self.state.lock().chunks.get_mut(place) {
            *slot = Some(chunk);
        }
        self.one_less();
    }

    fn one_less(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        let mut state = self.state.lock();
        let (open, chunks) = (state.open.take(), std::mem::take(&mut state.chunks));
        drop(state);
        let Some((request, responder)) = open else { return };
        // Each head was asked for and came, or was refused.
        let chunks: Result<Vec<Chunk>, Refusal> = chunks.into_iter().flatten().collect();
        propose(&self.master, request, chunks, responder, self.deadline);
    }
}

fn chunks_of(request: &ChangeRequest) -> &[ObjectId] {
    match &request.change {
        Change::Commit { chunks, .. } => chunks,
        _ => &[],
    }
}

/// Gives a checked commit to the master, or its refusal to whoever waits. A commit that was made before is answered as it was
/// then, whatever has become of its chunks since: so before a refusal stands, the master is asked whether it knows the number.
fn propose(
    master: &Master,
    request: ChangeRequest,
    chunks: Result<Vec<Chunk>, Refusal>,
    responder: Responder,
    deadline: Moment,
) {
    let id = request.id;
    match chunks.and_then(|chunks| command_of(request, &chunks)) {
        Ok(command) => {
            master.submit(command, deadline, Completion::new(move |end| responder.answer(names::answer_of(end))))
        }
        Err(refusal) if matches!(refusal.status, Status::Busy | Status::TimedOut | Status::ShuttingDown) => {
            responder.answer(Answer::Refused(refusal));
        }
        Err(refusal) => {
            let then = move |end| responder.answer(recalled(end, refusal));
            master.submit(Command::Recall(id), deadline, Completion::new(then));
        }
    }
}

/// What is answered to a commit whose chunks were refused, when the master has said how the number ended before.
fn recalled(end: MasterEnd, refusal: Refusal) -> Answer {
    match end {
        // The receipt of no change: each makes a version.
        Ok(NameAnswer::Changed(changed)) if changed.version == 0 => Answer::Refused(refusal),
        end => names::answer_of(end),
    }
}

enum Asked {
    Here(ReadEnd),
    Coming,
    Refused(Refusal),
}

/// Reads the head of a chunk, here or by a job.
fn head(
    disks: &Disks,
    views: &mut Views,
    id: ObjectId,
    turn: (Moment, Moment),
    then: impl FnOnce(ReadEnd) + Send + 'static,
) -> Asked {
    let target = match target_of(id, disks.find(views, id)) {
        Ok(target) => target,
        Err(refusal) => return Asked::Refused(refusal),
    };
    match disks.read(target, None, true, None, turn, || Some(Completion::new(then))) {
        Tried::Done(end) => Asked::Here(end),
        Tried::Submitted => Asked::Coming,
        Tried::Refused(refused) => Asked::Refused(refusal_of(refused)),
    }
}

fn refusal_of(refused: Refused) -> Refusal {
    match answers::of_refused(refused) {
        Answer::Refused(refusal) => refusal,
        _ => Refusal::new(Status::Internal, "a read was refused without a reason"),
    }
}

/// A commit of many chunks.
pub(super) struct Large {
    pub(super) request: ChangeRequest,
    pub(super) responder: Responder,
    pub(super) deadline: Moment,
}

/// The thread that checks commits of many chunks.
pub struct LargeCommits {
    queue: Sender<Large>,
    thread: Mutex<Option<JoinHandle<()>>>,
    stop: Mutex<Option<Sender<()>>>,
}

impl std::fmt::Debug for LargeCommits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LargeCommits").field("waiting", &self.queue.len()).finish_non_exhaustive()
    }
}

impl LargeCommits {
    /// Starts the thread.
    ///
    /// # Errors
    /// That of the kernel, when it gives no thread.
    pub fn start(disks: &Arc<Disks>, master: &Arc<Master>, clock: &Arc<dyn Clock>) -> io::Result<Arc<Self>> {
        let (queue, commits) = bounded(LARGE_COMMITS_MAX);
        let (stop, stopped) = bounded::<()>(0);
        let worker = Worker { disks: Arc::clone(disks), master: Arc::clone(master), clock: Arc::clone(clock) };
        let thread = thread::spawn("large-commits", move || worker.run(&commits, &stopped))?;
        Ok(Arc::new(Self { queue, thread: Mutex::new(Some(thread)), stop: Mutex::new(Some(stop)) }))
    }

    /// Takes a commit, or answers it BUSY.
    pub(super) fn submit(&self, commit: Large) {
        if let Err(TrySendError::Full(commit) | TrySendError::Disconnected(commit)) = self.queue.try_send(commit) {
            let refusal = Refusal::busy(Stage::ReadQueue, 100, "as many large commits as may wait are being checked");
            commit.responder.answer(Answer::Refused(refusal));
        }
    }

    /// Ends the thread; what waits is answered by its dropped responders.
    pub fn close(&self) {
        drop(self.stop.lock().take());
        if let Some(thread) = self.thread.lock().take() {
            // A panic was logged when it happened.
            drop(thread.join());
        }
    }
}

struct Worker {
    disks: Arc<Disks>,
    master: Arc<Master>,
    clock: Arc<dyn Clock>,
}

impl Worker {
    fn run(&self, commits: &Receiver<Large>, stopped: &Receiver<()>) {
        loop {
            crossbeam_channel::select! {
                recv(stopped) -> _ => return,
                recv(commits) -> commit => match commit {
                    Ok(commit) => self.check(commit, stopped),
                    Err(_) => return,
                },
            }
        }
    }

    fn check(&self, commit: Large, stopped: &Receiver<()>) {
        let Large { request, responder, deadline } = commit;
        let (session, ids) = (request.id.session, chunks_of(&request).to_vec());
        let mut views = Views::default();
        self.disks.renew(&mut views);
        let mut chunks = Vec::with_capacity(ids.len());
        let mut outcome = Ok(());
        for window in ids.chunks(WINDOW) {
            match self.window(window, session, deadline, &mut views, stopped) {
                Ok(some) => chunks.extend(some),
                Err(refusal) => {
                    outcome = Err(refusal);
                    break;
                }
            }
        }
        propose(&self.master, request, outcome.map(|()| chunks), responder, deadline);
    }

    fn window(
        &self,
        ids: &[ObjectId],
        session: u64,
        deadline: Moment,
        views: &mut Views,
        stopped: &Receiver<()>,
    ) -> Result<Vec<Chunk>, Refusal> {
        let stopping = || Refusal::new(Status::ShuttingDown, "the node is stopping: use another connection");
        let (tell, came) = bounded(ids.len());
        for (place, id) in ids.iter().copied().enumerate() {
            loop {
                let tell_later = tell.clone();
                // The channel has room for every head of the window.
                let then = move |end| drop(tell_later.try_send((place, end)));
                let now = self.clock.now();
                match head(&self.disks, views, id, (now, deadline), then) {
                    Asked::Here(end) => drop(tell.try_send((place, end))),
                    Asked::Coming => {}
                    Asked::Refused(refusal) if refusal.status == Status::Busy && now < deadline => {
                        if stopped.recv_timeout(ASK_AGAIN) != Err(RecvTimeoutError::Timeout) {
                            return Err(stopping());
                        }
                        continue;
                    }
                    Asked::Refused(refusal) => return Err(refusal),
                }
                break;
            }
        }
        drop(tell);
        let mut chunks = vec![None; ids.len()];
        for _ in ids {
            let left = deadline - self.clock.now();
            // A disk that hangs keeps neither the deadline nor the stop of the node waiting.
            let next = crossbeam_channel::select! {
                recv(came) -> next => next.ok(),
                recv(stopped) -> _ => return Err(stopping()),
                default(left) => None,
            };
            let Some((place, end)) = next else {
                return Err(Refusal::new(Status::TimedOut, "the deadline passed while the chunks were checked"));
            };
            let Some((id, slot)) = ids.get(place).copied().zip(chunks.get_mut(place)) else { continue };
            *slot = Some(chunk_of(id, session, end)?);
        }
        Ok(chunks.into_iter().flatten().collect())
    }
}
