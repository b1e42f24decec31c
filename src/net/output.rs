//! What waits to be sent on one connection.
//!
//! Processor thread. Always: `waiting` is the sum of the parts; parts leave in order, many in one gathered write; the
//! room of a part is given back, and its request's send stage ends, when its last byte is in the socket.

use crate::base::budget::Reservation;
use crate::base::clock::Moment;
use crate::base::limits::{GATHER_BYTES_MAX, GATHER_PARTS_MAX};
use crate::metrics::ProcessorMetrics;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

/// A connection's queue of bytes.
#[derive(Debug, Default)]
pub struct Output {
    parts: VecDeque<Part>,
    waiting: usize,
}

#[derive(Debug)]
struct Part {
    bytes: Bytes,
    room: Option<Reservation>,
    ends: Option<Ends>,
}

/// When a request was accepted and answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) accepted: Moment,
    pub(super) answered: Moment,
}

/// How a flush went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Nothing is left.
    All,
    /// The turn's bytes are used up, and the socket would take more.
    Budget,
    /// The socket is full.
    Blocked,
}

impl Output {
    /// Adds bytes.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            if self.parts.capacity() == 0 {
                // A small reply is a head and its content.
                self.parts.reserve_exact(2);
            }
            self.waiting += bytes.len();
            self.parts.push_back(Part { bytes, room: None, ends: None });
        }
    }

    /// Ties room to the bytes added last: it is given back when they are sent.
    pub fn hold(&mut self, room: Option<Reservation>) {
        if let (Some(part), Some(room)) = (self.parts.back_mut(), room) {
            debug_assert!(part.room.is_none());
            part.room = Some(room);
        }
    }

    /// Bytes that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) fn ends(&mut self, ends: Ends) {
        if let Some(part) = self.parts.back_mut() {
            part.ends = Some(ends);
        }
    }

    /// Sends at most `budget` bytes, and takes what was sent off it.
    pub(super) fn flush(
        &mut self,
        socket: &mut impl Write,
        budget: &mut usize,
        now: Moment,
        metrics: &ProcessorMetrics,
    ) -> io::Result<Flushed> {
        while self.waiting > 0 {
            if *budget == 0 {
                return Ok(Flushed::Budget);
            }
            let (asked, written) = match self.write_once(socket, (*budget).min(GATHER_BYTES_MAX)) {
                Ok(done) => done,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Flushed::Blocked),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            *budget = budget.saturating_sub(written);
            metrics.sent_bytes.add(written as u64);
            self.sent(written, now, metrics);
            if written < asked {
                return Ok(Flushed::Blocked);
            }
        }
        // An idle connection keeps no memory here.
        if self.parts.capacity() > 32 {
            self.parts = VecDeque::new();
        }
        Ok(Flushed::All)
    }

    fn write_once(&self, socket: &mut impl Write, bytes_max: usize) -> io::Result<(usize, usize)> {
        // One part is the common case for small replies, and needs no list.
        const FEW: usize = 16;
        let mut few = [IoSlice::new(&[]); FEW];
        let (mut count, mut asked) = (0, 0);
        for (slot, part) in few.iter_mut().zip(&self.parts) {
            if asked >= bytes_max {
                break;
            }
            *slot = IoSlice::new(&part.bytes);
            count += 1;
            asked += part.bytes.len();
        }
        if count < FEW || asked >= bytes_max || self.parts.len() == FEW {
            return Ok((asked, socket.write_vectored(few.get(..count).unwrap_or(&[]))?));
        }
        let mut many = Vec::with_capacity(self.parts.len().min(GATHER_PARTS_MAX));
        asked = 0;
        for part in self.parts.iter().take(GATHER_PARTS_MAX) {
            if asked >= bytes_max {
                break;
            }
            many.push(IoSlice::new(&part.bytes));
            asked += part.bytes.len();
        }
        Ok((asked, socket.write_vectored(&many)?))
    }

    fn sent(&mut self, mut bytes: usize, now: Moment, metrics: &ProcessorMetrics) {
        self.waiting -= bytes;
        while let Some(part) = self.parts.front_mut() {
            let taken = bytes.min(part.bytes.len());
            part.bytes.advance(taken);
            bytes -= taken;
            if !part.bytes.is_empty() {
                return;
            }
            if let Some(ends) = part.ends {
                metrics.send.record(now.since(ends.answered));
                metrics.whole.record(now.since(ends.accepted));
            }
            self.parts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::budget::Budget;
    use proptest::prelude::*;

    /// Takes a few bytes at a time, and is full now and then.
    struct Narrow {
        takes: Vec<usize>,
        got: Vec<u8>,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.write_vectored(&[IoSlice::new(bytes)])
        }

        fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
            let room = self.takes.pop().unwrap_or(usize::MAX);
            if room == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let all: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).take(room).collect();
            self.got.extend(&all);
            Ok(all.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn every_byte_leaves_in_order_and_room_comes_back(
            lengths in proptest::collection::vec(0usize..300, 0..60),
            takes in proptest::collection::vec(0usize..500, 0..60),
            budget in 1usize..2000,
        ) {
            let room = Budget::new(1 << 20);
            let metrics = ProcessorMetrics::default();
            let mut output = Output::default();
            let mut want: Vec<u8> = Vec::new();
            for (n, length) in lengths.iter().enumerate() {
                let bytes = vec![n as u8; *length];
                want.extend(&bytes);
                output.push(bytes.into());
                if *length > 0 {
                    output.hold(room.try_reserve(*length));
                }
            }
            prop_assert_eq!(output.waiting(), room.used());
            let mut socket = Narrow { takes, got: Vec::new() };
            loop {
                let mut left = budget;
                let flushed = output.flush(&mut socket, &mut left, Moment(0), &metrics).unwrap();
                prop_assert_eq!(output.waiting(), want.len() - socket.got.len());
                if flushed == Flushed::All {
                    break;
                }
            }
            prop_assert_eq!(&socket.got, &want);
            prop_assert_eq!((output.waiting(), room.used()), (0, 0));
        }
    }
}
