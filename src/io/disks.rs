//! All disks of a node: opened together, asked by processors, closed together.
//!
//! Opening and closing run on the thread that builds the node; the rest on processor threads, and waits for nothing.

use super::append;
use super::blocks::Blocks;
use super::compactor::CompactionPace;
use super::gate::Gate;
use super::job::{
    Append, AppendEnd, DeleteBy, DeleteEnd, LaneJob, LaneWork, NotAppended, PieceEnd, ReadEnd, ReadJob, ReadWork,
    Refused, Tried,
};
use super::lane::NO_ROOM;
use super::numbers::{Member, Numbers};
use super::opening::{Directory, LeftOut, OpenError, Sound, open_all};
use super::placement::Placement;
use super::read::{Reading, Target};
use super::reader;
use super::report::DiskReport;
use super::scrub::{DiskScrub, ScrubCell, ScrubSettings, Uploads};
use super::start::{Named, Workers, start, tell_left_out, tell_opened};
use super::state::{DiskState, Event, StateCell};
use super::suspicion::Suspicion;
use super::unit::{Share, Unit};
use super::watch;
use crate::base::budget::Reservation;
use crate::base::buffers::BufferPool;
use crate::base::clock::{Clock, Moment};
use crate::base::completion::Completion;
use crate::base::ids::{ClusterId, NodeId, ObjectId, VolumeId};
use crate::base::queue::queue;
use crate::base::range::ByteRange;
use crate::base::thread;
use crate::disk::Space;
use crate::metrics::DiskMetrics;
use crate::store::{Identity, Located, StoreOptions, View};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
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
    /// A disk on which anything takes this long hangs, and is suspect.
    pub suspect_after: Duration,
    /// A suspect disk is trusted again after this long without trouble; three errors of reads within it make one suspect.
    pub suspect_for: Duration,
    /// What compaction may take.
    pub pace: CompactionPace,
    /// How they are scrubbed.
    pub scrub: ScrubSettings,
    /// A disk whose opening makes no progress for this long is left out.
    pub open_stall: Duration,
}

/// All disks of a node.
pub struct Disks {
    units: Vec<Arc<Unit>>,
    left_out: Vec<(LeftOut, u64)>,
    numbers: Arc<Numbers>,
    blocks: Arc<Blocks>,
    cluster: ClusterId,
    node: NodeId,
    threads: parking_lot::Mutex<Vec<Named>>,
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
    /// A needle that is known to be damaged; its head may be whole.
    Damaged(Target),
    /// Nothing.
    Absent,
    /// A volume that this node gave out and that is on no present disk.
    Unavailable,
}

impl Disks {
    /// Opens all directories, recovers them at once, and starts their threads. `metrics` are one for each directory.
    ///
    /// # Errors
    /// [`OpenError`]: what an operator has to put right, or that no disk is left; nothing is left running.
    pub fn open(
        directories: Vec<Directory>,
        settings: &DiskSettings,
        pool: &Arc<BufferPool>,
        clock: &Arc<dyn Clock>,
        metrics: &[Arc<DiskMetrics>],
    ) -> Result<Arc<Self>, OpenError> {
        assert_eq!(directories.len(), metrics.len(), "each disk has its metrics");
        let opening = open_all(directories, &settings.store, settings.open_stall, clock)?;
        let Identity { cluster, node, .. } = opening.sound.first().expect("at least one disk is open").opened.identity;
        let blocks = Arc::new(Blocks::new(settings.cache_bytes));
        let (stop_background, stopped) = crossbeam_channel::bounded(0);
        let shared = Shared { settings, pool, clock, blocks: &blocks };
        let (mut units, mut members, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        for sound in opening.sound {
            let metrics = metrics.get(sound.index).expect("each disk has its metrics");
            let superblock = Arc::clone(&sound.opened.superblock);
            let (unit, workers) = shared.unit(sound, metrics, stopped.clone());
            members.push(Member::new(unit.place.clone(), superblock, Arc::clone(&unit.state)));
            waiting.push((Arc::clone(&unit), workers));
            units.push(unit);
        }
        let numbers = Numbers::new(members, opening.highest);
        let mut threads = Vec::new();
        let no_thread = |error| {
            // Those that run end by themselves, and close what they opened.
            units.iter().for_each(|unit| unit.stopping.store(true, Ordering::Release));
            OpenError::System { what: "a thread of a disk", error }
        };
        for (unit, workers) in waiting {
            start(&unit, workers, settings, &numbers, &mut threads).map_err(no_thread)?;
        }
        let watched = units.clone();
        let watch = thread::spawn("disk-watch", move || watch::run(&watched, &stopped)).map_err(no_thread)?;
        threads.push(("disk-watch".to_string(), watch));
        let left_out = opening.left_out.into_iter().map(|one| {
            tell_left_out(&one);
            if let Some(metrics) = metrics.get(one.index) {
                metrics.entered_failed.increment();
            }
            (one, clock.wall_ms())
        });
        Ok(Arc::new(Self {
            units,
            left_out: left_out.collect(),
            numbers,
            blocks,
            cluster,
            node,
            threads: parking_lot::Mutex::new(threads),
            stop_background: parking_lot::Mutex::new(Some(stop_background)),
        }))
    }

    /// How many disks are open, and how many are left out.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.units.len(), self.left_out.len())
    }

    /// The state of each disk, also of those that were left out. Loads of atomics.
    pub fn states(&self) -> impl Iterator<Item = DiskState> {
        let out = self.left_out.iter().map(|_| DiskState::Failed);
        self.units.iter().map(|unit| unit.state.state()).chain(out)
    }

    /// The cluster and the node that the disks belong to.
    #[must_use]
    pub fn identity(&self) -> (ClusterId, NodeId) {
        (self.cluster, self.node)
    }

    /// Each disk at a glance, also those that were left out, in the order of the directories.
    #[must_use]
    pub fn reports(&self) -> Vec<DiskReport> {
        let open = self.units.iter().map(|unit| (unit.index, DiskReport::of(unit)));
        let out = self.left_out.iter().map(|(one, since_ms)| (one.index, DiskReport::of_left_out(one, *since_ms)));
        let mut reports: Vec<_> = open.chain(out).collect();
        reports.sort_by_key(|(index, _)| *index);
        reports.into_iter().map(|(_, report)| report).collect()
    }

    /// `wake` is called whenever a segment was replaced: processors that sleep would hold the old index for as long.
    pub fn on_change(&self, wake: impl Fn() + Clone + Send + Sync + 'static) {
        for unit in &self.units {
            // Set once, when the node is built.
            drop(unit.view_changed.set(Box::new(wake.clone())));
        }
    }

    /// The scrub of each disk, with what it found; `now` asks for a pass at full speed first.
    #[must_use]
    pub fn scrub(&self, now: bool) -> Vec<DiskScrub> {
        let told = |unit: &Arc<Unit>| {
            if now {
                unit.scrub.request();
            }
            DiskScrub {
                place: unit.place.clone(),
                disk: unit.identity.disk.to_string(),
                scrub: unit.scrub.report(),
                found: unit.scrub.found(),
            }
        };
        self.units.iter().map(told).collect()
    }

    /// From now on the scrub of each disk deletes chunks whose uploads are dead. Only the first call counts.
    pub fn collect(&self, uploads: Arc<dyn Uploads>) {
        for unit in &self.units {
            // Set once, when the node is built.
            drop(unit.uploads.set(Arc::clone(&uploads)));
        }
    }

    /// The time, in milliseconds since 1970, of which holds: a chunk that was stored before it, and that [`Uploads`] would
    /// have called dead before it, is on no disk of this node, but where it does not verify. Whoever compares it with the
    /// time of a log entry leaves room for the entry to be applied, and for what was on its way to a disk then. `None` if
    /// a disk has not been searched, is left out, or failed.
    #[must_use]
    pub fn searched_since(&self) -> Option<u64> {
        let since = |unit: &Arc<Unit>| {
            let searched_ms = unit.scrub.report().searched_ms;
            // A clock that was set back says nothing of what came meanwhile.
            let is_past = searched_ms > 0 && searched_ms <= unit.clock.wall_ms();
            (is_past && !unit.state.has_failed()).then_some(searched_ms)
        };
        let all: Option<Vec<u64>> = self.units.iter().map(since).collect();
        all.filter(|_| self.left_out.is_empty())?.into_iter().min()
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
                Located::Damaged(place) => return Found::Damaged(target(place)),
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
    ) -> Result<(), NotAppended> {
        let (now, deadline) = turn;
        let order = placement.order(&self.units, now);
        let not = |refused, append| Err(NotAppended { refused, append: Box::new(append) });
        if order.is_empty() {
            return not(self.no_disk(), append);
        }
        let mut refused = Refused::AppendQueue;
        let mut open = order.into_iter().map(|index| &self.units[index]).filter(|unit| match append::refuses(unit) {
            Some(why) => {
                refused = why;
                false
            }
            None => true,
        });
        let Some(first) = open.next() else {
            drop(open);
            return not(refused, append);
        };
        let Some(done) = done() else { return not(Refused::Completions, append) };
        let mut job = LaneJob { work: LaneWork::Put { append, done }, queued: now, deadline };
        for unit in std::iter::once(first).chain(open) {
            match append::submit(unit, job) {
                Ok(()) => return Ok(()),
                Err(back) => job = *back,
            }
        }
        match job.work {
            // Its completion is dropped: what that says then finds its request elsewhere, or answered.
            LaneWork::Put { append, .. } => not(Refused::AppendQueue, append),
            LaneWork::Delete { .. } | LaneWork::Damage { .. } => unreachable!("a put was submitted"),
        }
    }

    /// Why no disk takes objects. One that is suspect and has room may be trusted soon; a full one needs somebody's help.
    fn no_disk(&self) -> Refused {
        let mut refused = Refused::NoDisk;
        for unit in &self.units {
            match unit.state.state() {
                DiskState::Suspect if !unit.state.is_full() => return Refused::Suspect,
                DiskState::Healthy => return Refused::AppendQueue,
                DiskState::Full | DiskState::Suspect => refused = Refused::Full,
                DiskState::Failed => {}
            }
        }
        refused
    }

    /// Submits a delete: a reader checks the cookie, then the lane appends the tombstone.
    ///
    /// # Errors
    /// [`Refused`]; nothing was done.
    pub fn delete(
        &self,
        target: Target,
        by: DeleteBy,
        turn: (Moment, Moment),
        done: impl FnOnce() -> Option<Completion<DeleteEnd>>,
    ) -> Result<(), Refused> {
        let (now, deadline) = turn;
        let unit = Arc::clone(&target.unit);
        if let Some(refused) = reader::refuses(&unit, turn) {
            return Err(refused);
        }
        let Some(done) = done() else { return Err(Refused::Completions) };
        let job = ReadJob { work: ReadWork::Delete { target, by, done }, queued: now, deadline };
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

fn submitted<E>(result: Result<(), Refused>) -> Tried<E> {
    match result {
        Ok(()) => Tried::Submitted,
        Err(refused) => Tried::Refused(refused),
    }
}

/// What the disks of a node share.
struct Shared<'a> {
    settings: &'a DiskSettings,
    pool: &'a Arc<BufferPool>,
    clock: &'a Arc<dyn Clock>,
    blocks: &'a Arc<Blocks>,
}

impl Shared<'_> {
    fn unit(
        &self,
        sound: Sound,
        metrics: &Arc<DiskMetrics>,
        stopped: crossbeam_channel::Receiver<()>,
    ) -> (Arc<Unit>, Workers) {
        let Sound { index, disk, opened, space } = sound;
        let settings = self.settings;
        let (reads, read_queue) = queue(settings.read_queue_max, settings.share_out_bytes);
        let (appends, append_queue) = queue(settings.append_queue_max, settings.append_queue_bytes_max);
        let Space { total, free } = space.unwrap_or(Space { total: 0, free: 0 });
        let state = StateCell::new(disk.place(), Arc::clone(self.clock), Arc::clone(metrics));
        let unit = Arc::new(Unit {
            index,
            place: disk.place(),
            identity: opened.identity,
            catalog: opened.catalog,
            reads,
            appends,
            gate: Gate::new(settings.readers),
            state: Arc::new(state),
            suspicion: Suspicion::new(settings.suspect_after, settings.suspect_for),
            share_in: Share::new(settings.share_in_bytes),
            share_out: Share::new(settings.share_out_bytes),
            blocks: Arc::clone(self.blocks),
            pool: Arc::clone(self.pool),
            clock: Arc::clone(self.clock),
            metrics: Arc::clone(metrics),
            appending_since: AtomicU64::new(u64::MAX),
            looking_since: AtomicU64::new(u64::MAX),
            background_since: AtomicU64::new(u64::MAX),
            view_changed: OnceLock::new(),
            uploads: OnceLock::new(),
            snapshots: opened.snapshots,
            scrub: ScrubCell::new(&settings.scrub),
            findings: opened.report.findings.clone(),
            compaction: parking_lot::Mutex::default(),
            total_bytes: AtomicU64::new(total),
            free_bytes: AtomicU64::new(free.saturating_sub(opened.reserve.missing_bytes())),
            reserve: opened.reserve,
            segment_bytes: opened.compaction.segment_bytes(),
            stopping: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        });
        tell_opened(&unit, &opened.report);
        // Before the first request asks where to go.
        if !opened.appender.takes_objects() {
            unit.state.enter(Event::NoRoom, NO_ROOM);
        }
        (
            unit,
            Workers {
                disk,
                read_queue,
                append_queue,
                appender: opened.appender,
                compaction: opened.compaction,
                stopped,
            },
        )
    }
}
