//! Log lines, written by a thread of their own.
//!
//! Any thread logs into a bounded queue; the log thread writes to standard error. Always: who logs never waits; when
//! the queue is full (a pipe that nobody reads) lines are dropped and counted.

use crate::base::thread;
use crate::metrics::Counter;
use crossbeam_channel::{Sender, bounded};
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Lines that may wait.
const LINES_MAX: usize = 4096;
/// How long the last lines may take.
const FINISH: Duration = Duration::from_millis(500);

struct Queue {
    sender: Sender<Vec<u8>>,
    dropped: Arc<Counter>,
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.sender.try_send(line.to_vec()).is_err() {
            self.dropped.increment();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Logging that was started.
#[derive(Debug)]
pub(super) struct Logging {
    sender: Sender<Vec<u8>>,
    /// Lines that found no room.
    pub(super) dropped: Arc<Counter>,
}

impl Logging {
    /// Gives the log thread a moment to write what waits, before the process ends.
    pub(super) fn finish(self) {
        let ends = Instant::now() + FINISH;
        while !self.sender.is_empty() && Instant::now() < ends {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Starts logging at `filter` (as `env_logger` reads it, such as `info` or `info,larder::net=debug`); `RUST_LOG` wins.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn start(filter: &str) -> io::Result<Logging> {
    let dropped = Arc::new(Counter::default());
    let (sender, receiver) = bounded::<Vec<u8>>(LINES_MAX);
    thread::spawn("log", move || {
        for line in receiver {
            // There is nowhere left to say that standard error is gone.
            let _gone = io::stderr().write_all(&line);
        }
    })?;
    let queue = Queue { sender: sender.clone(), dropped: Arc::clone(&dropped) };
    let filters = std::env::var("RUST_LOG").unwrap_or_else(|_| filter.to_string());
    let started = env_logger::Builder::new()
        .parse_filters(&filters)
        .format_timestamp_millis()
        .target(env_logger::Target::Pipe(Box::new(queue)))
        .try_init();
    if started.is_err() {
        log::debug!("logging was started before, and goes on as it was");
    }
    Ok(Logging { sender, dropped })
}
