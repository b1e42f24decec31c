//! The live controls of a faulty disk, shared by the disk, its files and whoever turns them.
//!
//! Any thread. The lock is held over arithmetic only; a call that is held back waits outside of it.

use super::fault::{Call, Called, Effect, Fault, FaultPlan, Target};
use parking_lot::{Condvar, Mutex};
use std::io;
use std::time::{Duration, Instant};

/// The live controls of a faulty disk.
#[derive(Debug)]
pub struct Faults {
    state: Mutex<State>,
    /// A call came in, began to hang, or was let go: for those who watch.
    changed: Condvar,
    /// Calls that hang are let go. Apart from `changed`, or every call would wake them all.
    released: Condvar,
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<Fault>,
    delays: [Duration; Call::ALL.len()],
    hangs: [bool; Call::ALL.len()],
    counts: [u64; Call::ALL.len()],
    cold: bool,
    /// What was called, in the order in which it ended; none while nobody asked for it.
    record: Option<Vec<Called>>,
    /// Calls that hang now.
    hanging: usize,
    /// Moves when hanging calls are let go, so that one that is held anew does not hold them again.
    releases: u64,
}

impl Faults {
    pub(super) fn new(plan: FaultPlan) -> Self {
        let mut state = State { faults: plan.faults, cold: plan.cold, ..State::default() };
        for (call, delay) in plan.delays {
            state.delays[call as usize] = delay;
        }
        Self { state: Mutex::new(state), changed: Condvar::new(), released: Condvar::new() }
    }

    /// Adds a fault. Where several strike the same call, the first that was added does; turned bits add up.
    pub fn add(&self, fault: Fault) {
        self.state.lock().faults.push(fault);
    }

    /// Makes these calls take so much longer from now on; zero ends it. Those that never wait are not touched.
    pub fn delay(&self, calls: &[Call], delay: Duration) {
        let mut state = self.state.lock();
        for call in calls {
            state.delays[*call as usize] = delay;
        }
    }

    /// Holds these calls from now on, until [`release`](Self::release). Those that never wait are not touched.
    pub fn hang(&self, calls: &[Call]) {
        let mut state = self.state.lock();
        for call in calls {
            state.hangs[*call as usize] = true;
        }
    }

    /// Lets go of all calls that hang, and holds no more.
    pub fn release(&self) {
        let mut state = self.state.lock();
        state.hangs = Default::default();
        state.releases += 1;
        self.changed.notify_all();
        self.released.notify_all();
    }

    /// Whether nothing is in the page cache from now on.
    pub fn set_cold(&self, cold: bool) {
        self.state.lock().cold = cold;
    }

    /// Ends everything: faults, delays, hangs and coldness.
    pub fn heal(&self) {
        {
            let mut state = self.state.lock();
            state.faults.clear();
            state.delays = Default::default();
            state.cold = false;
        }
        self.release();
    }

    /// Begins a record of all calls, and hands out the one until now. It grows without a bound: for tests that end.
    pub fn record(&self) -> Vec<Called> {
        self.state.lock().record.replace(Vec::new()).unwrap_or_default()
    }

    /// Calls of this kind so far, with those that failed or hang.
    #[must_use]
    pub fn count(&self, call: Call) -> u64 {
        self.state.lock().counts[call as usize]
    }

    /// Calls that hang now.
    #[must_use]
    pub fn hanging(&self) -> usize {
        self.state.lock().hanging
    }

    /// Waits until so many calls hang; false if they do not within `limit`.
    #[must_use]
    pub fn wait_until_hanging(&self, calls: usize, limit: Duration) -> bool {
        self.wait_until(limit, |state| state.hanging >= calls)
    }

    /// Waits until there have been so many calls of this kind; false if there are not within `limit`.
    #[must_use]
    pub fn wait_until_called(&self, call: Call, count: u64, limit: Duration) -> bool {
        self.wait_until(limit, |state| state.counts[call as usize] >= count)
    }

    fn wait_until(&self, limit: Duration, holds: impl Fn(&State) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.state.lock();
        while !holds(&state) {
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                return holds(&state);
            }
        }
        true
    }

    pub(super) fn is_cold(&self) -> bool {
        self.state.lock().cold
    }

    /// A call that returns nothing: holds it back, then runs it, or fails it, or loses it.
    pub(super) fn run(&self, target: Target<'_>, run: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.strike(target, |effect, _| match effect {
            None => run(),
            Some(Effect::Lost) => Ok(()),
            Some(effect) => Err(effect.error()),
        })
    }

    /// A call that returns something: holds it back, then runs it or fails it.
    pub(super) fn answer<T>(&self, target: Target<'_>, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.strike(target, |effect, _| match effect {
            None | Some(Effect::Lost) => run(),
            Some(effect) => Err(effect.error()),
        })
    }

    /// Any call: holds it back, runs it under what strikes it (one effect, and bits to turn), and records how it ended.
    pub(super) fn strike<T>(
        &self,
        target: Target<'_>,
        run: impl FnOnce(Option<Effect>, &[Effect]) -> io::Result<T>,
    ) -> io::Result<T> {
        let (effect, flips) = self.enter(target);
        let outcome = run(effect, &flips);
        if let Some(record) = &mut self.state.lock().record {
            record.push(Called { call: target.call, name: target.name.to_owned(), failed: outcome.is_err() });
        }
        outcome
    }

    /// Counts a call, decides what happens to it, and holds it back: the fault if one strikes, and the bits to turn.
    fn enter(&self, target: Target<'_>) -> (Option<Effect>, Vec<Effect>) {
        let call = target.call as usize;
        let mut state = self.state.lock();
        state.counts[call] += 1;
        self.changed.notify_all();
        let struck: Vec<Effect> = state.faults.iter_mut().filter_map(|fault| fault.meet(&target)).collect();
        state.faults.retain(|fault| !fault.is_spent());
        if target.call.may_wait() {
            let delay = state.delays[call];
            if state.hangs[call] {
                let releases = state.releases;
                state.hanging += 1;
                self.changed.notify_all();
                self.released.wait_while(&mut state, |state| state.releases == releases);
                state.hanging -= 1;
            }
            drop(state);
            if !delay.is_zero() {
                std::thread::sleep(delay);
            }
        }
        let (flips, others): (Vec<_>, Vec<_>) =
            struck.into_iter().partition(|effect| matches!(effect, Effect::Flip { .. }));
        (others.first().copied(), flips)
    }
}

impl Effect {
    pub(super) fn error(self) -> io::Error {
        match self {
            Self::Error { errno } | Self::Torn { errno, .. } => io::Error::from_raw_os_error(errno),
            Self::Lost | Self::Flip { .. } | Self::Short { .. } | Self::Misdirected { .. } => {
                io::ErrorKind::Other.into()
            }
        }
    }
}
