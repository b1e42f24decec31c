//! Goal: a scrub of a sound store finds nothing, and what is wrong is found where it is, once, and marked. Method: each
//! kind of damage is done to a running store, between its writes.

use super::compaction::compact_all;
use super::world::*;
use crate::base::ids::{ObjectId, Sequence, VolumeId};
use crate::disk::{Call, Disk, Fault, FaultPlan, FaultyDisk, MemoryDisk, Open};
use crate::store::slots::Slot;
use crate::store::{Appended, Entry, Located, Opened, Scrub, ScrubFinding, ScrubKind, ScrubStep, StoreOptions, names};
use std::sync::Arc;

const START: (VolumeId, Sequence) = (VolumeId(0), Sequence(0));

/// One whole pass: what it found, and the bytes that it read.
pub fn scrub_on(disk: Arc<dyn Disk>, opened: &Opened) -> (Vec<ScrubFinding>, u64) {
    let mut scrub = Scrub::new(disk, Arc::clone(&opened.catalog), opened.identity, START);
    let (mut findings, mut read) = (Vec::new(), 0);
    for _ in 0..100_000 {
        match scrub.step() {
            ScrubStep::Read(bytes) => {
                assert!(bytes <= 3 << 20, "a step is bounded");
                read += bytes;
            }
            ScrubStep::Done => {
                findings.append(&mut scrub.take_findings());
                let progress = scrub.progress();
                assert_eq!(progress.bytes, progress.bytes_total);
                return (findings, read);
            }
        }
    }
    panic!("the pass does not end");
}

pub fn scrub(disk: &MemoryDisk, opened: &Opened) -> Vec<ScrubFinding> {
    scrub_on(Arc::new(disk.clone()), opened).0
}

/// Objects of several sizes in several volumes, some of them deleted.
fn filled(disk: &MemoryDisk) -> (Opened, Vec<ObjectId>) {
    let mut opened = store(disk);
    let mut ids = Vec::new();
    for n in 0..40 {
        let bytes = [0, 1, 700, 4096, 20_000][n as usize % 5];
        ids.push(store_one(&mut opened, &content(n, bytes), n, true));
        if n % 7 == 6 {
            delete(&mut opened, ids[n as usize - 3]).unwrap();
        }
        if n % 9 == 8 {
            opened.appender.idle().unwrap();
        }
    }
    (opened, ids)
}

#[test]
fn a_sound_store_has_no_findings() {
    let disk = MemoryDisk::new();
    let (mut opened, _) = filled(&disk);
    assert_eq!(scrub(&disk, &opened), []);
    let stats = opened.catalog.stats();
    assert!(stats.segments > 3 && stats.volumes > 1, "{stats:?}");
    let (_, read) = scrub_on(Arc::new(disk.clone()), &opened);
    assert!(read >= stats.segment_bytes);
    // What is written and not synced yet is whole as well.
    store_one(&mut opened, &content(1, 9000), 1, false);
    assert_eq!(scrub(&disk, &opened), []);
    opened.appender.close().unwrap();
    drop(opened.superblock);
    for disk in [disk.kill(), disk.crash_clean(), disk.crash(3)] {
        assert_eq!(scrub(&disk, &store(&disk)), []);
    }
}

#[test]
fn a_store_that_lost_its_tail_has_no_findings() {
    for seed in 0..60 {
        let mut disk = MemoryDisk::new();
        let mut dice = Dice(seed);
        for round in 0..4 {
            let mut opened = store(&disk);
            assert_eq!(scrub(&disk, &opened), [], "seed {seed}, round {round}");
            for n in 0..1 + dice.below(12) {
                let bytes = [0, 90, 3000, 9000][dice.below(4) as usize];
                let id = store_one(&mut opened, &content(n, bytes), n, !dice.once_in(3));
                if dice.once_in(4) {
                    delete(&mut opened, id).unwrap();
                }
                if dice.once_in(5) {
                    opened.appender.idle().unwrap();
                }
            }
            // A group of several needles, so that one can be cut in the middle.
            let numbers = numbers(&opened);
            let group: Vec<Entry> = (0..4).map(|n| put(&content(n, 1500), n)).collect();
            opened.appender.append(&group, 1, false, &numbers).unwrap();
            assert_eq!(scrub(&disk, &opened), [], "seed {seed}, round {round}");
            disk = disk.crash(dice.below(u64::MAX));
        }
    }
}

#[test]
fn a_needle_that_does_not_verify_is_found_marked_and_known_from_then_on() {
    let disk = MemoryDisk::new();
    let (mut opened, ids) = filled(&disk);
    let victim = ids[9];
    let (file, position) = place(&opened, victim);
    flip(&disk, &file, position + 5000, 4);
    let findings = scrub(&disk, &opened);
    assert_eq!(findings.len(), 1, "{findings:?}");
    let found = &findings[0];
    assert_eq!((found.kind, &found.file, found.count), (ScrubKind::Needle, &file, 1));
    assert_eq!((found.volume, found.sequence), (Some(victim.volume.0), Some(victim.sequence.0)));
    assert!(found.offset > position && found.offset < position + 5000, "the block begins there: {found:?}");

    assert_eq!(opened.appender.damage(victim.volume, victim.sequence, 1).unwrap(), 1);
    assert_eq!(opened.appender.damage(victim.volume, victim.sequence, 1).unwrap(), 0, "once");
    assert_eq!(opened.catalog.stats().damaged, 1);
    assert!(read(&opened.catalog.view(), victim).unwrap_err().contains("damaged at"));
    let kinds: Vec<_> = scrub(&disk, &opened).iter().map(|found| found.kind).collect();
    assert_eq!(kinds, [ScrubKind::Known]);
    drop(opened);
    // Also after a power cut.
    let disk = disk.crash_clean();
    let opened = store(&disk);
    assert!(read(&opened.catalog.view(), victim).unwrap_err().contains("damaged at"));
    assert_eq!(opened.catalog.stats().damaged, 1);
    let others = ids.iter().filter(|id| **id != victim);
    assert!(others.into_iter().all(|id| read(&opened.catalog.view(), *id).is_ok()));
}

#[test]
fn needles_that_are_not_there_cannot_be_marked() {
    let disk = MemoryDisk::new();
    let (mut opened, ids) = filled(&disk);
    assert_eq!(opened.appender.damage(VolumeId(99), Sequence(0), 5).unwrap(), 0);
    assert_eq!(opened.appender.damage(ids[0].volume, Sequence(1 << 40), u64::MAX).unwrap(), 0);
    assert_eq!(opened.catalog.stats().damaged, 0);
}

#[test]
fn behind_a_bad_head_or_frame_the_walk_goes_on_at_the_next_needle() {
    for (offset, kinds) in [(20, vec![ScrubKind::Needle]), (-96 + 10, vec![ScrubKind::Place])] {
        let disk = MemoryDisk::new();
        let (opened, ids) = filled(&disk);
        let (file, position) = place(&opened, ids[12]);
        flip(&disk, &file, position.checked_add_signed(offset).unwrap(), 1);
        let (other, behind) = place(&opened, ids[14]);
        flip(&disk, &other, behind + 300, 1);
        let mut found: Vec<_> = scrub(&disk, &opened).iter().map(|found| found.kind).collect();
        assert_eq!(found.pop(), Some(ScrubKind::Needle), "the second one is found too");
        assert_eq!(found, kinds);
    }
}

#[test]
fn compacted_segments_are_sound_and_what_is_wrong_in_them_is_found() {
    let disk = MemoryDisk::new();
    let (mut opened, ids) = filled(&disk);
    for id in ids.iter().step_by(3) {
        delete(&mut opened, *id).unwrap();
    }
    compact_all(&mut opened);
    assert!(opened.compaction.report().copies > 0);
    assert_eq!(scrub(&disk, &opened), []);
    let is_copy = |name: &str| names::parse_edition(name).is_some_and(|(_, _, edition)| edition > 0);
    let mut met = 0;
    for id in ids.iter().filter(|id| matches!(read(&opened.catalog.view(), **id), Ok(Some(_)))) {
        let (file, position) = place(&opened, *id);
        if !is_copy(&file) {
            continue;
        }
        met += 1;
        flip(&disk, &file, position + 30, 1);
        let found = scrub(&disk, &opened);
        flip(&disk, &file, position + 30, 1);
        let found: Vec<_> = found.iter().map(|found| (found.kind, &*found.file, found.sequence, found.count)).collect();
        assert_eq!(found, [(ScrubKind::Needle, &*file, Some(id.sequence.0), 1)]);
    }
    assert!(met > 3, "{met}");
}

#[test]
fn an_index_that_does_not_fit_the_file_is_found() {
    let disk = MemoryDisk::new();
    let (mut opened, ids) = filled(&disk);
    let segment_of = |opened: &Opened, id: ObjectId| match opened.catalog.view().locate(id.volume, id.sequence) {
        Located::Object(place) | Located::Deleted(place) => place.segment,
        other => panic!("{other:?}"),
    };
    let (victim, segment) = (ids[12], segment_of(&opened, ids[12]));
    let (slot, next) = (segment.slot(victim.sequence), segment.slot(ids[13].sequence));
    // It has none of a needle that is there; it has it elsewhere; it has one where there is none.
    for wrong in [Slot::ABSENT, Slot::at(slot.position() + 8), Slot::at(next.position())] {
        segment.store(victim.sequence, wrong);
        let findings = scrub(&disk, &opened);
        assert!(findings.iter().any(|found| found.sequence == Some(victim.sequence.0)), "{wrong:?}: {findings:?}");
    }
    segment.store(victim.sequence, slot);
    assert_eq!(scrub(&disk, &opened), []);
    // What was deleted is there for readers.
    delete(&mut opened, victim).unwrap();
    segment.store(victim.sequence, slot);
    let findings = scrub(&disk, &opened);
    assert_eq!(findings.iter().map(|found| found.kind).collect::<Vec<_>>(), [ScrubKind::Place], "{findings:?}");
}

#[test]
fn zeros_where_a_needle_was_are_found() {
    let disk = MemoryDisk::new();
    let (opened, ids) = filled(&disk);
    let (file, position) = place(&opened, ids[14]);
    // The deleted ones' neighbours stay: a whole needle goes, as a misdirected write or a trim would take it.
    let file_open = disk.open(&file, Open::Write).unwrap();
    file_open.punch(position, 20_000).unwrap();
    let findings = scrub(&disk, &opened);
    assert_eq!(findings[0].kind, ScrubKind::Needle, "{findings:?}");
    assert_eq!(findings[0].sequence, Some(ids[14].sequence.0));
}

#[test]
fn room_of_deleted_objects_may_be_given_back() {
    let disk = MemoryDisk::new();
    let (mut opened, ids) = filled(&disk);
    let (file, position) = place(&opened, ids[19]);
    delete(&mut opened, ids[19]).unwrap();
    // Head and CRC table stay: 96 bytes, 10 of attributes, 4 a block.
    disk.open(&file, Open::Write).unwrap().punch(position + 96 + 10 + 4, 20_000).unwrap();
    assert_eq!(scrub(&disk, &opened), []);
    // The room of a living one may not.
    let (file, position) = place(&opened, ids[29]);
    disk.open(&file, Open::Write).unwrap().punch(position + 96 + 10 + 4, 20_000).unwrap();
    assert_eq!(scrub(&disk, &opened).len(), 1);
}

#[test]
fn what_the_page_cache_hides_is_found() {
    let disk = MemoryDisk::new();
    let mut opened = store(&disk);
    let id = store_one(&mut opened, &content(1, 3000), 1, true);
    store_one(&mut opened, &content(2, 3000), 2, true);
    opened.appender.idle().unwrap();
    let (file, position) = place(&opened, id);
    // The same bytes once more: they stay in the page cache, and a sync that fails loses them on the device.
    let handle = disk.open(&file, Open::Write).unwrap();
    let mut sector = [0; 512];
    let at = (position + 1024) / 512 * 512;
    handle.read_at(&mut sector, at).unwrap();
    handle.punch(at, 512).unwrap();
    handle.sync_all().unwrap();
    handle.write_all_at(&mut [std::io::IoSlice::new(&sector)], at).unwrap();
    disk.fail_syncs(1);
    handle.sync_all().unwrap_err();
    assert_eq!(read(&opened.catalog.view(), id).unwrap(), Some(content(1, 3000)), "the page cache has it");
    let findings = scrub(&disk, &opened);
    assert_eq!((findings.len(), findings[0].kind), (1, ScrubKind::Needle));
}

#[test]
fn what_cannot_be_read_is_told_by_page_and_nothing_is_marked() {
    let disk = MemoryDisk::new();
    let (opened, ids) = filled(&disk);
    let (file, position) = place(&opened, ids[14]);
    let (other, behind) = place(&opened, ids[29]);
    flip(&disk, &other, behind + 300, 1);
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), FaultPlan::default());
    let page = (position + 8000) / 4096 * 4096;
    faulty.faults().add(Fault::error(Call::Read, 5).on(&file).touching(page..page + 4096).for_good());
    let (findings, _) = scrub_on(Arc::new(faulty), &opened);
    let kinds: Vec<_> = findings.iter().map(|found| (found.kind, found.offset)).collect();
    assert_eq!(kinds[0], (ScrubKind::Unreadable, page));
    assert_eq!((kinds.len(), kinds[1].0), (2, ScrubKind::Needle), "the walk went on: {findings:?}");
}

#[test]
fn a_pass_that_was_stopped_goes_on_with_its_segment() {
    let disk = MemoryDisk::new();
    let (opened, _) = filled(&disk);
    let new = |from| Scrub::new(Arc::new(disk.clone()), Arc::clone(&opened.catalog), opened.identity, from);
    let mut scrub = new(START);
    let all = opened.catalog.stats().segment_bytes;
    while scrub.progress().bytes < all / 2 {
        assert_ne!(scrub.step(), ScrubStep::Done);
    }
    let before = scrub.progress();
    let mut rest = new(before.next);
    assert!(rest.progress().bytes <= before.bytes && rest.progress().bytes > 0);
    let mut read = 0;
    while let ScrubStep::Read(bytes) = rest.step() {
        read += bytes;
    }
    let (_, whole) = scrub_on(Arc::new(disk.clone()), &opened);
    assert!(read < whole, "only what was left, and the small files");
    assert_eq!(rest.take_findings(), []);
}

#[test]
fn what_comes_and_grows_during_a_pass_is_no_finding() {
    let disk = MemoryDisk::new();
    let options = StoreOptions { segment_bytes: 4 << 20, volume_bytes: 16 << 20, ..small() };
    let mut opened = try_store(&disk, &options).unwrap();
    let mut n = 0;
    for _ in 0..12 {
        store_one(&mut opened, &content(n, 250_000), n, true);
        n += 1;
    }
    let mut scrub = Scrub::new(Arc::new(disk.clone()), Arc::clone(&opened.catalog), opened.identity, START);
    while scrub.step() != ScrubStep::Done {
        let id = store_one(&mut opened, &content(n, 400_000), n, true);
        assert!(matches!(delete(&mut opened, id), Ok(Appended::Deleted { .. })));
        opened.appender.idle().unwrap();
        n += 1;
    }
    assert!(n > 16 && opened.catalog.stats().segments > 1);
    assert_eq!(scrub.take_findings(), []);
}
