//! Goal: what can be derived is derived again, and no segment is touched. Method: a store with two volumes, from which the
//! index files, the manifest, or both are taken away.

use super::compaction::compact_all;
use super::world::*;
use crate::base::ids::ObjectId;
use crate::disk::{Disk, MemoryDisk};
use crate::store::{StoreError, reindex, verify};

/// The name of a compacted segment has its edition too.
const COPY_NAME_BYTES_MIN: usize = "v00000001-0000000000000000.segment".len();

type Objects = Vec<(ObjectId, Option<Vec<u8>>)>;

/// Two volumes with dead objects; the last segment stays open.
fn made() -> (MemoryDisk, Objects) {
    let disk = MemoryDisk::new();
    let mut opened = store(&disk);
    let mut objects: Objects =
        (0..60).map(|n| (store_one(&mut opened, &content(n, 4000), n, true), Some(content(n, 4000)))).collect();
    for at in [0, 7, 8, 33, 59] {
        delete(&mut opened, objects[at].0).unwrap();
        objects[at].1 = None;
    }
    assert!(opened.catalog.stats().volumes >= 2);
    opened.appender.close().unwrap();
    (disk, objects)
}

fn segments(disk: &MemoryDisk) -> Vec<(String, Vec<u8>)> {
    files(disk).into_iter().filter(|(name, _)| name.ends_with(".segment")).collect()
}

fn remove(disk: &MemoryDisk, suffix: &str) {
    for (name, _) in files(disk).iter().filter(|(name, _)| name.ends_with(suffix)) {
        disk.remove(name).unwrap();
    }
}

fn all_there(disk: &MemoryDisk, objects: &Objects) {
    let mut opened = store(disk);
    let report = &opened.report;
    assert!(report.damages.is_empty() && report.cuts.is_empty() && report.set_aside.is_empty(), "{report:?}");
    for (id, expected) in objects {
        assert_eq!(read(&opened.catalog.view(), *id), Ok(expected.clone()), "{id}");
    }
    let more = store_one(&mut opened, b"more", 77, true);
    assert_eq!(read(&opened.catalog.view(), more), Ok(Some(b"more".to_vec())));
    assert!(objects.iter().all(|(id, _)| (id.volume, id.sequence) != (more.volume, more.sequence)));
}

#[test]
fn index_files_come_back_as_they_were() {
    let (disk, objects) = made();
    let before = files(&disk);
    remove(&disk, ".index");
    let outcome = reindex(&disk, &mut |_, _| ()).unwrap();
    assert!(outcome.left.is_empty() && outcome.damages.is_empty() && !outcome.manifest_rebuilt, "{outcome:?}");
    assert!(files(&disk) == before, "the appender and the walk write the same files");
    let opened = store(&disk.kill());
    assert_eq!((opened.report.segments, opened.report.snapshots_refused.len()), (0, 0));
    drop(opened);
    all_there(&disk, &objects);
}

/// A store of which compaction rewrote segments, cleanly stopped.
fn compacted() -> (MemoryDisk, Objects) {
    let disk = MemoryDisk::new();
    let mut opened = store(&disk);
    let mut objects: Objects =
        (0..200).map(|n| (store_one(&mut opened, &content(n, 2000), n, true), Some(content(n, 2000)))).collect();
    for (_, (id, kept)) in objects.iter_mut().enumerate().filter(|(n, _)| n % 3 != 0) {
        delete(&mut opened, *id).unwrap();
        *kept = None;
    }
    compact_all(&mut opened);
    assert!(opened.compaction.report().copies > 0);
    opened.compaction.stop();
    opened.appender.close().unwrap();
    (disk, objects)
}

#[test]
fn index_files_of_compacted_segments_come_back_as_they_were() {
    let (disk, objects) = compacted();
    let copies = segments(&disk).iter().filter(|(name, _)| name.len() > COPY_NAME_BYTES_MIN).count();
    let before = files(&disk);
    assert!(copies > 0);
    remove(&disk, ".index");
    let outcome = reindex(&disk, &mut |_, _| ()).unwrap();
    assert!(outcome.left.is_empty() && outcome.damages.is_empty() && !outcome.manifest_rebuilt, "{outcome:?}");
    assert!(files(&disk) == before, "what was in memory and the walk give the same files");
    let opened = store(&disk.kill());
    assert_eq!((opened.report.segments, opened.report.snapshots_refused.len()), (0, 0));
    drop(opened);
    all_there(&disk, &objects);
}

#[test]
fn a_compacted_segment_that_is_damaged_gets_no_index_file() {
    let (disk, _) = compacted();
    let (name, _) = segments(&disk).into_iter().find(|(name, _)| name.len() > COPY_NAME_BYTES_MIN).unwrap();
    flip(&disk, &name, 512 + 20, 1);
    remove(&disk, ".index");
    let outcome = reindex(&disk, &mut |_, _| ()).unwrap();
    assert_eq!(outcome.left.iter().map(|left| &left.file).collect::<Vec<_>>(), [&name]);
    assert!(outcome.damages.iter().any(|damage| damage.file == name), "{outcome:?}");
}

#[test]
fn a_manifest_is_made_from_segments() {
    for damaged in [false, true] {
        for clean in [false, true] {
            let (disk, mut objects) = made();
            if !clean {
                let mut opened = store(&disk);
                for n in 100..103 {
                    objects.push((store_one(&mut opened, &content(n, 900), n, true), Some(content(n, 900))));
                }
            }
            let disk = if clean { disk } else { disk.crash_clean() };
            if damaged {
                flip(&disk, "manifest", 20, 1);
            } else {
                disk.remove("manifest").unwrap();
            }
            assert!(matches!(try_store(&disk, &small()), Err(StoreError::Manifest { .. })));
            assert!(matches!(verify(&disk, &mut |_, _| ()), Err(StoreError::Manifest { .. })));
            let before = segments(&disk);
            let mut told = (0, 0);
            let outcome = reindex(&disk, &mut |done, all| told = (done, all)).unwrap();
            assert!(outcome.manifest_rebuilt && outcome.damages.is_empty(), "{outcome:?}");
            assert_eq!(outcome.manifest_aside.as_deref(), damaged.then_some("manifest.aside"));
            assert!(told.1 > 0 && told.0 == told.1, "{told:?}");
            assert!(segments(&disk) == before, "a segment was touched");
            let sound = verify(&disk, &mut |_, _| ()).unwrap();
            assert!(sound.damages.is_empty() && sound.torn.is_empty() && sound.indexes_unfit.is_empty(), "{sound:?}");
            let again = reindex(&disk, &mut |_, _| ()).unwrap();
            assert!(!again.manifest_rebuilt && again.written == outcome.written, "{again:?}");
            all_there(&disk, &objects);
        }
    }
}

#[test]
fn what_is_damaged_stays_marked() {
    let (disk, objects) = made();
    let (name, position) = {
        let opened = store(&disk);
        place(&opened, objects[5].0)
    };
    flip(&disk, &name, position + 30, 1);
    disk.remove("manifest").unwrap();
    let outcome = reindex(&disk, &mut |_, _| ()).unwrap();
    assert_eq!(
        outcome.damages.iter().map(|damage| damage.sequence).collect::<Vec<_>>(),
        [Some(objects[5].0.sequence.0)]
    );
    let opened = store(&disk);
    assert_eq!((opened.report.damages.len(), opened.report.segments), (1, 0));
    assert!(read(&opened.catalog.view(), objects[5].0).is_err());
    assert_eq!(read(&opened.catalog.view(), objects[6].0).as_ref(), Ok(&objects[6].1));
}

#[test]
fn without_a_superblock_nothing_is_made() {
    let (disk, _) = made();
    disk.remove("superblock").unwrap();
    let before = files(&disk);
    assert!(matches!(reindex(&disk, &mut |_, _| ()), Err(StoreError::Superblock { .. })));
    assert!(files(&disk) == before);
}

#[test]
fn an_index_file_that_does_not_fit_is_told_about() {
    let (disk, _) = made();
    let name = files(&disk).into_iter().map(|(name, _)| name).find(|name| name.ends_with(".index")).unwrap();
    flip(&disk, &name, 100, 1);
    let verification = verify(&disk, &mut |_, _| ()).unwrap();
    assert!(verification.damages.is_empty());
    assert!(verification.indexes_unfit[0].starts_with(&name), "{:?}", verification.indexes_unfit);
    assert_eq!(crate::store::inspect(&disk, &mut |_, _| ()).unwrap().indexes_unfit, verification.indexes_unfit);
}
