//! How far long work is, on standard error if that is a terminal; hidden otherwise.
//!
//! Any thread moves a bar. Always: lines that are told go above it.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes and files of a transfer.
#[derive(Debug, Clone)]
pub struct Transfer {
    bar: ProgressBar,
    files: Arc<AtomicU64>,
    files_all: Arc<AtomicU64>,
}

impl Transfer {
    /// Of something whose size nobody knows yet.
    pub fn new() -> Self {
        let bar = ProgressBar::new_spinner().with_style(style("{spinner} {binary_bytes} {binary_bytes_per_sec} {msg}"));
        Self { bar, files: Arc::default(), files_all: Arc::default() }
    }

    /// Nobody looks at it, so nothing needs to be counted for it.
    pub fn is_hidden(&self) -> bool {
        self.bar.is_hidden()
    }

    /// All that is to be done.
    pub fn expect(&self, files: u64, bytes: u64) {
        self.files_all.store(files, Ordering::Relaxed);
        self.bar
            .set_style(style("{bar:24} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta} left {msg}"));
        self.bar.set_length(bytes);
        self.bar.reset();
    }

    /// Bytes that were moved, or need not be.
    pub fn add_bytes(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// A file is done.
    pub fn add_file(&self) {
        let files = self.files.fetch_add(1, Ordering::Relaxed) + 1;
        if !self.bar.is_hidden() {
            let all = self.files_all.load(Ordering::Relaxed);
            self.bar.set_message(if all == 0 { format!("{files} files") } else { format!("{files}/{all} files") });
        }
    }

    /// Prints something while the bar is away.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Takes it away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// A count of things whose number nobody knows.
pub fn counter(what: &str) -> ProgressBar {
    ProgressBar::new_spinner().with_style(style(&format!("{{spinner}} {{pos}} {what} {{elapsed}}")))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("a template of this program")
}

/// Moves a bar with what goes through.
pub struct Counted<'a, T> {
    /// Where bytes come from or go to.
    pub inner: T,
    /// The bar.
    pub progress: &'a Transfer,
}

impl<T: Read> Read for Counted<'_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(buffer)?;
        self.progress.add_bytes(bytes as u64);
        Ok(bytes)
    }
}

impl<T: Write> Write for Counted<'_, T> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let bytes = self.inner.write(buffer)?;
        self.progress.add_bytes(bytes as u64);
        Ok(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
