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
    /// Puts a compacted segment in the place of what it was made of; answers whether it did, and nothing if the disk
    /// failed meanwhile.
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
                match &published {
                    // The manifest may name it all the same: its file stays, and the next start knows.
                    Err(AppendError::Failed(_)) => drop(answer),
                    // Nobody listens any more when the node stops; the copy then goes at the next start, or is in the manifest.
                    Ok(_) | Err(_) => drop(answer.send((compacted, matches!(published, Ok(true))))),
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
    use crate::base::clock::ManualClock;
    use crate::base::ids::{ClusterId, Cookie, NodeId, ObjectId, Origin};
    use crate::base::payload::Payload;
    use crate::disk::{Call, Disk, Fault, FaultPlan, FaultyDisk, MemoryDisk};
    use crate::store::{
        Appended, CompactionStep, Entry, Located, Opened, StoreError, StoreOptions, VolumeNumbers, open,
    };
    use bytes::Bytes;
    use std::sync::Arc;

    const EIO: i32 = 5;

    #[derive(Debug)]
    struct One;

    impl VolumeNumbers for One {
        fn next(&self) -> Result<VolumeId, StoreError> {
            Ok(VolumeId(1))
        }
    }

    fn opened(disk: Arc<dyn Disk>) -> Opened {
        let options = StoreOptions { segment_bytes: 64 << 10, reserve_bytes: Some(8 << 10), ..StoreOptions::default() };
        open(disk, Some((ClusterId(7), NodeId(9))), &options, Arc::new(ManualClock::default())).unwrap()
    }

    fn append(opened: &mut Opened, entry: Entry) -> Appended {
        opened.appender.append(&[entry], 1, true, &One).unwrap()[0]
    }

    fn put(opened: &mut Opened, number: u64) -> ObjectId {
        let entry = Entry::Put {
            payload: Payload::of(Bytes::from(vec![7; 2000])),
            cookie: Cookie(number),
            attributes: Bytes::new(),
            origin: Origin::default(),
            named: false,
        };
        match append(opened, entry) {
            Appended::Stored(id) => id,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_copy_that_the_manifest_may_name_is_not_taken_away_when_the_disk_fails() {
        let disk = MemoryDisk::new();
        let faulty = FaultyDisk::new(Arc::new(disk.clone()), FaultPlan::default());
        let faults = faulty.faults();
        let mut node = opened(Arc::new(faulty));
        let ids: Vec<ObjectId> = (0..100).map(|number| put(&mut node, number)).collect();
        for &id in ids.iter().step_by(2) {
            append(&mut node, Entry::Delete { id });
        }
        let compacted = loop {
            match node.compaction.step(20, 1 << 30, false) {
                CompactionStep::Publish(compacted) => break compacted,
                CompactionStep::Worked(_) => {}
                other => panic!("{other:?}"),
            }
        };
        let (sender, receiver) = bounded(1);
        // The record reaches the disk, and its sync says that it did not.
        faults.add(Fault::error(Call::SyncData, EIO).on("manifest"));
        let outcome = Order::Publish(compacted, sender).fulfil(&mut node.appender);
        assert!(matches!(outcome, Err(AppendError::Failed(_))), "{outcome:?}");
        // As the background thread does with an answer.
        if let Ok((compacted, is_published)) = receiver.try_recv() {
            node.compaction.published(&compacted, is_published);
        }
        drop(node);
        let node = opened(Arc::new(disk.kill()));
        let view = node.catalog.view();
        for id in ids.iter().skip(1).step_by(2) {
            let located = view.locate(id.volume, id.sequence);
            assert!(matches!(located, Located::Object(_)), "{id}: {located:?}, {:?}", node.report.missing_segments);
        }
    }
}
