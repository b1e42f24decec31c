//! Reading fixed fields off the front of a body, and why a body is not what its opcode says.
//!
//! Any thread. Always: a field that is not there is an error that names it. Numbers are little-endian; ids and
//! hashes of 16 bytes are strings of bytes in the order of their text form.

use super::object::OBJECT_ID_BYTES;
use crate::base::ids::{Cookie, ObjectId, Sequence, VolumeId};
use crate::base::limits::{ATTRIBUTE_BYTES_MAX, CURSOR_BYTES_MAX};
use crate::base::path::{BadPath, NamePath};
use crate::request::{Attributes, BadAttributes, Refusal, Status, path_status};
use bytes::Bytes;

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
    /// A list is longer than it may be.
    #[error("{frame}: {field} is {count}, {count_max} at most")]
    TooMany {
        /// The kind of frame.
        frame: &'static str,
        /// The field that counts.
        field: &'static str,
        /// What it says.
        count: u64,
        /// What it may say.
        count_max: usize,
    },
    /// A path is none.
    #[error("{frame}: {field}: {bad}")]
    Path {
        /// The kind of frame.
        frame: &'static str,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        bad: BadPath,
    },
    /// A path is fine, but another spelling of it is the normal one.
    #[error("{frame}: {field} is not normalised: one / before each name, and none at the end")]
    NotNormalised {
        /// The kind of frame.
        frame: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A name in a directory is none.
    #[error("{frame}: a name in it is none that a path can have")]
    Name {
        /// The kind of frame.
        frame: &'static str,
    },
    /// No node gives such a cursor.
    #[error("{frame}: cursor_bytes is {bytes}, {CURSOR_BYTES_MAX} at most")]
    Cursor {
        /// The kind of frame.
        frame: &'static str,
        /// Bytes of it.
        bytes: usize,
    },
}

impl From<BadBody> for Refusal {
    fn from(bad: BadBody) -> Self {
        let status = match bad {
            BadBody::TooLarge { .. } | BadBody::TooMany { .. } => Status::TooLarge,
            BadBody::Path { bad, .. } => path_status(&bad),
            BadBody::NotNormalised { .. } => Status::BadPath,
            BadBody::Cursor { .. } => Status::BadCursor,
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

    /// A path in its normal form: it is normalised once, where a person's spelling comes in, and that is not here.
    pub(super) fn path(&mut self, bytes: u16, field: &'static str) -> Result<NamePath, BadBody> {
        let frame = self.frame;
        let run = self.run(bytes.into(), field)?;
        let path = NamePath::parse(run).map_err(|bad| BadBody::Path { frame, field, bad })?;
        if path.as_str().as_bytes() == run { Ok(path) } else { Err(BadBody::NotNormalised { frame, field }) }
    }

    /// Attributes of a request. They are copied: a few bytes must not keep the memory of a large body.
    pub(super) fn attributes(&mut self, bytes: u16) -> Result<Attributes, BadBody> {
        if usize::from(bytes) > ATTRIBUTE_BYTES_MAX {
            return Err(self.bad("attribute_bytes", bytes.into(), "0 to 4096"));
        }
        let run = Bytes::copy_from_slice(self.run(bytes.into(), "attributes")?);
        Attributes::parse(run).map_err(|bad| BadBody::Attributes { frame: self.frame, bad })
    }

    /// The next `count` object ids. Their memory is taken only once it is known that they are here.
    pub(super) fn object_ids(&mut self, count: u32, field: &'static str) -> Result<Vec<ObjectId>, BadBody> {
        let cut_short = BadBody::CutShort { frame: self.frame, field };
        let bytes =
            usize::try_from(count).ok().and_then(|count| count.checked_mul(OBJECT_ID_BYTES)).ok_or(cut_short)?;
        let mut run = Self::new(self.frame, self.run(bytes, field)?);
        let mut ids = Vec::with_capacity(bytes / OBJECT_ID_BYTES);
        while run.left() > 0 {
            ids.push(run.object_id()?);
        }
        Ok(ids)
    }

    /// Flags of a request, of which only these are known.
    pub(super) fn flags(&mut self, known: u8, want: &'static str) -> Result<u8, BadBody> {
        let flags = self.u8("flags")?;
        if flags & !known == 0 { Ok(flags) } else { Err(self.bad("flags", flags.into(), want)) }
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
