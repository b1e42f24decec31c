//! What the background thread asks of the append lane, which alone changes manifest and index.
//!
//! A few orders wait at most, apart from the queue of appends, so that neither can keep the other out. The lane looks for
//! them between two groups; the background thread never waits for an answer without looking up.

use crate::base::ids::VolumeId;
use crate::store::{AppendError, Appender, Compacted};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

/// Orders that may wait: the background thread has one of a kind under way.
const WAITING_MAX: usize = 4;

/// Something that only the lane may do.
pub(super) enum Order {
    /// Puts a compacted segment in the place of what it was made of; answers whether it did, or not at all if nobody knows.
    Publish(Box<Compacted>, Sender<(Box<Compacted>, bool)>),
    /// Closes the open segment of a volume.
    Roll(VolumeId),
}

/// The lane's end.
pub(super) struct Orders(Receiver<Order>);

/// The background thread's end.
pub(super) struct OrderBook(Sender<Order>);

pub(super) fn orders() -> (OrderBook, Orders) {
    let (sender, receiver) = bounded(WAITING_MAX);
    (OrderBook(sender), Orders(receiver))
}

impl OrderBook {
    /// Leaves an order; gives it back if too many wait or the lane has ended.
    pub(super) fn leave(&self, order: Order) -> Result<(), Box<Order>> {
        self.0.try_send(order).map_err(|refused| match refused {
            TrySendError::Full(order) | TrySendError::Disconnected(order) => Box::new(order),
        })
    }
}

impl Orders {
    /// The next order, if one waits.
    pub(super) fn next(&self) -> Option<Order> {
        self.0.try_recv().ok()
    }
}

impl Order {
    /// Does it, on the lane.
    pub(super) fn fulfil(self, appender: &mut Appender) -> Result<(), AppendError> {
        match self {
            Self::Publish(compacted, answer) => {
                let published = appender.publish_compacted(&compacted);
                // After a failure the manifest may name the copy or what it was made of: no file of either may go before
                // the next start has read it.
                if !matches!(published, Err(AppendError::Failed(_))) {
                    let is_published = matches!(published, Ok(true));
                    // Nobody listens any more when the node stops; then the copy goes at the next start.
                    drop(answer.send((compacted, is_published)));
                }
                published.map(|_| ())
            }
            Self::Roll(volume) => appender.roll(volume),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::ObjectId;
    use crate::disk::{Call, Disk, Fault, FaultPlan, FaultyDisk, MemoryDisk};
    use crate::store::tests::world::{IDENTITY, content, delete, read, small, store, store_one};
    use crate::store::{CompactionStep, Opened, open};
    use std::sync::Arc;

    fn copied(opened: &mut Opened) -> Box<Compacted> {
        for _ in 0..1000 {
            if let CompactionStep::Publish(compacted) = opened.compaction.step(20, 1 << 30, false) {
                return compacted;
            }
        }
        panic!("nothing was copied: {:?}", opened.compaction.report())
    }

    #[test]
    fn a_copy_that_the_manifest_may_name_is_not_taken_away() {
        let memory = MemoryDisk::new();
        let disk = FaultyDisk::new(Arc::new(memory.clone()), FaultPlan::default());
        let faults = disk.faults();
        let disk: Arc<dyn Disk> = Arc::new(disk);
        let clock: Arc<dyn crate::base::clock::Clock> = Arc::new(crate::base::clock::ManualClock::default());
        let mut opened = open(disk, Some(IDENTITY), &small(), clock).unwrap();
        let ids: Vec<ObjectId> =
            (0..60).map(|number| store_one(&mut opened, &content(number, 3000), number, true)).collect();
        for id in ids.iter().step_by(2) {
            delete(&mut opened, *id).unwrap();
        }
        let compacted = copied(&mut opened);
        // The record gets to the disk all the same.
        faults.add(Fault::error(Call::SyncData, 5).on("manifest"));
        let (sender, receiver) = bounded(1);
        let outcome = Order::Publish(compacted, sender).fulfil(&mut opened.appender);
        assert!(matches!(outcome, Err(AppendError::Failed(_))));
        assert!(receiver.try_recv().is_err(), "nobody is told to remove the copy");
        drop(opened);
        let opened = store(&memory.kill());
        for (id, number) in ids.iter().zip(0..) {
            let expected = (number % 2 == 1).then(|| content(number, 3000));
            assert_eq!(read(&opened.catalog.view(), *id), Ok(expected), "{id}");
        }
    }
}
