//! The checksums of the blocks, a page of them in memory for each group that is in use.
//!
//! Owned by the lock of the block file. A checksum is XXH3-64 of the block, keyed with the file's salt and the block's
//! number, so that a block at a wrong place or of another file fails; one that was overwritten without its checksum, or
//! never reached the disk, fails too. Zero is a block that was never written.
//!
//! Why a power cut tears no block that counts from its checksum: redb never writes to a block of its last durable commit,
//! so the checksum of such a block is never changed either. The page that holds it is rewritten, with the same bytes at
//! that place, and a sector is old or new. Blocks and checksums of a commit are durable by the first of its two
//! syncs; only then the header that leads to them is written.

use super::BLOCK_BYTES;
use super::header::HEADER_BYTES;
use crate::base::checksum::keyed;
use crate::disk::File;
use std::collections::BTreeMap;
use std::io::{self, IoSlice};

/// Blocks of a group.
pub const GROUP_BLOCKS: u64 = BLOCK_BYTES as u64 / 8;
const GROUP_BYTES: u64 = (GROUP_BLOCKS + 1) * BLOCK_BYTES as u64;

/// Where a block is in the file.
pub fn block_at(block: u64) -> u64 {
    group_at(block / GROUP_BLOCKS) + (1 + block % GROUP_BLOCKS) * BLOCK_BYTES as u64
}

/// Where the checksums of a group are in the file.
pub fn group_at(group: u64) -> u64 {
    HEADER_BYTES + group * GROUP_BYTES
}

/// The checksum of a block; never zero.
pub fn sum(salt: u64, block: u64, bytes: &[u8]) -> u64 {
    // An odd constant spreads neighbours, so that salt and number do not cancel out.
    keyed(salt ^ block.wrapping_mul(0x9e37_79b9_7f4a_7c15), bytes).max(1)
}

#[derive(Debug)]
struct Page {
    sums: Vec<u64>,
    dirty: bool,
    /// Was used since it was last looked at for eviction.
    used: bool,
}

/// The pages of checksums in memory.
#[derive(Debug)]
pub struct Sums {
    pages: BTreeMap<u64, Page>,
    pages_max: usize,
    /// Where eviction goes on.
    hand: u64,
}

impl Sums {
    /// None in memory, at most so many bytes of them later.
    pub fn new(bytes_max: usize) -> Self {
        Self { pages: BTreeMap::new(), pages_max: (bytes_max / BLOCK_BYTES).max(4), hand: 0 }
    }

    /// The checksum of a block, from its group's page; zero if it was never written.
    pub fn value(&mut self, file: &dyn File, block: u64) -> io::Result<u64> {
        let page = self.page(file, block / GROUP_BLOCKS)?;
        Ok(page.sums.get(place_of(block)).copied().unwrap_or(0))
    }

    /// Sets the checksum of a block.
    pub fn set(&mut self, file: &dyn File, block: u64, sum: u64) -> io::Result<()> {
        let page = self.page(file, block / GROUP_BLOCKS)?;
        if let Some(place) = page.sums.get_mut(place_of(block)) {
            *place = sum;
        }
        page.dirty = true;
        Ok(())
    }

    /// Writes all pages that changed.
    pub fn write(&mut self, file: &dyn File) -> io::Result<()> {
        self.pages.iter_mut().try_for_each(|(group, page)| page.write(file, *group))
    }

    fn page(&mut self, file: &dyn File, group: u64) -> io::Result<&mut Page> {
        if !self.pages.contains_key(&group) {
            self.make_room(file)?;
            let page = Page::read(file, group)?;
            self.pages.insert(group, page);
        }
        let page = self.pages.get_mut(&group).ok_or(io::ErrorKind::NotFound)?;
        page.used = true;
        Ok(page)
    }

    /// Lets go of pages until there is a place, the least used first, as a clock finds them.
    fn make_room(&mut self, file: &dyn File) -> io::Result<()> {
        while self.pages.len() >= self.pages_max {
            let next = self.pages.range_mut(self.hand..).next().map(|(group, page)| (*group, page));
            let Some((group, page)) = next else {
                self.hand = 0;
                continue;
            };
            self.hand = group + 1;
            if !std::mem::take(&mut page.used) {
                page.write(file, group)?;
                self.pages.remove(&group);
            }
        }
        Ok(())
    }
}

impl Page {
    /// What lies beyond the end of the file was never written.
    fn read(file: &dyn File, group: u64) -> io::Result<Self> {
        let mut bytes = [0; BLOCK_BYTES];
        file.read_at(&mut bytes, group_at(group))?;
        let (fields, _) = bytes.as_chunks::<8>();
        Ok(Self { sums: fields.iter().map(|field| u64::from_le_bytes(*field)).collect(), dirty: false, used: true })
    }

    fn write(&mut self, file: &dyn File, group: u64) -> io::Result<()> {
        if self.dirty {
            let bytes: Vec<u8> = self.sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
            file.write_all_at(&mut [IoSlice::new(&bytes)], group_at(group))?;
            self.dirty = false;
        }
        Ok(())
    }
}

fn place_of(block: u64) -> usize {
    usize::try_from(block % GROUP_BLOCKS).unwrap_or(usize::MAX)
}
