//! Behaviour of the store as a whole, on the disk in memory.

mod crash;
mod directory;
mod forge;
mod golden;
mod model;
mod parse;
mod recover;
mod table;
mod wide;
mod world;
