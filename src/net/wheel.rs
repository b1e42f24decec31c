//! The timers of a processor: a hashed wheel (Varghese and Lauck, 1987), one entry a connection.
//!
//! Processor thread. A connection asks to be looked at no later than some moment, and works out by itself what is due
//! then; so a request needs no timer of its own, and nothing is ever cancelled. Always: an entry comes out no earlier
//! than its moment and at most one tick plus one turn later; a connection has at most one entry for each power of two of
//! nanoseconds, whatever it asks for.

use crate::base::clock::Moment;

const TICK_NS: u64 = 8_000_000;
/// 8 ms times 1,024: entries further away come round and are put back.
const SLOTS: usize = 1024;

/// The moments at which the wheel will bring one connection up: each sooner than the one before.
#[derive(Debug, Default)]
pub(super) struct Armed(Vec<Moment>);

impl Armed {
    /// Asks for `key` to come out no later than `due`.
    pub(super) fn arm<K: Copy>(&mut self, wheel: &mut Wheel<K>, now: Moment, due: Moment, key: K) {
        if due == Moment::NEVER {
            return;
        }
        // On the way there it is looked at after powers of two, so that moments which come ever sooner are few.
        let due = match due.since(now) {
            delay @ TICK_NS.. => Moment(now.0.saturating_add(1 << delay.ilog2())),
            _ => due,
        };
        if self.0.last().is_none_or(|soonest| due < *soonest) {
            self.0.push(due);
            wheel.arm(due, key);
        }
    }

    /// Whether a key that came out is to be looked at: it was not since its moment.
    pub(super) fn is_due(&mut self, now: Moment) -> bool {
        let before = self.0.len();
        while self.0.pop_if(|moment| *moment <= now).is_some() {}
        self.0.len() < before
    }
}

#[derive(Debug)]
pub(super) struct Wheel<K> {
    slots: Vec<Vec<(u64, K)>>,
    /// The tick of the soonest entry of each slot, so that going to sleep does not look at every entry.
    soonest: Vec<u64>,
    tick: u64,
    count: usize,
}

impl<K: Copy> Wheel<K> {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            soonest: vec![u64::MAX; SLOTS],
            tick: now.0 / TICK_NS,
            count: 0,
        }
    }

    /// Asks for `key` to come out at `due`.
    pub(super) fn arm(&mut self, due: Moment, key: K) {
        // Rounded up, and never in the tick that has just been emptied.
        let tick = due.0.div_ceil(TICK_NS).max(self.tick + 1);
        let slot = Self::slot(tick);
        self.slots[slot].push((tick, key));
        self.soonest[slot] = self.soonest[slot].min(tick);
        self.count += 1;
    }

    /// Moves on to `now`, and puts what is due into `into`.
    pub(super) fn advance(&mut self, now: Moment, into: &mut Vec<K>) {
        let target = now.0 / TICK_NS;
        // After a long sleep one round visits every slot.
        let first = (self.tick + 1).max(target.saturating_sub(SLOTS as u64 - 1));
        for tick in first..=target {
            let number = Self::slot(tick);
            if self.soonest[number] > target {
                continue;
            }
            let slot = &mut self.slots[number];
            let before = into.len();
            let mut soonest = u64::MAX;
            slot.retain(|(due, key)| {
                let comes_out = *due <= target;
                if comes_out {
                    into.push(*key);
                } else {
                    soonest = soonest.min(*due);
                }
                !comes_out
            });
            self.soonest[number] = soonest;
            self.count -= into.len() - before;
            if slot.is_empty() && slot.capacity() > 64 {
                *slot = Vec::new();
            }
        }
        self.tick = self.tick.max(target);
    }

    /// When the next entry can come out at the earliest; `None` when there is none. Looks at most one round ahead.
    pub(super) fn next(&self) -> Option<Moment> {
        if self.count == 0 {
            return None;
        }
        let ahead = (1..=SLOTS as u64).find(|ahead| {
            let tick = self.tick + ahead;
            self.soonest[Self::slot(tick)] <= tick
        });
        Some(Moment((self.tick + ahead.unwrap_or(SLOTS as u64)) * TICK_NS))
    }

    #[allow(clippy::cast_possible_truncation, reason = "the remainder is below SLOTS")]
    fn slot(tick: u64) -> usize {
        (tick % SLOTS as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_deadlines_on_a_long_idle_time_leave_nothing_behind() {
        let ms = 1_000_000;
        let (mut wheel, mut armed, mut out) = (Wheel::new(Moment(0)), Armed::default(), Vec::new());
        let mut most = 0;
        for now in (0..1_200_000u64).step_by(10).map(|now| Moment(now * ms)) {
            wheel.advance(now, &mut out);
            for () in out.drain(..) {
                if armed.is_due(now) {
                    armed.arm(&mut wheel, now, Moment(now.0 + 600_000 * ms), ());
                }
            }
            armed.arm(&mut wheel, now, Moment(now.0 + 10 * ms), ());
            most = most.max(wheel.count);
        }
        assert!(most <= 40, "{most} entries of one connection");
    }

    proptest! {
        #[test]
        fn one_key_comes_up_in_time_and_has_few_entries(
            asked in proptest::collection::vec((0u64..700_000, 0u64..300), 1..300),
        ) {
            let ms = 1_000_000;
            let (mut wheel, mut armed, mut out) = (Wheel::new(Moment(0)), Armed::default(), Vec::new());
            let (mut now, mut soonest) = (Moment(0), Moment::NEVER);
            for (delay, step) in asked {
                let due = Moment(now.0 + delay * ms);
                soonest = soonest.min(due);
                armed.arm(&mut wheel, now, due, ());
                now = Moment(now.0 + step * ms);
                wheel.advance(now, &mut out);
                for () in out.drain(..) {
                    if armed.is_due(now) {
                        soonest = if soonest <= now { Moment::NEVER } else { soonest };
                        armed.arm(&mut wheel, now, soonest, ());
                    }
                }
                prop_assert!(now.since(soonest) < TICK_NS, "asked for {soonest:?}, not up at {now:?}");
                prop_assert!(wheel.count <= 40, "{} entries", wheel.count);
            }
        }

        #[test]
        fn everything_comes_out_once_and_in_time(
            dues in proptest::collection::vec(0u64..40_000, 0..100),
            steps in proptest::collection::vec(1u64..12_000, 1..30),
        ) {
            let ms = 1_000_000;
            let mut wheel = Wheel::new(Moment(0));
            for (key, due) in dues.iter().enumerate() {
                wheel.arm(Moment(due * ms), key);
            }
            let (mut now, mut out, mut seen) = (0, Vec::new(), vec![false; dues.len()]);
            for step in steps.into_iter().chain([50_000]) {
                if let Some(next) = wheel.next() {
                    let earliest = dues.iter().zip(&seen).filter(|(_, seen)| !**seen).map(|(due, _)| due * ms).min();
                    prop_assert!(next.0 <= earliest.unwrap() + TICK_NS || next.0 <= now + 1024 * TICK_NS + TICK_NS);
                }
                now += step * ms;
                out.clear();
                wheel.advance(Moment(now), &mut out);
                for key in &out {
                    prop_assert!(!seen[*key], "came out twice");
                    prop_assert!(dues[*key] * ms <= now, "came out early");
                    seen[*key] = true;
                }
                for (key, due) in dues.iter().enumerate() {
                    prop_assert!(seen[key] || due * ms + TICK_NS > now, "{key} is late");
                }
            }
            prop_assert!(wheel.next().is_none());
        }
    }
}
