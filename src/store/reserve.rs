//! The reserve: room of a disk that is kept for deletes, compaction and the records that they need.
//!
//! A file whose content has no meaning: its blocks are the room. Shared by the append lane and compaction; any thread that
//! may wait for the disk. Always: objects are taken only while it is whole, so that none of them eats room that was given
//! back for a delete; it is refilled before the disk takes objects again. Half of it is for compaction, which deletes never
//! get: it alone brings room back, so a disk on which it has none would stay full for ever. That half is refilled first.
//! Whether a cut or a refill survives a power cut does not matter: opening the disk looks at the file anew.

use super::{StoreOptions, names};
use crate::disk::{Disk, File, Open, is_full};
use crate::journal::failed_sync;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The reserve is at least this, and at least a 32nd of the disk.
const RESERVE_BYTES_MIN: u64 = 64 << 20;
const RESERVE_SHARE: u64 = 32;
/// At most so many segments: what lives in any one of them then fits the half that is compaction's.
const RESERVE_SEGMENTS_MAX: u64 = 2;

/// What is given back at once, at the least: what a delete needs for itself and for the deletes after it.
pub(super) const GIVE_BYTES_MIN: u64 = 4 << 20;

/// What a refill takes at once; on a disk that is nearly full it takes less, down to a page.
const REFILL_BYTES: u64 = 4 << 20;
const REFILL_BYTES_MIN: u64 = 4096;

/// The reserve of one disk.
#[derive(Debug)]
pub struct Reserve {
    /// Held over the calls on the file.
    file: Mutex<Arc<dyn File>>,
    /// Bytes of the file; written under the lock.
    held: AtomicU64,
    /// Those of them that are for compaction; written under the lock.
    for_compaction: AtomicU64,
    /// Bytes when it is whole.
    wanted: u64,
    /// Loans that are out.
    loans: AtomicUsize,
}

/// Room of the reserve that is being used up: it is not refilled before this is dropped.
#[derive(Debug)]
pub struct Loan {
    reserve: Arc<Reserve>,
    bytes: u64,
}

impl Reserve {
    /// Opens the reserve, makes it if there is none, and fills it as far as there is room.
    pub(super) fn open(disk: &dyn Disk, options: &StoreOptions) -> io::Result<Self> {
        let wanted = match options.reserve_bytes {
            Some(bytes) => bytes,
            None => {
                let most = options.segment_bytes.saturating_mul(RESERVE_SEGMENTS_MAX);
                (disk.space()?.total / RESERVE_SHARE).max(RESERVE_BYTES_MIN).min(most)
            }
        };
        let (file, is_new) = match disk.open(names::RESERVE, Open::Write) {
            Ok(file) => (file, false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (disk.open(names::RESERVE, Open::Create)?, true),
            Err(error) => return Err(error),
        };
        let held = file.len()?;
        if held > wanted {
            file.set_len(wanted)?;
        }
        let held = held.min(wanted);
        let for_compaction = AtomicU64::new(held.min(compaction_half(wanted)));
        let reserve = Self {
            file: Mutex::new(file),
            held: AtomicU64::new(held),
            for_compaction,
            wanted,
            loans: AtomicUsize::new(0),
        };
        let was_whole = reserve.is_whole();
        reserve.refill()?;
        if is_new || !was_whole {
            reserve.file.lock().sync_all().map_err(failed_sync)?;
            disk.sync_directory().map_err(failed_sync)?;
        }
        Ok(reserve)
    }

    /// Bytes that it holds.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.held.load(Ordering::Acquire)
    }

    /// Bytes that it holds when it is whole.
    #[must_use]
    pub fn wanted_bytes(&self) -> u64 {
        self.wanted
    }

    /// Those of its bytes that compaction may borrow.
    #[must_use]
    pub fn compaction_bytes(&self) -> u64 {
        self.for_compaction.load(Ordering::Acquire)
    }

    /// Bytes that it lacks: free room that objects may not take.
    #[must_use]
    pub fn missing_bytes(&self) -> u64 {
        self.wanted.saturating_sub(self.bytes())
    }

    /// Whether it holds all that it should: only then are objects taken.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.missing_bytes() == 0
    }

    /// Gives up to `bytes` back to the file system, and says how many; 0 when it is empty. They are free on return.
    /// For records that compaction needs: its own half is taken first.
    ///
    /// # Errors
    /// Those of cutting and syncing the file; then the disk is to be treated as failed for writing.
    pub fn give(&self, bytes: u64) -> io::Result<u64> {
        self.cut(|held, for_compaction| {
            let given = bytes.min(held);
            (given, given.min(for_compaction))
        })
    }

    /// As [`give`](Self::give), of the half that is not for compaction; 0 when that is used up.
    ///
    /// # Errors
    /// As [`give`](Self::give).
    pub fn give_for_deletes(&self, bytes: u64) -> io::Result<u64> {
        self.cut(|held, for_compaction| (bytes.min(held - for_compaction), 0))
    }

    /// `share` says how much is given, and how much of that is compaction's.
    fn cut(&self, share: impl FnOnce(u64, u64) -> (u64, u64)) -> io::Result<u64> {
        let file = self.file.lock();
        let (held, for_compaction) = (self.bytes(), self.compaction_bytes());
        let (given, of_compaction) = share(held, for_compaction);
        if given == 0 {
            return Ok(0);
        }
        // Less from here on, whatever comes of the calls: objects wait until it is refilled.
        self.held.store(held - given, Ordering::Release);
        self.for_compaction.store(for_compaction - of_compaction, Ordering::Release);
        file.set_len(held - given)?;
        // A journaling file system hands blocks out again only after the commit that freed them.
        file.sync_all().map_err(failed_sync)?;
        Ok(given)
    }

    /// Gives of compaction's half for work that takes its time: the reserve is not refilled before the loan is dropped.
    ///
    /// # Errors
    /// As [`give`](Self::give).
    pub fn lend(self: &Arc<Self>, bytes: u64) -> io::Result<Loan> {
        self.loans.fetch_add(1, Ordering::AcqRel);
        let mut loan = Loan { reserve: Arc::clone(self), bytes: 0 };
        loan.extend(bytes)?;
        Ok(loan)
    }

    /// Takes back what it lacks, a piece at a time; false when the disk is full before it is whole, or a loan is out.
    ///
    /// # Errors
    /// Those of reserving room, but want of room; then the disk is to be treated as failed for writing.
    pub fn refill(&self) -> io::Result<bool> {
        let file = self.file.lock();
        if self.loans.load(Ordering::Acquire) > 0 {
            return Ok(false);
        }
        let mut most = REFILL_BYTES;
        loop {
            let held = self.bytes();
            let piece = self.wanted.saturating_sub(held).min(most);
            if piece == 0 {
                return Ok(true);
            }
            match file.allocate(held, piece) {
                Ok(()) => {
                    let for_compaction = (self.compaction_bytes() + piece).min(compaction_half(self.wanted));
                    self.for_compaction.store(for_compaction, Ordering::Release);
                    self.held.store(held + piece, Ordering::Release);
                }
                Err(error) if is_full(&error) => {
                    // Some file systems keep what they found before they ran out.
                    file.set_len(held)?;
                    most = piece / 2;
                    if most < REFILL_BYTES_MIN {
                        return Ok(false);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Loan {
    /// Bytes that the file system was given for it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Asks for up to `bytes` more, and says how many there were; 0 when compaction's half is used up.
    ///
    /// # Errors
    /// As [`Reserve::give`].
    pub fn extend(&mut self, bytes: u64) -> io::Result<u64> {
        let given = self.reserve.cut(|_, for_compaction| {
            let given = bytes.min(for_compaction);
            (given, given)
        })?;
        self.bytes += given;
        Ok(given)
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.reserve.loans.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What is for compaction of a whole reserve.
fn compaction_half(wanted: u64) -> u64 {
    wanted - wanted / 2
}

/// Gives a piece of the reserve of a disk that is not open yet; false when there is none left.
pub(super) fn give_before_open(disk: &dyn Disk) -> io::Result<bool> {
    let file = match disk.open(names::RESERVE, Open::Write) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let held = file.len()?;
    if held == 0 {
        return Ok(false);
    }
    // At least an eighth, so that a few rounds find whether it helps.
    file.set_len(held.saturating_sub(GIVE_BYTES_MIN.max(held / 8)))?;
    file.sync_all().map_err(failed_sync)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Call, Fault, FaultPlan, FaultyDisk, MemoryDisk};

    const MIB: u64 = 1 << 20;

    fn options(bytes: u64) -> StoreOptions {
        StoreOptions { reserve_bytes: Some(bytes), ..StoreOptions::default() }
    }

    #[test]
    fn it_gives_room_and_takes_it_back() {
        let disk = MemoryDisk::with_capacity(20 * MIB);
        let reserve = Reserve::open(&disk, &options(10 * MIB)).unwrap();
        assert!(reserve.is_whole());
        assert_eq!((reserve.bytes(), reserve.missing_bytes()), (10 * MIB, 0));
        assert_eq!(disk.space().unwrap().free, 10 * MIB);
        assert_eq!(reserve.give(4 * MIB).unwrap(), 4 * MIB);
        assert_eq!((reserve.bytes(), reserve.missing_bytes(), reserve.is_whole()), (6 * MIB, 4 * MIB, false));
        assert_eq!(disk.space().unwrap().free, 14 * MIB);
        assert!(reserve.refill().unwrap() && reserve.is_whole());
        assert_eq!(reserve.give(100 * MIB).unwrap(), 10 * MIB, "all there is");
        assert_eq!(reserve.give(1).unwrap(), 0);
    }

    #[test]
    fn a_full_disk_refills_it_as_far_as_it_goes() {
        let disk = MemoryDisk::with_capacity(20 * MIB);
        let reserve = Reserve::open(&disk, &options(10 * MIB)).unwrap();
        reserve.give(10 * MIB).unwrap();
        disk.set_capacity(9 * MIB);
        assert!(!reserve.refill().unwrap());
        assert_eq!(reserve.bytes(), 9 * MIB, "to the last page");
        assert_eq!(disk.open(names::RESERVE, Open::Read).unwrap().len().unwrap(), 9 * MIB);
        disk.set_capacity(10 * MIB);
        assert!(reserve.refill().unwrap());
    }

    #[test]
    fn opening_fills_it_or_cuts_it_to_its_size() {
        let disk = MemoryDisk::with_capacity(20 * MIB);
        drop(Reserve::open(&disk, &options(10 * MIB)).unwrap());
        assert_eq!(Reserve::open(&disk, &options(3 * MIB)).unwrap().bytes(), 3 * MIB);
        assert_eq!(disk.space().unwrap().free, 17 * MIB);
        let reserve = Reserve::open(&disk, &options(30 * MIB)).unwrap();
        assert!(!reserve.is_whole());
        assert_eq!(Reserve::open(&disk, &options(12 * MIB)).unwrap().missing_bytes(), 0);
    }

    #[test]
    fn a_loan_is_not_taken_back_before_it_ends() {
        let disk = MemoryDisk::with_capacity(20 * MIB);
        let reserve = Arc::new(Reserve::open(&disk, &options(10 * MIB)).unwrap());
        let mut loan = reserve.lend(3 * MIB).unwrap();
        assert_eq!((loan.extend(2 * MIB).unwrap(), loan.bytes()), (2 * MIB, 5 * MIB));
        assert!(!reserve.refill().unwrap() && !reserve.is_whole());
        assert_eq!(disk.space().unwrap().free, 15 * MIB);
        drop(loan);
        assert!(reserve.refill().unwrap() && reserve.is_whole());
    }

    #[test]
    fn deletes_never_get_the_half_of_compaction() {
        let disk = MemoryDisk::with_capacity(20 * MIB);
        let reserve = Arc::new(Reserve::open(&disk, &options(10 * MIB)).unwrap());
        assert_eq!(reserve.compaction_bytes(), 5 * MIB);
        assert_eq!(reserve.give_for_deletes(4 * MIB).unwrap(), 4 * MIB);
        assert_eq!(reserve.give_for_deletes(4 * MIB).unwrap(), MIB);
        assert_eq!(reserve.give_for_deletes(1).unwrap(), 0);
        assert_eq!((reserve.bytes(), reserve.compaction_bytes()), (5 * MIB, 5 * MIB));
        let mut loan = reserve.lend(3 * MIB).unwrap();
        assert_eq!((loan.extend(4 * MIB).unwrap(), loan.extend(1).unwrap(), loan.bytes()), (2 * MIB, 0, 5 * MIB));
        drop(loan);
        // What comes back is compaction's first.
        disk.set_capacity(6 * MIB);
        assert!(!reserve.refill().unwrap());
        assert_eq!((reserve.bytes(), reserve.compaction_bytes()), (6 * MIB, 5 * MIB));
        assert_eq!(reserve.give_for_deletes(2 * MIB).unwrap(), MIB);
        assert_eq!(reserve.give_for_deletes(1).unwrap(), 0);
        disk.set_capacity(20 * MIB);
        assert!(reserve.refill().unwrap());
        // Compaction may not have that of deletes, but for the record of a swap.
        let loan = reserve.lend(10 * MIB).unwrap();
        assert_eq!((loan.bytes(), reserve.bytes()), (5 * MIB, 5 * MIB));
        assert_eq!(reserve.give(6 * MIB).unwrap(), 5 * MIB);
    }

    #[test]
    fn its_size_follows_the_disk_and_the_segments() {
        let of = |disk_bytes: u64, segment_bytes: u64| {
            let options = StoreOptions { segment_bytes, ..StoreOptions::default() };
            Reserve::open(&MemoryDisk::with_capacity(disk_bytes), &options).unwrap().wanted_bytes()
        };
        assert_eq!(of(200 * MIB, 16 * MIB), 32 * MIB, "two segments");
        assert_eq!(of(200 * MIB, 64 * MIB), 64 * MIB);
        assert_eq!(of(4096 * MIB, 256 * MIB), 128 * MIB, "a 32nd of the disk");
    }

    #[test]
    fn before_the_disk_is_open_it_gives_until_it_is_empty() {
        let disk = MemoryDisk::new();
        assert!(!give_before_open(&disk).unwrap());
        drop(Reserve::open(&disk, &options(10 * MIB)).unwrap());
        let mut rounds = 0;
        while give_before_open(&disk).unwrap() {
            rounds += 1;
        }
        assert_eq!(rounds, 3, "4, 4 and 2 MiB");
        assert!(Reserve::open(&disk, &options(10 * MIB)).unwrap().is_whole());
    }

    #[test]
    fn an_error_of_the_device_is_an_error_and_no_want_of_room() {
        let faulty = FaultyDisk::new(Arc::new(MemoryDisk::new()), FaultPlan::default());
        let reserve = Reserve::open(&faulty, &options(10 * MIB)).unwrap();
        faulty.faults().add(Fault::error(Call::SyncAll, 5));
        assert!(reserve.give(MIB).is_err());
        assert_eq!(reserve.missing_bytes(), MIB, "what may be given is not counted as held");
        faulty.faults().add(Fault::error(Call::Allocate, 5));
        assert!(reserve.refill().is_err());
    }
}
