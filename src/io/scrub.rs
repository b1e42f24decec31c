//! The scrub of one disk as the node runs it: when a pass begins, how fast it goes, and what becomes of what it finds.
//!
//! [`Scrubber`] belongs to the background thread of the disk, which calls [`Scrubber::step`]; [`ScrubCell`] is what other
//! threads see. Always: a pass goes no faster than its period calls for (unless it was asked for by hand), and waits
//! while reads wait; what is found is logged with its place, and a needle is marked damaged by the append lane, which
//! alone writes the manifest.
//!
//! ```text
//! Off ─asked─▶ Now      Resting ─due─▶ Running ─asked─▶ Now      Running, Now ─end─▶ Resting (Off when the period is 0)
//! ```

use super::append;
use super::job::{LaneJob, LaneWork};
use super::state::DiskState;
use super::unit::Unit;
use crate::base::clock::Moment;
use crate::base::completion::Completion;
use crate::base::ids::{Sequence, VolumeId};
use crate::disk::Disk;
use crate::store::{Scrub, ScrubFile, ScrubFinding, ScrubKind, ScrubRecord, ScrubStep};
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// How the disks are scrubbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrubSettings {
    /// A pass is spread over this long, and the next begins this long after it; zero: only by hand.
    pub period: Duration,
    /// The fastest that a pass may go.
    pub bytes_per_s: u64,
}

impl ScrubSettings {
    fn resting(&self) -> ScrubState {
        if self.period.is_zero() { ScrubState::Off } else { ScrubState::Resting }
    }
}

/// A small disk is done early rather than read in drops: at least a piece a second.
const BYTES_PER_S_MIN: u64 = 1 << 20;
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

/// What the scrub of a disk does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ScrubState {
    /// No pass is ever due.
    #[default]
    Off,
    /// The next pass is not due yet.
    Resting,
    /// A pass is spread over its period.
    Running,
    /// A pass that was asked for goes as fast as it may.
    Now,
}

/// The scrub of a disk at a glance. Times are milliseconds since 1970, UTC; 0 is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ScrubReport {
    /// What it does now.
    pub state: ScrubState,
    /// A pass at full speed was asked for, and has not ended.
    pub requested: bool,
    /// Of the current pass.
    pub percent: u64,
    /// Bytes of segments that the current pass has checked.
    pub checked_bytes: u64,
    /// Bytes of all segments of the current pass.
    pub pass_bytes: u64,
    /// What the current pass has found.
    pub findings: u64,
    /// When the current pass began.
    pub begun_ms: u64,
    /// When the last pass ended.
    pub completed_ms: u64,
    /// What the last pass had found.
    pub completed_findings: u64,
    /// Needles marked damaged since the start of the node.
    pub needles_marked: u64,
    /// Bytes read since the start of the node.
    pub read_bytes: u64,
}

/// The scrub of a disk, with what it found.
#[derive(Debug, Clone, Serialize)]
pub struct DiskScrub {
    /// Where the disk is.
    pub place: String,
    /// Its id.
    pub disk: String,
    /// How far it is.
    pub scrub: ScrubReport,
    /// What the current pass has found, or the last one when there is none; at most 256. Not kept over a restart.
    pub found: Vec<ScrubFinding>,
}

/// What other threads see and say.
#[derive(Debug, Default)]
pub(super) struct ScrubCell {
    requested: AtomicBool,
    /// Jobs of the lane that mark needles and have not ended.
    marking: Arc<AtomicUsize>,
    told: Mutex<(ScrubReport, Vec<ScrubFinding>)>,
}

impl ScrubCell {
    /// Before the background thread has looked.
    pub(super) fn new(settings: &ScrubSettings) -> Self {
        let report = ScrubReport { state: settings.resting(), ..ScrubReport::default() };
        Self { told: Mutex::new((report, Vec::new())), ..Self::default() }
    }

    /// Asks for a pass at full speed; one that was asked for before goes on.
    pub(super) fn request(&self) {
        self.requested.store(true, Ordering::Release);
    }

    pub(super) fn report(&self) -> ScrubReport {
        // In this order: a pass that ends between the two is still told as asked for.
        let requested = self.requested.load(Ordering::Acquire);
        ScrubReport { requested, ..self.told.lock().0 }
    }

    pub(super) fn found(&self) -> Vec<ScrubFinding> {
        self.told.lock().1.clone()
    }
}

/// One pass.
struct Pass {
    scrub: Scrub,
    is_requested: bool,
    /// Needles for the lane to mark.
    unmarked: VecDeque<(VolumeId, Sequence, u64)>,
    /// Everything was read.
    is_read: bool,
    findings: u64,
    kept: usize,
}

/// The scrub of one disk.
pub(super) struct Scrubber {
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
    pub(super) fn new(unit: Arc<Unit>, disk: Arc<dyn Disk>, settings: ScrubSettings) -> Self {
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
    pub(super) fn step(&mut self) -> Duration {
        let now = self.unit.clock.now();
        let is_requested = self.unit.scrub.requested.load(Ordering::Acquire);
        if is_requested && !self.pass.as_ref().is_some_and(|pass| pass.is_requested) {
            self.begin(true, (VolumeId(0), Sequence(0)), now);
        } else if self.pass.is_none() && self.is_due(now) {
            let from = self.record.next;
            self.begin(false, from, now);
        }
        let Some(mut pass) = self.pass.take() else { return LOOK };
        if !self.mark(&mut pass) {
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
    pub(super) fn stop(&mut self) {
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
        let catalog = Arc::clone(&self.unit.catalog);
        let scrub = Scrub::new(Arc::clone(&self.disk), catalog, self.unit.identity, from);
        let findings = self.record.findings;
        self.pass = Some(Pass { scrub, is_requested, unmarked: VecDeque::new(), is_read: false, findings, kept: 0 });
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
        let progress = pass.scrub.progress();
        // After a restart it goes on with the segment that was not checked to its end.
        if self.record.next != progress.next && !pass.is_read {
            (self.record.bytes, self.record.findings) = (progress.bytes, pass.findings);
            self.record.next = progress.next;
            if now >= self.recorded + RECORD_EVERY {
                self.remember(now);
            }
        }
        let left = progress.bytes_total.saturating_sub(progress.bytes);
        let rate = if pass.is_requested { self.settings.bytes_per_s } else { self.pace(left) };
        let nanoseconds = u128::from(read) * 1_000_000_000 / u128::from(rate.max(1));
        self.due = now + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        self.due - self.unit.clock.now()
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
            self.unit.metrics.errors.increment();
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
        self.record = ScrubRecord {
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
            needles_marked: self.unit.metrics.scrub_marked.value(),
            read_bytes: self.unit.metrics.scrubbed_bytes.value(),
        };
        self.unit.scrub.told.lock().0 = report;
    }
}

fn percent(part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(part) * 100 / u128::from(whole.max(1))).unwrap_or(100).min(100)
}

/// Bytes a second with which so many bytes are read in so many milliseconds, within bounds.
fn pace(left: u64, left_ms: u128, most: u64) -> u64 {
    let needed = (u128::from(left) * 1000).div_ceil(left_ms.max(1));
    u64::try_from(needed).unwrap_or(u64::MAX).max(BYTES_PER_S_MIN).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::buffers::BufferPool;
    use crate::base::clock::{Clock, ManualClock};
    use crate::disk::{Call, FaultPlan, FaultyDisk, MemoryDisk};
    use crate::io::{DiskSettings, Disks};
    use crate::metrics::DiskMetrics;
    use crate::store::StoreOptions;
    use std::time::Instant;

    #[test]
    fn a_pass_goes_as_fast_as_its_period_calls_for() {
        let day_ms = 86_400_000;
        let most = 64 << 20;
        assert_eq!(pace(14 * 86_400 * (5 << 20), 14 * day_ms, most), 5 << 20);
        assert_eq!(pace(1 << 30, 14 * day_ms, most), BYTES_PER_S_MIN, "a small disk is done early");
        assert_eq!(pace(1 << 44, day_ms, most), most, "never faster than it may");
        assert_eq!(pace(1 << 40, 0, most), most, "late");
        assert_eq!(percent(1, 3), 33);
        assert_eq!(percent(0, 0), 0);
    }

    const DAY: Duration = Duration::from_secs(86_400);

    struct Node {
        disks: Arc<Disks>,
        clock: Arc<ManualClock>,
    }

    impl Node {
        fn on(disk: Arc<dyn Disk>, clock: &Arc<ManualClock>, days: u32) -> Self {
            let settings = DiskSettings {
                store: StoreOptions { reserve_bytes: Some(4096), ..StoreOptions::default() },
                readers: 1,
                read_queue_max: 8,
                append_queue_max: 8,
                append_queue_bytes_max: 1 << 20,
                cache_bytes: 0,
                share_in_bytes: 1 << 20,
                share_out_bytes: 1 << 20,
                scrub: ScrubSettings { period: DAY * days, bytes_per_s: 64 << 20 },
            };
            let metrics = [Arc::<DiskMetrics>::default()];
            let shared: Arc<dyn Clock> = Arc::clone(clock) as Arc<dyn Clock>;
            let disks = Disks::open(vec![disk], &settings, &BufferPool::new(0), &shared, &metrics).unwrap();
            Self { disks, clock: Arc::clone(clock) }
        }

        fn report(&self) -> ScrubReport {
            self.disks.scrub(false)[0].scrub
        }

        /// Lets time pass until the report is as it should be.
        fn until(&self, step: Duration, what: &str, is: impl Fn(&ScrubReport) -> bool) -> ScrubReport {
            let ends = Instant::now() + Duration::from_secs(60);
            loop {
                let report = self.report();
                if is(&report) {
                    return report;
                }
                assert!(Instant::now() < ends, "never came true: {what}: {report:?}");
                self.clock.advance(step);
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    #[test]
    fn passes_come_by_themselves_and_are_remembered() {
        let (disk, clock) = (MemoryDisk::new(), Arc::new(ManualClock::default()));
        let node = Node::on(Arc::new(disk.clone()), &clock, 2);
        assert_eq!((node.report().state, node.report().completed_ms), (ScrubState::Resting, 0));
        let first = node.until(Duration::from_secs(5), "the first pass", |report| report.completed_ms > 0);
        assert_eq!((first.completed_findings, first.requested), (0, false));
        node.disks.close(Duration::from_secs(10));
        drop(node);

        let node = Node::on(Arc::new(disk.kill()), &clock, 2);
        node.until(Duration::ZERO, "what was remembered", |report| report.completed_ms == first.completed_ms);
        // Not before its time.
        clock.advance(DAY);
        let next =
            node.until(Duration::from_secs(3600), "the second pass", |report| report.completed_ms > first.completed_ms);
        assert!(next.completed_ms >= first.begun_ms + 2 * 86_400_000 - 3_600_000, "{next:?}");
        node.disks.close(Duration::from_secs(10));
    }

    #[test]
    fn without_a_period_only_what_is_asked_for_runs() {
        let (disk, clock) = (MemoryDisk::new(), Arc::new(ManualClock::default()));
        let node = Node::on(Arc::new(disk), &clock, 0);
        clock.advance(DAY * 400);
        assert_eq!((node.report().state, node.report().begun_ms), (ScrubState::Off, 0));
        assert!(node.disks.scrub(true)[0].scrub.requested);
        let ended = node.until(Duration::from_secs(1), "the pass", |report| !report.requested);
        assert!(ended.completed_ms > 0 && ended.state == ScrubState::Off && ended.read_bytes > 0, "{ended:?}");
        node.disks.close(Duration::from_secs(10));
    }

    #[test]
    fn a_disk_that_takes_no_note_is_scrubbed_all_the_same() {
        let (disk, clock) = (MemoryDisk::new(), Arc::new(ManualClock::default()));
        let faulty = FaultyDisk::new(Arc::new(disk), FaultPlan::default());
        let faults = faulty.faults();
        let node = Node::on(Arc::new(faulty), &clock, 0);
        faults.add(crate::disk::Fault::error(Call::Open, 5).on("scrub").for_good());
        let told = node.disks.scrub(true);
        assert!(told[0].scrub.requested && told[0].found.is_empty());
        let ended = node.until(Duration::from_secs(1), "the pass", |report| !report.requested);
        assert_eq!(ended.completed_findings, 1, "the file itself cannot be read");
        node.disks.close(Duration::from_secs(10));
    }
}
