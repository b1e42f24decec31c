//! Goal: a log gives back what was appended, after any number of reopenings, cuts and replaced suffixes. Method: random
//! operations against a list in memory.

use super::world::*;
use crate::disk::MemoryDisk;
use proptest::prelude::*;

fn run(seed: u64, steps: u64) {
    let mut dice = Dice(seed);
    let disk = MemoryDisk::new();
    let mut model = Model::default();
    let (mut log, _) = open(&disk, at(0, 0));
    for _ in 0..steps {
        match dice.below(12) {
            0 => log.rest().unwrap(),
            1 => log.note_mark().unwrap(),
            2 => {
                // The state has some more of what is committed.
                let committed = model.hard.commit.max(model.applied.index);
                let index = model.applied.index + dice.below(committed - model.applied.index + 1);
                model.applied = at(index, model.term(index));
                log.cut(model.applied).unwrap();
            }
            3 | 4 => {
                let clean = dice.once_in(2);
                if clean {
                    log.close().unwrap();
                } else {
                    drop(log);
                }
                // The state may be ahead of the last cut.
                if dice.once_in(2) {
                    let index = model.hard.commit.max(model.applied.index);
                    model.applied = at(index, model.term(index));
                }
                let (opened, report) = open(&disk, model.applied);
                assert_eq!(report.clean, clean);
                assert_eq!((report.torn, report.damages.len()), (None, 0));
                log = opened;
            }
            _ => {
                let record = dice.record(&model);
                model.take(&record);
                log.append(&record).unwrap();
                model.hard.commit = model.hard.commit.max(model.applied.index);
            }
        }
        model.assert_is(&log);
    }
    let counts = log.counts();
    assert_eq!(counts.records, counts.syncs.min(counts.records));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_log_is_a_list(seed: u64, steps in 1..120u64) {
        run(seed, steps);
    }
}

#[test]
fn many_segments_come_and_go() {
    let disk = MemoryDisk::new();
    let (mut log, _) = open(&disk, at(0, 0));
    for index in 1..=200 {
        log.append(&record(index, index, 1, 3000)).unwrap();
        if index % 10 == 0 {
            log.cut(at(index - 5, 1)).unwrap();
            assert!(log.segments() <= 5, "{} segments", log.segments());
            assert_eq!(log.last(), at(index, 1));
            assert_eq!(log.memory_bytes(), 5 * 3000);
        }
    }
    assert!(log.counts().records == 200 && log.counts().syncs == 200);
    assert!(log.file_bytes() <= 6 * (16 << 10), "{} bytes", log.file_bytes());
    drop(log);
    let (log, report) = open(&disk, at(195, 1));
    assert_eq!((all(&log).len(), report.entries), (5, 5));
}

#[test]
fn a_record_larger_than_a_segment_has_one_of_its_own() {
    let disk = MemoryDisk::new();
    let (mut log, _) = open(&disk, at(0, 0));
    log.append(&record(1, 1, 1, 10)).unwrap();
    log.append(&record(2, 2, 1, 100_000)).unwrap();
    log.append(&record(3, 3, 1, 10)).unwrap();
    assert_eq!(log.segments(), 3);
    drop(log);
    let (log, _) = open(&disk, at(0, 0));
    assert_eq!(all(&log), [entry(1, 1, 10), entry(2, 1, 100_000), entry(3, 1, 10)]);
}
