//! The namespace: what it keeps in memory, and which command does what.
//!
//! Owned by the apply thread. Always: it depends on nothing but the table and the commands, so that equal logs make equal
//! tables; a command writes after all of its checks, so that one that is refused leaves the table as it was; memory is
//! bounded whatever the number of names.

use super::keys;
use super::meta::Meta;
use super::parent::DirectoryCache;
use super::sessions::{DeadNumbers, Sessions};
use super::stop::{Stop, apart};
use crate::base::checksum::content_hash;
use crate::master::StateError;
use crate::master::command::{Command, Commands};
use crate::master::table::{Table, TableMut};
use crate::request::{Changed, NameAnswer, Refusal, Removal, Session};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// What the applied groups made, as far as it is kept in memory.
#[derive(Debug)]
pub struct Namespace {
    pub(super) meta: Meta,
    pub(super) sessions: Sessions,
    /// Removals that are under way, and the last ones that are done.
    pub(super) removals: BTreeSet<u64>,
    pub(super) removals_done: BTreeSet<u64>,
    pub(super) directories: DirectoryCache,
    silent_ms_max: u64,
    digested: Vec<u8>,
}

/// What caches must forget after a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Touched {
    /// Names that lead elsewhere now: the inode of the directory, and the name in it. Names in a directory that was
    /// removed with its content are not among them: nobody comes to them any more, and inodes are given once.
    pub names: Vec<(u64, Box<str>)>,
    /// Whole paths lead elsewhere now, because a directory above them was moved or removed with its content. Who keeps
    /// names by directory and name needs `names` only.
    pub directories_moved: bool,
}

/// Facts for an operator and for the background work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceFacts {
    /// Files.
    pub files: u64,
    /// Directories, the root not counted.
    pub directories: u64,
    /// Bytes of content of all files, those under removals that are under way included.
    pub bytes: u64,
    /// Sessions that are open.
    pub sessions_open: usize,
    /// Sessions that are closed and not forgotten.
    pub sessions_closed: usize,
    /// Sessions that were forgotten before their dead chunks were searched for, for want of room.
    pub sessions_forgotten_early: u64,
    /// Removals that are under way.
    pub removals_pending: Vec<u64>,
    /// Object ids on the to-do list of tombstones.
    pub tombstones_pending: u64,
    /// The last log entry that was applied.
    pub applied_index: u64,
    /// Its term.
    pub applied_term: u64,
    /// The version of the last change.
    pub revision: u64,
    /// The time of the last group.
    pub time_ms: u64,
    /// The rolling digest of all that was written: equal for equal logs.
    pub digest: u128,
}

/// Numbers of sessions for each millisecond, as a power of two: 2^53, which every language can count to, lasts for centuries.
const SESSIONS_PER_MS_LOG2: u32 = 10;

/// What an open session is told, unless the node is configured otherwise: a day.
const SILENT_MS_MAX_DEFAULT: u64 = 24 * 3600 * 1000;

impl Namespace {
    /// The namespace of a table; an empty table is a new one.
    ///
    /// # Errors
    /// [`StateError`], of reading it.
    pub fn load(table: &dyn Table) -> Result<Self, StateError> {
        let meta = match table.value(&keys::META)? {
            Some(value) => Meta::decode(&value)?,
            None => Meta::new(),
        };
        let (mut removals, mut removals_done) = (BTreeSet::new(), BTreeSet::new());
        let mut failed = None;
        let (from, to) = keys::REMOVALS_ALL;
        table.scan(&from, &to, &mut |key, value| match super::drain::decode(key, value) {
            Ok((removal, Removal { done, .. })) => {
                if done { &mut removals_done } else { &mut removals }.insert(removal);
                ControlFlow::Continue(())
            }
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        Ok(Self {
            meta,
            sessions: Sessions::load(table)?,
            removals,
            removals_done,
            directories: DirectoryCache::default(),
            silent_ms_max: SILENT_MS_MAX_DEFAULT,
            digested: Vec::new(),
        })
    }

    /// What sessions are told of how long they may be silent. It is no part of the state.
    pub fn set_silent_ms_max(&mut self, silent_ms_max: u64) {
        self.silent_ms_max = silent_ms_max;
    }

    /// The index and the term of the last log entry that was applied.
    #[must_use]
    pub fn applied(&self) -> (u64, u64) {
        (self.meta.index, self.meta.term)
    }

    /// Applies a command, with the time of its group. What caches must forget is added to `touched`.
    ///
    /// Commands of the node itself, that have no answer of their own, are answered with an empty receipt.
    ///
    /// # Errors
    /// [`StateError`], of reading the table; then the namespace must not be used any more.
    pub fn apply(
        &mut self,
        table: &mut dyn TableMut,
        command: &Command,
        time_ms: u64,
        touched: &mut Touched,
    ) -> Result<Applied, StateError> {
        self.meta.time_ms = self.meta.time_ms.max(time_ms);
        apart(self.carry_out(table, command, touched))
    }

    /// Notes that all commands of a log entry were applied.
    pub fn end_group(&mut self, index: u64, term: u64, time_ms: u64) {
        debug_assert!(index > self.meta.index && term >= self.meta.term, "log entries are applied in order");
        (self.meta.index, self.meta.term) = (index, term);
        self.meta.time_ms = self.meta.time_ms.max(time_ms);
    }

    /// Writes what is kept in memory into the table, so that it can be loaded from there.
    pub fn store(&mut self, table: &mut dyn TableMut) {
        self.sessions.store(table);
        table.put(keys::META.to_vec(), self.meta.encode());
    }

    /// Facts about it.
    #[must_use]
    pub fn facts(&self) -> NamespaceFacts {
        NamespaceFacts {
            files: self.meta.files,
            directories: self.meta.directories,
            bytes: self.meta.bytes,
            sessions_open: self.sessions.open_count(),
            sessions_closed: self.sessions.closed_count(),
            sessions_forgotten_early: self.meta.sessions_forgotten_early,
            removals_pending: self.removals.iter().copied().collect(),
            tombstones_pending: self.meta.tombstones,
            applied_index: self.meta.index,
            applied_term: self.meta.term,
            revision: self.meta.revision,
            time_ms: self.meta.time_ms,
            digest: self.meta.digest,
        }
    }

    /// The oldest removal that is under way: the next to drain.
    #[must_use]
    pub fn removal_pending(&self) -> Option<u64> {
        self.removals.first().copied()
    }

    /// The last use of the open session that was silent the longest; the end of time if none is open.
    #[must_use]
    pub fn silent_since_ms(&self) -> u64 {
        self.sessions.silent_since_ms()
    }

    /// Which chunks that nobody committed are garbage, as of now.
    #[must_use]
    pub fn dead_numbers(&self) -> DeadNumbers {
        self.sessions.dead_numbers(self.meta.next_session)
    }

    fn carry_out(
        &mut self,
        table: &mut dyn TableMut,
        command: &Command,
        touched: &mut Touched,
    ) -> Result<NameAnswer, Stop> {
        let now_ms = self.meta.time_ms;
        match command {
            Command::Change { id, change } => return self.change(table, *id, change, touched),
            Command::Drain { removal, names_max } => {
                return self.drain(table, *removal, *names_max).map(NameAnswer::Removal);
            }
            Command::Recall(id) => {
                if let Some(ending) = self.sessions.answered(*id, now_ms)? {
                    return Ok(ending.again()?);
                }
            }
            Command::TombstonesWritten(keys) => self.tombstones_written(table, keys)?,
            Command::OpenSession => {
                // Not from 1 on: a namespace that was made anew, or restored, must not give out again what chunks of its
                // former life were put under, or it would take them for its own garbage.
                let session = self.meta.next_session.max(now_ms << SESSIONS_PER_MS_LOG2);
                self.sessions.open(session, now_ms)?;
                self.meta.next_session = session + 1;
                self.digest(&[b"opened", &session.to_le_bytes()]);
                return Ok(NameAnswer::Session(Session { session, silent_ms_max: self.silent_ms_max }));
            }
            Command::RenewSession(session) => {
                self.sessions.renew(*session, now_ms)?;
                return Ok(NameAnswer::Session(Session { session: *session, silent_ms_max: self.silent_ms_max }));
            }
            Command::CloseSession(session) => {
                self.close_session(*session)?;
                return Ok(NameAnswer::SessionClosed);
            }
            Command::ExpireSessions { silent_ms } => {
                if let Some(until_ms) = now_ms.checked_sub(*silent_ms) {
                    for session in self.sessions.silent_until(until_ms) {
                        self.close_session(session)?;
                    }
                }
            }
            Command::ForgetSessions(sessions) => sessions.iter().for_each(|session| self.sessions.forget(*session)),
        }
        Ok(NameAnswer::Changed(Changed::default()))
    }

    fn close_session(&mut self, session: u64) -> Result<(), Stop> {
        self.meta.sessions_forgotten_early += self.sessions.close(session, self.meta.time_ms)?;
        self.digest(&[b"closed", &session.to_le_bytes()]);
        Ok(())
    }

    /// The version of a change that is now made.
    pub(super) fn next_revision(&mut self) -> u64 {
        self.meta.revision += 1;
        self.meta.revision
    }

    pub(super) fn put(&mut self, table: &mut dyn TableMut, key: Vec<u8>, value: Vec<u8>) {
        self.digest(&[b"put", &key, &value]);
        table.put(key, value);
    }

    pub(super) fn remove(&mut self, table: &mut dyn TableMut, key: Vec<u8>) {
        self.digest(&[b"remove", &key]);
        table.remove(key);
    }

    /// Takes something into the rolling digest: the digest is that of the one before and these, each with its length.
    pub(super) fn digest(&mut self, parts: &[&[u8]]) {
        self.digested.clear();
        self.digested.extend_from_slice(&self.meta.digest.to_le_bytes());
        for part in parts {
            self.digested.extend_from_slice(&(part.len() as u64).to_le_bytes());
            self.digested.extend_from_slice(part);
        }
        self.meta.digest = content_hash(&self.digested).0;
    }
}

/// An answer of [`Namespace::apply`].
pub type Applied = Result<NameAnswer, Refusal>;

/// Applies a log entry: the commands of a group's bytes, one after another, with its index and term.
///
/// # Errors
/// [`StateError`], of reading the table, or when the bytes are no group.
pub fn apply_group(
    names: &mut Namespace,
    table: &mut dyn TableMut,
    bytes: &[u8],
    (index, term): (u64, u64),
    touched: &mut Touched,
) -> Result<Vec<Applied>, StateError> {
    let commands = Commands::of(bytes)?;
    let (time_ms, mut answers) = (commands.time_ms(), Vec::new());
    for command in commands {
        answers.push(names.apply(table, &command?, time_ms, touched)?);
    }
    names.end_group(index, term, time_ms);
    Ok(answers)
}
