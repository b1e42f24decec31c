//! Opens a data directory: lock, identity, manifest, recovery, and the parts that a node works with.
//!
//! Runs once a disk, on a thread that may wait. An empty directory is formatted, with the superblock last: a directory
//! without one holds nothing. Always: nothing is written before the lock is held and the directory is known to be ours.

use super::appender::{Appender, ClockHandle};
use super::catalog::Catalog;
use super::error::StoreError;
use super::handles::Handles;
use super::manifest::{MANIFEST_MAGIC, MANIFEST_REWRITE_BYTES, MANIFEST_VERSION, ManifestState, Record};
use super::mark::{MARK_MAGIC, MARK_SLOT_BYTES, MARK_VERSION, Marks};
use super::recovery::{Cut, Finding, Recovery};
use super::segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::superblock::{FORMAT_VERSION, Superblock, SuperblockContent};
use super::{Identity, StoreOptions, names};
use crate::base::clock::Clock;
use crate::base::ids::{ClusterId, DiskId, Epoch, NodeId, VolumeId};
use crate::base::limits::SEGMENT_BYTES_MAX;
use crate::base::random::Random;
use crate::disk::{Disk, EntryKind, File, Lock, Open};
use crate::journal::{LogContent, LogError, Pair, RecordLog};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// The reserve is at least this, and at least a 32nd of the disk, and at most a segment.
const RESERVE_BYTES_MIN: u64 = 64 << 20;
const RESERVE_SHARE: u64 = 32;

/// Directories that may lie in a data directory: of the file system, and of the master.
const DIRECTORIES_ALLOWED: [&str; 2] = ["lost+found", "master"];

/// What was found and done when a disk was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct OpenReport {
    /// The directory was empty and is formatted now.
    pub formatted: bool,
    /// The last run stopped cleanly.
    pub clean: bool,
    /// Volumes.
    pub volumes: u64,
    /// Segments that were read.
    pub segments: u64,
    /// Bytes of their files.
    pub scanned_bytes: u64,
    /// How often each row of the table in `journal::plan` applied, by its letter.
    pub cases: BTreeMap<String, u64>,
    /// Torn tails.
    pub cuts: Vec<Cut>,
    /// Durable needles that do not verify.
    pub damages: Vec<Finding>,
    /// Segment files that the manifest names and the directory lacks.
    pub missing_segments: Vec<String>,
    /// Segments whose first sector does not verify; everything in it is in the manifest too.
    pub headers_damaged: u64,
    /// Frames whose digest contradicts the needles before them.
    pub chain_breaks: u64,
    /// Bytes that the device would not give.
    pub unreadable_bytes: u64,
    /// Files that the manifest never named, and where they are now.
    pub set_aside: Vec<String>,
    /// Files that the manifest had dropped and that are deleted now.
    pub deleted: Vec<String>,
    /// Segments taken in from their own headers, because the manifest is damaged.
    pub adopted: Vec<String>,
    /// Records of the manifest that do not verify.
    pub manifest_damaged: u64,
    /// The manifest was written anew.
    pub manifest_rewritten: bool,
    /// The reserve could not be made for want of room.
    pub reserve_missing: bool,
}

/// An open disk.
#[derive(Debug)]
pub struct Opened {
    /// Whose it is.
    pub identity: Identity,
    /// For raising the highest volume number.
    pub superblock: Arc<Superblock>,
    /// For lookups.
    pub catalog: Arc<Catalog>,
    /// For the append lane.
    pub appender: Appender,
    /// What happened.
    pub report: OpenReport,
}

/// Opens a data directory, and formats an empty one. `expected` is the cluster and node that it must belong to; a new
/// directory takes them, or makes its own.
///
/// # Errors
/// [`StoreError`]; damage to needles is none, it is in the report.
pub fn open(
    disk: Arc<dyn Disk>,
    expected: Option<(ClusterId, NodeId)>,
    options: &StoreOptions,
    clock: Arc<dyn Clock>,
) -> Result<Opened, StoreError> {
    check_options(options)?;
    // A stranger's directory gets no lock file; and what was empty a moment ago may have been formatted meanwhile.
    is_formatted(&*disk)?;
    let lock = take_lock(&*disk)?;
    let formatted = is_formatted(&*disk)?;
    let mut report = OpenReport { formatted: !formatted, ..OpenReport::default() };
    let superblock = if formatted { None } else { Some(format(&*disk, expected)?) };
    for name in [names::SUPERBLOCK, names::MANIFEST, names::MARK] {
        look_at_the_disk(&*disk, name)?;
    }
    let (identity, content) = match superblock {
        Some(identity) => (identity, None),
        None => {
            let content = SuperblockContent::read(&*disk)?;
            check_identity(&*disk, &content.identity, expected)?;
            (content.identity, Some(content))
        }
    };
    let (mut state, manifest) = read_manifest(&*disk, &identity)?;
    report.manifest_damaged = manifest.damaged;
    let (marks, mark) = open_marks(&*disk)?;
    report.clean = marks.clean;
    let mut news = tidy(&*disk, &identity, &mut state, &manifest, &mut report)?;

    let handles = Handles::new(Arc::clone(&disk), options.open_files_max);
    let catalog = Arc::new(Catalog::default());
    let mut recovery = Recovery {
        disk: &disk,
        identity: &identity,
        options,
        clock: &*clock,
        handles: &handles,
        catalog: &catalog,
        marks: &marks,
        report: &mut report,
        news: Vec::new(),
    };
    let writers = recovery.run(&state)?;
    news.append(&mut recovery.news);
    for record in &news {
        state.apply(record);
    }
    let manifest = resume_manifest(&*disk, &identity, manifest, &state, &news, &mut report)?;

    let floor = state.volumes.keys().next_back().copied().unwrap_or(VolumeId(0));
    let superblock = match content {
        Some(content) => Superblock::resume(&*disk, &content, floor, lock)?,
        None => Superblock::create(&*disk, identity, lock)?,
    };
    make_reserve(&*disk, options, &mut report)?;
    let active = writers.values().rev().find(|writer| !writer.sealed).map(|writer| writer.volume);
    let now = clock.now();
    let appender = Appender {
        disk,
        clock: ClockHandle(clock),
        options: options.clone(),
        identity,
        catalog: Arc::clone(&catalog),
        handles,
        manifest,
        mark,
        clean: marks.clean,
        marked: marks,
        marked_at: now,
        writers,
        active,
        spare: None,
        failed: None,
        scratch: Vec::new(),
        random: Random::default(),
    };
    Ok(Opened { identity, superblock: Arc::new(superblock), catalog, appender, report })
}

fn check_options(options: &StoreOptions) -> Result<(), StoreError> {
    let least = 4 * SEGMENT_HEADER_BYTES as u64;
    let bad = |option, value, reason| Err(StoreError::Options { option, value, reason });
    if options.segment_bytes > SEGMENT_BYTES_MAX {
        return bad("segment_bytes", options.segment_bytes, "a segment takes at most 4 GiB");
    }
    if options.segment_bytes < least {
        return bad("segment_bytes", options.segment_bytes, "a segment takes at least 2 KiB");
    }
    if options.volume_bytes < least {
        return bad("volume_bytes", options.volume_bytes, "a volume takes at least 2 KiB");
    }
    Ok(())
}

/// Whether there is a superblock; an error if there is none and the directory is not empty either.
pub(super) fn is_formatted(disk: &dyn Disk) -> Result<bool, StoreError> {
    let entries = disk.list().map_err(StoreError::io(disk, "", "list"))?;
    if entries.iter().any(|entry| entry.name == names::SUPERBLOCK) {
        return Ok(true);
    }
    for entry in &entries {
        let name = entry.name.as_str();
        if names::parse_segment(name).is_some() {
            return Err(StoreError::Superblock { place: format!("{}/{}", disk.place(), names::SUPERBLOCK) });
        }
        // What a format that did not end leaves behind.
        let ours = [names::LOCK, names::MANIFEST, names::MARK, names::RESERVE].contains(&name)
            || [names::MANIFEST, names::SUPERBLOCK].iter().any(|file| name == format!("{file}.tmp"));
        let allowed = entry.kind == EntryKind::Directory && DIRECTORIES_ALLOWED.contains(&name);
        if !ours && !allowed {
            return Err(StoreError::NotLarder { place: disk.place(), found: entry.name.clone() });
        }
    }
    Ok(false)
}

pub(super) fn take_lock(disk: &dyn Disk) -> Result<Box<dyn Lock>, StoreError> {
    disk.lock(names::LOCK).map_err(|error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            StoreError::Locked { place: disk.place() }
        } else {
            StoreError::io(disk, names::LOCK, "lock")(error)
        }
    })
}

/// After a failed sync the page cache shows what the disk lacks, also to the next process: write what is dirty, then
/// forget the cache, so that what is read is what a power cut would leave.
fn look_at_the_disk(disk: &dyn Disk, name: &str) -> Result<(), StoreError> {
    let look = || -> io::Result<()> {
        let file = disk.open(name, Open::Write)?;
        file.sync_all()?;
        file.drop_pages()
    };
    match look() {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(disk, name, "sync")(error)),
        _ => Ok(()),
    }
}

pub(super) fn check_identity(
    disk: &dyn Disk,
    found: &Identity,
    expected: Option<(ClusterId, NodeId)>,
) -> Result<(), StoreError> {
    let Some((cluster, node)) = expected else { return Ok(()) };
    let foreign =
        |what, found: String, expected: String| Err(StoreError::Foreign { place: disk.place(), what, found, expected });
    if found.cluster != cluster {
        return foreign("cluster", found.cluster.to_string(), cluster.to_string());
    }
    if found.node != node {
        return foreign("node", found.node.to_string(), node.to_string());
    }
    Ok(())
}

/// Makes an empty manifest and forgets what an earlier attempt left; the superblock comes last, elsewhere.
fn format(disk: &dyn Disk, expected: Option<(ClusterId, NodeId)>) -> Result<Identity, StoreError> {
    let mut random = Random::default();
    let make = |random: &mut Random| -> io::Result<Identity> {
        for name in [names::MARK.to_string(), names::RESERVE.to_string(), format!("{}.tmp", names::SUPERBLOCK)] {
            remove_if_there(disk, &name)?;
        }
        let (cluster, node) = match expected {
            Some(expected) => expected,
            None => (ClusterId(random.wide()?), NodeId(random.wide()?)),
        };
        let identity = Identity { cluster, node, disk: DiskId(random.wide()?) };
        let owner = identity.disk.0;
        RecordLog::replace(disk, names::MANIFEST, (MANIFEST_MAGIC, MANIFEST_VERSION, random.number()?, owner), &[])?;
        Ok(identity)
    };
    make(&mut random).map_err(StoreError::io(disk, names::MANIFEST, "format"))
}

fn remove_if_there(disk: &dyn Disk, name: &str) -> io::Result<()> {
    match disk.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The manifest's facts, and the log they came from.
pub(super) fn read_manifest(disk: &dyn Disk, identity: &Identity) -> Result<(ManifestState, LogContent), StoreError> {
    let place = || format!("{}/{}", disk.place(), names::MANIFEST);
    let file = match disk.open(names::MANIFEST, Open::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StoreError::Manifest { place: place() }),
        Err(error) => return Err(StoreError::io(disk, names::MANIFEST, "open")(error)),
    };
    let content = LogContent::read(&*file, MANIFEST_MAGIC, MANIFEST_VERSION).map_err(|error| match error {
        LogError::Io(error) => StoreError::io(disk, names::MANIFEST, "read")(error),
        LogError::Header => StoreError::Manifest { place: place() },
        LogError::Version(found) => StoreError::Newer { place: place(), found, known: MANIFEST_VERSION },
    })?;
    if content.owner != identity.disk.0 {
        return Err(StoreError::Foreign {
            place: place(),
            what: "disk",
            found: DiskId(content.owner).to_string(),
            expected: identity.disk.to_string(),
        });
    }
    let mut state = ManifestState::default();
    for (kind, body) in &content.records {
        let record = Record::parse(*kind, body).ok_or_else(|| StoreError::Newer {
            place: format!("{}: record kind {kind}", place()),
            found: FORMAT_VERSION + 1,
            known: FORMAT_VERSION,
        })?;
        state.apply(&record);
    }
    Ok((state, content))
}

/// What the mark file says; nothing if it is gone or damaged, which only means that less is proven.
pub(super) fn read_marks(file: &Arc<dyn File>) -> io::Result<(Marks, Option<(u64, u64)>)> {
    Ok(match Pair::read(file, MARK_MAGIC, MARK_SLOT_BYTES)? {
        Some((content, slot)) if content.version == MARK_VERSION => {
            (Marks::parse(&content.body).unwrap_or_default(), Some((content.counter, slot)))
        }
        _ => (Marks::default(), None),
    })
}

fn open_marks(disk: &dyn Disk) -> Result<(Marks, Pair), StoreError> {
    let open = || -> io::Result<(Marks, Pair)> {
        let file = match disk.open(names::MARK, Open::Write) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = disk.open(names::MARK, Open::Create)?;
                // Room and not a hole: on a full disk the marks are still written.
                file.allocate(0, 2 * MARK_SLOT_BYTES as u64)?;
                file.sync_all()?;
                disk.sync_directory()?;
                file
            }
            Err(error) => return Err(error),
        };
        let (marks, held) = read_marks(&file)?;
        Ok((marks, Pair::resume(file, MARK_MAGIC, MARK_VERSION, MARK_SLOT_BYTES, held)))
    };
    open().map_err(StoreError::io(disk, names::MARK, "open"))
}

/// Brings the directory in line with the manifest: dropped files go, unknown ones are set aside, and after damage to the
/// manifest those that name themselves ours are taken in.
fn tidy(
    disk: &dyn Disk,
    identity: &Identity,
    state: &mut ManifestState,
    manifest: &LogContent,
    report: &mut OpenReport,
) -> Result<Vec<Record>, StoreError> {
    let entries = disk.list().map_err(StoreError::io(disk, "", "list"))?;
    let mut news = Vec::new();
    for entry in entries {
        let name = entry.name.as_str();
        let Some((volume, base)) = names::parse_segment(name) else {
            continue;
        };
        let named = state.volumes.get(&volume).is_some_and(|state| state.segments.contains_key(&base));
        if named {
            continue;
        }
        if state.dropped.contains(&(volume, base)) {
            disk.remove(name).map_err(StoreError::io(disk, name, "remove"))?;
            report.deleted.push(entry.name.clone());
            continue;
        }
        let lossy = manifest.damaged > 0 || manifest.torn.is_some();
        match lossy.then(|| read_header(disk, name)).transpose()?.flatten() {
            Some(header) if header.disk == identity.disk && (header.volume, header.base) == (volume, base) => {
                let SegmentHeader { salt, generation, .. } = header;
                let records = [
                    Record::VolumeCreated { volume, salt, generation },
                    Record::SegmentOpened { volume, base, epoch: Epoch(0) },
                ];
                records.iter().for_each(|record| state.apply(record));
                news.extend(records);
                report.adopted.push(entry.name.clone());
            }
            _ => report.set_aside.push(set_aside(disk, name)?),
        }
    }
    if !report.deleted.is_empty() || !report.set_aside.is_empty() {
        disk.sync_directory().map_err(StoreError::io(disk, "", "sync"))?;
    }
    Ok(news)
}

fn read_header(disk: &dyn Disk, name: &str) -> Result<Option<SegmentHeader>, StoreError> {
    let mut sector = [0; SEGMENT_HEADER_BYTES];
    let file = disk.open(name, Open::Read).map_err(StoreError::io(disk, name, "open"))?;
    file.read_at(&mut sector, 0).map_err(StoreError::io(disk, name, "read"))?;
    Ok(SegmentHeader::parse(&sector))
}

fn set_aside(disk: &dyn Disk, name: &str) -> Result<String, StoreError> {
    let taken = disk.list().map_err(StoreError::io(disk, "", "list"))?;
    let free = (0..u32::MAX).map(|number| names::aside(name, number));
    let aside = free
        .into_iter()
        .find(|aside| taken.iter().all(|entry| entry.name != *aside))
        .expect("a directory holds fewer files than there are numbers");
    disk.rename(name, &aside).map_err(StoreError::io(disk, name, "set aside"))?;
    Ok(aside)
}

/// The manifest, ready to be appended to: with the news, and without its past if that is most of it.
fn resume_manifest(
    disk: &dyn Disk,
    identity: &Identity,
    content: LogContent,
    state: &ManifestState,
    news: &[Record],
    report: &mut OpenReport,
) -> Result<RecordLog, StoreError> {
    let resume = |report: &mut OpenReport| -> io::Result<RecordLog> {
        let file = disk.open(names::MANIFEST, Open::Write)?;
        let mut log = RecordLog::resume(file, &content)?;
        let large = log.bytes() > MANIFEST_REWRITE_BYTES && content.records.len() > 2 * state.records().len();
        if large || content.damaged > 0 {
            // Dropped files are gone, durably, so they need not be remembered.
            let mut lasting = state.clone();
            lasting.dropped.clear();
            let records: Vec<_> = lasting.records().iter().map(Record::encode).collect();
            let salt = Random::default().number()?;
            report.manifest_rewritten = true;
            let head = (MANIFEST_MAGIC, MANIFEST_VERSION, salt, identity.disk.0);
            return RecordLog::replace(disk, names::MANIFEST, head, &records);
        }
        if !news.is_empty() {
            let records: Vec<_> = news.iter().map(Record::encode).collect();
            log.append(&records)?;
        }
        Ok(log)
    };
    resume(report).map_err(StoreError::io(disk, names::MANIFEST, "write"))
}

/// Room for deletes and compaction on a full disk. A disk that is full already goes without, and is told about.
fn make_reserve(disk: &dyn Disk, options: &StoreOptions, report: &mut OpenReport) -> Result<(), StoreError> {
    let make = |report: &mut OpenReport| -> io::Result<()> {
        let bytes = match options.reserve_bytes {
            Some(bytes) => bytes,
            None => (disk.space()?.total / RESERVE_SHARE).max(RESERVE_BYTES_MIN).min(options.segment_bytes),
        };
        let file = match disk.open(names::RESERVE, Open::Write) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => disk.open(names::RESERVE, Open::Create)?,
            Err(error) => return Err(error),
        };
        let held = file.len()?;
        if held >= bytes {
            return Ok(());
        }
        match file.allocate(held, bytes - held) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => report.reserve_missing = true,
            Err(error) => return Err(error),
            Ok(()) => {
                file.sync_all()?;
                disk.sync_directory()?;
            }
        }
        Ok(())
    };
    make(report).map_err(StoreError::io(disk, names::RESERVE, "make"))
}
