//! The superblock: whose directory this is, and the highest volume number that its node ever gave out.
//!
//! A pair of slots (see `journal`) of 4 KiB. The body of a slot:
//! ```text
//!  0 cluster u128 | 16 node u128 | 32 disk u128 | 48 highest volume u32 | 52 zero u32
//! ```
//! The slots' version is the format version of the whole directory. Both slots are written, one after the other, so
//! that damage to one loses no number.
//!
//! Any thread may raise the number; the lock is held over two syncs, so never on a processor thread.
//! Always: the number on disk is at least every number that was given out.

use super::error::StoreError;
use super::{Identity, names};
use crate::base::ids::{ClusterId, DiskId, NodeId, VolumeId};
use crate::disk::{Disk, File, Lock, Open};
use crate::journal::{Fields, Pair, failed_sync, u32_at, u128_at};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Says that a file is a superblock.
pub const SUPERBLOCK_MAGIC: u64 = u64::from_le_bytes(*b"LARDSUPR");
/// The version of the whole directory.
pub const FORMAT_VERSION: u32 = 1;
/// Bytes of one of its slots.
pub const SLOT_BYTES: usize = 4096;
const BODY_BYTES: usize = 56;

/// The open superblock of one disk. It holds the directory against other processes while it lives.
#[derive(Debug)]
pub struct Superblock {
    identity: Identity,
    place: String,
    highest: AtomicU32,
    pair: Mutex<Pair>,
    _lock: Box<dyn Lock>,
}

/// What a superblock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuperblockContent {
    /// Whose directory this is.
    pub identity: Identity,
    /// The highest volume number ever given out; 0 = none.
    pub highest: VolumeId,
    /// Both slots are whole.
    pub both_whole: bool,
    /// Something else than zeros lies behind the slots' bodies.
    pub stray: bool,
    held: (u64, u64),
}

/// The body of a slot.
#[must_use]
pub fn encode(identity: &Identity, highest: VolumeId) -> [u8; BODY_BYTES] {
    Fields::<BODY_BYTES>::default()
        .u128(0, identity.cluster.0)
        .u128(16, identity.node.0)
        .u128(32, identity.disk.0)
        .u32(48, highest.0)
        .0
}

impl SuperblockContent {
    /// Reads the superblock; writes nothing.
    ///
    /// # Errors
    /// Damaged, newer, or not readable.
    pub fn read(disk: &dyn Disk) -> Result<Self, StoreError> {
        let place = || format!("{}/{}", disk.place(), names::SUPERBLOCK);
        let file = disk.open(names::SUPERBLOCK, Open::Read).map_err(StoreError::io(disk, names::SUPERBLOCK, "open"))?;
        let read =
            Pair::read(&file, SUPERBLOCK_MAGIC, SLOT_BYTES).map_err(StoreError::io(disk, names::SUPERBLOCK, "read"))?;
        let (content, slot) = read.ok_or_else(|| StoreError::Superblock { place: place() })?;
        if content.version > FORMAT_VERSION {
            return Err(StoreError::Newer { place: place(), found: content.version, known: FORMAT_VERSION });
        }
        let body = content.body.first_chunk::<BODY_BYTES>();
        let body = body.ok_or_else(|| StoreError::Superblock { place: place() })?;
        Ok(Self {
            identity: Identity {
                cluster: ClusterId(u128_at(body, 0)),
                node: NodeId(u128_at(body, 16)),
                disk: DiskId(u128_at(body, 32)),
            },
            highest: VolumeId(u32_at(body, 48)),
            both_whole: content.both_whole,
            stray: content.stray,
            held: (content.counter, slot),
        })
    }
}

impl Superblock {
    /// Makes the superblock of a new directory, durably; the last step of formatting.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn create(disk: &dyn Disk, identity: Identity, lock: Box<dyn Lock>) -> Result<Self, StoreError> {
        let temporary = format!("{}.tmp", names::SUPERBLOCK);
        let make = || -> io::Result<Pair> {
            let file = disk.open(&temporary, Open::Create)?;
            let mut pair = Pair::resume(Arc::clone(&file), SUPERBLOCK_MAGIC, FORMAT_VERSION, SLOT_BYTES, None);
            let body = encode(&identity, VolumeId(0));
            pair.write(&body)?;
            pair.write(&body)?;
            file.sync_all().map_err(failed_sync)?;
            disk.rename(&temporary, names::SUPERBLOCK)?;
            disk.sync_directory().map_err(failed_sync)?;
            Ok(pair)
        };
        let pair = make().map_err(StoreError::io(disk, names::SUPERBLOCK, "create"))?;
        Ok(Self { identity, place: disk.place(), highest: AtomicU32::new(0), pair: Mutex::new(pair), _lock: lock })
    }

    /// Takes the superblock that was read; `floor` is the highest volume that the manifest names.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn resume(
        disk: &dyn Disk,
        content: &SuperblockContent,
        floor: VolumeId,
        lock: Box<dyn Lock>,
    ) -> Result<Self, StoreError> {
        let file: Arc<dyn File> =
            disk.open(names::SUPERBLOCK, Open::Write).map_err(StoreError::io(disk, names::SUPERBLOCK, "open"))?;
        let pair = Pair::resume(file, SUPERBLOCK_MAGIC, FORMAT_VERSION, SLOT_BYTES, Some(content.held));
        let superblock = Self {
            identity: content.identity,
            place: disk.place(),
            highest: AtomicU32::new(content.highest.0),
            pair: Mutex::new(pair),
            _lock: lock,
        };
        // Writing a slot writes the zeros behind its body too.
        if !content.both_whole || content.stray {
            superblock.write(&mut superblock.pair.lock(), content.highest.max(floor))?;
        }
        superblock.raise(floor)?;
        Ok(superblock)
    }

    /// Whose directory this is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The highest volume number that was ever given out, as far as this disk knows; 0 = none.
    #[must_use]
    pub fn highest(&self) -> VolumeId {
        VolumeId(self.highest.load(Ordering::Acquire))
    }

    /// Raises the highest number given out; durable when it returns. A lower or equal number changes nothing.
    ///
    /// # Errors
    /// Those of the disk; from then on every raise fails until the disk is opened again.
    pub fn raise(&self, to: VolumeId) -> Result<(), StoreError> {
        let mut pair = self.pair.lock();
        if to <= self.highest() {
            return Ok(());
        }
        self.write(&mut pair, to)
    }

    fn write(&self, pair: &mut Pair, to: VolumeId) -> Result<(), StoreError> {
        let body = encode(&self.identity, to);
        for _slot in 0..2 {
            pair.write(&body).map_err(|error| StoreError::Io {
                place: format!("{}/{}", self.place, names::SUPERBLOCK),
                action: "write",
                offset: 0,
                error,
            })?;
        }
        self.highest.store(to.0, Ordering::Release);
        Ok(())
    }
}
