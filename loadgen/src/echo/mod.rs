//! The least that a server can cost: what frames of Larder's sizes take when nobody looks at what is in them.
//!
//! `frame` is shared by the driver and the server; `server` is one thread of its own.

pub mod frame;
pub mod server;

pub use server::{Server, Stopper};
