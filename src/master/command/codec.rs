//! Groups as bytes of the log.
//!
//! Any thread; pure. Always: a group has one form, and decoding it gives it back; bytes that are no group are an error,
//! never a panic, and take no more memory than a fixed multiple of themselves.
//!
//! ```text
//! group:       version u8 = 1 | time_ms u64 LE | commands, to the end
//! command:     kind u8 | its fields (numbers are varints, runs are a varint of their length and their bytes)
//!   1 open session      -                     2 renew session   session        3 close session   session
//!   4 commit            session | number | flags | [version] | [modified_ms] | path run | attributes run | size
//!                       | hash 16 | chunks | of each: volume, sequence, cookie u64 LE, number
//!   5 make directory    session | number | flags | path run
//!   6 rename            session | number | flags | [version] | from run | to run
//!   7 remove            session | number | flags | [version] | path run
//!   8 set attributes    session | number | flags | [version] | path run | attributes run
//!   9 drain             removal | names_max
//!   10 tombstones written   keys | of each: since_ms, version, part
//!   11 expire sessions  silent_ms
//!   12 forget sessions  sessions | each
//! flags:       bits 0 and 1: the condition: 0 any, 1 absent, 2 a version, which follows
//!              bit 2: parents, replace or tree      bit 3: modified_ms follows
//! ```

use super::{Checked, Command, Group, TombstoneKey};
use crate::base::ids::{ContentHash, Cookie, ObjectId, Origin, Sequence, VolumeId};
use crate::base::limits::GROUP_COMMANDS_MAX;
use crate::base::path::NamePath;
use crate::master::StateError;
use crate::master::fields::{Fields, push_run, push_varint};
use crate::request::{Attributes, Condition};
use bytes::Bytes;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 9;

const OPEN_SESSION: u8 = 1;
const RENEW_SESSION: u8 = 2;
const CLOSE_SESSION: u8 = 3;
const COMMIT: u8 = 4;
const MAKE_DIRECTORY: u8 = 5;
const RENAME: u8 = 6;
const REMOVE: u8 = 7;
const SET_ATTRIBUTES: u8 = 8;
const DRAIN: u8 = 9;
const TOMBSTONES_WRITTEN: u8 = 10;
const EXPIRE_SESSIONS: u8 = 11;
const FORGET_SESSIONS: u8 = 12;
const RECALL: u8 = 13;

const CONDITION: u8 = 0b11;
const CHOICE: u8 = 1 << 2;
const MODIFIED: u8 = 1 << 3;

/// A chunk takes at least so many bytes: what is told of their number is held against it.
const CHUNK_BYTES_MIN: usize = 11;
/// A key of the to-do list, too.
const KEY_BYTES_MIN: usize = 3;

impl Group {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = GroupEncoder::new(self.time_ms);
        self.commands.iter().for_each(|command| encoder.push(command));
        encoder.into_bytes()
    }

    /// The group of bytes.
    ///
    /// # Errors
    /// [`StateError::Damaged`], when they are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let commands = Commands::of(bytes)?;
        Ok(Self { time_ms: commands.time_ms(), commands: commands.collect::<Result<_, _>>()? })
    }
}

/// Makes a group, one command after the other, in one buffer.
#[derive(Debug)]
pub struct GroupEncoder {
    bytes: Vec<u8>,
    count: usize,
}

impl GroupEncoder {
    /// A group of no command yet.
    #[must_use]
    pub fn new(time_ms: u64) -> Self {
        let mut encoder = Self { bytes: Vec::with_capacity(256), count: 0 };
        encoder.restart(time_ms);
        encoder
    }

    /// Begins another group in the same buffer.
    pub fn restart(&mut self, time_ms: u64) {
        self.bytes.clear();
        self.bytes.push(VERSION);
        self.bytes.extend_from_slice(&time_ms.to_le_bytes());
        self.count = 0;
    }

    /// Sets the time, which may be known only when the group is complete.
    pub fn set_time(&mut self, time_ms: u64) {
        if let Some(place) = self.bytes.get_mut(1..HEAD_BYTES) {
            place.copy_from_slice(&time_ms.to_le_bytes());
        }
    }

    /// Appends a command.
    pub fn push(&mut self, command: &Command) {
        push_command(&mut self.bytes, command);
        self.count += 1;
    }

    /// The group up to here.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The group, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Commands in it.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether no further command may come in: a longer group is not decoded.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.count >= GROUP_COMMANDS_MAX
    }
}

/// The commands of a group's bytes, one at a time.
#[derive(Debug, Clone)]
pub struct Commands<'a> {
    time_ms: u64,
    fields: Fields<'a>,
    count: usize,
}

impl<'a> Commands<'a> {
    /// Those of a group.
    ///
    /// # Errors
    /// [`StateError::Damaged`], when the head is not that of a group.
    pub fn of(bytes: &'a [u8]) -> Result<Self, StateError> {
        let mut fields = Fields(bytes);
        match (fields.byte(), fields.u64()) {
            (Some(VERSION), Some(time_ms)) => Ok(Self { time_ms, fields, count: 0 }),
            (Some(version), Some(_)) => Err(damaged(format!(
                "its version is {version}, and {VERSION} is known here: it was written by another release"
            ))),
            _ => Err(damaged(format!("{} bytes are no group", bytes.len()))),
        }
    }

    /// The time of the group.
    #[must_use]
    pub fn time_ms(&self) -> u64 {
        self.time_ms
    }
}

impl Iterator for Commands<'_> {
    type Item = Result<Command, StateError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.fields.is_empty() {
            return None;
        }
        let left = self.fields.0.len();
        let command = if self.count < GROUP_COMMANDS_MAX { command(&mut self.fields) } else { None };
        self.count += 1;
        Some(command.ok_or_else(|| {
            self.fields = Fields(&[]);
            damaged(format!("command {} of the group, {left} bytes before its end, is none", self.count))
        }))
    }
}

fn damaged(what: String) -> StateError {
    StateError::damaged("a group of the metadata log", what)
}

fn push_command(out: &mut Vec<u8>, command: &Command) {
    match command {
        Command::OpenSession => out.push(OPEN_SESSION),
        Command::RenewSession(session) => push_one(out, RENEW_SESSION, *session),
        Command::CloseSession(session) => push_one(out, CLOSE_SESSION, *session),
        Command::Change { id, change } => push_change(out, *id, change),
        Command::Recall(id) => {
            push_one(out, RECALL, id.session);
            push_varint(out, id.number);
        }
        Command::Drain { removal, names_max } => {
            push_one(out, DRAIN, *removal);
            push_varint(out, u64::from(*names_max));
        }
        Command::TombstonesWritten(keys) => {
            push_one(out, TOMBSTONES_WRITTEN, keys.len() as u64);
            for key in keys {
                push_varint(out, key.since_ms);
                push_varint(out, key.version);
                push_varint(out, u64::from(key.part));
            }
        }
        Command::ExpireSessions { silent_ms } => push_one(out, EXPIRE_SESSIONS, *silent_ms),
        Command::ForgetSessions(sessions) => {
            push_one(out, FORGET_SESSIONS, sessions.len() as u64);
            sessions.iter().for_each(|session| push_varint(out, *session));
        }
    }
}

fn push_one(out: &mut Vec<u8>, kind: u8, number: u64) {
    out.push(kind);
    push_varint(out, number);
}

fn push_change(out: &mut Vec<u8>, id: Origin, change: &Checked) {
    match change {
        Checked::Commit { path, condition, parents, modified_ms, attributes, size, hash, chunks } => {
            push_change_head(out, COMMIT, id, *condition, *parents, *modified_ms);
            push_run(out, path.as_str().as_bytes());
            push_run(out, attributes.bytes());
            push_varint(out, *size);
            out.extend_from_slice(&hash.0.to_le_bytes());
            push_varint(out, chunks.len() as u64);
            for (chunk, number) in chunks {
                push_varint(out, u64::from(chunk.volume.0));
                push_varint(out, chunk.sequence.0);
                out.extend_from_slice(&chunk.cookie.0.to_le_bytes());
                push_varint(out, *number);
            }
        }
        Checked::MakeDirectory { path, parents } => {
            push_change_head(out, MAKE_DIRECTORY, id, Condition::Any, *parents, None);
            push_run(out, path.as_str().as_bytes());
        }
        Checked::Rename { from, to, replace, condition } => {
            push_change_head(out, RENAME, id, *condition, *replace, None);
            push_run(out, from.as_str().as_bytes());
            push_run(out, to.as_str().as_bytes());
        }
        Checked::Remove { path, tree, condition } => {
            push_change_head(out, REMOVE, id, *condition, *tree, None);
            push_run(out, path.as_str().as_bytes());
        }
        Checked::SetAttributes { path, condition, attributes } => {
            push_change_head(out, SET_ATTRIBUTES, id, *condition, false, None);
            push_run(out, path.as_str().as_bytes());
            push_run(out, attributes.bytes());
        }
    }
}

fn push_change_head(
    out: &mut Vec<u8>,
    kind: u8,
    id: Origin,
    condition: Condition,
    choice: bool,
    modified_ms: Option<u64>,
) {
    out.push(kind);
    push_varint(out, id.session);
    push_varint(out, id.number);
    let condition_bits = match condition {
        Condition::Any => 0,
        Condition::Absent => 1,
        Condition::Version(_) => 2,
    };
    let choice = if choice { CHOICE } else { 0 };
    out.push(condition_bits | choice | modified_ms.map_or(0, |_| MODIFIED));
    if let Condition::Version(version) = condition {
        push_varint(out, version);
    }
    if let Some(modified_ms) = modified_ms {
        push_varint(out, modified_ms);
    }
}

fn command(fields: &mut Fields<'_>) -> Option<Command> {
    Some(match fields.byte()? {
        OPEN_SESSION => Command::OpenSession,
        RENEW_SESSION => Command::RenewSession(fields.varint()?),
        CLOSE_SESSION => Command::CloseSession(fields.varint()?),
        kind @ COMMIT..=SET_ATTRIBUTES => {
            let id = Origin { session: fields.varint()?, number: fields.varint()? };
            Command::Change { id, change: change(fields, kind)? }
        }
        RECALL => Command::Recall(Origin { session: fields.varint()?, number: fields.varint()? }),
        DRAIN => Command::Drain { removal: fields.varint()?, names_max: fields.varint32()? },
        TOMBSTONES_WRITTEN => {
            let mut keys = list(fields, KEY_BYTES_MIN)?;
            for _ in 0..keys.1 {
                let (since_ms, version) = (fields.varint()?, fields.varint()?);
                keys.0.push(TombstoneKey { since_ms, version, part: fields.varint32()? });
            }
            Command::TombstonesWritten(keys.0)
        }
        EXPIRE_SESSIONS => Command::ExpireSessions { silent_ms: fields.varint()? },
        FORGET_SESSIONS => {
            let mut sessions = list(fields, 1)?;
            for _ in 0..sessions.1 {
                sessions.0.push(fields.varint()?);
            }
            Command::ForgetSessions(sessions.0)
        }
        _ => return None,
    })
}

/// Room for a list, and how long it is; `None` when the bytes that are left cannot hold it.
fn list<T>(fields: &mut Fields<'_>, bytes_min: usize) -> Option<(Vec<T>, usize)> {
    let count: usize = fields.varint()?.try_into().ok()?;
    (count <= fields.0.len() / bytes_min).then(|| (Vec::with_capacity(count), count))
}

fn change(fields: &mut Fields<'_>, kind: u8) -> Option<Checked> {
    let flags = fields.byte()?;
    let allowed = match kind {
        COMMIT => CONDITION | CHOICE | MODIFIED,
        MAKE_DIRECTORY => CHOICE,
        RENAME | REMOVE => CONDITION | CHOICE,
        _ => CONDITION,
    };
    if flags & !allowed != 0 {
        return None;
    }
    let condition = match flags & CONDITION {
        0 => Condition::Any,
        1 => Condition::Absent,
        2 => Condition::Version(fields.varint()?),
        _ => return None,
    };
    let choice = flags & CHOICE != 0;
    let modified_ms = if flags & MODIFIED == 0 { None } else { Some(fields.varint()?) };
    let path = path(fields)?;
    Some(match kind {
        COMMIT => {
            let (attributes, size, hash) = (attributes(fields)?, fields.varint()?, ContentHash(fields.u128()?));
            let mut chunks = list(fields, CHUNK_BYTES_MIN)?;
            for _ in 0..chunks.1 {
                let (volume, sequence) = (VolumeId(fields.varint32()?), Sequence(fields.varint()?));
                let chunk = ObjectId { volume, sequence, cookie: Cookie(fields.u64()?) };
                chunks.0.push((chunk, fields.varint()?));
            }
            let (parents, chunks) = (choice, chunks.0);
            Checked::Commit { path, condition, parents, modified_ms, attributes, size, hash, chunks }
        }
        MAKE_DIRECTORY => Checked::MakeDirectory { path, parents: choice },
        RENAME => Checked::Rename { from: path, to: self::path(fields)?, replace: choice, condition },
        REMOVE => Checked::Remove { path, tree: choice, condition },
        _ => Checked::SetAttributes { path, condition, attributes: attributes(fields)? },
    })
}

fn path(fields: &mut Fields<'_>) -> Option<NamePath> {
    let run = fields.run()?;
    let path = NamePath::parse(run).ok()?;
    (path.as_str().as_bytes() == run).then_some(path)
}

fn attributes(fields: &mut Fields<'_>) -> Option<Attributes> {
    let run = fields.run()?;
    if run.is_empty() {
        return Some(Attributes::default());
    }
    Attributes::parse(Bytes::copy_from_slice(run)).ok()
}

#[cfg(test)]
mod tests;
