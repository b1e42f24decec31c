//! What is to be sent on a connection.
//!
//! A worker's thread. Always: bytes leave in the order in which they were added; contents above 64 KiB are made
//! when there is room in the socket, so no connection holds more than a piece of them.

use crate::workload::{Key, payload};
use std::collections::VecDeque;

/// Contents up to this many bytes are made at once.
const INLINE_BYTES: u64 = 64 << 10;
/// Of larger ones as much is made at a time.
const PIECE_BYTES: u64 = 256 << 10;

/// Bytes to be sent, and contents to be made behind them.
#[derive(Debug, Default)]
pub struct Output {
    ready: Vec<u8>,
    sent: usize,
    /// What comes behind `ready`, once there is a large content.
    later: VecDeque<Later>,
}

#[derive(Debug)]
enum Later {
    Bytes(Vec<u8>),
    Content { key: Key, at: u64, end: u64 },
}

impl Output {
    /// Adds bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.buffer().extend_from_slice(bytes);
    }

    /// Where bytes can be added.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        if self.later.is_empty() {
            return &mut self.ready;
        }
        if !matches!(self.later.back(), Some(Later::Bytes(_))) {
            self.later.push_back(Later::Bytes(Vec::new()));
        }
        match self.later.back_mut() {
            Some(Later::Bytes(bytes)) => bytes,
            _ => unreachable!("it was put there above"),
        }
    }

    /// Adds the content of a key.
    pub fn content(&mut self, key: Key, bytes: u64) {
        if bytes <= INLINE_BYTES {
            payload::append(key, 0, bytes, self.buffer());
        } else {
            self.later.push_back(Later::Content { key, at: 0, end: bytes });
        }
    }

    /// What can be sent now; empty when all was sent.
    pub fn front(&mut self) -> &[u8] {
        while self.sent == self.ready.len() && !self.later.is_empty() {
            self.refill();
        }
        &self.ready[self.sent..]
    }

    /// So many of the bytes of [`Output::front`] have been sent.
    pub fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
        assert!(self.sent <= self.ready.len(), "more was sent than there was");
        if self.sent == self.ready.len() {
            self.ready.clear();
            self.sent = 0;
        }
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sent == self.ready.len() && self.later.is_empty()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.ready.clear();
        self.sent = 0;
        self.later.clear();
    }

    fn refill(&mut self) {
        self.ready.clear();
        self.sent = 0;
        match self.later.front_mut() {
            Some(Later::Content { key, at, end }) => {
                let piece = PIECE_BYTES.min(*end - *at);
                payload::append(*key, *at, piece, &mut self.ready);
                *at += piece;
                if *at == *end {
                    self.later.pop_front();
                }
            }
            Some(Later::Bytes(_)) => {
                if let Some(Later::Bytes(bytes)) = self.later.pop_front() {
                    self.ready.extend_from_slice(&bytes);
                }
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_their_order() {
        let key = Key { seed: 1, number: 2 };
        let large = PIECE_BYTES * 2 + 5;
        let mut output = Output::default();
        let mut expected = Vec::new();
        output.bytes(b"head");
        output.content(key, 100);
        output.content(key, large);
        output.bytes(b"next");
        output.content(key, 10);
        expected.extend(b"head");
        payload::append(key, 0, 100, &mut expected);
        payload::append(key, 0, large, &mut expected);
        expected.extend(b"next");
        payload::append(key, 0, 10, &mut expected);
        let mut got = Vec::new();
        while !output.is_empty() {
            let ready = output.front();
            let taken = ready.len().min(1000);
            got.extend_from_slice(&ready[..taken]);
            output.sent(taken);
        }
        assert!(got == expected, "{} and {} bytes", got.len(), expected.len());
        assert!(output.front().is_empty());
    }
}
