//! What opening will do with the segment files of a directory, decided from what lies there, what the manifest says and
//! what the mark file says, before anything is changed.
//!
//! Pure; [`directory`](super::directory) looks and applies. The manifest is the truth, unless something that was written
//! later proves that it is an older copy. A file is *ours* if its first sector verifies and names this cluster, disk,
//! volume and base, and the key and the life of the volume.
//!
//! | case | what lies there | what happens |
//! |---|---|---|
//! | N | named by the manifest, and ours | it is read; `journal::plan` says what its tail becomes |
//! | H | named, a file whose first sector does not verify | the same, reported: the sector is damaged, the needles may be whole |
//! | M | named, and nothing lies there | all of it is damaged, not absent; reported |
//! | F | named, whole, of another segment, volume, disk or life: files were swapped, or an old one came back | left as it is, else as M |
//! | I | named, and a directory, a link, unreadable by its rights, or of a later format | left as it is, else as M |
//! | R | never named, ours, something durable in it, in a range that no named file covers: the manifest is behind | taken in again; reported |
//! | P | never named, ours, nothing whole in it: made before a crash | set aside |
//! | O | never named, ours, in a range that another file covers; or dropped for a file that is lost | set aside; reported |
//! | S | never named, and not ours | set aside; reported |
//! | C | never named, ours, compacted, and what it was made of is all there: it was never published | deleted |
//! | W | the mark file knows a segment or an epoch that the manifest does not: the manifest is behind | a new epoch; a segment without a file as M; reported |
//! | Z | dropped by the manifest | deleted |
//!
//! A compacted segment that was never named is R when what it was made of is gone and it ends with a needle, for then it was
//! published once, or holds all the same.
//! Always: only Z and C delete, and in C every byte that counts is in other files; nothing is cut here; what is set aside keeps every byte; nothing that a named file covers is
//! taken from another file; a file that is left as it is may be put right by hand, so nothing about it goes into the manifest.

use super::manifest::{Closed, ManifestState, Record};
use super::mark::{Mark, Marks};
use super::segment_header::SegmentHeader;
use super::{Identity, names};
use crate::base::ids::{Epoch, Sequence, VolumeId};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A segment by its volume, first sequence and edition, as its name says them.
pub(super) type SegmentKey = (VolumeId, Sequence, u32);

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileCase {
    /// A copy that was never published.
    C,
    /// Damaged header.
    H,
    /// It cannot be used.
    I,
    /// Foreign.
    F,
    /// Missing.
    M,
    /// As it should be.
    N,
    /// Overlapping.
    O,
    /// Made before a crash.
    P,
    /// Taken in again.
    R,
    /// A stranger.
    S,
    /// The mark file knows more.
    W,
    /// Dropped.
    Z,
}

/// A file that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileFinding {
    /// The row of the table, by its letter; of small files, which have no row, what they are.
    pub case: String,
    /// The file.
    pub file: String,
    /// What is wrong, and the way out.
    pub what: String,
}

/// What stands under a segment's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stands {
    /// A file with a whole first sector.
    Headed(SegmentHeader),
    /// A file whose first sector does not verify.
    Headless,
    /// A file of a later format version.
    Newer(u32),
    /// Something else than a file: what.
    NoFile(&'static str),
    /// A file that cannot be opened: why.
    Shut(String),
}

/// One name of a segment in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub stands: Stands,
    /// The sequence behind the last whole group; none if there is no whole one, or it was not looked for.
    pub next: Option<Sequence>,
    /// What a compacted segment holds, if it was looked for.
    pub copy: Option<Closed>,
}

/// What will be done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct DirectoryPlan {
    /// The rows that applied, in the order of the names.
    pub cases: Vec<(SegmentKey, FileCase)>,
    /// Facts that the manifest lacks.
    pub records: Vec<Record>,
    /// Named, and not to be read.
    pub lost: BTreeSet<SegmentKey>,
    /// To be deleted.
    pub delete: Vec<SegmentKey>,
    /// To be moved out of the way.
    pub set_aside: Vec<SegmentKey>,
    /// Taken in again.
    pub adopted: Vec<SegmentKey>,
    /// What people should know.
    pub findings: Vec<FileFinding>,
    /// The manifest is an older copy: what it says of epochs is not enough.
    pub manifest_is_old: bool,
}

/// Everything that the plan follows from.
#[derive(Debug, Clone, Copy)]
pub(super) struct DirectorySight<'a> {
    pub identity: &'a Identity,
    pub state: &'a ManifestState,
    pub marks: &'a Marks,
    pub files: &'a BTreeMap<SegmentKey, Standing>,
}

/// Decides what to do with the segment files of a directory.
pub(super) fn plan_directory(sight: &DirectorySight<'_>) -> DirectoryPlan {
    let mut planner = Planner { sight, state: sight.state.clone(), plan: DirectoryPlan::default() };
    planner.find_keys();
    planner.named();
    planner.unnamed();
    planner.witnesses();
    planner.plan.cases.sort();
    planner.plan
}

/// Whether a file that the manifest does not name says by itself that it belongs here.
pub(super) fn says_it_is(header: &SegmentHeader, identity: &Identity, key: SegmentKey) -> bool {
    (header.cluster, header.disk) == (identity.cluster, identity.disk) && says_its_name(header) == key
}

/// The segment that a header names.
pub(super) fn says_its_name(header: &SegmentHeader) -> SegmentKey {
    (header.volume, header.base, header.edition)
}

/// The file that stands for a segment of the manifest.
pub(super) fn key_of(volume: VolumeId, base: Sequence, closed: Option<Closed>) -> SegmentKey {
    (volume, base, closed.map_or(0, |closed| closed.edition))
}

/// The name of that file.
pub(super) fn name_of((volume, base, edition): SegmentKey) -> String {
    names::edition(volume, base, edition)
}

/// Whether the manifest names this very file.
pub(super) fn is_named(state: &ManifestState, key: SegmentKey) -> bool {
    let named = state.volumes.get(&key.0).and_then(|volume| volume.segments.get(&key.1));
    named.is_some_and(|(_, closed)| key_of(key.0, key.1, *closed) == key)
}

struct Planner<'a> {
    sight: &'a DirectorySight<'a>,
    /// The manifest's facts, with those that it lacks.
    state: ManifestState,
    plan: DirectoryPlan,
}

impl Planner<'_> {
    fn know(&mut self, record: Record) {
        self.state.apply(&record);
        self.plan.records.push(record);
    }

    fn find(&mut self, key: SegmentKey, case: FileCase, what: Option<String>) {
        self.plan.cases.push((key, case));
        if let Some(what) = what {
            let file = name_of(key);
            self.plan.findings.push(FileFinding { case: format!("{case:?}"), file, what });
        }
    }

    /// A volume whose creation the manifest has lost has no key: any of its own files says it.
    fn find_keys(&mut self) {
        let keyless: Vec<VolumeId> =
            self.state.volumes.iter().filter(|(_, state)| state.generation == 0).map(|(&volume, _)| volume).collect();
        for volume in keyless {
            let files = self.sight.files.range((volume, Sequence(0), 0)..=(volume, Sequence(u64::MAX), u32::MAX));
            let header = files.filter_map(|(&key, standing)| match &standing.stands {
                Stands::Headed(header) if says_it_is(header, self.sight.identity, key) => Some(*header),
                _ => None,
            });
            if let Some(SegmentHeader { salt, generation, .. }) = header.into_iter().next() {
                self.know(Record::VolumeCreated { volume, salt, generation });
            }
        }
    }

    /// Ours: the header names this place, and the key and life that the volume has.
    fn is_ours(&self, header: &SegmentHeader, key: SegmentKey) -> bool {
        let life = self.state.volumes.get(&key.0).filter(|state| state.generation != 0);
        says_it_is(header, self.sight.identity, key)
            && life.is_none_or(|state| (state.salt, state.generation) == (header.salt, header.generation))
    }

    fn named(&mut self) {
        let keys: Vec<SegmentKey> = self
            .sight
            .state
            .volumes
            .iter()
            .flat_map(|(&volume, state)| {
                state.segments.iter().map(move |(&base, (_, closed))| key_of(volume, base, *closed))
            })
            .collect();
        for key in keys {
            let Some(standing) = self.sight.files.get(&key) else {
                self.plan.lost.insert(key);
                self.find(key, FileCase::M, Some(GONE.to_string()));
                continue;
            };
            let (case, what) = match &standing.stands {
                Stands::Headed(header) if self.is_ours(header, key) => (FileCase::N, None),
                Stands::Headed(header) => (FileCase::F, Some(self.foreign(header, key))),
                Stands::Headless => (FileCase::H, Some(HEADLESS.to_string())),
                Stands::Newer(version) => (FileCase::I, Some(newer(*version))),
                Stands::NoFile(what) => (FileCase::I, Some(no_file(what))),
                Stands::Shut(why) => (FileCase::I, Some(shut(why))),
            };
            if matches!(case, FileCase::F | FileCase::I) {
                self.plan.lost.insert(key);
            }
            self.find(key, case, what);
        }
    }

    /// What a whole file under a wrong name really is, and how to put it right.
    fn foreign(&self, header: &SegmentHeader, key: SegmentKey) -> String {
        let identity = self.sight.identity;
        let really = name_of(says_its_name(header));
        if header.disk != identity.disk || header.cluster != identity.cluster {
            return format!(
                "it is the segment {really} of disk {} in cluster {}, not of this disk: it is left as it is and not served; \
                 stop the node and move it back to its own disk, and this disk's file here",
                header.disk, header.cluster
            );
        }
        if says_its_name(header) == key {
            return format!(
                "it is of another life of volume {:x} (generation {}, or another key): it is left as it is and not served; \
                 stop the node and put this volume's file in its place",
                header.volume.0, header.generation
            );
        }
        let there = self.sight.files.get(&says_its_name(header)).map(|standing| &standing.stands);
        match there {
            Some(Stands::Headed(other)) if says_it_is(other, identity, key) => {
                format!(
                    "it is the segment {really}, and the file of that name is this one: they are swapped, left as they \
                     are and not served; stop the node and swap their names back"
                )
            }
            _ => format!(
                "it is the segment {really}: it is left as it is and not served; stop the node and rename it to {really}"
            ),
        }
    }

    fn unnamed(&mut self) {
        // Of two copies the later one, which may stand for more.
        let mut files: Vec<_> = self.sight.files.iter().collect();
        files.sort_by_key(|((volume, base, edition), _)| (*volume, std::cmp::Reverse(*edition), *base));
        for (&key, standing) in files {
            if is_named(self.sight.state, key) {
                continue;
            }
            if self.state.dropped.contains(&key) {
                if self.stands_in_for_the_lost(key) {
                    self.plan.set_aside.push(key);
                    self.find(key, FileCase::O, Some(STANDS_IN.to_string()));
                } else {
                    self.plan.delete.push(key);
                    self.find(key, FileCase::Z, None);
                }
                continue;
            }
            let (case, what) = match &standing.stands {
                Stands::Headed(header) if self.is_ours(header, key) && key.2 > 0 => {
                    self.unknown_copy(key, standing, header)
                }
                Stands::Headed(header) if self.is_ours(header, key) => self.unknown_of_ours(key, standing, header),
                Stands::Headed(header) => (FileCase::S, Some(format!("{}; {ASIDE}", self.stranger(header)))),
                Stands::Headless => (FileCase::S, Some(format!("its first sector does not verify; {ASIDE}"))),
                Stands::Newer(version) => (FileCase::S, Some(format!("it has format version {version}; {ASIDE}"))),
                Stands::NoFile(what) => (FileCase::S, Some(format!("it is {what}; {ASIDE}"))),
                Stands::Shut(why) => (FileCase::S, Some(format!("it cannot be opened ({why}); {ASIDE}"))),
            };
            match case {
                FileCase::R => {}
                FileCase::C => self.plan.delete.push(key),
                _ => self.plan.set_aside.push(key),
            }
            self.find(key, case, what);
        }
    }

    /// Whether what replaced a dropped segment is itself not there or not to be read.
    fn stands_in_for_the_lost(&self, (volume, base, _): SegmentKey) -> bool {
        let Some(state) = self.state.volumes.get(&volume) else { return false };
        state.segments.range(..=base).next_back().is_some_and(|(&first, (_, closed))| {
            let covers = closed.is_some_and(|closed| base < closed.next);
            covers && self.plan.lost.contains(&key_of(volume, first, *closed))
        })
    }

    /// A compacted segment that the manifest does not name: either it was never published, and all of it is elsewhere too,
    /// or the manifest has lost the record, and what it was made of may be gone.
    fn unknown_copy(
        &mut self,
        key: SegmentKey,
        standing: &Standing,
        header: &SegmentHeader,
    ) -> (FileCase, Option<String>) {
        let (volume, base, _) = key;
        let within: Vec<SegmentKey> = self.state.volumes.get(&volume).map_or_else(Vec::new, |state| {
            let range = state.segments.range(base..header.next.max(base));
            range.map(|(&base, (_, closed))| key_of(volume, base, *closed)).collect()
        });
        let end = self.state.volumes.get(&volume).and_then(|state| {
            let (_, (_, closed)) = state.segments.range(base..header.next.max(base)).next_back()?;
            closed.map(|closed| closed.next)
        });
        let whole = within.first().is_some_and(|first| first.1 == base) && end == Some(header.next);
        let lost = within.iter().filter(|key| self.plan.lost.contains(key)).count();
        if whole && lost == 0 && !self.is_joined(volume, &within) {
            return (FileCase::O, Some(format!("another file has the same sequences; {ASIDE}")));
        }
        if whole && lost == 0 {
            return (FileCase::C, None);
        }
        // A file that stands there and cannot be used now may be put right: nothing is said of it for good.
        let gone = within.iter().all(|key| self.plan.lost.contains(key) && !self.sight.files.contains_key(key));
        let (Some(copy), true) = (standing.copy, gone && !self.is_covered(key, header.next)) else {
            return (FileCase::O, Some(format!("another file has the same sequences; {ASIDE}")));
        };
        // What the volume's digest is there, the segments that it stands for may still say.
        let chain = self.state.volumes.get(&volume).and_then(|state| {
            state.segments.values().filter_map(|(_, closed)| *closed).find(|closed| closed.next == header.next)
        });
        let chain = chain.map_or(0, |closed| closed.chain);
        if self.state.volumes.get(&volume).is_none_or(|state| state.generation == 0) {
            let SegmentHeader { salt, generation, .. } = *header;
            self.know(Record::VolumeCreated { volume, salt, generation });
        }
        self.know(Record::Swap { volume, base, closed: Closed { chain, ..copy } });
        for key in within {
            self.plan.lost.remove(&key);
            self.plan.cases.retain(|(other, _)| *other != key);
            self.plan.findings.retain(|finding| finding.file != name_of(key));
        }
        self.plan.adopted.push(key);
        self.plan.manifest_is_old = true;
        (FileCase::R, Some(ADOPTED.to_string()))
    }

    /// Whether these segments follow one another without a gap.
    fn is_joined(&self, volume: VolumeId, keys: &[SegmentKey]) -> bool {
        let Some(state) = self.state.volumes.get(&volume) else { return false };
        let next =
            |key: &SegmentKey| state.segments.get(&key.1).and_then(|(_, closed)| *closed).map(|closed| closed.next);
        keys.windows(2).all(|pair| next(&pair[0]) == Some(pair[1].1))
    }

    fn unknown_of_ours(
        &mut self,
        key: SegmentKey,
        standing: &Standing,
        header: &SegmentHeader,
    ) -> (FileCase, Option<String>) {
        let (volume, base, _) = key;
        let synced = self.mark(volume).filter(|mark| mark.base == base && mark.mark > base).map(|mark| mark.mark);
        let Some(next) = standing.next.max(synced) else {
            return (FileCase::P, None);
        };
        if self.is_covered(key, next) {
            return (FileCase::O, Some(format!("another file has the same sequences; {ASIDE}")));
        }
        let SegmentHeader { salt, generation, .. } = *header;
        if self.state.volumes.get(&volume).is_none_or(|state| state.generation == 0) {
            self.know(Record::VolumeCreated { volume, salt, generation });
        }
        self.know(Record::SegmentOpened { volume, base, epoch: Epoch(0) });
        self.plan.adopted.push(key);
        self.plan.manifest_is_old = true;
        (FileCase::R, Some(ADOPTED.to_string()))
    }

    fn stranger(&self, header: &SegmentHeader) -> String {
        let really = name_of(says_its_name(header));
        if header.disk == self.sight.identity.disk {
            format!("it is the segment {really} under a wrong name, or of an earlier life of its volume")
        } else {
            format!("it is the segment {really} of disk {}", header.disk)
        }
    }

    /// Whether a file that is taken has one of these sequences.
    fn is_covered(&self, (volume, base, _): SegmentKey, next: Sequence) -> bool {
        let Some(state) = self.state.volumes.get(&volume) else { return false };
        state.segments.iter().any(|(&other, (_, closed))| {
            let key = key_of(volume, other, *closed);
            let file = self.sight.files.get(&key);
            let seen = file.and_then(|standing| standing.next).unwrap_or(other);
            let end = closed.map_or(seen, |closed| closed.next);
            // A segment whose file is lost has nothing to offer for its sequences.
            !self.plan.lost.contains(&key) && other < next && base < end
        })
    }

    fn mark(&self, volume: VolumeId) -> Option<&Mark> {
        self.sight.marks.marks.iter().find(|mark| mark.volume == volume)
    }

    /// What the mark file knows and the manifest that was read did not.
    fn witnesses(&mut self) {
        for mark in &self.sight.marks.marks {
            let key = (mark.volume, mark.base, 0);
            let known = self.sight.state.volumes.get(&mark.volume);
            let dropped = self.sight.state.dropped.contains(&key);
            let last = known.and_then(|state| state.segments.iter().next_back());
            // A mark may be older than the manifest: then its segment is closed since, or part of a compacted one.
            let beyond = last.is_none_or(|(&last, (_, closed))| match closed {
                Some(closed) => mark.base >= closed.next,
                None => mark.base > last,
            });
            let segment_is_new = beyond && !dropped;
            let epoch_is_new = known.is_some_and(|state| mark.epoch > state.epoch());
            if !segment_is_new && !epoch_is_new {
                continue;
            }
            self.plan.manifest_is_old = true;
            let state = self.state.volumes.get(&mark.volume);
            let here = state.is_some_and(|state| state.segments.contains_key(&mark.base));
            let named = state.is_some_and(|state| state.generation != 0);
            if segment_is_new && !here && named {
                // Its objects are damaged, not absent: caches would keep a 404.
                self.know(Record::SegmentOpened { volume: mark.volume, base: mark.base, epoch: Epoch(0) });
                self.plan.lost.insert(key);
            }
            let what = if here || !segment_is_new { OLD_MANIFEST } else { OLD_MANIFEST_AND_GONE };
            self.find(key, FileCase::W, Some(what.to_string()));
        }
    }
}

const GONE: &str =
    "the manifest names it and it is gone: its objects are answered as damaged; stop the node and put it back";
const HEADLESS: &str =
    "its first sector does not verify: it goes on, for the manifest says the same; its needles are checked one by one";
const ASIDE: &str =
    "the manifest never named it, so it is set aside and kept: look at it, then delete it or put it where it belongs";
const ADOPTED: &str = "the manifest does not name it though it holds acknowledged objects, so the manifest is an older copy or lost \
    records: it is taken in again; run `larder volume verify` when the node is stopped";
const STANDS_IN: &str = "it was compacted into a file that is gone or not to be read: it is set aside and kept; stop the node and put that file back";
const OLD_MANIFEST: &str = "the mark file knows of more than the manifest: the manifest is an older copy or lost records; what lies here is taken in again";
const OLD_MANIFEST_AND_GONE: &str = "the mark file knows it, the manifest does not and there is no such file: the manifest is an \
    older copy and the file is gone; its objects cannot be served; stop the node and restore both";

fn newer(version: u32) -> String {
    format!(
        "it has format version {version}, which this program does not know: it is left as it is and not served; use a newer larder"
    )
}

fn no_file(what: &str) -> String {
    format!(
        "it is {what} where a file should be: it is left as it is; stop the node, move it away and put the file back"
    )
}

pub(super) fn shut(why: &impl std::fmt::Display) -> String {
    format!(
        "it cannot be opened ({why}): its objects are answered as damaged; give the node's user the right to read and write it"
    )
}
