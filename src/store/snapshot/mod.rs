//! Index snapshots: what a walk over a segment finds, kept in a small file, so that a start reads only what came after.
//!
//! ```text
//! v<volume>-<base>[-<edition>].index     beside the segment's file, never in its place
//! ```
//! [`format`](self::format) has the bytes, [`draft`] makes them from a segment in memory or from a walk, [`resume`]
//! believes them or not, [`Snapshots`] decides when they are written.
//!
//! An index file says three things of the needles below a point of its segment: where each one lies, which objects its
//! tombstones delete, and the few facts that recovery takes from a walk (highest epoch, SEAL, places without a needle).
//! Flags are not in it. Which objects are deleted follows from the tombstones, of all segments of the volume, exactly as
//! after a walk; which needles are damaged is in the manifest. So no second file must agree with it, a file that is lost
//! costs one walk over one segment, and compaction need not rewrite any other segment's file: a tombstone that it drops
//! had no target left, and one that it keeps is in the new segment's file.
//!
//! Why believing one is safe. The point is one below which everything was synced when the file was written, and what is
//! synced is never cut; so its needles are still there, unless somebody put an older segment file in place. What proves
//! that the log still passes through the point:
//! - of a closed segment, the manifest: end, sequence and chain digest there, edition and digest are those of the file.
//!   The chain digest is over the head checksums of all needles of the volume up to there, so no other log has it;
//! - of an open one, or of one that was closed later, a whole frame of this volume behind the point that begins with the
//!   point's sequence and digest; or the mark file, which names the same point. And the last needle before it is whole.
//!
//! From the point on the segment is walked as ever, with the same proofs and the same plan. After a clean stop the mark
//! file names the point and nothing was written since, so there is nothing to walk. What does not fit is thrown away: it
//! is reported, the segment is walked from its first byte, and the file is written anew.
//!
//! Always: nothing durable depends on these files; removing all of them changes nothing but the time of the next start.

mod draft;
mod format;
mod resume;
mod writer;

pub use writer::{SnapshotError, Snapshots};

pub(super) use draft::Draft;
pub(super) use format::{Hole, Snapshot};
pub(super) use resume::{check, index_name, note, with_holes};
pub(super) use writer::{Point, Progress, put};

use super::error::StoreError;
use super::manifest::ManifestState;
use super::names;
use crate::disk::Disk;
use std::io;

/// Removes what belongs to no segment: files of dropped segments, and those that were not finished.
pub(super) fn sweep(disk: &dyn Disk, state: &ManifestState) -> Result<(), StoreError> {
    for entry in disk.list().map_err(StoreError::io(disk, "", "list"))? {
        let name = entry.name.as_str();
        let (whole, finished) = name.strip_suffix(".tmp").map_or((name, true), |whole| (whole, false));
        let Some((volume, base, edition)) = names::parse_index(whole) else { continue };
        let segment = state.volumes.get(&volume).and_then(|state| state.segments.get(&base));
        let named = segment.is_some_and(|(_, closed)| closed.map_or(0, |closed| closed.edition) == edition);
        if finished && named {
            continue;
        }
        match disk.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io(disk, name, "remove")(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The format itself, for the tests of this folder's neighbours.
#[cfg(test)]
pub(super) mod golden {
    pub use super::format::{Content, Facts, Header, Hole, Owner, Slots, Snapshot, Unfit};
}
