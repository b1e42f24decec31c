//! Turns operations into answers: from memory, from the page cache, or by a job of a disk.
//!
//! The only folder that knows requests and disks both.

mod answers;
mod content;
mod objects;
mod status;

pub use objects::Handler;
pub use status::StatusSource;
