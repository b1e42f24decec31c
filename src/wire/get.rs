//! GET: the request, and what stands before the content in the first DATA frame.
//!
//! ```text
//! request      0 id [20] | 20 flags u8 | 21 zero [3] | 24 start u64 | 32 length u64
//! first reply  0 range start u64 | 8 range length u64 | 16 meta block | content
//! ```
//!
//! Any thread. Always: the range of a parsed content head lies in the object.

use super::FrameHead;
use super::fields::{BadBody, Fields};
use super::meta::{META_BYTES, encode_meta, parse_meta};
use super::object::{OBJECT_ID_BYTES, encode_object_id};
use crate::base::ids::ObjectId;
use crate::base::limits::ATTRIBUTE_BYTES_MAX;
use crate::request::{ByteRange, Meta};
use bytes::Bytes;
use std::ops::Range;

/// Bytes of the body of a GET.
pub const GET_BYTES: usize = 40;

/// Flag: the whole object; the range fields say 0 and the largest number.
const WHOLE: u8 = 1;

/// What a GET asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Get {
    /// The object.
    pub id: ObjectId,
    /// The part; `None` for the whole.
    pub range: Option<ByteRange>,
}

impl Get {
    /// The request in a body.
    ///
    /// # Errors
    /// [`BadBody`].
    pub fn parse(body: &[u8]) -> Result<Self, BadBody> {
        let mut fields = Fields::new("GET", body);
        let id = fields.object_id()?;
        let flags = fields.u8("flags")?;
        if flags & !WHOLE != 0 {
            return Err(fields.bad("flags", flags.into(), "0 or 1"));
        }
        fields.zeros::<3>()?;
        let (start, length) = (fields.u64("start")?, fields.u64("length")?);
        if flags & WHOLE != 0 && (start, length) != (0, u64::MAX) {
            return Err(fields.bad("start", start, "0, and length the largest number, with the flag WHOLE"));
        }
        fields.end()?;
        Ok(Self { id, range: (flags & WHOLE == 0).then_some(ByteRange { start, length }) })
    }

    /// The body of this request.
    #[must_use]
    pub fn encode(&self) -> [u8; GET_BYTES] {
        let (flags, range) = match self.range {
            Some(range) => (0, range),
            None => (WHOLE, ByteRange { start: 0, length: u64::MAX }),
        };
        let mut bytes = [0; GET_BYTES];
        bytes[..OBJECT_ID_BYTES].copy_from_slice(&encode_object_id(self.id));
        bytes[OBJECT_ID_BYTES] = flags;
        bytes[24..32].copy_from_slice(&range.start.to_le_bytes());
        bytes[32..].copy_from_slice(&range.length.to_le_bytes());
        bytes
    }
}

/// What stands before the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentHead {
    /// What is known about the object.
    pub meta: Meta,
    /// The bytes of it that are sent, in this frame and those that follow.
    pub range: Range<u64>,
}

impl ContentHead {
    /// The head at the front of a body, and the content behind it.
    ///
    /// # Errors
    /// [`BadBody`].
    pub fn parse(body: &Bytes) -> Result<(Self, Bytes), BadBody> {
        const FRAME: &str = "reply to GET";
        let mut fields = Fields::new(FRAME, body);
        let (start, length) = (fields.u64("range start")?, fields.u64("range length")?);
        let meta = parse_meta(FRAME, &mut fields)?;
        let end = start.checked_add(length).filter(|end| *end <= meta.size);
        let end = end.ok_or_else(|| fields.bad("range length", length, "a range that lies in the object"))?;
        let content = body.slice(body.len() - fields.left()..);
        if content.len() as u64 > length {
            return Err(BadBody::TooLong { frame: FRAME, bytes: content.len() });
        }
        let head = Self { meta, range: start..end };
        Ok((head, content))
    }
}

/// The fixed fields of a content head: what a reader of a stream needs, without memory of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentFront {
    /// The bytes of the object that are sent, in this frame and those that follow.
    pub range: Range<u64>,
    /// Bytes of content of the whole object.
    pub size: u64,
    /// Bytes of attributes behind these fields, before the content.
    pub attribute_bytes: usize,
}

impl ContentFront {
    /// Bytes of these fields.
    pub const BYTES: usize = 16 + META_BYTES;

    /// The fields at the front of a body, of which no more than [`BYTES`](Self::BYTES) need to be here.
    ///
    /// # Errors
    /// [`BadBody`].
    pub fn parse(front: &[u8]) -> Result<Self, BadBody> {
        let mut fields = Fields::new("reply to GET", front);
        let (start, length, size) = (fields.u64("range start")?, fields.u64("range length")?, fields.u64("size")?);
        let end = start.checked_add(length).filter(|end| *end <= size);
        let end = end.ok_or_else(|| fields.bad("range length", length, "a range that lies in the object"))?;
        fields.skip::<24>()?;
        let attribute_bytes = usize::from(fields.u16("attribute_bytes")?);
        if attribute_bytes > ATTRIBUTE_BYTES_MAX {
            return Err(fields.bad("attribute_bytes", attribute_bytes as u64, "0 to 4096"));
        }
        fields.skip::<6>()?;
        Ok(Self { range: start..end, size, attribute_bytes })
    }
}

/// The head of content of these bytes of an object.
pub(super) fn encode_content_head(meta: &Meta, range: &Range<u64>) -> FrameHead {
    let mut body = FrameHead::with_capacity(16 + META_BYTES + meta.attributes.bytes().len());
    body.extend_from_slice(&range.start.to_le_bytes());
    body.extend_from_slice(&(range.end - range.start).to_le_bytes());
    encode_meta(meta, &mut body);
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{ContentHash, Cookie, Sequence, VolumeId};
    use crate::request::Attributes;

    fn id() -> ObjectId {
        ObjectId { volume: VolumeId(3), sequence: Sequence(0x1f), cookie: Cookie(0x00c0_ffee_00c0_ffee) }
    }

    #[test]
    fn whole_and_range_are_two_things() {
        for range in [None, Some(ByteRange { start: 5, length: 10 }), Some(ByteRange { start: 0, length: u64::MAX })] {
            let get = Get { id: id(), range };
            assert_eq!(Get::parse(&get.encode()), Ok(get));
        }
        for (at, value) in [(20, 2), (21, 1), (24, 1), (32, 0)] {
            let mut body = Get { id: id(), range: None }.encode();
            body[at] = value;
            assert!(Get::parse(&body).is_err(), "byte {at}");
        }
        let body = Get { id: id(), range: None }.encode();
        assert!(Get::parse(&body[..39]).is_err());
        assert!(Get::parse(&[&body[..], b"x"].concat()).is_err());
    }

    #[test]
    fn content_lies_in_its_range_and_its_range_in_the_object() {
        let meta =
            Meta { size: 100, hash: ContentHash(1), stored_ms: 2, attributes: Attributes::of(&[(1, b"a/b")]).unwrap() };
        let body = |range: Range<u64>, content: &[u8]| {
            Bytes::from([&encode_content_head(&meta, &range)[..], content].concat())
        };
        let (head, content) = ContentHead::parse(&body(95..100, b"12345")).unwrap();
        assert_eq!((head.meta, head.range, &content[..]), (meta.clone(), 95..100, &b"12345"[..]));
        assert!(ContentHead::parse(&body(95..100, b"123456")).is_err());
        let front = ContentFront::parse(&body(95..100, b"12345")).unwrap();
        assert_eq!(front, ContentFront { range: 95..100, size: 100, attribute_bytes: 6 });
        assert_eq!(ContentFront::parse(&body(95..100, b"")[..ContentFront::BYTES]), Ok(front));
        assert!(ContentFront::parse(&body(95..100, b"")[..ContentFront::BYTES - 1]).is_err());
        assert!(ContentFront::parse(&body(95..101, b"")).is_err());
        assert!(ContentHead::parse(&body(95..101, b"")).is_err());
        assert!(ContentHead::parse(&body(0..100, b"").slice(..60)).is_err());
    }
}
