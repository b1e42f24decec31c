//! Behaviour of the store as a whole, on the disk in memory.

mod crash;
mod facts;
mod golden;
mod model;
mod parse;
mod recover;
mod sweep;
mod wide;
mod world;
