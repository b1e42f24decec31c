//! A buffer that moves over a file around the page cache, a piece at most a step.
//!
//! Owned by the thread that scrubs. Always: bytes that the device would not give are shown as 0xee and remembered, so
//! that what does not verify can be told from what cannot be read.

use crate::disk::{DIRECT_BYTES, DirectBuffer, File};
use std::ops::Range;
use std::sync::Arc;

/// What is read at once.
const PIECE_BYTES: usize = 1 << 20;

/// What the device would not give is shown as this: no magic, no checksum and no zeros.
const UNREADABLE: u8 = 0xee;

/// A moving piece of a file.
#[derive(Debug)]
pub(super) struct Reader {
    file: Option<Arc<dyn File>>,
    buffer: DirectBuffer,
    at: u64,
    filled: usize,
    /// Places in the buffer that the device would not give.
    unreadable: Vec<Range<u64>>,
    /// The same, for whoever reports them, with what the system said.
    failures: Vec<(Range<u64>, String)>,
    may_read: bool,
    read_bytes: u64,
}

impl Reader {
    pub fn new() -> Self {
        Self {
            file: None,
            buffer: DirectBuffer::new(PIECE_BYTES + DIRECT_BYTES),
            at: 0,
            filled: 0,
            unreadable: Vec::new(),
            failures: Vec::new(),
            may_read: true,
            read_bytes: 0,
        }
    }

    /// Turns to another file, opened for direct reads.
    pub fn turn_to(&mut self, file: Arc<dyn File>) {
        self.file = Some(file);
        self.forget();
    }

    /// Forgets what was read, so that it is read once more.
    pub fn forget(&mut self) {
        self.filled = 0;
        self.unreadable.clear();
    }

    /// Begins a step: one piece may be read. Returns the bytes that the step before has read.
    pub fn begin_step(&mut self) -> u64 {
        self.may_read = true;
        std::mem::take(&mut self.read_bytes)
    }

    /// Allows one more piece in this step: for a second look.
    pub fn allow(&mut self) {
        self.may_read = true;
    }

    /// The bytes from `position` on: `want` of them, or as many as there are before the file's end. `None`: not in
    /// this step. `want` is at most a piece.
    pub fn need(&mut self, position: u64, want: usize) -> Option<&[u8]> {
        if !self.holds(position, want) {
            if !self.may_read {
                return None;
            }
            self.may_read = false;
            self.fill(position);
        }
        let from = usize::try_from(position.saturating_sub(self.at)).unwrap_or(usize::MAX).min(self.filled);
        let to = from.saturating_add(want).min(self.filled);
        Some(self.buffer.bytes().get(from..to).unwrap_or_default())
    }

    /// Whether any of these bytes could not be read when they were last asked for.
    pub fn is_unreadable(&self, place: &Range<u64>) -> bool {
        self.unreadable.iter().any(|bad| bad.start < place.end && place.start < bad.end)
    }

    /// What could not be read since the last call, in order.
    pub fn take_failures(&mut self) -> Vec<(Range<u64>, String)> {
        std::mem::take(&mut self.failures)
    }

    fn holds(&self, position: u64, want: usize) -> bool {
        let Some(from) = position.checked_sub(self.at).filter(|_| self.filled > 0) else { return false };
        let to = from.saturating_add(want as u64);
        // A piece that is not full ends where the file did.
        to <= self.filled as u64 || (self.filled < self.buffer.capacity() && from <= self.filled as u64)
    }

    fn fill(&mut self, position: u64) {
        self.at = position - position % DIRECT_BYTES as u64;
        self.unreadable.clear();
        let Some(file) = &self.file else { return };
        match file.read_at(self.buffer.bytes_mut(), self.at) {
            Ok(filled) => self.filled = filled,
            Err(_) => self.fill_by_pages(),
        }
        self.read_bytes += self.filled as u64;
    }

    /// One bad sector must not hide what lies around it: once more, page by page.
    fn fill_by_pages(&mut self) {
        let Some(file) = self.file.clone() else { return };
        let end = file.len().unwrap_or(u64::MAX).saturating_sub(self.at);
        let end = usize::try_from(end).unwrap_or(usize::MAX);
        self.filled = 0;
        let mut at = self.at;
        for page in self.buffer.bytes_mut().chunks_mut(DIRECT_BYTES) {
            if self.filled >= end {
                return;
            }
            match file.read_at(page, at) {
                Ok(filled) => {
                    self.filled += filled;
                    if filled < page.len() {
                        return;
                    }
                }
                Err(error) => {
                    page.fill(UNREADABLE);
                    let bad = at..at + page.len().min(end - self.filled) as u64;
                    self.filled += page.len().min(end - self.filled);
                    match self.failures.last_mut().filter(|(before, _)| before.end == bad.start) {
                        Some((before, _)) => before.end = bad.end,
                        None => self.failures.push((bad.clone(), error.to_string())),
                    }
                    self.unreadable.push(bad);
                }
            }
            at += page.len() as u64;
        }
    }
}
