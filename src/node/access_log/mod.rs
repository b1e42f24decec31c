//! The thread "access-log", which writes the lines of the access log to their file.
//!
//! Always: only this thread waits for the file; a processor that finds the queue full drops its line. A file that cannot
//! be written (a full disk, a pipe that nobody reads) costs lines, which are counted, and a warning, and nothing else.

mod file;

#[cfg(test)]
mod tests;

use super::NodeError;
use crate::base::clock::Clock;
use crate::base::thread;
use crate::http::access::{AccessLines, AccessLog, AccessLogFormat, access_log};
use crate::metrics::Counter;
use file::LogFile;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the last lines may take at a stop.
const FINISH: Duration = Duration::from_millis(500);

/// The access log of a node, open.
#[derive(Debug)]
pub(super) struct AccessLogThread {
    log: AccessLog,
    thread: JoinHandle<()>,
}

impl AccessLogThread {
    /// Opens the file, so that a wrong one is told at start, and starts the thread. `dropped` counts lost lines.
    ///
    /// # Errors
    /// [`NodeError`]: the file cannot be opened, or the system gives no thread.
    pub(super) fn start(
        path: &Path,
        format: AccessLogFormat,
        clock: Arc<dyn Clock>,
        dropped: Arc<Counter>,
    ) -> Result<Self, NodeError> {
        let mut file = LogFile::open(path, Arc::clone(&dropped), clock.now())
            .map_err(|error| NodeError::AccessLog { file: path.to_path_buf(), error })?;
        let (log, lines) = access_log(format, dropped);
        let thread = thread::spawn("access-log", move || write_all(&lines, &mut file, &*clock))
            .map_err(NodeError::system("a thread for the access log"))?;
        Ok(Self { log, thread })
    }

    /// Where the origin's connections leave their lines.
    pub(super) fn log(&self) -> AccessLog {
        self.log.clone()
    }

    /// Writes what waits and ends the thread; leaves it behind when its file takes nothing.
    pub(super) fn finish(self) {
        let ends = Instant::now() + FINISH;
        let wait = || {
            std::thread::sleep(Duration::from_millis(1));
            Instant::now() < ends
        };
        while !self.log.end() && !self.thread.is_finished() && wait() {}
        while !self.thread.is_finished() && wait() {}
    }
}

fn write_all(lines: &AccessLines, file: &mut LogFile, clock: &dyn Clock) {
    let mut batch = Vec::new();
    loop {
        let goes_on = lines.gather(&mut batch);
        if !batch.is_empty() {
            file.write(&batch, clock.now());
            batch.clear();
        }
        if !goes_on {
            return;
        }
    }
}
