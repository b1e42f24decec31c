//! Requests as frames, the client's half of encoding.
//!
//! Any thread. Always: content is shared, never copied.

use super::object::encode_object_id;
use super::scrub::encode_scrub;
use super::{ChecksumKind, Get, HEADER_BYTES, Header, Hello, Opcode, PutHead};
use crate::base::ids::{ObjectId, Origin};
use crate::base::limits::CHUNK_BYTES_MAX;
use crate::request::{Attributes, ByteRange, Durability, NameOperation, Refusal, Status};
use bytes::Bytes;
use smallvec::SmallVec;

/// A request, as a client says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// The first frame of a connection.
    Hello(Hello),
    /// The same bytes back, at most 4 KiB.
    Ping(Bytes),
    /// Stores an object.
    Put {
        /// What must have happened before the answer.
        durability: Durability,
        /// The upload that it belongs to, or zero.
        origin: Origin,
        /// Its attributes.
        attributes: Attributes,
        /// Its content.
        payload: Bytes,
    },
    /// Reads an object, or a part of it.
    Get {
        /// The object.
        id: ObjectId,
        /// The part; `None` for the whole.
        range: Option<ByteRange>,
    },
    /// Reads what is known about an object.
    Stat(ObjectId),
    /// Deletes an object.
    Delete(ObjectId),
    /// Asks of names.
    Name(NameOperation),
    /// Describes the node.
    Status,
    /// Describes the scrub of each disk.
    Scrub {
        /// Start a pass at full speed first.
        now: bool,
    },
}

impl Request {
    /// Its opcode.
    #[must_use]
    pub fn opcode(&self) -> Opcode {
        match self {
            Self::Hello(_) => Opcode::Hello,
            Self::Ping(_) => Opcode::Ping,
            Self::Put { .. } => Opcode::Put,
            Self::Get { .. } => Opcode::Get,
            Self::Stat(_) => Opcode::Stat,
            Self::Delete(_) => Opcode::Delete,
            Self::Name(operation) => super::name::opcode_of(operation),
            Self::Status => Opcode::Status,
            Self::Scrub { .. } => Opcode::Scrub,
        }
    }

    /// Whether it is within the limits of the protocol, which a node would refuse it for.
    ///
    /// # Errors
    /// What the node would say, most often TOO_LARGE.
    pub fn check(&self) -> Result<(), Refusal> {
        let (what, bytes, bytes_max) = match self {
            Self::Put { payload, .. } => ("an object", payload.len(), CHUNK_BYTES_MAX),
            Self::Ping(bytes) => ("a ping", bytes.len(), Opcode::Ping.body_bytes_max()),
            Self::Name(operation) => return Ok(super::name::check(operation)?),
            _ => return Ok(()),
        };
        if bytes <= bytes_max {
            return Ok(());
        }
        let detail = format!("{what} of {bytes} bytes is over the limit of {bytes_max}");
        Err(Refusal::new(Status::TooLarge, detail))
    }

    /// The bytes of its frame, to be sent one after the other: the head, and the content if there is any.
    #[must_use]
    pub fn encode(&self, kind: ChecksumKind, correlation: u64, deadline_ms: u32) -> [Bytes; 2] {
        let (fixed, content) = self.body();
        let header = Header::request(self.opcode().code(), kind, correlation, deadline_ms);
        let content = [content];
        let head = encode_frame(header, &fixed, &content).into_vec().into();
        let [content] = content;
        [head, content]
    }

    fn body(&self) -> (Vec<u8>, Bytes) {
        match self {
            Self::Hello(hello) => (hello.encode(), Bytes::new()),
            Self::Ping(bytes) => (Vec::new(), bytes.clone()),
            Self::Put { durability, origin, attributes, payload } => {
                let attributes = attributes.bytes();
                let head = PutHead {
                    durability: *durability,
                    origin: *origin,
                    attribute_bytes: attributes.len(),
                    payload_bytes: payload.len(),
                };
                ([&head.encode()[..], attributes].concat(), payload.clone())
            }
            Self::Get { id, range } => {
                let get = Get { id: *id, range: *range };
                (get.encode().to_vec(), Bytes::new())
            }
            Self::Stat(id) | Self::Delete(id) => (encode_object_id(*id).to_vec(), Bytes::new()),
            Self::Name(operation) => (super::name::encode_operation(operation), Bytes::new()),
            Self::Status => (Vec::new(), Bytes::new()),
            Self::Scrub { now } => (encode_scrub(*now).to_vec(), Bytes::new()),
        }
    }
}

/// A header and the fixed fields behind it. Those of content without attributes fit without an allocation.
pub type FrameHead = SmallVec<[u8; 128]>;

/// The header of a frame whose body is `fixed` and then `parts`, and `fixed` behind it. Length and checksum of the body
/// are set here, whatever `header` says.
///
/// A body is far smaller than 4 GiB: that is for the caller to know.
#[must_use]
pub fn encode_frame(mut header: Header, fixed: &[u8], parts: &[Bytes]) -> FrameHead {
    header.body_checksum = header.checksum_kind.checksum_of_parts(fixed, parts);
    encode_checked_frame(header, fixed, parts)
}

/// The same, of a header that has the checksum of the body already.
pub(super) fn encode_checked_frame(mut header: Header, fixed: &[u8], parts: &[Bytes]) -> FrameHead {
    let bytes = fixed.len() + parts.iter().map(Bytes::len).sum::<usize>();
    header.body_bytes = u32::try_from(bytes).expect("limits keep every body below 4 GiB");
    let mut head = FrameHead::with_capacity(HEADER_BYTES + fixed.len());
    head.extend_from_slice(&header.encode());
    head.extend_from_slice(fixed);
    head
}
