//! The walk over one segment, byte by byte, against checksums and index alike.
//!
//! Owned by the thread that scrubs. A state machine that is fed pieces of the file:
//! ```text
//! Header ─▶ Between ─frame─▶ Group ─needle─▶ Content ─all blocks─▶ Group ─end of group─▶ Gap ─zeros─▶ Between ─end─▶ Behind ─▶ Done
//!               └─bad frame─▶ Search ─next frame or needle─▶ Between, Group
//! ```
//! A compacted segment has no frames: its needles lie one behind the other, as one group from the header to the end.
//!
//! Always: what does not hold is looked at once more, from the device, before it is a finding; behind a finding the walk
//! goes on at the next needle that the index knows, or at the next whole frame. The end is read before the bytes, so a
//! segment that grows meanwhile is never seen half written.

mod index;
mod needle;

use super::finding::{Finding, Kind};
use super::named::NamedNeedle;
use super::reader::Reader;
use crate::base::ids::{DiskId, Sequence};
use crate::journal::{CHAIN_START, FRAME_BYTES, Frame, SECTOR_BYTES, sector_end};
use crate::store::catalog::View;
use crate::store::manifest::Closed;
use crate::store::needle::Head;
use crate::store::segment::Segment;
use crate::store::segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use std::sync::Arc;

/// Zeros are looked at in such pieces.
const ZEROS_BYTES: u64 = 64 << 10;

/// What is known about a segment from outside.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub disk: DiskId,
    /// The life of the replica, by the manifest.
    pub generation: Option<u64>,
    /// What the manifest says of a closed one.
    pub closed: Option<Closed>,
    /// Bytes of the file now.
    pub file_bytes: u64,
    /// For what tombstones point at.
    pub view: Arc<View>,
}

/// How a turn of the walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// There is more, here and now.
    On,
    /// The device has to be read, in another step.
    Later,
    /// The segment is checked.
    Done,
}

/// A needle whose payload is being checked.
#[derive(Debug)]
struct Content {
    head: Head,
    /// It is marked as damaged already.
    is_known: bool,
    start: u64,
    block: usize,
    is_bad: bool,
    /// The device would not give all of it.
    is_unreadable: bool,
}

#[derive(Debug)]
enum State {
    Header,
    Between,
    Group,
    Content(Box<Content>),
    /// Zeros up to here, then the next group.
    Gap(u64),
    /// For a whole frame, up to here.
    Search(u64),
    /// Behind the end of a closed segment.
    Behind,
    Done,
}

/// A walk.
#[derive(Debug)]
pub(super) struct Walk {
    segment: Arc<Segment>,
    known: Known,
    end: u64,
    /// The sequence behind what is walked.
    past: Sequence,
    /// It is a compacted one.
    is_copy: bool,
    state: State,
    position: u64,
    /// Where the group ends, by its frame.
    group_end: Option<u64>,
    /// The sequence that a dense log has here.
    next: Sequence,
    /// The digest before it, if nothing was damaged since the last frame.
    chain: Option<u128>,
    /// The first needle of the index that was not met yet.
    due: Sequence,
    /// The place that is looked at once more.
    looked: Option<u64>,
    /// What could not be read is reported up to here.
    unreadable_to: u64,
    findings: Vec<Finding>,
    named: Vec<NamedNeedle>,
}

impl Walk {
    pub fn new(segment: Arc<Segment>, known: Known) -> Self {
        // In this order: what is below the sequence lies below the end.
        let past = segment.next();
        let published = segment.end();
        let base = segment.base();
        let is_copy = segment.closed().is_some_and(|closed| closed.edition > 0);
        Self {
            end: known.closed.map_or(published, |closed| closed.end),
            past,
            is_copy,
            state: State::Header,
            position: 0,
            group_end: None,
            next: base,
            chain: (is_copy || base == Sequence(0)).then_some(CHAIN_START),
            due: base,
            looked: None,
            unreadable_to: 0,
            findings: Vec::new(),
            named: Vec::new(),
            segment,
            known,
        }
    }

    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Bytes that were checked.
    pub fn position(&self) -> u64 {
        self.position.min(self.end)
    }

    /// What was found since the last call.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    /// The living needles of names that were met since the last call.
    pub fn take_named(&mut self) -> Vec<NamedNeedle> {
        std::mem::take(&mut self.named)
    }

    /// Goes on until the device has to be read again, or the segment ends.
    pub fn step(&mut self, reader: &mut Reader) -> Turn {
        loop {
            let turn = self.turn(reader);
            for (place, error) in reader.take_failures() {
                self.unreadable(&place, &error);
            }
            if turn != Turn::On {
                return turn;
            }
        }
    }

    fn turn(&mut self, reader: &mut Reader) -> Turn {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Header => self.header(reader),
            State::Between => self.between(reader),
            State::Group => self.group(reader),
            State::Content(content) => self.content(content, reader),
            State::Gap(to) => self.gap(to, reader),
            State::Search(until) => self.search(until, reader),
            State::Behind => self.behind(reader),
            State::Done => Turn::Done,
        }
    }

    /// The state stays as it is: the bytes come in another step.
    fn later(&mut self, state: State) -> Turn {
        self.state = state;
        Turn::Later
    }

    fn on(&mut self, state: State) -> Turn {
        self.state = state;
        Turn::On
    }

    /// Whether what is wrong at `place` was looked at only once; then it is read again.
    fn first_look(&mut self, place: u64, reader: &mut Reader) -> bool {
        if self.looked == Some(place) {
            return false;
        }
        self.looked = Some(place);
        reader.forget();
        reader.allow();
        true
    }

    fn header(&mut self, reader: &mut Reader) -> Turn {
        let Some(bytes) = reader.need(0, SEGMENT_HEADER_BYTES) else { return self.later(State::Header) };
        let header = SegmentHeader::parse(bytes).filter(|header| {
            let ours = (header.volume, header.base, header.salt, header.disk)
                == (self.segment.volume(), self.segment.base(), self.segment.salt(), self.known.disk);
            ours && self.known.generation.is_none_or(|generation| generation == header.generation)
        });
        match header {
            Some(header) => self.known.generation = Some(header.generation),
            None if self.first_look(0, reader) => return self.on(State::Header),
            None => self.place(0, SEGMENT_HEADER_BYTES as u64, "the segment's header does not verify", reader),
        }
        if self.known.file_bytes < self.end {
            let what = format!("the file has {} bytes and ends before {}", self.known.file_bytes, self.end);
            self.place(self.known.file_bytes, 0, &what, reader);
        }
        self.position = SEGMENT_HEADER_BYTES as u64;
        if self.is_copy {
            self.group_end = Some(self.end);
            return self.on(State::Group);
        }
        self.on(State::Between)
    }

    /// Where a group may begin, or the segment ends.
    fn between(&mut self, reader: &mut Reader) -> Turn {
        let position = self.position;
        if position >= self.end {
            return self.finish();
        }
        let Some(bytes) = reader.need(position, FRAME_BYTES) else { return self.later(State::Between) };
        if let Some(frame) = self.frame(bytes, position).filter(|frame| frame.first >= self.next) {
            self.enter(&frame, reader);
            return self.on(State::Group);
        }
        if self.first_look(position, reader) {
            return self.on(State::Between);
        }
        // What recovery found wrong here is marked already, and is no second finding.
        let marked = self.pass_to(position.saturating_add(1), reader);
        if !marked {
            self.place(position, FRAME_BYTES as u64, "the frame of a group does not verify", reader);
        }
        self.chain = None;
        self.group_end = None;
        match self.peek() {
            Some((_, slot)) if slot.position() == position + FRAME_BYTES as u64 => {
                self.position = slot.position();
                self.on(State::Group)
            }
            entry => {
                let until = entry.map_or(self.end, |(_, slot)| slot.position());
                self.position = sector_end(position + 1);
                self.on(State::Search(until))
            }
        }
    }

    fn frame(&self, bytes: &[u8], position: u64) -> Option<Frame> {
        let frame = Frame::parse(bytes, self.segment.salt()).ok()?;
        let ours = frame.volume == self.segment.volume()
            && frame.position == position
            && self.known.generation.is_none_or(|generation| generation == frame.generation);
        ours.then_some(frame)
    }

    fn enter(&mut self, frame: &Frame, reader: &Reader) {
        if self.chain.is_some_and(|chain| chain != frame.chain) && frame.first == self.next {
            let what = "the chain digest of a frame contradicts the needles before it";
            self.place(self.position, FRAME_BYTES as u64, what, reader);
        }
        self.chain = Some(frame.chain);
        self.next = frame.first;
        self.group_end = Some(self.position.saturating_add(frame.bytes));
        self.position += FRAME_BYTES as u64;
    }

    /// For the next whole frame, sector by sector, up to the next needle that the index knows.
    fn search(&mut self, until: u64, reader: &mut Reader) -> Turn {
        if self.position >= until || self.position >= self.end {
            self.position = until.min(self.end);
            return self.on(if until < self.end { State::Group } else { State::Between });
        }
        let position = self.position;
        let Some(bytes) = reader.need(position, FRAME_BYTES) else { return self.later(State::Search(until)) };
        if self.frame(bytes, position).is_some_and(|frame| frame.first >= self.next) {
            return self.on(State::Between);
        }
        self.position += SECTOR_BYTES;
        self.on(State::Search(until))
    }

    /// Zeros between a group and the sector where the next begins.
    fn gap(&mut self, to: u64, reader: &mut Reader) -> Turn {
        // A closed segment ends with its last group; an open one has the whole sector.
        let position = self.position;
        let padding = usize::try_from(to.saturating_sub(position)).unwrap_or(0);
        let Some(bytes) = reader.need(position, padding) else { return self.later(State::Gap(to)) };
        if let Some(offset) = bytes.iter().position(|&byte| byte != 0) {
            if self.first_look(position, reader) {
                return self.on(State::Gap(to));
            }
            self.place(position + offset as u64, 1, "the bytes behind a group are not zeros", reader);
        }
        self.position = to;
        self.group_end = None;
        self.on(State::Between)
    }

    /// The end: nothing that the index has is left, and the manifest agrees.
    fn finish(&mut self) -> Turn {
        self.pass_all("the index has a needle behind the end of the segment");
        let Some(closed) = self.known.closed else { return Turn::Done };
        // The digest of a copy is over what is in it, and its last needles may be gone.
        let agrees = if self.is_copy {
            self.chain.is_none_or(|chain| chain == closed.digest)
        } else {
            self.chain.is_none_or(|chain| chain == closed.chain) || self.next != closed.next
        };
        if !agrees {
            let what = "the chain digest contradicts the manifest".to_string();
            self.find(Kind::Place, self.end, None, what);
        }
        self.position = self.end;
        self.on(State::Behind)
    }

    /// A closed segment is cut to its end; after a stop at the wrong time there are zeros behind it.
    fn behind(&mut self, reader: &mut Reader) -> Turn {
        let position = self.position;
        if position >= self.known.file_bytes {
            return Turn::Done;
        }
        let want = usize::try_from((self.known.file_bytes - position).min(ZEROS_BYTES)).unwrap_or(0);
        let Some(bytes) = reader.need(position, want) else { return self.later(State::Behind) };
        let there = bytes.len() as u64;
        if let Some(offset) = bytes.iter().position(|&byte| byte != 0) {
            if self.first_look(position, reader) {
                return self.on(State::Behind);
            }
            self.place(
                position + offset as u64,
                1,
                "the bytes behind the end of a closed segment are not zeros",
                reader,
            );
            return Turn::Done;
        }
        if there == 0 {
            return Turn::Done;
        }
        self.position += there;
        self.on(State::Behind)
    }
}
