//! The bytes of an index file.
//!
//! ```text
//!  0        8        16    20     24              40       48      52    54    56       64       72              88
//!  +--------+--------+-----+------+---------------+--------+-------+-----+-----+--------+--------+---------------+
//!  | magic  |checksum|vers.|volume| disk          | base   |edition|form |flags| end    | next   | chain         |
//!  +--------+--------+-----+------+---------------+--------+-------+-----+-----+--------+--------+---------------+
//!  88              104   108   112      120      128        136     144
//!  +---------------+-----+-----+--------+--------+----------+-------+
//!  | digest        |epoch|zero | object | needles| tomb-    | holes |  then the body
//!  |               |     |     | bytes  |        | stones   |       |
//!  +---------------+-----+-----+--------+--------+----------+-------+
//!  body:  form 0: a slot u32 for each sequence of base to next
//!         form 1: for each needle its sequence less base, u32; then a slot u32 for each
//!         zeros to 8 | holes, 24 bytes each: first u64, count u64, position u64 | targets, u64 each
//! ```
//! - *magic* `LARDINDX`; *checksum* XXH3-64 of all behind it, keyed with the volume's salt.
//! - *end*, *next*, *chain*: the point: the byte, the sequence and the volume's chain digest behind the last needle.
//! - *digest*: of a compacted segment that of the manifest, else 0. *epoch*: the highest of a needle. *flags*: 1 = it
//!   holds the volume's SEAL. *object bytes*: of its objects' needles.
//! - *slot*: position / 8, and bit 30 if the needle is no object; 0 = no whole needle. Positions ascend.
//! - *hole*: a run of sequences without a whole needle, and where the walk looked for it. *target*: what a tombstone deletes.
//!
//! Pure. Always: whatever the bytes, reading them gives a snapshot whose numbers agree, or says why not.

use crate::base::checksum::keyed;
use crate::base::ids::{DiskId, Epoch, Sequence, VolumeId};
use crate::base::limits::SEGMENT_BYTES_MAX;
use crate::base::planted::{self, Bug};
use crate::journal::{Fields, u16_at, u32_at, u64_at, u128_at};
use crate::store::appender::needles_max;
use crate::store::manifest::Closed;
use crate::store::segment::Segment;
use crate::store::segment_header::SEGMENT_HEADER_BYTES;
use crate::store::slots::Slot;
use std::sync::atomic::Ordering;

const MAGIC: u64 = u64::from_le_bytes(*b"LARDINDX");
const VERSION: u32 = 1;

const AT_CHECKSUM: usize = 8;
const AT_VERSION: usize = 16;
const AT_VOLUME: usize = 20;
const AT_DISK: usize = 24;
const AT_BASE: usize = 40;
const AT_EDITION: usize = 48;
const AT_FORM: usize = 52;
const AT_FLAGS: usize = 54;
const AT_END: usize = 56;
const AT_NEXT: usize = 64;
const AT_CHAIN: usize = 72;
const AT_DIGEST: usize = 88;
const AT_EPOCH: usize = 104;
const AT_OBJECT_BYTES: usize = 112;
const AT_NEEDLES: usize = 120;
const AT_TOMBSTONES: usize = 128;
const AT_HOLES: usize = 136;

/// Bytes before the body.
pub const INDEX_HEADER_BYTES: usize = 144;

const FORM_DENSE: u16 = 0;
const FORM_SPARSE: u16 = 1;
const FLAG_SEALED: u16 = 1;

const SLOT_BYTES: usize = 4;
const HOLE_BYTES: usize = 24;
const TARGET_BYTES: usize = 8;

/// The key of the checksum and whose it is.
#[derive(Debug, Clone, Copy)]
pub struct Owner {
    pub disk: DiskId,
    pub volume: VolumeId,
    pub salt: u64,
}

/// What an index file says of its segment as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    pub base: Sequence,
    pub edition: u32,
    /// The byte behind what it covers.
    pub end: u64,
    /// The sequence behind it.
    pub next: Sequence,
    /// The volume's chain digest there.
    pub chain: u128,
    /// Of a compacted segment the digest over its own needles, else 0.
    pub digest: u128,
    /// The highest epoch of a needle.
    pub epoch: Epoch,
    /// The volume's SEAL is in it.
    pub sealed: bool,
    /// Bytes of the needles of objects.
    pub object_bytes: u64,
}

impl Facts {
    /// Whether it covers a closed segment wholly.
    pub fn covers(&self, closed: &Closed) -> bool {
        (self.end, self.next, self.chain) == (closed.end, closed.next, closed.chain)
            && (self.edition, self.digest) == (closed.edition, closed.digest)
    }
}

/// Sequences without a whole needle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    pub first: Sequence,
    pub count: u64,
    /// Where the walk looked for them.
    pub position: u64,
}

/// Where the needles lie; slots without the flags that come and go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slots {
    Dense(Vec<u32>),
    Sparse(Vec<(u32, Slot)>),
}

/// An index file as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub facts: Facts,
    pub slots: Slots,
    pub holes: Vec<Hole>,
    pub targets: Vec<Sequence>,
}

/// Why an index file is thrown away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Reading failed.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// No index file, or not all of one.
    #[error("is no whole index file")]
    Broken,
    /// A version that this program does not know.
    #[error("has version {0}")]
    Version(u32),
    /// The checksum fails.
    #[error("its checksum fails")]
    Checksum,
    /// It is of another segment.
    #[error("is of another {0}")]
    Another(&'static str),
    /// Its numbers contradict each other.
    #[error("its numbers contradict each other: {0}")]
    Numbers(&'static str),
    /// The segment's file does not reach the point.
    #[error("the segment is shorter than it says")]
    Shorter,
    /// The log does not pass through its point.
    #[error("the log does not pass through its point")]
    Log,
}

impl Content {
    /// The file.
    pub fn encode(&self, owner: &Owner) -> Vec<u8> {
        let facts = &self.facts;
        let (form, needles) = match &self.slots {
            Slots::Dense(slots) => (FORM_DENSE, slots.iter().filter(|slot| **slot != 0).count()),
            Slots::Sparse(entries) => (FORM_SPARSE, entries.len()),
        };
        let header = Fields::<INDEX_HEADER_BYTES>::default()
            .u64(0, MAGIC)
            .u32(AT_VERSION, VERSION)
            .u32(AT_VOLUME, owner.volume.0)
            .u128(AT_DISK, owner.disk.0)
            .u64(AT_BASE, facts.base.0)
            .u32(AT_EDITION, facts.edition)
            .u16(AT_FORM, form)
            .u16(AT_FLAGS, if facts.sealed { FLAG_SEALED } else { 0 })
            .u64(AT_END, facts.end)
            .u64(AT_NEXT, facts.next.0)
            .u128(AT_CHAIN, facts.chain)
            .u128(AT_DIGEST, facts.digest)
            .u32(AT_EPOCH, facts.epoch.0)
            .u64(AT_OBJECT_BYTES, facts.object_bytes)
            .u64(AT_NEEDLES, needles as u64)
            .u64(AT_TOMBSTONES, self.targets.len() as u64)
            .u64(AT_HOLES, self.holes.len() as u64);
        let mut bytes = header.0.to_vec();
        match &self.slots {
            Slots::Dense(slots) => slots.iter().for_each(|slot| bytes.extend_from_slice(&slot.to_le_bytes())),
            Slots::Sparse(entries) => {
                entries.iter().for_each(|(offset, _)| bytes.extend_from_slice(&offset.to_le_bytes()));
                entries.iter().for_each(|(_, slot)| bytes.extend_from_slice(&slot.bits().to_le_bytes()));
            }
        }
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        for hole in &self.holes {
            let fields = Fields::<HOLE_BYTES>::default().u64(0, hole.first.0).u64(8, hole.count).u64(16, hole.position);
            bytes.extend_from_slice(&fields.0);
        }
        self.targets.iter().for_each(|target| bytes.extend_from_slice(&target.0.to_le_bytes()));
        let checksum = keyed(owner.salt, &bytes[AT_VERSION..]);
        bytes[AT_CHECKSUM..AT_VERSION].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }
}

/// The first bytes of a file: what it says, and how long it must be. Not verified yet.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    facts: Facts,
    form: u16,
    needles: usize,
    tombstones: usize,
    holes: usize,
    slots_bytes: usize,
    /// Bytes of the whole file.
    pub file_bytes: usize,
}

impl Header {
    /// Reads the header of the index file of this segment; all that costs nothing to check is checked.
    pub fn parse(bytes: &[u8], owner: &Owner, (base, edition): (Sequence, u32)) -> Result<Self, Unfit> {
        let bytes = bytes.first_chunk::<INDEX_HEADER_BYTES>().ok_or(Unfit::Broken)?;
        if u64_at(bytes, 0) != MAGIC {
            return Err(Unfit::Broken);
        }
        if u32_at(bytes, AT_VERSION) != VERSION {
            return Err(Unfit::Version(u32_at(bytes, AT_VERSION)));
        }
        if u128_at(bytes, AT_DISK) != owner.disk.0 {
            return Err(Unfit::Another("disk"));
        }
        let facts = Facts {
            base: Sequence(u64_at(bytes, AT_BASE)),
            edition: u32_at(bytes, AT_EDITION),
            end: u64_at(bytes, AT_END),
            next: Sequence(u64_at(bytes, AT_NEXT)),
            chain: u128_at(bytes, AT_CHAIN),
            digest: u128_at(bytes, AT_DIGEST),
            epoch: Epoch(u32_at(bytes, AT_EPOCH)),
            sealed: u16_at(bytes, AT_FLAGS) & FLAG_SEALED != 0,
            object_bytes: u64_at(bytes, AT_OBJECT_BYTES),
        };
        if (u32_at(bytes, AT_VOLUME), facts.base, facts.edition) != (owner.volume.0, base, edition) {
            return Err(Unfit::Another("segment"));
        }
        let count = |at| usize::try_from(u64_at(bytes, at)).map_err(|_| Unfit::Numbers("a count"));
        let (needles, tombstones, holes) = (count(AT_NEEDLES)?, count(AT_TOMBSTONES)?, count(AT_HOLES)?);
        let span = facts.next.0.checked_sub(base.0).ok_or(Unfit::Numbers("its range"))?;
        let span = usize::try_from(span).map_err(|_| Unfit::Numbers("its range"))?;
        if needles as u64 > needles_max(SEGMENT_BYTES_MAX) {
            return Err(Unfit::Numbers("a count"));
        }
        let form = u16_at(bytes, AT_FORM);
        let slots_bytes = match form {
            FORM_DENSE if span as u64 <= needles_max(SEGMENT_BYTES_MAX) => span.checked_mul(SLOT_BYTES),
            FORM_SPARSE => needles.checked_mul(2 * SLOT_BYTES),
            _ => return Err(Unfit::Numbers("its form")),
        };
        let sum = || {
            let slots = slots_bytes?.checked_next_multiple_of(8)?;
            let rest = holes.checked_mul(HOLE_BYTES)?.checked_add(tombstones.checked_mul(TARGET_BYTES)?)?;
            INDEX_HEADER_BYTES.checked_add(slots)?.checked_add(rest)
        };
        let file_bytes = sum().ok_or(Unfit::Numbers("its length"))?;
        let slots_bytes = slots_bytes.ok_or(Unfit::Numbers("its length"))?;
        Ok(Self { facts, form, needles, tombstones, holes, slots_bytes, file_bytes })
    }
}

/// An index file that was read and verified.
#[derive(Debug)]
pub struct Snapshot {
    pub facts: Facts,
    pub needles: u64,
    pub targets: Vec<Sequence>,
    pub holes: Vec<Hole>,
    form: u16,
    slots: Vec<u8>,
}

impl Snapshot {
    /// Takes a whole file whose header was read.
    pub fn parse(mut bytes: Vec<u8>, header: &Header, salt: u64) -> Result<Self, Unfit> {
        if bytes.len() != header.file_bytes && !planted::on(Bug::TrustIndex) {
            return Err(Unfit::Broken);
        }
        let said = bytes.get(AT_CHECKSUM..).and_then(|rest| rest.first_chunk::<8>()).ok_or(Unfit::Broken)?;
        let is_whole = keyed(salt, bytes.get(AT_VERSION..).ok_or(Unfit::Broken)?) == u64::from_le_bytes(*said);
        if !is_whole && !planted::on(Bug::TrustIndex) {
            return Err(Unfit::Checksum);
        }
        let rest = header.slots_bytes.next_multiple_of(8) + INDEX_HEADER_BYTES;
        let (holes, targets) = bytes.get(rest..).ok_or(Unfit::Broken)?.split_at(header.holes * HOLE_BYTES);
        let hole = |bytes: &[u8; HOLE_BYTES]| Hole {
            first: Sequence(u64_at(bytes, 0)),
            count: u64_at(bytes, 8),
            position: u64_at(bytes, 16),
        };
        let holes = holes.chunks_exact(HOLE_BYTES).filter_map(<[u8]>::first_chunk::<HOLE_BYTES>).map(hole).collect();
        let targets = targets.as_chunks::<TARGET_BYTES>().0.iter().map(|bytes| Sequence(u64::from_le_bytes(*bytes)));
        let targets = targets.collect();
        bytes.truncate(INDEX_HEADER_BYTES + header.slots_bytes);
        let snapshot = Self {
            facts: header.facts,
            needles: header.needles as u64,
            targets,
            holes,
            form: header.form,
            slots: bytes,
        };
        snapshot.agrees(header)?;
        Ok(snapshot)
    }

    /// Whether it is of a compacted segment.
    pub fn is_sparse(&self) -> bool {
        self.form == FORM_SPARSE
    }

    /// The last needle.
    pub fn last(&self) -> Option<(Sequence, Slot)> {
        let last = self.slot_words().iter().rposition(|word| *word != [0; SLOT_BYTES])?;
        let slot = Slot::from_bits(u32::from_le_bytes(*self.slot_words().get(last)?));
        let offset = match self.form {
            FORM_SPARSE => u64::from(u32::from_le_bytes(*self.offset_words().get(last)?)),
            _ => last as u64,
        };
        Some((self.facts.base.plus(offset), slot))
    }

    /// The needles of a compacted segment.
    pub fn entries(&self) -> Vec<(u32, Slot)> {
        let slots = self.slot_words().iter().map(|word| Slot::from_bits(u32::from_le_bytes(*word)));
        self.offset_words().iter().map(|word| u32::from_le_bytes(*word)).zip(slots).collect()
    }

    /// Enters what it says into the index and the counts of a segment that is being built.
    pub fn enter(&self, segment: &Segment) {
        if self.form == FORM_DENSE {
            let mut sequence = self.facts.base;
            for word in self.slot_words() {
                if *word != [0; SLOT_BYTES] {
                    segment.store(sequence, Slot::from_bits(u32::from_le_bytes(*word)));
                }
                sequence = sequence.plus(1);
            }
        }
        let others =
            self.slot_words().iter().filter(|word| Slot::from_bits(u32::from_le_bytes(**word)).is_other_kind());
        let others = others.count() as u64;
        let counts = segment.counts();
        counts.needles.fetch_add(self.needles, Ordering::Relaxed);
        counts.objects.fetch_add(self.needles.saturating_sub(others), Ordering::Relaxed);
        counts.object_bytes.fetch_add(self.facts.object_bytes, Ordering::Relaxed);
        counts.tombstones.fetch_add(self.targets.len() as u64, Ordering::Relaxed);
    }

    fn slot_words(&self) -> &[[u8; SLOT_BYTES]] {
        let body = self.slots.get(INDEX_HEADER_BYTES..).unwrap_or_default();
        let skip = if self.form == FORM_SPARSE { body.len() / 2 } else { 0 };
        body.get(skip..).unwrap_or_default().as_chunks::<SLOT_BYTES>().0
    }

    fn offset_words(&self) -> &[[u8; SLOT_BYTES]] {
        let body = self.slots.get(INDEX_HEADER_BYTES..).unwrap_or_default();
        body.get(..body.len() / 2).unwrap_or_default().as_chunks::<SLOT_BYTES>().0
    }

    /// What the checksum cannot say: that whoever wrote it had counted right.
    fn agrees(&self, header: &Header) -> Result<(), Unfit> {
        let base = self.facts.base;
        let (mut needles, mut others) = (0usize, 0usize);
        let mut before = 0;
        for word in self.slot_words() {
            let slot = Slot::from_bits(u32::from_le_bytes(*word));
            if slot.bits() == 0 {
                continue;
            }
            if slot.is_absent() || slot.is_deleted() || slot.is_damaged() {
                return Err(Unfit::Numbers("a slot"));
            }
            let position = slot.position();
            if position <= before || position < SEGMENT_HEADER_BYTES as u64 || position >= self.facts.end {
                return Err(Unfit::Numbers("a position"));
            }
            before = position;
            needles += 1;
            others += usize::from(slot.is_other_kind());
        }
        if needles != header.needles || others < header.tombstones {
            return Err(Unfit::Numbers("its counts"));
        }
        let span = self.facts.next.0 - base.0;
        if self.is_sparse() {
            let ascending = self.offset_words().is_sorted_by(|a, b| u32::from_le_bytes(*a) < u32::from_le_bytes(*b));
            let last = self.offset_words().last().map(|word| u64::from(u32::from_le_bytes(*word)));
            if !ascending || last.is_some_and(|last| last >= span) || !self.holes.is_empty() {
                return Err(Unfit::Numbers("its sequences"));
            }
            return Ok(());
        }
        let (mut past, mut missing) = (base.0, 0u64);
        for hole in &self.holes {
            let end = hole.first.0.checked_add(hole.count).filter(|end| *end <= self.facts.next.0);
            let end = end.ok_or(Unfit::Numbers("a hole"))?;
            if hole.first.0 < past || hole.count == 0 {
                return Err(Unfit::Numbers("a hole"));
            }
            let offset = |sequence: u64| usize::try_from(sequence - base.0).unwrap_or(usize::MAX);
            let words = self.slot_words().get(offset(hole.first.0)..offset(end)).unwrap_or_default();
            if words.iter().any(|word| *word != [0; SLOT_BYTES]) {
                return Err(Unfit::Numbers("a hole"));
            }
            past = end;
            missing += hole.count;
        }
        if missing + needles as u64 == span { Ok(()) } else { Err(Unfit::Numbers("its range")) }
    }
}
