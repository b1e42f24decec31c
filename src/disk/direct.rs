//! Memory for reads around the page cache.
//!
//! Owned by one thread. Always: its bytes begin at a multiple of [`DIRECT_BYTES`], and are a multiple of it.

use super::api::DIRECT_BYTES;
use std::io;

/// Aligned memory: a little more is taken than is used, and the use begins where it is aligned.
#[derive(Debug)]
pub struct DirectBuffer {
    memory: Vec<u8>,
    start: usize,
    bytes: usize,
}

impl DirectBuffer {
    /// Memory of at least `bytes`.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let bytes = bytes.next_multiple_of(DIRECT_BYTES);
        let memory = vec![0; bytes + DIRECT_BYTES];
        // The vector never grows, so it never moves.
        let start = memory.as_ptr().align_offset(DIRECT_BYTES).min(DIRECT_BYTES);
        Self { memory, start, bytes }
    }

    /// How many bytes there are.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.bytes]
    }

    /// The bytes, to be read into.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.bytes]
    }
}

/// Whether a read is as [`Open::Direct`](super::Open::Direct) calls for.
pub(super) fn check(into: &[u8], offset: u64) -> io::Result<()> {
    let aligned = into.as_ptr().align_offset(DIRECT_BYTES) == 0
        && into.len().is_multiple_of(DIRECT_BYTES)
        && offset.is_multiple_of(DIRECT_BYTES as u64);
    if aligned {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "a direct read takes multiples of 4096 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned_and_a_multiple() {
        for bytes in [1, 4096, 4097, 1 << 20] {
            let mut buffer = DirectBuffer::new(bytes);
            assert!(buffer.capacity() >= bytes && buffer.bytes().len() == buffer.capacity());
            check(buffer.bytes(), 8192).unwrap();
            assert!(check(buffer.bytes(), 512).is_err());
            assert!(check(&buffer.bytes_mut()[8..], 0).is_err());
        }
    }
}
