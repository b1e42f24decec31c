//! The fixed header of every frame.
//!
//! ```text
//!      0      1      2      3      4      5      6      7
//!  +------+------+------+------+------+------+------+------+
//!  | 'L'    'A'    'R'    'D'  | vers | op   |status| kind |   0
//!  +------+------+------+------+------+------+------+------+
//!  |    flags    |stage | zero |        deadline_ms        |   8
//!  +------+------+------+------+------+------+------+------+
//!  |                      correlation                      |  16
//!  +------+------+------+------+------+------+------+------+
//!  |         body_bytes        |       body_checksum       |  24
//!  +------+------+------+------+------+------+------+------+
//!  |            zero           |      header_checksum      |  32
//!  +------+------+------+------+------+------+------+------+
//! ```
//!
//! Any thread. Always: the header checksum (zlib's CRC-32 of bytes 0 to 35) is verified before any other field is
//! believed, and a parsed header's length is within the bound of its opcode. Magic, version, correlation, length and
//! header checksum keep their places in every version, so that a frame of an unknown version can be skipped.

use super::{ChecksumKind, Opcode};
use crate::base::checksum::crc32;
use crate::base::limits::BODY_BYTES_MAX;
use crate::request::{Refusal, Status};
use bytes::Bytes;

/// Bytes of a header.
pub const HEADER_BYTES: usize = 40;
/// The first four bytes of every frame.
pub const MAGIC: [u8; 4] = *b"LARD";
/// The one version that this code speaks.
pub const VERSION: u8 = 1;
/// Flag: the frame is a reply.
pub const REPLY: u16 = 1;
/// Flag: no further frame answers this request. Only in replies.
pub const LAST: u16 = 1 << 1;

const VERSION_AT: usize = 4;
const OPCODE_AT: usize = 5;
const STATUS_AT: usize = 6;
const KIND_AT: usize = 7;
const FLAGS_AT: usize = 8;
const STAGE_AT: usize = 10;
const DEADLINE_AT: usize = 12;
const CORRELATION_AT: usize = 16;
const BODY_BYTES_AT: usize = 24;
const BODY_CHECKSUM_AT: usize = 28;
const RESERVED_AT: usize = 32;
const HEADER_CHECKSUM_AT: usize = 36;

const _: () = assert!(HEADER_CHECKSUM_AT + 4 == HEADER_BYTES);

/// The fields of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The version of the protocol, [`VERSION`].
    pub version: u8,
    /// The number of the operation; [`Opcode::of_code`] knows whether there is one.
    pub opcode: u8,
    /// How the request ended; 0 in requests.
    pub status: u8,
    /// How the body is checked.
    pub checksum_kind: ChecksumKind,
    /// [`REPLY`] and [`LAST`].
    pub flags: u16,
    /// Where the request was turned away; 0 in requests.
    pub stage: u8,
    /// Milliseconds: in requests how long the client will wait (0: the node's default), in replies how long to wait
    /// before the request is sent again (0: no use).
    pub deadline_ms: u32,
    /// The client's number of the request; 0 is the connection itself.
    pub correlation: u64,
    /// Bytes of body behind this header.
    pub body_bytes: u32,
    /// The checksum of the body, of `checksum_kind`.
    pub body_checksum: u32,
}

/// Why a header is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// These are not bytes of this protocol.
    #[error("a frame begins with {0:02x?}, want \"LARD\"")]
    Magic([u8; 4]),
    /// The header was changed on its way.
    #[error("header checksum is {found:08x}, want {expected:08x}")]
    Checksum {
        /// What the header says.
        found: u32,
        /// What its bytes give.
        expected: u32,
    },
    /// A field that must be zero is not, a request has the number 0, or a frame goes the wrong way.
    #[error("header field {field} is {value:#x}, which this version does not allow")]
    Reserved {
        /// The request.
        correlation: u64,
        /// The operation.
        opcode: u8,
        /// The field.
        field: &'static str,
        /// What it says.
        value: u32,
    },
    /// The body is over the bound of its operation.
    #[error("a body of {body_bytes} bytes is over the bound of {body_bytes_max} for opcode {opcode:#04x}")]
    TooLarge {
        /// The request.
        correlation: u64,
        /// The operation.
        opcode: u8,
        /// What the header says.
        body_bytes: u32,
        /// What is allowed.
        body_bytes_max: usize,
    },
    /// A version that this code does not speak. The connection lives.
    #[error("version {version} of the protocol is unknown here, want {VERSION}")]
    Version {
        /// The request.
        correlation: u64,
        /// The operation.
        opcode: u8,
        /// The version.
        version: u8,
        /// Bytes of body to skip.
        body_bytes: u32,
    },
    /// A kind of checksum that this code does not know. The connection lives.
    #[error("body checksum kind {kind} is unknown, want 0, 1 or 2")]
    ChecksumKind {
        /// The request.
        correlation: u64,
        /// The operation.
        opcode: u8,
        /// The kind.
        kind: u8,
        /// Bytes of body to skip.
        body_bytes: u32,
    },
}

impl Header {
    /// The header of a request. Its body is set by [`encode_frame`](super::encode_frame).
    #[must_use]
    pub fn request(opcode: u8, checksum_kind: ChecksumKind, correlation: u64, deadline_ms: u32) -> Self {
        Self {
            version: VERSION,
            opcode,
            status: Status::Ok.code(),
            checksum_kind,
            flags: 0,
            stage: 0,
            deadline_ms,
            correlation,
            body_bytes: 0,
            body_checksum: 0,
        }
    }

    /// The fields of a header that goes either way.
    ///
    /// # Errors
    /// [`HeaderError`], which says whether the connection can go on.
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderError> {
        check_magic_and_checksum(bytes)?;
        let [opcode, version] = [bytes[OPCODE_AT], bytes[VERSION_AT]];
        let correlation = u64::from_le_bytes(array(bytes, CORRELATION_AT));
        let body_bytes = u32::from_le_bytes(array(bytes, BODY_BYTES_AT));
        let flags = u16::from_le_bytes(array(bytes, FLAGS_AT));

        // The length comes before the version: also a body that is skipped is bounded.
        let known = (version == VERSION && flags & REPLY == 0).then(|| Opcode::of_code(opcode));
        let body_bytes_max = known.flatten().map_or(BODY_BYTES_MAX, Opcode::body_bytes_max);
        if body_bytes as usize > body_bytes_max {
            return Err(HeaderError::TooLarge { correlation, opcode, body_bytes, body_bytes_max });
        }
        if version != VERSION {
            return Err(HeaderError::Version { correlation, opcode, version, body_bytes });
        }
        check_zeros(bytes, flags, opcode, correlation)?;
        if flags & REPLY == 0 && correlation == 0 {
            return Err(HeaderError::Reserved { correlation, opcode, field: "correlation", value: 0 });
        }
        let kind = bytes[KIND_AT];
        let Some(checksum_kind) = ChecksumKind::of_code(kind) else {
            return Err(HeaderError::ChecksumKind { correlation, opcode, kind, body_bytes });
        };
        Ok(Self {
            version,
            opcode,
            status: bytes[STATUS_AT],
            checksum_kind,
            flags,
            stage: bytes[STAGE_AT],
            deadline_ms: u32::from_le_bytes(array(bytes, DEADLINE_AT)),
            correlation,
            body_bytes,
            body_checksum: u32::from_le_bytes(array(bytes, BODY_CHECKSUM_AT)),
        })
    }

    /// The fields of a header that a client sent.
    ///
    /// # Errors
    /// [`HeaderError`]; also if it is a reply.
    pub fn parse_request(bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderError> {
        Self::parse(bytes)?.of_direction(false)
    }

    /// The fields of a header that a node sent.
    ///
    /// # Errors
    /// [`HeaderError`]; also if it is a request.
    pub fn parse_reply(bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderError> {
        Self::parse(bytes)?.of_direction(true)
    }

    fn of_direction(self, reply: bool) -> Result<Self, HeaderError> {
        if self.is_reply() == reply {
            return Ok(self);
        }
        Err(HeaderError::Reserved {
            correlation: self.correlation,
            opcode: self.opcode,
            field: "flags",
            value: self.flags.into(),
        })
    }

    /// The bytes of the header, with their checksum.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        put(&mut bytes, 0, MAGIC);
        put(&mut bytes, VERSION_AT, [self.version, self.opcode, self.status, self.checksum_kind.code()]);
        put(&mut bytes, FLAGS_AT, self.flags.to_le_bytes());
        put(&mut bytes, STAGE_AT, [self.stage]);
        put(&mut bytes, DEADLINE_AT, self.deadline_ms.to_le_bytes());
        put(&mut bytes, CORRELATION_AT, self.correlation.to_le_bytes());
        put(&mut bytes, BODY_BYTES_AT, self.body_bytes.to_le_bytes());
        put(&mut bytes, BODY_CHECKSUM_AT, self.body_checksum.to_le_bytes());
        let checksum = crc32(&bytes[..HEADER_CHECKSUM_AT]);
        put(&mut bytes, HEADER_CHECKSUM_AT, checksum.to_le_bytes());
        bytes
    }

    /// The operation, if this version knows it.
    ///
    /// # Errors
    /// The refusal to answer with; the body is skipped, and the connection lives.
    pub fn known_opcode(&self) -> Result<Opcode, Refusal> {
        Opcode::of_code(self.opcode).ok_or_else(|| {
            let detail = format!("opcode {:#04x} is unknown to this node", self.opcode);
            Refusal::new(Status::UnknownOperation, detail)
        })
    }

    /// Whether a node sent it.
    #[must_use]
    pub fn is_reply(&self) -> bool {
        self.flags & REPLY != 0
    }

    /// Whether no further frame answers the request.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.flags & LAST != 0
    }

    /// Whether a checksum of the body, computed while it arrived, is the one that was sent.
    ///
    /// # Errors
    /// The refusal to answer with; the connection lives.
    pub fn check_body(&self, checksum: u32) -> Result<(), Refusal> {
        if checksum == self.body_checksum {
            return Ok(());
        }
        Err(Refusal::new(
            Status::ChecksumMismatch,
            format!(
                "the body's checksum is {checksum:08x}, its header says {:08x}: it was changed on its way",
                self.body_checksum
            ),
        ))
    }

    /// As [`check_body`](Self::check_body), of a body that is here.
    ///
    /// # Errors
    /// The refusal to answer with; the connection lives.
    pub fn check_parts(&self, fixed: &[u8], parts: &[Bytes]) -> Result<(), Refusal> {
        self.check_body(self.checksum_kind.checksum_of_parts(fixed, parts))
    }
}

impl HeaderError {
    /// Whether the connection has to end: where the next frame begins is unknown, or the peer does not keep to the
    /// protocol. Otherwise [`body_bytes`](Self::body_bytes) are skipped, and it goes on.
    #[must_use]
    pub fn ends_connection(&self) -> bool {
        !matches!(self, Self::Version { .. } | Self::ChecksumKind { .. })
    }

    /// Bytes of body to skip, when the connection goes on.
    #[must_use]
    pub fn body_bytes(&self) -> u32 {
        match *self {
            Self::Version { body_bytes, .. } | Self::ChecksumKind { body_bytes, .. } => body_bytes,
            _ => 0,
        }
    }

    /// The request that is refused, and its opcode; zeros when the header is not to be believed.
    #[must_use]
    pub fn correlation_and_opcode(&self) -> (u64, u8) {
        match *self {
            Self::Magic(_) | Self::Checksum { .. } => (0, 0),
            Self::Reserved { correlation, opcode, .. }
            | Self::TooLarge { correlation, opcode, .. }
            | Self::Version { correlation, opcode, .. }
            | Self::ChecksumKind { correlation, opcode, .. } => (correlation, opcode),
        }
    }

    /// What to answer.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let status = match self {
            Self::Magic(_) | Self::Checksum { .. } | Self::Reserved { .. } => Status::BadFrame,
            Self::TooLarge { .. } => Status::TooLarge,
            Self::Version { .. } => Status::UnsupportedVersion,
            Self::ChecksumKind { .. } => Status::BadRequest,
        };
        Refusal::new(status, self.to_string())
    }
}

fn check_magic_and_checksum(bytes: &[u8; HEADER_BYTES]) -> Result<(), HeaderError> {
    let magic = array(bytes, 0);
    if magic != MAGIC {
        return Err(HeaderError::Magic(magic));
    }
    let found = u32::from_le_bytes(array(bytes, HEADER_CHECKSUM_AT));
    let expected = crc32(&bytes[..HEADER_CHECKSUM_AT]);
    if found != expected {
        return Err(HeaderError::Checksum { found, expected });
    }
    Ok(())
}

/// What is zero today may mean something tomorrow, so nobody may send anything else.
fn check_zeros(bytes: &[u8; HEADER_BYTES], flags: u16, opcode: u8, correlation: u64) -> Result<(), HeaderError> {
    let is_request = flags & REPLY == 0;
    let of_request = |byte: u8| if is_request { u32::from(byte) } else { 0 };
    let unchecked = bytes[KIND_AT] == ChecksumKind::None.code();
    let body_checksum = u32::from_le_bytes(array(bytes, BODY_CHECKSUM_AT));
    let wrong_flags = u32::from(flags & !(REPLY | LAST)) | if is_request { u32::from(flags & LAST) } else { 0 };
    let fields = [
        ("flags", wrong_flags),
        ("status", of_request(bytes[STATUS_AT])),
        ("stage", of_request(bytes[STAGE_AT])),
        ("byte 11", u32::from(bytes[STAGE_AT + 1])),
        ("bytes 32 to 35", u32::from_le_bytes(array(bytes, RESERVED_AT))),
        ("body_checksum", if unchecked { body_checksum } else { 0 }),
    ];
    match fields.into_iter().find(|(_, value)| *value != 0) {
        None => Ok(()),
        Some((field, value)) => Err(HeaderError::Reserved { correlation, opcode, field, value }),
    }
}

/// `N` bytes at a constant place of a header.
fn array<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("fields lie inside of the header")
}

fn put<const N: usize>(bytes: &mut [u8; HEADER_BYTES], at: usize, field: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&field);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> Header {
        Header {
            body_bytes: 77,
            body_checksum: 0xdead_beef,
            ..Header::request(Opcode::Put.code(), ChecksumKind::Crc32c, 42, 1500)
        }
    }

    /// Changes a byte and makes the checksum right again, as a peer would that means it.
    fn with(at: usize, value: u8) -> [u8; HEADER_BYTES] {
        let mut bytes = header().encode();
        bytes[at] = value;
        let checksum = crc32(&bytes[..HEADER_CHECKSUM_AT]);
        put(&mut bytes, HEADER_CHECKSUM_AT, checksum.to_le_bytes());
        bytes
    }

    #[test]
    fn what_is_encoded_parses() {
        assert_eq!(Header::parse_request(&header().encode()), Ok(header()));
        assert!(Header::parse_reply(&header().encode()).unwrap_err().ends_connection());
        let reply = Header { flags: REPLY | LAST, status: 9, stage: 2, ..header() };
        assert_eq!(Header::parse_reply(&reply.encode()), Ok(reply));
        assert!(Header::parse_request(&reply.encode()).is_err());
    }

    #[test]
    fn any_flipped_bit_is_seen_and_ends_the_connection() {
        for bit in 0..HEADER_BYTES * 8 {
            let mut bytes = header().encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let error = Header::parse(&bytes).unwrap_err();
            assert!(error.ends_connection());
            assert_eq!(error.correlation_and_opcode(), (0, 0));
            assert_eq!(error.refusal().status, Status::BadFrame);
        }
    }

    #[test]
    fn fields_that_must_be_zero_end_the_connection_with_the_request_named() {
        for at in [STATUS_AT, FLAGS_AT + 1, STAGE_AT, STAGE_AT + 1, RESERVED_AT, RESERVED_AT + 3] {
            let error = Header::parse(&with(at, 0x80)).unwrap_err();
            assert!(matches!(error, HeaderError::Reserved { .. }), "{error} at byte {at}");
            assert!(error.ends_connection());
            assert_eq!(error.correlation_and_opcode(), (42, Opcode::Put.code()));
        }
        assert!(Header::parse(&with(FLAGS_AT, 2)).is_err(), "LAST is for replies");
        assert!(Header::parse(&with(KIND_AT, 0)).is_err(), "no kind, but a checksum");
        assert!(Header::parse(&with(CORRELATION_AT, 0)).is_err(), "0 is the connection itself");
    }

    #[test]
    fn unknown_versions_kinds_and_opcodes_leave_the_connection() {
        let error = Header::parse(&with(VERSION_AT, 9)).unwrap_err();
        assert!(!error.ends_connection() && error.body_bytes() == 77);
        assert_eq!(error.refusal().status, Status::UnsupportedVersion);
        let error = Header::parse(&with(KIND_AT, 9)).unwrap_err();
        assert!(!error.ends_connection() && error.body_bytes() == 77);
        assert_eq!(Header::parse(&with(OPCODE_AT, 0xee)).unwrap().opcode, 0xee);
    }

    #[test]
    fn a_length_is_bounded_by_its_operation() {
        for (opcode, bound) in [(Opcode::Put.code(), BODY_BYTES_MAX), (Opcode::Stat.code(), 20), (0xee, BODY_BYTES_MAX)]
        {
            let bound = u32::try_from(bound).unwrap();
            let of = |body_bytes| {
                let header = Header { body_bytes, opcode, ..header() };
                Header::parse(&header.encode())
            };
            assert!(of(bound).is_ok());
            let error = of(bound + 1).unwrap_err();
            assert!(error.ends_connection());
            assert_eq!(error.refusal().status, Status::TooLarge);
            assert!(of(u32::MAX).is_err());
        }
    }

    proptest! {
        #[test]
        fn whatever_parses_encodes_to_the_same_bytes(mut bytes: [u8; HEADER_BYTES], valid: bool) {
            if valid {
                put(&mut bytes, 0, MAGIC);
                bytes[VERSION_AT] = VERSION;
                bytes[KIND_AT] %= 3;
                bytes[FLAGS_AT] &= 3;
                bytes[FLAGS_AT + 1] = 0;
                bytes[STAGE_AT + 1] = 0;
                bytes[BODY_BYTES_AT + 3] = 0;
                put(&mut bytes, RESERVED_AT, [0; 4]);
                let checksum = crc32(&bytes[..HEADER_CHECKSUM_AT]);
                put(&mut bytes, HEADER_CHECKSUM_AT, checksum.to_le_bytes());
            }
            if let Ok(header) = Header::parse(&bytes) {
                prop_assert_eq!(header.encode(), bytes);
                prop_assert!(header.body_bytes as usize <= BODY_BYTES_MAX);
            }
        }
    }
}
