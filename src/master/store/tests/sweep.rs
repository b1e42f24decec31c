//! Goal: whichever call on the disk fails, the error is reported, the store refuses from then on (but after want of room),
//! and no commit that returned is lost. Method: one scenario; for each kind of call, each error, once and for good,
//! and each N, it runs on a disk whose Nth call of that kind fails; then the store is opened on what a power cut and
//! what a dead process leave. Also syncs that fail and forget, as those of Linux do.
//! A plain run takes some N of each, with one of the errors. All of it: `LARDER_SWEEP=all cargo test --release --lib master::store::tests::sweep`

use super::world::*;
use crate::disk::{Call, Disk, Fault, FaultPlan, FaultyDisk, MemoryDisk};
use crate::master::StateError;
use crate::master::table::StateStore;
use std::sync::Arc;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// Runs the scenario until an error; what was acknowledged, and what was under way.
fn scenario(disk: &Arc<FaultyDisk>) -> (Map, Map) {
    let mut dice = Dice(3);
    let (mut acknowledged, mut next) = (Map::new(), Map::new());
    for round in 0..2 {
        let Ok(store) = open_on(Arc::clone(disk) as Arc<dyn Disk>) else { return (acknowledged, next) };
        for number in 0..4 {
            let changes = changes(&mut dice, 150);
            next = acknowledged.clone();
            apply(&mut next, &changes);
            match commit(&store, &changes) {
                Ok(()) => acknowledged.clone_from(&next),
                Err(StateError::Full { .. }) => {
                    let now = content(&*store.view().unwrap());
                    assert!(now.is_err() || now.unwrap() == acknowledged, "full changed nothing");
                    // It may be tried again.
                    if commit(&store, &changes).is_ok() {
                        acknowledged.clone_from(&next);
                    }
                }
                Err(_) => {
                    assert!(commit(&store, &changes).is_err(), "it refuses");
                    assert!(store.view().is_err());
                    return (acknowledged, next);
                }
            }
            // A read that fails refuses as well.
            if number == 2 && round == 0 && store.view().and_then(|view| content(&*view)).is_err() {
                return (acknowledged, next);
            }
        }
    }
    (acknowledged, next)
}

fn one_case(case: &str, inner: &MemoryDisk, fault: Option<Fault>) {
    let faults = fault.into_iter().collect();
    let disk = Arc::new(FaultyDisk::new(Arc::new(inner.clone()), FaultPlan { faults, ..FaultPlan::default() }));
    let (acknowledged, next) = scenario(&disk);
    for left in [inner.crash_clean(), inner.crash(7), inner.crash(8), inner.kill()] {
        let store = open(&left).unwrap_or_else(|error| panic!("{case}: {error}"));
        let found = content(&*store.view().unwrap()).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(found == acknowledged || found == next, "{case}: a commit is lost or half there");
        // And it goes on from there.
        let more = changes(&mut Dice(9), 50);
        commit(&store, &more).unwrap_or_else(|error| panic!("{case}: {error}"));
        let mut want = found;
        apply(&mut want, &more);
        drop(store);
        let store = open(&left.crash_clean()).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(content(&*store.view().unwrap()).unwrap() == want, "{case}: what came after is lost");
    }
}

#[test]
fn no_failing_call_loses_a_commit() {
    let all = std::env::var("LARDER_SWEEP").is_ok();
    let inner = MemoryDisk::new();
    let healthy = Arc::new(FaultyDisk::new(Arc::new(inner), FaultPlan::default()));
    scenario(&healthy);
    let mut cases = 0;
    for call in Call::ALL {
        let count = healthy.faults().count(call);
        let step = if all { 1 } else { (count / 6).max(1) };
        for (number, nth) in (1..=count).step_by(usize::try_from(step).unwrap()).enumerate() {
            let kinds = [(EIO, false), (ENOSPC, false), (EIO, true), (ENOSPC, true)];
            let kinds = if all { &kinds[..] } else { &kinds[number % 4..=number % 4] };
            for &(errno, for_good) in kinds {
                let fault = Fault::error(call, errno).at(nth);
                let fault = if for_good { fault.for_good() } else { fault };
                one_case(&format!("{call:?} {errno} {for_good} {nth}"), &MemoryDisk::new(), Some(fault));
                cases += 1;
            }
        }
    }
    for nth in 0..healthy.faults().count(Call::SyncData) {
        for errno in [EIO, ENOSPC] {
            let inner = MemoryDisk::new();
            inner.fail_syncs_from(nth, 1, errno);
            one_case(&format!("sync and forget {errno} {nth}"), &inner, None);
            cases += 1;
        }
    }
    println!("{cases} cases");
}
