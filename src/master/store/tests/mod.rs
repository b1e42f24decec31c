//! The store against a plain map, power cuts, failing calls, turned bits and a full disk.

mod crash;
mod flips;
mod foreign;
mod full;
mod model;
mod sweep;
mod world;
