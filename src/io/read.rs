//! Reading an object: find its head, check it, read blocks, check them.
//!
//! The same code runs on a processor thread, where it reads only what is in memory or in the page cache, and on a
//! reader thread, where it may wait. Always: no byte leaves that did not pass the checksum of its block; a range reads
//! and verifies exactly the blocks that it touches; what fails its check is looked up once more in the current view
//! (compaction may have moved it) before it is called damaged.

use super::blocks::BlockKey;
use super::damage;
use super::gate::Inline;
use super::job::{Opened, PieceEnd, ReadEnd};
use super::unit::Unit;
use crate::base::budget::Reservation;
use crate::base::buffers::{Buffer, Parts, capacity_for};
use crate::base::clock::Moment;
use crate::base::ids::ObjectId;
use crate::base::limits::{ATTRIBUTE_BYTES_MAX, BLOCK_BYTES, BLOCKS_MAX, PIECE_BYTES};
use crate::base::planted::{self, Bug};
use crate::base::range::ByteRange;
use crate::disk::File;
use crate::store::{Damage, HEAD_BYTES_FIXED, Head, Kind, Located, Place};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;

/// What is read to see a head: most heads fit.
const HEAD_READ_BYTES: usize = 1024;
/// Bytes of the largest head.
const HEAD_BYTES_MAX: usize = HEAD_BYTES_FIXED + ATTRIBUTE_BYTES_MAX + BLOCKS_MAX * 4 + 8;
const BLOCK: u64 = BLOCK_BYTES as u64;
const PIECE: u64 = PIECE_BYTES as u64;

/// An object that the index knows, on the disk that holds it.
#[derive(Debug, Clone)]
pub struct Target {
    pub(super) unit: Arc<Unit>,
    pub(super) place: Place,
    pub(super) id: ObjectId,
}

/// Where an object is that was not found where the index had it.
pub(super) enum Now {
    /// Still there, so what was read is the last word.
    Here,
    /// In another segment.
    Moved(Target),
    /// Nowhere: it was deleted, and its room given back.
    Gone,
}

/// The rest of an object that is being read.
#[derive(Debug, Clone)]
pub struct Reading {
    pub(super) target: Target,
    pub(super) head: Arc<Head>,
    pub(super) next: u64,
    pub(super) end: u64,
}

/// How bytes are got.
pub(super) enum Source<'a> {
    /// On a processor: from the page cache or not at all.
    Inline { file: &'a dyn File, how: Inline },
    /// On a reader thread.
    Waiting { file: &'a dyn File },
}

/// Why bytes were not got.
#[derive(Debug)]
pub(super) enum Missed {
    /// They are not in memory: this is a reader's job.
    NotCached,
    /// The disk reported an error, or there is no memory.
    Failed(std::io::Error),
    /// They are not what the index says they are.
    Damaged(Damage),
}

impl From<Damage> for Missed {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

impl Source<'_> {
    /// Fills the first `bytes` of the buffer's spare memory from `offset`; fewer only at the end of the file.
    fn fill(&self, buffer: &mut Buffer, bytes: usize, offset: u64) -> Result<(), Missed> {
        let spare = buffer.spare_mut().get_mut(..bytes).expect("the buffer was made for this read");
        let read = match self {
            Self::Waiting { file } => file.read_at(spare, offset),
            Self::Inline { file, how } => {
                if *how == Inline::IfResident && !matches!(file.resident(offset, bytes as u64), Ok(true)) {
                    return Err(Missed::NotCached);
                }
                match file.read_cached_at(spare, offset) {
                    Ok(Some(read)) => Ok(read),
                    Ok(None) => return Err(Missed::NotCached),
                    Err(error) => Err(error),
                }
            }
        };
        buffer.advance(read.map_err(Missed::Failed)?);
        Ok(())
    }
}

impl Target {
    /// The room that the first read of this object takes in the budget of replies.
    #[must_use]
    pub fn room_bytes(&self, part: Option<ByteRange>, head_only: bool) -> usize {
        if head_only {
            return 0;
        }
        let first = capacity_for(self.first_read_bytes(part, false));
        if part.is_none() || self.span() <= BLOCK {
            return first;
        }
        let second = part.map_or(PIECE, |part| part.length.saturating_add(2 * BLOCK).min(PIECE));
        first + capacity_for(usize::try_from(second).unwrap_or(PIECE_BYTES))
    }

    /// The most that its needle can take.
    fn span(&self) -> u64 {
        self.place.bound.saturating_sub(self.place.position)
    }

    /// What is read at first: a whole small needle, or the head and the first piece, or for a range just the head.
    fn first_read_bytes(&self, part: Option<ByteRange>, head_only: bool) -> usize {
        let wanted = match part {
            _ if head_only => HEAD_READ_BYTES,
            Some(_) if self.span() > BLOCK + HEAD_READ_BYTES as u64 => HEAD_READ_BYTES,
            _ => PIECE_BYTES + HEAD_READ_BYTES,
        };
        usize::try_from(self.span()).unwrap_or(wanted).min(wanted)
    }

    fn key(&self, block: u64) -> BlockKey {
        BlockKey {
            volume: self.id.volume,
            sequence: self.id.sequence,
            block: u32::try_from(block).expect("an object has at most 128 blocks"),
        }
    }

    /// Answers from the cache of verified blocks, if all of the first piece is there.
    pub(super) fn cached(
        &self,
        part: Option<ByteRange>,
        head_only: bool,
        room: &mut Option<Reservation>,
    ) -> Option<ReadEnd> {
        let first = self.unit.blocks.find(self.key(0))?;
        let facts = first.facts?;
        if facts.cookie != self.id.cookie {
            return Some(ReadEnd::NotFound);
        }
        let Some(range) = resolve(facts.payload_bytes, part, head_only) else {
            return Some(out_of_range(facts.payload_bytes));
        };
        let piece = piece_of(range.start, range.end);
        if !head_only && range == (0..first.bytes.len() as u64) {
            // The block is all of it.
            let (parts, known) = ([first.bytes].into(), Some(first.crc));
            return Some(ReadEnd::Opened(Opened { facts, range, parts, room: room.take(), rest: None, known }));
        }
        let parts = if head_only { Parts::new() } else { cached_parts(self, &piece, Some(&first.bytes))? };
        let rest = match first.head {
            Some(head) if !head_only => self.rest(&piece, range.end, || head),
            _ => None,
        };
        Some(ReadEnd::Opened(Opened { facts, range, parts, room: room.take(), rest, known: None }))
    }

    /// Reads the head, and the first piece of the part.
    pub(super) fn open(
        &self,
        source: &Source<'_>,
        part: Option<ByteRange>,
        head_only: bool,
        room: &mut Option<Reservation>,
    ) -> Result<ReadEnd, Missed> {
        let bytes = self.first_read_bytes(part, head_only);
        let (head, buffer) = self.read_head(source, bytes)?;
        if head.kind != Kind::Put || head.cookie != self.id.cookie {
            return Ok(ReadEnd::NotFound);
        }
        let facts = head.facts();
        let Some(range) = resolve(head.payload_bytes, part, head_only) else {
            return Ok(out_of_range(head.payload_bytes));
        };
        if head_only || range.is_empty() {
            let (parts, room) = (Parts::new(), room.take());
            return Ok(ReadEnd::Opened(Opened { facts, range, parts, room, rest: None, known: None }));
        }
        let (piece, bytes) = match whole_blocks_in(&head, buffer.filled().len(), &range) {
            Some(piece) => {
                let blocks = blocks_of(&head, &piece);
                let from = head.payload_offset() + to_usize(blocks.start);
                let until = head.payload_offset() + to_usize(blocks.end);
                let bytes = buffer.freeze().slice(from..until);
                (piece, bytes)
            }
            None => {
                let piece = piece_of(range.start, range.end);
                let bytes = self.read_blocks(source, &head, &piece)?;
                (piece, bytes)
            }
        };
        let part = self.verified(&head, &piece, &bytes)?;
        let rest = self.rest(&piece, range.end, || Arc::new(head));
        Ok(ReadEnd::Opened(Opened { facts, range, parts: [part].into(), room: room.take(), rest, known: None }))
    }

    /// What is to be read behind a piece, up to `end`.
    fn rest(&self, piece: &Range<u64>, end: u64, head: impl FnOnce() -> Arc<Head>) -> Option<Box<Reading>> {
        let follows = piece.end < end;
        follows.then(|| Box::new(Reading { target: self.clone(), head: head(), next: piece.end, end }))
    }

    /// Reads at least the head: once for most, twice when its attributes are large.
    fn read_head(&self, source: &Source<'_>, bytes: usize) -> Result<(Head, Buffer), Missed> {
        let mut wanted = bytes;
        loop {
            let mut buffer = self.unit.pool.buffer(wanted).map_err(Missed::Failed)?;
            source.fill(&mut buffer, wanted, self.place.position)?;
            match Head::parse(buffer.filled(), self.place.segment.salt(), self.id.volume, self.id.sequence) {
                Ok(head) => return Ok((head, buffer)),
                // A length that is over every bound, or that did not help, is damage.
                Err(Damage::Short { needed }) if needed > wanted && needed <= HEAD_BYTES_MAX => wanted = needed,
                Err(damage) => return Err(damage.into()),
            }
        }
    }

    /// Reads the blocks that `piece` touches, and nothing else.
    fn read_blocks(&self, source: &Source<'_>, head: &Head, piece: &Range<u64>) -> Result<Bytes, Missed> {
        let blocks = blocks_of(head, piece);
        let bytes = to_usize(blocks.end - blocks.start);
        let mut buffer = self.unit.pool.buffer(bytes).map_err(Missed::Failed)?;
        let offset = self.place.position + head.payload_offset() as u64 + blocks.start;
        source.fill(&mut buffer, bytes, offset)?;
        if buffer.filled().len() < bytes {
            return Err(Damage::Short { needed: bytes }.into());
        }
        Ok(buffer.freeze())
    }

    /// Verifies blocks, offers them to the cache, and cuts out the piece. `bytes` are all blocks that it touches.
    fn verified(&self, head: &Head, piece: &Range<u64>, bytes: &Bytes) -> Result<Bytes, Missed> {
        let blocks = blocks_of(head, piece);
        for (block, content) in (blocks.start / BLOCK..).zip(bytes.chunks(BLOCK_BYTES)) {
            if !planted::on(Bug::SkipRangeChecksum) {
                head.verify_block(to_usize(block), content)?;
            }
            let owner = (block == 0).then_some(head);
            let crc = head.raw_checksum(to_usize(block)).unwrap_or_default();
            self.unit.blocks.offer(self.key(block), content, crc, owner);
        }
        let from = to_usize(piece.start - blocks.start);
        Ok(bytes.slice(from..from + to_usize(piece.end - piece.start)))
    }

    /// The file of its segment, if it is open: for processor threads.
    pub(super) fn open_file(&self) -> Option<Arc<dyn File>> {
        self.place.segment.open_file()
    }

    /// Whether an inline read may be tried, and how.
    pub(super) fn inline(&self, now: Moment) -> Inline {
        self.unit.gate.inline(now)
    }

    /// Where the object is in the current view: compaction may have moved it, or taken a deleted one away.
    pub(super) fn now(&self) -> Now {
        match self.unit.catalog.view().locate(self.id.volume, self.id.sequence) {
            Located::Object(place) | Located::Deleted(place) => {
                let is_here = place.position == self.place.position && Arc::ptr_eq(&place.segment, &self.place.segment);
                if is_here { Now::Here } else { Now::Moved(Self { unit: Arc::clone(&self.unit), place, id: self.id }) }
            }
            Located::Damaged(_) => Now::Here,
            Located::OtherKind | Located::Absent | Located::NoVolume => Now::Gone,
        }
    }

    pub(super) fn damaged(&self, damage: &Damage) {
        self.unit.metrics.damaged.increment();
        log::error!(
            "disk {}: volume {:x} sequence {:x} at {}: damaged: {damage}; it is not served",
            self.unit.place,
            self.id.volume.0,
            self.id.sequence.0,
            self.place.position
        );
    }
}

impl Reading {
    /// Whether all of it was asked for.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.next >= self.end
    }

    /// The room that the next piece takes.
    #[must_use]
    pub fn room_bytes(&self) -> usize {
        let blocks = blocks_of(&self.head, &self.piece());
        capacity_for(to_usize(blocks.end - blocks.start))
    }

    /// The next piece: it ends where a block ends, or with the part.
    pub(super) fn piece(&self) -> Range<u64> {
        piece_of(self.next, self.end)
    }

    pub(super) fn cached(&self, piece: &Range<u64>) -> Option<Parts> {
        cached_parts(&self.target, piece, None)
    }

    pub(super) fn read(&self, source: &Source<'_>, piece: &Range<u64>) -> Result<Parts, Missed> {
        let bytes = self.target.read_blocks(source, &self.head, piece)?;
        Ok([self.target.verified(&self.head, piece, &bytes)?].into())
    }
}

/// The part in bytes of this object; `None` if it holds none of them.
fn resolve(payload_bytes: u32, part: Option<ByteRange>, head_only: bool) -> Option<Range<u64>> {
    let size = u64::from(payload_bytes);
    match part {
        Some(part) if !head_only => part.resolve(size).ok(),
        _ => Some(0..size),
    }
}

fn out_of_range(payload_bytes: u32) -> ReadEnd {
    ReadEnd::OutOfRange { size: payload_bytes.into() }
}

/// From `next`, up to the end of the fourth block that it touches.
fn piece_of(next: u64, end: u64) -> Range<u64> {
    let blocks_end = (next / BLOCK) * BLOCK + PIECE;
    next..blocks_end.min(end)
}

/// All bytes of the blocks that a piece touches.
fn blocks_of(head: &Head, piece: &Range<u64>) -> Range<u64> {
    let start = (piece.start / BLOCK) * BLOCK;
    let end = piece.end.next_multiple_of(BLOCK).min(u64::from(head.payload_bytes));
    start..end.max(start)
}

/// The longest beginning of the part whose blocks are wholly in the first `filled` bytes of the needle.
fn whole_blocks_in(head: &Head, filled: usize, range: &Range<u64>) -> Option<Range<u64>> {
    let here = filled.saturating_sub(head.payload_offset()) as u64;
    let size = u64::from(head.payload_bytes);
    let verifiable = if here >= size { size } else { here / BLOCK * BLOCK };
    let piece = piece_of(range.start, range.end.min(verifiable));
    (piece.start < piece.end).then_some(piece)
}

/// The piece from the cache of verified blocks, if all its blocks are there.
fn cached_parts(target: &Target, piece: &Range<u64>, first: Option<&Bytes>) -> Option<Parts> {
    if piece.is_empty() {
        return Some(Parts::new());
    }
    let numbers = piece.start / BLOCK..piece.end.div_ceil(BLOCK);
    let mut parts = Parts::with_capacity(to_usize(numbers.end - numbers.start));
    for number in numbers {
        let block = match first {
            Some(first) if number == 0 => first.clone(),
            _ => target.unit.blocks.find(target.key(number))?.bytes,
        };
        let begins = number * BLOCK;
        let from = to_usize(piece.start.saturating_sub(begins));
        let until = to_usize((piece.end - begins).min(block.len() as u64));
        parts.push(block.slice(from..until));
    }
    Some(parts)
}

fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).expect("positions in an object of 8 MiB fit")
}

/// What a missed piece ends in, on a reader thread.
pub(super) fn piece_end(target: &Target, missed: &Missed) -> PieceEnd {
    match missed {
        Missed::Damaged(damage) => {
            target.damaged(damage);
            // Sound blocks of a damaged payload can still be read; a head that does not verify leaves nothing.
            if !matches!(damage, Damage::Block(_)) {
                damage::mark(target);
            }
            PieceEnd::Damaged
        }
        Missed::Failed(error) => {
            failed(target, error);
            PieceEnd::Failed
        }
        Missed::NotCached => unreachable!("a reader waits"),
    }
}

/// What a missed open ends in, on a reader thread.
pub(super) fn open_end(target: &Target, missed: &Missed) -> ReadEnd {
    match piece_end(target, missed) {
        PieceEnd::Damaged => ReadEnd::Damaged,
        _ => ReadEnd::Failed,
    }
}

pub(super) fn failed(target: &Target, error: &std::io::Error) {
    target.unit.read_error(error);
    log::error!(
        "disk {}: reading volume {:x} at {}: {error}",
        target.unit.place,
        target.id.volume.0,
        target.place.position
    );
}
