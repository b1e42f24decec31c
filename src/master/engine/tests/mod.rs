//! Behaviour of the whole master, threads included, on disks that fail and lose power.

mod crash;
mod offline;
mod serving;
mod world;
