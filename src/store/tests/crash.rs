//! Goal: after a power cut at any call, with any part of the unsynced sectors on the disk, every object acknowledged as
//! synced is there byte for byte, none deleted so is back, and recovery is repeatable. Method: seeded runs on a disk
//! that fails at the Nth call of some kind and loses power then; half of the recoveries are cut down too.

use super::world::*;
use crate::base::clock::{Clock, ManualClock};
use crate::base::ids::ObjectId;
use crate::disk::{Call, Disk, Fault, FaultPlan, FaultyDisk, MemoryDisk, Open};
use crate::store::{AppendError, Appended, Entry, Head, Opened, StoreError, open, verify};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// How sure we are of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sure {
    No,
    /// Asked for, or acknowledged without a sync: may be or not.
    Perhaps,
    /// Acknowledged after its sync.
    Yes,
}

#[derive(Debug, Clone)]
struct Known {
    content: Vec<u8>,
    stored: Sure,
    deleted: Sure,
}

type Model = HashMap<ObjectId, Known>;

/// Head checksums by volume, epoch and sequence: none of these may ever name two needles.
type Heads = HashMap<(u32, u32, u64), u64>;

/// Notes all needles that can be seen now, of all kinds; reads behind the faults.
fn note_heads(disk: &MemoryDisk, opened: &Opened, heads: &mut Heads) {
    let view = opened.catalog.view();
    for segment in view.volumes().flat_map(|volume| view.segments(volume)) {
        let Ok(file) = disk.open(segment.name(), Open::Read) else { continue };
        let mut bytes = vec![0; usize::try_from(segment.end()).unwrap()];
        let read = file.read_at(&mut bytes, 0).unwrap();
        for at in (0..read).step_by(8) {
            if let Ok(head) = Head::parse_any(&bytes[at..read], segment.salt()) {
                let before = *heads.entry((head.volume.0, head.epoch.0, head.sequence.0)).or_insert(head.checksum);
                assert_eq!(before, head.checksum, "(epoch, sequence) came twice: {head:?}");
            }
        }
    }
}

/// Every fact that was perhaps is sure after a sync.
fn all_synced(model: &mut Model) {
    for known in model.values_mut() {
        for fact in [&mut known.stored, &mut known.deleted] {
            if *fact == Sure::Perhaps {
                *fact = Sure::Yes;
            }
        }
    }
}

fn fault(dice: &mut Dice) -> Fault {
    const CALLS: [Call; 9] = [
        Call::Write,
        Call::SyncData,
        Call::SyncAll,
        Call::SyncDirectory,
        Call::Allocate,
        Call::SetLen,
        Call::Open,
        Call::Rename,
        Call::Write,
    ];
    let call = CALLS[dice.below(9) as usize];
    let nth = 1 + dice.below(40);
    match dice.below(5) {
        0 => Fault::torn_write(dice.below(9000) as usize, EIO).at(nth),
        1 => Fault::torn_write(dice.below(9000) as usize, ENOSPC).at(nth).times(1 + dice.below(3)),
        2 => Fault::error(Call::Allocate, ENOSPC).at(nth).times(1 + dice.below(3)),
        _ => Fault::error(call, EIO).at(nth).for_good(),
    }
}

fn open_faulty(disk: &MemoryDisk, faults: Vec<Fault>, clock: &Arc<ManualClock>) -> Result<Opened, StoreError> {
    let plan = FaultPlan { faults, ..FaultPlan::default() };
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), plan);
    open(Arc::new(faulty), Some(IDENTITY), &small(), Arc::clone(clock) as Arc<dyn Clock>)
}

/// One run until its end or the first failure.
fn work(opened: &mut Opened, dice: &mut Dice, model: &mut Model, clock: &ManualClock) {
    for _ in 0..4 + dice.below(30) {
        clock.advance(Duration::from_millis(dice.below(400)));
        let ended = match dice.below(10) {
            0 => opened.appender.idle().map(|()| all_synced(model)),
            1 => opened.appender.sync().map(|()| all_synced(model)),
            2 => opened.appender.look_for_room().map(drop),
            _ => group(opened, dice, model),
        };
        match ended {
            Ok(()) | Err(AppendError::Full { .. }) => {}
            Err(_) => return,
        }
    }
}

fn group(opened: &mut Opened, dice: &mut Dice, model: &mut Model) -> Result<(), AppendError> {
    let numbers = numbers(opened);
    let mut entries = Vec::new();
    let mut ids: Vec<ObjectId> = model.keys().copied().collect();
    // A map has its own order in each process; the seed alone must decide.
    ids.sort_by_key(|id| (id.volume, id.sequence, id.cookie.0));
    for _ in 0..=dice.below(5) {
        let victim = ids.get(dice.below(ids.len() as u64 + 1) as usize);
        match victim {
            Some(id) if dice.once_in(4) => entries.push(Entry::Delete { id: *id }),
            _ => {
                let cookie = dice.below(u64::MAX);
                let bytes = [0, 60, 600, 7000][dice.below(4) as usize];
                entries.push(put(&content(cookie, bytes), cookie));
            }
        }
    }
    let sync = !dice.once_in(3);
    let before = model.clone();
    // Until it is answered, any of it may happen.
    for entry in &entries {
        if let Entry::Delete { id } = entry
            && let Some(known) = model.get_mut(id)
            && known.deleted == Sure::No
        {
            known.deleted = Sure::Perhaps;
        }
    }
    let outcomes = match opened.appender.append(&entries, 5, sync, &numbers) {
        Ok(outcomes) => outcomes,
        Err(error) => {
            if matches!(error, AppendError::Full { .. }) {
                // Nothing of a group that did not fit can be read.
                *model = before;
            }
            return Err(error);
        }
    };
    let sure = if sync { Sure::Yes } else { Sure::Perhaps };
    for (entry, outcome) in entries.iter().zip(outcomes) {
        match (entry, outcome) {
            (Entry::Put { payload, .. }, Appended::Stored(id)) => {
                if opened.superblock.raise(id.volume).is_err() {
                    continue;
                }
                let content = payload.bytes.to_vec();
                let before = model.insert(id, Known { content, stored: sure, deleted: Sure::No });
                assert!(before.is_none(), "{id} was given out twice");
            }
            (Entry::Delete { id }, Appended::Deleted { .. }) => {
                let known = model.get_mut(id).unwrap();
                known.deleted = if known.deleted == Sure::Yes { Sure::Yes } else { sure };
            }
            // What was lost in an earlier crash is not found.
            (Entry::Delete { id }, Appended::NotFound) => assert_ne!(model[id].stored, Sure::Yes, "{id}"),
            other => panic!("{other:?}"),
        }
    }
    if sync {
        all_synced(model);
    }
    Ok(())
}

/// What can be read agrees with what is sure; what was perhaps is settled now.
fn settle(opened: &Opened, model: &mut Model) {
    let view = opened.catalog.view();
    model.retain(|id, known| {
        match read(&view, *id).unwrap_or_else(|error| panic!("{id}: {error}")) {
            Some(content) => {
                assert_eq!(content, known.content, "{id} has other bytes");
                assert_ne!(known.deleted, Sure::Yes, "{id} was deleted and is back");
                known.stored = Sure::Yes;
                known.deleted = Sure::No;
                true
            }
            None => {
                let lost = known.deleted == Sure::No && known.stored == Sure::Yes;
                assert!(!lost, "{id} was acknowledged and is gone");
                // It is gone for good if it was deleted; an unsynced one's place may be used again under another cookie.
                known.deleted = Sure::Yes;
                known.stored == Sure::Yes
            }
        }
    });
}

fn clean_report(opened: &Opened) {
    let report = &opened.report;
    assert!(report.damages.is_empty(), "a power cut is no damage: {:?}", report.damages);
    assert!(report.missing_segments.is_empty(), "{:?}", report.missing_segments);
    assert_eq!((report.chain_breaks, report.headers_damaged, report.manifest_damaged), (0, 0, 0));
}

fn one_seed(seed: u64) {
    let mut dice = Dice(seed);
    let clock = Arc::new(ManualClock::default());
    let mut disk = MemoryDisk::new();
    let mut model = Model::new();
    let mut heads = Heads::new();
    for _round in 0..5 {
        let faults = if dice.once_in(4) { Vec::new() } else { vec![fault(&mut dice)] };
        if let Ok(mut opened) = open_faulty(&disk, faults, &clock) {
            clean_report(&opened);
            if dice.once_in(8) {
                disk.fail_syncs(1);
            }
            work(&mut opened, &mut dice, &mut model, &clock);
            note_heads(&disk, &opened, &mut heads);
            if dice.once_in(3) && opened.appender.close().is_ok() {
                all_synced(&mut model);
            }
        }
        disk.fail_syncs(0);
        disk = match dice.below(6) {
            0 => disk.crash_clean(),
            // Only the process dies: what it wrote is still to be seen, and still not durable.
            1 => disk.kill(),
            _ => disk.crash(dice.below(u64::MAX)),
        };
        if dice.once_in(2) {
            // Power goes again while it recovers.
            let _ = open_faulty(&disk, vec![fault(&mut dice)], &clock);
            disk = disk.crash(dice.below(u64::MAX));
        }
        recover_twice(&disk, &mut model, &mut heads);
    }
}

fn recover_twice(disk: &MemoryDisk, model: &mut Model, heads: &mut Heads) {
    let once = store(disk);
    clean_report(&once);
    settle(&once, model);
    note_heads(disk, &once, heads);
    let stats = once.catalog.stats();
    drop(once);
    let before = files(disk);
    let twice = store(disk);
    clean_report(&twice);
    assert!(twice.report.cuts.is_empty(), "{:?}", twice.report.cuts);
    assert_eq!(twice.catalog.stats(), stats);
    settle(&twice, model);
    drop(twice);
    assert!(before == files(disk), "a second recovery changed a file");
    let verification = verify(disk, &mut |_, _| ()).unwrap();
    assert!(verification.damages.is_empty() && verification.torn.is_empty(), "{verification:?}");
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_deleted_is_back() {
    for seed in 0..300 {
        println!("seed {seed}");
        one_seed(seed);
    }
}
