//! The only owner of files in data directories: a small trait, and the disks that implement it.
//!
//! [`RealDisk`] is a directory of the machine. [`MemoryDisk`] lives in memory and can lose power. [`FaultyDisk`] stands
//! before another disk and makes it fail, lie, dawdle or hang on request; it is part of the library so that
//! integration tests and people can use it.

mod api;
mod direct;
mod error;
mod faulty;
mod gather;
mod kernel;
mod memory;
mod name;
mod real;

#[cfg(test)]
mod behaviour;

pub use api::{DIRECT_BYTES, Disk, Entry, EntryKind, File, Lock, Open, Space};
pub use direct::DirectBuffer;
pub use error::{is_full, is_shortage};
pub use faulty::{Call, Called, Fault, FaultPlan, Faults, FaultyDisk};
pub use memory::MemoryDisk;
pub use real::RealDisk;
