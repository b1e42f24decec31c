//! Goal: recovery does what the table in `journal::plan` says for every kind of tail, with every kind of proof, in an open
//! and in a closed segment, in the first and in a later one; and doing it again changes nothing. Method: each combination
//! made byte by byte; the letters, the fate of each object and the bytes of the files against the table below.

use super::forge::*;
use super::world::{files, read, store};
use crate::base::ids::VolumeId;
use crate::disk::MemoryDisk;
use crate::store::{Opened, verify};

/// What the last group that was written looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    TornHeader,
    TornPayload,
    TornFrame,
    Zeros,
    /// A torn header with a whole group behind it that was written in the same breath.
    ValidAfter,
    Garbage,
    OldSalt,
    OtherVolume,
    /// The group is whole; something lies behind it.
    Extended,
}

const TAILS: [Tail; 9] = [
    Tail::TornHeader,
    Tail::TornPayload,
    Tail::TornFrame,
    Tail::Zeros,
    Tail::ValidAfter,
    Tail::Garbage,
    Tail::OldSalt,
    Tail::OtherVolume,
    Tail::Extended,
];

/// What says that the group was durable, beside the manifest when it has closed the segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Witness {
    None,
    LaterFrame,
    MarkFile,
    Successor,
}

const WITNESSES: [Witness; 4] = [Witness::None, Witness::LaterFrame, Witness::MarkFile, Witness::Successor];

/// What becomes of the object in the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Whole,
    Damaged,
    Absent,
}

#[derive(Debug, Clone, Copy)]
struct Combination {
    tail: Tail,
    witness: Witness,
    closed: bool,
    first: bool,
}

impl Combination {
    fn proven(self) -> bool {
        self.closed || self.witness != Witness::None
    }

    fn followed(self) -> bool {
        self.tail == Tail::ValidAfter || self.witness == Witness::LaterFrame
    }

    /// Proven from outside the segment: then bodies are not read at start, and needles are looked for without their frame.
    fn is_proven_outside(self) -> bool {
        self.closed || matches!(self.witness, Witness::MarkFile | Witness::Successor)
    }

    /// The table: letters of the segment, and the fate of the object.
    fn expected(self) -> (&'static str, Fate) {
        match (self.tail, self.proven()) {
            (Tail::Extended, _) if self.closed => ("XA", Fate::Whole),
            (Tail::Extended, _) => ("B", Fate::Whole),
            (Tail::Zeros, false) => ("A", Fate::Absent),
            (_, false) => ("B", Fate::Absent),
            (Tail::TornPayload, true) if self.is_proven_outside() => ("A", Fate::Damaged),
            (Tail::TornFrame, true) if self.is_proven_outside() => ("VA", Fate::Whole),
            (_, true) if self.followed() => ("CA", Fate::Damaged),
            (Tail::Zeros, true) => ("E", Fate::Damaged),
            (_, true) => ("D", Fate::Damaged),
        }
    }
}

/// A directory with that tail: its disk, the base of the segment, and the sequence of the group.
fn made(combination: Combination) -> (MemoryDisk, u64, u64) {
    let (disk, identity) = formatted();
    let mut segments = Vec::new();
    let mut chain = 0;
    let base = if combination.first { 0 } else { EACH };
    if !combination.first {
        segments.push(Forged::full(identity.disk, 0, chain));
        chain = segments[0].chain;
    }
    let mut segment = Forged::new(identity.disk, base, chain);
    let target = base + 2;
    segment.push(base, base);
    segment.push(base + 1, base + 1);
    let chain_before = segment.chain;
    segment.push(target, target);
    if combination.followed() {
        // Its mark is what proves the group before it, or does not.
        let mark = if combination.witness == Witness::LaterFrame { target + 1 } else { target };
        segment.push(target + 1, mark);
    }
    segment.closed = combination.closed;
    let group = segment.groups[2].clone();
    let (from, needle, end) = (group.position as usize, group.needle as usize, group.end as usize);
    match combination.tail {
        Tail::TornHeader | Tail::ValidAfter => segment.bytes[needle + 30..needle + 60].fill(0),
        Tail::TornPayload => segment.bytes[end - 200..end - 100].fill(0x55),
        Tail::TornFrame => segment.bytes[from + 20..from + 60].fill(0),
        Tail::Zeros => segment.bytes[from..end].fill(0),
        Tail::Garbage => {
            (from..end).for_each(|at| segment.bytes[at] = (at.wrapping_mul(2_654_435_761) >> 7) as u8 | 1);
        }
        Tail::OldSalt => {
            let (old, _) = group_bytes(VOLUME, SALT + 1, target, target, group.position, chain_before);
            segment.bytes[from..end].copy_from_slice(&old);
        }
        Tail::OtherVolume => {
            let (other, _) = group_bytes(VolumeId(9), SALT, target, target, group.position, chain_before);
            segment.bytes[from..end].copy_from_slice(&other);
        }
        Tail::Extended => {
            let behind = segment.bytes.len().next_multiple_of(512);
            segment.bytes.resize(behind, 0);
            segment.bytes.extend((0..900u32).map(|at| (at % 250) as u8 + 1));
        }
    }
    let next = segment.next();
    let chain = segment.chain;
    segments.push(segment);
    if combination.witness == Witness::Successor {
        let mut successor = Forged::new(identity.disk, next, chain);
        successor.push(next, next);
        successor.closed = false;
        segments.push(successor);
    }
    for segment in &segments {
        write(&disk, &name(segment.base), &segment.bytes);
    }
    write_manifest(&disk, &identity, &records(&segments));
    write_mark(&disk, false, (combination.witness == Witness::MarkFile).then_some((base, next)));
    (disk, base, target)
}

fn fate(opened: &Opened, sequence: u64) -> Fate {
    match read(&opened.catalog.view(), id(sequence)) {
        Ok(Some(bytes)) => {
            assert_eq!(bytes, object(sequence));
            Fate::Whole
        }
        Ok(None) => Fate::Absent,
        Err(_) => Fate::Damaged,
    }
}

fn bytes_of(disk: &MemoryDisk, name: &str) -> Vec<u8> {
    files(disk).into_iter().find(|(file, _)| file == name).map(|(_, bytes)| bytes).unwrap_or_default()
}

/// Letters of all segments, sorted: those that are whole have an A each.
fn letters(opened: &Opened) -> String {
    opened.report.cases.iter().map(|(letter, &count)| letter.repeat(count as usize)).collect()
}

fn check_fates(opened: &Opened, combination: Combination, base: u64, target: u64) {
    let (letters, expected) = combination.expected();
    let cut = letters == "B" && expected == Fate::Absent;
    assert_eq!(fate(opened, target), expected, "the target");
    for sequence in (0..target).filter(|&sequence| sequence < EACH || sequence >= base) {
        assert_eq!(fate(opened, sequence), Fate::Whole, "{sequence}");
    }
    if combination.followed() {
        assert_eq!(fate(opened, target + 1), if cut { Fate::Absent } else { Fate::Whole }, "the one behind");
    }
    if combination.witness == Witness::Successor {
        let next = target + 1 + u64::from(combination.followed());
        assert_eq!(fate(opened, next), Fate::Whole, "in the next segment");
    }
}

fn check(combination: Combination) {
    let (disk, base, target) = made(combination);
    let (letters_of, expected) = combination.expected();
    let before = bytes_of(&disk, &name(base));

    // The offline check says the same beforehand, and changes nothing.
    let all = files(&disk);
    let verification = verify(&disk, &mut |_, _| ()).unwrap();
    assert!(all == files(&disk));
    let is_damage = expected == Fate::Damaged || letters_of.contains('X') || letters_of == "VA";
    assert_eq!(!verification.damages.is_empty(), is_damage, "{verification:?}");
    assert_eq!(!verification.torn.is_empty(), letters_of == "B", "{verification:?}");

    let opened = store(&disk);
    let report = &opened.report;
    let others = usize::from(!combination.first) + usize::from(combination.witness == Witness::Successor);
    let mut want: Vec<char> = letters_of.chars().chain("A".repeat(others).chars()).collect();
    want.sort_unstable();
    assert_eq!(letters(&opened), want.into_iter().collect::<String>(), "{report:?}");
    check_fates(&opened, combination, base, target);
    let after = bytes_of(&disk, &name(base));
    if letters_of == "B" {
        let [cut] = &report.cuts[..] else { panic!("{:?}", report.cuts) };
        let kept = [&before[..cut.position as usize], &bytes_of(&disk, &cut.copy)[..]].concat();
        let least = before.iter().rposition(|&byte| byte != 0).unwrap() + 1;
        assert!(kept.len() >= least && before[..least] == kept[..least], "every byte is in one of the two files");
        assert_eq!(after, before[..cut.position as usize]);
    } else {
        assert!(report.cuts.is_empty(), "{:?}", report.cuts);
        assert_eq!(before, after, "not a byte of the segment changed");
    }
    let marked: u64 = report.damages.iter().map(|damage| damage.count).sum();
    let seen_at_start = expected == Fate::Damaged && letters_of != "A";
    assert_eq!(marked, u64::from(seen_at_start), "{:?}", report.damages);
    assert!(report.damages.iter().all(|damage| damage.new && damage.first == target));
    let stats = opened.catalog.stats();
    drop(opened);

    let before = files(&disk);
    let again = store(&disk);
    assert!(
        again.report.cuts.is_empty() && again.report.damages.iter().all(|damage| !damage.new),
        "{:?}",
        again.report
    );
    check_fates(&again, combination, base, target);
    assert_eq!(again.catalog.stats(), stats);
    drop(again);
    assert!(before == files(&disk), "a second recovery changed a file");
}

#[test]
fn every_tail_with_every_proof_in_every_segment() {
    for tail in TAILS {
        for witness in WITNESSES {
            for closed in [false, true] {
                for first in [true, false] {
                    let combination = Combination { tail, witness, closed, first };
                    println!("{combination:?}");
                    check(combination);
                }
            }
        }
    }
}
