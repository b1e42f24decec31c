//! The meta block: what is known about an object, in the reply to a STAT and at the front of content.
//!
//! ```text
//! 0 size u64 | 8 stored_ms u64 | 16 content hash [16] | 32 attribute_bytes u16 | 34 zero [6] | 40 attributes
//! ```
//!
//! Any thread.

use super::FrameHead;
use super::fields::{BadBody, Fields};
use crate::base::ids::ContentHash;
use crate::request::{Attributes, Meta};
use bytes::Bytes;

/// Bytes of a meta block before its attributes.
pub(super) const META_BYTES: usize = 40;

pub(super) fn encode_meta(meta: &Meta, body: &mut FrameHead) {
    let attributes = meta.attributes.bytes();
    let attribute_bytes = u16::try_from(attributes.len()).expect("attributes are at most 4096 bytes");
    body.extend_from_slice(&meta.size.to_le_bytes());
    body.extend_from_slice(&meta.stored_ms.to_le_bytes());
    body.extend_from_slice(&meta.hash.0.to_be_bytes());
    body.extend_from_slice(&attribute_bytes.to_le_bytes());
    body.extend_from_slice(&[0; 6]);
    body.extend_from_slice(attributes);
}

pub(super) fn parse_meta(frame: &'static str, fields: &mut Fields<'_>) -> Result<Meta, BadBody> {
    let size = fields.u64("size")?;
    let stored_ms = fields.u64("stored_ms")?;
    let hash = ContentHash(fields.wide("content hash")?);
    let attribute_bytes = usize::from(fields.u16("attribute_bytes")?);
    fields.skip::<6>()?;
    // Copied: a few bytes must not keep the memory of a large body.
    let run = Bytes::copy_from_slice(fields.run(attribute_bytes, "attributes")?);
    let attributes = Attributes::parse(run).map_err(|bad| BadBody::Attributes { frame, bad })?;
    Ok(Meta { size, hash, stored_ms, attributes })
}
