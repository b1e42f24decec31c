//! What a file holds at one time: sparse pages that copies of it share, and a length.
//!
//! Always: no page lies wholly beyond the length, and bytes of the last page beyond the length are zero.

use std::collections::BTreeMap;
use std::sync::Arc;

pub const PAGE_BYTES: u64 = 4096;
pub const SECTOR_BYTES: u64 = 512;

type Page = [u8; PAGE_BYTES as usize];

#[derive(Clone, Default)]
pub struct Image {
    pages: BTreeMap<u64, Arc<Page>>,
    bytes: u64,
}

impl Image {
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The pages that were written in this range of bytes.
    pub fn pages_in(&self, from: u64, to: u64) -> impl Iterator<Item = u64> + '_ {
        let first = from / PAGE_BYTES;
        self.pages.range(first..to.div_ceil(PAGE_BYTES).max(first)).map(|(page, _)| *page)
    }

    /// Reads up to the length.
    pub fn read(&self, into: &mut [u8], offset: u64) -> usize {
        let end = self.bytes.min(offset.saturating_add(into.len() as u64));
        let mut filled = 0;
        for piece in pieces(offset, end) {
            let target = &mut into[filled..filled + piece.len()];
            match self.pages.get(&piece.page) {
                Some(page) => target.copy_from_slice(&page[piece.from..piece.to]),
                None => target.fill(0),
            }
            filled += piece.len();
        }
        filled
    }

    /// Writes within one page; the length grows to cover it.
    pub fn write(&mut self, piece: &Piece, bytes: &[u8]) {
        let page = self.pages.entry(piece.page).or_insert_with(|| Arc::new([0; PAGE_BYTES as usize]));
        Arc::make_mut(page)[piece.from..piece.to].copy_from_slice(bytes);
        self.bytes = self.bytes.max(piece.page * PAGE_BYTES + piece.to as u64);
    }

    /// Zeros a range; the length stays.
    pub fn zero(&mut self, from: u64, to: u64) {
        let touched: Vec<u64> = self.pages_in(from, to).collect();
        for page in touched {
            let piece = Piece::of(page, from, to);
            if piece.len() as u64 == PAGE_BYTES {
                self.pages.remove(&page);
            } else if let Some(page) = self.pages.get_mut(&page) {
                Arc::make_mut(page)[piece.from..piece.to].fill(0);
            }
        }
    }

    pub fn set_len(&mut self, bytes: u64) {
        if bytes < self.bytes {
            self.zero(bytes, self.bytes.next_multiple_of(PAGE_BYTES));
        }
        self.bytes = bytes;
    }

    /// Takes sectors of a page from another image; the length stays.
    pub fn take(&mut self, page: u64, sectors: u8, from: &Image) {
        let Some(source) = from.pages.get(&page) else {
            if sectors == u8::MAX {
                self.pages.remove(&page);
            } else if let Some(target) = self.pages.get_mut(&page) {
                each_sector(sectors, |range| Arc::make_mut(target)[range].fill(0));
            }
            return;
        };
        if sectors == u8::MAX {
            self.pages.insert(page, Arc::clone(source));
            return;
        }
        let target = self.pages.entry(page).or_insert_with(|| Arc::new([0; PAGE_BYTES as usize]));
        each_sector(sectors, |range| {
            Arc::make_mut(target)[range.clone()].copy_from_slice(&source[range]);
        });
    }

    /// Drops what `take` left beyond the length.
    pub fn trim(&mut self) {
        let end = self.pages.last_key_value().map_or(0, |(page, _)| (page + 1) * PAGE_BYTES);
        if end > self.bytes {
            self.zero(self.bytes, end);
        }
    }
}

fn each_sector(sectors: u8, mut run: impl FnMut(std::ops::Range<usize>)) {
    let bytes = SECTOR_BYTES as usize;
    for sector in (0..8).filter(|sector| sectors & (1 << sector) != 0) {
        run(sector * bytes..(sector + 1) * bytes);
    }
}

/// Part of one page.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    pub page: u64,
    pub from: usize,
    pub to: usize,
}

impl Piece {
    /// What of the range `from..to`, which touches this page, is in it.
    pub fn of(page: u64, from: u64, to: u64) -> Self {
        let start = page * PAGE_BYTES;
        let within =
            |offset: u64| usize::try_from(offset.clamp(start, start + PAGE_BYTES) - start).expect("a page is small");
        Self { page, from: within(from), to: within(to) }
    }

    pub fn len(&self) -> usize {
        self.to - self.from
    }

    /// The sectors that it touches, a bit each.
    pub fn sectors(&self) -> u8 {
        let bytes = SECTOR_BYTES as usize;
        (self.from / bytes..self.to.div_ceil(bytes)).fold(0, |sectors, sector| sectors | 1 << sector)
    }
}

/// A range of bytes, page by page.
pub fn pieces(from: u64, to: u64) -> impl Iterator<Item = Piece> {
    let pages = if from < to { from / PAGE_BYTES..to.div_ceil(PAGE_BYTES) } else { 0..0 };
    pages.map(move |page| Piece::of(page, from, to))
}

/// A set of sectors.
#[derive(Debug, Clone, Default)]
pub struct Sectors(BTreeMap<u64, u8>);

impl Sectors {
    pub fn add(&mut self, page: u64, sectors: u8) {
        if sectors != 0 {
            *self.0.entry(page).or_default() |= sectors;
        }
    }

    pub fn remove(&mut self, page: u64, sectors: u8) {
        if let Some(held) = self.0.get_mut(&page) {
            *held &= !sectors;
            if *held == 0 {
                self.0.remove(&page);
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn of_page(&self, page: u64) -> u8 {
        self.0.get(&page).copied().unwrap_or(0)
    }

    /// Page and its sectors, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u8)> + '_ {
        self.0.iter().map(|(page, sectors)| (*page, *sectors))
    }
}
