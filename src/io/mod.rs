//! The workers of the disks: queues, reader threads, append lanes, the inline read, the cache of verified blocks.
//!
//! A processor thread calls only [`Disks::find`], [`Disks::read`], [`Disks::append`] and [`Disks::delete`]; each
//! either answers from memory or the page cache, or puts a job into a bounded queue. Everything that may wait for a
//! disk runs on a thread of that disk.

mod append;
mod background;
mod blocks;
mod disks;
mod gate;
mod job;
mod lane;
mod numbers;
mod placement;
mod read;
mod reader;
mod report;
mod snapshots;
mod state;
mod unit;

pub use disks::{DiskSettings, Disks, Found, OpenError, Views};
pub use job::{Append, AppendEnd, DeleteEnd, Opened, PieceEnd, ReadEnd, Refused, Tried};
pub use placement::Placement;
pub use read::{Reading, Target};
pub use report::DiskReport;
pub use state::DiskState;

/// What a reading begins with; part of what the ends of reads carry.
pub use crate::store::Head;
