//! Tests of the log as a whole, each file named for what it shows.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod crash;
mod damage;
mod flips;
mod golden;
mod model;
mod sweep;
mod world;
