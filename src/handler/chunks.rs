//! The chunks of a commit: read from their volumes and checked before the commit is proposed, so that applying it touches no
//! volume.
//!
//! Pure. Always: what passes is an object of the session that commits, was put for a name, is as large as its place calls
//! for, and is on its disk (an object for a name is stored with class `disk`, whatever was asked).

use super::answers;
use crate::base::checksum::content_hash;
use crate::base::ids::{ContentHash, ObjectId};
use crate::base::limits::CHUNK_BYTES_MAX;
use crate::base::planted::{self, Bug};
use crate::io::{Found, ReadEnd, Target};
use crate::master::{Checked, Command};
use crate::request::{Answer, Change, ChangeRequest, Refusal, Status};

/// What the head of a chunk says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    /// The number of its PUT.
    pub(super) number: u64,
    pub(super) bytes: u32,
    pub(super) hash: ContentHash,
}

/// The object of a chunk, if the index knows it.
pub(super) fn target_of(id: ObjectId, found: Found) -> Result<Target, Refusal> {
    match found {
        Found::Object(target) => Ok(target),
        Found::Absent | Found::Deleted(_) => Err(missing(id)),
        Found::Damaged(_) => Err(Refusal::new(Status::Damaged, format!("the chunk {id} is damaged: put it again"))),
        Found::Unavailable => Err(Refusal::new(
            Status::Unavailable,
            format!("the volume of the chunk {id} is on no disk that is present"),
        )),
    }
}

/// What a read of its head found.
pub(super) fn chunk_of(id: ObjectId, session: u64, end: ReadEnd) -> Result<Chunk, Refusal> {
    match end {
        ReadEnd::Opened(opened) => {
            let facts = &opened.facts;
            let is_foreign = facts.origin.session != session && !planted::on(Bug::CommitForeignChunk);
            if !facts.is_named || is_foreign {
                let detail = format!("the chunk {id} was not put in this session for a name");
                return Err(Refusal::new(Status::ForeignChunk, detail));
            }
            Ok(Chunk { number: facts.origin.number, bytes: facts.payload_bytes, hash: facts.hash })
        }
        ReadEnd::NotFound | ReadEnd::OutOfRange { .. } => Err(missing(id)),
        other => match answers::of_stat(other, &mut answers::Metas::default()) {
            Answer::Refused(refusal) => Err(refusal),
            _ => Err(Refusal::new(Status::Internal, "the head of a chunk could not be read")),
        },
    }
}

fn missing(id: ObjectId) -> Refusal {
    Refusal::new(Status::NoSuchChunk, format!("there is no chunk {id}"))
}

/// The command of a change whose chunks are these; only a commit has any.
pub(super) fn command_of(request: ChangeRequest, chunks: &[Chunk]) -> Result<Command, Refusal> {
    let change = match request.change {
        Change::Commit { path, condition, parents, modified_ms, attributes, chunks: ids } => {
            check_sizes(chunks)?;
            Checked::Commit {
                path,
                condition,
                parents,
                modified_ms,
                attributes,
                size: chunks.iter().map(|chunk| u64::from(chunk.bytes)).sum(),
                hash: file_hash(chunks),
                chunks: ids.into_iter().zip(chunks.iter().map(|chunk| chunk.number)).collect(),
            }
        }
        Change::MakeDirectory { path, parents } => Checked::MakeDirectory { path, parents },
        Change::Rename { from, to, replace, condition } => Checked::Rename { from, to, replace, condition },
        Change::Remove { path, tree, condition } => Checked::Remove { path, tree, condition },
        Change::SetAttributes { path, condition, attributes } => Checked::SetAttributes { path, condition, attributes },
    };
    Ok(Command::Change { id: request.id, change })
}

/// All chunks are full but the last, and none is empty: so a range of a file is found without reading heads.
fn check_sizes(chunks: &[Chunk]) -> Result<(), Refusal> {
    let Some((last, full)) = chunks.split_last() else { return Ok(()) };
    if let Some(place) = full.iter().position(|chunk| chunk.bytes as usize != CHUNK_BYTES_MAX) {
        let bytes = full.get(place).map_or(0, |chunk| chunk.bytes);
        let detail = format!("chunk {place} has {bytes} bytes: all but the last have {CHUNK_BYTES_MAX}");
        return Err(Refusal::new(Status::BadRequest, detail));
    }
    if last.bytes == 0 {
        return Err(Refusal::new(Status::BadRequest, "the last chunk is empty: an empty file has no chunks"));
    }
    Ok(())
}

/// The hash of one chunk is the file's; of more, XXH3-128 over their hashes in order, most significant byte first.
fn file_hash(chunks: &[Chunk]) -> ContentHash {
    match chunks {
        [] => content_hash(&[]),
        [only] => only.hash,
        many => {
            let hashes: Vec<u8> = many.iter().flat_map(|chunk| chunk.hash.0.to_be_bytes()).collect();
            content_hash(&hashes)
        }
    }
}
