//! The master: names, in a state that a replicated log of commands makes.
//!
//! Commands come by a bounded queue, go into the consensus log in groups, and are applied to the state in the order of
//! the log. Reads are answered from a cache of hot names on the processor's thread, or by the metadata readers. Nothing
//! here knows a socket or a volume: what a commit says of its chunks was checked before it came here.

pub mod command;
pub mod consensus;
mod engine;
pub mod error;
mod fields;
pub mod hot;
pub mod layers;
pub mod log;
pub mod namespace;
pub mod store;
pub mod table;

pub use command::{Checked, Command, TombstoneKey};
pub use engine::{
    Master, MasterEnd, MasterReport, MasterSettings, Offline, OfflineReport, OfflineVerification, Question, Restored,
    restore,
};
pub use error::StateError;
