//! Behaviour of the store as a whole, on the disk in memory.

mod chores;
mod compaction;
mod crash;
mod directory;
mod facts;
mod flips;
mod forge;
mod full;
mod golden;
mod model;
mod named;
mod parse;
mod rebuild;
mod recover;
mod reindex;
mod review;
mod scrub;
mod snapshots;
mod sweep;
mod table;
mod wide;
pub(crate) mod world;
