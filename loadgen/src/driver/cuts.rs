//! Answers in pieces, for the tests of drivers: however bytes are cut, they mean the same.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use super::{Driver, Garbage, Output, Reply, Sink, Slot};
use crate::workload::random::Numbers;
use crate::workload::{Key, Object, Step, Verb};
use larder::base::ids::ObjectId;

/// The seed of all objects of the tests.
pub(super) const SEED: u64 = 7;

/// What a driver told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// By slot.
    pub(super) contents: Vec<Vec<u8>>,
    pub(super) done: Vec<(u32, Reply)>,
}

impl Sink for Seen {
    fn content(&mut self, slot: Slot, bytes: &[u8]) {
        assert!(!bytes.is_empty(), "nothing is told of nothing");
        let slot = usize::try_from(slot.0).unwrap();
        if self.contents.len() <= slot {
            self.contents.resize(slot + 1, Vec::new());
        }
        self.contents[slot].extend_from_slice(bytes);
    }

    fn done(&mut self, slot: Slot, reply: Reply) {
        self.done.push((slot.0, reply));
    }
}

impl Seen {
    pub(super) fn content(&self, slot: usize) -> &[u8] {
        self.contents.get(slot).map_or(&[], Vec::as_slice)
    }
}

/// A request for the object of a number.
pub(super) fn step(verb: Verb, number: u64, bytes: u64, id: Option<ObjectId>) -> Step {
    let range = (verb == Verb::Range).then_some((3, bytes.min(5)));
    Step { verb, object: Object { key: Key { seed: SEED, number }, bytes, id }, range, place: 0 }
}

/// All that an output holds.
pub(super) fn sent(output: &mut Output) -> Vec<u8> {
    let mut all = Vec::new();
    while !output.is_empty() {
        let ready = output.front().to_vec();
        output.sent(ready.len());
        all.extend(ready);
    }
    all
}

/// Gives the pieces to a driver as a connection would: what it leaves is shown again.
pub(super) fn feed(driver: &mut dyn Driver, pieces: &[&[u8]]) -> Result<Seen, Garbage> {
    let mut seen = Seen::default();
    let mut input = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        let taken = driver.decode(&input, &mut seen)?;
        input.drain(..taken);
        assert_eq!(driver.decode(&input, &mut seen)?, 0, "it took what it could the first time");
    }
    if !input.is_empty() {
        return Err(Garbage(format!("left {}", input.escape_ascii())));
    }
    Ok(seen)
}

/// What a driver sees in an answer: the same whole, cut in two everywhere, and byte by byte.
pub(super) fn everywhere<D: Driver>(make: impl Fn() -> D, answer: &[u8]) -> Seen {
    let whole = feed(&mut make(), &[answer]).unwrap();
    for cut in 0..answer.len() {
        let (front, back) = answer.split_at(cut);
        assert_eq!(feed(&mut make(), &[front, back]).as_ref(), Ok(&whole), "cut at {cut}");
    }
    let bytes: Vec<&[u8]> = answer.chunks(1).collect();
    assert_eq!(feed(&mut make(), &bytes).as_ref(), Ok(&whole), "byte by byte");
    whole
}

/// A driver outlives whatever comes: an answer with a few bytes changed, cut somewhere. It ends the connection, or takes it
/// as an answer, and never tells of a request twice.
pub(super) fn survives<D: Driver>(make: impl Fn() -> D, answer: &[u8]) {
    let mut refused = 0;
    for seed in 0..3000 {
        let mut numbers = Numbers::of(seed, SEED);
        let mut place = || usize::try_from(numbers.below(answer.len() as u64)).unwrap();
        let mut changed = answer.to_vec();
        for _ in 0..=seed % 3 {
            let at = place();
            changed[at] = changed[place()] ^ u8::from(seed % 2 == 0);
        }
        let (front, back) = changed.split_at(place());
        match feed(&mut make(), &[front, back]) {
            Ok(seen) => {
                let mut slots: Vec<u32> = seen.done.iter().map(|(slot, _)| *slot).collect();
                slots.dedup();
                assert_eq!(slots.len(), seen.done.len(), "{}", changed.escape_ascii());
            }
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0, "not every change is fine");
}

/// Why a driver refuses an answer; the same whole and byte by byte.
pub(super) fn garbage<D: Driver>(make: impl Fn() -> D, answer: &[u8]) -> String {
    let bytes: Vec<&[u8]> = answer.chunks(1).collect();
    feed(&mut make(), &bytes).expect_err("it is garbage, byte by byte");
    feed(&mut make(), &[answer]).expect_err("it is garbage").0
}
