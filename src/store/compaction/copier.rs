//! Copies what is still needed of some neighbouring segments into one new file, step by step, and checks the copy.
//!
//! Runs on the background thread. Always: a needle is copied byte for byte, keeps its sequence, and has verified before;
//! a tombstone stays while its target is in any published segment but the ones that are being copied; the copy is synced and
//! read back from the device before anybody hears of it. Nothing of the sources is touched.

use super::Obstacle;
use crate::base::ids::{Epoch, Sequence, VolumeId};
use crate::base::planted::{self, Bug};
use crate::disk::{Disk, File, Open, is_full};
use crate::journal::{CHAIN_START, Window, chain_next};
use crate::store::catalog::{Catalog, View};
use crate::store::copy_walk::{CopyFacts, CopyWalk};
use crate::store::handles::Handles;
use crate::store::manifest::Closed;
use crate::store::needle::{HEAD_BYTES_FIXED, Head, Kind};
use crate::store::reserve::{GIVE_BYTES_MIN, Loan, Reserve};
use crate::store::segment::{Located, Segment};
use crate::store::segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::store::slots::Slot;
use crate::store::sparse::Sparse;
use crate::store::{Damage, Identity, names};
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What one step reads, about.
const STEP_BYTES: u64 = 1 << 20;
/// What is written at once.
const WRITE_BYTES: usize = 1 << 20;
/// What is written between two syncs: a sync then never has much to wait for, and the lane's own no more.
const SYNC_BYTES: u64 = 8 << 20;
/// Looking at an entry of the index counts as so many bytes, so that a step over nothing but the dead ends too.
const ENTRY_BYTES: u64 = 16;
/// Most heads fit.
const HEAD_BYTES_LIKELY: usize = HEAD_BYTES_FIXED + 160;

/// A compacted segment that is whole, synced and checked, and not known to anybody yet.
#[derive(Debug)]
pub struct Compacted {
    pub(in crate::store) segment: Arc<Segment>,
    pub(in crate::store) closed: Closed,
    /// What it stands for, in order.
    pub(in crate::store) sources: Vec<Arc<Segment>>,
    /// Ends with it: once it is published the sources give more back, and if it is given up its own file does.
    _loan: Option<Loan>,
}

impl std::fmt::Display for Compacted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let before: u64 = self.sources.iter().map(|source| source.end()).sum();
        let count = self.sources.len();
        write!(f, "{}, {} bytes in the place of {before} in {count} files", self.segment.name(), self.closed.end)
    }
}

/// A copy under way.
#[derive(Debug)]
pub(super) struct Copier {
    disk: Arc<dyn Disk>,
    catalog: Arc<Catalog>,
    sources: Vec<Arc<Segment>>,
    /// What the copy will stand for.
    closed: Closed,
    facts: CopyFacts,
    pub(super) name: String,
    file: Arc<dyn File>,
    /// The source that is being read, and the sequence to go on with.
    source: usize,
    sequence: Sequence,
    kept: Vec<(u32, Slot)>,
    object_bytes: u64,
    epoch: Epoch,
    buffer: Vec<u8>,
    flushed: u64,
    unsynced: u64,
    check: Option<Check>,
    /// Room of the reserve that the file took.
    loan: Option<Loan>,
}

/// The copy is being read back.
#[derive(Debug)]
struct Check {
    walk: CopyWalk,
    /// How many needles were as they should be.
    seen: usize,
}

/// How a step went.
#[derive(Debug)]
pub(super) enum CopyStep {
    Worked(u64),
    Whole,
}

impl Copier {
    /// Makes the file of a copy. `sources` are closed and follow one another without a gap.
    pub fn new(
        disk: &Arc<dyn Disk>,
        catalog: &Arc<Catalog>,
        identity: &Identity,
        reserve: &Arc<Reserve>,
        sources: Vec<Arc<Segment>>,
    ) -> Result<Self, Obstacle> {
        let (Some(first), Some(last)) = (sources.first(), sources.last().and_then(|last| last.closed())) else {
            return Err(Obstacle::Stale);
        };
        let (volume, base, salt) = (first.volume(), first.base(), first.salt());
        let edition =
            sources.iter().filter_map(|source| source.closed()).map(|closed| closed.edition).max().unwrap_or(0);
        let edition = edition.checked_add(1).ok_or(Obstacle::Stale)?;
        let header = SegmentHeader {
            cluster: identity.cluster,
            disk: identity.disk,
            volume,
            base,
            salt,
            generation: generation(catalog, &sources)?,
            edition,
            next: last.next,
        };
        let likely: u64 = sources.iter().map(|source| source.end().saturating_sub(dead_bytes(source))).sum();
        let name = names::edition(volume, base, edition);
        let place = format!("{}/{name}", disk.place());
        let file = match disk.open(&name, Open::Create) {
            Ok(file) => file,
            Err(error) => return Err(Obstacle::of(place, "create", error)),
        };
        let mut loan = None;
        let begun = begin(&*file, &header, likely, reserve, &mut loan);
        if let Err((action, error)) = begun {
            drop(file);
            // Nobody knows of it; if it cannot be removed now, the next start will.
            return match disk.remove(&name) {
                Ok(()) => Err(Obstacle::of(place, action, error)),
                Err(error) => Err(Obstacle::of(place, "remove", error)),
            };
        }
        let end = SEGMENT_HEADER_BYTES as u64;
        let closed =
            Closed { end, next: last.next, chain: last.chain, edition, digest: CHAIN_START, ..Closed::default() };
        Ok(Self {
            disk: Arc::clone(disk),
            catalog: Arc::clone(catalog),
            facts: CopyFacts { volume, salt, base, next: last.next, end },
            sources,
            closed,
            name,
            file,
            source: 0,
            sequence: base,
            kept: Vec::new(),
            object_bytes: 0,
            epoch: Epoch(0),
            buffer: Vec::new(),
            flushed: end,
            unsynced: 0,
            check: None,
            loan,
        })
    }

    /// Bytes of the sources that were gone through, of how many.
    pub fn progress(&self) -> (u64, u64) {
        let total: u64 = self.sources.iter().map(|source| source.end()).sum();
        let done: u64 = self.sources.iter().take(self.source).map(|source| source.end()).sum();
        let within = self.sources.get(self.source).map_or(0, |source| source.slot(self.sequence).position());
        ((done + within).min(total), total)
    }

    /// Does a bounded piece of the work.
    pub fn step(&mut self) -> Result<CopyStep, Obstacle> {
        if self.check.is_some() {
            return self.check_step();
        }
        match self.sources.get(self.source).map(Arc::clone) {
            Some(source) => self.copy_step(&source),
            None => self.finish(),
        }
    }

    fn copy_step(&mut self, source: &Arc<Segment>) -> Result<CopyStep, Obstacle> {
        let place = format!("{}/{}", self.disk.place(), source.name());
        let file = source.file().map_err(|error| Obstacle::of(place.clone(), "open", error))?;
        let mut window = Window::new(&*file, source.end(), usize::try_from(STEP_BYTES).expect("a step is small"));
        match self.copy_piece(source, &mut window) {
            // What the device would not give may be sound.
            Err(Obstacle::Damaged { .. }) if window.unreadable() > 0 => Err(unreadable(place)),
            outcome => outcome,
        }
    }

    fn copy_piece(&mut self, source: &Segment, window: &mut Window<'_>) -> Result<CopyStep, Obstacle> {
        let disk = Arc::clone(&self.disk);
        let place = || format!("{}/{}", disk.place(), source.name());
        let (volume, salt) = (self.facts.volume, self.facts.salt);
        let view = self.catalog.view();
        let mut worked = 0;
        while worked < STEP_BYTES {
            let Some((sequence, slot)) = source.needle_from(self.sequence) else {
                self.source += 1;
                self.sequence = self.sources.get(self.source).map_or(self.facts.next, |next| next.base());
                break;
            };
            self.sequence = sequence.plus(1);
            worked += ENTRY_BYTES;
            if slot.is_deleted() {
                continue;
            }
            let damaged = || Obstacle::Damaged { volume, sequence, position: slot.position() };
            if slot.is_damaged() {
                return Err(damaged());
            }
            let head = head_at(window, slot.position(), salt, volume, sequence);
            let head = head.map_err(|error| Obstacle::of(place(), "read", error))?.ok_or_else(damaged)?;
            let length = usize::try_from(head.needle_bytes()).expect("a needle is little more than 8 MiB");
            let bytes = window.bytes(slot.position(), length).map_err(|error| Obstacle::of(place(), "read", error))?;
            let payload = bytes.get(head.payload_offset()..).unwrap_or_default();
            let payload = payload.get(..head.payload_bytes as usize).ok_or_else(damaged)?;
            if head.verify_payload(payload).is_err() && !planted::on(Bug::SkipCopyCheck) {
                return Err(damaged());
            }
            worked += length as u64;
            if head.kind == Kind::Tombstone {
                let (target, _) = head.tombstone_target(payload).ok_or_else(damaged)?;
                if !self.is_needed(&view, target) {
                    continue;
                }
            }
            let whole = bytes.get(..head.payload_offset() + payload.len()).ok_or_else(damaged)?;
            self.buffer.extend_from_slice(whole);
            self.take(sequence, &head, length);
            if self.buffer.len() >= WRITE_BYTES {
                self.flush()?;
            }
        }
        Ok(CopyStep::Worked(worked.max(ENTRY_BYTES)))
    }

    /// Whether a tombstone must stay: its target is in a published segment that this copy does not replace, or is in one
    /// that it does and is not known as deleted.
    fn is_needed(&self, view: &View, target: Sequence) -> bool {
        let within = target >= self.facts.base && target < self.facts.next;
        match view.locate(self.facts.volume, target) {
            Located::Absent | Located::NoVolume | Located::OtherKind => false,
            Located::Deleted(_) => !within && !planted::on(Bug::DropTombstoneEarly),
            Located::Object(_) | Located::Damaged(_) => true,
        }
    }

    /// Counts a needle whose bytes are in the buffer, but for the zeros behind it.
    fn take(&mut self, sequence: Sequence, head: &Head, length: usize) {
        let position = self.closed.end;
        let padding = length - head.payload_offset() - head.payload_bytes as usize;
        self.buffer.resize(self.buffer.len() + padding, 0);
        self.closed.end += length as u64;
        self.closed.needles += 1;
        self.closed.digest = chain_next(self.closed.digest, head.checksum);
        self.epoch = self.epoch.max(head.epoch);
        let offset = u32::try_from(sequence.0 - self.facts.base.0).expect("the span was checked when it was chosen");
        let slot = Slot::at(position);
        match head.kind {
            Kind::Put => {
                self.closed.objects += 1;
                self.object_bytes += length as u64;
                self.kept.push((offset, slot));
            }
            Kind::Tombstone => {
                self.closed.tombstones += 1;
                self.kept.push((offset, slot.other_kind()));
            }
            Kind::EpochStart | Kind::Seal => self.kept.push((offset, slot.other_kind())),
        }
    }

    fn flush(&mut self) -> Result<(), Obstacle> {
        let place = format!("{}/{}", self.disk.place(), self.name);
        let written = self.file.write_all_at(&mut [IoSlice::new(&self.buffer)], self.flushed);
        written.map_err(|error| Obstacle::of(place.clone(), "write", error))?;
        self.flushed += self.buffer.len() as u64;
        self.unsynced += self.buffer.len() as u64;
        self.buffer.clear();
        if self.unsynced >= SYNC_BYTES {
            self.unsynced = 0;
            self.file.sync_data().map_err(|error| Obstacle::of(place, "sync", error))?;
        }
        Ok(())
    }

    /// All is copied: makes it durable, then looks at what the device has.
    fn finish(&mut self) -> Result<CopyStep, Obstacle> {
        self.flush()?;
        self.facts.end = self.closed.end;
        let settle = || -> io::Result<()> {
            self.file.set_len(self.closed.end)?;
            if planted::on(Bug::SwapBeforeSync) {
                return Ok(());
            }
            self.file.sync_all()?;
            self.disk.sync_directory()?;
            self.file.drop_pages()
        };
        settle().map_err(|error| Obstacle::of(format!("{}/{}", self.disk.place(), self.name), "sync", error))?;
        self.check = Some(Check { walk: CopyWalk::new(&self.facts), seen: 0 });
        Ok(CopyStep::Worked(ENTRY_BYTES))
    }

    fn check_step(&mut self) -> Result<CopyStep, Obstacle> {
        let Some(check) = &mut self.check else { return Ok(CopyStep::Whole) };
        let place = || format!("{}/{}", self.disk.place(), self.name);
        let before = check.walk.position();
        let (kept, base, seen) = (&self.kept, self.facts.base, &mut check.seen);
        let verify = !planted::on(Bug::SkipCopyCheck);
        let done = check.walk.step(&*self.file, &self.facts, verify, STEP_BYTES, &mut |found, _| {
            let place = kept.get(*seen).map(|(offset, slot)| (base.0 + u64::from(*offset), slot.position()));
            *seen += usize::from(place == Some((found.sequence.0, found.position)));
        });
        let done = done.map_err(|error| Obstacle::of(place(), "read", error))?;
        if !done {
            return Ok(CopyStep::Worked(check.walk.position() - before));
        }
        let same = check.walk.doubts.is_empty() && check.seen == kept.len() && check.walk.digest == self.closed.digest;
        if !same && check.walk.unreadable > 0 {
            return Err(unreadable(place()));
        }
        if !same {
            let error = io::Error::new(io::ErrorKind::InvalidData, "the device does not have what was written to it");
            return Err(Obstacle::of(place(), "check", error));
        }
        Ok(CopyStep::Whole)
    }

    /// The copy as a segment.
    pub fn into_compacted(self, handles: &Arc<Handles>) -> Compacted {
        let CopyFacts { volume, salt, base, next, .. } = self.facts;
        let sparse = Sparse::new(next.0 - base.0, &self.kept);
        let handle = handles.handle(self.name);
        let segment = Segment::compacted(volume, base, salt, handle, self.closed, sparse, Vec::new());
        let counts = segment.counts();
        counts.needles.store(self.closed.needles, Ordering::Relaxed);
        counts.objects.store(self.closed.objects, Ordering::Relaxed);
        counts.object_bytes.store(self.object_bytes, Ordering::Relaxed);
        counts.tombstones.store(self.closed.tombstones, Ordering::Relaxed);
        Compacted { segment: Arc::new(segment), closed: self.closed, sources: self.sources, _loan: self.loan }
    }

    /// Bytes of the copy so far.
    pub fn bytes(&self) -> u64 {
        self.closed.end
    }

    /// The volume and what is copied.
    pub fn sources(&self) -> &[Arc<Segment>] {
        &self.sources
    }

    /// Gives the copy up; its file goes.
    pub fn give_up(self) -> io::Result<()> {
        self.disk.remove(&self.name)?;
        self.file.set_len(0)
    }
}

fn unreadable(place: String) -> Obstacle {
    Obstacle::of(place, "read", io::Error::other("the device would not give all of it"))
}

/// The first bytes of a copy, and the room for the rest.
fn begin(
    file: &dyn File,
    header: &SegmentHeader,
    likely: u64,
    reserve: &Arc<Reserve>,
    loan: &mut Option<Loan>,
) -> Result<(), (&'static str, io::Error)> {
    let header_bytes = SEGMENT_HEADER_BYTES as u64;
    let no_room = |error| ("allocate", error);
    // The header is durable before the file takes room: after a power cut it says what the file is, and it goes.
    allocate(file, header_bytes, reserve, loan).map_err(no_room)?;
    file.write_all_at(&mut [IoSlice::new(&header.encode())], 0).map_err(|error| ("write", error))?;
    file.sync_all().map_err(|error| ("sync", error))?;
    // The most that it can come to: needles that are deleted from now on make it smaller, and nothing adds to it. So want
    // of room shows before the work is done; what is too much goes back at the end.
    allocate(file, likely + header_bytes, reserve, loan).map_err(no_room)
}

/// Takes room for a copy, on loan from the reserve if need be.
fn allocate(file: &dyn File, bytes: u64, reserve: &Arc<Reserve>, loan: &mut Option<Loan>) -> io::Result<()> {
    loop {
        match file.allocate(0, bytes) {
            Err(error) if is_full(&error) => {
                // The half that is the reserve's to lend bounds the rounds: others may take of what was given meanwhile.
                let more = match loan {
                    Some(loan) => loan.extend(GIVE_BYTES_MIN.max(bytes.saturating_sub(loan.bytes())))?,
                    None => loan.insert(reserve.lend(bytes)?).bytes(),
                };
                if more == 0 {
                    return Err(error);
                }
            }
            other => return other,
        }
    }
}

/// Bytes of a segment that no reader can ask for any more.
pub(super) fn dead_bytes(segment: &Segment) -> u64 {
    segment.counts().deleted_bytes.load(Ordering::Relaxed)
}

/// The life of the replica, as any header of the volume says: first those of the sources, then all others.
fn generation(catalog: &Catalog, sources: &[Arc<Segment>]) -> Result<u64, Obstacle> {
    let view = catalog.view();
    let volume = sources.first().map_or(&[][..], |source| view.segments(source.volume()));
    for segment in sources.iter().chain(volume) {
        let mut sector = [0; SEGMENT_HEADER_BYTES];
        // One that cannot be read says nothing, as one that does not verify.
        let read = segment.file().and_then(|file| file.read_at(&mut sector, 0)).unwrap_or(0);
        let header = SegmentHeader::parse(sector.get(..read).unwrap_or_default());
        if let Some(header) = header.filter(|its| (its.volume, its.salt) == (segment.volume(), segment.salt())) {
            return Ok(header.generation);
        }
    }
    let name = sources.first().map_or(String::new(), |source| source.name().to_string());
    let error = io::Error::new(io::ErrorKind::InvalidData, "no header of the volume's segments verifies");
    Err(Obstacle::of(name, "read", error))
}

fn head_at(
    window: &mut Window<'_>,
    position: u64,
    salt: u64,
    volume: VolumeId,
    sequence: Sequence,
) -> io::Result<Option<Head>> {
    let mut want = HEAD_BYTES_LIKELY;
    loop {
        let bytes = window.bytes(position, want)?;
        match Head::parse(bytes, salt, volume, sequence) {
            Ok(head) => return Ok(Some(head)),
            Err(Damage::Short { needed }) if needed > want && bytes.len() == want => want = needed,
            Err(_) => return Ok(None),
        }
    }
}
