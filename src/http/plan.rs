//! What of a representation is sent: its ranges, one after another, and for each the parts of the chunks that it is in.
//!
//! Processor thread; pure. Always: parts come in order, each lies in one chunk, and together they are the ranges; of a file
//! of many chunks only a window of their ids is held.

use super::multipart::Multipart;
use crate::base::ids::ObjectId;
use crate::base::limits::{CHUNK_BYTES_MAX, LOOKUP_CHUNKS_MAX};
use crate::base::range::ByteRange;
use std::ops::Range;

const CHUNK: u64 = CHUNK_BYTES_MAX as u64;

/// A part of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) id: ObjectId,
    /// The size that the chunk must have.
    pub(super) chunk_bytes: u64,
    /// Bytes of the chunk.
    pub(super) range: Range<u64>,
}

impl Part {
    /// How it is asked for: the whole of a chunk costs the least.
    pub(super) fn asked(&self) -> Option<ByteRange> {
        let length = self.range.end - self.range.start;
        (length != self.chunk_bytes).then_some(ByteRange { start: self.range.start, length })
    }
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// This part.
    Part(Part),
    /// A part of a chunk whose id is not held: ids from this one on have to be looked up.
    Beyond(u32),
    /// Nothing.
    End,
}

#[derive(Debug)]
pub(super) struct Plan {
    size: u64,
    /// Ids of chunks, from the chunk with this number on.
    first: u32,
    chunks: Vec<ObjectId>,
    /// What is left of the range that is being sent.
    rest: Range<u64>,
    several: Option<Several>,
}

#[derive(Debug)]
struct Several {
    multipart: Multipart,
    /// The number of the range that is being sent.
    at: usize,
}

impl Plan {
    /// One range of a representation of `size` bytes.
    pub(super) fn one(size: u64, chunks: Vec<ObjectId>, range: Range<u64>) -> Self {
        Self { size, first: 0, chunks, rest: range, several: None }
    }

    /// Several ranges.
    pub(super) fn several(size: u64, chunks: Vec<ObjectId>, multipart: Multipart) -> Self {
        let rest = multipart.ranges().first().cloned().unwrap_or(0..0);
        Self { size, first: 0, chunks, rest, several: Some(Several { multipart, at: 0 }) }
    }

    /// The part that comes next.
    pub(super) fn place(&self) -> Place {
        if self.rest.is_empty() {
            return Place::End;
        }
        let number = u32::try_from(self.rest.start / CHUNK).unwrap_or(u32::MAX);
        let held = number.checked_sub(self.first).and_then(|place| self.chunks.get(place as usize));
        let Some(id) = held else { return Place::Beyond(number) };
        let begins = u64::from(number) * CHUNK;
        let chunk_bytes = CHUNK.min(self.size - begins);
        let end = self.rest.end.min(begins + chunk_bytes);
        Place::Part(Part { id: *id, chunk_bytes, range: self.rest.start - begins..end - begins })
    }

    /// Ids of chunks that were looked up.
    pub(super) fn hold(&mut self, first: u32, chunks: Vec<ObjectId>) {
        debug_assert!(chunks.len() <= LOOKUP_CHUNKS_MAX);
        self.first = first;
        self.chunks = chunks;
    }

    /// What stands before the range that is being sent, at its beginning.
    pub(super) fn delimiter(&self) -> Option<bytes::Bytes> {
        let several = self.several.as_ref()?;
        let begins = several.multipart.ranges().get(several.at)?.start == self.rest.start;
        begins.then(|| several.multipart.part_head(several.at))
    }

    /// A part was sent. Returns what stands behind all of it, when it was the last.
    pub(super) fn sent(&mut self, bytes: u64) -> Option<bytes::Bytes> {
        self.rest.start = (self.rest.start + bytes).min(self.rest.end);
        if !self.rest.is_empty() {
            return None;
        }
        let several = self.several.as_mut()?;
        several.at += 1;
        match several.multipart.ranges().get(several.at) {
            Some(range) => {
                self.rest = range.clone();
                None
            }
            None => Some(several.multipart.tail()),
        }
    }

    /// Whether so many bytes are all that is left, in one range.
    pub(super) fn is_rest(&self, bytes: u64) -> bool {
        self.several.is_none() && self.rest.end - self.rest.start == bytes
    }

    /// Whether all of it was sent.
    pub(super) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{Cookie, Sequence, VolumeId};
    use proptest::prelude::*;

    fn id(number: u64) -> ObjectId {
        ObjectId { volume: VolumeId(1), sequence: Sequence(number), cookie: Cookie(0) }
    }

    proptest! {
        #[test]
        fn parts_are_the_ranges_in_order(
            size in 1..5 * CHUNK,
            cuts in proptest::collection::vec((0..5 * CHUNK, 1..3 * CHUNK), 1..4),
            window in 1..4usize,
        ) {
            let ranges: Vec<_> = cuts.iter()
                .map(|(start, length)| { let start = start % size; start..(start + length).min(size) })
                .collect();
            let chunks: Vec<_> = (0..size.div_ceil(CHUNK)).map(id).collect();
            let held: Vec<_> = chunks.iter().take(window).copied().collect();
            let mut plan = match &ranges[..] {
                [one] => Plan::one(size, held, one.clone()),
                _ => Plan::several(size, held, Multipart::new(7, b"a/b", size, ranges.clone())),
            };
            let (mut covered, mut delimiters, mut tails) = (Vec::<Range<u64>>::new(), 0, 0);
            loop {
                match plan.place() {
                    Place::End => break,
                    Place::Beyond(first) => {
                        let more = chunks.iter().skip(first as usize).take(window).copied().collect();
                        plan.hold(first, more);
                    }
                    Place::Part(part) => {
                        delimiters += usize::from(plan.delimiter().is_some());
                        let begins = part.id.sequence.0 * CHUNK;
                        prop_assert_eq!(part.chunk_bytes, CHUNK.min(size - begins));
                        prop_assert!(part.range.end <= part.chunk_bytes && !part.range.is_empty());
                        let whole = begins + part.range.start..begins + part.range.end;
                        match covered.last_mut() {
                            Some(last) if last.end == whole.start && ranges.iter().all(|range| range.start != whole.start) => {
                                last.end = whole.end;
                            }
                            _ => covered.push(whole),
                        }
                        tails += usize::from(plan.sent(part.range.end - part.range.start).is_some());
                    }
                }
            }
            prop_assert!(plan.is_done());
            let several = ranges.len() > 1;
            prop_assert_eq!((delimiters, tails), (if several { ranges.len() } else { 0 }, usize::from(several)));
            let total = |ranges: &[Range<u64>]| ranges.iter().map(|range| range.end - range.start).sum::<u64>();
            prop_assert_eq!(total(&covered), total(&ranges));
            prop_assert_eq!(covered.first().map(|range| range.start), ranges.first().map(|range| range.start));
        }
    }
}
