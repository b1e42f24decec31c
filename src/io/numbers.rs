//! Volume numbers, never given out twice by this node.
//!
//! Called by append lanes, once for each 32 GiB. Always: a number is on every healthy disk before it is used, so that
//! the loss of one disk does not lead to its numbers being used again. A disk that does not answer in time is left
//! out, and told so in the log.

use crate::base::ids::VolumeId;
use crate::store::{StoreError, Superblock, VolumeNumbers};
use crossbeam_channel::bounded;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long one disk may take to note a number.
const RAISE_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct Numbers {
    superblocks: Vec<(String, Arc<Superblock>)>,
    /// Held while a number is noted; only lanes take it.
    giving: Mutex<()>,
    highest: AtomicU32,
}

impl Numbers {
    /// `highest` is the highest number found on any disk.
    pub(super) fn new(superblocks: Vec<(String, Arc<Superblock>)>, highest: VolumeId) -> Arc<Self> {
        Arc::new(Self { superblocks, giving: Mutex::new(()), highest: AtomicU32::new(highest.0) })
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
        let (sender, receiver) = bounded(self.superblocks.len());
        // At once on all disks, each on a thread of its own: one that hangs holds up nobody else.
        for (place, superblock) in &self.superblocks {
            let (sender, superblock, name) = (sender.clone(), Arc::clone(superblock), place.clone());
            let raised = crate::base::thread::spawn("volume-number", move || {
                // Nobody listens any more when the time was over.
                let _late = sender.send((name, superblock.raise(number)));
            });
            if let Err(error) = raised {
                log::error!("disk {place}: no thread to note volume number {:x}: {error}", number.0);
            }
        }
        drop(sender);
        let mut noted = 0;
        let mut last_error = None;
        for _ in 0..self.superblocks.len() {
            match receiver.recv_timeout(RAISE_TIMEOUT) {
                Ok((_, Ok(()))) => noted += 1,
                Ok((place, Err(error))) => {
                    log::error!("disk {place}: volume number {:x} could not be noted: {error}", number.0);
                    last_error = Some(error);
                }
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
