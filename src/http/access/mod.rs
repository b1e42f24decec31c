//! The access log: a line for each request, in the form that nginx and Apache call combined, or as JSON.
//!
//! A processor makes the line, which is bounded work, and leaves it in a bounded queue; the thread "access-log" of the node
//! writes it. Always: who answers a request never waits for the log; what finds no room is dropped and counted.

mod entry;
mod format;
mod log;

pub use entry::Entry;
pub use format::AccessLogFormat;
pub use log::{AccessLines, AccessLog, access_log};
