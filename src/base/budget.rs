//! A budget of bytes shared by all connections: one for bodies coming in, one for replies going out.
//!
//! Any thread. Always: what is reserved never exceeds the capacity; room is granted in the order of asking within
//! its size class; a waiter holds nothing. Reservations above [`SMALL_BYTES_MAX`] together leave one eighth free, so
//! that large bodies which stop half-way cannot keep small requests out; and while a large one waits, small ones leave
//! it room beyond that eighth, so that they cannot keep it out either. The lock is held over arithmetic only:
//! grants are announced after it is released.

use crate::base::completion::Completion;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// Reservations up to this may use the whole budget.
pub const SMALL_BYTES_MAX: usize = 128 << 10;

/// A number of bytes that may be held at once.
#[derive(Debug)]
pub struct Budget {
    capacity: usize,
    large_capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    used: usize,
    large_used: usize,
    peak: usize,
    small: VecDeque<Waiter>,
    large: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    bytes: usize,
    granted: Completion<Reservation>,
}

impl Budget {
    /// A budget of `capacity` bytes.
    #[must_use]
    pub fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { capacity, large_capacity: capacity - capacity / 8, state: Mutex::default() })
    }

    /// All that may be held at once.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The largest single reservation that can ever be granted.
    #[must_use]
    pub fn largest(&self) -> usize {
        self.large_capacity
    }

    /// Bytes held now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.state.lock().used
    }

    /// The most that was ever held.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.state.lock().peak
    }

    /// How many wait for room.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let state = self.state.lock();
        state.small.len() + state.large.len()
    }

    /// Room for `bytes`, if there is some and nobody of the same class waits for it.
    #[must_use]
    pub fn try_reserve(self: &Arc<Self>, bytes: usize) -> Option<Reservation> {
        let mut state = self.state.lock();
        let queue = if bytes > SMALL_BYTES_MAX { &state.large } else { &state.small };
        if !queue.is_empty() || !self.fits(&state, bytes) {
            return None;
        }
        Some(self.take(&mut state, bytes))
    }

    /// Room for `bytes` at once, or a place in the queue: then `granted` is called with it later, from the thread
    /// that made the room.
    ///
    /// Asking for more than [`largest`](Self::largest) would wait for ever, so it is a mistake of the caller.
    #[must_use]
    pub fn reserve_or_wait(
        self: &Arc<Self>,
        bytes: usize,
        granted: impl FnOnce() -> Completion<Reservation>,
    ) -> Option<Reservation> {
        let bound = if bytes > SMALL_BYTES_MAX { self.large_capacity } else { self.capacity };
        assert!(bytes <= bound, "limits keep every reservation below the budget");
        let mut state = self.state.lock();
        let fits = self.fits(&state, bytes);
        let queue = if bytes > SMALL_BYTES_MAX { &mut state.large } else { &mut state.small };
        if !queue.is_empty() || !fits {
            queue.push_back(Waiter { bytes, granted: granted() });
            return None;
        }
        Some(self.take(&mut state, bytes))
    }

    fn fits(&self, state: &State, bytes: usize) -> bool {
        if state.used + bytes > self.capacity {
            return false;
        }
        if bytes > SMALL_BYTES_MAX {
            return state.large_used + bytes <= self.large_capacity;
        }
        // While a large one waits for small ones to go, they keep to their eighth, or to what it leaves.
        let small_used = state.used - state.large_used;
        state.large.front().is_none_or(|large| {
            state.large_used + large.bytes > self.large_capacity
                || state.used + bytes + large.bytes <= self.capacity
                || small_used + bytes <= self.capacity - self.large_capacity
        })
    }

    fn take(self: &Arc<Self>, state: &mut State, bytes: usize) -> Reservation {
        let large = bytes > SMALL_BYTES_MAX;
        state.used += bytes;
        state.large_used += if large { bytes } else { 0 };
        state.peak = state.peak.max(state.used);
        Reservation { budget: Arc::clone(self), bytes, large }
    }

    fn give_back(self: &Arc<Self>, bytes: usize, large: bool) {
        let mut granted = Vec::new();
        {
            let mut state = self.state.lock();
            state.used -= bytes;
            state.large_used -= if large { bytes } else { 0 };
            debug_assert!(state.large_used <= state.used);
            // Large ones first: what they leave is for small ones, which have their eighth in any case.
            for is_large in [true, false] {
                loop {
                    let queue = if is_large { &state.large } else { &state.small };
                    let Some(bytes) = queue.front().map(|waiter| waiter.bytes) else {
                        break;
                    };
                    if !self.fits(&state, bytes) {
                        break;
                    }
                    let queue = if is_large { &mut state.large } else { &mut state.small };
                    let waiter = queue.pop_front().expect("the front was just read");
                    granted.push((waiter.granted, self.take(&mut state, bytes)));
                }
            }
        }
        for (completion, reservation) in granted {
            completion.complete(reservation);
        }
    }
}

/// Room in a budget, given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: usize,
    large: bool,
}

impl Reservation {
    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.give_back(self.bytes, self.large);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ask(
        budget: &Arc<Budget>,
        bytes: usize,
        log: &Arc<Mutex<Vec<(usize, Reservation)>>>,
        name: usize,
    ) -> Option<Reservation> {
        let log = Arc::clone(log);
        budget.reserve_or_wait(bytes, || Completion::new(move |room| log.lock().push((name, room))))
    }

    #[test]
    fn first_come_first_served() {
        let budget = Budget::new(1000);
        let log = Arc::default();
        let first = ask(&budget, 900, &log, 0).unwrap();
        assert!(ask(&budget, 500, &log, 1).is_none());
        assert!(ask(&budget, 50, &log, 2).is_none(), "50 would fit, but 500 was first");
        assert!(budget.try_reserve(1).is_none());
        drop(first);
        assert_eq!(log.lock().iter().map(|(name, _)| *name).collect::<Vec<_>>(), [1, 2]);
        let granted = std::mem::take(&mut *log.lock());
        drop(granted);
        assert_eq!((budget.used(), budget.waiting(), budget.peak()), (0, 0, 900));
    }

    #[test]
    fn large_bodies_leave_room_for_small_ones() {
        let budget = Budget::new(8 << 20);
        let _stopped: Vec<_> = (0..7).map(|_| budget.try_reserve(1 << 20).unwrap()).collect();
        assert!(budget.try_reserve(1 << 20).is_none(), "the last eighth is not for large bodies");
        assert!(budget.try_reserve(SMALL_BYTES_MAX).is_some());
    }

    #[test]
    fn a_large_body_gets_its_turn_while_small_ones_keep_coming() {
        let budget = Budget::new(8 << 20);
        let log = Arc::default();
        let mut small: VecDeque<_> =
            (0..(8 << 20) / SMALL_BYTES_MAX).map(|_| budget.try_reserve(SMALL_BYTES_MAX).unwrap()).collect();
        assert!(ask(&budget, 2 << 20, &log, 1).is_none());
        let granted = Arc::default();
        for name in 0..1000 {
            // One is done, and the next is there already.
            small.pop_front();
            small.extend(ask(&budget, SMALL_BYTES_MAX, &granted, name));
            small.extend(std::mem::take(&mut *granted.lock()).into_iter().map(|(_, room)| room));
            if !log.lock().is_empty() {
                return;
            }
        }
        panic!("1000 small ones went before it");
    }

    proptest! {
        #[test]
        fn never_over_capacity_and_nobody_is_forgotten(steps in proptest::collection::vec((0usize..700_000, any::<bool>()), 1..200)) {
            let budget = Budget::new(2_000_000);
            let log = Arc::new(Mutex::new(Vec::new()));
            let mut held = Vec::new();
            let mut asked = 0;
            let mut granted = 0;
            for (name, (bytes, free)) in steps.into_iter().enumerate() {
                if free && !held.is_empty() {
                    drop(held.remove(0));
                } else {
                    asked += 1;
                    held.extend(ask(&budget, bytes, &log, name).inspect(|_| granted += 1));
                }
                let got = std::mem::take(&mut *log.lock());
                granted += got.len();
                held.extend(got.into_iter().map(|(_, room)| room));
                prop_assert!(budget.used() <= budget.capacity());
                prop_assert_eq!(budget.used(), held.iter().map(Reservation::bytes).sum::<usize>());
            }
            while !held.is_empty() {
                held.clear();
                let got = std::mem::take(&mut *log.lock());
                granted += got.len();
                held.extend(got.into_iter().map(|(_, room)| room));
            }
            prop_assert_eq!((granted, budget.used(), budget.waiting()), (asked, 0, 0));
        }
    }
}
