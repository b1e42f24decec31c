//! A frame that is being read: a header that was believed, and what is still to come of its body.
//!
//! A worker's thread. Always: small bodies are read where they lie, once they are whole; of content no byte is kept.

use super::Garbage;
use ::larder::base::limits::{ATTRIBUTE_BYTES_MAX, CHUNK_BYTES_MAX};
use ::larder::wire::{ContentFront, HEADER_BYTES, Header, RunningChecksum};

/// Bytes of the reply to a STAT before its attributes.
pub(super) const STAT_BYTES: usize = 40;
/// Bytes of the receipt of a change.
pub(super) const CHANGED_BYTES: usize = 48;
/// Bytes of the reply to a LOOKUP before its attributes.
pub(super) const ENTRY_BYTES: usize = 64;
/// No reply without content is larger: attributes, and fixed fields.
const SMALL_BYTES_MAX: usize = ATTRIBUTE_BYTES_MAX + 4096;
/// No frame of content is larger.
const CONTENT_BYTES_MAX: usize = CHUNK_BYTES_MAX + ATTRIBUTE_BYTES_MAX + ContentFront::BYTES;

#[derive(Debug)]
pub(super) struct Frame {
    pub(super) header: Header,
    pub(super) part: Part,
    /// Bytes of its body that are still to come.
    pub(super) left: usize,
    checksum: RunningChecksum,
}

/// What comes next of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it at once.
    Small,
    /// The fields before content.
    Front,
    /// So many bytes of attributes.
    Attributes(usize),
    /// Content to the end.
    Content,
}

impl Frame {
    /// The frame of a header; `None` until that is whole.
    pub(super) fn begin(input: &[u8]) -> Result<Option<Self>, Garbage> {
        let Some(bytes) = input.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let header = Header::parse_reply(bytes).map_err(|error| Garbage(error.to_string()))?;
        let left = usize::try_from(header.body_bytes).expect("a usize has 32 bits and more");
        Ok(Some(Self { header, part: Part::Small, left, checksum: header.checksum_kind.running() }))
    }

    /// The same, once it is known what it holds.
    pub(super) fn of(self, is_content: bool, has_front: bool) -> Result<Self, Garbage> {
        let (part, bytes) = match (is_content, has_front) {
            (false, _) => (Part::Small, 0..=SMALL_BYTES_MAX),
            (true, true) => (Part::Front, ContentFront::BYTES..=CONTENT_BYTES_MAX),
            (true, false) => (Part::Content, 0..=CONTENT_BYTES_MAX),
        };
        if !bytes.contains(&self.left) {
            return Err(Garbage(format!("expected a body of {bytes:?} bytes, came {}", self.left)));
        }
        Ok(Self { part, ..self })
    }

    /// All of the body, checked; `None` until it is here.
    pub(super) fn whole<'a>(&mut self, input: &'a [u8]) -> Result<Option<&'a [u8]>, Garbage> {
        let Some(body) = input.get(..self.left) else { return Ok(None) };
        self.checksum.update(body);
        self.left = 0;
        self.check()?;
        Ok(Some(body))
    }

    /// The fields before content; `None` until they are here.
    pub(super) fn front(&mut self, input: &[u8]) -> Result<Option<ContentFront>, Garbage> {
        let Some(bytes) = input.first_chunk::<{ ContentFront::BYTES }>() else { return Ok(None) };
        self.take(bytes, bytes.len())?;
        ContentFront::parse(bytes).map(Some).map_err(super::bad)
    }

    /// The next bytes of the body, of at most `bytes_max` as many as are here.
    pub(super) fn take<'a>(&mut self, input: &'a [u8], bytes_max: usize) -> Result<&'a [u8], Garbage> {
        if self.left == 0 {
            return Err(Garbage("the body of a frame ends before its fields do".to_owned()));
        }
        let taken = input.get(..bytes_max.min(self.left)).unwrap_or(input);
        self.checksum.update(taken);
        self.left -= taken.len();
        Ok(taken)
    }

    pub(super) fn check(&self) -> Result<(), Garbage> {
        self.header.check_body(self.checksum.value()).map_err(|refusal| Garbage(refusal.detail.to_string()))
    }
}
