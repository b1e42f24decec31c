//! Requests whose answers come in the order in which they were sent.
//!
//! A worker's thread. Always: no more than the depth of the driver, in memory that was taken when it was made.

use std::collections::VecDeque;

/// What was asked for and is not answered.
#[derive(Debug)]
pub(super) struct Pending<T> {
    queue: VecDeque<T>,
    depth: usize,
}

impl<T> Pending<T> {
    pub(super) fn new(depth: usize) -> Self {
        assert!(depth > 0, "a driver lets a request be unanswered");
        Self { queue: VecDeque::with_capacity(depth), depth }
    }

    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn push(&mut self, asked: T) {
        assert!(self.queue.len() < self.depth, "the engine keeps to the depth");
        self.queue.push_back(asked);
    }

    /// What the next answer is to.
    pub(super) fn front(&self) -> Option<&T> {
        self.queue.front()
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        self.queue.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }
}
