//! The reactor: one acceptor, a few processors, and the trait behind which protocols are guests.
//!
//! The only owner of mio. No thread here ever waits for anything but its own poll.

mod acceptor;
mod connection;
mod control;
mod inbox;
mod input;
mod mute;
mod output;
mod processor;
mod protocol;
mod quota;
mod requests;
mod selector;
mod settings;
mod wheel;
mod world;

pub use acceptor::{Acceptor, Bound, Listener};
pub use control::Control;
pub use inbox::Inbox;
pub use output::Output;
pub use processor::{Processor, ProcessorParts};
pub use protocol::{Arrival, Body, Decoded, Guest, Own, Peer, Protocol, Tag};
pub use quota::Quota;
pub use settings::Settings;
