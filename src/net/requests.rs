//! The requests of one connection that have no whole answer yet.
//!
//! Processor thread. Always: a slot that was freed has another generation when it is used again, so a completion that
//! comes late finds nobody; an idle connection holds no memory here.

use super::Tag;
use crate::base::clock::Moment;
use crate::request::Pieces;

/// A slot's number and the generation that it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) index: u32,
    pub(super) generation: u32,
}

#[derive(Debug)]
pub(super) struct Request {
    pub(super) tag: Tag,
    pub(super) accepted: Moment,
    pub(super) deadline: Moment,
    /// The time that its client allows, for each piece again.
    pub(super) allowance_ns: u64,
    pub(super) phase: Phase,
}

/// Where a request is.
///
/// ```text
/// Called ──answer──▶ (gone)          Called ──content with a rest──▶ Streaming{Idle}
/// Streaming{Idle} ──output is low──▶ Streaming{Fetching} ──piece──▶ Streaming{Idle}, or (gone) after the last
/// Streaming{Idle} ──no room──▶ Streaming{Waiting} ──room──▶ Streaming{Idle}
/// any ──deadline──▶ (gone), told TIMED_OUT        any ──peer gone──▶ (gone), counted as abandoned
/// ```
#[derive(Debug)]
pub(super) enum Phase {
    /// The service has it, or it waits for room for its reply.
    Called,
    /// Its first piece was sent.
    Streaming { pieces: Box<dyn Pieces>, fetch: Fetch },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetch {
    /// The next piece may be asked for.
    Idle,
    /// A worker reads the next piece.
    Fetching,
    /// The next piece waits for room.
    Waiting,
}

#[derive(Debug, Default)]
pub(super) struct Requests {
    slots: Vec<(u32, Option<Request>)>,
    free: Vec<u32>,
    count: usize,
    /// Carried over when the slots are let go, so that generations go on.
    generation: u32,
    streaming: usize,
}

impl Requests {
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn streaming(&self) -> usize {
        self.streaming
    }

    pub(super) fn insert(&mut self, request: Request) -> Slot {
        self.count += 1;
        let index = self.free.pop().unwrap_or_else(|| {
            if self.slots.is_empty() {
                // Most connections have one request at a time, and many are idle: the first slot alone.
                self.slots.reserve_exact(1);
                self.free.reserve_exact(1);
            }
            self.slots.push((self.generation, None));
            u32::try_from(self.slots.len() - 1).expect("a connection's requests are bounded")
        });
        let (generation, slot) = &mut self.slots[index as usize];
        debug_assert!(slot.is_none());
        *slot = Some(request);
        Slot { index, generation: *generation }
    }

    pub(super) fn find(&mut self, slot: Slot) -> Option<&mut Request> {
        match self.slots.get_mut(slot.index as usize) {
            Some((generation, request)) if *generation == slot.generation => request.as_mut(),
            _ => None,
        }
    }

    /// Marks a request as streaming from now on.
    pub(super) fn stream(&mut self, slot: Slot, pieces: Box<dyn Pieces>) {
        if let Some(request) = self.find(slot) {
            debug_assert!(matches!(request.phase, Phase::Called), "content begins once");
            request.phase = Phase::Streaming { pieces, fetch: Fetch::Idle };
            self.streaming += 1;
        }
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<Request> {
        let (generation, request) = self.slots.get_mut(slot.index as usize)?;
        if *generation != slot.generation {
            return None;
        }
        let request = request.take()?;
        *generation = generation.wrapping_add(1);
        self.generation = self.generation.max(*generation);
        self.free.push(slot.index);
        self.count -= 1;
        self.streaming -= usize::from(matches!(request.phase, Phase::Streaming { .. }));
        Some(request)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &Request)> {
        self.slots.iter().enumerate().filter_map(|(index, (generation, request))| {
            let index = u32::try_from(index).ok()?;
            Some((Slot { index, generation: *generation }, request.as_ref()?))
        })
    }

    /// Lets go of all memory, when nothing is in flight.
    pub(super) fn rest(&mut self) {
        if self.count == 0 {
            let generation = self.generation.wrapping_add(1);
            *self = Self { generation, ..Self::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request { tag: Tag::default(), accepted: Moment(0), deadline: Moment(1), allowance_ns: 1, phase: Phase::Called }
    }

    #[test]
    fn a_late_key_finds_nobody() {
        let mut requests = Requests::default();
        let first = requests.insert(request());
        assert!(requests.find(first).is_some());
        assert!(requests.remove(first).is_some());
        assert!(requests.remove(first).is_none());
        let second = requests.insert(request());
        assert_eq!(second.index, first.index);
        assert!(requests.find(first).is_none());
        requests.remove(second);
        requests.rest();
        let third = requests.insert(request());
        assert!(requests.find(first).is_none() && requests.find(second).is_none());
        assert_eq!((requests.count(), requests.iter().count()), (1, 1));
        assert!(requests.find(third).is_some());
    }
}
