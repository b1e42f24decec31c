//! The only owner of files in data directories: a small trait, and the disks that implement it.
//!

mod api;

pub use api::{Disk, Entry, EntryKind, File, Lock, Open, Space};
