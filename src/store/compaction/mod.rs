//! Brings back the room of what was deleted: rewrites the worst segments with what is still needed of them.
//!
//! Runs on the background thread of a disk, a bounded piece a [`step`](Compaction::step), so that the caller can pace it. It
//! writes only new files. A copy is published by the append lane (`Appender::publish_compacted`), which alone writes the
//! manifest and the index; then the old files go. Always: it can end at any step, by a crash too, and nothing is lost: what
//! the manifest does not name yet is a copy of what it names, and what it dropped is in the copy.

mod choose;
mod copier;
mod retire;

pub use choose::{Bounds, Choice, Facts, choose};
pub use copier::Compacted;

use super::catalog::{Catalog, View};
use super::handles::Handles;
use super::needle::{TOMBSTONE_BYTES, needle_bytes};
use super::reserve::Reserve;
use super::segment::Segment;
use super::{Identity, StoreOptions};
use crate::base::ids::{Sequence, VolumeId};
use crate::disk::{Disk, is_shortage};
use copier::{Copier, CopyStep, dead_bytes};
use retire::{RetireStep, Retiring};
use serde::Serialize;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Copies that gain less than a 16th are not published.
const GAIN_SHARE: u64 = 16;
/// Old files that wait for their readers at once; more, and nothing new is begun.
const RETIRING_MAX: usize = 64;

/// Why a piece of work was given up. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Obstacle {
    /// There is no room for the copy.
    #[error("{place}: no room")]
    Full {
        /// The directory and file.
        place: String,
    },
    /// A needle that is still needed does not verify, so its segment stays as it is.
    #[error("volume {volume:x} sequence {sequence:x} at {position}: does not verify", volume = volume.0, sequence = sequence.0)]
    Damaged {
        /// Its volume.
        volume: VolumeId,
        /// Its sequence.
        sequence: Sequence,
        /// Where it lies in its segment.
        position: u64,
    },
    /// The device or the file system failed.
    #[error("{place}: {action} failed: {error}")]
    Io {
        /// The directory and file.
        place: String,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The segments are not what they were when they were chosen.
    #[error("the segments have changed meanwhile")]
    Stale,
}

impl Obstacle {
    fn of(place: String, action: &'static str, error: io::Error) -> Self {
        match error.kind() {
            // A sync that found no room is a failure: what is on the disk then is not known.
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded if action != "sync" => Self::Full { place },
            // It was replaced while it was looked at.
            io::ErrorKind::NotFound => Self::Stale,
            _ => Self::Io { place, action, error },
        }
    }

    /// Whether the disk may have lost something that was written: then it takes no more writes.
    #[must_use]
    pub fn is_write_failure(&self) -> bool {
        matches!(self, Self::Io { action, error, .. } if !matches!(*action, "read" | "open" | "stat") && !is_shortage(error))
    }
}

/// How a step went.
#[derive(Debug)]
pub enum Step {
    /// Nothing is worth doing now.
    Rest,
    /// About so many bytes were read, written or cut.
    Worked(u64),
    /// A copy is whole. The caller gives it to the append lane and says through [`Compaction::published`] what came of it.
    Publish(Box<Compacted>),
    /// The open segment of this volume is mostly waste: the append lane should close it.
    Roll(VolumeId),
    /// A piece of work was given up.
    GaveUp(Obstacle),
}

/// What compaction has done since the disk was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct CompactionReport {
    /// The file that is being written, if any.
    pub file: Option<String>,
    /// Bytes of its sources that were gone through.
    pub done_bytes: u64,
    /// Bytes of its sources.
    pub total_bytes: u64,
    /// Segments that were replaced.
    pub segments_replaced: u64,
    /// Copies that were published.
    pub copies: u64,
    /// Bytes of these.
    pub copied_bytes: u64,
    /// Bytes of the segments that they replaced.
    pub replaced_bytes: u64,
    /// Old files that are not wholly gone yet.
    pub retiring: u64,
    /// Pieces of work that were given up.
    pub given_up: u64,
    /// Why the last one was.
    pub last_obstacle: String,
}

/// What is under way.
#[derive(Debug)]
enum Work {
    Nothing,
    Copy(Box<Copier>),
    /// The lane has it.
    Published,
}

/// The compaction of one disk.
#[derive(Debug)]
pub struct Compaction {
    disk: Arc<dyn Disk>,
    identity: Identity,
    catalog: Arc<Catalog>,
    handles: Arc<Handles>,
    reserve: Arc<Reserve>,
    segment_bytes: u64,
    work: Work,
    retiring: VecDeque<Retiring>,
    /// Segments that were tried in vain, by volume, base and edition: the dead bytes that they seemed to have then.
    barren: HashMap<(VolumeId, Sequence, u32), u64>,
    /// The segments under way, and the dead bytes that each seemed to have.
    seemed: Vec<((VolumeId, Sequence, u32), u64)>,
    /// Percent of all bytes that nobody needs, when this was last looked at.
    garbage_percent: u64,
    report: CompactionReport,
}

impl Compaction {
    pub(super) fn new(
        disk: &Arc<dyn Disk>,
        identity: Identity,
        catalog: &Arc<Catalog>,
        handles: &Arc<Handles>,
        reserve: &Arc<Reserve>,
        options: &StoreOptions,
    ) -> Self {
        Self {
            disk: Arc::clone(disk),
            identity,
            catalog: Arc::clone(catalog),
            handles: Arc::clone(handles),
            reserve: Arc::clone(reserve),
            segment_bytes: options.segment_bytes,
            work: Work::Nothing,
            retiring: VecDeque::new(),
            barren: HashMap::new(),
            seemed: Vec::new(),
            garbage_percent: 0,
            report: CompactionReport::default(),
        }
    }

    /// What was done so far, and what is under way.
    #[must_use]
    pub fn report(&self) -> CompactionReport {
        let mut report = CompactionReport { retiring: self.retiring.len() as u64, ..self.report.clone() };
        if let Work::Copy(copier) = &self.work {
            report.file = Some(copier.name.clone());
            (report.done_bytes, report.total_bytes) = copier.progress();
        }
        report
    }

    /// Whether a copy is being made, or an old file taken away.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !matches!(self.work, Work::Nothing) || !self.retiring.is_empty()
    }

    /// Bytes of a segment on this disk.
    #[must_use]
    pub fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    /// Percent of all bytes that nobody needs, when work was last chosen.
    #[must_use]
    pub fn garbage_percent(&self) -> u64 {
        self.garbage_percent
    }

    /// Does a bounded piece of work. `room_bytes` is what a copy may take now, and `tight` says that room is short.
    pub fn step(&mut self, garbage_percent: u64, room_bytes: u64, tight: bool) -> Step {
        match self.retire_one() {
            Ok(Some(cut)) => return Step::Worked(cut),
            Ok(None) => {}
            Err(obstacle) => return self.gave_up(obstacle),
        }
        match &mut self.work {
            Work::Published => Step::Rest,
            Work::Copy(copier) => match copier.step() {
                Ok(CopyStep::Worked(bytes)) => Step::Worked(bytes),
                Ok(CopyStep::Whole) => self.whole(),
                Err(obstacle) => {
                    self.give_up_copy();
                    self.gave_up(obstacle)
                }
            },
            Work::Nothing if self.retiring.len() >= RETIRING_MAX => Step::Rest,
            Work::Nothing => {
                let bounds = Bounds { garbage_percent, segment_bytes: self.segment_bytes, room_bytes, tight };
                self.begin(&bounds)
            }
        }
    }

    /// Says what became of a copy that was given to the append lane: `true` if it is published. Not to be called when
    /// publishing it failed for good: the manifest may name it then, so its file must stay.
    pub fn published(&mut self, compacted: &Compacted, is_published: bool) {
        self.work = Work::Nothing;
        if !is_published {
            self.remove(compacted.segment.name());
            return;
        }
        self.report.copies += 1;
        self.report.copied_bytes += compacted.closed.end;
        for source in &compacted.sources {
            self.report.segments_replaced += 1;
            self.report.replaced_bytes += source.end();
            self.retiring.push_back(Retiring::new(source));
        }
    }

    /// Gives up what is under way: the disk takes no more writes, or the node stops.
    pub fn stop(&mut self) {
        self.give_up_copy();
    }

    fn begin(&mut self, bounds: &Bounds) -> Step {
        if let Err(obstacle) = self.refill() {
            return self.gave_up(obstacle);
        }
        let view = self.catalog.view();
        let (segments, facts) = self.facts(&view);
        let sum = |of: fn(&Facts) -> u64| facts.iter().map(of).sum::<u64>();
        self.garbage_percent = sum(|one| one.dead).saturating_mul(100) / sum(|one| one.bytes).max(1);
        match choose(&facts, bounds) {
            None => Step::Rest,
            Some(Choice::Roll(volume)) => Step::Roll(volume),
            Some(Choice::Rewrite(range)) => {
                let seemed = facts.get(range.clone()).unwrap_or_default().iter();
                let sources: Vec<_> = segments.get(range).unwrap_or_default().to_vec();
                self.seemed = seemed.zip(&sources).map(|(one, source)| (key_of(source), one.dead)).collect();
                match Copier::new(&self.disk, &self.catalog, &self.identity, &self.reserve, sources) {
                    Ok(copier) => {
                        self.work = Work::Copy(Box::new(copier));
                        Step::Worked(0)
                    }
                    Err(obstacle) => self.gave_up(obstacle),
                }
            }
        }
    }

    /// All segments of a disk, and what is known of each.
    fn facts(&mut self, view: &View) -> (Vec<Arc<Segment>>, Vec<Facts>) {
        let mut segments = Vec::new();
        let mut facts = Vec::new();
        let mut barren = HashMap::new();
        for volume in view.volumes() {
            let all = view.segments(volume);
            let sum = |of: fn(&Segment) -> u64| all.iter().map(|segment| of(segment)).sum::<u64>();
            let tombstones = sum(|segment| segment.counts().tombstones.load(Ordering::Relaxed));
            let needed = sum(|segment| segment.counts().deleted.load(Ordering::Relaxed));
            let idle = tombstones.saturating_sub(needed);
            for segment in all {
                let counts = segment.counts();
                let its = counts.tombstones.load(Ordering::Relaxed);
                // Which tombstones are idle is not in memory: each segment is taken to have its share.
                let share = u128::from(its) * u128::from(idle) / u128::from(tombstones.max(1));
                let share = u64::try_from(share).unwrap_or(u64::MAX);
                let dead = dead_bytes(segment) + share.saturating_mul(needle_bytes(TOMBSTONE_BYTES as u32, 0));
                let closed = segment.closed();
                let key = key_of(segment);
                let tried = self.barren.get(&key).copied();
                let in_vain = tried.is_some_and(|then| dead < then.saturating_add(segment.end() / GAIN_SHARE));
                if let Some(then) = tried.filter(|_| in_vain) {
                    barren.insert(key, then);
                }
                let whole = counts.damaged.load(Ordering::Relaxed) == 0;
                let fits = segment.next().0 - segment.base().0 <= u64::from(u32::MAX);
                facts.push(Facts {
                    volume,
                    base: segment.base(),
                    next: segment.next(),
                    bytes: segment.end(),
                    dead: dead.min(segment.end()),
                    open: segment.is_open(),
                    suitable: closed.is_some() && whole && fits && !in_vain,
                });
                segments.push(Arc::clone(segment));
            }
        }
        self.barren = barren;
        (segments, facts)
    }

    fn whole(&mut self) -> Step {
        let Work::Copy(copier) = std::mem::replace(&mut self.work, Work::Published) else {
            return Step::Rest;
        };
        let before: u64 = copier.sources().iter().map(|source| source.end()).sum();
        let gain = before.saturating_sub(copier.bytes());
        if copier.sources().len() == 1 && gain.saturating_mul(GAIN_SHARE) < before {
            // Its tombstones are needed still.
            self.leave_for_later();
            self.work = Work::Copy(copier);
            self.give_up_copy();
            return Step::Worked(0);
        }
        Step::Publish(Box::new(copier.into_compacted(&self.handles)))
    }

    fn retire_one(&mut self) -> Result<Option<u64>, Obstacle> {
        let Some(mut first) = self.retiring.pop_front() else { return Ok(None) };
        match first.step(&*self.disk) {
            Ok(RetireStep::Cut(bytes)) => {
                self.retiring.push_front(first);
                self.refill()?;
                Ok(Some(bytes))
            }
            Ok(RetireStep::Waits) => {
                self.retiring.push_back(first);
                Ok(None)
            }
            Ok(RetireStep::Gone) => Ok(Some(0)),
            // What is left of it goes at the next start: the manifest has dropped it.
            Err(obstacle) => Err(obstacle),
        }
    }

    /// What comes back goes to the reserve before a delete on a full disk finds it, so that the next copy has room as well.
    fn refill(&self) -> Result<(), Obstacle> {
        if self.reserve.is_whole() {
            return Ok(());
        }
        let place = || format!("{}/{}", self.disk.place(), super::names::RESERVE);
        self.reserve.refill().map(|_| ()).map_err(|error| Obstacle::of(place(), "refill", error))
    }

    fn give_up_copy(&mut self) {
        if let Work::Copy(copier) = std::mem::replace(&mut self.work, Work::Nothing) {
            let name = copier.name.clone();
            if let Err(error) = copier.give_up() {
                self.left_behind(&name, &error);
            }
        }
    }

    fn remove(&mut self, name: &str) {
        if let Err(error) = self.disk.remove(name) {
            self.left_behind(name, &error);
        }
    }

    fn left_behind(&mut self, name: &str, error: &io::Error) {
        self.report.last_obstacle = format!("{name} is left behind for the next start to remove: {error}");
    }

    /// The segments under way are not tried again before more of them is dead.
    fn leave_for_later(&mut self) {
        self.barren.extend(self.seemed.drain(..));
    }

    fn gave_up(&mut self, obstacle: Obstacle) -> Step {
        // What cannot be read or is damaged now will not be a moment later either, and must not keep others from it.
        if matches!(obstacle, Obstacle::Damaged { .. } | Obstacle::Io { .. }) {
            self.leave_for_later();
        }
        self.report.given_up += 1;
        self.report.last_obstacle = obstacle.to_string();
        Step::GaveUp(obstacle)
    }
}

fn key_of(segment: &Segment) -> (VolumeId, Sequence, u32) {
    (segment.volume(), segment.base(), segment.closed().map_or(0, |closed| closed.edition))
}
