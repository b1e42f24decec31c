//! From an open disk to its threads, and what was found on the way.
//!
//! Runs on the thread that builds the node.

use super::background;
use super::chores::Chore;
use super::compactor::Compactor;
use super::disks::DiskSettings;
use super::job::{LaneJob, ReadJob};
use super::lane::Lane;
use super::numbers::Numbers;
use super::opening::LeftOut;
use super::orders::orders;
use super::reader;
use super::scrub::Scrubber;
use super::snapshots::SnapshotWork;
use super::unit::Unit;
use crate::base::queue::QueueReceiver;
use crate::base::thread;
use crate::disk::Disk;
use crate::store::{Appender, Compaction, OpenReport, VolumeNumbers};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

/// What the threads of a disk own.
pub(super) struct Workers {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) read_queue: QueueReceiver<ReadJob>,
    pub(super) append_queue: QueueReceiver<LaneJob>,
    pub(super) appender: Appender,
    pub(super) compaction: Compaction,
    pub(super) stopped: crossbeam_channel::Receiver<()>,
}

/// A thread and its name.
pub(super) type Named = (String, JoinHandle<()>);

pub(super) fn start(
    unit: &Arc<Unit>,
    workers: Workers,
    settings: &DiskSettings,
    numbers: &Arc<Numbers>,
    threads: &mut Vec<Named>,
) -> io::Result<()> {
    let disk = unit.index;
    for number in 0..settings.readers {
        let (unit, queue) = (Arc::clone(unit), workers.read_queue.clone());
        let name = format!("disk-{disk}-read-{number}");
        threads.push((name.clone(), thread::spawn(&name, move || reader::run(&unit, number, &queue))?));
    }
    let numbers: Arc<dyn VolumeNumbers> = Arc::<Numbers>::clone(numbers);
    let (book, orders) = orders();
    let book = Arc::new(book);
    let lane = Lane::new(Arc::clone(unit), workers.append_queue, orders, workers.appender, numbers);
    let name = format!("disk-{disk}-lane");
    threads.push((name.clone(), thread::spawn(&name, move || lane.run())?));
    let compactor = Compactor::new(Arc::clone(unit), workers.compaction, book, settings.pace);
    let (unit, device, stopped) = (Arc::clone(unit), workers.disk, workers.stopped);
    let scrub = (Arc::clone(&unit), Arc::clone(&device), settings.scrub);
    let chores = move || -> Vec<Box<dyn Chore>> {
        let (unit, device, settings) = scrub;
        let snapshots = SnapshotWork::new(Arc::clone(&unit));
        vec![Box::new(snapshots), Box::new(compactor), Box::new(Scrubber::new(unit, device, settings))]
    };
    let name = format!("disk-{disk}-back");
    threads.push((name.clone(), thread::spawn(&name, move || background::run(&unit, &device, chores, &stopped))?));
    Ok(())
}

/// One line for a disk that the node goes on without.
pub(super) fn tell_left_out(left_out: &LeftOut) {
    log::error!("disk {}: left out, and the node goes on without it: {}", left_out.place, left_out.error);
}

/// One line a decision: what opening a disk found and did.
pub(super) fn tell_opened(unit: &Unit, report: &OpenReport) {
    let place = &unit.place;
    if report.formatted {
        log::info!("disk {place}: was empty, and is formatted as disk {}", unit.identity.disk);
    } else {
        let stop = if report.clean { "a clean stop" } else { "a stop that was not clean" };
        let OpenReport { volumes, segments_loaded, segments, scanned_bytes, .. } = report;
        log::info!(
            "disk {place}: opened after {stop}: {volumes} volumes, {segments_loaded} segments by their index files, \
             {segments} walked, {scanned_bytes} bytes of them"
        );
    }
    for reason in &report.snapshots_refused {
        log::warn!("disk {place}: an index file was thrown away, and its segment was read instead: {reason}");
    }
    if report.reserve_given > 0 {
        log::warn!("disk {place}: full: opening it took {} pieces of its reserve", report.reserve_given);
    }
    for cut in &report.cuts {
        log::warn!(
            "disk {place}: {} was cut at {}: {} bytes were never acknowledged as durable, and are kept in {}",
            cut.file,
            cut.position,
            cut.bytes,
            cut.copy
        );
    }
    if !report.damages.is_empty() {
        let count = report.damages.len();
        log::error!("disk {place}: {count} places with damaged needles; run `larder volume verify` on it");
    }
    for finding in &report.findings {
        log::error!("disk {place}: {}: {}", finding.file, finding.what);
    }
    for name in &report.adopted {
        log::warn!("disk {place}: the segment {name} is taken in again");
    }
    for name in &report.set_aside {
        log::warn!("disk {place}: {name} was set aside and is kept for you to look at");
    }
}
