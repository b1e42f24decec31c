//! The state of a disk, as its threads have found it and as placement and `status` see it.
//!
//! Moved by the disk's own threads and by the watch, read by any. Always: a disk that failed for writing stays so until the
//! process opens it again; only a healthy one takes objects.
//!
//! | condition | no room | room | suspected | trusted | failed |
//! |---|---|---|---|---|---|
//! | Healthy | Full | | Suspect | | Failed |
//! | Full | | Healthy | SuspectAndFull | | Failed |
//! | Suspect | SuspectAndFull | | | Healthy | Failed |
//! | SuspectAndFull | | Suspect | | Full | Failed |
//! | Failed | | | | | |
//!
//! An empty field is no transition. SuspectAndFull is shown as suspect: that is what somebody has to look at.

use crate::base::clock::Clock;
use crate::metrics::DiskMetrics;
use parking_lot::Mutex;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// What a disk can do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskState {
    /// Reads and writes.
    #[default]
    Healthy,
    /// Reads and deletes, and takes no objects for want of room.
    Full,
    /// Hangs, or had errors of reads lately: reads and deletes, and takes no objects.
    Suspect,
    /// Reads what it still can; takes no writes until it is opened again.
    Failed,
}

/// What was found out about a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    NoRoom,
    Room,
    Suspected,
    Trusted,
    Failed,
}

/// What holds for a disk; more than one thing may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Condition {
    Healthy = 0,
    Full = 1,
    Suspect = 2,
    SuspectAndFull = 3,
    Failed = 4,
}

impl Condition {
    fn after(self, event: Event) -> Self {
        match (self, event) {
            (Self::Failed, _) | (_, Event::Failed) => Self::Failed,
            (Self::Healthy, Event::NoRoom) | (Self::SuspectAndFull, Event::Trusted) => Self::Full,
            (Self::Healthy, Event::Suspected) | (Self::SuspectAndFull, Event::Room) => Self::Suspect,
            (Self::Full, Event::Suspected) | (Self::Suspect, Event::NoRoom) => Self::SuspectAndFull,
            (Self::Full, Event::Room) | (Self::Suspect, Event::Trusted) => Self::Healthy,
            (same, _) => same,
        }
    }

    fn shown(self) -> DiskState {
        match self {
            Self::Healthy => DiskState::Healthy,
            Self::Full => DiskState::Full,
            Self::Suspect | Self::SuspectAndFull => DiskState::Suspect,
            Self::Failed => DiskState::Failed,
        }
    }
}

/// The state of one disk.
pub(super) struct StateCell {
    place: String,
    clock: Arc<dyn Clock>,
    metrics: Arc<DiskMetrics>,
    /// Written under the lock of `told`.
    condition: AtomicU8,
    told: Mutex<Told>,
}

/// Why and since when. The lock is held over arithmetic only.
#[derive(Debug, Default)]
struct Told {
    full: String,
    /// Of the state that is shown.
    cause: String,
    since_ms: u64,
}

impl StateCell {
    pub(super) fn new(place: String, clock: Arc<dyn Clock>, metrics: Arc<DiskMetrics>) -> Self {
        let told = Told { since_ms: clock.wall_ms(), ..Told::default() };
        Self { place, clock, metrics, condition: AtomicU8::new(0), told: Mutex::new(told) }
    }

    fn condition(&self) -> Condition {
        match self.condition.load(Ordering::Acquire) {
            0 => Condition::Healthy,
            1 => Condition::Full,
            2 => Condition::Suspect,
            3 => Condition::SuspectAndFull,
            _ => Condition::Failed,
        }
    }

    /// What is shown.
    pub(super) fn state(&self) -> DiskState {
        self.condition().shown()
    }

    /// Whether it is full, also if it is suspect besides.
    pub(super) fn is_full(&self) -> bool {
        matches!(self.condition(), Condition::Full | Condition::SuspectAndFull)
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.state() == DiskState::Suspect
    }

    pub(super) fn has_failed(&self) -> bool {
        self.state() == DiskState::Failed
    }

    /// Why it is in this state, and since when, in milliseconds of UTC.
    pub(super) fn cause(&self) -> (String, u64) {
        let told = self.told.lock();
        (told.cause.clone(), told.since_ms)
    }

    /// Moves as the table says, and says so once.
    pub(super) fn enter(&self, event: Event, cause: &str) {
        if self.condition().after(event) == self.condition() {
            return;
        }
        let (from, to) = {
            let mut told = self.told.lock();
            let from = self.condition();
            let to = from.after(event);
            if event == Event::NoRoom {
                told.full = cause.to_string();
            }
            if to.shown() != from.shown() {
                // What it was suspected for is over, and it is full as before.
                told.cause = if to == Condition::Full { told.full.clone() } else { cause.to_string() };
                told.since_ms = self.clock.wall_ms();
            }
            self.condition.store(to as u8, Ordering::Release);
            (from, to)
        };
        if from != to {
            self.tell(from, to, cause);
        }
    }

    fn tell(&self, from: Condition, to: Condition, cause: &str) {
        let (metrics, place) = (&self.metrics, &self.place);
        if from.shown() != to.shown() {
            match to.shown() {
                DiskState::Healthy => &metrics.entered_healthy,
                DiskState::Full => &metrics.entered_full,
                DiskState::Suspect => &metrics.entered_suspect,
                DiskState::Failed => &metrics.entered_failed,
            }
            .increment();
        }
        match to {
            Condition::Healthy => log::info!("disk {place}: takes objects again: {cause}"),
            Condition::Full => log::warn!("disk {place}: full, takes no objects: {cause}"),
            Condition::Suspect => log::warn!("disk {place}: suspect, takes no objects for a while: {cause}"),
            Condition::SuspectAndFull => log::warn!("disk {place}: suspect and full, takes no objects: {cause}"),
            Condition::Failed => log::error!("disk {place}: failed for writing until it is opened again: {cause}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::ManualClock;
    use std::time::Duration;

    #[test]
    fn the_transition_table() {
        use Condition::{Failed, Full, Healthy, Suspect, SuspectAndFull};
        let events = [Event::NoRoom, Event::Room, Event::Suspected, Event::Trusted, Event::Failed];
        let table = [
            (Healthy, [Full, Healthy, Suspect, Healthy, Failed]),
            (Full, [Full, Healthy, SuspectAndFull, Full, Failed]),
            (Suspect, [SuspectAndFull, Suspect, Suspect, Healthy, Failed]),
            (SuspectAndFull, [SuspectAndFull, Suspect, SuspectAndFull, Full, Failed]),
            (Failed, [Failed; 5]),
        ];
        for (from, row) in table {
            for (event, to) in events.into_iter().zip(row) {
                assert_eq!(from.after(event), to, "{from:?} after {event:?}");
            }
        }
        let shown = [Healthy, Full, Suspect, SuspectAndFull, Failed].map(Condition::shown);
        use DiskState as S;
        assert_eq!(shown, [S::Healthy, S::Full, S::Suspect, S::Suspect, S::Failed]);
    }

    #[test]
    fn each_state_has_its_cause_its_time_and_its_count() {
        let (clock, metrics) = (Arc::new(ManualClock::default()), Arc::new(DiskMetrics::default()));
        let cell = StateCell::new("d".into(), Arc::clone(&clock) as Arc<dyn Clock>, Arc::clone(&metrics));
        let begun = cell.cause().1;
        let steps = [
            (Event::NoRoom, "no room", DiskState::Full, "no room"),
            (Event::NoRoom, "still none", DiskState::Full, "no room"),
            (Event::Suspected, "slow", DiskState::Suspect, "slow"),
            (Event::Trusted, "calm", DiskState::Full, "no room"),
            (Event::Room, "room", DiskState::Healthy, "room"),
            (Event::Suspected, "slow", DiskState::Suspect, "slow"),
            (Event::NoRoom, "none", DiskState::Suspect, "slow"),
            (Event::Failed, "EIO", DiskState::Failed, "EIO"),
            (Event::Room, "hope", DiskState::Failed, "EIO"),
        ];
        let mut since = begun;
        let mut before = DiskState::Healthy;
        for (event, cause, state, told) in steps {
            clock.advance(Duration::from_millis(10));
            cell.enter(event, cause);
            if state != before {
                since = clock.wall_ms();
            }
            before = state;
            assert_eq!((cell.state(), cell.cause()), (state, (told.to_string(), since)), "{event:?}");
        }
        let counts =
            [&metrics.entered_healthy, &metrics.entered_full, &metrics.entered_suspect, &metrics.entered_failed];
        assert_eq!(counts.map(crate::metrics::Counter::value), [1, 2, 2, 1]);
    }
}
