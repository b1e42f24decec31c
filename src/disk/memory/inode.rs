//! One file without its name: what is read now, what a power cut leaves, and how they differ.
//!
//! Always: no sector is both dirty and lost, and one that is neither is the same in both images; the
//! images are zero beyond their lengths.

use super::dice::{Dice, Odds};
use super::extents::Extents;
use super::image::{Image, PAGE_BYTES, Piece, Sectors, pieces};
use std::collections::BTreeSet;

/// No room for what is to be written.
#[derive(Debug)]
pub struct Full;

#[derive(Clone)]
pub struct Inode {
    live: Image,
    durable: Image,
    /// Written since the last sync.
    dirty: Sectors,
    /// Clean in the page cache, but never written: a sync failed.
    lost: Sectors,
    held: Extents,
    /// Whether reads from the page cache find it.
    pub resident: bool,
    /// Handles on it.
    pub handles: usize,
}

impl Default for Inode {
    fn default() -> Self {
        Self {
            live: Image::default(),
            durable: Image::default(),
            dirty: Sectors::default(),
            lost: Sectors::default(),
            held: Extents::default(),
            resident: true,
            handles: 0,
        }
    }
}

impl Inode {
    pub fn bytes(&self) -> u64 {
        self.live.bytes()
    }

    /// Room that it holds on the disk.
    pub fn bytes_held(&self) -> u64 {
        self.held.pages() * PAGE_BYTES
    }

    pub fn read(&self, into: &mut [u8], offset: u64) -> usize {
        self.live.read(into, offset)
    }

    /// Reads what the device has once everything dirty is written back: what a failed sync lost is not there.
    pub fn read_direct(&self, into: &mut [u8], offset: u64) -> usize {
        if self.lost.is_empty() {
            return self.read(into, offset);
        }
        let mut device = self.live.clone();
        for (page, sectors) in self.lost.iter() {
            device.take(page, sectors, &self.durable);
        }
        device.trim();
        device.read(into, offset)
    }

    /// Writes page by page, taking new pages from `room` (bytes); what was written before it ran out stays.
    pub fn write(&mut self, bytes: &[u8], offset: u64, room: &mut u64) -> Result<(), Full> {
        let mut rest = bytes;
        for piece in pieces(offset, offset + bytes.len() as u64) {
            if self.held.missing(piece.page, piece.page + 1) > 0 {
                *room = room.checked_sub(PAGE_BYTES).ok_or(Full)?;
                self.held.add(piece.page, piece.page + 1);
            }
            let (now, later) = rest.split_at(piece.len());
            self.live.write(&piece, now);
            self.touch(piece.page, piece.sectors());
            rest = later;
        }
        Ok(())
    }

    /// Holds all of a range, or nothing more than before.
    pub fn allocate(&mut self, from: u64, to: u64, room: u64) -> Result<(), Full> {
        let (first, last) = (from / PAGE_BYTES, to.div_ceil(PAGE_BYTES));
        if self.held.missing(first, last).checked_mul(PAGE_BYTES).is_none_or(|need| need > room) {
            return Err(Full);
        }
        self.held.add(first, last);
        if to > self.live.bytes() {
            self.live.set_len(to);
        }
        Ok(())
    }

    pub fn punch(&mut self, from: u64, to: u64) {
        self.zero(from, to);
        self.held.remove(from.div_ceil(PAGE_BYTES), to / PAGE_BYTES);
    }

    pub fn set_len(&mut self, bytes: u64) {
        if bytes < self.live.bytes() {
            self.zero(bytes, self.live.bytes().max(self.durable.bytes()));
            self.held.remove(bytes.div_ceil(PAGE_BYTES), u64::MAX);
        }
        self.live.set_len(bytes);
    }

    fn zero(&mut self, from: u64, to: u64) {
        let touched: BTreeSet<u64> = self.live.pages_in(from, to).chain(self.durable.pages_in(from, to)).collect();
        for page in touched {
            self.touch(page, Piece::of(page, from, to).sectors());
        }
        self.live.zero(from, to);
    }

    /// What is written anew is no longer lost: the next sync writes it.
    fn touch(&mut self, page: u64, sectors: u8) {
        self.dirty.add(page, sectors);
        self.lost.remove(page, sectors);
    }

    /// Makes it durable, but for what an earlier sync lost.
    pub fn sync(&mut self) {
        for (page, sectors) in std::mem::take(&mut self.dirty).iter() {
            // Sectors that are not dirty are equal, so that the whole page can be shared if none is lost.
            let whole = self.lost.of_page(page) == 0;
            self.durable.take(page, if whole { u8::MAX } else { sectors }, &self.live);
        }
        self.durable.set_len(self.live.bytes());
        self.durable.trim();
    }

    /// A sync that fails as Linux does: nothing is written, and the pages are clean all the same.
    pub fn fail_sync(&mut self) {
        for (page, sectors) in std::mem::take(&mut self.dirty).iter() {
            self.lost.add(page, sectors);
        }
    }

    /// Reads come from the device again.
    pub fn drop_pages(&mut self) {
        for (page, sectors) in std::mem::take(&mut self.lost).iter() {
            self.live.take(page, sectors, &self.durable);
        }
        self.live.trim();
    }

    /// What a power cut leaves: of what was not synced, nothing, or what the dice keep.
    pub fn crashed(&self, dice: Option<&mut Dice>) -> Self {
        let mut left = self.durable.clone();
        if let Some(dice) = dice {
            let odds = dice.odds();
            for (page, sectors) in self.dirty.iter() {
                let kept = (0..8).fold(0, |kept, sector| kept | u8::from(dice.keeps(odds)) << sector);
                left.take(page, sectors & kept, &self.live);
            }
            left.set_len(self.length_left(dice, odds));
            left.trim();
        }
        let mut held = self.held.clone();
        held.remove(left.bytes().div_ceil(PAGE_BYTES), u64::MAX);
        for page in left.pages_in(0, left.bytes()) {
            held.add(page, page + 1);
        }
        Self { live: left.clone(), durable: left, held, ..Self::default() }
    }

    /// A cut is done or not; growth may have come to any point.
    fn length_left(&self, dice: &mut Dice, odds: Odds) -> u64 {
        let (durable, live) = (self.durable.bytes(), self.live.bytes());
        match dice.below(3) {
            0 if live > durable => durable + dice.below(live - durable),
            _ if dice.keeps(odds) => live,
            _ => durable,
        }
    }
}
