//! Goal: passes begin when they are due or asked for, go as fast as they may, and are remembered. Method: disks in memory
//! under a clock that the test turns.

use super::pace::{BYTES_PER_S_MIN, pace, percent};
use super::{ScrubReport, ScrubSettings, ScrubState};
use crate::base::buffers::BufferPool;
use crate::base::clock::{Clock, ManualClock};
use crate::disk::{Call, Disk, Fault, FaultPlan, FaultyDisk, MemoryDisk};
use crate::io::{CompactionPace, Directory};
use crate::io::{DiskSettings, Disks};
use crate::metrics::DiskMetrics;
use crate::store::StoreOptions;
use std::sync::Arc;
use std::time::{Duration, Instant};

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

pub(super) struct Node {
    pub(super) disks: Arc<Disks>,
    pub(super) clock: Arc<ManualClock>,
}

impl Node {
    fn on(disk: Arc<dyn Disk>, clock: &Arc<ManualClock>, days: u32) -> Self {
        let store = StoreOptions { reserve_bytes: Some(4096), ..StoreOptions::default() };
        Self::with(disk, clock, days, store)
    }

    pub(super) fn with(disk: Arc<dyn Disk>, clock: &Arc<ManualClock>, days: u32, store: StoreOptions) -> Self {
        Self::of(vec![disk], clock, days, store)
    }

    pub(super) fn of(disks: Vec<Arc<dyn Disk>>, clock: &Arc<ManualClock>, days: u32, store: StoreOptions) -> Self {
        let settings = DiskSettings {
            store,
            readers: 1,
            read_queue_max: 8,
            append_queue_max: 8,
            append_queue_bytes_max: 1 << 20,
            cache_bytes: 0,
            share_in_bytes: 1 << 20,
            share_out_bytes: 1 << 20,
            scrub: ScrubSettings { period: DAY * days, bytes_per_s: 64 << 20 },
            pace: CompactionPace { garbage_percent: 0, bytes_per_s: 1 << 20 },
            suspect_after: Duration::from_secs(10),
            suspect_for: Duration::from_secs(60),
            open_stall: Duration::from_secs(30),
        };
        let metrics: Vec<_> = disks.iter().map(|_| Arc::<DiskMetrics>::default()).collect();
        let directories = disks.into_iter().map(Directory::of).collect();
        let shared: Arc<dyn Clock> = Arc::clone(clock) as Arc<dyn Clock>;
        let disks = Disks::open(directories, &settings, &BufferPool::new(0), &shared, &metrics).unwrap();
        Self { disks, clock: Arc::clone(clock) }
    }

    pub(super) fn report(&self) -> ScrubReport {
        self.disks.scrub(false)[0].scrub
    }

    /// Lets time pass until the report is as it should be.
    pub(super) fn until(&self, step: Duration, what: &str, is: impl Fn(&ScrubReport) -> bool) -> ScrubReport {
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
    faults.add(Fault::error(Call::Open, 5).on("scrub").for_good());
    let told = node.disks.scrub(true);
    assert!(told[0].scrub.requested && told[0].found.is_empty());
    let ended = node.until(Duration::from_secs(1), "the pass", |report| !report.requested);
    assert_eq!(ended.completed_findings, 1, "the file itself cannot be read");
    node.disks.close(Duration::from_secs(10));
}
