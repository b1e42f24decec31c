//! The state machine of names: pure, fed with commands in the order of the log.
//!
//! - `keys`, `entry`, `meta`: what lies in the table
//! - `state`: the [`Namespace`], and which command does what; `change`, `commit`, `directory`, `rename`, `remove`, `drain`
//! - `session`, `sessions`, `numbers`: each change is made once, and whose chunks are garbage
//! - `tombstones`: the to-do list of contents that were replaced or removed
//! - `read`, `listing`, `usage`: what is asked, over any view of the table
//! - `snapshot`: the whole table as a stream, and back

mod change;
mod commit;
mod directory;
mod drain;
mod entry;
mod keys;
mod listing;
mod meta;
mod numbers;
mod parent;
mod read;
mod remove;
mod rename;
mod session;
mod sessions;
mod snapshot;
mod state;
mod stop;
mod tombstones;
mod usage;

pub use entry::{ChunkList, DirectoryEntry, FileEntry, NameEntry};
pub use keys::{name_key, parts_of_name_key};
pub use listing::list;
pub use numbers::Numbers;
pub use read::{Found, digest_of, lookup, names_applied, removal, resolve, value_of};
pub use session::ClosedSession;
pub use sessions::DeadNumbers;
pub use snapshot::{SnapshotBatch, SnapshotReader, SnapshotTotals, write_snapshot};
pub use state::{Applied, Namespace, NamespaceFacts, Touched, apply_group};
pub use tombstones::tombstones_due;
pub use usage::{UsageStep, UsageWalk};

#[cfg(test)]
mod tests;
