//! The workers of the disks: queues, reader threads, append lanes, the inline read, the cache of verified blocks.
//!
//! A processor thread calls only [`Disks::find`], [`Disks::read`], [`Disks::append`] and [`Disks::delete`]; each
//! either answers from memory or the page cache, or puts a job into a bounded queue. Everything that may wait for a
//! disk runs on a thread of that disk.

mod append;
mod background;
mod blocks;
mod chores;
mod compactor;
mod damage;
mod disks;
mod gate;
mod job;
mod lane;
mod look;
mod numbers;
mod opening;
mod orders;
mod placement;
mod read;
mod reader;
mod report;
mod scrub;
mod snapshots;
mod start;
mod state;
mod suspicion;
mod together;
mod unit;
mod watch;

pub use compactor::CompactionPace;
pub use disks::{DiskSettings, Disks, Found, Views};
pub use job::{Append, AppendEnd, DeleteBy, DeleteEnd, NotAppended, Opened, PieceEnd, ReadEnd, Refused, Tried};
pub use opening::{Directory, OpenError};
pub use placement::Placement;
pub use read::{Reading, Target};
pub use report::{DiskReport, Entered};
pub use scrub::{DiskScrub, ScrubReport, ScrubSettings, ScrubState, Uploads};
pub use state::DiskState;

/// What a reading begins with; part of what the ends of reads carry.
pub use crate::store::ObjectFacts;
