//! When index files are written: a closed segment's once, an open one's now and then and at a clean stop.
//!
//! Shared by the disk's background thread, which calls [`Snapshots::step`], and its append lane, which says how far each
//! open segment is synced and calls [`Snapshots::finish`] at a stop. One file at a time is written, under a lock that no
//! other thread takes. Always: a file is whole before it has its name; nothing here can fail an append.

use super::draft::Draft;
use super::format::Hole;
use crate::base::ids::{DiskId, Sequence};
use crate::disk::{Disk, File, Open, is_full};
use crate::store::catalog::Catalog;
use crate::store::names;
use crate::store::segment::Segment;
use crate::store::segment_header::SEGMENT_HEADER_BYTES;
use parking_lot::Mutex;
use std::io::{self, IoSlice};
use std::sync::{Arc, OnceLock};

/// How far an open segment grows before its index file is written again: what is walked after an unclean stop is about
/// this much, and the index files of a segment of 1 GiB take 16 writes, an eighth of its bytes when objects are tiny.
const GROWTH_BYTES: u64 = 64 << 20;

/// A place in a segment below which everything is synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// The sequence behind it.
    pub next: Sequence,
    /// The byte behind it.
    pub end: u64,
    /// The volume's chain digest there.
    pub chain: u128,
    /// Bytes of the needles of objects before it.
    pub object_bytes: u64,
}

/// How far a segment's index file covers it. Any thread; the lock is held for moments.
#[derive(Debug, Default)]
pub struct Progress {
    now: Mutex<Now>,
    /// Sequences in it that have no whole needle, as recovery found them.
    holes: OnceLock<Vec<Hole>>,
}

#[derive(Debug, Default)]
struct Now {
    /// How far an open segment is synced, as the lane last said.
    point: Option<Point>,
    /// Sequence and byte that the index file covers.
    written: Option<(Sequence, u64)>,
    /// Something in it does not verify: no index file is tried again before the next start.
    unfit: bool,
}

impl Progress {
    /// Everything below is synced and published. Called by the append lane.
    pub fn set_point(&self, point: Point) {
        self.now.lock().point = Some(point);
    }

    /// The index file covers everything below.
    pub fn set_written(&self, next: Sequence, end: u64) {
        self.now.lock().written = Some((next, end));
    }

    /// No index file is to be written before the next start.
    pub fn set_unfit(&self) {
        self.now.lock().unfit = true;
    }

    /// Where recovery found no whole needle.
    pub fn set_holes(&self, holes: Vec<Hole>) {
        // A segment is built once.
        self.holes.get_or_init(|| holes);
    }

    /// Where there is no whole needle.
    pub fn holes(&self) -> &[Hole] {
        self.holes.get().map_or(&[], Vec::as_slice)
    }
}

/// Writes the index files of one disk.
#[derive(Debug)]
pub struct Snapshots {
    disk: Arc<dyn Disk>,
    id: DiskId,
    catalog: Arc<Catalog>,
    writing: Mutex<()>,
    /// Why the last stop could not write them all.
    trouble: Mutex<Option<String>>,
}

impl Snapshots {
    pub(in crate::store) fn new(disk: Arc<dyn Disk>, id: DiskId, catalog: Arc<Catalog>) -> Arc<Self> {
        Arc::new(Self { disk, id, catalog, writing: Mutex::new(()), trouble: Mutex::new(None) })
    }

    /// Writes one index file that is due, if there is one. May wait for the disk.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn step(&self) -> Result<bool, SnapshotError> {
        self.step_after(GROWTH_BYTES)
    }

    /// The same, with open segments due after so many bytes.
    pub(in crate::store) fn step_after(&self, growth: u64) -> Result<bool, SnapshotError> {
        self.write_due(growth, 1).map(|written| written > 0)
    }

    /// Writes up to so many that are due, and says how many; looks at each segment once.
    fn write_due(&self, growth: u64, count_max: u64) -> Result<u64, SnapshotError> {
        let view = self.catalog.view();
        let mut written = 0;
        for segment in view.volumes().flat_map(|volume| view.segments(volume)) {
            if written == count_max {
                break;
            }
            if let Some(point) = due(segment, growth) {
                written += u64::from(self.write(segment, &point)?);
            }
        }
        Ok(written)
    }

    /// At a clean stop: writes all that is not written, so that the next start has nothing to walk.
    ///
    /// # Errors
    /// That of a write or a sync: then the disk has failed, and the stop is none.
    pub(in crate::store) fn finish(&self) -> io::Result<()> {
        match self.write_due(0, u64::MAX) {
            Ok(_) => Ok(()),
            Err(SnapshotError::Write(error)) => Err(error),
            Err(error) => {
                *self.trouble.lock() = Some(error.to_string());
                Ok(())
            }
        }
    }

    /// Why a clean stop could not write all index files; the next start walks those segments.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// False if the segment takes none.
    fn write(&self, segment: &Arc<Segment>, point: &Point) -> Result<bool, SnapshotError> {
        let _one_at_a_time = self.writing.lock();
        let file = match segment.file() {
            Ok(file) => file,
            // It was compacted a moment ago, or its file is gone, as recovery has reported.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                segment.progress().now.lock().unfit = true;
                return Ok(false);
            }
            Err(error) => return Err(SnapshotError::Read(error)),
        };
        let Some(draft) = Draft::of(segment, point, &*file).map_err(SnapshotError::Read)? else {
            segment.progress().now.lock().unfit = true;
            return Ok(false);
        };
        let edition = segment.closed().map_or(0, |closed| closed.edition);
        let name = names::index(segment.volume(), segment.base(), edition);
        let bytes = draft.encode(self.id, segment.volume(), segment.salt());
        put(&*self.disk, &name, &bytes)?;
        segment.progress().set_written(point.next, point.end);
        Ok(true)
    }
}

/// Up to where a segment's index file is to be written now.
fn due(segment: &Segment, growth: u64) -> Option<Point> {
    let now = segment.progress().now.lock();
    if now.unfit {
        return None;
    }
    let point = match segment.closed() {
        Some(closed) => {
            // Its end is lost, or the manifest claims more than fits: such a segment is walked at each start.
            if (segment.next(), segment.end()) != (closed.next, closed.end) {
                return None;
            }
            let object_bytes = segment.counts().object_bytes.load(std::sync::atomic::Ordering::Relaxed);
            Point { next: closed.next, end: closed.end, chain: closed.chain, object_bytes }
        }
        None => now.point?,
    };
    if now.written == Some((point.next, point.end)) {
        return None;
    }
    let before = now.written.map_or(SEGMENT_HEADER_BYTES as u64, |(_, end)| end);
    let grown = point.end.saturating_sub(before) >= growth;
    (segment.closed().is_some() || grown).then_some(point)
}

/// Why an index file was not written.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The segment could not be read.
    #[error("its segment cannot be read: {0}")]
    Read(io::Error),
    /// There is no room; it may be tried again.
    #[error("there is no room: {0}")]
    Full(io::Error),
    /// A write or a sync failed: the disk takes no more writes.
    #[error("{0}")]
    Write(io::Error),
}

impl From<SnapshotError> for io::Error {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Read(error) | SnapshotError::Full(error) | SnapshotError::Write(error) => error,
        }
    }
}

/// Puts a small file in place, durably; a crash leaves the old one, or none, and perhaps a temporary one.
pub fn put(disk: &dyn Disk, name: &str, bytes: &[u8]) -> Result<(), SnapshotError> {
    let temporary = format!("{name}.tmp");
    // Only before the first sync does "no room" say that nothing happened.
    let write = || -> io::Result<Arc<dyn File>> {
        let file = match disk.open(&temporary, Open::Create) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                disk.remove(&temporary)?;
                disk.open(&temporary, Open::Create)?
            }
            opened => opened?,
        };
        file.write_all_at(&mut [IoSlice::new(bytes)], 0)?;
        Ok(file)
    };
    let place = |file: Arc<dyn File>| -> io::Result<()> {
        file.sync_all()?;
        drop(file);
        disk.rename(&temporary, name)?;
        disk.sync_directory()
    };
    let full_or_not = |error: io::Error| {
        if is_full(&error) { SnapshotError::Full(error) } else { SnapshotError::Write(error) }
    };
    let made = write().map_err(full_or_not).and_then(|file| place(file).map_err(SnapshotError::Write));
    made.inspect_err(|_| {
        // What is left of it must not keep the room; the next open would remove it too.
        let _gone_or_not = disk.remove(&temporary);
    })
}
