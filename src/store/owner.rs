//! Whose a data directory is, seen before anything is opened.
//!
//! Runs once, before the disks of a node are opened. Always: it writes nothing, so that a directory of somebody else
//! stays as it was, and an empty one stays empty when another turns out to be wrong.

use super::Identity;
use super::error::StoreError;
use super::open::{check_identity, is_formatted};
use super::superblock::SuperblockContent;
use crate::base::ids::{ClusterId, NodeId};
use crate::disk::Disk;

/// Whose it is, which must be `expected` if that is known; `None` for an empty directory.
///
/// # Errors
/// [`StoreError`]: it holds foreign files, belongs to somebody else, or its superblock cannot be read.
pub fn owner(disk: &dyn Disk, expected: Option<(ClusterId, NodeId)>) -> Result<Option<Identity>, StoreError> {
    if !is_formatted(disk)? {
        return Ok(None);
    }
    let identity = SuperblockContent::read(disk)?.identity;
    check_identity(disk, &identity, expected)?;
    Ok(Some(identity))
}
