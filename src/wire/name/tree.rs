//! USAGE: what is under a name. REMOVAL: how far a removal in the background is.
//!
//! ```text
//! USAGE     request   0 path_bytes u16 | 2 zero [6] | 8 path
//!           reply     0 files u64 | 8 directories u64 | 16 bytes u64
//! REMOVAL   request   0 removal u64
//!           reply     0 names u64 | 8 bytes u64 | 16 done u8 | 17 zero [7]
//! ```
//!
//! Any thread.

use super::{BadBody, Fields, short};
use crate::base::path::NamePath;
use crate::request::{Removal, Usage};

/// Bytes of the body of a REMOVAL.
pub(super) const REMOVAL_BYTES: usize = 8;

pub(super) fn check_removal(removal: u64) -> Result<(), BadBody> {
    if removal != 0 {
        return Ok(());
    }
    Err(Fields::new("REMOVAL", &[]).bad("removal", 0, "the number that the answer to a REMOVE gave"))
}

pub(super) fn parse_removal(fields: &mut Fields<'_>) -> Result<u64, BadBody> {
    fields.u64("removal")
}

pub(super) fn encode_removal(removal: u64) -> Vec<u8> {
    removal.to_le_bytes().to_vec()
}

pub(super) fn parse_removal_answer(fields: &mut Fields<'_>) -> Result<Removal, BadBody> {
    let (names, bytes) = (fields.u64("names")?, fields.u64("bytes")?);
    let done = match fields.u8("done")? {
        0 => false,
        1 => true,
        found => return Err(fields.bad("done", found.into(), "0 or 1")),
    };
    fields.skip::<7>()?;
    Ok(Removal { names, bytes, done })
}

pub(super) fn encode_removal_answer(removal: &Removal) -> Vec<u8> {
    let done = [removal.done.into(), 0, 0, 0, 0, 0, 0, 0];
    [removal.names.to_le_bytes(), removal.bytes.to_le_bytes(), done].concat()
}

pub(super) fn parse_usage(fields: &mut Fields<'_>) -> Result<NamePath, BadBody> {
    let path_bytes = fields.u16("path_bytes")?;
    fields.zeros::<6>()?;
    fields.path(path_bytes, "path")
}

pub(super) fn encode_usage(path: &NamePath) -> Vec<u8> {
    let path = path.as_str().as_bytes();
    [&short(path.len())[..], &[0; 6], path].concat()
}

pub(super) fn parse_usage_answer(fields: &mut Fields<'_>) -> Result<Usage, BadBody> {
    Ok(Usage { files: fields.u64("files")?, directories: fields.u64("directories")?, bytes: fields.u64("bytes")? })
}

pub(super) fn encode_usage_answer(usage: &Usage) -> Vec<u8> {
    [usage.files, usage.directories, usage.bytes].map(u64::to_le_bytes).concat()
}
