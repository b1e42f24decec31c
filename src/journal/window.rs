//! A bounded buffer that moves over a file, for scans that read in large pieces and skip what they need not see.
//!
//! Owned by one thread. Always: it holds at most its size, or one largest ask; bytes behind the end of the file are not shown.

use crate::base::progress::Progress;
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
    progress: Option<&'a Progress>,
}

/// What the device would not give is shown as this: no magic, no checksum and no zeros.
const UNREADABLE: u8 = 0xee;

/// A page, the least that a device is asked for after it failed.
const PAGE_BYTES: usize = 4096;

impl<'a> Window<'a> {
    /// A window over `file` up to `end`, which reads `piece` bytes at once.
    #[must_use]
    pub fn new(file: &'a dyn File, end: u64, piece: usize) -> Self {
        Self { file, end, bytes: vec![0; piece], at: 0, filled: 0, piece, unreadable: 0, progress: None }
    }

    /// Moves `progress` with each read.
    #[must_use]
    pub fn watched(mut self, progress: &'a Progress) -> Self {
        self.progress = Some(progress);
        self
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
        let advance = || self.progress.iter().for_each(|progress| progress.advance());
        advance();
        match self.file.read_at(into, position) {
            Ok(filled) => self.filled = filled,
            Err(_) => {
                // One bad sector must not hide what lies around it: once more, page by page.
                let mut at = position;
                for page in into.chunks_mut(PAGE_BYTES) {
                    advance();
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
            // What is there already is looked at first: asking for a whole piece would read one for each step.
            let there = position.checked_sub(self.at).and_then(|offset| (self.filled as u64).checked_sub(offset));
            let there = there.and_then(|there| usize::try_from(there).ok()).filter(|&there| there >= step_bytes);
            let bytes = self.bytes(position, there.map_or(self.piece, |there| there / step_bytes * step_bytes))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Call, Disk, FaultPlan, FaultyDisk, MemoryDisk, Open};
    use std::io::IoSlice;
    use std::sync::Arc;

    #[test]
    fn walking_over_a_file_step_by_step_reads_each_piece_once() {
        let disk = FaultyDisk::new(Arc::new(MemoryDisk::new()), FaultPlan::default());
        let file = disk.open("log", Open::Create).unwrap();
        let mut content = vec![1; 1 << 20];
        content[3 * 512..200 * 512].fill(0);
        content[700_000..900_000].fill(0);
        content.extend_from_slice(&[7; 100]);
        file.write_all_at(&mut [IoSlice::new(&content)], 0).unwrap();
        let mut window = Window::new(&*file, content.len() as u64, 64 << 10);
        let mut at = 0;
        while at < window.end() {
            let expected = content[at as usize..].iter().position(|&byte| byte != 0);
            let expected = expected.map(|offset| (at + offset as u64) / 512 * 512).unwrap();
            at = window.skip_zeros(at, 512).unwrap();
            assert_eq!(at, expected);
            at += 512;
        }
        assert!(disk.faults().count(Call::Read) <= 18, "{} reads", disk.faults().count(Call::Read));
    }
}
