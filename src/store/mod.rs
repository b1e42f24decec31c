//! The volumes of one disk: format, index, writing, recovery, offline checks.
//!
//! [`open`] takes a data directory and gives three things: the [`Superblock`] (any thread that may wait), the
//! [`Catalog`] (any thread), and the [`Appender`] (the append lane's own). `FORMAT.md` draws the bytes.
//! Nothing here knows a socket, a request or a queue.

mod appender;
mod catalog;
mod compaction;
mod copy_walk;
mod damage;
mod directory;
mod directory_plan;
mod error;
mod handles;
mod manifest;
mod mark;
mod names;
mod needle;
mod offline;
mod open;
mod owner;
mod rebuild;
mod recovery;
mod recovery_copy;
mod reindex;
mod replay;
mod reserve;
mod scrub;
mod segment;
mod segment_header;
mod slots;
mod snapshot;
mod sparse;
mod superblock;
#[cfg(test)]
pub(crate) mod tests;

pub use appender::{AppendError, Appended, Appender, Entry, Failure};
pub use catalog::{Catalog, CatalogStats, View};
pub use compaction::{Compacted, Compaction, CompactionReport, Obstacle, Step as CompactionStep};
pub use damage::Damage;
pub use directory_plan::{FileCase, FileFinding};
pub use error::{Blame, StoreError};
pub use needle::{
    FLAG_NAMED, HEAD_BYTES_FIXED, Head, Kind, ObjectFacts, TOMBSTONE_BYTES, block_count, fuzz_needle, head_bytes,
    needle_bytes,
};
pub use offline::{DamageAt, Inspection, SegmentInspection, Verification, VolumeInspection, inspect, verify};
pub use open::{OpenReport, Opened, check_identity, check_options, open, open_watched};
pub use owner::{Owner, look_for, new_owner, owner, probe_lock};
pub use recovery::{Cut, Finding};
pub use reindex::{Left, Reindexed, reindex};
pub use reserve::{Loan, Reserve};
pub use scrub::{NamedNeedle, Scrub, ScrubFile, ScrubFinding, ScrubKind, ScrubProgress, ScrubRecord, ScrubStep};
pub use segment::{Counts, Located, Place, Segment};
pub use snapshot::{SnapshotError, Snapshots};
pub use superblock::Superblock;

use crate::base::ids::{ClusterId, DiskId, NodeId, VolumeId};
use crate::base::limits::{SEGMENT_BYTES_DEFAULT, VOLUME_BYTES_DEFAULT};

/// Whose directory it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node.
    pub node: NodeId,
    /// The data directory.
    pub disk: DiskId,
}

/// What an operator may choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// Bytes of a segment, at most 4 GiB.
    pub segment_bytes: u64,
    /// On a small disk segments are smaller: at most a 64th of it, rounded down to a power of two, and at least 16 MiB.
    pub fit_segments: bool,
    /// Bytes of a volume, then it is sealed.
    pub volume_bytes: u64,
    /// Bytes of the reserve; by default the larger of 64 MiB and 1/32 of the disk, at most two segments.
    pub reserve_bytes: Option<u64>,
    /// Segment files open for reading at once.
    pub open_files_max: usize,
    /// Zeros written ahead of small groups.
    pub fill_ahead_bytes: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            fit_segments: false,
            volume_bytes: VOLUME_BYTES_DEFAULT,
            reserve_bytes: None,
            open_files_max: 512,
            fill_ahead_bytes: 4 << 20,
        }
    }
}

/// A disk has at least so many segments, unless that makes them smaller than [`FIT_BYTES_MIN`].
const FIT_SEGMENTS_MIN: u64 = 64;
/// A segment that holds the largest object twice, at the least, or most of it would be its unused end.
const FIT_BYTES_MIN: u64 = 16 << 20;

impl StoreOptions {
    /// The options for a disk of so many bytes: compaction on a full disk must have room for what lives in a segment, and
    /// the room that is kept for it is a small part of the disk.
    #[must_use]
    pub fn fitted(&self, total_bytes: u64) -> Self {
        let share = (total_bytes / FIT_SEGMENTS_MIN).max(FIT_BYTES_MIN);
        let fitting = 1 << share.ilog2();
        let segment_bytes = if self.fit_segments { self.segment_bytes.min(fitting) } else { self.segment_bytes };
        Self { segment_bytes, ..self.clone() }
    }
}

/// Where numbers of new volumes come from: unique in the cluster, raised on every healthy disk before it is given out.
pub trait VolumeNumbers: Send + Sync {
    /// The next number.
    ///
    /// # Errors
    /// When no disk could be raised, or no number is left.
    fn next(&self) -> Result<VolumeId, StoreError>;
}
