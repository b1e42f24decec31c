//! The walk over a compacted segment: needles one behind another, with gaps in their sequences and no frames between.
//!
//! Runs where a copy is checked, a disk opened, or a directory looked at; a bounded piece a step; writes nothing. Always:
//! a needle is shown only if its head verified, it is of this volume, and its sequence is above those before it and
//! inside the segment's range. What does not verify leaves a doubt about all sequences that may have been there.

use super::Damage;
use super::needle::{HEAD_BYTES_FIXED, Head, Kind};
use super::replay::Found;
use super::segment_header::SEGMENT_HEADER_BYTES;
use crate::base::ids::{Epoch, Sequence, VolumeId};
use crate::base::limits::ATTRIBUTE_BYTES_MAX;
use crate::disk::File;
use crate::journal::{CHAIN_START, Window, chain_next};
use std::io;
use std::ops::Range;

/// What is read at once.
const PIECE_BYTES: usize = 1 << 20;
/// Most heads fit.
const HEAD_BYTES_LIKELY: usize = HEAD_BYTES_FIXED + 160;
/// The largest head.
const HEAD_BYTES_MAX: usize = HEAD_BYTES_FIXED + ATTRIBUTE_BYTES_MAX + 512;

/// What a compacted segment must agree with.
#[derive(Debug, Clone, Copy)]
pub(super) struct CopyFacts {
    pub volume: VolumeId,
    pub salt: u64,
    pub base: Sequence,
    pub next: Sequence,
    /// The byte behind the last needle.
    pub end: u64,
}

/// A walk that goes on step by step.
#[derive(Debug)]
pub(super) struct CopyWalk {
    at: u64,
    expected: Sequence,
    /// Where bytes began that are no needle.
    bad_since: Option<u64>,
    /// Sequences that may have been where bytes do not verify, and where that is.
    pub doubts: Vec<(Range<u64>, u64)>,
    /// The chain digest over the needles seen.
    pub digest: u128,
    /// The highest epoch of a needle.
    pub epoch: Epoch,
    /// Bytes that the device would not give.
    pub unreadable: u64,
}

impl CopyWalk {
    pub fn new(facts: &CopyFacts) -> Self {
        Self {
            at: SEGMENT_HEADER_BYTES as u64,
            expected: facts.base,
            bad_since: None,
            doubts: Vec::new(),
            digest: CHAIN_START,
            epoch: Epoch(0),
            unreadable: 0,
        }
    }

    /// Where the walk stands.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Walks over about `bytes` and shows each whole needle; true when all has been walked. With `verify`, payloads and the
    /// zeros behind them are checked too.
    pub fn step(
        &mut self,
        file: &dyn File,
        facts: &CopyFacts,
        verify: bool,
        bytes: u64,
        show: &mut dyn FnMut(Found, &Head),
    ) -> io::Result<bool> {
        let mut window = Window::new(file, facts.end.min(file.len()?), PIECE_BYTES);
        let until = self.at.saturating_add(bytes).min(facts.end);
        while self.at < until {
            match needle_at(&mut window, facts, self.at, self.expected, verify)? {
                Some((found, head)) => {
                    self.end_doubt(found.sequence);
                    self.digest = chain_next(self.digest, head.checksum);
                    self.epoch = self.epoch.max(head.epoch);
                    // Sequences are below `next`, so one more is no overflow.
                    self.expected = Sequence(found.sequence.0 + 1);
                    self.at += found.bytes;
                    show(found, &head);
                }
                None => {
                    self.bad_since.get_or_insert(self.at);
                    self.at += 8;
                }
            }
        }
        self.unreadable += window.unreadable();
        let done = self.at >= facts.end;
        if done {
            self.end_doubt(facts.next);
        }
        Ok(done)
    }

    fn end_doubt(&mut self, next: Sequence) {
        if let Some(position) = self.bad_since.take() {
            self.doubts.push((self.expected.0..next.0, position));
        }
    }
}

fn needle_at(
    window: &mut Window<'_>,
    facts: &CopyFacts,
    at: u64,
    expected: Sequence,
    verify: bool,
) -> io::Result<Option<(Found, Head)>> {
    let mut want = HEAD_BYTES_LIKELY;
    let head = loop {
        let bytes = window.bytes(at, want)?;
        match Head::parse_any(bytes, facts.salt) {
            Ok(head) => break head,
            Err(Damage::Short { needed }) if needed > want && needed <= HEAD_BYTES_MAX && bytes.len() == want => {
                want = needed;
            }
            Err(_) => return Ok(None),
        }
    };
    let ours = head.volume == facts.volume && head.sequence >= expected && head.sequence < facts.next;
    let bytes = head.needle_bytes();
    if !ours || at.checked_add(bytes).is_none_or(|end| end > facts.end) {
        return Ok(None);
    }
    let mut target = None;
    if verify || head.kind == Kind::Tombstone {
        let length = usize::try_from(bytes).expect("a needle is little more than 8 MiB");
        let whole = window.bytes(at, length)?;
        let (payload, padding) = match whole.get(head.payload_offset()..) {
            Some(rest) if whole.len() == length => rest.split_at(head.payload_bytes as usize),
            _ => return Ok(None),
        };
        if head.verify_payload(payload).is_err() || padding.iter().any(|&byte| byte != 0) {
            return Ok(None);
        }
        target = head.tombstone_target(payload);
    }
    Ok(Some((Found { sequence: head.sequence, position: at, bytes, kind: head.kind, target }, head)))
}
