//! The binary protocol as code: `protocol.md`, byte for byte.
//!
//! Pure: no socket, no clock, no thread. A node uses [`Header::parse_request`], [`PutHead`], [`operation_of`] and
//! [`encode_answer`]; a client uses [`Request`], [`Header::parse_reply`] and [`Received`]. Always: nothing that a
//! peer sends makes this code panic, and no memory is taken by a length that a peer names.

mod checksum;
mod fields;
mod fuzz;
mod get;
mod header;
mod hello;
mod meta;
mod name;
mod object;
mod opcode;
mod operation;
mod put;
mod received;
mod reply;
mod request;
mod scrub;

pub use checksum::{ChecksumKind, RunningChecksum};
pub use fields::BadBody;
pub use fuzz::fuzz_frame;
pub use get::{ContentFront, ContentHead, GET_BYTES, Get};
pub use header::{HEADER_BYTES, Header, HeaderError, LAST, MAGIC, REPLY, VERSION};
pub use hello::{Hello, Welcome};
pub use name::{EmptyCommit, LookupHead};
pub use object::{DELETED_BYTES, OBJECT_ID_BYTES, encode_object_id};
pub use opcode::Opcode;
pub use operation::operation_of;
pub use put::{PutHead, STORED_BYTES, parse_stored};
pub use received::Received;
pub use reply::{Reply, ReplyTo, encode_answer, encode_refusal, encode_welcome};
pub use request::{FrameHead, Request, encode_frame};
