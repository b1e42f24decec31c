//! The master thread: takes all commands that wait, gives them to the log as one entry, and hands on what is committed.
//!
//! One entry, one write, one sync for a whole group: while a sync is under way the next group gathers. Always: a command goes
//! to the apply thread only after the sync that covers it; commands come there in the order of the log, each with the
//! completion of whoever waits for it.

use super::apply::Applying;
use super::role::Full;
use super::shared::{Logged, Proposed, Shared};
use crate::base::clock::Moment;
use crate::base::queue::{Closed, QueueReceiver};
use crate::master::StateError;
use crate::master::command::{Command, GroupEncoder};
use crate::master::consensus::{Committed, Consensus, NotProposed};
use crate::request::{Refusal, Stage, Status};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Bytes of one group: what raft sends at once later.
const GROUP_BYTES_MAX: usize = 1 << 20;
/// The clock of consensus.
const TICK: Duration = Duration::from_millis(100);
/// While a removed tree drains, the next step follows soon.
const DRAIN_PATIENCE: Duration = Duration::from_millis(1);
/// Names that one step takes out of a removed tree.
const DRAIN_NAMES: u32 = 1024;
/// How often silent sessions are looked for.
const EXPIRE_EVERY: Duration = Duration::from_secs(60);
/// After so long without a group the log is closed off, so that the last one is proven.
const REST_AFTER: Duration = Duration::from_millis(200);
/// How often a log without room is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

pub(super) struct Proposer {
    shared: Arc<Shared>,
    queue: QueueReceiver<Proposed>,
    applying: Applying,
    consensus: Consensus,
    encoder: GroupEncoder,
    /// Groups that were proposed here and are not committed yet, in order.
    proposed: VecDeque<Logged>,
    time_ms: u64,
    ticked: Moment,
    expired: Moment,
    /// When the last group went out; `None` when the log rests.
    busy_since: Option<Moment>,
    /// How long the last group took.
    last_ns: u64,
    cut: u64,
    /// When syncs were counted last, and how many there were.
    counted: Moment,
    syncs: u64,
}

impl Proposer {
    pub(super) fn new(
        shared: Arc<Shared>,
        queue: QueueReceiver<Proposed>,
        applying: Applying,
        consensus: Consensus,
        time_ms: u64,
    ) -> Self {
        let now = shared.clock.now();
        Self {
            shared,
            queue,
            applying,
            consensus,
            encoder: GroupEncoder::new(time_ms),
            proposed: VecDeque::new(),
            time_ms,
            ticked: now,
            expired: now,
            busy_since: None,
            last_ns: 0,
            cut: 0,
            counted: now,
            syncs: 0,
        }
    }

    pub(super) fn run(mut self) {
        match self.serve() {
            Ok(()) => {}
            Err(error) => {
                log::error!("master: the log failed, names are out of service: {error}");
                self.shared.role.end(&error.to_string());
            }
        }
        self.refuse_all();
        self.applying.close();
        if !self.shared.role.has_ended()
            && let Err(error) = self.consensus.close()
        {
            log::error!("master: the log was not closed cleanly: {error}");
        }
        self.shared.role.end("the node is stopping");
    }

    fn serve(&mut self) -> Result<(), StateError> {
        loop {
            let first = match self.queue.receive_for(self.patience()) {
                Ok(first) => first,
                Err(Closed) => return Ok(()),
            };
            if first.is_none() && self.shared.stopping.load(Ordering::Acquire) {
                return Ok(());
            }
            if self.shared.role.has_ended() {
                first.into_iter().for_each(|first| self.refuse(first));
                return Ok(());
            }
            let began = self.shared.clock.now();
            self.tick(began);
            self.gather(first, began);
            self.propose()?;
            self.advance(began)?;
            self.cut()?;
            self.rest()?;
        }
    }

    fn patience(&self) -> Duration {
        if self.draining() { DRAIN_PATIENCE } else { TICK }
    }

    fn draining(&self) -> bool {
        self.shared.removal.load(Ordering::Acquire) != 0 && self.refuses(true).is_none()
    }

    /// Why a command is refused now. What makes room may gather in memory while the state has none, but not more than the
    /// next start can hold.
    fn refuses(&self, makes_room: bool) -> Option<Refusal> {
        let refusal = self.shared.role.refuses_change()?;
        let has_memory = self.shared.layers.weight().0 < self.shared.settings.layer_bytes_max / 2;
        if makes_room && has_memory { self.shared.role.refuses_removal() } else { Some(refusal) }
    }

    fn tick(&mut self, now: Moment) {
        while now >= self.ticked + TICK {
            self.ticked = self.ticked + TICK;
            self.consensus.tick();
        }
        let second = Duration::from_secs(1);
        if now >= self.counted + second {
            let syncs = self.consensus.status().syncs;
            let ns = u128::from(now.since(self.counted)).max(1);
            let rate = u128::from(syncs - self.syncs) * second.as_nanos() / ns;
            self.shared.syncs_per_s.store(u64::try_from(rate).unwrap_or(u64::MAX), Ordering::Relaxed);
            (self.counted, self.syncs) = (now, syncs);
        }
    }

    /// Takes what waits, and what keeps arriving for at most an eighth of what the last group took.
    fn gather(&mut self, first: Option<Proposed>, began: Moment) {
        let mut group = Logged { index: 0, term: 0, time_ms: 0, commands: Vec::new(), done: Vec::new() };
        self.own_commands(&mut group, began);
        let Some(first) = first else {
            return self.keep(group);
        };
        self.take(first, began, &mut group);
        let window = Duration::from_nanos(self.last_ns / 8);
        while !self.encoder.is_full() && self.encoder.bytes().len() < GROUP_BYTES_MAX {
            let now = self.shared.clock.now();
            let next = match self.queue.try_receive() {
                Ok(None) if now < began + window => self.queue.receive_for(window / 4),
                other => other,
            };
            match next {
                Ok(Some(proposed)) => self.take(proposed, now, &mut group),
                Ok(None) | Err(Closed) => break,
            }
        }
        self.keep(group);
    }

    /// What the master asks of itself: draining removed trees, closing silent sessions.
    fn own_commands(&mut self, group: &mut Logged, now: Moment) {
        let removal = self.shared.removal.load(Ordering::Acquire);
        if self.draining() && self.proposed.is_empty() {
            self.add(Command::Drain { removal, names_max: DRAIN_NAMES }, None, group);
        }
        if now >= self.expired + EXPIRE_EVERY {
            self.expired = now;
            let silent_ms = u64::try_from(self.shared.settings.session_silent.as_millis()).unwrap_or(u64::MAX);
            let since_ms = self.shared.silent_since_ms.load(Ordering::Relaxed);
            if since_ms.saturating_add(silent_ms) <= self.shared.time_ms() {
                self.add(Command::ExpireSessions { silent_ms }, None, group);
            }
        }
    }

    fn take(&mut self, proposed: Proposed, now: Moment, group: &mut Logged) {
        self.shared.metrics.wait.record(now.since(proposed.queued));
        if proposed.deadline <= now {
            let refusal = Refusal::new(Status::TimedOut, "the deadline passed before the log took the change");
            return self.end(proposed, refusal);
        }
        if let Some(refusal) = self.refuses(proposed.command.makes_room()) {
            return self.end(proposed, refusal);
        }
        self.add(proposed.command, proposed.done, group);
    }

    fn add(
        &mut self,
        command: Command,
        done: Option<crate::base::completion::Completion<super::MasterEnd>>,
        group: &mut Logged,
    ) {
        self.encoder.push(&command);
        group.commands.push(command);
        group.done.push(done);
    }

    fn keep(&mut self, group: Logged) {
        if !group.commands.is_empty() {
            self.proposed.push_back(group);
        }
    }

    /// Proposes the group that was gathered last, if one was.
    fn propose(&mut self) -> Result<(), StateError> {
        if self.encoder.count() == 0 {
            return Ok(());
        }
        // The time goes into the entry, and never back.
        self.time_ms = self.time_ms.max(self.shared.time_ms());
        self.encoder.set_time(self.time_ms);
        let data = self.encoder.bytes().to_vec();
        self.encoder.restart(self.time_ms);
        let Some(mut group) = self.proposed.pop_back() else {
            return Ok(());
        };
        match self.consensus.propose(data) {
            Ok(at) => {
                (group.index, group.term, group.time_ms) = (at.index, at.term, self.time_ms);
                self.shared.metrics.commands.add(group.commands.len() as u64);
                self.shared.metrics.groups.increment();
                self.proposed.push_back(group);
            }
            Err(refused) => {
                let refusal = self.not_proposed(refused);
                for done in group.done.into_iter().flatten() {
                    done.complete(Err(refusal.clone()));
                }
            }
        }
        Ok(())
    }

    fn not_proposed(&self, refused: NotProposed) -> Refusal {
        let busy = |detail| Refusal::busy(Stage::AppendQueue, 100, detail);
        match refused {
            NotProposed::Full => {
                self.shared.role.refuses_change().unwrap_or_else(|| busy("the log of names waits for room on its disk"))
            }
            NotProposed::TooMuch => busy("the log of names has as much under way as it may"),
            NotProposed::NotLeader => Refusal::new(Status::Unavailable, "this node is not the master now; try again"),
        }
    }

    /// Writes and syncs what was proposed, and hands on what is committed.
    fn advance(&mut self, began: Moment) -> Result<(), StateError> {
        let had_work = !self.proposed.is_empty();
        let mut committed = Vec::new();
        while self.consensus.has_ready() {
            match self.consensus.step() {
                Ok(more) => {
                    self.shared.role.leave_full(Full::Log);
                    committed.extend(more);
                }
                Err(error @ StateError::Full { .. }) => {
                    self.shared.role.enter_full(Full::Log, &error.to_string());
                    // What was proposed stays so: it is answered when there is room, or its deadline passes.
                    std::thread::sleep(ASK_AGAIN);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        if had_work {
            self.last_ns = self.shared.clock.now().since(began);
            self.shared.metrics.log.record(self.last_ns);
            self.busy_since = Some(self.shared.clock.now());
        }
        self.hand_on(committed)?;
        *self.shared.log.lock() = self.consensus.status();
        Ok(())
    }

    fn hand_on(&mut self, committed: Vec<Committed>) -> Result<(), StateError> {
        for entry in committed {
            let ours =
                self.proposed.front().is_some_and(|group| (group.index, group.term) == (entry.index, entry.term));
            let logged = match self.proposed.pop_front_if(|_| ours) {
                Some(group) => group,
                None => Logged::of(&entry)?,
            };
            if !self.applying.hand_on(logged) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Removes the part of the log that the state holds durably.
    fn cut(&mut self) -> Result<(), StateError> {
        let durable = *self.shared.durable.lock();
        if durable.index > self.cut {
            self.cut = durable.index;
            self.consensus.cut(durable)?;
        }
        Ok(())
    }

    fn rest(&mut self) -> Result<(), StateError> {
        if self.busy_since.is_some_and(|since| self.shared.clock.now() >= since + REST_AFTER) {
            self.busy_since = None;
            match self.consensus.rest() {
                // A closing frame that finds no room only leaves the last group unproven.
                Err(StateError::Full { .. }) | Ok(()) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn refuse_all(&mut self) {
        for group in std::mem::take(&mut self.proposed) {
            for done in group.done.into_iter().flatten() {
                done.complete(Err(self.unknown()));
            }
        }
        while let Ok(Some(proposed)) = self.queue.try_receive() {
            self.refuse(proposed);
        }
    }

    fn refuse(&self, proposed: Proposed) {
        let refusal = self
            .shared
            .role
            .refuses_read()
            .unwrap_or_else(|| Refusal::new(Status::ShuttingDown, "the node is stopping: use another connection"));
        self.end(proposed, refusal);
    }

    fn end(&self, proposed: Proposed, refusal: Refusal) {
        if let Some(done) = proposed.done {
            done.complete(Err(refusal));
        }
    }

    /// For what is in the log perhaps, and was not seen to be committed.
    fn unknown(&self) -> Refusal {
        Refusal::new(
            Status::TimedOut,
            "the master ended before the change was known to be in its log; ask again with the same number",
        )
    }
}
