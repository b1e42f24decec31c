//! Reading fixed fields off the front of a body, and why a body is not what its opcode says.
//!
//! Any thread. Always: a field that is not there is an error that names it. Numbers are little-endian; ids and
//! hashes of 16 bytes are strings of bytes in the order of their text form.

use crate::base::ids::{Cookie, ObjectId, Sequence, VolumeId};
use crate::request::{BadAttributes, Refusal, Status};

/// Why the body of a frame is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    /// It ends before a field does.
    #[error("{frame}: the body ends before its {field}")]
    CutShort {
        /// The kind of frame.
        frame: &'static str,
        /// The first field that is missing.
        field: &'static str,
    },
    /// It goes on behind its last field.
    #[error("{frame}: {bytes} bytes follow the last field")]
    TooLong {
        /// The kind of frame.
        frame: &'static str,
        /// Bytes over.
        bytes: usize,
    },
    /// A field says something that cannot be.
    #[error("{frame}: {field} is {found}, want {want}")]
    Field {
        /// The kind of frame.
        frame: &'static str,
        /// The field.
        field: &'static str,
        /// What it says.
        found: u64,
        /// What it may say.
        want: &'static str,
    },
    /// A text is not UTF-8.
    #[error("{frame}: {field} is not UTF-8")]
    NotText {
        /// The kind of frame.
        frame: &'static str,
        /// The field.
        field: &'static str,
    },
    /// Its attributes are malformed.
    #[error("{frame}: {bad}")]
    Attributes {
        /// The kind of frame.
        frame: &'static str,
        /// What is wrong with them.
        bad: BadAttributes,
    },
    /// Its content is larger than an object may be.
    #[error("{frame}: an object of {bytes} bytes is over the limit of {bytes_max}")]
    TooLarge {
        /// The kind of frame.
        frame: &'static str,
        /// Bytes of content.
        bytes: usize,
        /// Bytes that are allowed.
        bytes_max: usize,
    },
}

impl From<BadBody> for Refusal {
    fn from(bad: BadBody) -> Self {
        let status = match bad {
            BadBody::TooLarge { .. } => Status::TooLarge,
            _ => Status::BadRequest,
        };
        Self::new(status, bad.to_string())
    }
}

/// What is left of a body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    frame: &'static str,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(frame: &'static str, body: &'a [u8]) -> Self {
        Self { frame, rest: body }
    }

    pub(super) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], BadBody> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(BadBody::CutShort { frame: self.frame, field })?;
        self.rest = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, BadBody> {
        Ok(u8::from_le_bytes(self.array(field)?))
    }

    pub(super) fn u16(&mut self, field: &'static str) -> Result<u16, BadBody> {
        Ok(u16::from_le_bytes(self.array(field)?))
    }

    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32, BadBody> {
        Ok(u32::from_le_bytes(self.array(field)?))
    }

    pub(super) fn u64(&mut self, field: &'static str) -> Result<u64, BadBody> {
        Ok(u64::from_le_bytes(self.array(field)?))
    }

    /// Sixteen bytes in the order of their text form.
    pub(super) fn wide(&mut self, field: &'static str) -> Result<u128, BadBody> {
        Ok(u128::from_be_bytes(self.array(field)?))
    }

    pub(super) fn object_id(&mut self) -> Result<ObjectId, BadBody> {
        Ok(ObjectId {
            volume: VolumeId(self.u32("volume")?),
            sequence: Sequence(self.u64("sequence")?),
            cookie: Cookie(self.u64("cookie")?),
        })
    }

    /// The next bytes, as many as a field before them said.
    pub(super) fn run(&mut self, bytes: usize, field: &'static str) -> Result<&'a [u8], BadBody> {
        let (head, rest) = self.rest.split_at_checked(bytes).ok_or(BadBody::CutShort { frame: self.frame, field })?;
        self.rest = rest;
        Ok(head)
    }

    /// Reserved bytes of a request: they must be zero, so that they can mean something one day.
    pub(super) fn zeros<const N: usize>(&mut self) -> Result<(), BadBody> {
        match self.array::<N>("reserved bytes")?.into_iter().find(|byte| *byte != 0) {
            None => Ok(()),
            Some(byte) => Err(self.bad("a reserved byte", byte.into(), "0")),
        }
    }

    /// Bytes of a reply that this version does not know the meaning of.
    pub(super) fn skip<const N: usize>(&mut self) -> Result<(), BadBody> {
        self.array::<N>("reserved bytes").map(drop)
    }

    pub(super) fn text(&self, run: &[u8], field: &'static str) -> Result<String, BadBody> {
        std::str::from_utf8(run).map(str::to_owned).map_err(|_| BadBody::NotText { frame: self.frame, field })
    }

    /// The error of a field that says `found`.
    pub(super) fn bad(&self, field: &'static str, found: u64, want: &'static str) -> BadBody {
        BadBody::Field { frame: self.frame, field, found, want }
    }

    /// Bytes that are left.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// Ends a body that has nothing behind its last field.
    pub(super) fn end(self) -> Result<(), BadBody> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(BadBody::TooLong { frame: self.frame, bytes: self.rest.len() })
    }
}
