//! Goal: a pass of the scrub hands out each living needle of a name, and nothing else, wherever compaction puts it
//! meanwhile. Method: objects with and without a name against a list of what must be met.

use super::compaction::{compact_all, compact_once};
use super::world::*;
use crate::base::ids::{Cookie, ObjectId, Origin, Sequence, VolumeId};
use crate::base::payload::Payload;
use crate::disk::{Call, Fault, FaultPlan, FaultyDisk, MemoryDisk};
use crate::store::{Appended, Entry, NamedNeedle, Opened, Scrub, ScrubStep};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;

const START: (VolumeId, Sequence) = (VolumeId(0), Sequence(0));

fn store_named(opened: &mut Opened, content: &[u8], number: u64) -> ObjectId {
    let entry = Entry::Put {
        payload: Payload::of(Bytes::copy_from_slice(content)),
        cookie: Cookie(number),
        attributes: Bytes::new(),
        origin: Origin { session: 5, number },
        named: true,
    };
    let numbers = numbers(opened);
    match opened.appender.append(&[entry], 1, true, &numbers).unwrap()[..] {
        [Appended::Stored(id)] => {
            opened.superblock.raise(id.volume).unwrap();
            id
        }
        ref other => panic!("a put became {other:?}"),
    }
}

type Named = HashMap<ObjectId, NamedNeedle>;

/// In the order in which they were stored.
fn ids(named: &Named) -> Vec<ObjectId> {
    let mut ids: Vec<_> = named.keys().copied().collect();
    ids.sort_by_key(|id| id.cookie.0);
    ids
}

/// Every second object has a name.
fn filled(disk: &MemoryDisk) -> (Opened, Named, Vec<ObjectId>) {
    let mut opened = store(disk);
    let (mut named, mut others) = (Named::new(), Vec::new());
    for n in 0..60 {
        let bytes = [0, 1, 700, 4096, 20_000][n as usize % 5];
        if n % 2 == 0 {
            let id = store_named(&mut opened, &content(n, bytes), n);
            let origin = Origin { session: 5, number: n };
            named.insert(id, NamedNeedle { id, origin, bytes: u32::try_from(bytes).unwrap() });
        } else {
            others.push(store_one(&mut opened, &content(n, bytes), n, true));
        }
        if n % 9 == 8 {
            opened.appender.idle().unwrap();
        }
    }
    (opened, named, others)
}

fn scrub_from(disk: &MemoryDisk, opened: &Opened, from: (VolumeId, Sequence)) -> Scrub {
    Scrub::new(Arc::new(disk.clone()), Arc::clone(&opened.catalog), opened.identity, from)
}

/// What a pass meets; between its steps `between` is done. Each needle is met once, but for those that were replaced.
fn met(scrub: &mut Scrub, mut between: impl FnMut(usize)) -> Named {
    let mut all = Named::new();
    for step in 0..100_000 {
        let end = scrub.step();
        all.extend(scrub.take_named().into_iter().map(|needle| (needle.id, needle)));
        if end == ScrubStep::Done {
            return all;
        }
        between(step);
    }
    panic!("the pass does not end");
}

#[test]
fn each_living_needle_of_a_name_is_met_once_and_nothing_else() {
    let disk = MemoryDisk::new();
    let (mut opened, mut named, others) = filled(&disk);
    let mut scrub = scrub_from(&disk, &opened, START);
    let mut count = 0;
    while scrub.step() != ScrubStep::Done {
        for needle in scrub.take_named() {
            assert_eq!(named.get(&needle.id), Some(&needle));
            count += 1;
        }
    }
    assert_eq!(count, named.len());

    // Not what is deleted, and not where the others lay.
    for id in ids(&named).iter().step_by(3) {
        delete(&mut opened, *id).unwrap();
        named.remove(id);
    }
    for id in others.iter().step_by(4) {
        delete(&mut opened, *id).unwrap();
    }
    assert_eq!(met(&mut scrub_from(&disk, &opened, START), |_| ()), named);
    compact_all(&mut opened);
    assert!(opened.compaction.report().copies > 0);
    assert_eq!(met(&mut scrub_from(&disk, &opened, START), |_| ()), named);
    opened.appender.close().unwrap();
    drop((opened.superblock, opened.compaction));
    let disk = disk.kill();
    assert_eq!(met(&mut scrub_from(&disk, &store(&disk), START), |_| ()), named);
}

#[test]
fn what_does_not_verify_or_cannot_be_read_is_not_met() {
    let disk = MemoryDisk::new();
    let (mut opened, mut named, _) = filled(&disk);
    let large: Vec<_> = ids(&named).into_iter().filter(|id| named[id].bytes == 20_000).collect();
    let [head, payload, marked, unreadable, ..] = large[..] else { panic!("{large:?}") };
    for (id, offset) in [(head, 30), (payload, 9000)] {
        let (file, position) = place(&opened, id);
        flip(&disk, &file, position + offset, 1);
        named.remove(&id);
    }
    opened.appender.damage(marked.volume, marked.sequence, 1).unwrap();
    named.remove(&marked);
    assert_eq!(met(&mut scrub_from(&disk, &opened, START), |_| ()), named);

    let (file, position) = place(&opened, unreadable);
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), FaultPlan::default());
    let page = (position + 8000) / 4096 * 4096;
    faulty.faults().add(Fault::error(Call::Read, 5).on(&file).touching(page..page + 4096).for_good());
    named.remove(&unreadable);
    let mut scrub = Scrub::new(Arc::new(faulty), Arc::clone(&opened.catalog), opened.identity, START);
    assert_eq!(met(&mut scrub, |_| ()), named);
}

#[test]
fn what_is_replaced_during_a_pass_is_met_in_its_new_place() {
    let mut replaced = 0;
    for seed in 0..20 {
        let disk = MemoryDisk::new();
        let (mut opened, mut named, others) = filled(&disk);
        for id in others.iter().step_by(2) {
            delete(&mut opened, *id).unwrap();
        }
        let mut dice = Dice(seed);
        let gone: Vec<_> = ids(&named).into_iter().filter(|_| dice.once_in(4)).collect();
        for id in &gone {
            delete(&mut opened, *id).unwrap();
            named.remove(id);
        }
        let mut scrub = scrub_from(&disk, &opened, START);
        let found = met(&mut scrub, |_| {
            for _ in 0..dice.below(30) {
                compact_once(&mut opened);
            }
        });
        replaced += opened.compaction.report().copies;
        assert_eq!(found, named, "seed {seed}");
        assert_eq!(scrub.take_findings(), [], "seed {seed}");
        let progress = scrub.progress();
        assert_eq!(progress.bytes, progress.bytes_total, "seed {seed}");
    }
    assert!(replaced > 20, "{replaced}");
}

#[test]
fn a_pass_goes_on_in_the_middle_of_a_segment_that_took_the_place_of_several() {
    for seed in 0..20 {
        let disk = MemoryDisk::new();
        let (mut opened, mut named, others) = filled(&disk);
        let mut dice = Dice(seed);
        let mut first = scrub_from(&disk, &opened, START);
        let mut found = Named::new();
        for _ in 0..dice.below(14) {
            first.step();
            found.extend(first.take_named().into_iter().map(|needle| (needle.id, needle)));
        }
        let from = first.progress().next;
        for id in &others {
            delete(&mut opened, *id).unwrap();
        }
        let gone: Vec<_> = ids(&named).into_iter().filter(|_| dice.once_in(2)).collect();
        for id in &gone {
            delete(&mut opened, *id).unwrap();
            named.remove(id);
        }
        compact_all(&mut opened);
        found.extend(met(&mut scrub_from(&disk, &opened, from), |_| ()));
        found.retain(|id, _| !gone.contains(id));
        assert_eq!(found, named, "seed {seed}");
    }
}
