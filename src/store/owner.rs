//! Whose a data directory is, seen before anything is opened.
//!
//! Runs once a directory, before the disks of a node are opened. Always: it writes nothing, so that a directory of somebody
//! else stays as it was, and an empty one stays empty when another turns out to be wrong.

use super::Identity;
use super::error::StoreError;
use super::names;
use super::open::{is_formatted, take_lock};
use super::superblock::SuperblockContent;
use crate::base::ids::{ClusterId, NodeId, VolumeId};
use crate::base::random::Random;
use crate::disk::{Disk, Open};
use std::io;

/// What a superblock says before its disk is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Whose it is.
    pub identity: Identity,
    /// The highest volume number that its node had given out.
    pub highest: VolumeId,
}

/// Whose it is; `None` for an empty directory.
///
/// # Errors
/// [`StoreError`]: it holds foreign files, or its superblock cannot be read.
pub fn owner(disk: &dyn Disk) -> Result<Option<Owner>, StoreError> {
    if !is_formatted(disk)? {
        return Ok(None);
    }
    let content = SuperblockContent::read(disk)?;
    Ok(Some(Owner { identity: content.identity, highest: content.highest }))
}

/// Whether a formatted directory could be locked now; it is not locked afterwards.
///
/// # Errors
/// [`StoreError::Locked`] if another process has it, and those of the disk.
pub fn probe_lock(disk: &dyn Disk) -> Result<(), StoreError> {
    drop(take_lock(disk)?);
    Ok(())
}

/// Looks whether an open disk is still there, by its directory and not by a handle.
///
/// # Errors
/// Those of opening its superblock.
pub fn look_for(disk: &dyn Disk) -> io::Result<()> {
    drop(disk.open(names::SUPERBLOCK, Open::Read)?);
    Ok(())
}

/// Ids for a node whose directories are all empty.
///
/// # Errors
/// When the system has no random numbers.
pub fn new_owner() -> io::Result<(ClusterId, NodeId)> {
    let mut random = Random::default();
    Ok((ClusterId(random.wide()?), NodeId(random.wide()?)))
}
