//! STAT and DELETE: requests that are one object id, and the reply to a DELETE.
//!
//! ```text
//! request            0 volume u32 | 4 sequence u64 | 12 cookie u64
//! reply to a DELETE  0 durability u8 | 1 zero [3]
//! ```
//!
//! Any thread.

use super::fields::{BadBody, Fields};
use crate::base::ids::ObjectId;
use crate::request::Durability;

/// Bytes of an object id.
pub const OBJECT_ID_BYTES: usize = 20;
/// Bytes of the reply to a DELETE.
pub const DELETED_BYTES: usize = 4;

/// The bytes of an object id.
#[must_use]
pub fn encode_object_id(id: ObjectId) -> [u8; OBJECT_ID_BYTES] {
    let mut bytes = [0; OBJECT_ID_BYTES];
    bytes[..4].copy_from_slice(&id.volume.0.to_le_bytes());
    bytes[4..12].copy_from_slice(&id.sequence.0.to_le_bytes());
    bytes[12..].copy_from_slice(&id.cookie.0.to_le_bytes());
    bytes
}

/// The body of a request that is an id and nothing else.
pub(super) fn parse_object_id(frame: &'static str, body: &[u8]) -> Result<ObjectId, BadBody> {
    let mut fields = Fields::new(frame, body);
    let id = fields.object_id()?;
    fields.end()?;
    Ok(id)
}

pub(super) fn encode_deleted(durability: Durability) -> [u8; DELETED_BYTES] {
    [durability as u8, 0, 0, 0]
}

pub(super) fn parse_deleted(body: &[u8]) -> Result<Durability, BadBody> {
    let mut fields = Fields::new("reply to DELETE", body);
    let durability = durability(&mut fields)?;
    fields.skip::<3>()?;
    Ok(durability)
}

/// A durability class, which requests and replies carry alike.
pub(super) fn durability(fields: &mut Fields<'_>) -> Result<Durability, BadBody> {
    let code = fields.u8("durability")?;
    Durability::of_code(code).ok_or_else(|| fields.bad("durability", code.into(), "0 (disk) or 1 (memory)"))
}
