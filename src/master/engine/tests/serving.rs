//! Goal: what the master says is true at the moment it says it: hot names never lag behind an answered change, a full disk
//! refuses changes and answers reads and comes back by itself, an error ends the role with its cause, a removed tree drains.

use super::world::*;
use crate::base::clock::{Clock, ManualClock, Moment};
use crate::base::ids::Origin;
use crate::disk::{Call, Disk, Fault, FaultPlan, FaultyDisk, MemoryDisk};
use crate::master::command::{Checked, Command};
use crate::master::engine::{Master, MasterSettings, Question};
use crate::request::{Condition, NameAnswer, Status};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn session(master: &Master) -> u64 {
    match done(master, Command::OpenSession) {
        Ok(NameAnswer::Session(session)) => session.session,
        other => panic!("{other:?}"),
    }
}

fn in_memory() -> (Master, MemoryDisk) {
    let disk = MemoryDisk::new();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    (open(&shared, settings(Duration::from_secs(1))).unwrap(), disk)
}

fn rename(session: u64, number: u64, from: &str, to: &str) -> Command {
    let change = Checked::Rename { from: path(from), to: path(to), replace: true, condition: Condition::Any };
    Command::Change { id: Origin { session, number }, change }
}

#[test]
fn a_lookup_after_an_answer_sees_the_change() {
    let (master, _disk) = in_memory();
    let session = session(&master);
    let highest = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let answered = highest.load(Ordering::SeqCst);
                    let seen = look_up(&master, "/d/e/file");
                    let version = version_of(&seen).unwrap_or(u64::MAX);
                    assert!(version >= answered, "version {answered} was answered, then {seen:?} was seen");
                }
            });
        }
        for number in 1..400 {
            let Ok(NameAnswer::Changed(changed)) = done(&master, commit(session, number, "/d/e/file")) else {
                panic!("a commit was refused")
            };
            highest.store(changed.version, Ordering::SeqCst);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(master.report().hot_hits > 0, "the cache was used");
    master.close();
}

#[test]
fn a_moved_directory_takes_its_hot_names_along() {
    let (master, _disk) = in_memory();
    let session = session(&master);
    assert!(done(&master, empty(session, 1, "/a/b/c/file")).is_ok());
    for _ in 0..2 {
        assert!(look_up(&master, "/a/b/c/file").is_ok());
    }
    assert!(done(&master, rename(session, 2, "/a/b", "/a/x")).is_ok());
    assert_eq!(look_up(&master, "/a/b/c/file").unwrap_err().status, Status::NotFound);
    assert!(look_up(&master, "/a/x/c/file").is_ok());
    assert!(done(&master, empty(session, 3, "/a/b/c/file")).is_ok());
    let old = version_of(&look_up(&master, "/a/x/c/file")).unwrap();
    let new = version_of(&look_up(&master, "/a/b/c/file")).unwrap();
    assert!(new > old);
    master.close();
}

#[test]
fn a_full_disk_refuses_changes_answers_reads_and_comes_back() {
    let disk = MemoryDisk::new();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let master = open(&shared, settings(Duration::ZERO)).unwrap();
    let session = session(&master);
    assert!(done(&master, empty(session, 1, "/first")).is_ok());
    disk.set_capacity(0);
    let mut number = 1;
    let long = "x".repeat(200);
    // The log has some room of its own; what finds none is refused or pending.
    let mut pending = Vec::new();
    eventually("the disk is full", || {
        number += 1;
        pending.push((number, submit(&master, empty(session, number, &format!("/{long}{number}")))));
        master.refuses_change().is_some()
    });
    let refused = done(&master, empty(session, number + 1, "/refused")).unwrap_err();
    assert_eq!(refused.status, Status::Full, "{refused:?}");
    assert!(look_up(&master, "/first").is_ok(), "reads go on");
    disk.set_capacity(1 << 40);
    eventually("changes are taken again", || master.refuses_change().is_none());
    assert!(done(&master, empty(session, number + 2, "/last")).is_ok());
    for (number, end) in pending {
        // What waited for room is made now, or was refused and is not there.
        let name = format!("/{long}{number}");
        let made = end.recv_timeout(PATIENCE).unwrap().is_ok();
        assert_eq!(look_up(&master, &name).is_ok(), made, "{name}");
    }
    master.close();
}

#[test]
fn a_state_without_room_takes_what_makes_some() {
    let disk = MemoryDisk::new();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let master = open(&shared, settings(Duration::ZERO)).unwrap();
    let first = session(&master);
    assert!(done(&master, commit(first, 1, "/a")).is_ok());
    assert!(done(&master, commit(first, 2, "/tree/b")).is_ok());
    // The log has room in this, and the state would leave too little.
    disk.set_capacity(32 << 20);
    let mut number = 2;
    eventually("the state is full", || {
        number += 1;
        drop(done(&master, empty(first, number, "/c")));
        master.refuses_change().is_some()
    });
    assert_eq!(done(&master, empty(first, number + 1, "/d")).unwrap_err().status, Status::Full);
    let second = session(&master);
    for (number, name) in (1..).zip(["/a", "/tree"]) {
        let change = Checked::Remove { path: path(name), tree: true, condition: Condition::Any };
        let removed = done(&master, Command::Change { id: Origin { session: second, number }, change });
        assert!(removed.is_ok(), "{removed:?}");
    }
    let due = || master.tombstones_due(None, Duration::ZERO, 100).unwrap();
    eventually("the tree drains", || due().len() == 2);
    assert!(done(&master, Command::TombstonesWritten(due().into_iter().map(|(key, _)| key).collect())).is_ok());
    assert!(master.refuses_change().is_some() && due().is_empty());
    disk.set_capacity(1 << 40);
    eventually("changes are taken again", || master.refuses_change().is_none());
    master.close();
    let master = open(&shared, settings(Duration::ZERO)).unwrap();
    assert_eq!(look_up(&master, "/a").unwrap_err().status, Status::NotFound);
    master.close();
}

#[test]
fn an_error_of_the_disk_ends_the_role_and_says_why() {
    let disk = MemoryDisk::new();
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), FaultPlan::default());
    let faults = faulty.faults();
    let shared: Arc<dyn Disk> = Arc::new(faulty);
    let master = open(&shared, settings(Duration::from_secs(1 << 20))).unwrap();
    let session = session(&master);
    assert!(done(&master, empty(session, 1, "/a")).is_ok());
    faults.add(Fault::error(Call::SyncData, 5));
    let end = done(&master, empty(session, 2, "/b")).unwrap_err();
    assert_eq!(end.status, Status::TimedOut, "the outcome is not known: {end:?}");
    eventually("the role has ended", || master.refuses_change().is_some());
    for refusal in [look_up(&master, "/a").unwrap_err(), done(&master, empty(session, 3, "/c")).unwrap_err()] {
        assert_eq!(refusal.status, Status::Unavailable);
        assert!(refusal.detail.contains("ids go on"), "{}", refusal.detail);
    }
    assert_eq!(master.report().state, "ended");
    master.close();
    // The next start looks anew: what was acknowledged is there.
    let again: Arc<dyn Disk> = Arc::new(disk.kill());
    let master = open(&again, settings(Duration::ZERO)).unwrap();
    assert!(look_up(&master, "/a").is_ok());
    master.close();
}

#[test]
fn a_removed_tree_drains_by_itself_also_over_a_restart() {
    let (master, disk) = in_memory();
    let session = session(&master);
    let mut number = 0;
    for directory in 0..20 {
        for file in 0..200 {
            number += 1;
            drop(submit(&master, commit(session, number, &format!("/tree/{directory}/{file}"))));
        }
    }
    let change = Checked::Remove { path: path("/tree"), tree: true, condition: Condition::Any };
    let Ok(NameAnswer::Changed(changed)) =
        done(&master, Command::Change { id: Origin { session, number: number + 1 }, change })
    else {
        panic!("the removal was refused")
    };
    assert!(changed.removal > 0);
    assert_eq!(look_up(&master, "/tree/1/1").unwrap_err().status, Status::NotFound, "the name goes at once");
    let image: Arc<dyn Disk> = Arc::new(disk.crash(5));
    master.close();
    let master = open(&image, settings(Duration::from_secs(1))).unwrap();
    let removal = |master: &Master| match ask(master, Question::Removal(changed.removal)) {
        Ok(NameAnswer::Removal(removal)) => removal,
        other => panic!("{other:?}"),
    };
    eventually("the tree is gone", || removal(&master).done);
    // The directory itself counts too.
    assert_eq!(removal(&master).names, 20 * 201 + 1);
    let report = master.report();
    assert_eq!((report.files, report.directories, report.tombstones), (0, 0, 4000));
    let due = master.tombstones_due(None, Duration::ZERO, usize::MAX).unwrap();
    assert_eq!(due.iter().map(|(_, ids)| ids.len()).sum::<usize>(), 4000);
    master.close();
}

#[test]
fn a_stop_does_not_wait_for_a_disk_that_hangs() {
    let disk = MemoryDisk::new();
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), FaultPlan::default());
    let faults = faulty.faults();
    let shared: Arc<dyn Disk> = Arc::new(faulty);
    let settings = MasterSettings { close_max: Duration::from_millis(50), ..settings(Duration::from_secs(1 << 20)) };
    let master = open(&shared, settings).unwrap();
    let session = session(&master);
    faults.hang(&[Call::SyncData]);
    let end = submit(&master, empty(session, 1, "/a"));
    assert!(faults.wait_until_hanging(1, PATIENCE));
    master.close();
    assert!(master.refuses_change().is_some() && end.try_recv().is_err(), "nothing is said of what is not known");
    faults.release();
}

#[test]
fn a_start_without_room_for_the_state_ends() {
    let disk = MemoryDisk::new();
    let plain: Arc<dyn Disk> = Arc::new(disk.clone());
    let master = open(&plain, settings(Duration::from_secs(1 << 20))).unwrap();
    let session = session(&master);
    for number in 1..200 {
        assert!(done(&master, empty(session, number, &format!("/{number}"))).is_ok());
    }
    let image = disk.kill();
    master.close();
    let small = MasterSettings { layer_bytes_max: 4096, ..settings(Duration::from_secs(1 << 20)) };
    let shared: Arc<dyn Disk> = Arc::new(image.clone());
    image.set_capacity(0);
    let refused = open(&shared, small.clone()).unwrap_err().to_string();
    assert!(refused.contains("no room for the state"), "{refused}");
    image.set_capacity(1 << 40);
    let master = open(&shared, small).unwrap();
    assert!(look_up(&master, "/199").is_ok());
    master.close();
}

/// A machine whose wall clock can be put elsewhere.
#[derive(Default)]
struct Skewed {
    clock: ManualClock,
    behind_ms: AtomicU64,
}

impl Clock for Skewed {
    fn now(&self) -> Moment {
        self.clock.now()
    }

    fn wall_ms(&self) -> u64 {
        self.clock.wall_ms() - self.behind_ms.load(Ordering::SeqCst)
    }
}

#[test]
fn a_clock_that_is_put_back_holds_nothing_up() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let skewed = Arc::new(Skewed::default());
    let clock: Arc<dyn Clock> = Arc::<Skewed>::clone(&skewed);
    let wait = Duration::from_secs(900);
    let due = |master: &Master| master.tombstones_due(None, wait, 100).unwrap().len();
    for round in 1..3u64 {
        let master = Master::open(Arc::clone(&disk), OWNER, settings(Duration::ZERO), &clock, &Arc::default()).unwrap();
        let session = session(&master);
        assert!(done(&master, commit(session, 1, "/a")).is_ok());
        let change = Checked::Remove { path: path("/a"), tree: false, condition: Condition::Any };
        assert!(done(&master, Command::Change { id: Origin { session, number: 2 }, change }).is_ok());
        // A year, over which it was ahead.
        skewed.behind_ms.fetch_add(365 * 86_400_000, Ordering::SeqCst);
        assert_eq!(due(&master), 0);
        skewed.clock.advance(wait);
        assert_eq!(due(&master) as u64, round, "the wait is over, whatever the wall clock says");
        master.close();
    }
}

#[test]
fn one_process_has_the_directory() {
    let (master, disk) = in_memory();
    let shared: Arc<dyn Disk> = Arc::new(disk);
    let refused = open(&shared, settings(Duration::ZERO)).unwrap_err().to_string();
    assert!(refused.contains("another process"), "{refused}");
    master.close();
}
