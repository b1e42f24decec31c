//! Behaviour of the store as a whole, on the disk in memory.

mod crash;
mod flips;
mod golden;
mod model;
mod parse;
mod recover;
mod scrub;
mod wide;
pub(in crate::store) mod world;
