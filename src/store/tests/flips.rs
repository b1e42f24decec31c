//! Goal: no flipped bit goes unnoticed. Whatever bit of whatever file is flipped, no wrong byte is ever answered, nothing
//! panics, and the flip is found by one scrub of the running store or told by the next open. Method: single flips, chosen
//! by seed over every file, each on a fresh copy of a small but complete directory.
//!
//! Exempt: the reserve, whose content has no meaning, and what recovery put aside for people (`*.torn-*`, `*.aside`).

use super::compaction::compact_all;
use super::scrub::scrub;
use super::world::*;
use crate::base::ids::{ObjectId, Sequence, VolumeId};
use crate::disk::{Disk, MemoryDisk};
use crate::store::{Located, OpenReport, Opened, ScrubFile, ScrubKind, ScrubRecord, StoreOptions, names};

/// An object that was stored.
struct Object {
    id: ObjectId,
    content: Vec<u8>,
    is_deleted: bool,
}

/// A directory with everything that there can be in one.
struct Directory {
    disk: MemoryDisk,
    objects: Vec<Object>,
    /// Which files are flipped in turn, with their bytes.
    files: Vec<(String, u64)>,
}

fn options() -> StoreOptions {
    StoreOptions { segment_bytes: 256 << 10, volume_bytes: 600 << 10, ..small() }
}

fn open(disk: &MemoryDisk) -> Opened {
    try_store(disk, &options()).expect("the directory opens")
}

/// Three runs: objects of all sizes with attributes, deletes in sealed and open volumes, a stop that was not clean and
/// lost a tail, compacted segments, index files of all segments, known damage none.
fn build() -> Directory {
    let disk = MemoryDisk::new();
    let mut opened = open(&disk);
    let mut objects = Vec::new();
    let mut add = |opened: &mut Opened, numbers: std::ops::Range<u64>| {
        for n in numbers {
            let bytes = content(n, [0, 5, 300, 4096, 65_536, 9000, 150_000, 64, 2000][n as usize % 9]);
            let id = store_one(opened, &bytes, n, true);
            objects.push(Object { id, content: bytes, is_deleted: false });
            if n % 6 == 5 {
                let victim = &mut objects[n as usize / 2];
                delete(opened, victim.id).unwrap();
                victim.is_deleted = true;
            }
            if n % 10 == 9 {
                opened.appender.idle().unwrap();
            }
        }
    };
    add(&mut opened, 0..24);
    opened.appender.close().unwrap();
    drop((opened.superblock, opened.catalog));
    let mut opened = open(&disk);
    add(&mut opened, 24..44);
    // Written, never synced, and cut by the recovery that follows.
    store_one(&mut opened, &content(1, 30_000), 1, false);
    drop(opened);
    let disk = disk.crash_clean();
    let mut opened = open(&disk);
    add(&mut opened, 44..60);
    for n in [15, 24, 33] {
        delete(&mut opened, objects[n].id).unwrap();
        objects[n].is_deleted = true;
    }
    compact_all(&mut opened);
    let (mut file, _) = ScrubFile::open(&disk).unwrap();
    for bytes in [1, 2] {
        file.write(&ScrubRecord { completed_ms: 5, bytes, ..ScrubRecord::default() }).unwrap();
    }
    opened.appender.close().unwrap();
    drop((opened.superblock, opened.catalog));
    let exempt = |name: &str| name == names::RESERVE || name.contains(".torn-") || name.ends_with(".aside");
    let names: Vec<_> = disk.list().unwrap().into_iter().map(|entry| entry.name).collect();
    let of_copies = |parse: fn(&str) -> Option<(VolumeId, Sequence, u32)>| {
        names.iter().filter(|name| parse(name).is_some_and(|(_, _, edition)| edition > 0)).count()
    };
    assert!(of_copies(names::parse_edition) > 0 && of_copies(names::parse_index) > 0, "{names:?}");
    assert!(names.iter().any(|name| names::parse_segment(name).is_some()), "{names:?}");
    let entries = disk.list().unwrap().into_iter();
    let files = entries.filter(|entry| entry.bytes > 0 && !exempt(&entry.name));
    Directory { files: files.map(|entry| (entry.name, entry.bytes)).collect(), objects, disk }
}

/// What is answered is right, or an error. Returns how many are answered with an error.
fn nothing_wrong_is_answered(directory: &Directory, opened: &Opened, flip: &str, may_be_back: bool) -> usize {
    let view = opened.catalog.view();
    let mut errors = 0;
    for Object { id, content, is_deleted } in &directory.objects {
        match read(&view, *id) {
            Ok(Some(found)) => {
                assert!(found == *content, "{flip}: {id} is answered with other bytes");
                assert!(!is_deleted || may_be_back, "{flip}: {id} was deleted and is back");
            }
            Ok(None) if *is_deleted => {}
            // A volume or a segment whose record in the manifest is lost.
            Ok(None) => {
                let located = view.locate(id.volume, id.sequence);
                assert!(matches!(located, Located::NoVolume | Located::Absent), "{flip}: {id} is {located:?}");
                errors += 1;
            }
            Err(_) => errors += 1,
        }
    }
    errors
}

/// Whether a start says that something is not as it was left.
fn tells(report: &OpenReport) -> bool {
    !(report.damages.is_empty()
        && report.cuts.is_empty()
        && report.missing_segments.is_empty()
        && report.set_aside.is_empty()
        && report.adopted.is_empty()
        && report.findings.is_empty()
        && report.snapshots_refused.is_empty())
        || report.chain_breaks + report.headers_damaged + report.manifest_damaged + report.unreadable_bytes > 0
}

/// One flip under a running store: is it found by a scrub, else by the next open? True if by the scrub.
fn one(directory: &Directory, name: &str, offset: u64, bit: u8) -> bool {
    let told = format!("bit {bit} of byte {offset} of {name}");
    let disk = directory.disk.kill();
    let mut opened = open(&disk);
    assert!(!tells(&opened.report), "{:?}", opened.report);
    flip(&disk, name, offset, 1 << bit);
    nothing_wrong_is_answered(directory, &opened, &told, false);
    let findings = scrub(&disk, &opened);
    for found in &findings {
        assert_eq!(found.file, name, "{told}: {found:?}");
        if found.kind == ScrubKind::Needle {
            let (volume, sequence) = (found.volume.unwrap(), found.sequence.unwrap());
            let volume = VolumeId(volume);
            opened.appender.damage(volume, Sequence(sequence), found.count).unwrap();
        }
    }
    let hurt = nothing_wrong_is_answered(directory, &opened, &told, false);
    assert!(hurt <= 1, "{told}: one flip hurts one object, not {hurt}");
    let found = !findings.is_empty();
    drop(opened);
    // Whatever the scrub said, a start on it answers nothing wrong either.
    match try_store(&disk.kill(), &options()) {
        Ok(opened) => {
            // A tombstone that does not verify deletes nothing any more; the start tells that it is damaged.
            nothing_wrong_is_answered(directory, &opened, &told, !opened.report.damages.is_empty());
            assert!(found || tells(&opened.report), "{told} was not found: {:?}", opened.report);
        }
        Err(error) => assert!(error.to_string().contains(name), "{told}: {error}"),
    }
    found
}

/// So many flips, every file in its turn; of large ones also a place of which little is used.
fn flips(seed: u64, count: u64) {
    let directory = build();
    let opened = open(&directory.disk.kill());
    assert_eq!(nothing_wrong_is_answered(&directory, &opened, "no flip", false), 0);
    assert_eq!(scrub(&directory.disk, &opened), []);
    drop(opened);
    let stats = open(&directory.disk.kill()).catalog.stats();
    assert!(stats.volumes > 2 && stats.segments > stats.volumes && stats.deleted > 3, "{stats:?}");
    let mut dice = Dice(seed);
    let mut by_scrub = 0;
    for _ in 0..count {
        let (name, bytes) = &directory.files[dice.below(directory.files.len() as u64) as usize];
        let offset = if dice.once_in(3) { dice.below((*bytes).min(1200)) } else { dice.below(*bytes) };
        by_scrub += u64::from(one(&directory, name, offset, dice.below(8) as u8));
    }
    println!("{by_scrub} of {count} flips were found by the scrub, the others by the next open");
    // The open segments' unwritten tails are the next open's.
    assert!(by_scrub > count / 2, "{by_scrub} of {count}");
}

#[test]
fn a_flipped_bit_is_never_answered_and_always_found() {
    flips(20, 200);
}

/// The full number: `cargo test --release --lib flips -- --ignored`.
#[test]
#[ignore = "takes minutes without optimization"]
fn two_thousand_flipped_bits() {
    for seed in 0..10 {
        flips(seed, 200);
    }
}
