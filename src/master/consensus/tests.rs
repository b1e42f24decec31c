//! Goal: what is handed out is durable, in order and complete, across restarts, cuts, full disks and failures. Method: the
//! driver on a disk in memory, and crash states by seed.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use super::*;
use crate::disk::{Call, Fault, FaultPlan, FaultyDisk, MemoryDisk};

const OWNER: u128 = 5;
const ENOSPC: i32 = 28;
const EIO: i32 = 5;

fn options() -> LogOptions {
    LogOptions { segment_bytes: 16 << 10, fill_ahead_bytes: 4096, restored: false }
}

fn at(index: u64, term: u64) -> Applied {
    Applied { index, term }
}

fn open_on(disk: Arc<dyn Disk>, applied: Applied) -> Consensus {
    Consensus::open(disk, OWNER, applied, &options()).unwrap().0
}

fn open(disk: &MemoryDisk, applied: Applied) -> Consensus {
    open_on(Arc::new(disk.clone()), applied)
}

/// Steps until nothing is ready.
fn drain(consensus: &mut Consensus) -> Vec<Committed> {
    let mut all = Vec::new();
    while consensus.has_ready() {
        all.extend(consensus.step().unwrap());
    }
    all
}

fn data(committed: &[Committed]) -> Vec<&[u8]> {
    committed.iter().map(|entry| &entry.data[..]).collect()
}

#[test]
fn one_voter_leads_at_once_and_serves_after_its_first_entry() {
    let disk = MemoryDisk::new();
    let mut consensus = open(&disk, at(0, 0));
    assert_eq!(consensus.status().role, Role::Elected);
    assert!(!consensus.is_leader());
    assert_eq!(consensus.propose(vec![1]), Err(NotProposed::NotLeader));
    let first = drain(&mut consensus);
    assert_eq!(first, [Committed { index: 1, term: 1, data: Bytes::new() }]);
    assert!(consensus.is_leader());
    let status = consensus.status();
    assert_eq!((status.role, status.term, status.commit, status.last), (Role::Leader, 1, 1, 1));
    assert_eq!((status.records, status.syncs), (1, 1));
    // A leader without others stays one.
    for _ in 0..100 {
        consensus.tick();
        assert_eq!(drain(&mut consensus), []);
    }
    assert!(consensus.is_leader());
    assert_eq!(consensus.status().records, 1);
}

#[test]
fn many_proposals_are_one_record_and_one_sync() {
    let disk = MemoryDisk::new();
    let mut consensus = open(&disk, at(0, 0));
    drain(&mut consensus);
    for n in 0..50 {
        consensus.propose(vec![n; 20]).unwrap();
    }
    let committed = consensus.step().unwrap();
    assert_eq!(committed.len(), 50);
    assert!(
        committed.iter().enumerate().all(|(n, entry)| entry.data == vec![n as u8; 20] && entry.index == n as u64 + 2)
    );
    assert!(!consensus.has_ready());
    let status = consensus.status();
    assert_eq!((status.records, status.syncs, status.handed_out), (2, 2, 51));
}

#[test]
fn entries_behind_the_state_come_again_after_a_restart() {
    for clean in [true, false] {
        let disk = MemoryDisk::new();
        let mut consensus = open(&disk, at(0, 0));
        drain(&mut consensus);
        for n in 1..=5 {
            consensus.propose(vec![n]).unwrap();
            drain(&mut consensus);
        }
        if clean {
            consensus.close().unwrap()
        } else {
            drop(consensus)
        }
        // The state has the leader's entry and the first two; the rest comes again, and a new term begins.
        let mut consensus = open(&disk.crash_clean(), at(3, 1));
        let again = drain(&mut consensus);
        assert_eq!(data(&again), [&[3][..], &[4], &[5], &[]]);
        assert_eq!(again.last().map(|entry| (entry.index, entry.term)), Some((7, 2)));
        assert!(consensus.is_leader());
    }
}

#[test]
fn a_cut_at_any_boundary_survives_a_restart() {
    for cut in 1..=9u64 {
        let disk = MemoryDisk::new();
        let mut consensus = open(&disk, at(0, 0));
        drain(&mut consensus);
        for n in 1..=8u8 {
            consensus.propose(vec![n; 3000]).unwrap();
            drain(&mut consensus);
        }
        consensus.cut(at(cut, 1)).unwrap();
        assert_eq!((consensus.status().cut, consensus.status().last), (cut, 9));
        consensus.propose(vec![9]).unwrap();
        assert_eq!(drain(&mut consensus).len(), 1);
        drop(consensus);
        for applied in [cut, cut.max(5), 10] {
            let mut consensus = open(&disk.crash(cut), at(applied, 1));
            let status = consensus.status();
            assert_eq!((status.cut, status.last), (applied, 11), "with the entry of the new term");
            let again = drain(&mut consensus);
            assert_eq!(again.len() as u64, 11 - applied);
            assert_eq!(again.first().map(|entry| entry.index), Some(applied + 1));
            let last = consensus.handed_out;
            consensus.cut(last).unwrap();
            consensus.propose(vec![1]).unwrap();
            assert_eq!(drain(&mut consensus).len(), 1);
        }
    }
}

#[test]
fn a_full_disk_keeps_what_was_proposed_pending() {
    let memory = MemoryDisk::new();
    let disk = FaultyDisk::new(Arc::new(memory.clone()), FaultPlan::default());
    let faults = disk.faults();
    let mut consensus = open_on(Arc::new(disk), at(0, 0));
    drain(&mut consensus);
    consensus.propose(vec![1]).unwrap();
    consensus.propose(vec![2]).unwrap();
    faults.add(Fault::error(Call::Write, ENOSPC).for_good());
    for _ in 0..3 {
        assert!(matches!(consensus.step(), Err(StateError::Full { .. })));
        assert!(consensus.has_ready() && consensus.status().is_full);
        assert_eq!(consensus.propose(vec![3]), Err(NotProposed::Full));
        for _ in 0..50 {
            consensus.tick();
        }
        // Nothing of it is on the disk.
        let mut after = open(&memory.crash(7), at(1, 1));
        assert_eq!(data(&drain(&mut after)), [b""]);
    }
    faults.heal();
    assert_eq!(data(&consensus.step().unwrap()), [&[1][..], &[2]]);
    assert!(consensus.is_leader() && !consensus.status().is_full);
    consensus.propose(vec![3]).unwrap();
    assert_eq!(data(&drain(&mut consensus)), [&[3][..]]);
    drop(consensus);
    let mut after = open(&memory.crash_clean(), at(1, 1));
    assert_eq!(data(&drain(&mut after)), [&[1][..], &[2], &[3], &[]]);
}

#[test]
fn a_start_on_a_full_disk_finds_the_room_that_is_spared() {
    let disk = MemoryDisk::with_capacity(64 << 10);
    let mut consensus = open(&disk, at(0, 0));
    drain(&mut consensus);
    let mut proposed = 0u8;
    loop {
        proposed += 1;
        consensus.propose(vec![proposed; 900]).unwrap();
        match consensus.step() {
            Ok(committed) => assert_eq!(committed.len(), 1),
            Err(StateError::Full { .. }) => break,
            Err(error) => panic!("{error}"),
        }
    }
    drop(consensus);
    for start in 0..3 {
        let mut consensus = open(&disk.kill(), at(1, 1));
        let again = drain(&mut consensus);
        assert!(consensus.is_leader(), "start {start}");
        assert_eq!(data(&again).len(), usize::from(proposed - 1) + 1);
    }
}

#[test]
fn too_much_at_once_is_refused() {
    let disk = MemoryDisk::new();
    let mut consensus = open(&disk, at(0, 0));
    drain(&mut consensus);
    consensus.propose(vec![1; 40 << 20]).unwrap();
    assert_eq!(consensus.propose(vec![2; 40 << 20]), Err(NotProposed::TooMuch));
    assert_eq!(drain(&mut consensus).len(), 1);
    consensus.propose(vec![2]).unwrap();
    assert_eq!(drain(&mut consensus).len(), 1);
}

#[test]
fn a_failed_sync_ends_it_and_acknowledges_nothing() {
    let memory = MemoryDisk::new();
    let mut consensus = open(&memory, at(0, 0));
    drain(&mut consensus);
    memory.fail_syncs(1);
    consensus.propose(vec![1]).unwrap();
    assert!(matches!(consensus.step(), Err(StateError::Io { .. })));
    let disk = memory.kill();
    let mut after = open(&disk, at(1, 1));
    let handed = drain(&mut after);
    // It may be there or not, but what is handed out now is on the disk.
    let mut again = open(&disk.crash_clean(), at(1, 1));
    assert_eq!(data(&drain(&mut again))[..handed.len() - 1], data(&handed)[..handed.len() - 1]);
}

#[test]
fn a_change_of_voters_in_the_log_is_refused() {
    let disk = MemoryDisk::new();
    let (mut log, _) = Log::open(Arc::new(disk.clone()), OWNER, at(0, 0), &options()).unwrap();
    let entry = crate::master::log::LogEntry { index: 1, term: 1, kind: EntryKind::ConfChange, data: Bytes::new() };
    log.append(&Record { hard: HardState { term: 1, vote: 1, commit: 0 }, entries: vec![entry] }).unwrap();
    drop(log);
    let error = Consensus::open(Arc::new(disk), OWNER, at(0, 0), &options()).unwrap_err();
    assert!(error.to_string().contains("who votes"), "{error}");
}

/// Chance, from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn what_was_handed_out_comes_again_after_any_crash() {
    for seed in 0..60 {
        println!("seed {seed}");
        let mut dice = Dice(seed);
        let mut disk = MemoryDisk::new();
        // All that was ever handed out, by index; and how far the durable state is.
        let mut history: Vec<Committed> = Vec::new();
        let mut applied = at(0, 0);
        let mut term = 0;
        for _ in 0..4 {
            let faulty = FaultyDisk::new(Arc::new(disk.clone()), FaultPlan::default());
            let (call, errno) =
                [(Call::Write, EIO), (Call::SyncData, EIO), (Call::Write, ENOSPC), (Call::Allocate, ENOSPC)]
                    [dice.below(4) as usize];
            faulty.faults().add(Fault::error(call, errno).at(4 + dice.below(30)).times(1 + dice.below(3)));
            if let Ok((mut consensus, _)) = Consensus::open(Arc::new(faulty), OWNER, applied, &options()) {
                assert!(consensus.status().term > term, "a term came twice");
                term = consensus.status().term;
                let mut take = |committed: Vec<Committed>| {
                    for entry in committed {
                        let place = entry.index as usize - 1;
                        match history.get(place) {
                            Some(known) => assert_eq!(*known, entry),
                            None => {
                                assert_eq!(history.len(), place);
                                history.push(entry);
                            }
                        }
                    }
                };
                for _ in 0..30 {
                    for _ in 0..dice.below(4) {
                        let _ = consensus.propose(vec![dice.below(256) as u8; 1 + dice.below(1500) as usize]);
                    }
                    match consensus.step() {
                        Ok(committed) => take(committed),
                        Err(StateError::Full { .. }) => {}
                        Err(_) => break,
                    }
                    consensus.tick();
                    if dice.below(5) == 0 && consensus.handed_out.index > applied.index {
                        applied = consensus.handed_out;
                        if consensus.cut(applied).is_err() {
                            break;
                        }
                    }
                    if dice.below(9) == 0 && consensus.rest().is_err() {
                        break;
                    }
                }
            }
            disk = if dice.below(3) == 0 { disk.kill() } else { disk.crash(dice.below(1 << 30)) };
            let mut after = open(&disk.crash_clean(), applied);
            let again = drain(&mut after);
            let known = &history[applied.index as usize..];
            assert!(again.len() >= known.len(), "{} of {} came again", again.len(), known.len());
            assert_eq!(again[..known.len()], *known);
        }
    }
}
