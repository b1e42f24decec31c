//! The scrub: reads every byte of a disk around the page cache, and checks it against checksums and index alike.
//!
//! A state machine without threads: the background thread of the disk calls [`Scrub::step`], which reads about a
//! mebibyte. One pass looks at the small files, then at each segment of the view that it began with; segments that begin
//! later wait for the next pass, and instead of a segment that was replaced the one in its place is looked at. Always: it
//! writes nothing; who drives it marks what it found. What lived when the pass began and lives at its end was met, unless
//! a finding says otherwise.

mod finding;
mod named;
mod reader;
mod record;
mod small;
mod walk;

pub use finding::{Finding as ScrubFinding, Kind as ScrubKind};
pub use named::NamedNeedle;
pub use record::{ScrubFile, ScrubRecord};

use super::Identity;
use super::catalog::{Catalog, View};
use super::open::read_manifest;
use super::segment::Segment;
use crate::base::ids::{Sequence, VolumeId};
use crate::base::planted::{self, Bug};
use crate::disk::{Disk, Open};
use reader::Reader;
use small::SMALL_FILES;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use walk::{Known, Turn, Walk};

/// How often a small file is looked at before what is wrong with it is believed: it may be rewritten meanwhile.
const LOOKS_MAX: u32 = 3;

/// Where a whole pass begins.
const START: (VolumeId, Sequence) = (VolumeId(0), Sequence(0));

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScrubStep {
    /// So many bytes were read; there is more.
    Read(u64),
    /// The pass is over.
    Done,
}

/// How far a pass is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrubProgress {
    /// Bytes of segments that were checked, with those before a restart.
    pub bytes: u64,
    /// Bytes of all segments of the pass.
    pub bytes_total: u64,
    /// The segment that is looked at next; the same as before while one is looked at.
    pub next: (VolumeId, Sequence),
}

/// One pass over one disk.
#[derive(Debug)]
pub struct Scrub {
    disk: Arc<dyn Disk>,
    catalog: Arc<Catalog>,
    identity: Identity,
    reader: Reader,
    /// Which small file is next, and how often it was looked at.
    small: (usize, u32),
    segments: VecDeque<Arc<Segment>>,
    walk: Option<Walk>,
    checked_bytes: u64,
    bytes_total: u64,
    /// The volume that was last looked at, and up to where.
    met: (VolumeId, Sequence),
    findings: Vec<ScrubFinding>,
    named: Vec<NamedNeedle>,
}

impl Scrub {
    /// A pass over what is there now. `from` is where an earlier one was stopped: neither segments before it nor the small
    /// files, with which a pass begins, are looked at; zeros for a whole pass.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, catalog: Arc<Catalog>, identity: Identity, from: (VolumeId, Sequence)) -> Self {
        let view = catalog.view();
        let all: Vec<_> = view.volumes().flat_map(|volume| view.segments(volume)).collect();
        let bytes = |segments: &[&Arc<Segment>]| segments.iter().map(|segment| segment.end()).sum();
        // One that begins before and ends behind took the place of some that were looked at and some that were not.
        let behind = all.partition_point(|segment| {
            let (volume, base) = (segment.volume(), segment.base());
            (volume, base) < from && (volume < from.0 || segment.next() <= from.1)
        });
        let (before, rest) = all.split_at(behind);
        Self {
            reader: Reader::new(),
            small: (if from == START { 0 } else { SMALL_FILES.len() }, 0),
            segments: rest.iter().map(|segment| Arc::clone(segment)).collect(),
            walk: None,
            checked_bytes: bytes(before),
            bytes_total: bytes(&all),
            met: START,
            findings: Vec::new(),
            named: Vec::new(),
            disk,
            catalog: Arc::clone(&catalog),
            identity,
        }
    }

    /// Reads a piece and checks it.
    pub fn step(&mut self) -> ScrubStep {
        if let Some(name) = SMALL_FILES.get(self.small.0) {
            return ScrubStep::Read(self.look_at_small(name));
        }
        let Some(mut walk) = self.walk.take().or_else(|| self.next_walk()) else {
            return if self.segments.is_empty() { ScrubStep::Done } else { ScrubStep::Read(0) };
        };
        self.reader.begin_step();
        let turn = walk.step(&mut self.reader);
        if !is_current(&self.catalog.view(), walk.segment()) {
            // What was seen of it in this step means nothing.
            self.follow(walk.segment());
            return ScrubStep::Read(self.reader.begin_step());
        }
        self.findings.append(&mut walk.take_findings());
        self.named.append(&mut walk.take_named());
        if turn == Turn::Done {
            self.met = (walk.segment().volume(), walk.segment().next());
            self.checked_bytes += walk.segment().end();
        } else {
            self.walk = Some(walk);
        }
        ScrubStep::Read(self.reader.begin_step())
    }

    /// What was found since the last call.
    pub fn take_findings(&mut self) -> Vec<ScrubFinding> {
        std::mem::take(&mut self.findings)
    }

    /// The living needles of names that were met since the last call; to be asked for after each step, for a step meets
    /// at most what fits into the piece that it reads.
    pub fn take_named(&mut self) -> Vec<NamedNeedle> {
        std::mem::take(&mut self.named)
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> ScrubProgress {
        let at = |segment: &Arc<Segment>| (segment.volume(), segment.base());
        let next = match (&self.walk, self.segments.front()) {
            _ if self.small.0 < SMALL_FILES.len() => START,
            (Some(walk), _) => at(walk.segment()),
            (None, Some(segment)) => at(segment),
            (None, None) => (VolumeId(u32::MAX), Sequence(u64::MAX)),
        };
        let bytes = self.checked_bytes + self.walk.as_ref().map_or(0, Walk::position);
        ScrubProgress { bytes, bytes_total: self.bytes_total.max(bytes), next }
    }

    fn look_at_small(&mut self, name: &str) -> u64 {
        let (findings, bytes) = small::check(&*self.disk, name);
        self.small.1 += 1;
        if findings.is_empty() || self.small.1 >= LOOKS_MAX {
            self.findings.extend(findings);
            self.small = (self.small.0 + 1, 0);
        }
        bytes
    }

    /// Opens the next segment that is still there.
    fn next_walk(&mut self) -> Option<Walk> {
        let segment = self.segments.pop_front()?;
        let view = self.catalog.view();
        if !is_current(&view, &segment) {
            self.follow(&segment);
            return None;
        }
        match self.open(&segment, view) {
            Ok(walk) => Some(walk),
            Err(error) => {
                if is_current(&self.catalog.view(), &segment) {
                    self.findings.push(not_opened(&segment, &error));
                    self.checked_bytes += segment.end();
                } else {
                    self.follow(&segment);
                }
                None
            }
        }
    }

    /// A segment was replaced: what has its place now is looked at instead, for needles in it may not have been met.
    fn follow(&mut self, replaced: &Arc<Segment>) {
        self.checked_bytes += replaced.end();
        if planted::on(Bug::ForgetReplaced) {
            return;
        }
        let volume = replaced.volume();
        let met = if self.met.0 == volume { self.met.1 } else { Sequence(0) };
        let rest = met.max(replaced.base())..replaced.next();
        let view = self.catalog.view();
        let is_new = |segment: &&Arc<Segment>| {
            segment.base() < rest.end
                && segment.next() > rest.start
                && !self.segments.iter().any(|other| Arc::ptr_eq(other, segment))
        };
        let instead: Vec<_> = view.segments(volume).iter().filter(is_new).map(Arc::clone).collect();
        for segment in instead.into_iter().rev() {
            self.bytes_total += segment.end();
            self.segments.push_front(segment);
        }
    }

    fn open(&mut self, segment: &Arc<Segment>, view: Arc<View>) -> io::Result<Walk> {
        // A manifest that cannot be read is a finding of its own; the segment is then checked up to its published end.
        let state = read_manifest(&*self.disk, &self.identity).ok();
        let volume = state.as_ref().and_then(|(state, _)| state.volumes.get(&segment.volume()));
        let closed = volume.and_then(|volume| volume.segments.get(&segment.base())).and_then(|(_, closed)| *closed);
        // A volume whose creation is damaged in the manifest has another salt there, and no generation.
        let generation = volume.filter(|volume| volume.salt == segment.salt()).map(|volume| volume.generation);
        let file = self.disk.open(segment.name(), Open::Direct)?;
        let file_bytes = file.len()?;
        self.reader.turn_to(file);
        let known = Known { disk: self.identity.disk, generation, closed, file_bytes, view };
        Ok(Walk::new(Arc::clone(segment), known))
    }
}

fn is_current(view: &View, segment: &Arc<Segment>) -> bool {
    view.segments(segment.volume()).iter().any(|current| Arc::ptr_eq(current, segment))
}

fn not_opened(segment: &Segment, error: &io::Error) -> ScrubFinding {
    let is_gone = error.kind() == io::ErrorKind::NotFound;
    ScrubFinding {
        kind: if is_gone { ScrubKind::Place } else { ScrubKind::Unreadable },
        file: segment.name().to_string(),
        offset: 0,
        volume: Some(segment.volume().0),
        sequence: None,
        count: 0,
        what: if is_gone { "the file is gone".to_string() } else { format!("cannot be opened: {error}") },
    }
}
