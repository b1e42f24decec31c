//! Goal: each store shows what a plain map would, a view stays as it was, and a store that is opened again is the same.
//! Method: random batches and views, on the store in memory and on the one on a disk in memory.

use super::world::*;
use crate::disk::{Call, FaultPlan, FaultyDisk, MemoryDisk};
use crate::master::store::MemoryStore;
use crate::master::table::StateStore;
use proptest::prelude::*;
use std::ops::ControlFlow;
use std::sync::Arc;

fn follows_the_map(store: &impl StateStore, seed: u64, map: &mut Map) {
    let mut dice = Dice(seed);
    let mut views = Vec::new();
    for _ in 0..6 {
        let changes = changes(&mut dice, 60);
        commit(store, &changes).unwrap();
        apply(map, &changes);
        views.push((store.view().unwrap(), map.clone()));
    }
    for (view, map) in &views {
        assert!(content(&**view).unwrap() == *map);
        for _ in 0..20 {
            let key = format!("{:04}-", dice.below(2000)).into_bytes();
            assert_eq!(view.value(&key).unwrap().as_deref(), map.get(&key).map(Vec::as_slice));
            let to = format!("{:04}", dice.below(2000)).into_bytes();
            let mut shown = Vec::new();
            view.scan(&key, &to, &mut |key, _| {
                shown.push(key.to_vec());
                if shown.len() < 5 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })
            .unwrap();
            let want: Vec<Vec<u8>> =
                if key < to { map.range(key..to).map(|(key, _)| key.clone()).take(5).collect() } else { Vec::new() };
            assert_eq!(shown, want);
        }
    }
    assert!(store.bytes() > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_store_follows_a_plain_map(seed in any::<u64>()) {
        follows_the_map(&MemoryStore::new(), seed, &mut Map::new());
        let (disk, mut map) = (MemoryDisk::new(), Map::new());
        for round in 0..3 {
            let store = open(&disk).unwrap();
            prop_assert!(content(&*store.view().unwrap()).unwrap() == map);
            follows_the_map(&store, seed.wrapping_add(round), &mut map);
        }
        // Opened twice without a commit, it is the same again, also for a process that was killed.
        for disk in [disk.clone(), disk.clone(), disk.kill(), disk.crash_clean()] {
            let store = open(&disk).unwrap();
            prop_assert!(content(&*store.view().unwrap()).unwrap() == map);
        }
    }
}

#[test]
fn an_open_after_a_kill_reads_little_of_a_large_file() {
    let disk = MemoryDisk::new();
    let store = open(&disk).unwrap();
    let large = |first: u32| (first..first + 20_000).map(|n| (n.to_be_bytes().to_vec(), Some(vec![7; 100]))).collect();
    commit(&store, &large(0)).unwrap();
    commit(&store, &large(20_000)).unwrap();
    let blocks = store.bytes() / 4096;
    let killed = disk.kill();
    let faulty = FaultyDisk::new(Arc::new(killed), FaultPlan::default());
    let faults = faulty.faults();
    let again = open_on(Arc::new(faulty)).unwrap();
    assert!(blocks > 1000 && faults.count(Call::Read) < 60, "{} reads of {blocks}", faults.count(Call::Read));
    assert!(again.view().unwrap().value(&39_999u32.to_be_bytes()).unwrap().is_some());
}
