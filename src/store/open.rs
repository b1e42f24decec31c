//! Opens a data directory: lock, identity, manifest, recovery, and the parts that a node works with.
//!
//! Runs once a disk, on a thread that may wait. An empty directory is formatted, with the superblock last: a directory
//! without one holds nothing. Always: nothing is written before the lock is held and the directory is known to be ours.

use super::appender::{Appender, ClockHandle};
use super::catalog::Catalog;
use super::compaction::Compaction;
use super::directory::{self, copy_aside};
use super::directory_plan::FileFinding;
use super::error::StoreError;
use super::handles::Handles;
use super::manifest::{MANIFEST_MAGIC, MANIFEST_REWRITE_BYTES, MANIFEST_VERSION, ManifestState, Record};
use super::mark::{MARK_MAGIC, MARK_SLOT_BYTES, MARK_VERSION, Marks};
use super::recovery::{self, Cut, Finding, Recovery};
use super::reserve::{self, Reserve};
use super::segment_header::SEGMENT_HEADER_BYTES;
use super::snapshot::{self, Snapshots};
use super::superblock::{FORMAT_VERSION, Superblock, SuperblockContent};
use super::{Identity, StoreOptions, names};
use crate::base::clock::Clock;
use crate::base::ids::{ClusterId, DiskId, NodeId, VolumeId};
use crate::base::limits::SEGMENT_BYTES_MAX;
use crate::base::progress::Progress;
use crate::base::random::Random;
use crate::disk::{Disk, Entry, EntryKind, File, Lock, Open};
use crate::journal::{LogContent, LogError, Pair, RecordLog, failed_sync};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// Pieces of the reserve that one opening takes at most: each is an eighth or more, so that nothing is left before.
const GIVES_MAX: u64 = 64;

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
    /// Segments that were walked, from their beginning or from where their index file ends.
    pub segments: u64,
    /// Bytes that were walked.
    pub scanned_bytes: u64,
    /// Segments whose index file was taken.
    pub segments_loaded: u64,
    /// Index files that were thrown away, each with the reason.
    pub snapshots_refused: Vec<String>,
    /// How often each row of the table in `journal::plan` applied, by its letter.
    pub cases: BTreeMap<String, u64>,
    /// Torn tails.
    pub cuts: Vec<Cut>,
    /// Durable needles that do not verify.
    pub damages: Vec<Finding>,
    /// How often each row of the table in `store::directory_plan` applied, by its letter.
    pub file_cases: BTreeMap<String, u64>,
    /// Files that are not what they should be, each with the way out.
    pub findings: Vec<FileFinding>,
    /// Segment files that the manifest names, and that are gone or not to be read.
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
    /// Segments taken in from their own headers, because the manifest is an older copy or damaged.
    pub adopted: Vec<String>,
    /// The manifest is an older copy, or lost records.
    pub manifest_is_old: bool,
    /// Records of the manifest that do not verify.
    pub manifest_damaged: u64,
    /// The manifest was written anew.
    pub manifest_rewritten: bool,
    /// The reserve could not be made whole for want of room: the disk begins as a full one.
    pub reserve_missing: bool,
    /// Pieces of the reserve that opening itself needed.
    pub reserve_given: u64,
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
    /// For the background thread.
    pub compaction: Compaction,
    /// For whoever needs room on a full disk.
    pub reserve: Arc<Reserve>,
    /// For the background thread: writes index files.
    pub snapshots: Arc<Snapshots>,
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
    open_watched(&disk, expected, options, &clock, &Progress::default())
}

/// As [`open`], telling how it goes on. A full disk gives room of its reserve for what recovery writes.
///
/// # Errors
/// As [`open`].
pub fn open_watched(
    disk: &Arc<dyn Disk>,
    expected: Option<(ClusterId, NodeId)>,
    options: &StoreOptions,
    clock: &Arc<dyn Clock>,
    progress: &Progress,
) -> Result<Opened, StoreError> {
    let mut given = 0;
    loop {
        match open_once(Arc::clone(disk), expected, options, Arc::clone(clock), progress) {
            Err(error) if error.is_full() && given < GIVES_MAX => {
                // What was done before the room ran out is done again; recovery may be repeated.
                if !reserve::give_before_open(&**disk).map_err(StoreError::io(&**disk, names::RESERVE, "cut"))? {
                    return Err(error);
                }
                given += 1;
            }
            Ok(mut opened) => {
                opened.report.reserve_given = given;
                return Ok(opened);
            }
            Err(error) => return Err(error),
        }
    }
}

fn open_once(
    disk: Arc<dyn Disk>,
    expected: Option<(ClusterId, NodeId)>,
    options: &StoreOptions,
    clock: Arc<dyn Clock>,
    progress: &Progress,
) -> Result<Opened, StoreError> {
    check_options(options)?;
    let options = &match options.fit_segments {
        true => options.fitted(disk.space().map_err(StoreError::io(&*disk, "", "statvfs"))?.total),
        false => options.clone(),
    };
    // A stranger's directory gets no lock file; and what was empty a moment ago may have been formatted meanwhile.
    is_formatted(&*disk)?;
    let lock = take_lock(&*disk)?;
    let formatted = is_formatted(&*disk)?;
    let mut report = OpenReport { formatted: !formatted, ..OpenReport::default() };
    let superblock = if formatted { None } else { Some(format(&*disk, expected)?) };
    for name in [names::SUPERBLOCK, names::MANIFEST, names::MARK] {
        progress.advance();
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
    let (marks, mark) = open_marks(&*disk, &mut report)?;
    if let Some(content) = &content {
        report.findings.extend(small_findings(content, &manifest));
    }
    report.clean = marks.clean;
    let plan = directory::plan(&*disk, &identity, &state, &marks)?;
    plan.records.iter().for_each(|record| state.apply(record));
    let mut news = plan.records.clone();
    snapshot::sweep(&*disk, &state)?;

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
        directory: &plan,
        report: &mut report,
        progress,
        news: Vec::new(),
        cuts: Vec::new(),
    };
    let writers = recovery.run(&state)?;
    news.append(&mut recovery.news);
    progress.advance();
    let cuts = std::mem::take(&mut recovery.cuts);
    directory::apply(&*disk, plan, &mut report)?;
    for record in &news {
        state.apply(record);
    }
    let manifest = resume_manifest(&*disk, &identity, manifest, &state, &news, &mut report)?;
    recovery::cut(&*disk, cuts)?;

    // A number that any file of this disk names was given out, be the superblock an older copy.
    let marked = marks.marks.iter().map(|mark| mark.volume);
    let floor = state.volumes.keys().copied().chain(marked).max().unwrap_or(VolumeId(0));
    let superblock = match content {
        Some(content) => Superblock::resume(&*disk, &content, floor, lock)?,
        None => Superblock::create(&*disk, identity, lock)?,
    };
    progress.advance();
    let reserve = Reserve::open(&*disk, options).map_err(StoreError::io(&*disk, names::RESERVE, "make"))?;
    let reserve = Arc::new(reserve);
    report.reserve_missing = !reserve.is_whole();
    let active = writers.values().rev().find(|writer| !writer.sealed).map(|writer| writer.volume);
    let now = clock.now();
    let compaction = Compaction::new(&disk, identity, &catalog, &handles, &reserve, options);
    let snapshots = Snapshots::new(Arc::clone(&disk), identity.disk, Arc::clone(&catalog));
    let appender = Appender {
        snapshots: Arc::clone(&snapshots),
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
        is_full: false,
        reserve: Arc::clone(&reserve),
        scratch: Vec::new(),
        random: Random::default(),
    };
    Ok(Opened { identity, superblock: Arc::new(superblock), catalog, appender, compaction, reserve, snapshots, report })
}

/// Whether the options go together and fit the format.
///
/// # Errors
/// [`StoreError::Options`].
pub fn check_options(options: &StoreOptions) -> Result<(), StoreError> {
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

/// A directory or a link in the place of a small file would be met half-way through; better said at once.
fn check_small_files(disk: &dyn Disk, entries: &[Entry]) -> Result<(), StoreError> {
    let ours = [names::LOCK, names::SUPERBLOCK, names::MANIFEST, names::MARK, names::RESERVE];
    match entries.iter().find(|entry| entry.kind != EntryKind::File && ours.contains(&entry.name.as_str())) {
        Some(entry) => {
            let found = if entry.kind == EntryKind::Directory { "a directory" } else { "a link or a device" };
            Err(StoreError::NoFile { place: format!("{}/{}", disk.place(), entry.name), found })
        }
        None => Ok(()),
    }
}

/// Whether there is a superblock; an error if there is none and the directory is not empty either.
pub(super) fn is_formatted(disk: &dyn Disk) -> Result<bool, StoreError> {
    let entries = disk.list().map_err(StoreError::io(disk, "", "list"))?;
    check_small_files(disk, &entries)?;
    if entries.iter().any(|entry| entry.name == names::SUPERBLOCK) {
        return Ok(true);
    }
    if entries.iter().any(|entry| names::parse_segment(&entry.name).is_some()) {
        return Err(StoreError::Superblock { place: format!("{}/{}", disk.place(), names::SUPERBLOCK) });
    }
    for entry in &entries {
        let name = entry.name.as_str();
        if names::parse_edition(name).is_some() || names::parse_index(name).is_some() {
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
        file.sync_all().map_err(failed_sync)?;
        file.drop_pages()
    };
    match look() {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(disk, name, "sync")(error)),
        _ => Ok(()),
    }
}

/// Whether a disk belongs to the cluster and node that are expected.
///
/// # Errors
/// [`StoreError::Foreign`].
pub fn check_identity(
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

/// What the mark file says, and what is wrong with it; nothing if it is gone or damaged, which only means that less is
/// proven.
pub(super) fn read_marks(disk: &dyn Disk, file: &Arc<dyn File>) -> Result<MarksRead, StoreError> {
    let read = || -> io::Result<_> {
        let held = Pair::read(file, MARK_MAGIC, MARK_SLOT_BYTES)?;
        let blank = held.is_some() || Pair::is_blank(&**file, MARK_SLOT_BYTES)?;
        Ok((held, blank))
    };
    let (held, blank) = read().map_err(StoreError::io(disk, names::MARK, "read"))?;
    let Some((content, slot)) = held else {
        let wrong = (!blank).then_some("no copy verifies, so less is proven durable: see what was cut");
        return Ok(MarksRead { wrong, ..MarksRead::default() });
    };
    if content.version > MARK_VERSION {
        let place = format!("{}/{}", disk.place(), names::MARK);
        return Err(StoreError::Newer { place, found: content.version, known: MARK_VERSION });
    }
    let parsed = Marks::parse(&content.body);
    let wrong = match (&parsed, content.other_damaged, content.stray) {
        (None, ..) => Some("its content contradicts itself, so less is proven durable: see what was cut"),
        (_, _, true) => Some("there is something else than zeros behind what it says"),
        (_, true, _) => Some("one copy does not verify, as after a power cut or by damage: the other is used"),
        _ => None,
    };
    let perhaps_torn = parsed.is_some() && content.other_damaged && !content.stray;
    Ok(MarksRead { marks: parsed.unwrap_or_default(), held: Some((content.counter, slot)), wrong, perhaps_torn })
}

/// A mark file that was read.
#[derive(Debug, Default)]
pub(super) struct MarksRead {
    pub marks: Marks,
    held: Option<(u64, u64)>,
    pub wrong: Option<&'static str>,
    /// What is wrong may be no more than a write that a power cut tore.
    pub perhaps_torn: bool,
}

fn open_marks(disk: &dyn Disk, report: &mut OpenReport) -> Result<(Marks, Pair), StoreError> {
    let open = || -> io::Result<Arc<dyn File>> {
        match disk.open(names::MARK, Open::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = disk.open(names::MARK, Open::Create)?;
                file.allocate(0, 2 * MARK_SLOT_BYTES as u64)?;
                file.sync_all().map_err(failed_sync)?;
                disk.sync_directory().map_err(failed_sync)?;
                Ok(file)
            }
            opened => opened,
        }
    };
    let file = open().map_err(StoreError::io(disk, names::MARK, "open"))?;
    let read = read_marks(disk, &file)?;
    report.findings.extend(read.wrong.map(|what| small_file(names::MARK, what)));
    Ok((read.marks, Pair::resume(file, MARK_MAGIC, MARK_VERSION, MARK_SLOT_BYTES, read.held)))
}

/// What is wrong with one of the files that are no segments.
pub(super) fn small_file(name: &str, what: &str) -> FileFinding {
    FileFinding { case: name.to_string(), file: name.to_string(), what: what.to_string() }
}

/// What is wrong with the superblock and the manifest, though both can be used.
pub(super) fn small_findings(superblock: &SuperblockContent, manifest: &LogContent) -> Vec<FileFinding> {
    let mut findings = Vec::new();
    if !superblock.both_whole {
        findings.push(small_file(names::SUPERBLOCK, "one of the two copies does not verify: opening writes it anew"));
    } else if superblock.stray {
        findings.push(small_file(
            names::SUPERBLOCK,
            "there is something else than zeros behind what it says: opening clears it",
        ));
    }
    if manifest.damaged > 0 {
        let what =
            format!("{} records do not verify: opening keeps a copy of it aside and writes it anew", manifest.damaged);
        findings.push(small_file(names::MANIFEST, &what));
    } else if manifest.stray_bytes > 0 {
        let what = format!(
            "{} bytes between records are not zero: opening keeps a copy of it aside and writes it anew",
            manifest.stray_bytes
        );
        findings.push(small_file(names::MANIFEST, &what));
    }
    findings
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
        let wrong = content.damaged > 0 || content.stray_bytes > 0;
        if wrong {
            let whole = 0..file.len()?;
            let (copy, _) = copy_aside(disk, &*file, whole, |number| names::aside(names::MANIFEST, number))?;
            report.set_aside.push(copy);
        } else if let Some((from, to)) = content.torn {
            // Most likely it never happened; if it was damaged instead, what it named is taken in again.
            let (copy, bytes) = copy_aside(disk, &*file, from..to, |number| names::torn(names::MANIFEST, number))?;
            report.cuts.push(Cut { file: names::MANIFEST.to_string(), position: from, bytes, copy });
        }
        let mut log = RecordLog::resume(file, &content)?;
        let large = log.bytes() > MANIFEST_REWRITE_BYTES && content.records.len() > 2 * state.records().len();
        if large || wrong {
            // Dropped files are gone, durably, so they need not be remembered.
            disk.sync_directory().map_err(failed_sync)?;
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
