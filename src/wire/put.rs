//! PUT: the fixed fields before the payload, and the receipt.
//!
//! ```text
//! request   0 durability u8 | 1 flags u8 | 2 attribute_bytes u16 | 4 zero [4] | 8 session u64 | 16 number u64
//!           24 attributes | payload, to the end of the body
//! reply     0 id [20] | 20 durability u8 | 21 zero [3] | 24 size u64 | 32 content hash [16]
//! ```
//!
//! Any thread. The head is parsed before the payload is here, so that its checksums are computed as it arrives.
//! Always: a parsed head's attributes and payload fill the body exactly, each within its limit.

use super::fields::{BadBody, Fields};
use super::object::{OBJECT_ID_BYTES, durability, encode_object_id};
use crate::base::ids::{ContentHash, Origin};
use crate::base::limits::{ATTRIBUTE_BYTES_MAX, BODY_BYTES_MAX, CHUNK_BYTES_MAX};
use crate::base::payload::Payload;
use crate::request::{Attributes, Durability, Operation, Put, Refusal, Stored};
use bytes::Bytes;

/// The fixed fields of a PUT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PutHead {
    /// What must have happened before the answer.
    pub durability: Durability,
    /// The upload that it belongs to; zero when it belongs to none.
    pub origin: Origin,
    /// Bytes of attributes behind the fixed fields.
    pub attribute_bytes: usize,
    /// Bytes of payload behind the attributes.
    pub payload_bytes: usize,
}

/// Flag: the object is a piece of an upload that a session and a number name.
const NAMED: u8 = 1;
/// Bytes of the receipt.
pub const STORED_BYTES: usize = 48;

const FRAME: &str = "PUT";

const _: () = assert!(PutHead::BYTES + ATTRIBUTE_BYTES_MAX + CHUNK_BYTES_MAX <= BODY_BYTES_MAX);

impl PutHead {
    /// Bytes of the fixed fields.
    pub const BYTES: usize = 24;

    /// The fixed fields at the front of a body of `body_bytes`; only the first [`BYTES`](Self::BYTES) need to be here.
    ///
    /// # Errors
    /// The refusal to answer with.
    pub fn parse(front: &[u8], body_bytes: u32) -> Result<Self, Refusal> {
        Ok(Self::load(front, body_bytes as usize)?)
    }

    fn load(front: &[u8], body_bytes: usize) -> Result<Self, BadBody> {
        let mut fields = Fields::new(FRAME, front);
        let durability = durability(&mut fields)?;
        let flags = fields.u8("flags")?;
        if flags & !NAMED != 0 {
            return Err(fields.bad("flags", flags.into(), "0 or 1"));
        }
        let attribute_bytes = usize::from(fields.u16("attribute_bytes")?);
        if attribute_bytes > ATTRIBUTE_BYTES_MAX {
            return Err(fields.bad("attribute_bytes", attribute_bytes as u64, "0 to 4096"));
        }
        fields.zeros::<4>()?;
        let origin = Origin { session: fields.u64("session")?, number: fields.u64("number")? };
        if (flags & NAMED != 0) != (origin.session != 0) || (origin.session == 0 && origin.number != 0) {
            return Err(fields.bad("session", origin.session, "zero exactly when the flag NAMED is not set"));
        }
        let cut_short = BadBody::CutShort { frame: FRAME, field: "payload" };
        let payload_bytes = body_bytes.checked_sub(Self::BYTES + attribute_bytes).ok_or(cut_short)?;
        if payload_bytes > CHUNK_BYTES_MAX {
            return Err(BadBody::TooLarge { frame: FRAME, bytes: payload_bytes, bytes_max: CHUNK_BYTES_MAX });
        }
        Ok(Self { durability, origin, attribute_bytes, payload_bytes })
    }

    /// Where in the body the payload begins.
    #[must_use]
    pub fn payload_start(&self) -> usize {
        Self::BYTES + self.attribute_bytes
    }

    /// The operation, once all is here: the run of attributes as it was sent, and the payload with its checksums.
    ///
    /// # Errors
    /// The refusal to answer with, when the attributes are malformed.
    pub fn operation(&self, attributes: Bytes, payload: Payload) -> Result<Operation, Refusal> {
        assert_eq!(attributes.len(), self.attribute_bytes, "the run that the head announced");
        assert_eq!(payload.bytes.len(), self.payload_bytes, "the payload that the head announced");
        let attributes = Attributes::parse(attributes).map_err(|bad| BadBody::Attributes { frame: FRAME, bad })?;
        Ok(Operation::Put(Box::new(Put {
            payload,
            attributes,
            durability: self.durability,
            origin: self.origin,
            is_patient: false,
        })))
    }

    /// The fixed fields; attributes and payload follow.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::BYTES] {
        assert!(self.attribute_bytes <= ATTRIBUTE_BYTES_MAX, "attributes are checked when they are made");
        let mut bytes = [0; Self::BYTES];
        bytes[0] = self.durability as u8;
        bytes[1] = if self.origin.session == 0 { 0 } else { NAMED };
        let attribute_bytes = u16::try_from(self.attribute_bytes).expect("at most 4096");
        bytes[2..4].copy_from_slice(&attribute_bytes.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.origin.session.to_le_bytes());
        bytes[16..].copy_from_slice(&self.origin.number.to_le_bytes());
        bytes
    }
}

pub(super) fn encode_stored(stored: &Stored) -> [u8; STORED_BYTES] {
    let mut bytes = [0; STORED_BYTES];
    bytes[..OBJECT_ID_BYTES].copy_from_slice(&encode_object_id(stored.id));
    bytes[OBJECT_ID_BYTES] = stored.durability as u8;
    bytes[24..32].copy_from_slice(&stored.size.to_le_bytes());
    bytes[32..].copy_from_slice(&stored.hash.0.to_be_bytes());
    bytes
}

/// The receipt in the body of a reply to PUT.
///
/// # Errors
/// [`BadBody`].
pub fn parse_stored(body: &[u8]) -> Result<Stored, BadBody> {
    let mut fields = Fields::new("reply to PUT", body);
    let id = fields.object_id()?;
    let durability = durability(&mut fields)?;
    fields.skip::<3>()?;
    Ok(Stored { id, size: fields.u64("size")?, hash: ContentHash(fields.wide("content hash")?), durability })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{Cookie, ObjectId, Sequence, VolumeId};
    use crate::request::Status;

    fn head() -> PutHead {
        PutHead {
            durability: Durability::Memory,
            origin: Origin { session: 7, number: 9 },
            attribute_bytes: 11,
            payload_bytes: 100,
        }
    }

    #[test]
    fn a_head_is_read_before_its_payload() {
        let bytes = head().encode();
        assert_eq!(PutHead::parse(&bytes, 24 + 11 + 100), Ok(head()));
        assert_eq!(head().payload_start(), 35);
        let empty = PutHead::parse(&bytes, 24 + 11).unwrap();
        assert_eq!(empty.payload_bytes, 0);
        assert_eq!(PutHead::parse(&bytes, 24 + 10).unwrap_err().status, Status::BadRequest);
        assert_eq!(PutHead::parse(&bytes[..23], 135).unwrap_err().status, Status::BadRequest);
    }

    #[test]
    fn a_receipt_is_read_as_it_was_written() {
        let id = ObjectId { volume: VolumeId(3), sequence: Sequence(0x1f), cookie: Cookie(5) };
        let stored = Stored { id, size: 7, hash: ContentHash(9), durability: Durability::Memory };
        let bytes = encode_stored(&stored);
        assert_eq!(parse_stored(&bytes), Ok(stored));
        assert!((0..bytes.len()).all(|end| parse_stored(&bytes[..end]).is_err()));
    }

    #[test]
    fn an_object_over_the_limit_is_too_large() {
        let largest = u32::try_from(35 + CHUNK_BYTES_MAX).unwrap();
        assert!(PutHead::parse(&head().encode(), largest).is_ok());
        let refusal = PutHead::parse(&head().encode(), largest + 1).unwrap_err();
        assert_eq!(refusal.status, Status::TooLarge);
    }

    #[test]
    fn fields_that_cannot_be_are_refused() {
        for (at, value) in [(0, 2), (1, 2), (1, 0), (3, 0x11), (4, 1), (7, 1), (8, 0)] {
            let mut bytes = head().encode();
            bytes[at] = value;
            let refusal = PutHead::parse(&bytes, 5000).unwrap_err();
            assert_eq!(refusal.status, Status::BadRequest, "byte {at}: {}", refusal.detail);
        }
    }

    #[test]
    fn malformed_attributes_are_refused() {
        let head = PutHead { attribute_bytes: 2, payload_bytes: 0, ..head() };
        let payload = || Payload::of(Bytes::new());
        let refusal = head.operation(Bytes::from_static(b"\x01\x00"), payload()).unwrap_err();
        assert_eq!(refusal.status, Status::BadRequest);
    }
}
