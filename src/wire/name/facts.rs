//! What is known about a name, in the replies to LOOKUP and LIST.
//!
//! ```text
//! 0 kind u8 (1 file, 2 directory) | 1 zero [1] | 2 run_bytes u16 | 4 chunk_count u32 | 8 version u64 | 16 size u64
//! 24 created_ms u64 | 32 modified_ms u64 | 40 hash [16]
//! ```
//!
//! Any thread. The run is what the reply says it is: the attributes of a name, or the name in a directory.

use super::{BadBody, Fields, short};
use crate::base::ids::ContentHash;
use crate::request::{NameFacts, NameKind};

/// Bytes of the facts.
pub(super) const FACTS_BYTES: usize = 56;

/// The facts, and the length of the run that belongs to them.
pub(super) fn parse(fields: &mut Fields<'_>, run: &'static str) -> Result<(NameFacts, u16), BadBody> {
    let code = fields.u8("kind")?;
    let kind = NameKind::of_code(code);
    let kind = kind.ok_or_else(|| fields.bad("kind", code.into(), "1 (file) or 2 (directory)"))?;
    fields.skip::<1>()?;
    let run_bytes = fields.u16(run)?;
    let chunks = fields.u32("chunk_count")?;
    let facts = NameFacts {
        kind,
        version: fields.u64("version")?,
        size: fields.u64("size")?,
        created_ms: fields.u64("created_ms")?,
        modified_ms: fields.u64("modified_ms")?,
        hash: ContentHash(fields.wide("hash")?),
        chunks,
    };
    Ok((facts, run_bytes))
}

pub(super) fn encode(facts: &NameFacts, run_bytes: usize, body: &mut Vec<u8>) {
    let start = body.len();
    body.extend([facts.kind as u8, 0]);
    body.extend(short(run_bytes));
    body.extend(facts.chunks.to_le_bytes());
    for number in [facts.version, facts.size, facts.created_ms, facts.modified_ms] {
        body.extend(number.to_le_bytes());
    }
    body.extend(facts.hash.0.to_be_bytes());
    debug_assert_eq!(body.len() - start, FACTS_BYTES);
}
