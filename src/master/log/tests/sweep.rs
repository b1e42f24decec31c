//! Goal: whichever call on the disk fails, no acknowledgement covers a sync that failed, nothing touches the disk after a
//! failure, no room is an answer, and what was acknowledged is there afterwards. Method: one scenario; for each kind of
//! call, each error, once and for good, and each N, it runs on a disk whose Nth call of that kind fails.

use super::world::*;
use crate::disk::{Call, Fault, FaultPlan, FaultyDisk, MemoryDisk};
use crate::master::StateError;
use crate::master::log::{Log, Record};
use std::sync::Arc;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const OPERATIONS: u64 = 40;

#[derive(Debug, Clone, Copy)]
struct Case {
    call: Call,
    errno: i32,
    for_good: bool,
    nth: u64,
}

/// Runs the scenario; whether the fault struck at all.
fn run(case: Case) -> bool {
    let memory = MemoryDisk::new();
    let disk = FaultyDisk::new(Arc::new(memory.clone()), FaultPlan::default());
    let faults = disk.faults();
    let disk = Arc::new(disk);
    faults.record();
    let times = if case.for_good { u64::MAX } else { 1 };
    faults.add(Fault::error(case.call, case.errno).at(case.nth).times(times));
    let mut dice = Dice(3);
    let mut model = Model::default();
    let mut maybe = None;
    let mut log: Option<Log> = None;
    let (mut struck, mut failed) = (false, false);
    for operation in 0..OPERATIONS {
        let calls_before = failed.then(|| Call::ALL.map(|call| faults.count(call)));
        let Some(open) = log.as_mut().filter(|_| operation % 13 != 0) else {
            if let Some(log) = log.take() {
                let _ = log.close();
            }
            match Log::open(disk.clone(), OWNER, model.applied, &small()) {
                Ok((opened, report)) => {
                    // What the device would not give may be reported; the entries come from elsewhere then, or not at all.
                    assert!(report.torn.is_none() || maybe.is_some(), "{case:?}: {report:?}");
                    settle(&mut model, maybe.take(), &opened);
                    log = Some(opened);
                    failed = false;
                }
                Err(error) => {
                    let soft = matches!(error, StateError::Full { .. }) && case.errno == ENOSPC;
                    let unread = matches!(error, StateError::Damaged { .. }) && case.call == Call::Read;
                    assert!(soft || unread || matches!(error, StateError::Io { .. }), "{case:?}: {error}");
                    break;
                }
            }
            // What failed at a stop is nothing to a start that went well.
            struck |= faults.record().into_iter().any(|called| called.failed);
            continue;
        };
        let outcome = match operation % 7 {
            3 => open.rest(),
            5 => {
                let index = model.hard.commit.max(model.applied.index);
                model.applied = at(index, model.term(index));
                open.cut(model.applied)
            }
            _ => {
                let record = dice.record(&model);
                let appended = open.append(&record);
                match &appended {
                    Ok(()) => model.take(&record),
                    Err(StateError::Full { .. }) => {}
                    Err(_) if !failed => maybe = Some(record),
                    Err(_) => {}
                }
                appended
            }
        };
        if let Some(before) = calls_before {
            assert!(outcome.is_err() || operation % 7 == 5, "{case:?}: acknowledged after a failure");
            assert_eq!(
                before,
                Call::ALL.map(|call| faults.count(call)),
                "{case:?}: the disk was touched after a failure"
            );
        }
        let failures: Vec<_> = faults.record().into_iter().filter(|called| called.failed).collect();
        struck |= !failures.is_empty();
        let sync_failed = failures.iter().any(|called| {
            matches!(called.call, Call::SyncData | Call::SyncAll | Call::SyncDirectory) && called.name != "log-mark"
        });
        match outcome {
            Ok(()) => assert!(!sync_failed, "{case:?}: acknowledged though a sync failed"),
            Err(StateError::Full { .. }) => {
                assert!(!sync_failed && case.errno == ENOSPC, "{case:?}: {failures:?}");
            }
            Err(error) => {
                assert!(failed || !failures.is_empty(), "{case:?}: nothing failed: {error}");
                let room = case.errno == ENOSPC && matches!(case.call, Call::Write | Call::Allocate);
                assert!(failed || !room, "{case:?}: no room became a failure: {error}");
                failed = true;
            }
        }
    }
    struck |= faults.record().into_iter().any(|called| called.failed);
    faults.heal();
    if let Some(mut log) = log.filter(|_| !failed) {
        // Whole again.
        let record = dice.record(&model);
        log.append(&record).unwrap_or_else(|error| panic!("{case:?}: {error}"));
        model.take(&record);
        model.assert_is(&log);
    }
    for image in [memory.crash_clean(), memory.crash(case.nth), memory.kill()] {
        let (log, report) = open(&image, model.applied);
        assert!(report.damages.is_empty(), "{case:?}: {report:?}");
        settle(&mut model.clone(), maybe.clone(), &log);
    }
    struck
}

/// A record whose append failed is there as a whole or not at all.
fn settle(model: &mut Model, maybe: Option<Record>, log: &Log) {
    if let Some(maybe) = maybe {
        let mut with = model.clone();
        with.take(&maybe);
        if with.kept() == all(log) && with.hard_at_start() == log.hard() {
            *model = with;
        }
    }
    model.assert_is(log);
    model.hard = log.hard();
}

#[test]
fn whatever_fails_nothing_acknowledged_is_lost() {
    let mut runs = 0;
    for call in Call::ALL {
        for (errno, for_good) in [(EIO, false), (EIO, true), (ENOSPC, false), (ENOSPC, true)] {
            for nth in 1.. {
                runs += 1;
                if !run(Case { call, errno, for_good, nth }) {
                    break;
                }
            }
        }
    }
    println!("{runs} runs");
    assert!(runs >= 600, "{runs} runs");
}
