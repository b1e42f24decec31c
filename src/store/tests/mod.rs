//! Behaviour of the store as a whole, on the disk in memory.

mod crash;
mod golden;
mod model;
mod parse;
mod recover;
mod reindex;
mod snapshots;
mod wide;
mod world;
