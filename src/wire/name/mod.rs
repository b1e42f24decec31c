//! Operations on names as bytes: requests and their answers, by opcode.
//!
//! ```text
//! session.rs   SESSION
//! change.rs    COMMIT, MAKE_DIRECTORY, RENAME, REMOVE, SET_ATTRIBUTES, and the receipt of all of them
//! facts.rs     what is known about a name, in the replies to LOOKUP and LIST
//! lookup.rs    LOOKUP
//! list.rs      LIST
//! tree.rs      USAGE, REMOVAL
//! ```
//!
//! Runs on processors and in clients. Always: fixed fields come first, at constant places, and what varies behind them; a
//! value has one encoding; a request that decodes is within the limits that [`check`] knows, and its paths are normal.

mod change;
mod facts;
mod list;
mod lookup;
mod session;
#[cfg(test)]
mod tests;
mod tree;

use super::Opcode;
use super::fields::{BadBody, Fields};
use super::object::OBJECT_ID_BYTES;
use crate::base::limits::{ATTRIBUTE_BYTES_MAX, BODY_BYTES_MAX, CURSOR_BYTES_MAX, FILE_CHUNKS_MAX, PATH_BYTES_MAX};
use crate::request::{Change, NameAnswer, NameOperation, Refusal};
pub use change::EmptyCommit;
pub use lookup::LookupHead;
#[cfg(test)]
pub(super) use tests::operations;

/// A body with a path in it, but for its chunks. More than any sound one has: a path that is too long is told so, and
/// only one that is far too long ends the connection.
const PATH_BODY_BYTES_MAX: usize = 16 << 10;

const _: () = assert!(PATH_BODY_BYTES_MAX >= 2 * PATH_BYTES_MAX + ATTRIBUTE_BYTES_MAX + CURSOR_BYTES_MAX + 64);
const _: () = assert!(PATH_BODY_BYTES_MAX + FILE_CHUNKS_MAX * OBJECT_ID_BYTES <= BODY_BYTES_MAX);

pub(super) fn body_bytes_max(opcode: Opcode) -> usize {
    match opcode {
        Opcode::Session => session::SESSION_BYTES,
        Opcode::Commit => PATH_BODY_BYTES_MAX + FILE_CHUNKS_MAX * OBJECT_ID_BYTES,
        Opcode::Removal => tree::REMOVAL_BYTES,
        _ => PATH_BODY_BYTES_MAX,
    }
}

pub(super) fn opcode_of(operation: &NameOperation) -> Opcode {
    match operation {
        NameOperation::Session(_) => Opcode::Session,
        NameOperation::Change(request) => match request.change {
            Change::Commit { .. } => Opcode::Commit,
            Change::MakeDirectory { .. } => Opcode::MakeDirectory,
            Change::Rename { .. } => Opcode::Rename,
            Change::Remove { .. } => Opcode::Remove,
            Change::SetAttributes { .. } => Opcode::SetAttributes,
        },
        NameOperation::Lookup(_) => Opcode::Lookup,
        NameOperation::List(_) => Opcode::List,
        NameOperation::Usage(_) => Opcode::Usage,
        NameOperation::Removal(_) => Opcode::Removal,
    }
}

/// Whether an operation says only what a request may say. What decodes does; a client asks before it encodes.
pub(super) fn check(operation: &NameOperation) -> Result<(), BadBody> {
    match operation {
        NameOperation::Session(act) => session::check(*act),
        NameOperation::Change(request) => change::check(opcode_of(operation).name(), request),
        NameOperation::Lookup(lookup) => lookup::check(lookup),
        NameOperation::List(list) => list::check(list),
        NameOperation::Usage(_) => Ok(()),
        NameOperation::Removal(removal) => tree::check_removal(*removal),
    }
}

pub(super) fn parse_operation(opcode: Opcode, body: &[u8]) -> Result<NameOperation, Refusal> {
    let frame = opcode.name();
    let mut fields = Fields::new(frame, body);
    let operation = match opcode {
        Opcode::Session => NameOperation::Session(session::parse(&mut fields)?),
        Opcode::Lookup => NameOperation::Lookup(lookup::parse(&mut fields)?),
        Opcode::List => NameOperation::List(list::parse(&mut fields)?),
        Opcode::Usage => NameOperation::Usage(tree::parse_usage(&mut fields)?),
        Opcode::Removal => NameOperation::Removal(tree::parse_removal(&mut fields)?),
        _ => NameOperation::Change(Box::new(change::parse(opcode, &mut fields)?)),
    };
    fields.end()?;
    check(&operation)?;
    Ok(operation)
}

/// The body of a request that [`check`] has nothing against.
pub(super) fn encode_operation(operation: &NameOperation) -> Vec<u8> {
    debug_assert_eq!(check(operation), Ok(()), "requests are checked before they are encoded");
    match operation {
        NameOperation::Session(act) => session::encode(*act),
        NameOperation::Change(request) => change::encode(request),
        NameOperation::Lookup(lookup) => lookup::encode(lookup),
        NameOperation::List(list) => list::encode(list),
        NameOperation::Usage(path) => tree::encode_usage(path),
        NameOperation::Removal(removal) => tree::encode_removal(*removal),
    }
}

pub(super) fn encode_answer(answer: &NameAnswer) -> Vec<u8> {
    match answer {
        NameAnswer::Session(session) => session::encode_answer(Some(*session)),
        NameAnswer::SessionClosed => session::encode_answer(None),
        NameAnswer::Changed(changed) => change::encode_answer(changed),
        NameAnswer::Entry(entry) => lookup::encode_answer(entry),
        NameAnswer::Listing(listing) => list::encode_answer(listing),
        NameAnswer::Usage(usage) => tree::encode_usage_answer(usage),
        NameAnswer::Removal(removal) => tree::encode_removal_answer(removal),
    }
}

/// The answer in a reply. Bytes behind the fields that this version knows are ignored: a newer node may say more.
pub(super) fn parse_answer(opcode: Opcode, body: &[u8]) -> Result<NameAnswer, BadBody> {
    Ok(match opcode {
        Opcode::Session => {
            let open = session::parse_answer(&mut Fields::new("reply to SESSION", body))?;
            open.map_or(NameAnswer::SessionClosed, NameAnswer::Session)
        }
        Opcode::Lookup => NameAnswer::Entry(Box::new(lookup::parse_answer(&mut Fields::new("reply to LOOKUP", body))?)),
        Opcode::List => NameAnswer::Listing(list::parse_answer(&mut Fields::new("reply to LIST", body))?),
        Opcode::Usage => NameAnswer::Usage(tree::parse_usage_answer(&mut Fields::new("reply to USAGE", body))?),
        Opcode::Removal => NameAnswer::Removal(tree::parse_removal_answer(&mut Fields::new("reply to REMOVAL", body))?),
        _ => NameAnswer::Changed(change::parse_answer(&mut Fields::new("reply to a change", body))?),
    })
}

/// The length of a run whose bound keeps it far below 64 KiB.
fn short(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).expect("paths, names, cursors and attributes are at most 4096 bytes").to_le_bytes()
}

/// The length of a list whose bound keeps it far below 2^32.
fn count(items: usize) -> [u8; 4] {
    u32::try_from(items).expect("lists fit a frame").to_le_bytes()
}
