//! Threads by role: named, and loud when they die.
//!
//! Always: a thread that panics is reported through `log` and to whoever joins it; it takes no other thread with it.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread named for its role (the kernel shows the first 15 bytes).
///
/// # Errors
/// That of the kernel, when it gives no thread.
pub fn spawn(role: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let name = role.to_string();
    Builder::new().name(role.to_string()).spawn(move || {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_err() {
            log::error!("thread {name}: panicked; what it owned is out of service");
        }
    })
}
