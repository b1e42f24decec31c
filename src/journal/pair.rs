//! Small state that is rewritten in place: two slots with a counter, of which the newest whole one counts.
//!
//! ```text
//!  slot:  0 magic u64 | 8 checksum u64 | 16 version u32 | 20 body bytes u32 | 24 counter u64 | 32 body | zeros
//! ```
//! The second slot starts at `slot_bytes`, a multiple of 4 KiB, so that no sector belongs to both. The checksum is
//! XXH3-64 of everything behind it, keyed with the slot's number (so that a slot written to the wrong place fails).
//! A write goes to the slot that does not hold the newest counter and is synced; a cut in the middle leaves the other.
//!
//! Owned by one thread at a time. Always: after an error of a write or a sync the pair refuses further writes; but a write
//! that found no room leaves it as it was, for it touched only the slot that does not count. What should be zero and is not
//! is noticed when the pair is read, for no checksum covers it.

use super::fields::{Fields, u32_at, u64_at};
use crate::base::checksum::keyed;
use crate::base::planted::{self, Bug};
use crate::disk::{File, is_full};
use std::io::{self, IoSlice};
use std::sync::Arc;

/// Bytes of a slot that are not body.
pub const SLOT_OVERHEAD_BYTES: usize = 32;

const AT_MAGIC: usize = 0;
const AT_CHECKSUM: usize = 8;
const AT_VERSION: usize = 16;
const AT_BYTES: usize = 20;
const AT_COUNTER: usize = 24;

/// One slot as bytes, without the zeros behind it. `slot` is 0 or 1.
#[must_use]
pub fn encode_slot(magic: u64, version: u32, counter: u64, slot: u64, body: &[u8]) -> Vec<u8> {
    let head = Fields::<SLOT_OVERHEAD_BYTES>::default()
        .u64(AT_MAGIC, magic)
        .u32(AT_VERSION, version)
        .u32(AT_BYTES, u32::try_from(body.len()).expect("a body fits its slot"))
        .u64(AT_COUNTER, counter);
    let mut bytes = head.0.to_vec();
    bytes.extend_from_slice(body);
    let checksum = keyed(slot, &bytes[AT_VERSION..]);
    bytes[AT_CHECKSUM..AT_VERSION].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Version, counter and body of a slot that is whole.
pub type Slot = (u32, u64, Vec<u8>);

/// Takes a slot apart; `None` when it is not whole.
#[must_use]
pub fn parse_slot(magic: u64, slot: u64, bytes: &[u8]) -> Option<Slot> {
    let head = bytes.first_chunk::<SLOT_OVERHEAD_BYTES>()?;
    let length = usize::try_from(u32_at(head, AT_BYTES)).ok()?;
    let end = SLOT_OVERHEAD_BYTES.checked_add(length)?;
    let covered = bytes.get(AT_VERSION..end)?;
    if u64_at(head, AT_MAGIC) != magic || keyed(slot, covered) != u64_at(head, AT_CHECKSUM) {
        return None;
    }
    let body = bytes.get(SLOT_OVERHEAD_BYTES..end)?.to_vec();
    Some((u32_at(head, AT_VERSION), u64_at(head, AT_COUNTER), body))
}

/// What is wrong with a slot: where in it, and what. Every byte counts: those behind the body must be zeros. A slot of
/// zeros only was never written; whether that may be is for the caller to know.
#[must_use]
pub fn slot_damage(magic: u64, slot: u64, bytes: &[u8]) -> Option<(usize, &'static str)> {
    if bytes.iter().all(|&byte| byte == 0) {
        return None;
    }
    let Some((_, _, body)) = parse_slot(magic, slot, bytes) else {
        return Some((0, "a slot does not verify"));
    };
    let end = SLOT_OVERHEAD_BYTES + body.len();
    let used = bytes.iter().skip(end).position(|&byte| byte != 0)?;
    Some((end + used, "the bytes behind a slot's body are not zeros"))
}

/// What the newest whole slot says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairContent {
    /// The format version in the slot.
    pub version: u32,
    /// Its counter.
    pub counter: u64,
    /// Its body.
    pub body: Vec<u8>,
    /// Whether the other slot was whole too.
    pub both_whole: bool,
    /// The other slot is neither whole nor empty: damaged, or torn by a power cut.
    pub other_damaged: bool,
    /// Behind a body, or behind the second slot, is something else than zeros.
    pub stray: bool,
}

/// An open file of two slots.
#[derive(Debug)]
pub struct Pair {
    file: Arc<dyn File>,
    magic: u64,
    version: u32,
    slot_bytes: usize,
    counter: u64,
    newest: u64,
    refused: bool,
}

impl Pair {
    /// Takes a file and reads what it holds; `None` when no slot is whole. Writes nothing.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read(file: &Arc<dyn File>, magic: u64, slot_bytes: usize) -> io::Result<Option<(PairContent, u64)>> {
        let mut found: Vec<(u64, Slot)> = Vec::new();
        let mut other_damaged = false;
        let mut stray = file.len()? > 2 * slot_bytes as u64;
        for slot in 0..2u64 {
            let mut bytes = vec![0; slot_bytes];
            let read = file.read_at(&mut bytes, slot * slot_bytes as u64)?;
            if let Some(content) = bytes.get(..read).and_then(|bytes| parse_slot(magic, slot, bytes)) {
                let padding = bytes.get(SLOT_OVERHEAD_BYTES + content.2.len()..).unwrap_or_default();
                stray |= padding.iter().any(|&byte| byte != 0);
                found.push((slot, content));
            } else {
                other_damaged |= bytes.iter().any(|&byte| byte != 0);
            }
        }
        let both_whole = found.len() == 2;
        let newest = found.into_iter().max_by_key(|(_, (_, counter, _))| *counter);
        Ok(newest.map(|(slot, (version, counter, body))| {
            (PairContent { version, counter, body, both_whole, other_damaged, stray }, slot)
        }))
    }

    /// Whether nothing was ever written here: both slots are empty.
    ///
    /// # Errors
    /// Those of reading.
    pub fn is_blank(file: &dyn File, slot_bytes: usize) -> io::Result<bool> {
        let mut bytes = vec![0; 2 * slot_bytes];
        let read = file.read_at(&mut bytes, 0)?;
        Ok(bytes.iter().take(read).all(|&byte| byte == 0))
    }

    /// Takes a file for writing, after [`read`](Self::read) said what it holds (`None`: the pair starts at counter 0).
    #[must_use]
    pub fn resume(file: Arc<dyn File>, magic: u64, version: u32, slot_bytes: usize, held: Option<(u64, u64)>) -> Self {
        let (counter, newest) = held.unwrap_or((0, 1));
        Self { file, magic, version, slot_bytes, counter, newest, refused: false }
    }

    /// Writes a body to the older slot and syncs it.
    ///
    /// # Errors
    /// Those of the write or the sync; from then on every write is refused, but after [`is_full`] of the write.
    pub fn write(&mut self, body: &[u8]) -> io::Result<()> {
        if self.refused {
            return Err(io::Error::other("an earlier write of this file failed; reopen the disk"));
        }
        assert!(body.len() + SLOT_OVERHEAD_BYTES <= self.slot_bytes, "a body fits its slot");
        let (counter, slot) = (self.counter + 1, 1 - self.newest);
        let slot = if planted::on(Bug::OverwriteNewestSlot) { 0 } else { slot };
        let mut bytes = encode_slot(self.magic, self.version, counter, slot, body);
        bytes.resize(self.slot_bytes, 0);
        self.refused = true;
        if let Err(error) = self.file.write_all_at(&mut [IoSlice::new(&bytes)], slot * self.slot_bytes as u64) {
            self.refused = !is_full(&error);
            return Err(error);
        }
        self.file.sync_data().map_err(super::failed_sync)?;
        self.refused = false;
        (self.counter, self.newest) = (counter, slot);
        Ok(())
    }
}
