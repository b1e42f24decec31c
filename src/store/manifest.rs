//! The manifest: which volumes and segments this disk holds, what is closed, and what is known to be damaged.
//!
//! A record log (see `journal`) with the magic `LARDMANI`, owned by the disk id. Bodies, little-endian, without gaps:
//! ```text
//!  1 VolumeCreated   volume u32 | zero u32 | salt u64 | generation u64
//!  2 SegmentOpened   volume u32 | epoch u32 | base u64
//!  3 SegmentClosed   volume u32 | zero u32 | base u64 | end u64 | next u64 | needles u64 | objects u64 | tombstones u64 | chain u128
//!  4 VolumeSealed    volume u32 | zero u32
//!  5 EpochStarted    volume u32 | epoch u32 | first u64
//!  6 DamageFound     volume u32 | zero u32 | first u64 | count u64
//!  7 Swap            volume u32 | edition u32 | base u64 | end u64 | next u64 | needles u64 | objects u64 | tombstones u64 | chain u128 | digest u128
//!  8 SegmentDropped  volume u32 | edition u32 | base u64
//! ```
//! *next* is the sequence behind the segment, *chain* the volume's digest there, *end* the byte behind its last needle.
//! A Swap puts one compacted segment in the place of all that lie in its range *base* to *next*; *edition* is the number
//! of its file, *digest* the chain digest over its own needles alone.
//!
//! Written by the append lane only. Always: a file is named here, durably, before it holds anything acknowledged; the
//! manifest, not the directory, is the truth.

use crate::base::ids::{Epoch, Sequence, VolumeId};
use crate::journal::{Fields, u32_at, u64_at, u128_at};
use std::collections::{BTreeMap, BTreeSet};

/// Says that a record log is a manifest.
pub const MANIFEST_MAGIC: u64 = u64::from_le_bytes(*b"LARDMANI");
/// The version of its format.
pub const MANIFEST_VERSION: u32 = 1;
/// At open, a manifest above this that holds mostly the past is written anew.
pub const MANIFEST_REWRITE_BYTES: u64 = 1 << 20;

const VOLUME_CREATED: u16 = 1;
const SEGMENT_OPENED: u16 = 2;
const SEGMENT_CLOSED: u16 = 3;
const VOLUME_SEALED: u16 = 4;
const EPOCH_STARTED: u16 = 5;
const DAMAGE_FOUND: u16 = 6;
const SWAP: u16 = 7;
const SEGMENT_DROPPED: u16 = 8;

/// One fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// A volume is here.
    VolumeCreated {
        /// Its number.
        volume: VolumeId,
        /// The key of its checksums.
        salt: u64,
        /// The life of this replica.
        generation: u64,
    },
    /// A segment takes needles.
    SegmentOpened {
        /// Its volume.
        volume: VolumeId,
        /// Its first sequence.
        base: Sequence,
        /// The epoch then.
        epoch: Epoch,
    },
    /// A segment takes no more; everything in it is synced.
    SegmentClosed {
        /// Its volume.
        volume: VolumeId,
        /// Its first sequence.
        base: Sequence,
        /// What it holds.
        closed: Closed,
    },
    /// A volume takes no more objects.
    VolumeSealed {
        /// Its number.
        volume: VolumeId,
    },
    /// An epoch is used from here on; written before its first needle.
    EpochStarted {
        /// The volume.
        volume: VolumeId,
        /// The epoch.
        epoch: Epoch,
        /// The sequence of its first needle.
        first: Sequence,
    },
    /// Durable needles do not verify.
    DamageFound {
        /// The volume.
        volume: VolumeId,
        /// The first of them.
        first: Sequence,
        /// How many, without a gap.
        count: u64,
    },
    /// A compacted segment is there in the place of all that lie in its range; their files may be deleted.
    Swap {
        /// The volume.
        volume: VolumeId,
        /// Its first sequence.
        base: Sequence,
        /// What it holds.
        closed: Closed,
    },
    /// A segment is not needed any more; its file may be deleted.
    SegmentDropped {
        /// The volume.
        volume: VolumeId,
        /// Its first sequence.
        base: Sequence,
        /// The number of its file.
        edition: u32,
    },
}

/// What a closed segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Closed {
    /// The byte behind its last needle.
    pub end: u64,
    /// The sequence behind it.
    pub next: Sequence,
    /// Needles of all kinds.
    pub needles: u64,
    /// Objects, living and dead.
    pub objects: u64,
    /// Tombstones.
    pub tombstones: u64,
    /// The volume's chain digest behind its last needle.
    pub chain: u128,
    /// The number of its file: 0 as it was appended, higher when it was compacted.
    pub edition: u32,
    /// Of a compacted segment the chain digest over its own needles, else 0.
    pub digest: u128,
}

impl Closed {
    fn fields<const N: usize>(&self, volume: VolumeId, base: Sequence) -> Fields<N> {
        Fields::<N>::default()
            .u32(0, volume.0)
            .u32(4, self.edition)
            .u64(8, base.0)
            .u64(16, self.end)
            .u64(24, self.next.0)
            .u64(32, self.needles)
            .u64(40, self.objects)
            .u64(48, self.tombstones)
            .u128(56, self.chain)
    }

    fn parse<const N: usize>(body: &[u8; N]) -> Self {
        Self {
            end: u64_at(body, 16),
            next: Sequence(u64_at(body, 24)),
            needles: u64_at(body, 32),
            objects: u64_at(body, 40),
            tombstones: u64_at(body, 48),
            chain: u128_at(body, 56),
            edition: u32_at(body, 4),
            digest: 0,
        }
    }
}

impl Record {
    /// Kind and body.
    #[must_use]
    pub fn encode(&self) -> (u16, Vec<u8>) {
        match *self {
            Self::VolumeCreated { volume, salt, generation } => {
                (VOLUME_CREATED, Fields::<24>::default().u32(0, volume.0).u64(8, salt).u64(16, generation).0.to_vec())
            }
            Self::SegmentOpened { volume, base, epoch } => {
                (SEGMENT_OPENED, Fields::<16>::default().u32(0, volume.0).u32(4, epoch.0).u64(8, base.0).0.to_vec())
            }
            Self::SegmentClosed { volume, base, closed } => {
                (SEGMENT_CLOSED, closed.fields::<72>(volume, base).0.to_vec())
            }
            Self::Swap { volume, base, closed } => {
                (SWAP, closed.fields::<88>(volume, base).u128(72, closed.digest).0.to_vec())
            }
            Self::VolumeSealed { volume } => (VOLUME_SEALED, Fields::<8>::default().u32(0, volume.0).0.to_vec()),
            Self::EpochStarted { volume, epoch, first } => {
                (EPOCH_STARTED, Fields::<16>::default().u32(0, volume.0).u32(4, epoch.0).u64(8, first.0).0.to_vec())
            }
            Self::DamageFound { volume, first, count } => {
                (DAMAGE_FOUND, Fields::<24>::default().u32(0, volume.0).u64(8, first.0).u64(16, count).0.to_vec())
            }
            Self::SegmentDropped { volume, base, edition } => {
                (SEGMENT_DROPPED, Fields::<16>::default().u32(0, volume.0).u32(4, edition).u64(8, base.0).0.to_vec())
            }
        }
    }

    /// Reads a record; `None` for a kind or a length that this program does not know.
    #[must_use]
    pub fn parse(kind: u16, body: &[u8]) -> Option<Self> {
        let volume = VolumeId(u32_at(body.first_chunk::<8>()?, 0));
        let record = match (kind, body.len()) {
            (VOLUME_CREATED, 24) => {
                let body = body.first_chunk::<24>()?;
                Self::VolumeCreated { volume, salt: u64_at(body, 8), generation: u64_at(body, 16) }
            }
            (SEGMENT_OPENED, 16) => {
                let body = body.first_chunk::<16>()?;
                Self::SegmentOpened { volume, base: Sequence(u64_at(body, 8)), epoch: Epoch(u32_at(body, 4)) }
            }
            (SEGMENT_CLOSED, 72) => {
                let body = body.first_chunk::<72>()?;
                Self::SegmentClosed { volume, base: Sequence(u64_at(body, 8)), closed: Closed::parse(body) }
            }
            (SWAP, 88) => {
                let body = body.first_chunk::<88>()?;
                let closed = Closed { digest: u128_at(body, 72), ..Closed::parse(body) };
                Self::Swap { volume, base: Sequence(u64_at(body, 8)), closed }
            }
            (VOLUME_SEALED, 8) => Self::VolumeSealed { volume },
            (EPOCH_STARTED, 16) => {
                let body = body.first_chunk::<16>()?;
                Self::EpochStarted { volume, epoch: Epoch(u32_at(body, 4)), first: Sequence(u64_at(body, 8)) }
            }
            (DAMAGE_FOUND, 24) => {
                let body = body.first_chunk::<24>()?;
                Self::DamageFound { volume, first: Sequence(u64_at(body, 8)), count: u64_at(body, 16) }
            }
            (SEGMENT_DROPPED, 16) => {
                let body = body.first_chunk::<16>()?;
                Self::SegmentDropped { volume, base: Sequence(u64_at(body, 8)), edition: u32_at(body, 4) }
            }
            _ => return None,
        };
        Some(record)
    }
}

/// A volume as the manifest has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VolumeState {
    /// The key of its checksums.
    pub salt: u64,
    /// The life of this replica.
    pub generation: u64,
    /// It takes no more objects.
    pub sealed: bool,
    /// Epochs and the sequence that each begins with.
    pub epochs: BTreeMap<Epoch, Sequence>,
    /// Segments by their first sequence: the epoch at opening, and what a closed one holds.
    pub segments: BTreeMap<Sequence, (Epoch, Option<Closed>)>,
    /// Runs of damaged needles: first and count.
    pub damaged: BTreeMap<Sequence, u64>,
}

impl VolumeState {
    /// The highest epoch that may have been used.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epochs.keys().next_back().copied().unwrap_or_default()
    }
}

/// Everything the manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ManifestState {
    /// Volumes by number.
    pub volumes: BTreeMap<VolumeId, VolumeState>,
    /// Segments whose files may be deleted, by volume, first sequence and edition.
    pub dropped: BTreeSet<(VolumeId, Sequence, u32)>,
}

impl ManifestState {
    /// Takes one more fact. A fact about an unknown volume (its creation is damaged) makes the volume, without a salt.
    pub fn apply(&mut self, record: &Record) {
        match *record {
            Record::VolumeCreated { volume, salt, generation } => {
                let state = self.volumes.entry(volume).or_default();
                (state.salt, state.generation) = (salt, generation);
            }
            Record::SegmentOpened { volume, base, epoch } => {
                self.volumes.entry(volume).or_default().segments.insert(base, (epoch, None));
                self.dropped.remove(&(volume, base, 0));
            }
            Record::SegmentClosed { volume, base, closed } => {
                let segments = &mut self.volumes.entry(volume).or_default().segments;
                segments.entry(base).or_default().1 = Some(closed);
            }
            Record::VolumeSealed { volume } => self.volumes.entry(volume).or_default().sealed = true,
            Record::EpochStarted { volume, epoch, first } => {
                let epochs = &mut self.volumes.entry(volume).or_default().epochs;
                // Epochs without a needle left need not be remembered: the higher number says enough.
                epochs.retain(|_, begun| *begun < first);
                epochs.insert(epoch, first);
            }
            Record::DamageFound { volume, first, count } => {
                let damaged = &mut self.volumes.entry(volume).or_default().damaged;
                let known = damaged.entry(first).or_default();
                *known = count.max(*known);
            }
            Record::Swap { volume, base, closed } => {
                let segments = &mut self.volumes.entry(volume).or_default().segments;
                let within = segments.range(base..closed.next.max(base));
                let replaced: Vec<(Sequence, u32)> =
                    within.map(|(&base, (_, its))| (base, its.map_or(0, |its| its.edition))).collect();
                for (old, edition) in replaced {
                    segments.remove(&old);
                    self.dropped.insert((volume, old, edition));
                }
                // The epoch at opening is of no use to a segment that is closed.
                segments.insert(base, (Epoch(0), Some(closed)));
                self.dropped.remove(&(volume, base, closed.edition));
            }
            Record::SegmentDropped { volume, base, edition } => {
                if let Some(state) = self.volumes.get_mut(&volume) {
                    let is_it =
                        |(_, closed): &(Epoch, Option<Closed>)| closed.map_or(0, |closed| closed.edition) == edition;
                    if state.segments.get(&base).is_some_and(is_it) {
                        state.segments.remove(&base);
                    }
                }
                self.dropped.insert((volume, base, edition));
            }
        }
    }

    /// The fewest records that say the same.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        for (&volume, state) in &self.volumes {
            records.push(Record::VolumeCreated { volume, salt: state.salt, generation: state.generation });
            for (&epoch, &first) in &state.epochs {
                records.push(Record::EpochStarted { volume, epoch, first });
            }
            for (&base, &(epoch, closed)) in &state.segments {
                match closed {
                    Some(closed) if closed.edition > 0 => records.push(Record::Swap { volume, base, closed }),
                    closed => {
                        records.push(Record::SegmentOpened { volume, base, epoch });
                        records.extend(closed.map(|closed| Record::SegmentClosed { volume, base, closed }));
                    }
                }
            }
            for (&first, &count) in &state.damaged {
                records.push(Record::DamageFound { volume, first, count });
            }
            if state.sealed {
                records.push(Record::VolumeSealed { volume });
            }
        }
        for &(volume, base, edition) in &self.dropped {
            records.push(Record::SegmentDropped { volume, base, edition });
        }
        records
    }
}
