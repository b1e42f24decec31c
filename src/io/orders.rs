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
    /// Puts a compacted segment in the place of what it was made of; answers whether it did.
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
                let is_published = matches!(published, Ok(true));
                // Nobody listens any more when the node stops; the copy then goes at the next start, or is in the manifest.
                drop(answer.send((compacted, is_published)));
                published.map(|_| ())
            }
            Self::Roll(volume) => appender.roll(volume),
        }
    }
}
