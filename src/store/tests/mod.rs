//! Behaviour of the store as a whole, on the disk in memory.

mod compaction;
mod crash;
mod directory;
mod forge;
mod full;
mod golden;
mod model;
mod parse;
mod recover;
mod table;
mod wide;
mod world;
