//! Framed files of one data directory: what volumes, the manifest and later the metadata log have in common.
//!
//! Four things, each a file: a pair of slots for small state that is rewritten, a record log for small state that
//! grows, the frame before each group of a log, and the walk over groups with the plan that follows from it. Nothing
//! here knows what a needle is: the walk asks a [`Format`] how long a record is and whether its body holds.
//! Always: damage is a value, never a panic, and nothing here cuts or rewrites by itself.

mod fields;
mod frame;
mod log;
mod pair;
mod plan;
mod scan;
mod window;

pub use fields::{Fields, u16_at, u32_at, u64_at, u128_at};
pub use frame::{BadFrame, CHAIN_START, FRAME_BYTES, Frame, chain_next};
pub use log::{LOG_HEADER_BYTES, LogContent, LogError, RecordLog, encode_record, log_damage};
pub use pair::{Pair, PairContent, SLOT_OVERHEAD_BYTES, Slot, encode_slot, parse_slot, slot_damage};
pub use plan::{Case, Plan, Proof, plan};
pub use scan::{BadRun, Bounds, Format, Group, Measured, Problem, Seen, Sight, scan};
pub use window::Window;

/// What one write of a device is assumed to be: each sector is old or new after a power cut, in any order.
pub const SECTOR_BYTES: u64 = 512;

/// The next multiple of a sector, from `position` on. Positions are far below 2^63, so it cannot overflow.
#[must_use]
pub fn sector_end(position: u64) -> u64 {
    position.next_multiple_of(SECTOR_BYTES)
}

/// An error of a sync is never "no room": what is on the disk then is not known, and trying again may say that all is well.
#[must_use]
pub fn failed_sync(error: std::io::Error) -> std::io::Error {
    std::io::Error::other(format!("the sync failed: {error}"))
}
