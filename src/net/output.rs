//! What waits to be sent on one connection.
//!
//! Processor thread. Always: `waiting` is the sum of the parts; parts leave in order, many in one gathered write; the
//! room of a part is given back, and its request's send stage ends, when its last byte is in the socket. Content is shared;
//! heads and other small replies are copied behind one another, into memory that is used again.

use crate::base::budget::Reservation;
use crate::base::clock::Moment;
use crate::base::limits::{GATHER_BYTES_MAX, KEPT_COPIED_BYTES, KEPT_PARTS};
use crate::metrics::ProcessorMetrics;
use bytes::{Buf, Bytes};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

/// A connection's queue of bytes.
#[derive(Debug, Default)]
pub struct Output {
    parts: VecDeque<Part>,
    copied: Copied,
    waiting: usize,
    /// Bytes of parts that hold no room in a budget.
    loose: usize,
}

#[derive(Debug)]
struct Part {
    bytes: PartBytes,
    room: Option<Reservation>,
    ends: Option<Ends>,
}

#[derive(Debug)]
enum PartBytes {
    Shared(Bytes),
    /// So many of the copied bytes, behind those of the parts before.
    Copied(usize),
}

impl PartBytes {
    fn len(&self) -> usize {
        match self {
            Self::Shared(bytes) => bytes.len(),
            Self::Copied(count) => *count,
        }
    }
}

/// The bytes of all copied parts that wait, in order.
#[derive(Debug, Default)]
struct Copied {
    bytes: Vec<u8>,
    /// Those at the front that are sent.
    sent: usize,
}

impl Copied {
    fn push(&mut self, bytes: &[u8]) {
        // A peer that is always a little behind must not make it grow.
        if self.sent > self.bytes.len() / 2 {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn waiting(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or(&[])
    }

    fn advance(&mut self, count: usize) {
        self.sent += count;
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        }
    }
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
            self.add(PartBytes::Shared(bytes));
        }
    }

    /// Adds a copy of a few bytes, which may lie in pieces.
    pub fn push_copy(&mut self, pieces: &[&[u8]]) {
        let count = pieces.iter().map(|piece| piece.len()).sum();
        if count > 0 {
            pieces.iter().for_each(|piece| self.copied.push(piece));
            self.add(PartBytes::Copied(count));
        }
    }

    /// Adds a head; one that is too large to be copied is shared.
    pub fn push_head<const N: usize>(&mut self, head: SmallVec<[u8; N]>)
    where
        [u8; N]: smallvec::Array<Item = u8>,
    {
        if head.spilled() { self.push(head.into_vec().into()) } else { self.push_copy(&[&head]) }
    }

    fn add(&mut self, bytes: PartBytes) {
        if self.parts.capacity() == 0 {
            // A small reply is a head and its content.
            self.parts.reserve_exact(2);
        }
        self.waiting += bytes.len();
        self.loose += bytes.len();
        self.parts.push_back(Part { bytes, room: None, ends: None });
    }

    /// Ties room to the bytes added last: it is given back when they are sent.
    pub fn hold(&mut self, room: Option<Reservation>) {
        if let (Some(part), Some(room)) = (self.parts.back_mut(), room) {
            debug_assert!(part.room.is_none());
            self.loose -= part.bytes.len();
            part.room = Some(room);
        }
    }

    /// Bytes that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Those of them that hold no room: small replies, which are bounded by connection instead.
    #[must_use]
    pub fn loose(&self) -> usize {
        self.loose
    }

    /// Lets go of memory, when nothing waits.
    pub(super) fn rest(&mut self) {
        if self.waiting == 0 {
            *self = Self::default();
        }
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
        // What a burst took is let go at once, what is left of it by `rest`.
        if self.parts.capacity() > KEPT_PARTS {
            self.parts = VecDeque::new();
        }
        if self.copied.bytes.capacity() > KEPT_COPIED_BYTES {
            self.copied = Copied::default();
        }
        Ok(Flushed::All)
    }

    fn write_once(&self, socket: &mut impl Write, bytes_max: usize) -> io::Result<(usize, usize)> {
        // A reply or two are the common case, and a short list is made faster.
        const FEW: usize = 16;
        const MANY: usize = 128;
        if self.parts.len() <= FEW {
            self.write_list::<FEW>(socket, bytes_max)
        } else {
            self.write_list::<MANY>(socket, bytes_max)
        }
    }

    /// Writes what is at the front, in at most `N` slices: whole parts, until they are `bytes_max` bytes.
    fn write_list<const N: usize>(&self, socket: &mut impl Write, bytes_max: usize) -> io::Result<(usize, usize)> {
        let mut list = [IoSlice::new(&[]); N];
        let mut slots = list.iter_mut();
        let (mut count, mut asked) = (0, 0);
        let mut copied = self.copied.waiting();
        let mut parts = self.parts.iter().peekable();
        while asked < bytes_max
            && let Some(part) = parts.next()
            && let Some(slot) = slots.next()
        {
            let bytes = match &part.bytes {
                PartBytes::Shared(bytes) => bytes,
                PartBytes::Copied(length) => {
                    let mut length = *length;
                    // Copied parts behind one another are one slice.
                    while let Some(Part { bytes: PartBytes::Copied(more), .. }) = parts.peek() {
                        length += more;
                        parts.next();
                    }
                    let (now, later) = copied.split_at(length);
                    copied = later;
                    now
                }
            };
            *slot = IoSlice::new(bytes);
            count += 1;
            asked += bytes.len();
        }
        Ok((asked, socket.write_vectored(list.get(..count).unwrap_or(&[]))?))
    }

    fn sent(&mut self, mut bytes: usize, now: Moment, metrics: &ProcessorMetrics) {
        self.waiting -= bytes;
        while let Some(part) = self.parts.front_mut() {
            let taken = bytes.min(part.bytes.len());
            match &mut part.bytes {
                PartBytes::Shared(bytes) => bytes.advance(taken),
                PartBytes::Copied(left) => {
                    *left -= taken;
                    self.copied.advance(taken);
                }
            }
            if part.room.is_none() {
                self.loose -= taken;
            }
            bytes -= taken;
            if part.bytes.len() > 0 {
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
                if n % 3 == 0 { output.push(bytes.into()) } else { output.push_copy(&[&bytes]) }
                if *length > 0 && n % 2 == 0 {
                    output.hold(room.try_reserve(*length));
                }
            }
            prop_assert_eq!(output.waiting(), room.used() + output.loose());
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
            prop_assert_eq!((output.waiting(), output.loose(), room.used()), (0, 0, 0));
        }
    }
}
