//! A bounded queue between threads, by count and by bytes: full is an answer.
//!
//! Sent to by any thread, received by workers. Always: at most `count_max` items and `bytes_max` bytes wait (one
//! item is let in whatever its size, so that nothing is refused for good).

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The sending side.
#[derive(Debug)]
pub struct QueueSender<T> {
    channel: Sender<(usize, T)>,
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
}

impl<T> Clone for QueueSender<T> {
    fn clone(&self) -> Self {
        Self { channel: self.channel.clone(), bytes: Arc::clone(&self.bytes), bytes_max: self.bytes_max }
    }
}

/// The receiving side.
#[derive(Debug)]
pub struct QueueReceiver<T> {
    channel: Receiver<(usize, T)>,
    bytes: Arc<AtomicUsize>,
}

impl<T> Clone for QueueReceiver<T> {
    fn clone(&self) -> Self {
        Self { channel: self.channel.clone(), bytes: Arc::clone(&self.bytes) }
    }
}

/// The item that found no room, given back.
#[derive(Debug)]
pub struct Full<T>(pub T);

/// A queue of at most `count_max` items and `bytes_max` bytes.
#[must_use]
pub fn queue<T>(count_max: usize, bytes_max: usize) -> (QueueSender<T>, QueueReceiver<T>) {
    let (sender, receiver) = bounded(count_max);
    let bytes = Arc::new(AtomicUsize::new(0));
    (QueueSender { channel: sender, bytes: Arc::clone(&bytes), bytes_max }, QueueReceiver { channel: receiver, bytes })
}

impl<T> QueueSender<T> {
    /// Adds an item that counts `bytes`.
    ///
    /// # Errors
    /// The item, when there is no room or nobody receives any more.
    pub fn try_send(&self, bytes: usize, item: T) -> Result<(), Full<T>> {
        let before = self.bytes.fetch_add(bytes, Ordering::AcqRel);
        if before != 0 && before.saturating_add(bytes) > self.bytes_max {
            self.bytes.fetch_sub(bytes, Ordering::AcqRel);
            return Err(Full(item));
        }
        self.channel.try_send((bytes, item)).map_err(|refused| {
            self.bytes.fetch_sub(bytes, Ordering::AcqRel);
            Full(refused.into_inner().1)
        })
    }

    /// Whether an item would find no room now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.channel.is_full() || self.bytes() >= self.bytes_max
    }

    /// Items that wait.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.channel.len()
    }

    /// Bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }
}

/// Nobody sends any more, and nothing is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

impl<T> QueueReceiver<T> {
    /// The next item, waiting for it.
    ///
    /// # Errors
    /// [`Closed`] when no sender is left and the queue is empty.
    pub fn receive(&self) -> Result<T, Closed> {
        self.channel.recv().map(|item| self.taken(item)).map_err(|_| Closed)
    }

    /// The next item, waiting for it at most `wait`; `None` when none came.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_for(&self, wait: Duration) -> Result<Option<T>, Closed> {
        match self.channel.recv_timeout(wait) {
            Ok(item) => Ok(Some(self.taken(item))),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Closed),
        }
    }

    /// The next item, if one is here.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn try_receive(&self) -> Result<Option<T>, Closed> {
        match self.channel.try_recv() {
            Ok(item) => Ok(Some(self.taken(item))),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Closed),
        }
    }

    /// Items that wait.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.channel.len()
    }

    fn taken(&self, (bytes, item): (usize, T)) -> T {
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_by_count_and_by_bytes() {
        let (sender, receiver) = queue(2, 10);
        sender.try_send(100, "one of any size").unwrap();
        assert!(sender.try_send(1, "over the bytes").is_err());
        assert_eq!(receiver.try_receive(), Ok(Some("one of any size")));
        assert_eq!(sender.bytes(), 0);
        sender.try_send(1, "a").unwrap();
        sender.try_send(1, "b").unwrap();
        assert_eq!(sender.try_send(1, "c").unwrap_err().0, "c");
        assert_eq!((sender.depth(), sender.bytes()), (2, 2));
        drop(sender);
        assert_eq!(receiver.receive(), Ok("a"));
        assert_eq!(receiver.receive(), Ok("b"));
        assert_eq!(receiver.receive(), Err(Closed));
    }
}
