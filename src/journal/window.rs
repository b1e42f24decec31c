//! A bounded buffer that moves over a file, for scans that read in large pieces and skip what they need not see.
//!
//! Owned by one thread. Always: it holds at most its size, or one largest ask; bytes behind the end of the file are not shown.

use crate::disk::File;
use std::io;

/// A piece of a file.
#[derive(Debug)]
pub struct Window<'a> {
    file: &'a dyn File,
    /// Bytes behind this position are not looked at.
    end: u64,
    bytes: Vec<u8>,
    at: u64,
    filled: usize,
    piece: usize,
    unreadable: u64,
}

/// What the device would not give is shown as this: no magic, no checksum and no zeros.
const UNREADABLE: u8 = 0xee;

/// A page, the least that a device is asked for after it failed.
const PAGE_BYTES: usize = 4096;

impl<'a> Window<'a> {
    /// A window over `file` up to `end`, which reads `piece` bytes at once.
    #[must_use]
    pub fn new(file: &'a dyn File, end: u64, piece: usize) -> Self {
        Self { file, end, bytes: vec![0; piece], at: 0, filled: 0, piece, unreadable: 0 }
    }

    /// Where the window's file ends for this scan.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The bytes from `position` on: `want` of them, or as many as there are before the end.
    ///
    /// # Errors
    /// Those of reading.
    pub fn bytes(&mut self, position: u64, want: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.end.saturating_sub(position)).unwrap_or(usize::MAX);
        let want = want.min(left);
        let inside = position
            .checked_sub(self.at)
            .and_then(|offset| usize::try_from(offset).ok())
            .filter(|offset| offset.checked_add(want).is_some_and(|end| end <= self.filled));
        let offset = if let Some(offset) = inside {
            offset
        } else {
            self.fill(position, want.max(self.piece).min(left))?;
            0
        };
        let end = (offset + want).min(self.filled);
        Ok(self.bytes.get(offset..end).unwrap_or_default())
    }

    /// Bytes that the device would not give, counted at each try.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    fn fill(&mut self, position: u64, bytes: usize) -> io::Result<()> {
        (self.at, self.filled) = (position, 0);
        if self.bytes.len() < bytes {
            self.bytes.resize(bytes, 0);
        }
        let into = self.bytes.get_mut(..bytes).unwrap_or_default();
        match self.file.read_at(into, position) {
            Ok(filled) => self.filled = filled,
            Err(_) => {
                // One bad sector must not hide what lies around it: once more, page by page.
                let mut at = position;
                for page in into.chunks_mut(PAGE_BYTES) {
                    match self.file.read_at(page, at) {
                        Ok(filled) => self.filled += filled,
                        Err(_) => {
                            page.fill(UNREADABLE);
                            self.filled += page.len();
                            self.unreadable += page.len() as u64;
                        }
                    }
                    at += page.len() as u64;
                }
            }
        }
        Ok(())
    }

    /// The first position from `position` on (in steps of `step`) whose 8 bytes are not all zero, or the end.
    ///
    /// # Errors
    /// Those of reading.
    pub fn skip_zeros(&mut self, mut position: u64, step: u64) -> io::Result<u64> {
        let step_bytes = usize::try_from(step).expect("a step is small");
        while position < self.end {
            let piece = self.piece;
            let bytes = self.bytes(position, piece)?;
            if bytes.is_empty() {
                return Ok(self.end);
            }
            let length = bytes.len() as u64;
            if let Some(offset) = bytes.iter().position(|&byte| byte != 0) {
                let offset = (offset / step_bytes * step_bytes) as u64;
                return Ok(position + offset);
            }
            position += length.next_multiple_of(step);
        }
        Ok(self.end)
    }
}
