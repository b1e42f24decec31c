//! What bounds any server and any generator on this machine.

pub mod codec;
pub mod disk;
