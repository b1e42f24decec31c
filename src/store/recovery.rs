//! Brings the volumes of a disk back: reads, plans, applies, and builds the index.
//!
//! Runs once, while the disk is opened, before anybody reads or writes. Always: what is durable is never cut (see
//! `journal::plan` for the table, `store::directory_plan` for that of whole files); a torn tail is copied aside, and the
//! new epoch is in the manifest, before it is cut; doing it again changes nothing; of a segment whose file is gone or is
//! not to be read, nothing goes into the manifest, so that the file can be put back.

use super::appender::{Synced, Tail, Writer, enter};
use super::catalog::Catalog;
use super::directory::copy_aside;
use super::directory_plan::{DirectoryPlan, FileCase, FileFinding, shut};
use super::error::StoreError;
use super::handles::Handles;
use super::manifest::{Closed, ManifestState, Record, VolumeState};
use super::mark::{Mark, Marks};
use super::needle::Kind;
use super::open::OpenReport;
use super::replay::{Found, Replayed, Which, replay_watched};
use super::segment::Segment;
use super::segment_header::SEGMENT_HEADER_BYTES;
use super::slots::Slot;
use super::snapshot::{self, with_holes};
use super::{Identity, StoreOptions, names};
use crate::base::clock::Clock;
use crate::base::ids::{Epoch, Sequence, VolumeId};
use crate::base::limits::SEGMENT_BYTES_MAX;
use crate::base::planted::{self, Bug};
use crate::base::progress::Progress;
use crate::disk::{Disk, File, Open};
use crate::journal::{CHAIN_START, Case, Plan, Proof, Sight, plan, sector_end};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A torn tail that was cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cut {
    /// The segment's file.
    pub file: String,
    /// Where it was cut.
    pub position: u64,
    /// Bytes that were copied aside.
    pub bytes: u64,
    /// The file that has them now.
    pub copy: String,
}

/// Durable needles that do not verify.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The volume.
    pub volume: u32,
    /// The first of them.
    pub first: u64,
    /// How many, without a gap.
    pub count: u64,
    /// The segment's file.
    pub file: String,
    /// Where they were looked for.
    pub position: u64,
    /// It was not known before this start.
    pub new: bool,
}

/// What recovery works with.
pub(super) struct Recovery<'a> {
    pub disk: &'a Arc<dyn Disk>,
    pub identity: &'a Identity,
    pub options: &'a StoreOptions,
    pub clock: &'a dyn Clock,
    pub handles: &'a Arc<Handles>,
    pub catalog: &'a Catalog,
    pub marks: &'a Marks,
    /// What the directory looked like.
    pub directory: &'a DirectoryPlan,
    pub report: &'a mut OpenReport,
    pub progress: &'a Progress,
    /// Facts that the manifest will take.
    pub news: Vec<Record>,
    /// Torn tails that are copied aside, to be cut when the manifest has those facts.
    pub cuts: Vec<PendingCut>,
}

/// A torn tail that is safe to be cut once the manifest knows of the new epoch: else a crash in between would leave
/// nothing that tells of it, and its sequences would come again in the same epoch.
#[derive(Debug)]
pub(super) struct PendingCut {
    name: String,
    file: Arc<dyn File>,
    position: u64,
}

/// Cuts the torn tails, durably.
pub(super) fn cut(disk: &dyn Disk, cuts: Vec<PendingCut>) -> Result<(), StoreError> {
    for PendingCut { name, file, position } in cuts {
        file.set_len(position).map_err(StoreError::io(disk, &name, "cut"))?;
        file.sync_all().map_err(StoreError::io(disk, &name, "sync"))?;
    }
    Ok(())
}

/// A segment that was read and, if need be, mended.
pub(super) struct Mended {
    pub segment: Arc<Segment>,
    pub tombstones: Vec<Sequence>,
    pub plan: Plan,
    pub sealed: bool,
    pub file: Option<Arc<dyn File>>,
    pub last_epoch: Epoch,
    /// Its file is not there, or not to be read.
    pub lost: bool,
}

impl Recovery<'_> {
    /// All volumes, ready to be written; those that must begin a new epoch are told so afterwards.
    pub fn run(&mut self, state: &ManifestState) -> Result<BTreeMap<VolumeId, Writer>, StoreError> {
        let mut writers = BTreeMap::new();
        for (&volume, volume_state) in &state.volumes {
            writers.insert(volume, self.volume(volume, volume_state)?);
        }
        Ok(writers)
    }

    fn volume(&mut self, volume: VolumeId, state: &VolumeState) -> Result<Writer, StoreError> {
        self.catalog.add(volume, None);
        self.report.volumes += 1;
        let mut writer = Writer {
            volume,
            salt: state.salt,
            generation: state.generation,
            epoch: state.epoch(),
            epoch_due: false,
            cut_back: false,
            sealed: state.sealed,
            next: Sequence(0),
            chain: CHAIN_START,
            closed_bytes: 0,
            tail: None,
        };
        let cuts_before = self.report.cuts.len();
        let mut log_epoch = Epoch(0);
        let mut chain = Some(CHAIN_START);
        let mut tombstones = Vec::new();
        let mut open_is_lost = false;
        let last = state.segments.keys().next_back().copied();
        for (&base, &(_, closed)) in &state.segments {
            // Only the last segment can be open; an earlier one lost its record of closing, and nothing was written to it since.
            let mark = self.marks.marks.iter().find(|mark| mark.volume == volume);
            let which = Which { identity: self.identity, volume, state, base, closed, mark, chain };
            let mended = self.segment(&which, Some(base) == last)?;
            let clean = mended.plan.cases.iter().all(|case| matches!(case, Case::A | Case::X));
            // With this digest the writer went on, whatever is damaged before; 0 is none (see `directory_plan`).
            let closed_chain = closed.map(|closed| closed.chain).filter(|&chain| chain != 0);
            chain = closed_chain.or((clean && !mended.lost).then_some(mended.plan.chain));
            open_is_lost |= mended.lost && closed.is_none() && Some(base) == last;
            tombstones.extend_from_slice(&mended.tombstones);
            log_epoch = log_epoch.max(mended.last_epoch);
            self.take_segment(&mut writer, &which, mended, Some(base) == last)?;
        }
        self.bury(volume, &tombstones);
        if writer.sealed && !state.sealed {
            self.news.push(Record::VolumeSealed { volume });
        }
        let open = state.segments.values().any(|(_, closed)| closed.is_none());
        let cut = self.report.cuts.len() > cuts_before;
        let unproven = open && (!self.marks.clean || cut || open_is_lost || self.directory.manifest_is_old);
        self.begin_epoch(&mut writer, log_epoch, unproven);
        // Objects go elsewhere while the end of this volume is not known for sure; tombstones still find a place.
        writer.sealed |= open_is_lost;
        Ok(writer)
    }

    /// After a stop that was not clean, sequences behind the end may have been used already, so they come again in a
    /// new epoch. The manifest remembers that until it has begun, for a volume may rest through many clean stops: an
    /// epoch that is in the manifest and not in the log means that the next group begins one higher still.
    fn begin_epoch(&mut self, writer: &mut Writer, log_epoch: Epoch, unproven: bool) {
        let remembered = writer.epoch > log_epoch;
        writer.epoch = writer.epoch.max(log_epoch);
        writer.epoch_due = remembered || unproven || writer.next == Sequence(0);
        if unproven && !remembered {
            writer.epoch = Epoch(writer.epoch.0.saturating_add(1));
            let (volume, epoch, first) = (writer.volume, writer.epoch, writer.next);
            self.news.push(Record::EpochStarted { volume, epoch, first });
        }
    }

    fn take_segment(
        &mut self,
        writer: &mut Writer,
        which: &Which<'_>,
        mended: Mended,
        last: bool,
    ) -> Result<(), StoreError> {
        let plan = &mended.plan;
        writer.next = plan.next;
        writer.chain = which.closed.map_or(plan.chain, |closed| closed.chain);
        writer.sealed |= mended.sealed;
        self.catalog.add(which.volume, Some(Arc::clone(&mended.segment)));
        if let Some(closed) = which.closed {
            mended.segment.set_closed(closed);
            writer.closed_bytes += mended.segment.end();
            return Ok(());
        }
        if mended.lost {
            mended.segment.set_lost();
            // Nothing is known of it, so nothing is said of it: its file may be put back.
            writer.closed_bytes += mended.segment.end();
            return Ok(());
        }
        match mended.file.filter(|_| last && !plan.close) {
            Some(file) => {
                let length = file.len().map_err(StoreError::io(&**self.disk, &which.name(), "stat"))?;
                let allocated = plan.cut.unwrap_or(length);
                mended.segment.handle().pin(Arc::clone(&file));
                writer.tail = Some(Tail {
                    segment: mended.segment,
                    file,
                    end: plan.end,
                    filled: sector_end(plan.end),
                    allocated: allocated.max(sector_end(plan.end)),
                    synced: Synced { next: plan.next, position: plan.end, chain: plan.chain },
                    closing_at: Some(plan.next),
                    pending: false,
                    touched: self.clock.now(),
                });
            }
            None => {
                let counts = mended.segment.counts();
                let closed = Closed {
                    end: plan.end,
                    next: plan.next,
                    needles: counts.needles.load(Ordering::Relaxed),
                    objects: counts.objects.load(Ordering::Relaxed),
                    tombstones: counts.tombstones.load(Ordering::Relaxed),
                    chain: plan.chain,
                    ..Closed::default()
                };
                mended.segment.set_closed(closed);
                self.news.push(Record::SegmentClosed { volume: which.volume, base: which.base, closed });
                writer.closed_bytes += plan.end;
            }
        }
        Ok(())
    }

    fn segment(&mut self, which: &Which<'_>, last: bool) -> Result<Mended, StoreError> {
        self.progress.advance();
        if !self.directory.lost.contains(&which.key())
            && let Some(mended) = self.resume(which, last)?
        {
            return Ok(mended);
        }
        if let Some(closed) = which.closed.filter(|closed| closed.edition > 0) {
            return self.copied(which, closed);
        }
        let name = which.name();
        let open = which.closed.is_none();
        if self.directory.lost.contains(&which.key()) {
            return Ok(self.missing(which, last));
        }
        let file = match self.disk.open(&name, if open { Open::Write } else { Open::Read }) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                // It may be read and not written.
                self.report.missing_segments.push(name.clone());
                self.report.findings.push(FileFinding {
                    case: format!("{:?}", FileCase::I),
                    file: name,
                    what: shut(&error),
                });
                return Ok(self.missing(which, last));
            }
            Err(error) => return Err(StoreError::io(&**self.disk, &name, "open")(error)),
        };
        if open {
            // After a failed sync the page cache shows what the disk lacks: write what is dirty, then look at the disk.
            file.sync_all().map_err(StoreError::io(&**self.disk, &name, "sync"))?;
            if !planted::on(Bug::KeepPages) {
                file.drop_pages().map_err(StoreError::io(&**self.disk, &name, "drop the pages of"))?;
            }
        }
        let verify_from = if open { which.proof().synced } else { Sequence(u64::MAX) };
        let replayed = replay_watched(&*file, which, verify_from, &mut |_| (), self.progress)
            .map_err(StoreError::io(&**self.disk, &name, "read"))?;
        self.settle(which, last, file, replayed)
    }

    /// Plans what to do with a segment that was read, does it, and builds its index.
    pub(super) fn settle(
        &mut self,
        which: &Which<'_>,
        last: bool,
        file: Arc<dyn File>,
        replayed: Replayed,
    ) -> Result<Mended, StoreError> {
        let name = which.name();
        let open = which.closed.is_none();
        let mut plan = plan(&replayed.sight, &replayed.proof(which));
        if let Some(before) = &replayed.before {
            with_holes(&mut plan, before);
        }
        if let Some(position) = plan.cut {
            self.put_by(&name, &file, position..replayed.sight.used.max(position))?;
        }
        self.note(&name, &replayed, &plan);
        // A tail that is not given may be sound: nothing is said of it for good, so the next start reads it again.
        let unknown = open && plan.cases.contains(&Case::U);
        let file = (open && last && !unknown).then_some(file);
        let mut mended = self.mend(which, replayed, plan, file);
        mended.lost |= unknown;
        Ok(mended)
    }

    /// The manifest names a file that is gone, or not to be read: everything durable in it is damaged.
    fn missing(&mut self, which: &Which<'_>, last: bool) -> Mended {
        let start = SEGMENT_HEADER_BYTES as u64;
        let sight = Sight::nothing(start, which.base, which.chain);
        let mut proof = Proof { closed: true, ..which.proof() };
        let exact =
            which.closed.is_some() || (self.marks.clean && which.mark.is_some_and(|mark| mark.base == which.base));
        if last && !exact {
            // Nothing says where it ended. Beyond what it could hold no id was given out, so there the volume goes on. It
            // may have been begun when segments were larger.
            proof.synced = proof.synced.max(which.past());
        }
        let mut plan = plan(&sight, &proof);
        plan.close = true;
        let replayed = Replayed::nothing(sight);
        let mut mended = self.mend(which, replayed, plan, None);
        mended.lost = true;
        mended
    }

    /// Bytes lie behind the end of a closed segment.
    pub(super) fn note_behind(&mut self, name: &str, position: Option<u64>) {
        if let Some(position) = position {
            let (case, file) = (format!("{:?}", Case::X), name.to_string());
            self.report.findings.push(FileFinding { case, file, what: behind(position) });
        }
    }

    fn note(&mut self, name: &str, replayed: &Replayed, plan: &Plan) {
        let found = |case: Case, what: String| FileFinding { case: format!("{case:?}"), file: name.to_string(), what };
        self.note_behind(name, replayed.sight.behind);
        if plan.cases.contains(&Case::U) {
            self.report.findings.push(found(Case::U, UNREADABLE_TAIL.to_string()));
        }
        if replayed.before.is_some() && replayed.scanned_bytes == 0 {
            return;
        }
        self.report.segments += 1;
        self.report.scanned_bytes += replayed.scanned_bytes;
        self.report.chain_breaks += replayed.sight.chain_breaks.len() as u64;
        self.report.headers_damaged += u64::from(!replayed.header_whole);
        self.report.unreadable_bytes += replayed.unreadable;
        for case in &plan.cases {
            *self.report.cases.entry(format!("{case:?}")).or_default() += 1;
        }
    }

    /// Builds the index of a segment.
    fn mend(&mut self, which: &Which<'_>, replayed: Replayed, plan: Plan, file: Option<Arc<dyn File>>) -> Mended {
        let most = super::appender::needles_max(SEGMENT_BYTES_MAX);
        // Sequences beyond what was seen may be many more than a file can hold: those get no slots.
        let room = super::appender::needles_max(self.options.segment_bytes.max(replayed.file_bytes));
        let seen = replayed.sight.next.0.saturating_sub(which.base.0);
        let known = plan.next.0.saturating_sub(which.base.0).min(room.max(seen));
        let capacity = if file.is_some() { known.max(room) } else { known }.min(most);
        let end = plan.end.max(SEGMENT_HEADER_BYTES as u64);
        let handle = self.handles.handle(which.name());
        let segment = Arc::new(Segment::new(which.volume, which.base, which.state.salt, handle, capacity, end));
        let past = Sequence(which.base.0.saturating_add(segment.capacity()));
        let kept =
            |found: &&Found| found.sequence < plan.next.min(past) && plan.cut.is_none_or(|cut| found.position < cut);
        let mut tombstones = Vec::new();
        let mut sealed = false;
        if let Some(before) = &replayed.before {
            before.enter(&segment);
            tombstones.extend_from_slice(&before.targets);
            sealed = before.facts.sealed;
        }
        snapshot::note(&segment, &plan, &replayed);
        for found in replayed.found.iter().filter(kept) {
            enter(&segment, found.sequence, found.position, found.bytes, found.kind);
            sealed |= found.kind == Kind::Seal;
            tombstones.extend(found.target.map(|(target, _)| target));
        }
        // What the device would not give may be sound: it is not served now, and not remembered.
        let lasting = replayed.unreadable == 0 && !plan.cases.contains(&Case::U);
        self.mark_damaged(which, &segment, &plan, lasting);
        if plan.next > past {
            segment.set_lost_from(past);
        }
        segment.publish(end, plan.next);
        let last_epoch = replayed.sight.epoch;
        Mended { segment, tombstones, plan, sealed, file, last_epoch, lost: false }
    }

    fn mark_damaged(&mut self, which: &Which<'_>, segment: &Segment, plan: &Plan, lasting: bool) {
        let past = which.base.0.saturating_add(segment.capacity());
        let known = known_runs(which.state);
        let lost = self.directory.lost.contains(&which.key());
        for (range, position) in &plan.damaged {
            if range.is_empty() {
                continue;
            }
            let new = !known.iter().any(|run| run.start <= range.start && range.end <= run.end);
            for sequence in range.start..range.end.min(past) {
                set_damaged(segment, Sequence(sequence), *position);
            }
            let (first, count) = (range.start, range.end - range.start);
            let (volume, file, position) = (which.volume.0, which.name(), *position);
            self.report.damages.push(Finding { volume, first, count, file, position, new });
            if new && lasting && !lost {
                let first = Sequence(first);
                self.news.push(Record::DamageFound { volume: which.volume, first, count });
            }
        }
        // What a scrub found before stays marked: this walk does not read every body.
        let past = past.min(plan.next.0);
        for (&first, &count) in &which.state.damaged {
            for sequence in first.0.max(which.base.0)..first.0.saturating_add(count).min(past) {
                let slot = segment.slot(Sequence(sequence));
                if !slot.is_absent() && !slot.is_damaged() {
                    set_damaged(segment, Sequence(sequence), slot.position());
                }
            }
        }
    }

    /// Applies the tombstones of a volume to its index.
    fn bury(&mut self, volume: VolumeId, targets: &[Sequence]) {
        let view = self.catalog.view();
        let segments = view.segments(volume);
        for &target in targets.iter().filter(|_| !planted::on(Bug::ForgetTombstones)) {
            let behind = segments.partition_point(|segment| segment.base() <= target);
            if let Some(segment) = behind.checked_sub(1).and_then(|index| segments.get(index)) {
                segment.delete(target);
            }
        }
    }

    /// Copies a torn tail aside, durably; it is cut later.
    fn put_by(&mut self, name: &str, file: &Arc<dyn File>, tail: Range<u64>) -> Result<(), StoreError> {
        let (position, disk) = (tail.start, &**self.disk);
        let tail = if planted::on(Bug::CutWithoutCopy) { position..position } else { tail };
        let (copy, bytes) = copy_aside(disk, &**file, tail, |number| names::torn(name, number))
            .map_err(StoreError::io(disk, name, "copy the torn tail of"))?;
        self.report.cuts.push(Cut { file: name.to_string(), position, bytes, copy });
        self.cuts.push(PendingCut { name: name.to_string(), file: Arc::clone(file), position });
        Ok(())
    }
}

/// What is known to be damaged, without seams: two runs that touch are one.
pub(super) fn known_runs(state: &VolumeState) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for (&first, &count) in &state.damaged {
        let end = first.0.saturating_add(count);
        match runs.last_mut() {
            Some(last) if first.0 <= last.end => last.end = last.end.max(end),
            _ => runs.push(first.0..end),
        }
    }
    runs
}

pub(super) fn behind(position: u64) -> String {
    format!(
        "bytes lie behind its end, from {position} on, though nothing may follow a closed segment: they are kept and not \
         believed; look at them, then cut the file with `truncate` when the node is stopped"
    )
}

const UNREADABLE_TAIL: &str = "its tail may be torn, but could not be read as a whole, or nothing says whose it is: it is kept, its \
    objects are answered as damaged, and the volume goes on in another file; check the device";

fn set_damaged(segment: &Segment, sequence: Sequence, position: u64) {
    let slot = segment.slot(sequence);
    let position = if slot.is_absent() { position.next_multiple_of(8) } else { slot.position() };
    let marked = Slot::at(position.clamp(8, SEGMENT_BYTES_MAX - 8)).damaged();
    let kept = if slot.is_other_kind() { marked.other_kind() } else { marked };
    segment.store(sequence, kept);
    segment.counts().damaged.fetch_add(1, Ordering::Relaxed);
}

/// The mark of a volume, for the offline checks.
pub(super) fn mark_of(marks: &Marks, volume: VolumeId) -> Option<&Mark> {
    marks.marks.iter().find(|mark| mark.volume == volume)
}
