//! Goal: after a power cut at any call, with any part of the unsynced sectors on the disk, the store opens, all of each
//! commit that returned is there, and of the one under way all or nothing. Method: seeded runs on a disk that fails at
//! the Nth call of some kind and loses power then; the store is opened from what is left, and the run goes on from there.
//! For many more: `LARDER_SEEDS=2000 cargo test --release --lib master::store::tests::crash`

use super::world::*;
use crate::disk::{Call, Fault, FaultPlan, FaultyDisk, MemoryDisk};
use crate::master::table::StateStore;
use std::sync::Arc;

const EIO: i32 = 5;
const SEEDS: u64 = 20;
const CALLS: [Call; 6] = [Call::Write, Call::SyncData, Call::SetLen, Call::SyncDirectory, Call::Rename, Call::Write];

/// What a start from this disk shows must be one of these.
fn found(disk: &MemoryDisk, before: &Map, after: &Map, seed: u64) -> Map {
    let store = open(disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let found = content(&*store.view().unwrap()).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    assert!(found == *before || found == *after, "seed {seed}: neither before nor after the commit");
    found
}

fn one_run(seed: u64) -> u64 {
    let mut dice = Dice(seed);
    let (mut disk, mut map, mut states) = (MemoryDisk::new(), Map::new(), 0);
    for _ in 0..6 {
        let nth = 1 + dice.below(60);
        let call = CALLS[dice.below(6) as usize];
        let fault = match dice.below(3) {
            0 => Fault::torn_write(dice.below(9000) as usize, EIO).at(nth),
            _ => Fault::error(call, EIO).at(nth).for_good(),
        };
        let plan = FaultPlan { faults: vec![fault], ..FaultPlan::default() };
        let faulty = FaultyDisk::new(Arc::new(disk.clone()), plan);
        let mut next = map.clone();
        if let Ok(store) = open_on(Arc::new(faulty)) {
            for _ in 0..8 {
                let changes = changes(&mut dice, 120);
                next = map.clone();
                apply(&mut next, &changes);
                if commit(&store, &changes).is_err() {
                    assert!(commit(&store, &changes).is_err() && store.view().is_err(), "seed {seed}: it goes on");
                    break;
                }
                map.clone_from(&next);
                for cut in [disk.crash_clean(), disk.crash(dice.below(1 << 40))] {
                    found(&cut, &map, &map, seed);
                    states += 1;
                }
            }
        }
        for _ in 0..3 {
            found(&disk.crash(dice.below(1 << 40)), &map, &next, seed);
            states += 1;
        }
        disk = if dice.below(3) == 0 { disk.crash_clean() } else { disk.crash(dice.below(1 << 40)) };
        map = found(&disk, &map, &next, seed);
        states += 1;
    }
    states
}

#[test]
fn a_power_cut_leaves_whole_commits() {
    let seeds = std::env::var("LARDER_SEEDS").map_or(SEEDS, |seeds| seeds.parse().unwrap());
    let states: u64 = (0..seeds).map(one_run).sum();
    println!("{states} states after {seeds} seeds");
    assert!(states > 20 * seeds);
}
