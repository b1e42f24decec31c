//! Goal: after a power cut or a kill at any moment, and after an error at any call, the state is that after some prefix of
//! the commands that were submitted, with every acknowledged one in it: none lost, none half applied. Method: a master with
//! its threads on a disk in memory is fed with random changes; images of the disk are taken meanwhile, opened, and compared
//! by the rolling digest with a reference that applied the same commands one after another. One state is one image that was
//! opened. A plain run takes some 80; for more: `LARDER_SEEDS=300 cargo test --release --lib engine::tests::crash --
//! --nocapture`.

use super::world::*;
use crate::base::ids::Origin;
use crate::disk::{Call, Disk, Fault, FaultPlan, FaultyDisk, MemoryDisk};
use crate::master::StateError;
use crate::master::command::{Checked, Command};
use crate::master::engine::{Master, MasterEnd};
use crate::request::{Condition, Status};
use crossbeam_channel::Receiver;
use std::sync::Arc;
use std::time::Duration;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
/// Seeds of a plain run.
const SEEDS: u64 = 6;

fn seeds() -> u64 {
    std::env::var("LARDER_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS)
}

/// Random changes on few names, so that they meet. None removes a tree: the master would drain it by commands of its own.
fn change(dice: &mut Dice, number: u64) -> Command {
    let name = |dice: &mut Dice| match dice.below(3) {
        0 => format!("/a{}", dice.below(6)),
        1 => format!("/a{}/b{}", dice.below(6), dice.below(6)),
        _ => format!("/a{}/b{}/c{}", dice.below(6), dice.below(6), dice.below(20)),
    };
    let id = Origin { session: first_session(), number };
    let change = match dice.below(10) {
        0..4 => return commit(first_session(), number, &name(dice)),
        4 => Checked::MakeDirectory { path: path(&name(dice)), parents: dice.below(2) == 0 },
        5 | 6 => Checked::Rename {
            from: path(&name(dice)),
            to: path(&name(dice)),
            replace: dice.below(2) == 0,
            condition: Condition::Any,
        },
        // Repeats a number: the answer of before comes again, and nothing happens.
        7 if number > 1 => return commit(first_session(), number - 1, &name(dice)),
        _ => Checked::Remove { path: path(&name(dice)), tree: false, condition: Condition::Any },
    };
    Command::Change { id, change }
}

/// A master under test with everything that was asked of it.
struct Run {
    master: Master,
    reference: Reference,
    pending: std::collections::VecDeque<Receiver<MasterEnd>>,
    /// Commands whose answers came, from the first on without a gap.
    acknowledged: usize,
}

impl Run {
    fn begin(disk: &Arc<dyn Disk>, checkpoint_every: Duration) -> Result<Self, StateError> {
        let master = open(disk, settings(checkpoint_every))?;
        let run = Self { master, reference: Reference::new(), pending: Default::default(), acknowledged: 0 };
        Ok(run)
    }

    fn submit(&mut self, command: Command) {
        self.reference.apply(&command);
        self.pending.push_back(submit(&self.master, command));
    }

    /// Takes the answers that are here, or waits for all; false once one says that its outcome is unknown.
    fn collect(&mut self, wait: bool) -> bool {
        while let Some(first) = self.pending.front() {
            let end = if wait { first.recv_timeout(PATIENCE).ok() } else { first.try_recv().ok() };
            let Some(end) = end else { return true };
            if let Err(refusal) = &end
                && matches!(refusal.status, Status::TimedOut | Status::Unavailable | Status::Full | Status::Internal)
            {
                return false;
            }
            self.pending.pop_front();
            self.acknowledged += 1;
        }
        true
    }
}

/// Opens an image, and checks that its state is one that the commands came through, with all acknowledged ones.
fn check(image: &MemoryDisk, digests: &[u128], acknowledged: usize, context: &str) {
    let disk: Arc<dyn Disk> = Arc::new(image.clone());
    let master = open(&disk, settings(Duration::from_secs(1)))
        .unwrap_or_else(|error| panic!("{context}: it does not open: {error}"));
    let digest = master.digest();
    let prefix = digests.iter().rposition(|known| *known == digest);
    let prefix = prefix.unwrap_or_else(|| panic!("{context}: a state that no prefix of the commands makes"));
    assert!(prefix >= acknowledged, "{context}: {acknowledged} changes were acknowledged, {prefix} are there");
    master.close();
    // Opening once more changes nothing, whether it was closed or killed.
    let again: Arc<dyn Disk> = if acknowledged.is_multiple_of(2) { disk } else { Arc::new(image.kill()) };
    {
        let master = open(&again, settings(Duration::ZERO)).unwrap_or_else(|error| panic!("{context}: again: {error}"));
        assert_eq!(master.digest(), digest, "{context}: another state when it is opened again");
        master.close();
    }
}

#[test]
fn no_acknowledged_change_is_lost_and_none_is_half_made() {
    let mut states = 0;
    for seed in 0..seeds() {
        let mut dice = Dice::new(seed);
        let disk = MemoryDisk::new();
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        // With checkpoints after each group, now and then, and never.
        let every = Duration::from_millis([0, 0, 1 << 30][dice.below(3) as usize]);
        let mut run = Run::begin(&shared, every).unwrap();
        run.submit(Command::OpenSession);
        let mut number = 0;
        for _ in 0..4 {
            for _ in 0..1 + dice.below(60) {
                number += 1;
                let change = change(&mut dice, number);
                run.submit(change);
                if dice.below(4) == 0 {
                    assert!(run.collect(dice.below(2) == 0));
                }
            }
            for _ in 0..3 {
                run.collect(false);
                let acknowledged = run.acknowledged;
                let image = if dice.below(5) == 0 { disk.kill() } else { disk.crash(dice.below(u64::MAX)) };
                check(&image, &run.reference.digests, acknowledged, &format!("seed {seed}"));
                states += 1;
            }
        }
        assert!(run.collect(true));
        let ended = run.reference.digests.windows(2).filter(|pair| pair[0] != pair[1]).count() as u64;
        assert!(ended > number / 2, "the session is the one that the changes name: {ended} of {number} did something");
        run.master.close();
        check(&disk.crash_clean(), &run.reference.digests, run.acknowledged, &format!("seed {seed}, closed"));
        states += 1;
    }
    println!("{states} states");
}

#[test]
fn after_an_error_at_any_call_nothing_acknowledged_is_lost() {
    let calls =
        [Call::Write, Call::SyncData, Call::SyncAll, Call::Allocate, Call::SetLen, Call::Read, Call::SyncDirectory];
    let (mut runs, mut struck) = (0, 0);
    for seed in 0..seeds() * 4 {
        let mut dice = Dice::new(1000 + seed);
        let call = calls[dice.below(calls.len() as u64) as usize];
        let errno = if dice.below(2) == 0 { EIO } else { ENOSPC };
        let fault = Fault::error(call, errno).at(1 + dice.below(30));
        let fault = if dice.below(2) == 0 { fault.for_good() } else { fault };
        let disk = MemoryDisk::new();
        // The directory is made without faults: the question is what runs.
        let plain: Arc<dyn Disk> = Arc::new(disk.clone());
        open(&plain, settings(Duration::ZERO)).unwrap().close();
        let faulty: Arc<dyn Disk> = Arc::new(FaultyDisk::new(
            Arc::new(disk.clone()),
            FaultPlan { faults: vec![fault], ..FaultPlan::default() },
        ));
        runs += 1;
        let Ok(mut run) = Run::begin(&faulty, Duration::ZERO) else {
            struck += 1;
            open(&plain_again(&disk), settings(Duration::ZERO)).expect("an error is no damage").close();
            continue;
        };
        run.submit(Command::OpenSession);
        let mut is_well = run.collect(true);
        for number in 1..40 {
            if !is_well {
                struck += 1;
                break;
            }
            let change = change(&mut dice, number);
            run.submit(change);
            is_well = run.collect(dice.below(2) == 0);
        }
        let acknowledged = run.acknowledged;
        let image = if dice.below(2) == 0 { disk.kill() } else { disk.crash(seed) };
        check(&image, &run.reference.digests, acknowledged, &format!("seed {seed}: {call:?} errno {errno}"));
        run.master.close();
    }
    println!("{runs} runs, {struck} struck");
    assert!(struck > runs / 8, "the faults hit: {struck} of {runs}");
}

fn plain_again(disk: &MemoryDisk) -> Arc<dyn Disk> {
    Arc::new(disk.kill())
}
