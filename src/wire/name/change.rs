//! The changes, and the receipt of all of them.
//!
//! ```text
//! each             0 session u64 | 8 number u64 | 16 flags u8 | 17 condition u8 | 18 path_bytes u16 | 20 below | 24 version u64
//! COMMIT           20 attribute_bytes u16 | 22 zero [2] | 24 version | 32 modified_ms u64 | 40 chunk_count u32 | 44 zero [4]
//!                  48 path | attributes | chunks, 20 bytes each
//! MAKE_DIRECTORY   20 zero [4] | 24 version, zero | 32 path
//! RENAME           20 to_bytes u16 | 22 zero [2] | 24 version | 32 path | to
//! REMOVE           20 zero [4] | 24 version | 32 path
//! SET_ATTRIBUTES   20 attribute_bytes u16 | 22 zero [2] | 24 version | 32 path | attributes
//! reply            0 version u64 | 8 size u64 | 16 hash [16] | 32 removal u64 | 40 flags u8 | 41 zero [7]
//! ```
//!
//! Any thread. Always: a field that a change has no use for is zero.

use super::{BadBody, Fields, Opcode, count, short};
use crate::base::ids::{ObjectId, Origin};
use crate::base::limits::FILE_CHUNKS_MAX;
use crate::base::path::NamePath;
use crate::request::{Change, ChangeRequest, Changed, Condition};
use crate::wire::object::{OBJECT_ID_BYTES, encode_object_id};

/// Bytes of the fields that all changes have.
const HEAD_BYTES: usize = 32;
/// Bytes of the fields of a COMMIT before its path.
const COMMIT_BYTES: usize = 48;
/// Bytes of the receipt.
const CHANGED_BYTES: usize = 48;

/// Flag of COMMIT and MAKE_DIRECTORY: missing directories are made.
const PARENTS: u8 = 1;
/// Flag of COMMIT: the modification time is given.
const MODIFIED: u8 = 2;
/// Flag of RENAME: what is there is replaced.
const REPLACE: u8 = 1;
/// Flag of REMOVE: a directory goes with all that is in it.
const TREE: u8 = 1;
/// Flag of the receipt: something else was there before.
const REPLACED: u8 = 1;

const ANY: u8 = 0;
const ABSENT: u8 = 1;
const VERSION: u8 = 2;

/// The fields that all changes have. `second_bytes` is the length of what follows the path, if anything does.
#[derive(Debug, Clone, Copy)]
struct Head {
    id: Origin,
    flags: u8,
    condition: Condition,
    path_bytes: u16,
    second_bytes: u16,
}

/// What stands before the path of a COMMIT of a file without content and attributes, without memory of its own.
/// Missing directories are made, and what was there is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmptyCommit {
    /// Session, and number of the change in it.
    pub id: Origin,
    /// Bytes of the path that follows: 1 to 4096.
    pub path_bytes: usize,
}

impl EmptyCommit {
    /// Bytes of these fields.
    pub const BYTES: usize = COMMIT_BYTES;

    /// The fields; the path follows, and ends the body.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let head = encode_head(self.id, PARENTS, Condition::Any, self.path_bytes, 0);
        bytes[..HEAD_BYTES].copy_from_slice(&head);
        bytes
    }
}

pub(super) fn check(frame: &'static str, request: &ChangeRequest) -> Result<(), BadBody> {
    if request.id.session == 0 {
        return Err(Fields::new(frame, &[]).bad("session", 0, "the number of a session"));
    }
    match &request.change {
        Change::Commit { chunks, .. } => check_chunk_count(frame, chunks.len() as u64),
        _ => Ok(()),
    }
}

fn check_chunk_count(frame: &'static str, count: u64) -> Result<(), BadBody> {
    if count <= FILE_CHUNKS_MAX as u64 {
        return Ok(());
    }
    Err(BadBody::TooMany { frame, field: "chunk_count", count, count_max: FILE_CHUNKS_MAX })
}

pub(super) fn parse(opcode: Opcode, fields: &mut Fields<'_>) -> Result<ChangeRequest, BadBody> {
    let (id, change) = match opcode {
        Opcode::Commit => parse_commit(fields)?,
        Opcode::MakeDirectory => {
            let head = Head::parse(fields, PARENTS, None)?;
            if head.condition != Condition::Any {
                return Err(fields.bad("condition", head.condition_code().into(), "0: a MAKE_DIRECTORY has none"));
            }
            let path = fields.path(head.path_bytes, "path")?;
            (head.id, Change::MakeDirectory { path, parents: head.flags & PARENTS != 0 })
        }
        Opcode::Rename => {
            let head = Head::parse(fields, REPLACE, Some("to_bytes"))?;
            let from = fields.path(head.path_bytes, "path")?;
            let to = fields.path(head.second_bytes, "to")?;
            (head.id, Change::Rename { from, to, replace: head.flags & REPLACE != 0, condition: head.condition })
        }
        Opcode::Remove => {
            let head = Head::parse(fields, TREE, None)?;
            let path = fields.path(head.path_bytes, "path")?;
            (head.id, Change::Remove { path, tree: head.flags & TREE != 0, condition: head.condition })
        }
        _ => {
            assert_eq!(opcode, Opcode::SetAttributes, "only changes come here");
            let head = Head::parse(fields, 0, Some("attribute_bytes"))?;
            let path = fields.path(head.path_bytes, "path")?;
            let attributes = fields.attributes(head.second_bytes)?;
            (head.id, Change::SetAttributes { path, condition: head.condition, attributes })
        }
    };
    Ok(ChangeRequest { id, change })
}

fn parse_commit(fields: &mut Fields<'_>) -> Result<(Origin, Change), BadBody> {
    let head = Head::parse(fields, PARENTS | MODIFIED, Some("attribute_bytes"))?;
    let modified_ms = fields.u64("modified_ms")?;
    let chunk_count = fields.u32("chunk_count")?;
    fields.zeros::<4>()?;
    let is_dated = head.flags & MODIFIED != 0;
    if !is_dated && modified_ms != 0 {
        return Err(fields.bad("modified_ms", modified_ms, "0 without the flag MODIFIED"));
    }
    check_chunk_count(Opcode::Commit.name(), chunk_count.into())?;
    let commit = Change::Commit {
        path: fields.path(head.path_bytes, "path")?,
        condition: head.condition,
        parents: head.flags & PARENTS != 0,
        modified_ms: is_dated.then_some(modified_ms),
        attributes: fields.attributes(head.second_bytes)?,
        chunks: fields.object_ids(chunk_count, "chunks")?,
    };
    Ok((head.id, commit))
}

impl Head {
    /// The fields up to the end of the head. `second` names the length of what follows the path, if
    /// anything does.
    fn parse(fields: &mut Fields<'_>, flags_known: u8, second: Option<&'static str>) -> Result<Self, BadBody> {
        let id = Origin { session: fields.u64("session")?, number: fields.u64("number")? };
        let want = match flags_known {
            0 => "0",
            1 => "0 or 1",
            _ => "0 to 3",
        };
        let flags = fields.flags(flags_known, want)?;
        let condition = fields.u8("condition")?;
        let path_bytes = fields.u16("path_bytes")?;
        let second_bytes = match second {
            Some(field) => fields.u16(field)?,
            None => {
                fields.zeros::<2>()?;
                0
            }
        };
        fields.zeros::<2>()?;
        let version = fields.u64("version")?;
        let condition = match (condition, version) {
            (VERSION, version) => Condition::Version(version),
            (ANY, 0) => Condition::Any,
            (ABSENT, 0) => Condition::Absent,
            (ANY | ABSENT, version) => return Err(fields.bad("version", version, "0 unless condition is 2")),
            _ => {
                return Err(fields.bad("condition", condition.into(), "0 (any), 1 (absent) or 2 (version)"));
            }
        };
        Ok(Self { id, flags, condition, path_bytes, second_bytes })
    }

    fn condition_code(&self) -> u8 {
        match self.condition {
            Condition::Any => ANY,
            Condition::Absent => ABSENT,
            Condition::Version(_) => VERSION,
        }
    }
}

pub(super) fn encode(request: &ChangeRequest) -> Vec<u8> {
    let id = request.id;
    match &request.change {
        Change::Commit { path, condition, parents, modified_ms, attributes, chunks } => {
            let flags = flag(PARENTS, *parents) | flag(MODIFIED, modified_ms.is_some());
            let attributes = attributes.bytes();
            let mut body = head(id, flags, *condition, path, attributes, chunks.len() * OBJECT_ID_BYTES);
            body.extend(modified_ms.unwrap_or(0).to_le_bytes());
            body.extend(count(chunks.len()));
            body.extend([0; 4]);
            body.extend(path.as_str().as_bytes());
            body.extend(&attributes[..]);
            extend_with_ids(&mut body, chunks);
            body
        }
        Change::MakeDirectory { path, parents } => {
            with_runs(head(id, flag(PARENTS, *parents), Condition::Any, path, &[], 0), path, &[])
        }
        Change::Rename { from, to, replace, condition } => {
            let to = to.as_str().as_bytes();
            with_runs(head(id, flag(REPLACE, *replace), *condition, from, to, 0), from, to)
        }
        Change::Remove { path, tree, condition } => {
            with_runs(head(id, flag(TREE, *tree), *condition, path, &[], 0), path, &[])
        }
        Change::SetAttributes { path, condition, attributes } => {
            let attributes = attributes.bytes();
            with_runs(head(id, 0, *condition, path, attributes, 0), path, attributes)
        }
    }
}

fn flag(bit: u8, is_set: bool) -> u8 {
    if is_set { bit } else { 0 }
}

fn head(id: Origin, flags: u8, condition: Condition, path: &NamePath, second: &[u8], list_bytes: usize) -> Vec<u8> {
    let path_bytes = path.as_str().len();
    let mut body = Vec::with_capacity(COMMIT_BYTES + path_bytes + second.len() + list_bytes);
    body.extend(encode_head(id, flags, condition, path_bytes, second.len()));
    body
}

fn encode_head(
    id: Origin,
    flags: u8,
    condition: Condition,
    path_bytes: usize,
    second_bytes: usize,
) -> [u8; HEAD_BYTES] {
    let (condition, version) = match condition {
        Condition::Any => (ANY, 0),
        Condition::Absent => (ABSENT, 0),
        Condition::Version(version) => (VERSION, version),
    };
    let mut bytes = [0; HEAD_BYTES];
    bytes[..8].copy_from_slice(&id.session.to_le_bytes());
    bytes[8..16].copy_from_slice(&id.number.to_le_bytes());
    bytes[16] = flags;
    bytes[17] = condition;
    bytes[18..20].copy_from_slice(&short(path_bytes));
    bytes[20..22].copy_from_slice(&short(second_bytes));
    bytes[24..].copy_from_slice(&version.to_le_bytes());
    bytes
}

fn with_runs(mut body: Vec<u8>, path: &NamePath, second: &[u8]) -> Vec<u8> {
    body.extend(path.as_str().as_bytes());
    body.extend(second);
    body
}

pub(super) fn extend_with_ids(body: &mut Vec<u8>, ids: &[ObjectId]) {
    for id in ids {
        body.extend(encode_object_id(*id));
    }
}

pub(super) fn parse_answer(fields: &mut Fields<'_>) -> Result<Changed, BadBody> {
    let changed = Changed {
        version: fields.u64("version")?,
        size: fields.u64("size")?,
        hash: fields.wide("hash")?,
        removal: fields.u64("removal")?,
        // Flags that this version does not know are ignored.
        replaced: fields.u8("flags")? & REPLACED != 0,
    };
    fields.skip::<7>()?;
    Ok(changed)
}

pub(super) fn encode_answer(changed: &Changed) -> Vec<u8> {
    let mut body = Vec::with_capacity(CHANGED_BYTES);
    body.extend(changed.version.to_le_bytes());
    body.extend(changed.size.to_le_bytes());
    body.extend(changed.hash.to_be_bytes());
    body.extend(changed.removal.to_le_bytes());
    body.extend([flag(REPLACED, changed.replaced), 0, 0, 0, 0, 0, 0, 0]);
    debug_assert_eq!(body.len(), CHANGED_BYTES);
    body
}
