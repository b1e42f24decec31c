//! Volume numbers, never given out twice by this node.
//!
//! Called by append lanes, once for each 32 GiB. Always: a number is on every disk that takes writes and answers before it is
//! used, so that the loss of one disk does not lead to its numbers being used again. A disk that does not answer in time is
//! left out, and told so in the log; while it hangs, one thread hangs with it and no more.

use super::state::{Event, StateCell};
use crate::base::ids::VolumeId;
use crate::store::{StoreError, Superblock, VolumeNumbers};
use crossbeam_channel::bounded;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// How long one disk may take to note a number.
const RAISE_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) struct Numbers {
    members: Vec<Member>,
    /// Held while a number is noted; only lanes take it.
    giving: Mutex<()>,
    highest: AtomicU32,
}

/// A disk that numbers are noted on.
pub(super) struct Member {
    place: String,
    superblock: Arc<Superblock>,
    state: Arc<StateCell>,
    /// A thread is noting a number there.
    busy: Arc<AtomicBool>,
}

impl Member {
    pub(super) fn new(place: String, superblock: Arc<Superblock>, state: Arc<StateCell>) -> Self {
        Self { place, superblock, state, busy: Arc::default() }
    }

    /// Whether it is to be asked; from now on it is busy then.
    fn claim(&self) -> bool {
        // What failed for writing is not written to.
        if self.state.has_failed() {
            return false;
        }
        let was_busy = self.busy.swap(true, Ordering::AcqRel);
        if was_busy {
            log::warn!("disk {}: still notes an earlier volume number, and is left out", self.place);
        }
        !was_busy
    }
}

impl Numbers {
    /// `highest` is the highest number found on any disk.
    pub(super) fn new(members: Vec<Member>, highest: VolumeId) -> Arc<Self> {
        Arc::new(Self { members, giving: Mutex::new(()), highest: AtomicU32::new(highest.0) })
    }

    /// The highest number ever given out.
    pub(super) fn highest(&self) -> VolumeId {
        VolumeId(self.highest.load(Ordering::Acquire))
    }
}

impl VolumeNumbers for Numbers {
    fn next(&self) -> Result<VolumeId, StoreError> {
        let _giving = self.giving.lock();
        let number = VolumeId(self.highest().0.checked_add(1).ok_or_else(used_up)?);
        let (sender, receiver) = bounded(self.members.len());
        let mut asked = 0;
        // At once on all disks, each on a thread of its own: one that hangs holds up nobody else.
        for member in self.members.iter().filter(|member| member.claim()) {
            let (sender, superblock) = (sender.clone(), Arc::clone(&member.superblock));
            let (place, state, busy) = (member.place.clone(), Arc::clone(&member.state), Arc::clone(&member.busy));
            let raised = crate::base::thread::spawn("volume-number", move || {
                let raised = superblock.raise(number);
                busy.store(false, Ordering::Release);
                if let Err(error) = &raised {
                    log::error!("disk {place}: volume number {:x} could not be noted: {error}", number.0);
                    if !error.is_full() {
                        state.enter(Event::Failed, &error.to_string());
                    }
                }
                // Nobody listens any more when the time was over.
                let _late = sender.send(raised);
            });
            match raised {
                Ok(_) => asked += 1,
                Err(error) => {
                    member.busy.store(false, Ordering::Release);
                    log::error!("disk {}: no thread to note volume number {:x}: {error}", member.place, number.0);
                }
            }
        }
        drop(sender);
        let mut noted = 0;
        let mut last_error = None;
        for _ in 0..asked {
            match receiver.recv_timeout(RAISE_TIMEOUT) {
                Ok(Ok(())) => noted += 1,
                Ok(Err(error)) => last_error = Some(error),
                Err(_) => {
                    log::error!("a disk did not note volume number {:x} in time, and is left out", number.0);
                    break;
                }
            }
        }
        // Whatever became of it, it is not given out again.
        self.highest.store(number.0, Ordering::Release);
        match (noted, last_error) {
            (0, Some(error)) => Err(error),
            (0, None) => Err(StoreError::Io {
                place: "every disk of this node".to_string(),
                action: "noting a volume number",
                offset: 0,
                error: std::io::ErrorKind::TimedOut.into(),
            }),
            _ => Ok(number),
        }
    }
}

fn used_up() -> StoreError {
    StoreError::NumbersUsedUp { place: "this node".to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::{Clock, ManualClock};
    use crate::base::ids::{ClusterId, NodeId};
    use crate::disk::{Call, Disk, Fault, FaultPlan, Faults, FaultyDisk, MemoryDisk};
    use crate::metrics::DiskMetrics;
    use crate::store::{Opened, StoreOptions};

    fn member(clock: &Arc<dyn Clock>) -> (Member, Arc<Faults>, Opened) {
        let disk = FaultyDisk::new(Arc::new(MemoryDisk::new()), FaultPlan::default());
        let (faults, place) = (disk.faults(), disk.place());
        let options = StoreOptions { reserve_bytes: Some(0), ..StoreOptions::default() };
        let owner = (ClusterId(1), NodeId(2));
        let opened = crate::store::open(Arc::new(disk), Some(owner), &options, Arc::clone(clock)).unwrap();
        let state = StateCell::new(place.clone(), Arc::clone(clock), Arc::new(DiskMetrics::default()));
        (Member::new(place, Arc::clone(&opened.superblock), Arc::new(state)), faults, opened)
    }

    #[test]
    fn a_disk_that_hangs_holds_one_thread_and_one_that_failed_is_not_written_to() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
        let [hung, failing, sound] = [(); 3].map(|()| member(&clock));
        let states = [&hung, &failing, &sound].map(|(member, ..)| Arc::clone(&member.state));
        hung.1.hang(&[Call::Write]);
        failing.1.add(Fault::error(Call::Write, 5));
        let numbers = Numbers::new(vec![hung.0, failing.0, sound.0], VolumeId(6));
        assert_eq!(numbers.next().unwrap(), VolumeId(7));
        assert!(hung.1.wait_until_hanging(1, Duration::from_secs(30)));
        assert_eq!(states.clone().map(|state| state.has_failed()), [false, true, false]);
        let writes = (hung.1.count(Call::Write), failing.1.count(Call::Write));
        for number in 8..12 {
            assert_eq!(numbers.next().unwrap(), VolumeId(number));
        }
        assert_eq!((hung.1.count(Call::Write), failing.1.count(Call::Write)), writes);
        assert_eq!(hung.1.hanging(), 1);
        assert_eq!(sound.2.superblock.highest(), VolumeId(11));
        hung.1.release();
        // Once it answers, it is asked again.
        let mut next = 12;
        while hung.2.superblock.highest().0 < 12 {
            assert_eq!(numbers.next().unwrap(), VolumeId(next));
            next += 1;
        }
    }

    #[test]
    fn want_of_room_for_a_number_fails_no_disk() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
        let (member, faults, _opened) = member(&clock);
        let state = Arc::clone(&member.state);
        let numbers = Numbers::new(vec![member], VolumeId(0));
        faults.add(Fault::error(Call::Write, 28));
        assert!(numbers.next().unwrap_err().is_full() && !state.has_failed());
        assert_eq!(numbers.next().unwrap(), VolumeId(2));
    }
}
