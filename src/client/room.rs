//! Room for the bytes of files that are on their way, shared by all uploads and downloads of a client.
//!
//! Any thread. Always: no more is taken than there is; whoever waits for room holds none, so that those who hold some
//! come to their end.

use crate::base::limits::CHUNK_BYTES_MAX;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Room {
    free: Mutex<usize>,
    freed: Condvar,
}

/// Room that is taken, until it is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    room: Arc<Room>,
    bytes: usize,
}

impl Room {
    /// Room for so many bytes, and for one chunk at least.
    pub(super) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { free: Mutex::new(bytes.max(CHUNK_BYTES_MAX)), freed: Condvar::new() })
    }

    /// Takes room for at most a chunk, if there is enough.
    pub(super) fn try_take(self: &Arc<Self>, bytes: usize) -> Option<Taken> {
        let mut free = self.free.lock();
        *free = free.checked_sub(bytes)?;
        Some(Taken { room: Arc::clone(self), bytes })
    }

    /// Takes room for at most a chunk, and waits until there is enough. The caller must hold none.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Taken {
        let mut free = self.free.lock();
        loop {
            if let Some(left) = free.checked_sub(bytes) {
                *free = left;
                return Taken { room: Arc::clone(self), bytes };
            }
            self.freed.wait(&mut free);
        }
    }
}

impl Taken {
    /// Gives back what is over `bytes`.
    pub(super) fn shrink(&mut self, bytes: usize) {
        if let Some(surplus) = self.bytes.checked_sub(bytes) {
            self.bytes = bytes;
            *self.room.free.lock() += surplus;
            self.room.freed.notify_all();
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_taken_and_comes_back() {
        let room = Room::new(0);
        let mut all = room.take(CHUNK_BYTES_MAX);
        assert!(room.try_take(1).is_none());
        all.shrink(CHUNK_BYTES_MAX - 10);
        let ten = room.try_take(10).unwrap();
        assert!(room.try_take(1).is_none());
        drop(all);
        let waits = Arc::clone(&room);
        let thread = std::thread::spawn(move || drop(waits.take(CHUNK_BYTES_MAX)));
        drop(ten);
        thread.join().unwrap();
        assert_eq!(*room.free.lock(), CHUNK_BYTES_MAX);
    }
}
