//! The walk over one segment, byte by byte, against checksums and index alike.
//!
//! Owned by the thread that scrubs. A state machine that is fed pieces of the file:
//! ```text
//! Header ─▶ Between ─frame─▶ Group ─needle─▶ Content ─all blocks─▶ Group ─end of group─▶ Gap ─zeros─▶ Between ─end─▶ Behind ─▶ Done
//!               └─bad frame─▶ Search ─next frame or needle─▶ Between, Group
//! ```
//! Always: what does not hold is looked at once more, from the device, before it is a finding; behind a finding the walk
//! goes on at the next needle that the index knows, or at the next whole frame. The end is read before the bytes, so a
//! segment that grows meanwhile is never seen half written.

use super::finding::{Finding, Kind};
use super::reader::Reader;
use crate::base::ids::{DiskId, Sequence};
use crate::base::limits::BLOCK_BYTES;
use crate::journal::{CHAIN_START, FRAME_BYTES, Frame, SECTOR_BYTES, chain_next, sector_end};
use crate::store::catalog::View;
use crate::store::damage::Damage;
use crate::store::manifest::Closed;
use crate::store::needle::{HEAD_BYTES_FIXED, Head, Kind as NeedleKind};
use crate::store::segment::{Located, Segment};
use crate::store::segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::store::slots::Slot;
use std::ops::Range;
use std::sync::Arc;

/// Heads are seldom larger.
const HEAD_BYTES_LIKELY: usize = HEAD_BYTES_FIXED + 160;
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
}

impl Walk {
    pub fn new(segment: Arc<Segment>, known: Known) -> Self {
        // In this order: what is below the sequence lies below the end.
        let past = segment.next();
        let published = segment.end();
        let base = segment.base();
        Self {
            end: known.closed.map_or(published, |closed| closed.end),
            past,
            state: State::Header,
            position: 0,
            group_end: None,
            next: base,
            chain: (base == Sequence(0)).then_some(CHAIN_START),
            due: base,
            looked: None,
            unreadable_to: 0,
            findings: Vec::new(),
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

    /// Where a needle may begin, or the group ends.
    fn group(&mut self, reader: &mut Reader) -> Turn {
        let position = self.position;
        let limit = self.group_end.unwrap_or(self.end).min(self.end);
        // Without a frame only the index says how far a group goes.
        let is_over = self.group_end.is_none() && self.peek().is_none_or(|(_, slot)| slot.position() != position);
        if position >= limit || is_over {
            return self.on(State::Gap(sector_end(position)));
        }
        let Some(parsed) = self.parse_head(position, reader) else { return self.later(State::Group) };
        let damage = match parsed {
            Ok(head) if head.volume != self.segment.volume() => {
                Damage::Another { volume: head.volume.0, sequence: head.sequence.0 }
            }
            Ok(head) if position.saturating_add(head.needle_bytes()) > limit => Damage::Lengths,
            Ok(head) => return self.needle(head, reader),
            Err(damage) => damage,
        };
        match self.is_cut_here(position, reader) {
            None => return self.later(State::Group),
            Some(true) => {
                self.position = sector_end(position);
                return self.on(State::Between);
            }
            Some(false) => {}
        }
        if self.first_look(position, reader) {
            return self.on(State::Group);
        }
        self.bad_needle(position, limit, damage, reader)
    }

    /// The head at a place; `None` when more has to be read.
    fn parse_head(&self, position: u64, reader: &mut Reader) -> Option<Result<Head, Damage>> {
        let parsed = Head::parse_any(reader.need(position, HEAD_BYTES_LIKELY)?, self.segment.salt());
        match parsed {
            Err(Damage::Short { needed }) => Some(Head::parse_any(reader.need(position, needed)?, self.segment.salt())),
            parsed => Some(parsed),
        }
    }

    /// Whether a group was cut short here by an earlier recovery: zeros, and then the frame that goes on.
    fn is_cut_here(&mut self, position: u64, reader: &mut Reader) -> Option<bool> {
        if self.peek().is_some_and(|(_, slot)| slot.position() == position) {
            return Some(false);
        }
        let frame_at = sector_end(position);
        let zeros = usize::try_from(frame_at - position).expect("less than a sector");
        let bytes = reader.need(position, zeros + FRAME_BYTES)?;
        let (padding, frame) = bytes.split_at(zeros.min(bytes.len()));
        let goes_on = self.frame(frame, frame_at).is_some_and(|frame| frame.first == self.next);
        Some(goes_on && padding.iter().all(|&byte| byte == 0))
    }

    fn bad_needle(&mut self, position: u64, limit: u64, damage: Damage, reader: &Reader) -> Turn {
        let what = damage.to_string();
        let entered = self.peek().is_some_and(|(_, slot)| slot.position() <= position);
        self.pass(position.saturating_add(1), &what, reader);
        if !entered {
            self.place(position, 8, &format!("{what}, and the index has none here"), reader);
        }
        self.chain = None;
        let target = self.peek().map_or(limit, |(_, slot)| slot.position()).min(limit);
        self.position = target.max(position + 8).min(limit);
        self.on(State::Group)
    }

    /// A whole head: is it what the index has here?
    fn needle(&mut self, head: Head, reader: &mut Reader) -> Turn {
        let position = self.position;
        let entry = self.entry(head.sequence).filter(|slot| slot.position() == position);
        if entry.is_none() {
            if self.first_look(position, reader) {
                return self.on(State::Group);
            }
            if self.known.closed.is_none() && head.sequence >= self.segment.next() {
                // The lane publishes it at this moment: the next pass will see it.
                self.end = position;
                return self.on(State::Between);
            }
        }
        self.pass_to(position, reader);
        match entry {
            Some(_) => self.due = self.due.max(head.sequence.plus(1)),
            None => {
                let what = "a whole needle that the index has not, or has elsewhere".to_string();
                self.find(Kind::Place, position, Some((head.sequence, 1)), what);
            }
        }
        let is_known = entry.is_some_and(Slot::is_damaged);
        if head.sequence != self.next {
            self.chain = None;
        }
        self.chain = self.chain.map(|chain| chain_next(chain, head.checksum));
        self.next = Sequence(head.sequence.0.saturating_add(1));
        self.on(State::Content(Box::new(Content { head, start: position, block: 0, is_known, is_bad: false })))
    }

    fn content(&mut self, mut content: Box<Content>, reader: &mut Reader) -> Turn {
        let payload = content.start + content.head.payload_offset() as u64;
        if content.block < content.head.block_count() {
            let block = content.head.payload_block(content.block);
            let place = payload + block.start..payload + block.end;
            let bytes = usize::try_from(block.end - block.start).unwrap_or(BLOCK_BYTES);
            let Some(bytes) = reader.need(place.start, bytes) else { return self.later(State::Content(content)) };
            let outcome = content.head.verify_block(content.block, bytes);
            // The room of what is deleted may have been given back.
            let given_back = || {
                let entry = self.entry(content.head.sequence);
                entry.is_some_and(Slot::is_deleted) && bytes.iter().all(|&byte| byte == 0)
            };
            if outcome.is_err() && !given_back() {
                if self.first_look(place.start, reader) {
                    return self.on(State::Content(content));
                }
                self.bad_block(&mut content, &place, reader);
            } else if outcome.is_ok() && content.head.kind == NeedleKind::Tombstone {
                self.tombstone(&content, &place, reader);
            }
            content.block += 1;
            return self.on(State::Content(content));
        }
        let unpadded = payload + u64::from(content.head.payload_bytes);
        let end = content.start + content.head.needle_bytes();
        let padding = usize::try_from(end - unpadded).unwrap_or(0);
        let Some(bytes) = reader.need(unpadded, padding) else { return self.later(State::Content(content)) };
        if bytes.iter().any(|&byte| byte != 0) {
            if self.first_look(unpadded, reader) {
                return self.on(State::Content(content));
            }
            self.place(unpadded, padding as u64, &Damage::Padding.to_string(), reader);
        }
        self.position = end;
        self.on(State::Group)
    }

    fn bad_block(&mut self, content: &mut Content, place: &Range<u64>, reader: &Reader) {
        // One finding a needle; what cannot be read is told as such.
        if content.is_bad || reader.is_unreadable(place) {
            return;
        }
        content.is_bad = true;
        let kind = if content.is_known { Kind::Known } else { Kind::Needle };
        let what = Damage::Block(content.block).to_string();
        self.find(kind, place.start, Some((content.head.sequence, 1)), what);
    }

    /// What a tombstone names is deleted in the index.
    fn tombstone(&mut self, content: &Content, place: &Range<u64>, reader: &mut Reader) {
        let bytes = usize::try_from(place.end - place.start).unwrap_or(0);
        let target = reader.need(place.start, bytes).and_then(|payload| content.head.tombstone_target(payload));
        let Some((target, _)) = target else { return };
        if matches!(self.known.view.locate(self.segment.volume(), target), Located::Object(_)) {
            let what = format!("a tombstone for sequence {:x}, which the index does not have as deleted", target.0);
            self.find(Kind::Place, content.start, Some((content.head.sequence, 1)), what);
        }
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
        if self.chain.is_some_and(|chain| chain != closed.chain) && self.next == closed.next {
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

    /// The next needle that the index has and that was not met.
    fn peek(&mut self) -> Option<(Sequence, Slot)> {
        let entry = self.segment.entries(self.due).next();
        if let Some((sequence, _)) = entry {
            self.due = sequence;
        }
        entry
    }

    /// The index's entry of a sequence.
    fn entry(&self, sequence: Sequence) -> Option<Slot> {
        self.segment.entries(sequence).next().filter(|(found, _)| *found == sequence).map(|(_, slot)| slot)
    }

    /// Passes over needles of the index that lie before `position`: those that are not marked are findings. Returns
    /// whether there were any, all of them marked.
    fn pass_to(&mut self, position: u64, reader: &Reader) -> bool {
        self.pass(position, "no needle lies where the index has one", reader)
    }

    fn pass(&mut self, position: u64, what: &str, reader: &Reader) -> bool {
        let (mut any, mut all_marked) = (false, true);
        while let Some((sequence, slot)) = self.peek().filter(|(_, slot)| slot.position() < position) {
            self.due = Sequence(sequence.0.saturating_add(1));
            any = true;
            all_marked &= slot.is_damaged();
            let place = slot.position()..slot.position().saturating_add(HEAD_BYTES_FIXED as u64);
            if slot.is_damaged() || !reader.is_unreadable(&place) {
                self.missed(sequence, slot, what);
            }
        }
        any && all_marked
    }

    fn pass_all(&mut self, what: &str) {
        let past = self.past;
        while let Some((sequence, slot)) = self.peek().filter(|(sequence, _)| *sequence < past) {
            self.due = sequence.plus(1);
            self.missed(sequence, slot, what);
        }
    }

    /// A needle of the index that is not on the disk; neighbours at one place are one finding.
    fn missed(&mut self, sequence: Sequence, slot: Slot, what: &str) {
        let kind = if slot.is_damaged() { Kind::Known } else { Kind::Needle };
        if let Some(last) = self.findings.last_mut()
            && (last.kind, last.offset) == (kind, slot.position())
            && last.sequence.is_some_and(|first| first.saturating_add(last.count) == sequence.0)
        {
            last.count += 1;
            return;
        }
        self.find(kind, slot.position(), Some((sequence, 1)), what.to_string());
    }

    /// A finding that is no needle; what cannot be read is told as such.
    fn place(&mut self, offset: u64, bytes: u64, what: &str, reader: &Reader) {
        if !reader.is_unreadable(&(offset..offset.saturating_add(bytes))) {
            self.find(Kind::Place, offset, None, what.to_string());
        }
    }

    fn unreadable(&mut self, place: &Range<u64>, error: &str) {
        let from = place.start.max(self.unreadable_to);
        if from < place.end {
            self.unreadable_to = place.end;
            let what = format!("{} bytes cannot be read: {error}", place.end - from);
            self.find(Kind::Unreadable, from, None, what);
        }
    }

    fn find(&mut self, kind: Kind, offset: u64, needles: Option<(Sequence, u64)>, what: String) {
        self.findings.push(Finding {
            kind,
            file: self.segment.name().to_string(),
            offset,
            volume: Some(self.segment.volume().0),
            sequence: needles.map(|(first, _)| first.0),
            count: needles.map_or(0, |(_, count)| count),
            what,
        });
    }
}
