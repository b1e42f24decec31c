//! Pooled buffers: bodies are received into them and read from disk into them, and they leave as shared [`Bytes`].
//!
//! Any thread. Always: a buffer's memory is one of a few sizes, each at most a quarter larger than asked for; what
//! the pool keeps for reuse is bounded; memory that was never filled is never shown. Large buffers are anonymous
//! maps, so that giving one back gives its pages back. Memory is taken and freed outside the lock.

use bytes::Bytes;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Content in order, in parts. All small content is one part, which needs no list.
pub type Parts = SmallVec<[Bytes; 1]>;

const SMALLEST: usize = 4 << 10;
const MAPPED_FROM: usize = 64 << 10;
/// Four sizes an octave, from 4 KiB to 16 MiB.
const CLASSES: usize = 12 * 4 + 1;

/// Buffers waiting to be used again.
pub struct BufferPool {
    classes: [Mutex<Vec<Memory>>; CLASSES],
    kept: AtomicUsize,
    kept_max: usize,
}

impl std::fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BufferPool").field("kept", &self.kept).field("kept_max", &self.kept_max).finish_non_exhaustive()
    }
}

enum Memory {
    Heap(Box<[u8]>),
    Map(memmap2::MmapMut),
}

impl Memory {
    fn new(bytes: usize) -> std::io::Result<Self> {
        if bytes < MAPPED_FROM {
            return Ok(Self::Heap(vec![0; bytes].into_boxed_slice()));
        }
        Ok(Self::Map(memmap2::MmapMut::map_anon(bytes)?))
    }

    fn slice(&self) -> &[u8] {
        match self {
            Self::Heap(memory) => memory,
            Self::Map(memory) => memory,
        }
    }

    fn slice_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Heap(memory) => memory,
            Self::Map(memory) => memory,
        }
    }
}

/// The size of the smallest class that holds `bytes`, and its number.
fn class_of(bytes: usize) -> (usize, usize) {
    let bytes = bytes.max(SMALLEST);
    let octave = (bytes / SMALLEST).ilog2() as usize;
    let quarter = (SMALLEST << octave) / 4;
    let quarters = bytes.div_ceil(quarter);
    // 8 quarters are the first size of the next octave.
    if quarters == 8 {
        (SMALLEST << (octave + 1), (octave + 1) * 4)
    } else {
        (quarters * quarter, octave * 4 + quarters - 4)
    }
}

/// What a buffer for `bytes` really takes: the number to reserve in a budget.
#[must_use]
pub fn capacity_for(bytes: usize) -> usize {
    class_of(bytes).0
}

impl BufferPool {
    /// A pool that keeps at most `kept_max` bytes of unused buffers.
    #[must_use]
    pub fn new(kept_max: usize) -> Arc<Self> {
        Arc::new(Self { classes: std::array::from_fn(|_| Mutex::default()), kept: AtomicUsize::new(0), kept_max })
    }

    /// An empty buffer for at least `bytes`.
    ///
    /// # Errors
    /// That of `mmap(2)`, when the machine has no memory.
    pub fn buffer(self: &Arc<Self>, bytes: usize) -> std::io::Result<Buffer> {
        let (size, class) = class_of(bytes);
        let reused = self.classes.get(class).and_then(|class| class.lock().pop());
        let memory = if let Some(memory) = reused {
            self.kept.fetch_sub(size, Ordering::AcqRel);
            memory
        } else {
            Memory::new(size)?
        };
        Ok(Buffer { memory: Some(memory), filled: 0, pool: Arc::clone(self) })
    }

    /// Bytes kept for reuse.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.kept.load(Ordering::Acquire)
    }

    fn keep(&self, memory: Memory) {
        let (size, class) = class_of(memory.slice().len());
        let kept = self.kept.fetch_add(size, Ordering::AcqRel);
        let Some(class) = self.classes.get(class).filter(|_| kept + size <= self.kept_max) else {
            self.kept.fetch_sub(size, Ordering::AcqRel);
            drop(memory);
            return;
        };
        class.lock().push(memory);
    }
}

/// Memory that is being filled from the front.
pub struct Buffer {
    memory: Option<Memory>,
    filled: usize,
    pool: Arc<BufferPool>,
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffer").field("filled", &self.filled).field("capacity", &self.capacity()).finish()
    }
}

const TAKEN: &str = "the memory leaves only with the buffer";

impl Buffer {
    /// All that it can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.memory.as_ref().expect(TAKEN).slice().len()
    }

    /// The bytes filled so far.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        self.memory.as_ref().and_then(|memory| memory.slice().get(..self.filled)).expect(TAKEN)
    }

    /// The memory behind what is filled, of any content, to be written to.
    pub fn spare_mut(&mut self) -> &mut [u8] {
        let filled = self.filled;
        self.memory.as_mut().and_then(|memory| memory.slice_mut().get_mut(filled..)).expect(TAKEN)
    }

    /// Says that the first `bytes` of the spare memory are filled now.
    pub fn advance(&mut self, bytes: usize) {
        assert!(self.filled + bytes <= self.capacity(), "more was filled than there is");
        self.filled += bytes;
    }

    /// Copies `bytes` behind what is filled.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.spare_mut().get_mut(..bytes.len()).expect("the caller asked for enough").copy_from_slice(bytes);
        self.advance(bytes.len());
    }

    /// What is filled, as shared bytes; the memory goes back to the pool with the last of them.
    #[must_use]
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.filled()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.pool.keep(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_class_is_large_enough_and_at_most_a_quarter_larger(bytes in 1usize..=(16 << 20)) {
            let (size, class) = class_of(bytes);
            prop_assert!(size >= bytes && class < CLASSES);
            prop_assert!(size <= SMALLEST || size <= bytes + bytes / 4 + 1);
            prop_assert_eq!(class_of(size), (size, class), "a size is its own class");
        }
    }

    #[test]
    fn memory_is_used_again_and_bounded() {
        let pool = BufferPool::new(20_000);
        let mut buffer = pool.buffer(10_000).unwrap();
        buffer.extend(b"content");
        let bytes = buffer.freeze();
        let clone = bytes.slice(2..);
        drop(bytes);
        assert_eq!((pool.kept(), &clone[..]), (0, &b"ntent"[..]));
        drop(clone);
        assert_eq!(pool.kept(), 10_240);
        assert!(pool.buffer(10_000).unwrap().filled().is_empty());
        drop((pool.buffer(10_000), pool.buffer(10_000)));
        assert!(pool.kept() <= 20_000);
    }
}
