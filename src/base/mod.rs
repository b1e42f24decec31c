//! The floor that every other folder stands on: ids, limits, time, checksums, bounded memory and queues.
//!
//! Nothing here knows a socket, a file or an operation.

pub mod budget;
pub mod buffers;
pub mod checksum;
pub mod clock;
pub mod completion;
pub mod ids;
pub mod limits;
pub mod mailbox;
pub mod path;
pub mod payload;
pub mod planted;
pub mod progress;
pub mod queue;
pub mod random;
pub mod range;
pub mod second_look;
pub mod size;
pub mod thread;
pub mod utc;
