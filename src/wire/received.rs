//! Replies as a client reads them.
//!
//! Any thread. Always: a status that this version does not know is read as INTERNAL, and its number is in the detail.

use super::fields::Fields;
use super::meta::parse_meta;
use super::object::parse_deleted;
use super::put::parse_stored;
use super::{BadBody, ContentHead, Header, Opcode, Welcome};
use crate::request::{Durability, Meta, NameAnswer, Refusal, Stage, Status, Stored};
use bytes::Bytes;

/// One frame of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// The node's half of the hello.
    Welcome(Welcome),
    /// The bytes of the ping.
    Pong(Bytes),
    /// The receipt of an object.
    Stored(Stored),
    /// The first content of an object.
    Content(ContentHead, Bytes),
    /// Further content.
    More(Bytes),
    /// What is known about an object.
    Stat(Meta),
    /// The object is deleted.
    Deleted(Durability),
    /// About names.
    Name(NameAnswer),
    /// The node, as a JSON text.
    Status(Bytes),
    /// The request was not done, or its content ends here.
    Refused(Refusal),
}

impl Received {
    /// The meaning of a frame whose body is here and checked. `content_began` says that a frame of content came before
    /// it for the same request.
    ///
    /// # Errors
    /// [`BadBody`], when the node does not keep to the protocol.
    pub fn parse(header: &Header, body: &Bytes, content_began: bool) -> Result<Self, BadBody> {
        if header.status != Status::Ok.code() {
            return Ok(Self::Refused(refusal(header, body)));
        }
        let Some(opcode) = Opcode::of_code(header.opcode) else {
            return Err(BadBody::Field {
                frame: "reply",
                field: "opcode",
                found: header.opcode.into(),
                want: "the opcode of a request",
            });
        };
        if opcode != Opcode::Get && !header.is_last() {
            return Err(BadBody::Field {
                frame: opcode.name(),
                field: "flags",
                found: header.flags.into(),
                want: "LAST: only content comes in several frames",
            });
        }
        Ok(match opcode {
            Opcode::Hello => Self::Welcome(Welcome::parse(body)?),
            Opcode::Ping => Self::Pong(body.clone()),
            Opcode::Status | Opcode::Scrub => Self::Status(body.clone()),
            Opcode::Put => Self::Stored(parse_stored(body)?),
            Opcode::Get if content_began => Self::More(body.clone()),
            Opcode::Get => {
                let (head, content) = ContentHead::parse(body)?;
                Self::Content(head, content)
            }
            Opcode::Stat => Self::Stat(parse_meta("reply to STAT", &mut Fields::new("reply to STAT", body))?),
            Opcode::Delete => Self::Deleted(parse_deleted(body)?),
            Opcode::Session
            | Opcode::Commit
            | Opcode::MakeDirectory
            | Opcode::Rename
            | Opcode::Remove
            | Opcode::SetAttributes
            | Opcode::Lookup
            | Opcode::List
            | Opcode::Usage
            | Opcode::Removal => Self::Name(super::name::parse_answer(opcode, body)?),
        })
    }
}

fn refusal(header: &Header, body: &[u8]) -> Refusal {
    let text = String::from_utf8_lossy(body);
    let (status, detail) = match Status::of_code(header.status) {
        Some(status) => (status, text.into_owned()),
        None => (Status::Internal, format!("status {} is unknown to this client: {text}", header.status)),
    };
    Refusal { status, stage: Stage::of_code(header.stage), retry_after_ms: header.deadline_ms, detail: detail.into() }
}
