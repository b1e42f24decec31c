//! Goal: opening does what the table in `store::directory_plan` says for every kind of file in every place, answers exactly
//! the ids that are lost as damaged, loses no byte, and comes to the same when it is done again. Method: each combination
//! made byte by byte; letters, fates and bytes against the table below.

use super::forge::*;
use super::world::*;
use crate::base::clock::ManualClock;
use crate::base::ids::{DiskId, Epoch, Sequence};
use crate::disk::{Call, Disk, Fault, FaultPlan, FaultyDisk, MemoryDisk, Open};
use crate::store::manifest::Record;
use crate::store::segment_header::SegmentHeader;
use crate::store::{Identity, Opened, StoreError, open, verify};
use std::sync::Arc;

/// What lies in the place of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lies {
    Itself,
    Nothing,
    /// The next segment's file, and this one's in its place.
    Swapped,
    OtherDisk,
    OtherCluster,
    OtherSalt,
    OtherGeneration,
    DamagedHeader,
    NewerVersion,
    /// A header and nothing else.
    Hollow,
    Empty,
    Shut,
}

const LIES: [Lies; 12] = [
    Lies::Itself,
    Lies::Nothing,
    Lies::Swapped,
    Lies::OtherDisk,
    Lies::OtherCluster,
    Lies::OtherSalt,
    Lies::OtherGeneration,
    Lies::DamagedHeader,
    Lies::NewerVersion,
    Lies::Hollow,
    Lies::Empty,
    Lies::Shut,
];

/// What the manifest says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Closed,
    /// Its record of closing is lost; of the last one: it is open.
    Open,
    Nothing,
    Dropped,
}

const SAYS: [Says; 4] = [Says::Closed, Says::Open, Says::Nothing, Says::Dropped];

/// The letter, and whether the objects of the segment can be read (none: they cannot, damaged or absent as their
/// neighbours tell).
fn expected(lies: Lies, says: Says) -> (&'static str, Option<bool>) {
    let named = matches!(says, Says::Closed | Says::Open);
    match (lies, says) {
        (Lies::Nothing, Says::Nothing | Says::Dropped) => ("", None),
        (_, Says::Dropped) => ("Z", None),
        (Lies::Nothing, _) => ("M", Some(false)),
        (Lies::Itself, Says::Nothing) => ("R", Some(true)),
        (Lies::Hollow, Says::Nothing) => ("P", None),
        (_, Says::Nothing) => ("S", None),
        (Lies::Itself, _) => ("N", Some(true)),
        (Lies::Hollow, _) => ("N", None),
        (Lies::DamagedHeader, _) => ("H", Some(true)),
        (Lies::Empty, _) => ("H", None),
        (Lies::NewerVersion | Lies::Shut, _) => ("I", Some(false)),
        _ => {
            assert!(named);
            ("F", Some(false))
        }
    }
}

struct Made {
    disk: MemoryDisk,
    faults: Vec<Fault>,
    identity: Identity,
}

/// Three segments, of which one is as asked.
fn made(lies: Lies, says: Says, victim: usize) -> Made {
    let (disk, identity) = formatted();
    let mut segments = Vec::new();
    let mut chain = 0;
    for base in [0, EACH, 2 * EACH] {
        let segment = Forged::full(identity.disk, base, chain);
        chain = segment.chain;
        segments.push(segment);
    }
    // The last group of an open one is proven by the mark file.
    segments[victim].closed = says != Says::Open;
    segments[victim].named = matches!(says, Says::Closed | Says::Open);
    let mut facts = records(&segments);
    let base = segments[victim].base;
    if says == Says::Dropped {
        facts.push(Record::SegmentOpened { volume: VOLUME, base: Sequence(base), epoch: Epoch(1) });
        facts.push(Record::SegmentDropped { volume: VOLUME, base: Sequence(base), edition: 0 });
    }
    write_manifest(&disk, &identity, &facts);
    write_mark(&disk, false, (says == Says::Open).then_some((base, base + EACH)));
    let ours = header(identity.disk, base);
    let mut faults = Vec::new();
    let bytes = &mut segments[victim].bytes;
    let mut set = |header: SegmentHeader| bytes[..512].copy_from_slice(&header.encode());
    match lies {
        Lies::Itself | Lies::Nothing | Lies::Swapped => {}
        Lies::OtherDisk => set(SegmentHeader { disk: DiskId(5), ..ours }),
        Lies::OtherCluster => set(SegmentHeader { cluster: crate::base::ids::ClusterId(5), ..ours }),
        Lies::OtherSalt => set(SegmentHeader { salt: SALT + 1, ..ours }),
        Lies::OtherGeneration => set(SegmentHeader { generation: 2, ..ours }),
        Lies::DamagedHeader => bytes[30] ^= 4,
        Lies::NewerVersion => {
            bytes[16] = 2;
            let checksum = crate::base::checksum::keyed(0, &bytes[16..512]);
            bytes[8..16].copy_from_slice(&checksum.to_le_bytes());
        }
        Lies::Hollow => bytes.truncate(512),
        Lies::Empty => bytes.clear(),
        Lies::Shut => faults.push(Fault::error(Call::Open, 13).on(&name(base)).for_good()),
    }
    if lies == Lies::Swapped {
        let other = (victim + 1) % 3;
        let mine = segments[victim].bytes.clone();
        segments[victim].bytes = std::mem::replace(&mut segments[other].bytes, mine);
    }
    for (index, segment) in segments.iter().enumerate() {
        if lies != Lies::Nothing || index != victim {
            write(&disk, &name(segment.base), &segment.bytes);
        }
    }
    Made { disk, faults, identity }
}

fn opened(made: &Made) -> Result<Opened, StoreError> {
    let plan = FaultPlan { faults: made.faults.clone(), ..FaultPlan::default() };
    let faulty = FaultyDisk::new(Arc::new(made.disk.clone()), plan);
    open(Arc::new(faulty), Some(IDENTITY), &small(), Arc::new(ManualClock::default()))
}

fn letters(opened: &Opened) -> String {
    opened.report.file_cases.iter().map(|(letter, &count)| letter.repeat(count as usize)).collect()
}

/// All contents that a file could have, whatever its name: none of them may be lost.
fn contents(disk: &MemoryDisk) -> Vec<Vec<u8>> {
    files(disk).into_iter().filter(|(name, _)| name.starts_with('v')).map(|(_, bytes)| bytes).collect()
}

fn check(lies: Lies, says: Says, victim: usize) {
    let made = made(lies, says, victim);
    let (letter, readable) = expected(lies, says);
    let base = victim as u64 * EACH;
    let swapped_with = (lies == Lies::Swapped).then_some((victim as u64 + 1) % 3 * EACH);
    let before = contents(&made.disk);
    let all = files(&made.disk);
    let plan = FaultPlan { faults: made.faults.clone(), ..FaultPlan::default() };
    let verification = verify(&FaultyDisk::new(Arc::new(made.disk.clone()), plan), &mut |_, _| ()).unwrap();
    assert!(all == files(&made.disk), "the offline check changes nothing");
    let reported = !matches!(letter, "N" | "P" | "Z" | "");
    if reported {
        let file = verification.damages.iter().find(|damage| damage.file == name(base));
        assert!(file.is_some(), "{:?}", verification.damages);
    }

    let opened_once = opened(&made).unwrap();
    let report = &opened_once.report;
    let mut want: Vec<char> = letter.chars().collect();
    want.extend(
        (0..3).filter(|&other| other != victim).map(
            |other| {
                if swapped_with == Some(other as u64 * EACH) { 'F' } else { 'N' }
            },
        ),
    );
    want.sort_unstable();
    assert_eq!(letters(&opened_once), want.iter().collect::<String>(), "{report:?}");
    if reported {
        let finding = report.findings.iter().find(|finding| finding.file == name(base)).expect("it is reported");
        assert_eq!(finding.case, letter);
    }
    if letter == "F" && lies == Lies::Swapped {
        for (here, really) in [(base, swapped_with.unwrap()), (swapped_with.unwrap(), base)] {
            let finding = report.findings.iter().find(|finding| finding.file == name(here)).unwrap();
            assert!(finding.what.contains(&name(really)) && finding.what.contains("swap"), "{finding:?}");
        }
    }
    let view = opened_once.catalog.view();
    for sequence in 0..3 * EACH {
        let segment = sequence / EACH * EACH;
        let found = read(&view, id(sequence));
        if segment == base {
            match readable {
                Some(true) => assert_eq!(found, Ok(Some(object(sequence))), "{sequence}"),
                Some(false) => assert!(found.is_err(), "{sequence} is damaged, not absent: {found:?}"),
                None => assert!(!matches!(found, Ok(Some(_))), "{sequence}"),
            }
        } else if swapped_with == Some(segment) {
            assert!(found.is_err(), "{sequence}");
        } else {
            assert_eq!(found, Ok(Some(object(sequence))), "{sequence}");
        }
    }
    assert!(report.cuts.is_empty(), "{:?}", report.cuts);
    let after = contents(&made.disk);
    for bytes in before.iter().filter(|_| letter != "Z") {
        assert!(after.contains(bytes), "the bytes of a file are gone");
    }
    assert_eq!(report.deleted.len(), usize::from(letter == "Z"));
    drop((opened_once, view));

    // Again: nothing more happens, and what was lost by its file alone is still not in the manifest.
    let segments = contents(&made.disk);
    let again = opened(&made).unwrap();
    assert!(again.report.cuts.is_empty() && again.report.set_aside.is_empty() && again.report.deleted.is_empty());
    assert!(segments == contents(&made.disk));
    if readable == Some(false) {
        assert!(again.report.damages.iter().filter(|damage| damage.file == name(base)).all(|damage| damage.new));
    }
}

#[test]
fn every_file_in_every_place_with_whatever_the_manifest_says() {
    for lies in LIES {
        for says in SAYS {
            for victim in 0..3 {
                println!("{lies:?} {says:?} {victim}");
                check(lies, says, victim);
            }
        }
    }
}

#[test]
fn what_is_put_back_is_read_again_and_was_never_forgotten() {
    for (lies, says) in [(Lies::Nothing, Says::Closed), (Lies::Nothing, Says::Open), (Lies::OtherDisk, Says::Open)] {
        let made = made(lies, says, 2);
        let base = 2 * EACH;
        for clean in [false, true] {
            let opened = opened(&made).unwrap();
            assert_eq!(opened.report.missing_segments, [name(base)]);
            if clean {
                opened.appender.close().unwrap();
            }
        }
        let mut opened_without = opened(&made).unwrap();
        // What comes is kept apart from what may come back; where the end is not known, in another volume.
        let new = store_one(&mut opened_without, b"meanwhile", 5, true);
        assert_eq!(new.volume == VOLUME, says == Says::Closed);
        assert!(new.volume != VOLUME || new.sequence >= Sequence(3 * EACH));
        let deleted = delete(&mut opened_without, id(1)).unwrap();
        assert_eq!(deleted, crate::store::Appended::Deleted { already: false });
        drop(opened_without);
        write(&made.disk, &name(base), &Forged::full(made.identity.disk, base, 0).bytes);
        let opened = store(&made.disk);
        assert!(opened.report.findings.is_empty(), "{:?}", opened.report.findings);
        let view = opened.catalog.view();
        for sequence in 0..3 * EACH {
            let want = (sequence != 1).then(|| object(sequence));
            assert_eq!(read(&view, id(sequence)), Ok(want), "{lies:?} {says:?} {sequence}");
        }
        assert_eq!(read(&view, new), Ok(Some(b"meanwhile".to_vec())));
    }
}

#[test]
fn an_older_manifest_gets_back_all_that_it_does_not_know() {
    let (disk, identity) = formatted();
    let mut segments = Vec::new();
    let mut chain = 0;
    for base in [0, EACH, 2 * EACH] {
        segments.push(Forged::full(identity.disk, base, chain));
        chain = segments.last().unwrap().chain;
    }
    segments[2].closed = false;
    for segment in &segments {
        write(&disk, &name(segment.base), &segment.bytes);
    }
    write_mark(&disk, true, Some((2 * EACH, 3 * EACH)));
    // Of the first segment only its opening; then not even the volume.
    for known in [1, 0] {
        let disk = disk.kill();
        let facts = records(&[Forged { closed: false, ..segments[0].clone() }]);
        write_manifest(&disk, &identity, if known == 1 { &facts } else { &[] });
        let mut opened = store(&disk);
        assert!(opened.report.manifest_is_old);
        assert_eq!(opened.report.adopted.len(), 3 - known);
        assert_eq!(opened.report.file_cases.get("W"), Some(&1), "{:?}", opened.report.file_cases);
        assert!(opened.report.set_aside.is_empty() && opened.report.damages.is_empty());
        assert_eq!(opened.superblock.highest(), VOLUME, "its number is not given out again");
        let new = store_one(&mut opened, b"new", 5, true);
        assert_eq!(
            new.sequence,
            Sequence(3 * EACH + 1),
            "an EPOCH_START lies between, for epochs may be forgotten too"
        );
        let opened = store(&disk.crash_clean());
        assert!(opened.report.findings.is_empty(), "{:?}", opened.report.findings);
        for sequence in 0..3 * EACH {
            assert_eq!(read(&opened.catalog.view(), id(sequence)), Ok(Some(object(sequence))));
        }
        assert_eq!(read(&opened.catalog.view(), new), Ok(Some(b"new".to_vec())));
    }
    // The file that the mark names is not there either: damaged, not absent.
    let disk = disk.kill();
    disk.remove(&name(2 * EACH)).unwrap();
    disk.sync_directory().unwrap();
    write_manifest(&disk, &identity, &records(&segments[..1]));
    let opened = store(&disk);
    assert_eq!(opened.report.missing_segments, [name(2 * EACH)]);
    for sequence in 0..3 * EACH {
        let found = read(&opened.catalog.view(), id(sequence));
        assert_eq!(found.is_err(), sequence >= 2 * EACH, "{sequence}: {found:?}");
    }
}

#[test]
fn a_file_with_sequences_that_a_named_one_has_is_set_aside() {
    let (disk, identity) = formatted();
    let whole = Forged::full(identity.disk, 0, 0);
    let inside = Forged::full(identity.disk, 2, 0);
    for closed in [true, false] {
        let disk = disk.kill();
        write(&disk, &name(0), &whole.bytes);
        write(&disk, &name(2), &inside.bytes);
        write_manifest(&disk, &identity, &records(&[Forged { closed, ..whole.clone() }]));
        write_mark(&disk, true, Some((0, 4)));
        let opened = store(&disk);
        assert_eq!(opened.report.file_cases.get("O"), Some(&1), "{:?}", opened.report);
        assert_eq!(opened.report.set_aside, [format!("{}.aside", name(2))]);
        assert!(files(&disk).contains(&(format!("{}.aside", name(2)), inside.bytes.clone())));
        (0..4).for_each(|sequence| assert_eq!(read(&opened.catalog.view(), id(sequence)), Ok(Some(object(sequence)))));
    }
}

#[test]
fn a_volume_whose_creation_is_lost_takes_its_key_from_its_files() {
    let (disk, identity) = formatted();
    let segment = Forged { closed: false, ..Forged::full(identity.disk, 0, 0) };
    write(&disk, &name(0), &segment.bytes);
    write_manifest(&disk, &identity, &records(&[segment])[1..]);
    write_mark(&disk, true, Some((0, EACH)));
    let opened = store(&disk);
    assert!(opened.report.damages.is_empty() && opened.report.cuts.is_empty(), "{:?}", opened.report);
    (0..EACH).for_each(|sequence| assert_eq!(read(&opened.catalog.view(), id(sequence)), Ok(Some(object(sequence)))));
    let next = Record::VolumeCreated { volume: VOLUME, salt: SALT, generation: 1 };
    drop(opened);
    let opened = store(&disk);
    assert!(opened.report.findings.is_empty());
    drop(opened);
    assert!(crate::store::verify(&disk, &mut |_, _| ()).unwrap().damages.is_empty(), "{next:?} is in the manifest");
}

#[test]
fn a_tail_that_the_device_does_not_give_is_kept_and_the_disk_goes_on() {
    let (disk, identity) = formatted();
    // So large that the last group has a page of its own.
    let mut segment = Forged { closed: false, ..Forged::full(identity.disk, 0, 0) };
    for sequence in EACH..3 * EACH {
        segment.push(sequence, sequence);
    }
    let last = segment.groups.last().unwrap().clone();
    write(&disk, &name(0), &segment.bytes);
    write_manifest(&disk, &identity, &records(&[segment.clone()]));
    // Not that far: the last group is not proven.
    write_mark(&disk, false, Some((0, EACH)));
    let page = last.position / 4096 * 4096;
    let mut faulty = FaultPlan::default();
    faulty.faults.push(Fault::error(Call::Read, 5).on(&name(0)).for_good());
    let made = Made { disk: disk.clone(), faults: Vec::new(), identity };
    // A fault has no range of bytes: all reads of the file fail, the header's too.
    let failing = FaultyDisk::new(Arc::new(disk.clone()), faulty);
    let opened_failing = open(Arc::new(failing), Some(IDENTITY), &small(), Arc::new(ManualClock::default()));
    let mut opened_once = opened_failing.unwrap();
    let report = &opened_once.report;
    assert!(report.unreadable_bytes > 0 && page > 0);
    assert!(report.cuts.is_empty(), "{:?}", report.cuts);
    let new = store_one(&mut opened_once, b"goes on", 9, true);
    assert_eq!(read(&opened_once.catalog.view(), new), Ok(Some(b"goes on".to_vec())));
    for sequence in 0..3 * EACH {
        assert!(
            read(&opened_once.catalog.view(), id(sequence)).is_err(),
            "{sequence}: what may be there is not absent"
        );
    }
    drop(opened_once);
    // The device gives it again: every byte is still there.
    let file = files(&made.disk).into_iter().find(|(file, _)| *file == name(0)).unwrap();
    assert!(file.1.starts_with(&segment.bytes));
    let again = opened(&made).unwrap();
    assert_eq!(read(&again.catalog.view(), new), Ok(Some(b"goes on".to_vec())));
    assert!(again.report.cuts.is_empty() && again.report.damages.iter().all(|damage| !damage.new));
}

#[test]
fn forged_numbers_neither_panic_nor_take_for_ever() {
    let (disk, identity) = formatted();
    let whole = Forged::full(identity.disk, 0, 0);
    let mut facts = records(std::slice::from_ref(&whole));
    for record in &mut facts {
        if let Record::SegmentClosed { closed, .. } = record {
            closed.next = Sequence(u64::MAX - 1);
            closed.end = u64::MAX - 7;
        }
    }
    facts.push(Record::DamageFound { volume: VOLUME, first: Sequence(2), count: u64::MAX });
    write(&disk, &name(0), &whole.bytes);
    write_manifest(&disk, &identity, &facts);
    write_mark(&disk, false, Some((0, u64::MAX)));
    let verification = verify(&disk, &mut |_, _| ()).unwrap();
    assert!(!verification.damages.is_empty() && verification.damages.len() < 10);
    let opened = store(&disk);
    assert_eq!(read(&opened.catalog.view(), id(0)), Ok(Some(object(0))));
    assert!(read(&opened.catalog.view(), id(70_000)).is_err(), "it says that there was one");
    drop(opened);
    // A needle and a frame far beyond what a segment can hold, in an open one.
    for sequence in [1u64 << 40, u64::MAX - 1] {
        let disk = disk.kill();
        let mut forged = Forged { closed: false, ..Forged::full(identity.disk, 0, 0) };
        let good = forged.end();
        forged.push(sequence, EACH);
        write(&disk, &name(0), &forged.bytes);
        write_manifest(&disk, &identity, &records(&[forged]));
        write_mark(&disk, false, None);
        let opened = store(&disk);
        assert_eq!(opened.report.cuts.len(), 1);
        assert!(opened.report.cuts[0].position >= good);
        (0..EACH)
            .for_each(|sequence| assert_eq!(read(&opened.catalog.view(), id(sequence)), Ok(Some(object(sequence)))));
    }
}

#[test]
fn a_cut_is_remembered_before_it_is_made() {
    // A clean stop, says the mark file; a torn tail with nothing that proves it; power goes at each call of the recovery.
    for call in [Call::SetLen, Call::SyncAll, Call::SyncData, Call::Write] {
        for nth in 1..12 {
            let (disk, identity) = formatted();
            let mut segment = Forged { closed: false, ..Forged::full(identity.disk, 0, 0) };
            let at = segment.groups[3].needle as usize + 30;
            segment.bytes[at..at + 20].fill(0);
            write(&disk, &name(0), &segment.bytes);
            write_manifest(&disk, &identity, &records(&[segment]));
            write_mark(&disk, true, Some((0, EACH - 1)));
            let plan = FaultPlan { faults: vec![Fault::error(call, 5).at(nth).for_good()], ..FaultPlan::default() };
            let faulty = FaultyDisk::new(Arc::new(disk.clone()), plan);
            let _failed = open(Arc::new(faulty), Some(IDENTITY), &small(), Arc::new(ManualClock::default()));
            let mut opened = store(&disk.crash_clean());
            let new = store_one(&mut opened, b"new", 4, true);
            assert_eq!(
                new.sequence,
                Sequence(EACH),
                "{call:?} {nth}: an EPOCH_START took the sequence of the torn one"
            );
        }
    }
}

#[test]
fn anything_but_zeros_where_zeros_should_be_is_noticed() {
    let (disk, identity) = formatted();
    let segment = Forged { closed: false, ..Forged::full(identity.disk, 0, 0) };
    write(&disk, &name(0), &segment.bytes);
    write_manifest(&disk, &identity, &records(&[segment]));
    write_mark(&disk, true, Some((0, EACH)));
    drop(store(&disk));
    for (file, at) in [
        ("superblock", 200),
        ("superblock", 4095),
        ("superblock", 4096 + 2000),
        ("mark", 16_000),
        ("manifest", 60),
        ("manifest", 511),
        ("manifest", 512 + 400),
    ] {
        let disk = disk.kill();
        flip(&disk, file, at, 16);
        let verification = verify(&disk, &mut |_, _| ()).unwrap();
        assert!(verification.damages.iter().any(|damage| damage.file == file), "{file} {at}: {verification:?}");
        let opened = store(&disk);
        assert!(opened.report.findings.iter().any(|finding| finding.file == file), "{file} {at}");
        (0..EACH)
            .for_each(|sequence| assert_eq!(read(&opened.catalog.view(), id(sequence)), Ok(Some(object(sequence)))));
        drop(opened);
        // The superblock and the manifest are mended; the mark file is when it is written next.
        let again = store(&disk);
        assert_eq!(again.report.findings.is_empty(), file != "mark", "{file} {at}: {:?}", again.report.findings);
    }
    let file = disk.open("mark", Open::Write).unwrap();
    file.set_len(40_000).unwrap();
    drop(file);
    assert!(store(&disk).report.findings.iter().any(|finding| finding.file == "mark"));
}

#[test]
fn a_manifest_that_loses_records_keeps_its_old_bytes_aside() {
    let (disk, identity) = formatted();
    let segments =
        [Forged::full(identity.disk, 0, 0), Forged { closed: false, ..Forged::full(identity.disk, EACH, 0) }];
    for segment in &segments {
        write(&disk, &name(segment.base), &segment.bytes);
    }
    write_manifest(&disk, &identity, &records(&segments));
    write_mark(&disk, true, Some((EACH, 2 * EACH)));
    let before = files(&disk).into_iter().find(|(file, _)| file == "manifest").unwrap().1;
    let heads: Vec<_> = (512..before.len()).step_by(8).filter(|&at| before[at..].starts_with(b"LREC")).collect();
    for (number, &head) in heads.iter().enumerate() {
        let disk = disk.kill();
        flip(&disk, "manifest", head as u64 + 33, 1);
        let damaged = files(&disk).into_iter().find(|(file, _)| file == "manifest").unwrap().1;
        let opened = store(&disk);
        (0..2 * EACH).for_each(|sequence| {
            assert_eq!(read(&opened.catalog.view(), id(sequence)), Ok(Some(object(sequence))), "record {number}");
        });
        let kept = files(&disk).into_iter().any(|(file, bytes)| {
            let torn = file == "manifest.torn-0" && damaged[head..].starts_with(&bytes);
            (file == "manifest.aside" && bytes == damaged) || torn
        });
        assert!(kept, "record {number}: {:?}", opened.report);
    }
}
