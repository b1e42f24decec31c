//! The driver of the consensus core: proposals in, committed entries out, one append between them.
//!
//! Owned by the master thread, which calls it; no clock, no thread and no socket inside. The core is `raft` 0.7, a pure
//! state machine; entries travel in our own format, and no byte is ever parsed by its protobuf library.
//!
//! Always: what [`Consensus::step`] hands out is durable here and comes in order, each entry once in a run; hard state
//! and entries of a step are one record of the log; only the leader proposes, and it is one for others only when an entry
//! of its own term was handed out.
//!
//! A full disk: what was proposed stays pending, neither lost nor acknowledged. Each further step tries the same append
//! again, and until it succeeds nothing new is proposed. What is pending when the process ends was never answered: it may
//! be there after the next start only if its append succeeded.
//!
//! The core panics where it finds itself in contradiction (its `fatal!`). Whoever runs the master thread catches that, and
//! takes it as the end of the master's role in this process: the log is consistent at any point.

mod logger;
mod storage;
#[cfg(test)]
mod tests;

use super::StateError;
pub use super::log::Applied;
use super::log::{EntryKind, HardState, Log, LogOptions, LogReport, Record};
use crate::disk::Disk;
use bytes::Bytes;
use raft::{Config, RawNode, ReadOnlyOption, Ready, StateRole, eraftpb};
use std::sync::Arc;
use storage::{LogStorage, VOTER, from_raft};

/// How often [`Consensus::tick`] is to be called.
pub const TICK_MS: u64 = 100;
/// Ticks without a leader before an election; the core takes up to twice as many, at random.
const ELECTION_TICKS: usize = 10;
const HEARTBEAT_TICKS: usize = 2;
/// The mark of the log is at most so many ticks late: a second.
const MARK_TICKS: u64 = 10;
/// Bytes of one message to another voter.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;
const MESSAGES_IN_FLIGHT_MAX: usize = 256;
/// Bytes of proposals that are not committed yet; above it none is taken.
pub const UNCOMMITTED_BYTES_MAX: u64 = 64 << 20;
/// Bytes of committed entries that one step hands out, but one entry at least.
const COMMITTED_BYTES_MAX: u64 = 16 << 20;

/// A committed entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Its place.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// What was proposed; empty: the entry with which a leader begins its term.
    pub data: Bytes,
}

/// Why a proposal was not taken. Nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotProposed {
    /// This voter does not lead, or no entry of its term is committed yet.
    #[error("this master does not lead")]
    NotLeader,
    /// The metadata disk is full: an earlier append waits for room.
    #[error("the metadata disk is full")]
    Full,
    /// Too much is proposed and not committed yet.
    #[error("too much is proposed and not committed yet")]
    TooMuch,
}

/// What a voter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// It leads, and serves.
    Leader,
    /// It was elected, and serves once an entry of its term is committed.
    Elected,
    /// It asks to be elected.
    Candidate,
    /// It follows.
    #[default]
    Follower,
}

impl Role {
    /// The name that people read.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Elected => "elected",
            Self::Candidate => "candidate",
            Self::Follower => "follower",
        }
    }
}

/// How consensus stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConsensusStatus {
    /// What this voter is.
    pub role: Role,
    /// The term.
    pub term: u64,
    /// The last committed entry.
    pub commit: u64,
    /// The last entry that was handed out.
    pub handed_out: u64,
    /// The last entry of the log.
    pub last: u64,
    /// The last entry that was cut.
    pub cut: u64,
    /// Bytes of the log's files.
    pub log_bytes: u64,
    /// Bytes of entries in memory.
    pub memory_bytes: u64,
    /// Records that were appended in this run.
    pub records: u64,
    /// Syncs of them.
    pub syncs: u64,
    /// What the last sync took, in nanoseconds.
    pub sync_ns: u64,
    /// An append waits for room.
    pub is_full: bool,
}

/// The consensus of this master.
pub struct Consensus {
    node: RawNode<LogStorage>,
    /// What is ready and found no room in the log yet.
    pending: Option<Pending>,
    /// The last entry that was handed out.
    handed_out: Applied,
    ticks_unmarked: u64,
}

struct Pending {
    ready: Ready,
    /// What of it must be durable; none: nothing.
    record: Option<Record>,
}

impl Consensus {
    /// Opens the log and campaigns at once. `owner` is the id of the directory, `applied` how far the durable state
    /// reaches: the entries behind it come out again from the first steps.
    ///
    /// # Errors
    /// Those of [`Log::open`].
    pub fn open(
        disk: Arc<dyn Disk>,
        owner: u128,
        applied: Applied,
        options: &LogOptions,
    ) -> Result<(Self, LogReport), StateError> {
        let place = disk.place();
        let (log, report) = Log::open(disk, owner, applied, options)?;
        let past = log.last().index.saturating_add(1);
        if log.entries(applied.index.saturating_add(1), past).any(|entry| entry.kind == EntryKind::ConfChange) {
            let what = "the log changes who votes, which this program does not know: use a later one";
            return Err(StateError::damaged(place, what));
        }
        let core = |error: raft::Error| StateError::damaged(place.clone(), format!("the consensus core: {error}"));
        let mut node = RawNode::new(&config(applied), LogStorage { log }, &logger::logger()).map_err(core)?;
        node.campaign().map_err(core)?;
        Ok((Self { node, pending: None, handed_out: applied, ticks_unmarked: 0 }, report))
    }

    /// Proposes one entry, which [`step`](Self::step) makes durable and hands out when it is committed. Several may be
    /// proposed before a step; they become one record. Returns the place that it will have.
    ///
    /// # Errors
    /// [`NotProposed`]; nothing was done.
    ///
    /// # Panics
    /// If it is empty: that is what a leader begins with.
    pub fn propose(&mut self, data: Vec<u8>) -> Result<Applied, NotProposed> {
        assert!(!data.is_empty(), "a proposal says something");
        if self.pending.is_some() {
            return Err(NotProposed::Full);
        }
        if !self.is_leader() {
            return Err(NotProposed::NotLeader);
        }
        // The core assigns index and term; it refuses only above its bound.
        self.node.propose(Vec::new(), data).map_err(|_| NotProposed::TooMuch)?;
        Ok(Applied { index: self.node.raft.raft_log.last_index(), term: self.node.raft.term })
    }

    /// Whether [`step`](Self::step) has something to do; an append that found no room counts.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        self.pending.is_some() || self.node.has_ready()
    }

    /// Handles what is ready: makes it durable with one append, and returns what is committed now, in order. To be called
    /// until [`has_ready`](Self::has_ready) is false.
    ///
    /// # Errors
    /// [`StateError::Full`]: what is ready stays pending, and the next step tries again. After any other error the log
    /// takes nothing more: the master gives up its role.
    pub fn step(&mut self) -> Result<Vec<Committed>, StateError> {
        let mut committed = Vec::new();
        let pending = match self.pending.take() {
            Some(pending) => pending,
            None if self.node.has_ready() => {
                let mut ready = self.node.ready();
                // Committed and durable already, whatever becomes of the rest.
                self.hand_out(ready.take_committed_entries(), &mut committed)?;
                let record = self.record_of(&mut ready);
                Pending { ready, record }
            }
            None => {
                self.note_mark()?;
                return Ok(committed);
            }
        };
        if let Some(record) = &pending.record
            && let Err(error) = self.node.mut_store().log.append(record)
        {
            let is_full = matches!(error, StateError::Full { .. });
            if is_full {
                self.pending = Some(pending);
            }
            return if is_full && !committed.is_empty() { Ok(committed) } else { Err(error) };
        }
        // There is no other voter, so there are no messages to send.
        let mut light = self.node.advance_append(pending.ready);
        self.hand_out(light.take_committed_entries(), &mut committed)?;
        self.node.advance_apply();
        self.note_mark()?;
        Ok(committed)
    }

    /// A tenth of a second went by.
    pub fn tick(&mut self) {
        self.ticks_unmarked = self.ticks_unmarked.saturating_add(1);
        // Between a ready and its end the core may not move.
        if self.pending.is_none() {
            self.node.tick();
        }
    }

    /// Whether it leads and serves: an entry of its own term was handed out.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.node.raft.state == StateRole::Leader && self.handed_out.term == self.node.raft.term
    }

    /// The state has all entries up to this one durably.
    ///
    /// # Errors
    /// Those of [`Log::cut`].
    ///
    /// # Panics
    /// If it was not handed out, or has another term.
    pub fn cut(&mut self, durable: Applied) -> Result<(), StateError> {
        assert!(durable.index <= self.handed_out.index, "the state has only what was handed out");
        if durable.index > self.node.raft.raft_log.applied {
            // The core learns of it when the pending append succeeds; then a later cut takes it along.
            return Ok(());
        }
        self.node.mut_store().log.cut(durable)
    }

    /// What to do when nothing waits; see [`Log::rest`].
    ///
    /// # Errors
    /// Those of [`Log::rest`].
    pub fn rest(&mut self) -> Result<(), StateError> {
        self.ticks_unmarked = 0;
        self.node.mut_store().log.rest()
    }

    /// A clean stop. What is pending is not stored.
    ///
    /// # Errors
    /// Those of [`Log::close`].
    pub fn close(self) -> Result<(), StateError> {
        self.node.raft.r.raft_log.store.log.close()
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> ConsensusStatus {
        let (raft, log) = (&self.node.raft, &self.node.store().log);
        let role = match raft.state {
            StateRole::Leader if self.is_leader() => Role::Leader,
            StateRole::Leader => Role::Elected,
            StateRole::Candidate | StateRole::PreCandidate => Role::Candidate,
            StateRole::Follower => Role::Follower,
        };
        let counts = log.counts();
        ConsensusStatus {
            role,
            term: raft.term,
            commit: raft.raft_log.committed,
            handed_out: self.handed_out.index,
            last: raft.raft_log.last_index(),
            cut: log.cut_at().index,
            log_bytes: log.file_bytes(),
            memory_bytes: log.memory_bytes(),
            records: counts.records,
            syncs: counts.syncs,
            sync_ns: counts.sync_ns,
            is_full: self.pending.is_some(),
        }
    }

    /// What of a ready must be durable before it goes on: new entries with the hard state, or a new term or vote. A new
    /// commit index alone need not be.
    fn record_of(&self, ready: &mut Ready) -> Option<Record> {
        if !ready.must_sync() {
            return None;
        }
        let hard = self.node.raft.hard_state();
        let hard = HardState { term: hard.term, vote: hard.vote, commit: hard.commit };
        Some(Record { hard, entries: ready.take_entries().into_iter().map(from_raft).collect() })
    }

    fn hand_out(&mut self, entries: Vec<eraftpb::Entry>, into: &mut Vec<Committed>) -> Result<(), StateError> {
        for entry in entries.into_iter().map(from_raft) {
            if entry.kind == EntryKind::ConfChange {
                let place = format!("entry {} of the log", entry.index);
                return Err(StateError::damaged(place, "it changes who votes, which this program does not know"));
            }
            assert_eq!(entry.index, self.handed_out.index + 1, "committed entries come in order, each once");
            self.handed_out = Applied { index: entry.index, term: entry.term };
            into.push(Committed { index: entry.index, term: entry.term, data: entry.data });
        }
        Ok(())
    }

    fn note_mark(&mut self) -> Result<(), StateError> {
        if self.ticks_unmarked < MARK_TICKS {
            return Ok(());
        }
        self.ticks_unmarked = 0;
        self.node.mut_store().log.note_mark()
    }
}

impl std::fmt::Debug for Consensus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consensus").field("status", &self.status()).finish_non_exhaustive()
    }
}

fn config(applied: Applied) -> Config {
    Config {
        id: VOTER,
        election_tick: ELECTION_TICKS,
        heartbeat_tick: HEARTBEAT_TICKS,
        applied: applied.index,
        max_size_per_msg: MESSAGE_BYTES_MAX,
        max_inflight_msgs: MESSAGES_IN_FLIGHT_MAX,
        // Both are needed so that a voter that was cut off neither disturbs the others nor leads on alone.
        check_quorum: true,
        pre_vote: true,
        read_only_option: ReadOnlyOption::Safe,
        max_uncommitted_size: UNCOMMITTED_BYTES_MAX,
        max_committed_size_per_ready: COMMITTED_BYTES_MAX,
        ..Config::default()
    }
}
