//! The needles of a group: heads, payloads, padding, and whether the index has each where it lies.

use super::super::finding::Kind;
use super::super::named::NamedNeedle;
use super::super::reader::Reader;
use super::{Content, State, Turn, Walk};
use crate::base::ids::{ObjectId, Sequence};
use crate::base::limits::BLOCK_BYTES;
use crate::base::planted::{self, Bug};
use crate::journal::{FRAME_BYTES, chain_next, sector_end};
use crate::store::damage::Damage;
use crate::store::needle::{FLAG_NAMED, HEAD_BYTES_FIXED, Head, Kind as NeedleKind};
use crate::store::segment::Located;
use crate::store::slots::Slot;
use std::ops::Range;

/// Heads are seldom larger.
const HEAD_BYTES_LIKELY: usize = HEAD_BYTES_FIXED + 160;

impl Walk {
    /// Where a needle may begin, or the group ends.
    pub(super) fn group(&mut self, reader: &mut Reader) -> Turn {
        let position = self.position;
        let limit = self.group_end.unwrap_or(self.end).min(self.end);
        // Without a frame only the index says how far a group goes.
        let is_over = self.group_end.is_none() && self.peek().is_none_or(|(_, slot)| slot.position() != position);
        if self.is_copy && position >= limit {
            return self.on(State::Between);
        }
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
    pub(super) fn parse_head(&self, position: u64, reader: &mut Reader) -> Option<Result<Head, Damage>> {
        let parsed = Head::parse_any(reader.need(position, HEAD_BYTES_LIKELY)?, self.segment.salt());
        match parsed {
            Err(Damage::Short { needed }) => Some(Head::parse_any(reader.need(position, needed)?, self.segment.salt())),
            parsed => Some(parsed),
        }
    }

    /// Whether a group was cut short here by an earlier recovery: zeros, and then the frame that goes on.
    pub(super) fn is_cut_here(&mut self, position: u64, reader: &mut Reader) -> Option<bool> {
        if self.is_copy || self.peek().is_some_and(|(_, slot)| slot.position() == position) {
            return Some(false);
        }
        let frame_at = sector_end(position);
        let zeros = usize::try_from(frame_at - position).expect("less than a sector");
        let bytes = reader.need(position, zeros + FRAME_BYTES)?;
        let (padding, frame) = bytes.split_at(zeros.min(bytes.len()));
        let goes_on = self.frame(frame, frame_at).is_some_and(|frame| frame.first == self.next);
        Some(goes_on && padding.iter().all(|&byte| byte == 0))
    }

    pub(super) fn bad_needle(&mut self, position: u64, limit: u64, damage: Damage, reader: &Reader) -> Turn {
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
    pub(super) fn needle(&mut self, head: Head, reader: &mut Reader) -> Turn {
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
            None if planted::on(Bug::ScrubSkipsIndex) => {}
            None => {
                let what = "a whole needle that the index has not, or has elsewhere".to_string();
                self.find(Kind::Place, position, Some((head.sequence, 1)), what);
            }
        }
        let is_known = entry.is_some_and(Slot::is_damaged);
        if head.sequence != self.next && !self.is_copy {
            self.chain = None;
        }
        self.chain = self.chain.map(|chain| chain_next(chain, head.checksum));
        self.next = Sequence(head.sequence.0.saturating_add(1));
        let content = Content { head, start: position, block: 0, is_known, is_bad: false, is_unreadable: false };
        self.on(State::Content(Box::new(content)))
    }

    pub(super) fn content(&mut self, mut content: Box<Content>, reader: &mut Reader) -> Turn {
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
        self.name(&content);
        self.position = end;
        self.on(State::Group)
    }

    pub(super) fn bad_block(&mut self, content: &mut Content, place: &Range<u64>, reader: &Reader) {
        // One finding a needle; what cannot be read is told as such.
        content.is_unreadable |= reader.is_unreadable(place);
        if content.is_bad || reader.is_unreadable(place) {
            return;
        }
        content.is_bad = true;
        let kind = if content.is_known { Kind::Known } else { Kind::Needle };
        let what = Damage::Block(content.block).to_string();
        self.find(kind, place.start, Some((content.head.sequence, 1)), what);
    }

    /// A whole object that was put for a name, and that the index has as living here, is told.
    fn name(&mut self, content: &Content) {
        let head = &content.head;
        let is_named = head.flags & FLAG_NAMED != 0 || planted::on(Bug::CollectUnnamed);
        if head.kind != NeedleKind::Put || !is_named || content.is_bad || content.is_unreadable {
            return;
        }
        let is_living = |slot: &Slot| !slot.is_deleted() && !slot.is_damaged() && !slot.is_other_kind();
        let entry = self.entry(head.sequence).filter(|slot| slot.position() == content.start);
        if entry.is_some_and(|slot| is_living(&slot)) {
            let id = ObjectId { volume: head.volume, sequence: head.sequence, cookie: head.cookie };
            self.named.push(NamedNeedle { id, origin: head.origin, bytes: head.payload_bytes });
        }
    }

    /// What a tombstone names is deleted in the index.
    pub(super) fn tombstone(&mut self, content: &Content, place: &Range<u64>, reader: &mut Reader) {
        let bytes = usize::try_from(place.end - place.start).unwrap_or(0);
        let target = reader.need(place.start, bytes).and_then(|payload| content.head.tombstone_target(payload));
        let Some((target, _)) = target else { return };
        let is_living = matches!(self.known.view.locate(self.segment.volume(), target), Located::Object(_));
        if is_living && !planted::on(Bug::ScrubSkipsIndex) {
            let what = format!("a tombstone for sequence {:x}, which the index does not have as deleted", target.0);
            self.find(Kind::Place, content.start, Some((content.head.sequence, 1)), what);
        }
    }
}
