//! All disks of a node: opened together, asked by processors, closed together.
//!
//! Opening and closing run on the thread that builds the node; the rest on processor threads, and waits for nothing.

use super::append;
use super::background;
use super::blocks::Blocks;
use super::gate::Gate;
use super::job::{
    Append, AppendEnd, DeleteEnd, LaneJob, LaneWork, PieceEnd, ReadEnd, ReadJob, ReadWork, Refused, Tried,
};
use super::lane::Lane;
use super::numbers::Numbers;
use super::placement::Placement;
use super::read::{Reading, Target};
use super::reader;
use super::report::DiskReport;
use super::state::{DiskState, StateCell};
use super::unit::{Share, Unit};
use crate::base::budget::Reservation;
use crate::base::buffers::BufferPool;
use crate::base::clock::{Clock, Moment};
use crate::base::completion::Completion;
use crate::base::ids::{ClusterId, NodeId, ObjectId, VolumeId};
use crate::base::queue::{QueueReceiver, queue};
use crate::base::range::ByteRange;
use crate::base::thread;
use crate::disk::Disk;
use crate::metrics::DiskMetrics;
use crate::store::{Appender, Identity, Located, OpenReport, StoreError, StoreOptions, View, VolumeNumbers};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What the disks are opened with.
#[derive(Debug, Clone)]
pub struct DiskSettings {
    /// Sizes of files.
    pub store: StoreOptions,
    /// Reader threads of each disk.
    pub readers: usize,
    /// Reads that may wait on a disk.
    pub read_queue_max: usize,
    /// Appends that may wait on a disk.
    pub append_queue_max: usize,
    /// Bytes of the appends that may wait on a disk.
    pub append_queue_bytes_max: usize,
    /// Bytes of the cache of verified blocks.
    pub cache_bytes: u64,
    /// What the jobs of one disk may hold of the budget of incoming bodies.
    pub share_in_bytes: usize,
    /// What the jobs of one disk may hold of the budget of replies.
    pub share_out_bytes: usize,
}

/// Why the disks cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// One of them.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Two directories are one disk, or copies of one.
    #[error("{0} and {1} are the same disk (id {2}): give each directory once, and never a copy of one")]
    Twice(String, String, String),
    /// The system gave no thread.
    #[error("no thread for disk {0}: {1}")]
    NoThread(String, std::io::Error),
}

/// All disks of a node.
pub struct Disks {
    units: Vec<Arc<Unit>>,
    numbers: Arc<Numbers>,
    blocks: Arc<Blocks>,
    cluster: ClusterId,
    node: NodeId,
    threads: parking_lot::Mutex<Vec<(String, JoinHandle<()>)>>,
    stop_background: parking_lot::Mutex<Option<crossbeam_channel::Sender<()>>>,
}

impl std::fmt::Debug for Disks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disks").field("units", &self.units.len()).finish_non_exhaustive()
    }
}

/// A processor's views of all disks, renewed when they have changed.
#[derive(Debug, Default)]
pub struct Views(Vec<(u64, Arc<View>)>);

/// What the index knows about an id.
#[derive(Debug)]
pub enum Found {
    /// An object.
    Object(Target),
    /// A deleted object, whose needle is still there.
    Deleted(Target),
    /// A needle that is known to be damaged.
    Damaged,
    /// Nothing.
    Absent,
    /// A volume that this node gave out and that is on no present disk.
    Unavailable,
}

impl Disks {
    /// Opens all directories, recovers them at once, and starts their threads.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is left running.
    pub fn open(
        disks: Vec<Arc<dyn Disk>>,
        settings: &DiskSettings,
        pool: &Arc<BufferPool>,
        clock: &Arc<dyn Clock>,
        metrics: &[Arc<DiskMetrics>],
    ) -> Result<Arc<Self>, OpenError> {
        assert_eq!(disks.len(), metrics.len(), "each disk has its metrics");
        let expected = common_owner(&disks)?;
        let opened = open_stores(&disks, expected, &settings.store, clock)?;
        let identity = opened.first().expect("a node has at least one disk").identity;
        let highest = opened
            .iter()
            .map(|opened| opened.superblock.highest().max(opened.catalog.view().volumes().max().unwrap_or(VolumeId(0))))
            .max()
            .unwrap_or(VolumeId(0));
        let superblocks =
            disks.iter().zip(&opened).map(|(disk, opened)| (disk.place(), Arc::clone(&opened.superblock)));
        let numbers = Numbers::new(superblocks.collect(), highest);
        let blocks = Arc::new(Blocks::new(settings.cache_bytes));
        let (stop_background, stopped) = crossbeam_channel::bounded(0);

        let mut units = Vec::new();
        let mut threads = Vec::new();
        for (index, ((disk, opened), metrics)) in disks.into_iter().zip(opened).zip(metrics).enumerate() {
            let (reads, read_queue) = queue(settings.read_queue_max, settings.share_out_bytes);
            let (appends, append_queue) = queue(settings.append_queue_max, settings.append_queue_bytes_max);
            let unit = Arc::new(Unit {
                index,
                place: disk.place(),
                identity: opened.identity,
                catalog: opened.catalog,
                snapshots: opened.snapshots,
                reads,
                appends,
                gate: Gate::new(settings.readers),
                state: StateCell::default(),
                share_in: Share::new(settings.share_in_bytes),
                share_out: Share::new(settings.share_out_bytes),
                blocks: Arc::clone(&blocks),
                pool: Arc::clone(pool),
                clock: Arc::clone(clock),
                metrics: Arc::clone(metrics),
                appending_since: AtomicU64::new(u64::MAX),
                total_bytes: AtomicU64::new(0),
                free_bytes: AtomicU64::new(0),
                stopping: AtomicBool::new(false),
                closed: AtomicBool::new(false),
            });
            if let Err(error) = background::look(&unit, &disk) {
                log::warn!("disk {}: its room cannot be seen: {error}", unit.place);
            }
            opened_as(&unit, &opened.report);
            let workers =
                Workers { disk, read_queue, append_queue, appender: opened.appender, stopped: stopped.clone() };
            start(&unit, workers, settings.readers, &numbers, &mut threads)
                .map_err(|error| OpenError::NoThread(unit.place.clone(), error))?;
            units.push(unit);
        }
        Ok(Arc::new(Self {
            units,
            numbers,
            blocks,
            cluster: identity.cluster,
            node: identity.node,
            threads: parking_lot::Mutex::new(threads),
            stop_background: parking_lot::Mutex::new(Some(stop_background)),
        }))
    }

    /// The cluster and the node that the disks belong to.
    #[must_use]
    pub fn identity(&self) -> (ClusterId, NodeId) {
        (self.cluster, self.node)
    }

    /// Each disk at a glance.
    #[must_use]
    pub fn reports(&self) -> Vec<DiskReport> {
        self.units.iter().map(|unit| DiskReport::of(unit)).collect()
    }

    /// Bytes in the cache of verified blocks.
    #[must_use]
    pub fn cache_bytes(&self) -> u64 {
        self.blocks.bytes()
    }

    /// Renews the views that have changed: one atomic load a disk.
    pub fn renew(&self, views: &mut Views) {
        if views.0.len() != self.units.len() {
            views.0 = self.units.iter().map(|unit| (unit.catalog.version(), unit.catalog.view())).collect();
            return;
        }
        for (unit, view) in self.units.iter().zip(&mut views.0) {
            let version = unit.catalog.version();
            if view.0 != version {
                *view = (version, unit.catalog.view());
            }
        }
    }

    /// Looks an object up in memory.
    pub fn find(&self, views: &mut Views, id: ObjectId) -> Found {
        match self.look_up(views, id) {
            found @ (Found::Absent | Found::Unavailable) => {
                // It may have come since this turn's views were taken.
                let before: Vec<u64> = views.0.iter().map(|(version, _)| *version).collect();
                self.renew(views);
                if views.0.iter().map(|(version, _)| *version).eq(before) { found } else { self.look_up(views, id) }
            }
            found => found,
        }
    }

    fn look_up(&self, views: &Views, id: ObjectId) -> Found {
        let mut seen = false;
        for (unit, (_, view)) in self.units.iter().zip(&views.0) {
            let target = |place| Target { unit: Arc::clone(unit), place, id };
            match view.locate(id.volume, id.sequence) {
                Located::Object(place) => return Found::Object(target(place)),
                Located::Deleted(place) => return Found::Deleted(target(place)),
                Located::Damaged(_) => return Found::Damaged,
                Located::OtherKind | Located::Absent => seen = true,
                Located::NoVolume => {}
            }
        }
        // Numbers begin with 1.
        let given_out = id.volume > VolumeId(0) && id.volume <= self.numbers.highest();
        if seen || !given_out { Found::Absent } else { Found::Unavailable }
    }

    /// Reads the head of an object and the first piece of a part, here or by a job.
    ///
    /// `done` is made only for a job; `None` from it means that there is no place for its completion.
    pub fn read(
        &self,
        target: Target,
        part: Option<ByteRange>,
        head_only: bool,
        mut room: Option<Reservation>,
        turn: (Moment, Moment),
        done: impl FnOnce() -> Option<Completion<ReadEnd>>,
    ) -> Tried<ReadEnd> {
        let (now, deadline) = turn;
        if let Some(end) = target.cached(part, head_only, &mut room) {
            target.unit.metrics.cache_hits.increment();
            return Tried::Done(end);
        }
        if let Some(end) = reader::inline(&target, now, |source| target.open(source, part, head_only, &mut room)) {
            return Tried::Done(end);
        }
        let unit = Arc::clone(&target.unit);
        if let Some(refused) = reader::refuses(&unit, turn) {
            return Tried::Refused(refused);
        }
        let Some(done) = done() else { return Tried::Refused(Refused::Completions) };
        let work = ReadWork::Open { target, part, head_only, room, done };
        submitted(reader::submit(&unit, ReadJob { work, queued: now, deadline }))
    }

    /// Reads the next piece, here or by a job.
    pub fn read_piece(
        &self,
        reading: &mut Reading,
        room: Option<Reservation>,
        turn: (Moment, Moment),
        done: impl FnOnce() -> Option<Completion<PieceEnd>>,
    ) -> Tried<PieceEnd> {
        let (now, deadline) = turn;
        let range = reading.piece();
        if let Some(parts) = reading.cached(&range) {
            reading.next = range.end;
            return Tried::Done(PieceEnd::Piece { parts, room });
        }
        if let Some(parts) = reader::inline(&reading.target, now, |source| reading.read(source, &range)) {
            reading.next = range.end;
            return Tried::Done(PieceEnd::Piece { parts, room });
        }
        let unit = Arc::clone(&reading.target.unit);
        if let Some(refused) = reader::refuses(&unit, turn) {
            return Tried::Refused(refused);
        }
        let Some(done) = done() else { return Tried::Refused(Refused::Completions) };
        let next = range.end;
        let work = ReadWork::Piece { reading: reading.clone(), range, room, done };
        let tried = submitted(reader::submit(&unit, ReadJob { work, queued: now, deadline }));
        if matches!(tried, Tried::Submitted) {
            reading.next = next;
        }
        tried
    }

    /// Submits an object to the lane of the disk that suits it best. `done` is made once a lane has room.
    ///
    /// # Errors
    /// [`Refused`]; nothing was done.
    pub fn append(
        &self,
        placement: &mut Placement,
        append: Append,
        turn: (Moment, Moment),
        done: impl FnOnce() -> Option<Completion<AppendEnd>>,
    ) -> Result<(), Refused> {
        let (now, deadline) = turn;
        let order = placement.order(&self.units, now);
        if order.is_empty() {
            let all_failed = self.units.iter().all(|unit| unit.state.state() == DiskState::Failed);
            return Err(if all_failed { Refused::NoDisk } else { Refused::Full });
        }
        let mut open = order.into_iter().map(|index| &self.units[index]).filter(|unit| !append::refuses(unit));
        let Some(first) = open.next() else { return Err(Refused::AppendQueue) };
        let Some(done) = done() else { return Err(Refused::Completions) };
        let mut job = LaneJob { work: LaneWork::Put { append, done }, queued: now, deadline };
        for unit in std::iter::once(first).chain(open) {
            match append::submit(unit, job) {
                Ok(()) => return Ok(()),
                Err(back) => job = *back,
            }
        }
        Err(Refused::AppendQueue)
    }

    /// Submits a delete: a reader checks the cookie, then the lane appends the tombstone.
    ///
    /// # Errors
    /// [`Refused`]; nothing was done.
    pub fn delete(
        &self,
        target: Target,
        turn: (Moment, Moment),
        done: impl FnOnce() -> Option<Completion<DeleteEnd>>,
    ) -> Result<(), Refused> {
        let (now, deadline) = turn;
        let unit = Arc::clone(&target.unit);
        if let Some(refused) = reader::refuses(&unit, turn) {
            return Err(refused);
        }
        let Some(done) = done() else { return Err(Refused::Completions) };
        let job = ReadJob { work: ReadWork::Delete { target, done }, queued: now, deadline };
        reader::submit(&unit, job)
    }

    /// Ends all threads: what waits is done first, open volumes are closed cleanly. A thread that hangs on its disk is
    /// left behind after `patience`.
    pub fn close(&self, patience: Duration) {
        drop(self.stop_background.lock().take());
        for unit in &self.units {
            unit.closed.store(true, Ordering::Release);
            unit.stopping.store(true, Ordering::Release);
        }
        let ends = Instant::now() + patience;
        for (name, thread) in std::mem::take(&mut *self.threads.lock()) {
            while !thread.is_finished() && Instant::now() < ends {
                std::thread::sleep(Duration::from_millis(1));
            }
            if thread.is_finished() {
                // A panic was logged when it happened.
                drop(thread.join());
            } else {
                log::error!("{name} hangs on its disk, and is left behind; the next start will recover its tail");
            }
        }
    }
}

struct Workers {
    disk: Arc<dyn Disk>,
    read_queue: QueueReceiver<ReadJob>,
    append_queue: QueueReceiver<LaneJob>,
    appender: Appender,
    stopped: crossbeam_channel::Receiver<()>,
}

fn start(
    unit: &Arc<Unit>,
    workers: Workers,
    readers: usize,
    numbers: &Arc<Numbers>,
    threads: &mut Vec<(String, JoinHandle<()>)>,
) -> std::io::Result<()> {
    let disk = unit.index;
    for number in 0..readers {
        let (unit, queue) = (Arc::clone(unit), workers.read_queue.clone());
        let name = format!("disk-{disk}-read-{number}");
        threads.push((name.clone(), thread::spawn(&name, move || reader::run(&unit, number, &queue))?));
    }
    let numbers: Arc<dyn VolumeNumbers> = Arc::<Numbers>::clone(numbers);
    let lane = Lane::new(Arc::clone(unit), workers.append_queue, workers.appender, numbers);
    let name = format!("disk-{disk}-lane");
    threads.push((name.clone(), thread::spawn(&name, move || lane.run())?));
    let (unit, device, stopped) = (Arc::clone(unit), workers.disk, workers.stopped);
    let name = format!("disk-{disk}-back");
    threads.push((name.clone(), thread::spawn(&name, move || background::run(&unit, &device, &stopped))?));
    Ok(())
}

/// The cluster and node that all directories belong to, but those that are empty; `None` if all are.
///
/// Looked at before any of them is opened: nothing is formatted, recovered or locked when one of them is wrong.
fn common_owner(disks: &[Arc<dyn Disk>]) -> Result<Option<(ClusterId, NodeId)>, OpenError> {
    let mut owners: Vec<(String, Identity)> = Vec::new();
    for disk in disks {
        let Some(found) = crate::store::owner(&**disk, owners.first().map(|(_, first)| (first.cluster, first.node)))?
        else {
            continue;
        };
        if let Some((before, _)) = owners.iter().find(|(_, other)| other.disk == found.disk) {
            return Err(OpenError::Twice(before.clone(), disk.place(), found.disk.to_string()));
        }
        owners.push((disk.place(), found));
    }
    Ok(owners.first().map(|(_, first)| (first.cluster, first.node)))
}

/// Opens all stores, the first here and the others on a thread each. Empty directories take the owner, or that of the
/// first, which makes its own.
fn open_stores(
    disks: &[Arc<dyn Disk>],
    expected: Option<(ClusterId, NodeId)>,
    options: &StoreOptions,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<crate::store::Opened>, OpenError> {
    let (first, others) = disks.split_first().expect("a node has at least one disk");
    let first = crate::store::open(Arc::clone(first), expected, options, Arc::clone(clock))?;
    let expected = Some((first.identity.cluster, first.identity.node));
    let (sender, receiver) = crossbeam_channel::bounded(others.len().max(1));
    for (number, disk) in others.iter().enumerate() {
        let (sender, disk, options, clock) = (sender.clone(), Arc::clone(disk), options.clone(), Arc::clone(clock));
        thread::spawn("open-disk", move || {
            let opened = crate::store::open(disk, expected, &options, clock);
            // The receiver is gone only when another disk failed to open.
            let _gone = sender.send((number, opened));
        })
        .map_err(|error| OpenError::NoThread(number.to_string(), error))?;
    }
    drop(sender);
    let mut opened: Vec<_> = Vec::new();
    for (number, store) in receiver {
        opened.push((number, store?));
    }
    opened.sort_by_key(|(number, _)| *number);
    Ok(std::iter::once(first).chain(opened.into_iter().map(|(_, store)| store)).collect())
}

fn submitted<E>(result: Result<(), Refused>) -> Tried<E> {
    match result {
        Ok(()) => Tried::Submitted,
        Err(refused) => Tried::Refused(refused),
    }
}

/// One line a decision: what opening a disk found and did.
fn opened_as(unit: &Unit, report: &OpenReport) {
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
    for name in &report.missing_segments {
        log::error!("disk {place}: the segment {name} is gone; its objects cannot be served");
    }
    for name in &report.set_aside {
        log::warn!("disk {place}: a file that the manifest never named is set aside as {name}");
    }
}
