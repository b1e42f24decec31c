//! When a disk is suspect: it hangs, or reads of it failed too often.
//!
//! Errors are noted by the threads that meet them; judged by them and by the watch. Pure but for two small numbers; no call
//! here waits for a disk.

use super::state::Event;
use crate::base::clock::Moment;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// So many errors of reads within the calm time make a disk suspect.
const ERRORS: usize = 3;

/// What is known against one disk.
#[derive(Debug)]
pub(super) struct Suspicion {
    /// Work that takes this long hangs.
    hang: Duration,
    /// A suspect disk is trusted again after this long without trouble.
    calm: Duration,
    /// The last errors, the oldest first.
    errors: Mutex<VecDeque<Moment>>,
    /// When something was last wrong.
    trouble: AtomicU64,
}

impl Suspicion {
    pub(super) fn new(hang: Duration, calm: Duration) -> Self {
        Self { hang, calm, errors: Mutex::default(), trouble: AtomicU64::new(0) }
    }

    /// A read failed.
    pub(super) fn note(&self, now: Moment) {
        let mut errors = self.errors.lock();
        if errors.len() == ERRORS {
            errors.pop_front();
        }
        errors.push_back(now);
        self.trouble.store(now.0, Ordering::Relaxed);
    }

    /// What is to be thought of the disk now; `oldest` is what has been worked on for longest, and since when.
    pub(super) fn judge(&self, now: Moment, oldest: Option<(&str, Moment)>) -> Option<(Event, String)> {
        if let Some((what, since)) = oldest.filter(|(_, since)| now - *since >= self.hang) {
            self.trouble.store(now.0, Ordering::Relaxed);
            let seconds = (now - since).as_secs_f64();
            return Some((Event::Suspected, format!("{what} has been worked on for {seconds:.1} s")));
        }
        let errors = self.errors.lock();
        let first = errors.front().filter(|first| errors.len() == ERRORS && now - **first <= self.calm);
        if first.is_some() {
            let window = self.calm.as_secs_f64();
            return Some((Event::Suspected, format!("{ERRORS} reads failed within {window:.1} s")));
        }
        drop(errors);
        let is_calm = now - Moment(self.trouble.load(Ordering::Relaxed)) >= self.calm;
        is_calm.then(|| {
            let calm = self.calm.as_secs_f64();
            (Event::Trusted, format!("no error and nothing that hangs for {calm:.1} s"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Moment {
        Moment(seconds * SECOND)
    }

    fn verdict(suspicion: &Suspicion, now: u64, since: Option<u64>) -> Option<Event> {
        suspicion.judge(at(now), since.map(|since| ("a read", at(since)))).map(|(event, _)| event)
    }

    #[test]
    fn three_errors_within_a_minute_and_then_a_minute_of_calm() {
        let suspicion = Suspicion::new(Duration::from_secs(10), Duration::from_secs(60));
        assert_eq!(verdict(&suspicion, 1, None), None, "nothing is known yet");
        for second in [2, 3] {
            suspicion.note(at(second));
            assert_eq!(verdict(&suspicion, second, None), None);
        }
        // The third, too late for the first.
        suspicion.note(at(63));
        assert_eq!(verdict(&suspicion, 63, None), None);
        suspicion.note(at(63));
        assert_eq!(verdict(&suspicion, 63, None), Some(Event::Suspected));
        assert_eq!(verdict(&suspicion, 64, None), None, "neither three in a minute nor a minute of calm");
        suspicion.note(at(100));
        assert_eq!(verdict(&suspicion, 100, None), Some(Event::Suspected));
        assert_eq!(verdict(&suspicion, 159, None), None);
        assert_eq!(verdict(&suspicion, 160, None), Some(Event::Trusted));
    }

    #[test]
    fn what_hangs_is_trouble_until_a_minute_after_it_ended() {
        let suspicion = Suspicion::new(Duration::from_secs(10), Duration::from_secs(60));
        assert_eq!(verdict(&suspicion, 100, Some(91)), Some(Event::Trusted));
        assert_eq!(verdict(&suspicion, 101, Some(91)), Some(Event::Suspected));
        assert_eq!(verdict(&suspicion, 500, Some(91)), Some(Event::Suspected));
        assert_eq!(verdict(&suspicion, 559, Some(555)), None);
        assert_eq!(verdict(&suspicion, 560, None), Some(Event::Trusted));
    }
}
