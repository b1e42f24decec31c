//! The embedded store under the names: one durable, checksummed table of bytes, and a plain one in memory.
//!
//! [`EmbeddedStore`] is redb on a file of ours: redb keeps the tree, its snapshots and its commits, and checks no
//! page that it reads, so each block that it reads is checked here, below it. The file goes through the `disk` traits, so
//! that power cuts and faults can be simulated. [`MemoryStore`] is for tests of what lies above.
//!
//! The file, in blocks of 4 KiB:
//! ```text
//!  block 0..4   the header, in two sets of two equal copies (see `header`)
//!  then groups: 1 block of 512 checksums u64 | the 512 blocks that they are of
//! ```

mod backend;
mod blocks;
mod commit;
mod embedded;
mod header;
mod memory;
mod sums;
mod trouble;
mod view;

#[cfg(test)]
mod tests;

pub use embedded::{EmbeddedStore, StoreOptions, owner_of};
pub use memory::MemoryStore;

/// Bytes of a block: what redb reads and writes at least.
pub const BLOCK_BYTES: usize = 4096;
