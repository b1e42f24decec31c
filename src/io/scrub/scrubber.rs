//! The scrub of one disk, driven by its background thread.
//!
//! Always: one call of [`Scrubber::step`] reads one piece at most.

use super::collector::Collector;
use super::pace::{pace, percent};
use super::report::{ScrubReport, ScrubSettings, ScrubState};
use crate::base::clock::Moment;
use crate::base::completion::Completion;
use crate::base::ids::{Sequence, VolumeId};
use crate::base::planted::{self, Bug};
use crate::disk::Disk;
use crate::io::append;
use crate::io::chores::Chore;
use crate::io::job::{LaneJob, LaneWork};
use crate::io::state::DiskState;
use crate::io::unit::Unit;
use crate::store::{Scrub, ScrubFile, ScrubFinding, ScrubKind, ScrubRecord, ScrubStep};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A start has other things to do than to scrub.
const BEGIN_AFTER: Duration = Duration::from_secs(60);
/// How often to look whether a pass is due.
const LOOK: Duration = Duration::from_secs(1);
/// How long to wait for the readers' backlog before looking again, and for how long at most.
const BACKLOG_LOOK: Duration = Duration::from_millis(20);
const BACKLOG_WAIT_MAX: Duration = Duration::from_secs(1);
/// How long to wait for the append lane.
const LANE_LOOK: Duration = Duration::from_millis(10);
/// Where a pass is, is written at most this often: each costs a sync.
const RECORD_EVERY: Duration = Duration::from_secs(10);
/// Findings of a pass that are kept for whoever asks, and logged; all are counted.
const FINDINGS_KEPT: usize = 256;
/// Needles that wait to be marked; behind that many the pass waits for the lane.
const UNMARKED_MAX: usize = 64;

/// One pass.
struct Pass {
    scrub: Scrub,
    is_requested: bool,
    /// Needles for the lane to mark.
    unmarked: VecDeque<(VolumeId, Sequence, u64)>,
    collector: Collector,
    /// Everything was read.
    is_read: bool,
    findings: u64,
    kept: usize,
}

/// The scrub of one disk.
pub(in crate::io) struct Scrubber {
    unit: Arc<Unit>,
    disk: Arc<dyn Disk>,
    settings: ScrubSettings,
    opened: Moment,
    record: ScrubRecord,
    file: Option<ScrubFile>,
    is_file_refused: bool,
    recorded: Moment,
    pass: Option<Pass>,
    /// When the next piece may be read.
    due: Moment,
    backlog_since: Option<Moment>,
}

impl Scrubber {
    pub(in crate::io) fn new(unit: Arc<Unit>, disk: Arc<dyn Disk>, settings: ScrubSettings) -> Self {
        let opened = unit.clock.now();
        let record = ScrubFile::read(&*disk).unwrap_or_else(|error| {
            log::warn!("disk {}: where the scrub was cannot be read, it begins anew: {error}", unit.place);
            ScrubRecord::default()
        });
        let scrubber = Self {
            unit,
            disk,
            settings,
            opened,
            record,
            file: None,
            is_file_refused: false,
            recorded: opened,
            pass: None,
            due: opened,
            backlog_since: None,
        };
        scrubber.tell();
        scrubber
    }

    /// Does a piece, if one is due; returns how long the next can wait. To be called again sooner costs nothing.
    pub(in crate::io) fn step(&mut self) -> Duration {
        let now = self.unit.clock.now();
        let is_requested = self.unit.scrub.requested.load(Ordering::Acquire);
        if is_requested && !self.pass.as_ref().is_some_and(|pass| pass.is_requested) {
            self.begin(true, (VolumeId(0), Sequence(0)), now);
        } else if self.pass.is_none() && self.is_due(now) {
            let from = self.record.next;
            self.begin(false, from, now);
        }
        let Some(mut pass) = self.pass.take() else { return LOOK };
        if !self.mark(&mut pass) || !self.collect(&mut pass, now) {
            self.pass = Some(pass);
            return LANE_LOOK;
        }
        if pass.is_read {
            // Who sees the end sees what it found as damaged.
            if self.unit.scrub.marking.load(Ordering::Acquire) > 0 {
                self.pass = Some(pass);
                return LANE_LOOK;
            }
            self.end(&pass);
            return Duration::ZERO;
        }
        let wait = match self.wait(now) {
            Some(wait) => wait,
            None => self.piece(&mut pass, now),
        };
        self.pass = Some(pass);
        self.tell();
        wait
    }

    /// The node stops: where the pass is, is remembered.
    pub(in crate::io) fn stop(&mut self) {
        if self.pass.is_some() {
            self.remember(self.unit.clock.now());
        }
    }

    /// A pass is due a period after the last one began, one that was stopped at once, and so is one when the clock was
    /// set back.
    fn is_due(&self, now: Moment) -> bool {
        if self.settings.period.is_zero() || now < self.opened + BEGIN_AFTER {
            return false;
        }
        let wall_ms = self.unit.clock.wall_ms();
        let since = u128::from(wall_ms.saturating_sub(self.record.completed_begun_ms));
        self.record.begun_ms != 0 || since >= self.period_ms() || wall_ms < self.record.completed_begun_ms
    }

    fn period_ms(&self) -> u128 {
        self.settings.period.as_millis()
    }

    fn begin(&mut self, is_requested: bool, from: (VolumeId, Sequence), now: Moment) {
        let is_resumed = !is_requested && self.record.begun_ms != 0;
        let from = if is_resumed { from } else { (VolumeId(0), Sequence(0)) };
        if !is_resumed {
            self.record.begun_ms = self.unit.clock.wall_ms().max(1);
            (self.record.findings, self.record.bytes, self.record.next) = (0, 0, from);
        }
        // One that began without uploads to ask has passed dead chunks.
        self.record.searches = self.unit.uploads.get().is_some() && (!is_resumed || self.record.searches);
        let collector = Collector::new(Arc::clone(&self.unit));
        let catalog = Arc::clone(&self.unit.catalog);
        let scrub = Scrub::new(Arc::clone(&self.disk), catalog, self.unit.identity, from);
        let findings = self.record.findings;
        let unmarked = VecDeque::new();
        self.pass = Some(Pass { scrub, is_requested, unmarked, collector, is_read: false, findings, kept: 0 });
        self.due = now;
        self.unit.scrub.told.lock().1.clear();
        self.remember(now);
        self.tell();
        let how = if is_requested { "as asked for" } else { "in the background" };
        let what = if is_resumed { "goes on" } else { "begins" };
        log::info!("disk {}: a scrub {what} {how}", self.unit.place);
    }

    /// How long to wait before a piece may be read; `None`: it may be now.
    fn wait(&mut self, now: Moment) -> Option<Duration> {
        if now < self.due {
            return Some(self.due - now);
        }
        if self.unit.reads.depth() == 0 {
            self.backlog_since = None;
            return None;
        }
        // Readers come first; but under load that never ends a piece goes through all the same.
        let since = *self.backlog_since.get_or_insert(now);
        if now >= since + BACKLOG_WAIT_MAX {
            self.backlog_since = None;
            return None;
        }
        Some(BACKLOG_LOOK)
    }

    fn piece(&mut self, pass: &mut Pass, now: Moment) -> Duration {
        let read = match pass.scrub.step() {
            ScrubStep::Read(bytes) => bytes,
            ScrubStep::Done => {
                pass.is_read = true;
                0
            }
        };
        self.unit.metrics.scrubbed_bytes.add(read);
        for finding in pass.scrub.take_findings() {
            self.note(pass, finding);
        }
        pass.collector.meet(pass.scrub.take_named());
        self.advance(pass, now);
        let progress = pass.scrub.progress();
        let left = progress.bytes_total.saturating_sub(progress.bytes);
        let rate = if pass.is_requested { self.settings.bytes_per_s } else { self.pace(left) };
        let nanoseconds = u128::from(read) * 1_000_000_000 / u128::from(rate.max(1));
        self.due = now + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        self.due - self.unit.clock.now()
    }

    /// After a restart the pass goes on with the segment that was not checked to its end, or in which dead chunks wait.
    fn advance(&mut self, pass: &Pass, now: Moment) {
        let progress = pass.scrub.progress();
        let may = pass.collector.is_idle() || planted::on(Bug::PassAheadOfDeletes);
        if !may || pass.is_read || self.record.next == progress.next {
            return;
        }
        self.record.searches &= !pass.collector.has_failed();
        (self.record.bytes, self.record.findings) = (progress.bytes, pass.findings);
        self.record.next = progress.next;
        if now >= self.recorded + RECORD_EVERY {
            self.remember(now);
        }
    }

    /// Has dead chunks deleted; false while the pass waits for that, as it does at the end of each segment.
    fn collect(&mut self, pass: &mut Pass, now: Moment) -> bool {
        let is_handed = pass.collector.hand_over();
        let is_between = pass.is_read || self.record.next != pass.scrub.progress().next;
        self.advance(pass, now);
        is_handed && (!is_between || pass.collector.is_idle())
    }

    /// Bytes a second that are needed to end the pass in time.
    fn pace(&self, left: u64) -> u64 {
        let ends_ms = u128::from(self.record.begun_ms) + self.period_ms();
        let left_ms = ends_ms.saturating_sub(u128::from(self.unit.clock.wall_ms()));
        pace(left, left_ms, self.settings.bytes_per_s)
    }

    fn note(&mut self, pass: &mut Pass, finding: ScrubFinding) {
        pass.findings += 1;
        self.unit.metrics.scrub_findings.increment();
        if finding.kind == ScrubKind::Unreadable {
            self.unit.read_error(&io::Error::other("the device would not give it"));
            // There may be a dead chunk in it.
            self.record.searches &= finding.volume.is_none();
        }
        if finding.kind == ScrubKind::Needle
            && let (Some(volume), Some(first)) = (finding.volume, finding.sequence)
        {
            pass.unmarked.push_back((VolumeId(volume), Sequence(first), finding.count));
        }
        if pass.kept == FINDINGS_KEPT {
            log::error!("disk {}: the scrub finds more; only counted from here on", self.unit.place);
        }
        pass.kept += 1;
        if pass.kept > FINDINGS_KEPT {
            return;
        }
        let place = &self.unit.place;
        let sequence = finding.sequence.map_or(String::new(), |first| format!(", sequence {first:x}"));
        log::error!("disk {place}: scrub: {} at {}{sequence}: {}", finding.file, finding.offset, finding.what);
        self.unit.scrub.told.lock().1.push(finding);
    }

    /// Hands needles to the lane; false while some wait for room in its queue.
    fn mark(&self, pass: &mut Pass) -> bool {
        while let Some(&(volume, first, count)) = pass.unmarked.front() {
            let marking = Arc::clone(&self.unit.scrub.marking);
            if marking.load(Ordering::Acquire) >= UNMARKED_MAX {
                return false;
            }
            marking.fetch_add(1, Ordering::AcqRel);
            let (unit, ended) = (Arc::clone(&self.unit), Arc::clone(&marking));
            let done = Completion::new(move |marked: u64| {
                unit.metrics.scrub_marked.add(marked);
                ended.fetch_sub(1, Ordering::AcqRel);
            });
            let work = LaneWork::Damage { volume, first, count, done };
            let job = LaneJob { work, queued: self.unit.clock.now(), deadline: Moment(u64::MAX) };
            if append::submit(&self.unit, job).is_err() {
                marking.fetch_sub(1, Ordering::AcqRel);
                return false;
            }
            pass.unmarked.pop_front();
        }
        true
    }

    fn end(&mut self, pass: &Pass) {
        let now = self.unit.clock.now();
        let searches = self.record.searches && !pass.collector.has_failed();
        self.record = ScrubRecord {
            searched_ms: if searches { self.record.begun_ms } else { self.record.searched_ms },
            completed_ms: self.unit.clock.wall_ms(),
            completed_findings: pass.findings,
            completed_begun_ms: self.record.begun_ms,
            ..ScrubRecord::default()
        };
        self.remember(now);
        self.tell();
        if pass.is_requested {
            self.unit.scrub.requested.store(false, Ordering::Release);
        }
        pass.collector.tell();
        match pass.findings {
            0 => log::info!("disk {}: the scrub has ended and found nothing", self.unit.place),
            found => log::error!("disk {}: the scrub has ended with {found} findings", self.unit.place),
        }
    }

    /// Writes where the pass is. Nothing depends on it, so an error is told once, and then it goes on without.
    fn remember(&mut self, now: Moment) {
        self.recorded = now;
        if self.is_file_refused || self.unit.state.state() == DiskState::Failed {
            return;
        }
        let written = self.write_record();
        if let Err(error) = written {
            self.is_file_refused = true;
            log::warn!("disk {}: a restart will begin the scrub anew, for its place was not written: {error}", {
                &self.unit.place
            });
        }
    }

    fn write_record(&mut self) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => ScrubFile::open(&*self.disk)?.0,
        };
        self.file.insert(file).write(&self.record)
    }

    fn tell(&self) {
        let pass = self.pass.as_ref();
        let progress = pass.map(|pass| pass.scrub.progress());
        let (checked_bytes, pass_bytes) = progress.map_or((0, 0), |progress| (progress.bytes, progress.bytes_total));
        let resting = self.settings.resting();
        let running = |pass: &Pass| if pass.is_requested { ScrubState::Now } else { ScrubState::Running };
        let report = ScrubReport {
            state: pass.map_or(resting, running),
            requested: false,
            percent: percent(checked_bytes, pass_bytes),
            checked_bytes,
            pass_bytes,
            findings: pass.map_or(0, |pass| pass.findings),
            begun_ms: self.record.begun_ms,
            completed_ms: self.record.completed_ms,
            completed_findings: self.record.completed_findings,
            searched_ms: self.record.searched_ms,
            collected: self.unit.metrics.collected.value(),
            collected_bytes: self.unit.metrics.collected_bytes.value(),
            needles_marked: self.unit.metrics.scrub_marked.value(),
            read_bytes: self.unit.metrics.scrubbed_bytes.value(),
        };
        self.unit.scrub.told.lock().0 = report;
    }
}

impl Chore for Scrubber {
    fn turn(&mut self) -> Duration {
        self.step()
    }

    fn stop(&mut self) {
        Scrubber::stop(self);
    }
}
