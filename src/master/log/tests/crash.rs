//! Goal: after a power cut at any call, with any part of the unsynced sectors on the disk, every acknowledged record is
//! there, the hard state has not gone back, what was cut stays cut, and recovery is repeatable. Method: seeded runs on a
//! disk that fails at the Nth call of some kind and loses power then; half of the recoveries are cut down too. One state is
//! one image of a disk after a crash that was recovered. For more: `LARDER_SEEDS=5000 cargo test --release --lib
//! log::tests::crash -- --nocapture`.

use super::world::*;
use crate::disk::{Call, Fault, FaultPlan, FaultyDisk, MemoryDisk};
use crate::master::StateError;
use crate::master::log::{Log, LogReport, Record};
use std::ops::Range;
use std::sync::Arc;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
/// Seeds of a plain run.
const SEEDS: u64 = 150;

fn fault(dice: &mut Dice) -> Fault {
    const CALLS: [Call; 10] = [
        Call::Write,
        Call::SyncData,
        Call::SyncAll,
        Call::SyncDirectory,
        Call::Allocate,
        Call::SetLen,
        Call::Open,
        Call::Remove,
        Call::SyncData,
        Call::Write,
    ];
    let call = CALLS[dice.below(10) as usize];
    let nth = 1 + dice.below(30);
    match dice.below(5) {
        0 => Fault::torn_write(dice.below(9000) as usize, EIO).at(nth),
        1 => Fault::torn_write(dice.below(9000) as usize, ENOSPC).at(nth).times(1 + dice.below(3)),
        2 => Fault::error(Call::Allocate, ENOSPC).at(1 + dice.below(4)).times(1 + dice.below(3)),
        _ => Fault::error(call, EIO).at(nth).for_good(),
    }
}

fn open_faulty(disk: &MemoryDisk, faults: Vec<Fault>, model: &Model) -> Result<(Log, LogReport), StateError> {
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), FaultPlan { faults, ..FaultPlan::default() });
    Log::open(Arc::new(faulty), OWNER, model.applied, &small())
}

/// What may be there: all that was acknowledged, and perhaps the record that was not.
#[derive(Clone)]
struct Facts {
    sure: Model,
    maybe: Option<Record>,
}

impl Facts {
    /// Holds what a start gives against what is known; from then on that is what is known.
    fn settle(&mut self, log: &Log, report: &LogReport) {
        assert!(report.damages.is_empty() && !report.state_is_ahead && report.headers_damaged == 0, "{report:?}");
        if let Some(maybe) = self.maybe.take() {
            let mut with = self.sure.clone();
            with.take(&maybe);
            if (all(log), log.hard()) == (with.kept(), with.hard_at_start()) {
                self.sure = with;
            }
        }
        self.sure.assert_is(log);
        self.sure.hard = log.hard();
    }
}

/// One run until its end or the first failure.
fn work(mut log: Log, dice: &mut Dice, facts: &mut Facts) {
    for _ in 0..5 + dice.below(40) {
        let ended = match dice.below(14) {
            0 => log.rest(),
            1 => log.note_mark(),
            2 | 3 => {
                // The state is written by another: what it has durably stays, whatever becomes of the cut.
                let model = &mut facts.sure;
                let committed = model.hard.commit.max(model.applied.index);
                let index = model.applied.index + dice.below(committed - model.applied.index + 1);
                model.applied = at(index, model.term(index));
                model.hard.commit = committed;
                log.cut(model.applied)
            }
            _ => {
                let record = dice.record(&facts.sure);
                let appended = log.append(&record);
                match &appended {
                    Ok(()) => facts.sure.take(&record),
                    // Nothing of it is there, not even after a power cut.
                    Err(StateError::Full { .. }) => {}
                    Err(_) => facts.maybe = Some(record),
                }
                appended
            }
        };
        match ended {
            Ok(()) | Err(StateError::Full { .. }) => {}
            Err(_) => {
                assert!(log.has_failed() && log.rest().is_err() && log.note_mark().is_err());
                return;
            }
        }
    }
    if dice.once_in(3) {
        // An error of the stop is an unclean stop.
        let _ = log.close();
    }
}

#[derive(Debug, Default)]
struct Tally {
    states: u64,
    torn: u64,
    removed: u64,
    cached: u64,
    full: u64,
}

fn recover_twice(disk: &MemoryDisk, facts: &mut Facts, tally: &mut Tally) {
    tally.states += 1;
    let (log, report) = open(disk, facts.sure.applied);
    tally.torn += u64::from(report.torn.is_some());
    tally.removed += u64::from(!report.removed.is_empty());
    facts.settle(&log, &report);
    drop(log);
    let before = segments(disk);
    let (log, report) = open(disk, facts.sure.applied);
    assert!(report.torn.is_none() && report.removed.is_empty(), "{report:?}");
    facts.settle(&log, &report);
    drop(log);
    assert!(before == segments(disk), "a second recovery changed a segment");
}

fn segments(disk: &MemoryDisk) -> Vec<(String, Vec<u8>)> {
    let names = names(disk).into_iter().filter(|name| name != "log-mark");
    names.map(|name| (name.clone(), content(disk, &name))).collect()
}

fn one_seed(seed: u64, tally: &mut Tally) {
    let mut dice = Dice(seed);
    let mut disk = MemoryDisk::new();
    let mut facts = Facts { sure: Model::default(), maybe: None };
    for _round in 0..4 {
        let faults = if dice.once_in(4) { Vec::new() } else { vec![fault(&mut dice)] };
        let mut failed_sync = false;
        if let Ok((log, report)) = open_faulty(&disk, faults, &facts.sure) {
            facts.settle(&log, &report);
            if dice.once_in(5) {
                disk.fail_syncs_from(1 + dice.below(20), 1, if dice.once_in(4) { ENOSPC } else { EIO });
                failed_sync = true;
            }
            work(log, &mut dice, &mut facts);
        }
        disk.fail_syncs(0);
        for _ in 0..2 {
            recover_twice(&disk.crash(dice.below(u64::MAX)), &mut facts.clone(), tally);
        }
        disk = match dice.below(6) {
            0 => disk.crash_clean(),
            // Only the process dies: what it wrote is still to be seen, and still not durable.
            1 | 2 if failed_sync => {
                tally.cached += 1;
                disk.kill()
            }
            1 => disk.kill(),
            _ => disk.crash(dice.below(u64::MAX)),
        };
        if dice.once_in(2) {
            // Power goes again while it recovers.
            match open_faulty(&disk, vec![fault(&mut dice)], &facts.sure) {
                Ok(_) | Err(StateError::Io { .. }) => {}
                Err(StateError::Full { .. }) => tally.full += 1,
                Err(error) => panic!("{error}"),
            }
            disk = disk.crash(dice.below(u64::MAX));
        }
        recover_twice(&disk, &mut facts, tally);
        // Whatever recovery believed is on the disk, not in the page cache alone.
        recover_twice(&disk.crash_clean(), &mut facts.clone(), tally);
    }
}

/// The seeds to go through: `LARDER_SEEDS=2000` for the first 2000, `LARDER_SEEDS=700..710` for some.
fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("LARDER_SEEDS") else { return 0..SEEDS };
    let number =
        |text: &str| text.trim().parse().unwrap_or_else(|_| panic!("LARDER_SEEDS={text} is no number or range"));
    match text.split_once("..") {
        Some((first, past)) => number(first)..number(past),
        None => 0..number(&text),
    }
}

#[test]
fn nothing_acknowledged_is_lost() {
    let mut tally = Tally::default();
    for seed in seeds() {
        println!("seed {seed}");
        one_seed(seed, &mut tally);
    }
    println!("seeds {:?}: {tally:?}", seeds());
    if seeds() == (0..SEEDS) {
        assert!(tally.states >= 2400 && tally.torn >= 30 && tally.removed >= 30 && tally.cached >= 20, "{tally:?}");
    }
}
