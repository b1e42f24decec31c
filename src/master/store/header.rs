//! The head of the file: whose it is, how long redb thinks it is, and redb's own header, which it rewrites in place.
//!
//! Four slots (see `journal`) of 4 KiB, in two sets of two equal copies. A header goes to the set that does not hold the
//! last durable one, so a power cut in the middle leaves that one; and there are two copies, so that rot of one cannot
//! bring back an older header, which would be an older state. The body of a slot:
//! ```text
//!  0 owner u128 | 16 salt u64 | 24 length u64, of redb's file | 32 redb's header | zeros
//! ```
//! Owned by the lock of the block file. Always: between two syncs only one set is written.

use super::BLOCK_BYTES;
use super::trouble::Trouble;
use crate::disk::{DirectBuffer, Disk, File, Open};
use crate::journal::{Fields, encode_slot, parse_slot, u64_at, u128_at};
use std::io::{self, IoSlice};

/// Says that a file is a state store.
pub const MAGIC: u64 = u64::from_le_bytes(*b"LARDSTAT");
/// The version of the layout of the file, redb's format version 3 in it included.
pub const VERSION: u32 = 1;
/// Room for redb's header, of which it uses 320 bytes.
pub const REDB_BYTES: usize = 512;
/// Bytes of all slots.
pub const HEADER_BYTES: u64 = 4 * BLOCK_BYTES as u64;

const BODY_BYTES: usize = 32 + REDB_BYTES;

/// What the head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whose state it is.
    pub owner: u128,
    /// Keys all checksums of this file, so that a block of another file fails.
    pub salt: u64,
    /// Bytes of redb's file, checksums and head apart.
    pub length: u64,
    /// Redb's header.
    pub redb: [u8; REDB_BYTES],
}

impl Header {
    fn encode(&self) -> [u8; BODY_BYTES] {
        let fields = Fields::<BODY_BYTES>::default();
        fields.u128(0, self.owner).u64(16, self.salt).u64(24, self.length).set(32, &self.redb).0
    }

    fn decode(body: &[u8]) -> Option<Self> {
        let body = body.first_chunk::<BODY_BYTES>()?;
        let redb = *body.last_chunk::<REDB_BYTES>()?;
        Some(Self { owner: u128_at(body, 0), salt: u64_at(body, 16), length: u64_at(body, 24), redb })
    }
}

/// Which set is next, and which is durable.
#[derive(Debug)]
pub struct Slots {
    counter: u64,
    /// The set that holds the last durable header: 0 or 1.
    durable: u64,
    /// The other one was written since the last sync.
    written: bool,
}

impl Slots {
    /// Of a new file.
    pub fn new() -> Self {
        Self { counter: 0, durable: 1, written: false }
    }

    /// Reads the newest whole header, as the device has it: after a failed sync the page cache may show another.
    pub fn read(disk: &dyn Disk, name: &str, place: &str) -> Result<(Self, Header), Trouble> {
        let failed = |error: io::Error| Trouble::of(place, &error);
        let file = disk.open(name, Open::Direct).map_err(failed)?;
        let mut buffer = DirectBuffer::new(4 * BLOCK_BYTES);
        let filled = file.read_at(buffer.bytes_mut(), 0).map_err(failed)?;
        let bytes = buffer.bytes().get(..filled).unwrap_or_default();
        let slots = bytes.chunks(BLOCK_BYTES).zip(0..).filter_map(|(bytes, slot)| {
            let (version, counter, body) = parse_slot(MAGIC, slot, bytes)?;
            Some((counter, version, slot / 2, body))
        });
        let Some((counter, version, durable, body)) = slots.max_by_key(|(counter, ..)| *counter) else {
            let what = "no copy of its head verifies: it is no state store, or it is damaged; restore a backup";
            return Err(Trouble::damaged(place, what));
        };
        if version > VERSION {
            let what = format!("it has format version {version}, and this program knows {VERSION}: use a newer one");
            return Err(Trouble::damaged(place, what));
        }
        let header = Header::decode(&body).ok_or_else(|| Trouble::damaged(place, "its head is too short"))?;
        Ok((Self { counter, durable, written: false }, header))
    }

    /// Writes both copies of a header.
    pub fn write(&mut self, file: &dyn File, header: &Header) -> io::Result<()> {
        let set = 1 - self.durable;
        self.counter += 1;
        let body = header.encode();
        let copies = [2 * set, 2 * set + 1].map(|slot| {
            let mut bytes = encode_slot(MAGIC, VERSION, self.counter, slot, &body);
            bytes.resize(BLOCK_BYTES, 0);
            bytes
        });
        self.written = true;
        let mut parts = copies.each_ref().map(|copy| IoSlice::new(copy));
        file.write_all_at(&mut parts, 2 * set * BLOCK_BYTES as u64)
    }

    /// All that was written is durable.
    pub fn synced(&mut self) {
        if std::mem::take(&mut self.written) {
            self.durable = 1 - self.durable;
        }
    }
}
