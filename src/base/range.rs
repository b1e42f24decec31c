//! A part of an object, as a client names it. Any thread.

use std::ops::Range;

/// A part of an object, in bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte.
    pub start: u64,
    /// How many at most; the object's end cuts it.
    pub length: u64,
}

/// The range begins behind the end of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsatisfiable;

impl ByteRange {
    /// The bytes that this means in an object of `size` bytes.
    ///
    /// A range that starts at the very end, or has no length, holds nothing, and is fine only in an empty object.
    ///
    /// # Errors
    /// [`Unsatisfiable`] if no byte of the object is in it.
    pub fn resolve(self, size: u64) -> Result<Range<u64>, Unsatisfiable> {
        if size == 0 && self.start == 0 {
            return Ok(0..0);
        }
        if self.start >= size || self.length == 0 {
            return Err(Unsatisfiable);
        }
        Ok(self.start..self.start.saturating_add(self.length).min(size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_at_the_end_and_refused_behind_it() {
        let range = |start, length| ByteRange { start, length };
        assert_eq!(range(0, 10).resolve(100), Ok(0..10));
        assert_eq!(range(95, 10).resolve(100), Ok(95..100));
        assert_eq!(range(95, u64::MAX).resolve(100), Ok(95..100));
        assert_eq!(range(100, 1).resolve(100), Err(Unsatisfiable));
        assert_eq!(range(u64::MAX, u64::MAX).resolve(100), Err(Unsatisfiable));
        assert_eq!(range(5, 0).resolve(100), Err(Unsatisfiable));
        assert_eq!(range(0, 10).resolve(0), Ok(0..0));
    }
}
