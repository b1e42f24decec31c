//! Operations on names as bytes.

use super::{BadBody, Opcode};
use crate::request::{Change, NameAnswer, NameOperation, Refusal, SessionAct};
use bytes::Bytes;

pub(super) fn body_bytes_max(opcode: Opcode) -> usize {
    let _ = opcode;
    todo!()
}

pub(super) fn opcode_of(operation: &NameOperation) -> Opcode {
    match operation {
        NameOperation::Session(SessionAct::Open | SessionAct::Renew(_) | SessionAct::Close(_)) => Opcode::Session,
        NameOperation::Change(request) => match request.change {
            Change::Commit { .. } => Opcode::Commit,
            Change::MakeDirectory { .. } => Opcode::MakeDirectory,
            Change::Rename { .. } => Opcode::Rename,
            Change::Remove { .. } => Opcode::Remove,
            Change::SetAttributes { .. } => Opcode::SetAttributes,
        },
        NameOperation::Lookup(_) => Opcode::Lookup,
        NameOperation::List(_) => Opcode::List,
        NameOperation::Usage(_) => Opcode::Usage,
        NameOperation::Removal(_) => Opcode::Removal,
    }
}

pub(super) fn parse_operation(opcode: Opcode, body: &Bytes) -> Result<NameOperation, Refusal> {
    let _ = (opcode, body);
    todo!()
}

pub(super) fn encode_operation(operation: &NameOperation) -> Vec<u8> {
    let _ = operation;
    todo!()
}

pub(super) fn encode_answer(answer: &NameAnswer) -> Vec<u8> {
    let _ = answer;
    todo!()
}

pub(super) fn parse_answer(opcode: Opcode, body: &Bytes) -> Result<NameAnswer, BadBody> {
    let _ = (opcode, body);
    todo!()
}
