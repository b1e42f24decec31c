//! LOOKUP: what a name leads to, with some of its chunks.
//!
//! ```text
//! request   0 chunk_first u32 | 4 chunks_max u32 | 8 path_bytes u16 | 10 zero [6] | 16 path
//! reply     0 facts [56], with attribute_bytes | 56 chunk_first u32 | 60 chunks_here u32 | 64 attributes | chunks, 20 bytes each
//! ```
//!
//! Any thread. Always: the chunks of a parsed reply are chunks of the file.

use super::{BadBody, Fields, change, count, facts, short};
use crate::base::limits::{FILE_CHUNKS_MAX, LOOKUP_CHUNKS_MAX};
use crate::request::{Entry, Lookup};
use crate::wire::object::OBJECT_ID_BYTES;

/// What stands before the path of a LOOKUP, without memory of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookupHead {
    /// The place of the first chunk to be told.
    pub chunk_first: u32,
    /// How many at most.
    pub chunks_max: u32,
    /// Bytes of the path that follows: at most 4096.
    pub path_bytes: usize,
}

impl LookupHead {
    /// Bytes of these fields.
    pub const BYTES: usize = 16;

    /// The fields; the path follows.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.chunk_first.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.chunks_max.to_le_bytes());
        bytes[8..10].copy_from_slice(&short(self.path_bytes));
        bytes
    }
}

pub(super) fn check(lookup: &Lookup) -> Result<(), BadBody> {
    let fields = Fields::new("LOOKUP", &[]);
    let (first, max) = (u64::from(lookup.chunk_first), u64::from(lookup.chunks_max));
    if first > FILE_CHUNKS_MAX as u64 {
        return Err(fields.bad("chunk_first", first, "0 to 16384"));
    }
    if max > LOOKUP_CHUNKS_MAX as u64 {
        return Err(fields.bad("chunks_max", max, "0 to 2048"));
    }
    Ok(())
}

pub(super) fn parse(fields: &mut Fields<'_>) -> Result<Lookup, BadBody> {
    let (chunk_first, chunks_max) = (fields.u32("chunk_first")?, fields.u32("chunks_max")?);
    let path_bytes = fields.u16("path_bytes")?;
    fields.zeros::<6>()?;
    Ok(Lookup { path: fields.path(path_bytes, "path")?, chunk_first, chunks_max })
}

pub(super) fn encode(lookup: &Lookup) -> Vec<u8> {
    let path = lookup.path.as_str().as_bytes();
    let head =
        LookupHead { chunk_first: lookup.chunk_first, chunks_max: lookup.chunks_max, path_bytes: path.len() }.encode();
    [&head, path].concat()
}

pub(super) fn parse_answer(fields: &mut Fields<'_>) -> Result<Entry, BadBody> {
    let (facts, attribute_bytes) = facts::parse(fields, "attribute_bytes")?;
    let chunk_first = fields.u32("chunk_first")?;
    let chunks_here = fields.u32("chunks_here")?;
    if chunks_here > 0 && u64::from(chunk_first) + u64::from(chunks_here) > facts.chunks.into() {
        return Err(fields.bad("chunks_here", chunks_here.into(), "at most those from chunk_first to chunk_count"));
    }
    let attributes = fields.attributes(attribute_bytes)?;
    Ok(Entry { facts, attributes, chunk_first, chunks: fields.object_ids(chunks_here, "chunks")? })
}

pub(super) fn encode_answer(entry: &Entry) -> Vec<u8> {
    debug_assert!(entry.chunks.len() <= LOOKUP_CHUNKS_MAX, "a lookup tells so many at most");
    let attributes = entry.attributes.bytes();
    let list_bytes = entry.chunks.len() * OBJECT_ID_BYTES;
    let mut body = Vec::with_capacity(facts::FACTS_BYTES + 8 + attributes.len() + list_bytes);
    facts::encode(&entry.facts, attributes.len(), &mut body);
    body.extend(entry.chunk_first.to_le_bytes());
    body.extend(count(entry.chunks.len()));
    body.extend(&attributes[..]);
    change::extend_with_ids(&mut body, &entry.chunks);
    body
}
