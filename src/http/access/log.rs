//! The queue between the processors, which make lines, and the thread that writes them.
//!
//! Always: a write ends at once. What the queue has no room for, by lines or by bytes, is dropped and counted.

use super::entry::Entry;
use super::format::AccessLogFormat;
use crate::base::queue::{QueueReceiver, QueueSender, queue};
use crate::metrics::Counter;
use std::sync::Arc;

/// Lines that may wait: at 50,000 requests a second they last for 80 ms, longer than a file system pauses.
const LINES_MAX: usize = 4096;
/// Bytes of the lines that may wait. A usual line has 200; one of a hostile peer may have 20,000.
const LINES_BYTES_MAX: usize = 8 << 20;
/// Lines are gathered up to this, then written at once.
const BATCH_BYTES_MAX: usize = 256 << 10;

/// A line, or the end.
type Item = Option<Vec<u8>>;

/// Where processors leave what they have to say. Clones are the same log.
#[derive(Debug, Clone)]
pub struct AccessLog {
    format: AccessLogFormat,
    lines: QueueSender<Item>,
    dropped: Arc<Counter>,
}

/// The lines, for the one who writes them.
#[derive(Debug)]
pub struct AccessLines(QueueReceiver<Item>);

/// An access log in this form; `dropped` counts the lines that found no room.
#[must_use]
pub fn access_log(format: AccessLogFormat, dropped: Arc<Counter>) -> (AccessLog, AccessLines) {
    let (sender, receiver) = queue(LINES_MAX, LINES_BYTES_MAX);
    (AccessLog { format, lines: sender, dropped }, AccessLines(receiver))
}

impl AccessLog {
    /// Leaves the line of a request to be written.
    pub fn write(&self, entry: &Entry<'_>) {
        // Looked at first, so that a log that nobody writes costs next to nothing.
        if self.lines.is_full() || !self.leave(self.format.line(entry)) {
            self.dropped.increment();
        }
    }

    fn leave(&self, line: Vec<u8>) -> bool {
        self.lines.try_send(line.capacity(), Some(line)).is_ok()
    }

    /// Tells the one who writes that nothing follows; `false` when there is no room to tell it now.
    #[must_use]
    pub fn end(&self) -> bool {
        self.lines.try_send(0, None).is_ok()
    }
}

impl AccessLines {
    /// Waits for a line, and adds it and all that wait behind it to `batch`, up to a bound. `false`: it was the end.
    pub fn gather(&self, batch: &mut Vec<u8>) -> bool {
        let mut next = self.0.receive();
        while let Ok(Some(line)) = next {
            batch.extend_from_slice(&line);
            if batch.len() >= BATCH_BYTES_MAX {
                return true;
            }
            next = match self.0.try_receive() {
                Ok(Some(item)) => Ok(item),
                Ok(None) => return true,
                Err(closed) => Err(closed),
            };
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(target: &[u8]) -> Entry<'_> {
        Entry {
            peer: "192.0.2.7:51234".parse().unwrap(),
            wall_ms: 0,
            method: b"GET",
            target,
            version: "HTTP/1.1",
            status: 200,
            body_bytes: 0,
            referer: None,
            user_agent: None,
            duration_us: 0,
        }
    }

    fn log() -> (AccessLog, AccessLines, Arc<Counter>) {
        let dropped = Arc::new(Counter::default());
        let (log, lines) = access_log(AccessLogFormat::Combined, Arc::clone(&dropped));
        (log, lines, dropped)
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let (log, lines, dropped) = log();
        for _ in 0..LINES_MAX + 10 {
            log.write(&entry(b"/a"));
        }
        assert_eq!(dropped.value(), 10);
        assert!(!log.end(), "the end finds no room either, and is told so");
        let mut all = Vec::new();
        while all.iter().filter(|&&byte| byte == b'\n').count() < LINES_MAX {
            assert!(lines.gather(&mut all));
        }
        log.write(&entry(b"/b"));
        assert!(log.end());
        let mut last = Vec::new();
        assert!(!lines.gather(&mut last), "the line, and then the end");
        assert!(last.starts_with(b"192.0.2.7 - - [") && last.ends_with(b"\n"));
        assert_eq!(dropped.value(), 10);
    }

    #[test]
    fn long_lines_are_bounded_by_bytes() {
        let (log, lines, dropped) = log();
        let target = vec![b'"'; 4096];
        for _ in 0..LINES_MAX {
            log.write(&entry(&target));
        }
        assert!(dropped.value() > 0);
        assert!(log.lines.bytes() <= LINES_BYTES_MAX);
        let mut batch = Vec::new();
        assert!(lines.gather(&mut batch));
        assert!((BATCH_BYTES_MAX..BATCH_BYTES_MAX + 32_768).contains(&batch.len()));
    }

    #[test]
    fn without_a_reader_lines_are_dropped() {
        let (log, lines, dropped) = log();
        drop(lines);
        log.write(&entry(b"/a"));
        assert_eq!(dropped.value(), 1);
        assert!(!log.end());
    }

    #[test]
    fn without_a_writer_it_is_the_end() {
        let (log, lines, _) = log();
        log.write(&entry(b"/a"));
        drop(log);
        let mut batch = Vec::new();
        assert!(!lines.gather(&mut batch) && !batch.is_empty());
    }
}
