//! Bodies of requests as operations.
//!
//! Runs on processors. PUT goes its own way ([`PutHead`](super::PutHead)), and HELLO belongs to the connection.

use super::object::parse_object_id;
use super::scrub::parse_scrub;
use super::{BadBody, Get, Opcode};
use crate::request::{Operation, Refusal, Status};
use bytes::Bytes;

/// The operation of a request whose body is here and checked.
///
/// # Errors
/// The refusal to answer with; also for PUT and HELLO, which are not read here.
pub fn operation_of(opcode: Opcode, body: &[u8]) -> Result<Operation, Refusal> {
    match opcode {
        Opcode::Ping => Ok(Operation::Ping(Bytes::copy_from_slice(body))),
        Opcode::Status if body.is_empty() => Ok(Operation::Status),
        Opcode::Status => Err(BadBody::TooLong { frame: "STATUS", bytes: body.len() }.into()),
        Opcode::Scrub => Ok(Operation::Scrub { now: parse_scrub(body)? }),
        Opcode::Get => {
            let Get { id, range } = Get::parse(body)?;
            Ok(Operation::Get { id, range })
        }
        Opcode::Stat => Ok(Operation::Stat(parse_object_id("STAT", body)?)),
        Opcode::Delete => Ok(Operation::Delete(parse_object_id("DELETE", body)?)),
        Opcode::Hello => {
            Err(Refusal::new(Status::BadRequest, "HELLO is the first frame of a connection, and comes once"))
        }
        Opcode::Session
        | Opcode::Commit
        | Opcode::MakeDirectory
        | Opcode::Rename
        | Opcode::Remove
        | Opcode::SetAttributes
        | Opcode::Lookup
        | Opcode::List
        | Opcode::Usage
        | Opcode::Removal => Ok(Operation::Name(super::name::parse_operation(opcode, body)?)),
        Opcode::Put => Err(Refusal::new(Status::BadRequest, "the body of a PUT is not read as a whole")),
    }
}
