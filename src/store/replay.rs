//! Reads one segment file into what recovery and the offline checks need: its needles in order, and what is wrong.
//!
//! Runs where a disk is opened or checked; writes nothing.

use super::appender::needles_max;
use super::directory_plan::{SegmentKey, key_of};
use super::manifest::{Closed, VolumeState};
use super::mark::Mark;
use super::needle::{HEAD_BYTES_FIXED, Head, Kind};
use super::segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::snapshot::Snapshot;
use super::{Identity, names};
use crate::base::ids::{Cookie, Sequence, VolumeId};
use crate::base::limits::{ATTRIBUTE_BYTES_MAX, SEGMENT_BYTES_MAX};
use crate::base::progress::Progress;
use crate::disk::File;
use crate::journal::{Bounds, Format, Measured, Problem, Proof, SECTOR_BYTES, Seen, Sight, Window, scan, sector_end};
use std::io;
use std::ops::Bound;

/// What a scan reads at once.
const PIECE_BYTES: usize = 1 << 20;

/// One whole needle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub sequence: Sequence,
    pub position: u64,
    pub bytes: u64,
    pub kind: Kind,
    /// What a tombstone deletes.
    pub target: Option<(Sequence, Cookie)>,
}

/// One segment, read.
#[derive(Debug)]
pub(super) struct Replayed {
    pub found: Vec<Found>,
    pub sight: Sight,
    /// The first sector says what the manifest says.
    pub header_whole: bool,
    pub file_bytes: u64,
    /// Bytes of it that were read.
    pub scanned_bytes: u64,
    /// Bytes that the device would not give; shown to the scan as something that does not verify.
    pub unreadable: u64,
    /// What the index file says of all that lies before.
    pub before: Option<Box<Snapshot>>,
}

/// Where a walk begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct From {
    pub position: u64,
    pub first: Sequence,
    pub chain: Option<u128>,
}

/// Which segment, and what is known about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Which<'a> {
    pub identity: &'a Identity,
    pub volume: VolumeId,
    pub state: &'a VolumeState,
    pub base: Sequence,
    pub closed: Option<Closed>,
    pub mark: Option<&'a Mark>,
    /// The digest before the segment, if it is known.
    pub chain: Option<u128>,
}

impl Which<'_> {
    pub fn name(&self) -> String {
        names::edition(self.volume, self.base, self.closed.map_or(0, |closed| closed.edition))
    }

    /// Volume, first sequence and edition of its file.
    pub fn key(&self) -> SegmentKey {
        key_of(self.volume, self.base, self.closed)
    }

    /// No needle of the segment has this sequence or a higher one, whatever says so: more do not fit a file.
    pub fn past(&self) -> Sequence {
        Sequence(self.base.0.saturating_add(needles_max(SEGMENT_BYTES_MAX)))
    }

    /// Everything below was synced, says something outside the segment.
    pub fn proof(&self) -> Proof {
        let closed = self.closed.map(|closed| closed.next.min(self.past()));
        let mark = self.mark.filter(|mark| mark.base == self.base).map(|mark| mark.mark.min(self.past()));
        // A segment is synced before its successor is made, also if the record of its closing is lost.
        let after = (Bound::Excluded(self.base), Bound::Unbounded);
        let successor = self.state.segments.range(after).next().map(|(&base, _)| base);
        let synced = closed.max(mark).max(successor).unwrap_or(self.base);
        Proof { synced, closed: self.closed.is_some(), keep: None }
    }
}

impl Replayed {
    /// Of a file that is not read.
    pub fn nothing(sight: Sight) -> Self {
        Self {
            found: Vec::new(),
            sight,
            header_whole: true,
            file_bytes: 0,
            scanned_bytes: 0,
            unreadable: 0,
            before: None,
        }
    }

    /// What a proof says once more is known of the file: bytes that could not be read, or that nothing says are ours (no
    /// header and no frame verifies), are never cut.
    pub fn proof(&self, which: &Which<'_>) -> Proof {
        let unknown = self.unreadable > 0 || (!self.header_whole && self.sight.groups == 0);
        Proof { keep: unknown.then_some(HEAD_BYTES_FIXED as u64), ..which.proof() }
    }
}

/// The needles of one volume, for the walk.
struct Needles {
    salt: u64,
    volume: VolumeId,
}

impl Format for Needles {
    type Record = Head;
    const HEAD_BYTES_LIKELY: usize = HEAD_BYTES_FIXED + 160;

    fn measure(&self, bytes: &[u8]) -> Result<Measured<Head>, Problem> {
        match Head::parse_any(bytes, self.salt) {
            Ok(head) if head.volume == self.volume => Ok(Measured {
                sequence: head.sequence,
                epoch: head.epoch,
                bytes: head.needle_bytes(),
                head_checksum: head.checksum,
                body_needed: head.kind == Kind::Tombstone,
                record: head,
            }),
            Ok(_) => Err(Problem::Bad),
            Err(super::Damage::Short { needed }) if needed <= HEAD_BYTES_FIXED + ATTRIBUTE_BYTES_MAX + 512 => {
                Err(Problem::Short(needed))
            }
            Err(_) => Err(Problem::Bad),
        }
    }

    fn looks_like_head(&self, bytes: &[u8]) -> bool {
        Head::looks_like(bytes)
    }

    fn body_holds(&self, head: &Head, bytes: &[u8]) -> bool {
        let start = head.payload_offset();
        let payload = bytes.get(start..start.saturating_add(head.payload_bytes as usize));
        payload.is_some_and(|payload| head.verify_payload(payload).is_ok())
    }
}

/// Reads a segment; bodies are verified from `verify_from` on.
pub(super) fn replay(
    file: &dyn File,
    which: &Which<'_>,
    verify_from: Sequence,
    watch: &mut dyn FnMut(u64),
) -> io::Result<Replayed> {
    replay_watched(file, which, verify_from, watch, &Progress::default())
}

/// As [`replay`], moving `progress` with each read.
pub(super) fn replay_watched(
    file: &dyn File,
    which: &Which<'_>,
    verify_from: Sequence,
    watch: &mut dyn FnMut(u64),
    progress: &Progress,
) -> io::Result<Replayed> {
    let from = From { position: SEGMENT_HEADER_BYTES as u64, first: which.base, chain: which.chain };
    replay_from(file, which, &from, verify_from, watch, progress)
}

/// Reads a segment from a place on that is known to be the beginning of a group, or the end of the log.
pub(super) fn replay_from(
    file: &dyn File,
    which: &Which<'_>,
    from: &From,
    verify_from: Sequence,
    watch: &mut dyn FnMut(u64),
    progress: &Progress,
) -> io::Result<Replayed> {
    let file_bytes = file.len()?;
    let end = which.closed.map_or(file_bytes, |closed| closed.end.min(file_bytes)).min(SEGMENT_BYTES_MAX);
    let mut window = Window::new(file, end, PIECE_BYTES).watched(progress);
    let whole = from.position == SEGMENT_HEADER_BYTES as u64;
    let header = if whole { SegmentHeader::parse(window.bytes(0, SEGMENT_HEADER_BYTES)?) } else { None };
    let header_whole = !whole
        || header.is_some_and(|header| {
            header.volume == which.volume && header.base == which.base && header.disk == which.identity.disk
        });
    let bounds = Bounds {
        volume: which.volume,
        salt: which.state.salt,
        generation: which.state.generation,
        start: from.position,
        first: from.first,
        past: which.past(),
        chain: from.chain,
        proven_to: if which.closed.is_some() { Sequence(u64::MAX) } else { which.proof().synced },
        verify_from,
    };
    let format = Needles { salt: which.state.salt, volume: which.volume };
    let mut found = Vec::new();
    let mut sight = scan(&mut window, &bounds, &format, &mut |seen: Seen<'_, Head>| {
        watch(seen.position);
        let head = &seen.measured.record;
        let payload = seen.bytes.get(head.payload_offset()..).unwrap_or_default();
        let payload = payload.get(..head.payload_bytes as usize).unwrap_or_default();
        found.push(Found {
            sequence: head.sequence,
            position: seen.position,
            bytes: seen.measured.bytes,
            kind: head.kind,
            target: head.tombstone_target(payload),
        });
    })?;
    sight.behind = first_behind(file, end, file_bytes)?;
    let scanned_bytes = if whole { file_bytes } else { file_bytes.saturating_sub(from.position) };
    Ok(Replayed {
        found,
        sight,
        header_whole,
        file_bytes,
        scanned_bytes,
        unreadable: window.unreadable(),
        before: None,
    })
}

/// The first byte from `end` on that is not zero. Reserved room and zeros ahead may still be there after a crash; of a file
/// that was extended far beyond what a segment can be, only so much is looked at.
pub(super) fn first_behind(file: &dyn File, end: u64, file_bytes: u64) -> io::Result<Option<u64>> {
    let file_bytes = file_bytes.min(end.saturating_add(SEGMENT_BYTES_MAX));
    if end >= file_bytes {
        return Ok(None);
    }
    // `skip_zeros` asks for whole pieces: they must be whole sectors.
    let mut window = Window::new(file, file_bytes, PIECE_BYTES);
    let within = window.bytes(end, usize::try_from(sector_end(end) - end).unwrap_or(0))?;
    if let Some(offset) = within.iter().position(|&byte| byte != 0) {
        return Ok(Some(end + offset as u64));
    }
    if sector_end(end) >= file_bytes {
        return Ok(None);
    }
    let first = window.skip_zeros(sector_end(end), SECTOR_BYTES)?;
    Ok((first < file_bytes).then_some(first))
}
