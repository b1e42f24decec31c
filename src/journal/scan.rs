//! The walk over the groups of one segment: what is whole, what is not, and what the frames prove.
//!
//! Owned by one thread; writes nothing, decides nothing (see `plan`). Always: a record is shown only if its head
//! verified, its sequence is the one that its place calls for, and, from [`Bounds::verify_from`] on, its body verified
//! too. What does not verify becomes a [`BadRun`]; the walk goes on at the next frame or record that does. A forged
//! record in a payload cannot stop it, for heads and frames are keyed with a salt that no client knows.

use super::SECTOR_BYTES;
use super::frame::{BadFrame, FRAME_BYTES, Frame, chain_next};
use super::sector_end;
use super::window::Window;
use crate::base::ids::{Epoch, Sequence, VolumeId};
use std::io;

/// What the head of a record says about its extent.
#[derive(Debug, Clone)]
pub struct Measured<R> {
    /// Its place in the log.
    pub sequence: Sequence,
    /// Its epoch.
    pub epoch: Epoch,
    /// Bytes of the record, a multiple of 8.
    pub bytes: u64,
    /// The checksum in its head, for the chain.
    pub head_checksum: u64,
    /// The body is needed to understand the record, so it is verified wherever it lies.
    pub body_needed: bool,
    /// The record's head.
    pub record: R,
}

/// Why a head was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The head takes so many bytes; show more.
    Short(usize),
    /// No head of this log.
    Bad,
}

/// What the walk must know of records.
pub trait Format {
    /// The head of a record.
    type Record;
    /// Bytes to show at first: heads are seldom larger.
    const HEAD_BYTES_LIKELY: usize;

    /// Reads the head that starts `bytes`.
    ///
    /// # Errors
    /// [`Problem`]; arbitrary bytes are [`Problem::Bad`], never a panic.
    fn measure(&self, bytes: &[u8]) -> Result<Measured<Self::Record>, Problem>;

    /// Whether these bytes could start a record at all; cheap, for the search behind damage.
    fn looks_like_head(&self, bytes: &[u8]) -> bool;

    /// Whether the body in `bytes`, which is the whole record, verifies.
    fn body_holds(&self, record: &Self::Record, bytes: &[u8]) -> bool;
}

/// What is walked, and what is known about it beforehand.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The volume of the segment.
    pub volume: VolumeId,
    /// The key of its checksums.
    pub salt: u64,
    /// The life of this replica.
    pub generation: u64,
    /// Where the first group lies.
    pub start: u64,
    /// The sequence of the first record.
    pub first: Sequence,
    /// No record here has this sequence or a higher one: it could not lie in a segment.
    pub past: Sequence,
    /// The chain digest before it, if it is known.
    pub chain: Option<u128>,
    /// Everything below is known to be durable from outside the segment.
    pub proven_to: Sequence,
    /// Bodies are verified from this sequence on.
    pub verify_from: Sequence,
}

/// A whole record.
#[derive(Debug)]
pub struct Seen<'a, R> {
    /// Where it lies in the segment.
    pub position: u64,
    /// What its head says.
    pub measured: &'a Measured<R>,
    /// Its bytes: all of them if its body was verified, else at least its head.
    pub bytes: &'a [u8],
}

/// A place where the walk met something that does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadRun {
    /// Where it begins.
    pub position: u64,
    /// The byte behind what was whole before it; zeros lie between.
    pub end: u64,
    /// The sequence that this place calls for.
    pub first: Sequence,
    /// The chain digest of what lies before it.
    pub chain: u128,
    /// The sequence of the next whole record or frame behind it; none: nothing whole follows.
    pub next: Option<Sequence>,
    /// The highest mark in a frame behind it.
    pub mark_behind: Sequence,
}

/// A group whose frame is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Its frame.
    pub frame: Frame,
}

/// What the walk saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// Frames that were whole.
    pub groups: u64,
    /// The sequence behind the last whole record or frame.
    pub next: Sequence,
    /// The byte behind the last whole record or frame.
    pub end: u64,
    /// From here on there are only zeros.
    pub used: u64,
    /// The chain digest behind the last whole record.
    pub chain: u128,
    /// The highest epoch of a whole record.
    pub epoch: Epoch,
    /// The highest mark of any frame.
    pub mark: Sequence,
    /// Places that do not verify, in order.
    pub runs: Vec<BadRun>,
    /// Positions of frames whose chain digest contradicts the records before them though all of those verify.
    pub chain_breaks: Vec<u64>,
    /// Sectors whose end, behind a group, is not zero.
    pub stray: Vec<u64>,
    /// The first byte behind the end of the walk that is not zero; whoever knows of such bytes says so here.
    pub behind: Option<u64>,
}

impl Sight {
    /// What is seen of a segment that is not there.
    #[must_use]
    pub fn nothing(start: u64, first: Sequence, chain: Option<u128>) -> Self {
        Self {
            groups: 0,
            next: first,
            end: start,
            used: start,
            chain: chain.unwrap_or_default(),
            epoch: Epoch(0),
            mark: Sequence(0),
            runs: Vec::new(),
            chain_breaks: Vec::new(),
            stray: Vec::new(),
            behind: None,
        }
    }
}

/// Walks a segment through `window` and shows each whole record to `show`, in order.
///
/// # Errors
/// Those of reading; damage is in the [`Sight`].
pub fn scan<F: Format>(
    window: &mut Window<'_>,
    bounds: &Bounds,
    format: &F,
    show: &mut dyn FnMut(Seen<'_, F::Record>),
) -> io::Result<Sight> {
    let walk = Walk {
        window,
        bounds,
        format,
        show,
        sight: Sight::nothing(bounds.start, bounds.first, bounds.chain),
        chain_trusted: bounds.chain.is_some(),
        position: bounds.start,
    };
    walk.run()
}

struct Walk<'a, 'w, F: Format> {
    window: &'a mut Window<'w>,
    bounds: &'a Bounds,
    format: &'a F,
    show: &'a mut dyn FnMut(Seen<'_, F::Record>),
    sight: Sight,
    /// No damage since the last frame, so its successor must continue the digest.
    chain_trusted: bool,
    position: u64,
}

/// Where the walk goes on.
enum Found {
    Frame(Frame),
    Record,
    Nothing,
}

impl<F: Format> Walk<'_, '_, F> {
    fn run(mut self) -> io::Result<Sight> {
        while let Some(frame) = self.next_frame()? {
            let mut frame = frame;
            // A group may end at a frame that lies inside its extent: it had been cut short, and the log went on there.
            while let Some(inner) = self.group(&frame)? {
                frame = inner;
            }
        }
        self.finish()
    }

    fn finish(mut self) -> io::Result<Sight> {
        let mut mark = Sequence(0);
        for run in self.sight.runs.iter_mut().rev() {
            mark = mark.max(run.mark_behind);
            run.mark_behind = mark;
        }
        self.sight.used = self.last_used()?;
        Ok(self.sight)
    }

    /// The frame at the position, or the first whole one behind it; `None` at the end.
    ///
    /// A frame that does not verify costs no record that is proven durable from outside: those are looked for without it.
    /// What is not proven goes with its frame, for it may be a torn group.
    fn next_frame(&mut self) -> io::Result<Option<Frame>> {
        while self.position < self.window.end() {
            let problem = match self.frame_here()? {
                Ok(frame) => return Ok(Some(frame)),
                Err(problem) => problem,
            };
            let from = self.position;
            if problem == BadFrame::Zeros || problem == BadFrame::Short {
                // Zeros are the end only if nothing follows.
                if self.window.skip_zeros(from, SECTOR_BYTES)? >= self.window.end() {
                    return Ok(None);
                }
            }
            self.begin_run(from);
            let records_end = if self.is_proven() { self.window.end() } else { from };
            match self.search(from, records_end)? {
                Found::Frame(frame) => return Ok(Some(frame)),
                Found::Record => self.orphans()?,
                Found::Nothing => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Whether the next record is known to be durable from outside the segment.
    fn is_proven(&self) -> bool {
        self.sight.next < self.bounds.proven_to
    }

    /// Walks on over records whose frame is lost, and over the zeros up to the sector where the next group begins.
    fn orphans(&mut self) -> io::Result<()> {
        while self.is_proven() && self.record(self.window.end())? {}
        let next = sector_end(self.position);
        let padding = usize::try_from(next - self.position).unwrap_or(usize::MAX);
        if self.window.bytes(self.position, padding)?.iter().all(|&byte| byte == 0) {
            self.position = next;
        }
        Ok(())
    }

    fn frame_here(&mut self) -> io::Result<Result<Frame, BadFrame>> {
        let position = self.position;
        let parsed = Frame::parse(self.window.bytes(position, FRAME_BYTES)?, self.bounds.salt);
        Ok(parsed.and_then(|frame| {
            let ours = frame.volume == self.bounds.volume
                && frame.generation == self.bounds.generation
                && frame.position == position
                && frame.first >= self.sight.next
                && frame.first.0.checked_add(u64::from(frame.count)).is_some_and(|past| past <= self.bounds.past.0);
            if ours { Ok(frame) } else { Err(BadFrame::Elsewhere) }
        }))
    }

    /// Walks the records of a group; a frame found inside its extent takes over.
    fn group(&mut self, frame: &Frame) -> io::Result<Option<Frame>> {
        self.enter(frame);
        let end = frame.position.saturating_add(frame.bytes);
        let past = frame.first.plus(u64::from(frame.count));
        self.position = frame.position + FRAME_BYTES as u64;
        while self.sight.next < past {
            if self.record(end)? {
                continue;
            }
            let from = self.position;
            self.begin_run(from);
            match self.search(from, end.min(self.window.end()))? {
                Found::Record => {}
                Found::Frame(inner) => return Ok(Some(inner)),
                Found::Nothing => {
                    self.position = self.window.end();
                    return Ok(None);
                }
            }
        }
        let end = self.position;
        self.position = sector_end(end);
        let padding = usize::try_from(self.position - end).expect("less than a sector");
        if self.window.bytes(end, padding)?.iter().any(|&byte| byte != 0) && self.position <= self.window.end() {
            self.sight.stray.push(end);
        }
        Ok(None)
    }

    /// Takes note of what a frame says.
    fn enter(&mut self, frame: &Frame) {
        if frame.first > self.sight.next {
            self.begin_run(frame.position);
        }
        self.end_run(frame.first);
        if self.chain_trusted && frame.chain != self.sight.chain {
            self.sight.chain_breaks.push(frame.position);
        }
        self.chain_trusted = true;
        self.sight.groups += 1;
        self.sight.chain = frame.chain;
        self.sight.next = frame.first;
        self.sight.mark = self.sight.mark.max(frame.mark);
        self.sight.end = frame.position + FRAME_BYTES as u64;
        if let Some(run) = self.sight.runs.last_mut() {
            run.mark_behind = run.mark_behind.max(frame.mark);
        }
    }

    /// Reads the record at the position, if it is whole, and moves behind it.
    fn record(&mut self, group_end: u64) -> io::Result<bool> {
        let position = self.position;
        let Some(measured) = self.measure_here(group_end)? else {
            return Ok(false);
        };
        if measured.sequence != self.sight.next {
            // Behind damage the next whole record may be a later one; anywhere else it is not what belongs here.
            let behind_damage = self.sight.runs.last().is_some_and(|run| run.next.is_none());
            if !behind_damage || measured.sequence < self.sight.next {
                return Ok(false);
            }
        }
        if measured.sequence >= self.bounds.past {
            return Ok(false);
        }
        let verify = measured.body_needed || measured.sequence >= self.bounds.verify_from;
        let want = if verify { usize::try_from(measured.bytes).unwrap_or(usize::MAX) } else { 0 };
        if verify {
            let bytes = self.window.bytes(position, want)?;
            if bytes.len() < want || !self.format.body_holds(&measured.record, bytes) {
                return Ok(false);
            }
            (self.show)(Seen { position, measured: &measured, bytes });
        } else {
            (self.show)(Seen { position, measured: &measured, bytes: &[] });
        }
        self.end_run(measured.sequence);
        self.sight.chain = chain_next(self.sight.chain, measured.head_checksum);
        self.sight.epoch = self.sight.epoch.max(measured.epoch);
        self.sight.next = measured.sequence.plus(1);
        self.position = position + measured.bytes;
        self.sight.end = self.position;
        Ok(true)
    }

    fn measure_here(&mut self, group_end: u64) -> io::Result<Option<Measured<F::Record>>> {
        let position = self.position;
        let mut want = F::HEAD_BYTES_LIKELY;
        loop {
            let bytes = self.window.bytes(position, want)?;
            match self.format.measure(bytes) {
                Ok(measured) => {
                    let end = position.saturating_add(measured.bytes);
                    let inside = end <= group_end && end <= self.window.end();
                    return Ok(inside.then_some(measured));
                }
                Err(Problem::Short(needed)) if needed > want && bytes.len() == want => want = needed,
                Err(_) => return Ok(None),
            }
        }
    }

    /// Looks behind `from` for a whole frame, and up to `records_end` for a whole record of the group too.
    fn search(&mut self, from: u64, records_end: u64) -> io::Result<Found> {
        let mut at = from;
        while at < records_end {
            self.position = at;
            if at.is_multiple_of(SECTOR_BYTES)
                && let Ok(frame) = self.frame_here()?
            {
                return Ok(Found::Frame(frame));
            }
            // The record at `from` is the one that failed.
            if at > from {
                let bytes = self.window.bytes(at, F::HEAD_BYTES_LIKELY)?;
                if self.format.looks_like_head(bytes) && self.record(records_end)? {
                    return Ok(Found::Record);
                }
            }
            at += 8;
        }
        at = sector_end(at);
        loop {
            at = self.window.skip_zeros(at, SECTOR_BYTES)?;
            if at >= self.window.end() {
                return Ok(Found::Nothing);
            }
            self.position = at;
            if let Ok(frame) = self.frame_here()? {
                return Ok(Found::Frame(frame));
            }
            at += SECTOR_BYTES;
        }
    }

    fn begin_run(&mut self, position: u64) {
        self.chain_trusted = false;
        if self.sight.runs.last().is_some_and(|run| run.next.is_none()) {
            return;
        }
        self.sight.runs.push(BadRun {
            position,
            end: self.sight.end,
            first: self.sight.next,
            chain: self.sight.chain,
            next: None,
            mark_behind: Sequence(0),
        });
    }

    fn end_run(&mut self, next: Sequence) {
        if let Some(run) = self.sight.runs.last_mut()
            && run.next.is_none()
        {
            run.next = Some(next);
        }
    }

    /// Behind the last byte that is not zero, in whole sectors; the end itself if only zeros follow it.
    fn last_used(&mut self) -> io::Result<u64> {
        let mut used = self.sight.end;
        let mut at = sector_end(used);
        let rest = usize::try_from(at - used).expect("less than a sector");
        if self.window.bytes(used, rest)?.iter().any(|&byte| byte != 0) {
            used = at;
        }
        while at < self.window.end() {
            at = self.window.skip_zeros(at, SECTOR_BYTES)?;
            if at < self.window.end() {
                at += SECTOR_BYTES;
                used = at;
            }
        }
        Ok(used)
    }
}
