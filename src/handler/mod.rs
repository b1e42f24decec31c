//! Turns operations into answers: from memory, from the page cache, or by a job of a disk.
//!
//! The only folder that knows requests, disks and the master.

mod answers;
mod chunks;
mod commit;
mod content;
mod names;
mod objects;
mod receipts;
mod session_keeper;
mod status;
mod tombstones;

pub use commit::LargeCommits;
pub use names::Names;
pub use objects::Handler;
pub use receipts::Receipts;
pub use session_keeper::SessionKeeper;
pub use status::StatusSource;
pub use tombstones::Tombstones;
