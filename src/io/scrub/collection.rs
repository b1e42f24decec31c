//! Goal: a pass deletes the chunks of dead uploads and nothing else, and counts as a search only if none is left, whatever
//! happens in its middle. Method: disks in memory, uploads that are dead by a rule, power cuts between any two moments.

use super::tests::Node;
use super::{ScrubReport, Uploads};
use crate::base::clock::{Clock, ManualClock, Moment};
use crate::base::completion::Completion;
use crate::base::ids::{Cookie, ObjectId, Origin};
use crate::base::payload::Payload;
use crate::disk::{Call, Disk, Fault, FaultPlan, FaultyDisk, MemoryDisk};
use crate::io::{Append, AppendEnd, DiskState, Found, Placement, Views};
use crate::store::StoreOptions;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// Session 0 would be dead if it were asked for, session 1 is, and of session 2 every third number.
#[derive(Default)]
struct Fake {
    forgets: AtomicBool,
}

fn is_dead(origin: Origin) -> bool {
    match origin.session {
        0 | 1 => true,
        2 => origin.number.is_multiple_of(3),
        _ => false,
    }
}

impl Uploads for Fake {
    fn is_dead(&self, origin: Origin) -> bool {
        self.is_sure() && is_dead(origin)
    }

    fn is_sure(&self) -> bool {
        !self.forgets.load(Ordering::Acquire)
    }
}

struct Stored {
    id: ObjectId,
    named: bool,
    origin: Origin,
}

impl Stored {
    fn must_go(&self) -> bool {
        self.named && self.origin.session != 0 && is_dead(self.origin)
    }
}

fn store(node: &Node, named: bool, origin: Origin, bytes: usize) -> Stored {
    let ends = Instant::now() + Duration::from_secs(60);
    loop {
        let append = Append {
            payload: Payload::of(Bytes::from(vec![7; bytes])),
            attributes: Bytes::new(),
            cookie: Cookie(origin.number),
            origin,
            named,
            sync: true,
        };
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let done = Completion::new(move |end: AppendEnd| sender.send(end).unwrap());
        let turn = (node.clock.now(), Moment(u64::MAX));
        match node.disks.append(&mut Placement::default(), append, turn, || Some(done)).map(|()| receiver.recv()) {
            Ok(Ok(AppendEnd::Stored { id, .. })) => return Stored { id, named, origin },
            other => assert!(Instant::now() < ends, "{other:?}"),
        }
    }
}

/// Objects of all kinds: by id and by name, of living and dead uploads and of none.
fn filled(node: &Node, count: u64) -> Vec<Stored> {
    let kind = |n: u64| Origin { session: n % 4, number: n / 8 + 1 };
    (0..count).map(|n| store(node, n % 8 != 0 && n % 8 != 5, kind(n), [10, 3000, 0][n as usize % 3])).collect()
}

fn is_gone(node: &Node, id: ObjectId) -> bool {
    let mut views = Views::default();
    node.disks.renew(&mut views);
    match node.disks.find(&mut views, id) {
        Found::Object(_) => false,
        Found::Deleted(_) | Found::Absent => true,
        other => panic!("{other:?}"),
    }
}

fn assert_collected(node: &Node, stored: &[Stored], when: &str) {
    for one in stored {
        let (named, origin) = (one.named, one.origin);
        assert_eq!(is_gone(node, one.id), one.must_go(), "{when}: {}, named {named}, {origin:?}", one.id);
    }
}

fn assert_untouched(node: &Node, stored: &[Stored]) {
    assert!(stored.iter().all(|one| !is_gone(node, one.id)));
}

/// One pass that is asked for.
fn pass(node: &Node) {
    assert!(node.disks.scrub(true)[0].scrub.requested);
    node.until(SECOND, "the pass", |report| !report.requested);
}

fn small() -> StoreOptions {
    StoreOptions {
        segment_bytes: 64 << 10,
        volume_bytes: 160 << 10,
        reserve_bytes: Some(4096),
        open_files_max: 8,
        fill_ahead_bytes: 8 << 10,
        ..StoreOptions::default()
    }
}

fn clock() -> Arc<ManualClock> {
    let clock = ManualClock::default();
    clock.advance(SECOND * 1000);
    Arc::new(clock)
}

#[test]
fn chunks_of_dead_uploads_go_and_nothing_else() {
    let clock = clock();
    let node = Node::with(Arc::new(MemoryDisk::new()), &clock, 0, small());
    let stored = filled(&node, 400);
    pass(&node);
    assert_untouched(&node, &stored);
    assert_eq!(node.disks.searched_since(), None, "nobody was asked");

    node.disks.collect(Arc::new(Fake::default()));
    let before_ms = clock.wall_ms();
    pass(&node);
    assert_collected(&node, &stored, "after a pass");
    let since = node.disks.searched_since().unwrap();
    assert!(since >= before_ms && since <= clock.wall_ms());
    let report = node.report();
    assert_eq!(report.collected, stored.iter().filter(|one| one.must_go()).count() as u64);
    assert!(report.collected_bytes > 10 * report.collected && report.completed_findings == 0, "{report:?}");

    // What is gone is not deleted again.
    pass(&node);
    assert_eq!(node.report().collected, report.collected);
    assert!(node.disks.searched_since().unwrap() > since);
    node.disks.close(SECOND * 10);
}

#[test]
fn a_pass_that_leaves_dead_chunks_is_no_search() {
    let clock = clock();
    let disk = MemoryDisk::new();
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), FaultPlan::default());
    let faults = faulty.faults();
    let options = || StoreOptions { reserve_bytes: Some(4096), ..StoreOptions::default() };
    let node = Node::with(Arc::new(faulty), &clock, 0, options());
    let stored = filled(&node, 60);
    node.disks.collect(Arc::new(Fake::default()));
    let segments = disk.list().unwrap().into_iter().filter(|entry| entry.name.ends_with(".segment"));
    for segment in segments {
        faults.add(Fault::error(Call::Write, 28).on(&segment.name).for_good());
    }
    pass(&node);
    assert_untouched(&node, &stored);
    assert_eq!(node.disks.searched_since(), None);
    faults.heal();
    pass(&node);
    assert_collected(&node, &stored, "with room");
    let since = node.disks.searched_since();
    assert!(since.is_some());

    // A search that fails later takes nothing back, and what cannot be read may hide a dead chunk.
    let segments = disk.list().unwrap().into_iter().filter(|entry| entry.name.ends_with(".segment"));
    for segment in segments {
        faults.add(Fault::error(Call::Read, 5).on(&segment.name).touching(0..4096).for_good());
    }
    pass(&node);
    assert_eq!(node.disks.searched_since(), since);

    // Of a disk that failed nothing is known.
    faults.heal();
    store(&node, true, Origin { session: 1, number: 99 }, 10);
    let segments = disk.list().unwrap().into_iter().filter(|entry| entry.name.ends_with(".segment"));
    for segment in segments {
        faults.add(Fault::error(Call::Write, 5).on(&segment.name).for_good());
    }
    pass(&node);
    assert_eq!(node.disks.reports()[0].state, DiskState::Failed);
    assert_eq!(node.disks.searched_since(), None);
    node.disks.close(SECOND * 10);
    drop(node);
    let node = Node::with(Arc::new(disk.kill()), &clock, 0, options());
    node.until(SECOND, "what is remembered", |report| report.completed_ms > 0);
    assert_eq!(node.disks.searched_since(), since);
    node.disks.close(SECOND * 10);
}

#[test]
fn all_disks_of_a_node_are_searched_or_it_is_not() {
    let clock = clock();
    let disks = [MemoryDisk::new(), MemoryDisk::new()];
    let shared = |disk: &MemoryDisk| Arc::new(disk.clone()) as Arc<dyn Disk>;
    let node = Node::of(disks.iter().map(shared).collect(), &clock, 0, small());
    node.disks.collect(Arc::new(Fake::default()));
    assert_eq!(node.disks.searched_since(), None);
    pass(&node);
    node.until(SECOND, "both", |_| node.disks.scrub(false).iter().all(|disk| disk.scrub.searched_ms > 0));
    let all: Vec<u64> = node.disks.scrub(false).iter().map(|disk| disk.scrub.searched_ms).collect();
    assert_eq!(node.disks.searched_since(), all.into_iter().min());
    node.disks.close(SECOND * 10);

    // One that is left out may have dead chunks.
    let faulty = FaultyDisk::new(shared(&disks[1].kill()), FaultPlan::default());
    faulty.faults().add(Fault::error(Call::Open, 5).for_good());
    let node = Node::of(vec![shared(&disks[0].kill()), Arc::new(faulty)], &clock, 0, small());
    node.until(SECOND, "what is remembered", |report| report.searched_ms > 0);
    assert_eq!((node.disks.counts(), node.disks.searched_since()), ((1, 1), None));
    node.disks.close(SECOND * 10);
}

#[test]
fn uploads_that_are_unknown_are_not_collected_and_the_pass_is_no_search() {
    let clock = clock();
    let node = Node::with(Arc::new(MemoryDisk::new()), &clock, 0, small());
    let stored = filled(&node, 40);
    let uploads = Arc::new(Fake::default());
    node.disks.collect(Arc::clone(&uploads) as Arc<dyn Uploads>);
    uploads.forgets.store(true, Ordering::Release);
    pass(&node);
    assert_untouched(&node, &stored);
    assert_eq!(node.disks.searched_since(), None);
    node.disks.close(SECOND * 10);
}

#[test]
fn a_lane_without_room_is_waited_for() {
    let clock = clock();
    let disk = MemoryDisk::new();
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), FaultPlan::default());
    let faults = faulty.faults();
    let node = Node::with(Arc::new(faulty), &clock, 0, small());
    let stored = filled(&node, 200);
    node.disks.collect(Arc::new(Fake::default()));
    // Eight jobs wait there at most.
    faults.delay(&[Call::SyncData, Call::SyncAll], Duration::from_millis(10));
    pass(&node);
    assert_collected(&node, &stored, "after the wait");
    assert!(node.disks.searched_since().is_some(), "to wait is no failure");
    assert!(node.disks.reports()[0].refused_full > 0);
    node.disks.close(SECOND * 10);
}

/// A node whose disk takes each sync slowly, so that a stop falls between the deletes of a pass.
fn slowly(disk: &MemoryDisk, clock: &Arc<ManualClock>) -> Node {
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), FaultPlan::default());
    faulty.faults().delay(&[Call::SyncData, Call::SyncAll], Duration::from_millis(3));
    let node = Node::with(Arc::new(faulty), clock, 1, small());
    node.disks.collect(Arc::new(Fake::default()));
    node
}

/// Stops a node again and again, each time when a few more chunks are gone, and lets the last one end its pass.
fn stopped(how: impl Fn(&MemoryDisk, u64) -> MemoryDisk) {
    let clock = clock();
    let mut disk = MemoryDisk::new();
    let filling = Node::with(Arc::new(disk.clone()), &clock, 1, small());
    let stored = filled(&filling, 200);
    disk = disk.kill();
    let mut nodes = vec![filling];
    for round in 0..3 {
        let node = slowly(&disk, &clock);
        let is_enough = |report: &ScrubReport| report.collected >= 2 + 9 * round || report.searched_ms > 0;
        node.until(SECOND * 5, "a few deletes", is_enough);
        disk = how(&disk, round);
        nodes.push(node);
    }
    let node = slowly(&disk, &clock);
    node.until(SECOND * 5, "a search", |report| report.searched_ms > 0);
    assert_collected(&node, &stored, "after all");
    nodes.push(node);
    nodes.iter().for_each(|node| node.disks.close(SECOND * 10));
}

#[test]
fn a_pass_that_was_killed_leaves_no_dead_chunk_behind() {
    stopped(|disk, _| disk.kill());
}

#[test]
fn a_pass_that_lost_power_leaves_no_dead_chunk_behind() {
    stopped(MemoryDisk::crash);
}
