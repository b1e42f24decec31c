//! Brings the volumes of a disk back: reads, plans, applies, and builds the index.
//!
//! Runs once, while the disk is opened, before anybody reads or writes. Always: what is durable is never cut (see
//! `journal::plan` for the table); a torn tail is copied aside and synced before it is cut; doing it again changes nothing.

use super::appender::{Synced, Tail, Writer, enter};
use super::catalog::Catalog;
use super::error::StoreError;
use super::handles::Handles;
use super::manifest::{Closed, ManifestState, Record, VolumeState};
use super::mark::{Mark, Marks};
use super::needle::Kind;
use super::open::OpenReport;
use super::replay::{Found, Replayed, Which, replay};
use super::segment::Segment;
use super::segment_header::SEGMENT_HEADER_BYTES;
use super::slots::Slot;
use super::{Identity, StoreOptions, names};
use crate::base::clock::Clock;
use crate::base::ids::{Epoch, Sequence, VolumeId};
use crate::base::limits::SEGMENT_BYTES_MAX;
use crate::base::planted::{self, Bug};
use crate::disk::{Disk, File, Open};
use crate::journal::{CHAIN_START, Plan, Proof, Sight, plan, sector_end};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, IoSlice};
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
    pub report: &'a mut OpenReport,
    /// Facts that the manifest will take.
    pub news: Vec<Record>,
}

/// A segment that was read and, if need be, mended.
struct Mended {
    segment: Arc<Segment>,
    tombstones: Vec<Sequence>,
    plan: Plan,
    sealed: bool,
    file: Option<Arc<dyn File>>,
    last_epoch: Epoch,
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
        let last = state.segments.keys().next_back().copied();
        for (&base, &(_, closed)) in &state.segments {
            // Only the last segment can be open; an earlier one lost its record of closing, and nothing was written to it since.
            let mark = self.marks.marks.iter().find(|mark| mark.volume == volume);
            let which = Which { identity: self.identity, volume, state, base, closed, mark, chain };
            let mended = self.segment(&which, Some(base) == last)?;
            chain =
                (mended.plan.cases.iter().all(|case| *case == crate::journal::Case::A)).then_some(mended.plan.chain);
            tombstones.extend_from_slice(&mended.tombstones);
            log_epoch = log_epoch.max(mended.last_epoch);
            self.take_segment(&mut writer, &which, mended, Some(base) == last)?;
        }
        self.bury(volume, &tombstones);
        if writer.sealed && !state.sealed {
            self.news.push(Record::VolumeSealed { volume });
        }
        let open = state.segments.values().any(|(_, closed)| closed.is_none());
        let unproven = open && (!self.marks.clean || self.report.cuts.len() > cuts_before);
        self.begin_epoch(&mut writer, log_epoch, unproven);
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
        if which.closed.is_some() {
            writer.closed_bytes += mended.segment.end();
            return Ok(());
        }
        match mended.file.filter(|_| last && !plan.close) {
            Some(file) => {
                let allocated = file.len().map_err(StoreError::io(&**self.disk, &which.name(), "stat"))?;
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
                };
                self.news.push(Record::SegmentClosed { volume: which.volume, base: which.base, closed });
                writer.closed_bytes += plan.end;
            }
        }
        Ok(())
    }

    fn segment(&mut self, which: &Which<'_>, last: bool) -> Result<Mended, StoreError> {
        let name = which.name();
        let open = which.closed.is_none();
        let file = match self.disk.open(&name, if open { Open::Write } else { Open::Read }) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(self.missing(which)),
            Err(error) => return Err(StoreError::io(&**self.disk, &name, "open")(error)),
        };
        if open {
            // After a failed sync the page cache shows what the disk lacks: write what is dirty, then look at the disk.
            file.sync_all().map_err(StoreError::io(&**self.disk, &name, "sync"))?;
            if !planted::on(Bug::KeepPages) {
                file.drop_pages().map_err(StoreError::io(&**self.disk, &name, "drop the pages of"))?;
            }
        }
        let proof = which.proof();
        let verify_from = if open { proof.synced } else { Sequence(u64::MAX) };
        let replayed =
            replay(&*file, which, verify_from, &mut |_| ()).map_err(StoreError::io(&**self.disk, &name, "read"))?;
        let plan = plan(&replayed.sight, &proof);
        if open && replayed.unreadable > 0 && (plan.cut.is_some() || plan.close) {
            let error = io::Error::other("the tail cannot be read, so it cannot be told from a torn or a damaged one");
            return Err(StoreError::io(&**self.disk, &name, "read")(error));
        }
        if let Some(position) = plan.cut {
            self.cut(&name, &file, position, replayed.sight.used.max(position))?;
        }
        self.note(&replayed, &plan);
        let file = (open && last).then_some(file);
        Ok(self.mend(which, replayed, plan, file))
    }

    /// The manifest names a file that is gone: everything durable in it is damaged.
    fn missing(&mut self, which: &Which<'_>) -> Mended {
        let start = SEGMENT_HEADER_BYTES as u64;
        let proof = which.proof();
        self.report.missing_segments.push(which.name());
        let sight = Sight {
            groups: 0,
            next: which.base,
            end: start,
            used: start,
            chain: which.chain.unwrap_or_default(),
            epoch: Epoch(0),
            mark: Sequence(0),
            runs: Vec::new(),
            chain_breaks: Vec::new(),
        };
        let mut plan = plan(&sight, &Proof { closed: true, ..proof });
        plan.close = true;
        let replayed = Replayed { found: Vec::new(), sight, header_whole: true, file_bytes: 0, unreadable: 0 };
        self.mend(which, replayed, plan, None)
    }

    fn note(&mut self, replayed: &Replayed, plan: &Plan) {
        self.report.segments += 1;
        self.report.scanned_bytes += replayed.file_bytes;
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
        let known = plan.next.0.saturating_sub(which.base.0);
        let room = super::appender::needles_max(self.options.segment_bytes.max(replayed.file_bytes));
        let capacity = if file.is_some() { known.max(room) } else { known }.min(most);
        let end = plan.end.max(SEGMENT_HEADER_BYTES as u64);
        let handle = self.handles.handle(which.name());
        let segment = Arc::new(Segment::new(which.volume, which.base, which.state.salt, handle, capacity, end));
        let kept = |found: &&Found| found.sequence < plan.next && plan.cut.is_none_or(|cut| found.position < cut);
        let mut tombstones = Vec::new();
        let mut sealed = false;
        for found in replayed.found.iter().filter(kept) {
            enter(&segment, found.sequence, found.position, found.bytes, found.kind);
            sealed |= found.kind == Kind::Seal;
            tombstones.extend(found.target.map(|(target, _)| target));
        }
        // What the device would not give may be sound: it is not served now, and not remembered.
        self.mark_damaged(which, &segment, &plan, replayed.unreadable == 0);
        let next = plan.next.min(which.base.plus(segment.capacity()));
        segment.publish(end, next);
        let last_epoch = replayed.sight.epoch;
        Mended { segment, tombstones, plan, sealed, file, last_epoch }
    }

    fn mark_damaged(&mut self, which: &Which<'_>, segment: &Segment, plan: &Plan, lasting: bool) {
        let past = which.base.0.saturating_add(segment.capacity()).min(plan.next.0);
        for (range, position) in &plan.damaged {
            let range = range.start..range.end.min(past);
            if range.is_empty() {
                continue;
            }
            let count = range.end - range.start;
            let new = !range.clone().all(|sequence| which.state.knows_damaged(sequence));
            for sequence in range.clone() {
                set_damaged(segment, Sequence(sequence), *position);
            }
            self.report.damages.push(Finding {
                volume: which.volume.0,
                first: range.start,
                count,
                file: which.name(),
                position: *position,
                new,
            });
            if new && lasting {
                let first = Sequence(range.start);
                self.news.push(Record::DamageFound { volume: which.volume, first, count });
            }
        }
        // What a scrub found before stays marked: this walk does not read every body.
        for (&first, &count) in which.state.damaged.range(which.base..Sequence(past)) {
            for sequence in first.0..first.0.saturating_add(count).min(past) {
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

    /// Copies a torn tail aside, durably, and cuts it.
    fn cut(&mut self, name: &str, file: &Arc<dyn File>, position: u64, used: u64) -> Result<(), StoreError> {
        let used = if planted::on(Bug::CutWithoutCopy) { position } else { used };
        let (copy, bytes) = copy_aside(&**self.disk, name, &**file, position..used).map_err(StoreError::io(
            &**self.disk,
            name,
            "copy the torn tail of",
        ))?;
        file.set_len(position).map_err(StoreError::io(&**self.disk, name, "cut"))?;
        file.sync_all().map_err(StoreError::io(&**self.disk, name, "sync"))?;
        self.report.cuts.push(Cut { file: name.to_string(), position, bytes, copy });
        Ok(())
    }
}

fn set_damaged(segment: &Segment, sequence: Sequence, position: u64) {
    let slot = segment.slot(sequence);
    let position = if slot.is_absent() { position.next_multiple_of(8) } else { slot.position() };
    let marked = Slot::at(position.clamp(8, SEGMENT_BYTES_MAX - 8)).damaged();
    let kept = if slot.is_other_kind() { marked.other_kind() } else { marked };
    segment.store(sequence, kept);
    segment.counts().damaged.fetch_add(1, Ordering::Relaxed);
}

fn copy_aside(disk: &dyn Disk, name: &str, file: &dyn File, range: std::ops::Range<u64>) -> io::Result<(String, u64)> {
    let mut number = 0;
    let (copy, into) = loop {
        let copy = names::torn(name, number);
        match disk.open(&copy, Open::Create) {
            Ok(into) => break (copy, into),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    };
    let mut piece = vec![0; 1 << 20];
    let mut at = range.start;
    while at < range.end {
        let want = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(piece.len());
        let read = file.read_at(&mut piece[..want], at)?;
        if read == 0 {
            break;
        }
        into.write_all_at(&mut [IoSlice::new(&piece[..read])], at - range.start)?;
        at += read as u64;
    }
    into.sync_all()?;
    disk.sync_directory()?;
    Ok((copy, at - range.start))
}

/// The mark of a volume, for the offline checks.
pub(super) fn mark_of(marks: &Marks, volume: VolumeId) -> Option<&Mark> {
    marks.marks.iter().find(|mark| mark.volume == volume)
}
