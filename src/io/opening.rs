//! From directories to open disks: who belongs here, what is left out, and what refuses the start.
//!
//! Runs once, on the thread that builds the node, with a thread a disk. Always: nothing is formatted, recovered or written
//! before every directory that answers was looked at; what an operator got wrong refuses the start, what a disk suffered
//! leaves that disk out; a disk that hangs holds up no other, and what it says too late is dropped.

use super::together::together;
use crate::base::clock::Clock;
use crate::base::ids::{ClusterId, DiskId, NodeId, VolumeId};
use crate::disk::{Disk, RealDisk, Space};
use crate::store::{self, Blame, Opened, Owner, StoreError, StoreOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A data directory that is to be opened.
pub struct Directory {
    place: String,
    reach: Box<dyn FnOnce() -> io::Result<Arc<dyn Disk>> + Send>,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Directory {
    /// A directory of the machine; reaching it may fail or hang, as anything else that is done to it.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        let path = path.to_path_buf();
        Self {
            place: path.display().to_string(),
            reach: Box::new(move || Ok(Arc::new(RealDisk::open(path)?) as Arc<dyn Disk>)),
        }
    }

    /// A disk that was reached before.
    #[must_use]
    pub fn of(disk: Arc<dyn Disk>) -> Self {
        Self { place: disk.place(), reach: Box::new(move || Ok(disk)) }
    }
}

/// Why a disk, or all of them, cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// What its store says.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A data directory cannot be reached.
    #[error(
        "data directory {place}: {error}: mend the device, or make it a directory that this user may write to, or name another with --data"
    )]
    Directory {
        /// The directory.
        place: String,
        /// What the system says.
        error: io::Error,
    },
    /// Directories are one disk, or copies of one; nobody knows which is newer.
    #[error("{places} are the same disk (id {disk}): give each directory once, and never a copy of one")]
    Twice {
        /// The directories.
        places: String,
        /// The disk's id.
        disk: DiskId,
    },
    /// It hangs.
    #[error("{place}: opening it made no progress for {seconds} s; check the device, then start the node again")]
    Hangs {
        /// The directory.
        place: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// An empty directory cannot be formatted: no other says whose it is to be.
    #[error("{place}: empty, and no disk of the node can be read to say which node it joins; mend one of them first")]
    NoOwner {
        /// The directory.
        place: String,
    },
    /// The system gave no thread or no random number.
    #[error("{what}: {error}: raise the limits of this process")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// No disk is left.
    #[error("no disk can be opened: {0}")]
    NoneLeft(String),
}

impl OpenError {
    fn blame(&self) -> Blame {
        match self {
            Self::Store(error) => error.blame(),
            Self::Directory { error, .. } if error.kind() == io::ErrorKind::NotADirectory => Blame::Operator,
            Self::System { .. } => Blame::Operator,
            Self::Directory { .. }
            | Self::Twice { .. }
            | Self::Hangs { .. }
            | Self::NoOwner { .. }
            | Self::NoneLeft(_) => Blame::Disk,
        }
    }
}

/// A directory that the node goes on without.
#[derive(Debug)]
pub(super) struct LeftOut {
    /// Which of the directories that were given.
    pub(super) index: usize,
    pub(super) place: String,
    /// Its id, if that could be read.
    pub(super) disk: Option<DiskId>,
    pub(super) error: OpenError,
}

/// A disk that is open.
pub(super) struct Sound {
    /// Which of the directories that were given.
    pub(super) index: usize,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) opened: Opened,
    pub(super) space: Option<Space>,
}

/// All directories after opening.
pub(super) struct Opening {
    pub(super) sound: Vec<Sound>,
    pub(super) left_out: Vec<LeftOut>,
    /// The highest volume number on any disk that could be read.
    pub(super) highest: VolumeId,
}

/// A directory on its way.
struct Candidate {
    index: usize,
    place: String,
    disk: Arc<dyn Disk>,
    owner: Option<Owner>,
}

/// Opens all directories, each once no progress was made for `stall` given up.
///
/// # Errors
/// What an operator has to put right, or that no disk is left.
pub(super) fn open_all(
    directories: Vec<Directory>,
    options: &StoreOptions,
    stall: Duration,
    clock: &Arc<dyn Clock>,
) -> Result<Opening, OpenError> {
    store::check_options(options)?;
    let mut left_out = Vec::new();
    let candidates = look_at_all(directories, stall, &mut left_out)?;
    same_owner(&candidates)?;
    let highest = candidates.iter().filter_map(|candidate| Some(candidate.owner?.highest)).max();
    let expected = candidates.iter().find_map(|candidate| candidate.owner).map(|owner| owner.identity);
    let candidates = without_copies(candidates, &mut left_out);
    let candidates = unlocked(candidates, stall, &mut left_out)?;
    let expected = match expected {
        Some(identity) => Some((identity.cluster, identity.node)),
        None if left_out.is_empty() => Some(store::new_owner().map_err(system("random ids for a node"))?),
        None => None,
    };
    let mut sound = Vec::new();
    if let Some(expected) = expected {
        sound = open_candidates(candidates, expected, options, stall, clock, &mut left_out)?;
    } else {
        let no_owner = |place: &String| OpenError::NoOwner { place: place.clone() };
        left_out.extend(candidates.into_iter().map(|one| one.left_out(no_owner)));
    }
    left_out.sort_by_key(|one| one.index);
    if sound.is_empty() {
        return Err(none_left(left_out));
    }
    let opened = sound.iter().map(|one| {
        one.opened.superblock.highest().max(one.opened.catalog.view().volumes().max().unwrap_or(VolumeId(0)))
    });
    let highest = opened.chain(highest).max().unwrap_or(VolumeId(0));
    Ok(Opening { sound, left_out, highest })
}

impl Candidate {
    fn left_out(self, error: impl FnOnce(&String) -> OpenError) -> LeftOut {
        let error = error(&self.place);
        LeftOut { index: self.index, place: self.place, disk: self.owner.map(|owner| owner.identity.disk), error }
    }
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> OpenError {
    move |error| OpenError::System { what, error }
}

const NO_THREAD: &str = "a thread to open a disk";

fn hangs(place: &str, stall: Duration) -> OpenError {
    OpenError::Hangs { place: place.to_string(), seconds: stall.as_secs() }
}

/// Reaches all directories and sees whose they are; writes nothing but directories that are missing.
fn look_at_all(
    directories: Vec<Directory>,
    stall: Duration,
    left_out: &mut Vec<LeftOut>,
) -> Result<Vec<Candidate>, OpenError> {
    let places: Vec<String> = directories.iter().map(|directory| directory.place.clone()).collect();
    let seen = together("open-disk", directories, stall, |directory, progress| {
        let place = directory.place;
        let disk = (directory.reach)().map_err(|error| OpenError::Directory { place, error })?;
        progress.advance();
        let owner = store::owner(&*disk)?;
        Ok((disk, owner))
    })
    .map_err(system(NO_THREAD))?;
    let mut candidates = Vec::new();
    for (index, (seen, place)) in seen.into_iter().zip(places).enumerate() {
        match seen.unwrap_or_else(|| Err(hangs(&place, stall))) {
            Ok((disk, owner)) => candidates.push(Candidate { index, place, disk, owner }),
            Err(error) if error.blame() == Blame::Operator => return Err(error),
            Err(error) => left_out.push(LeftOut { index, place, disk: None, error }),
        }
    }
    Ok(candidates)
}

/// All that are formatted belong to one node.
fn same_owner(candidates: &[Candidate]) -> Result<(), OpenError> {
    let mut owned = candidates.iter().filter_map(|candidate| Some((candidate, candidate.owner?.identity)));
    let Some((_, first)) = owned.next() else { return Ok(()) };
    for (candidate, identity) in owned {
        store::check_identity(&*candidate.disk, &identity, Some((first.cluster, first.node)))?;
    }
    Ok(())
}

/// Leaves out all directories whose disk id another has too.
fn without_copies(candidates: Vec<Candidate>, left_out: &mut Vec<LeftOut>) -> Vec<Candidate> {
    let ids: Vec<(Option<DiskId>, String)> =
        candidates.iter().map(|one| (one.owner.map(|owner| owner.identity.disk), one.place.clone())).collect();
    let mut single = Vec::new();
    for candidate in candidates {
        let Some(disk) = candidate.owner.map(|owner| owner.identity.disk) else {
            single.push(candidate);
            continue;
        };
        let same: Vec<&str> =
            ids.iter().filter(|(other, _)| *other == Some(disk)).map(|(_, place)| place.as_str()).collect();
        if same.len() == 1 {
            single.push(candidate);
        } else {
            let places = same.join(" and ");
            left_out.push(candidate.left_out(|_| OpenError::Twice { places, disk }));
        }
    }
    single
}

/// Refuses the start if another process has one of them, before anything is written to any.
fn unlocked(
    candidates: Vec<Candidate>,
    stall: Duration,
    left_out: &mut Vec<LeftOut>,
) -> Result<Vec<Candidate>, OpenError> {
    let disks = candidates.iter().map(|one| one.owner.map(|_| Arc::clone(&one.disk))).collect();
    let probed = together("open-disk", disks, stall, |disk: Option<Arc<dyn Disk>>, _| {
        // An empty one has no lock file yet, and gets none before all is known.
        disk.map_or(Ok(()), |disk| store::probe_lock(&*disk))
    })
    .map_err(system(NO_THREAD))?;
    let mut free = Vec::new();
    for (candidate, probed) in candidates.into_iter().zip(probed) {
        match probed {
            Some(Ok(())) => free.push(candidate),
            Some(Err(error)) if error.blame() == Blame::Operator => return Err(error.into()),
            Some(Err(error)) => left_out.push(candidate.left_out(|_| error.into())),
            None => left_out.push(candidate.left_out(|place| hangs(place, stall))),
        }
    }
    Ok(free)
}

/// Locks, formats or recovers all of them at once.
fn open_candidates(
    candidates: Vec<Candidate>,
    expected: (ClusterId, NodeId),
    options: &StoreOptions,
    stall: Duration,
    clock: &Arc<dyn Clock>,
    left_out: &mut Vec<LeftOut>,
) -> Result<Vec<Sound>, OpenError> {
    let disks = candidates.iter().map(|one| Arc::clone(&one.disk)).collect();
    let (options, clock) = (options.clone(), Arc::clone(clock));
    let opened = together("open-disk", disks, stall, move |disk: Arc<dyn Disk>, progress| {
        let opened = store::open_watched(&disk, Some(expected), &options, &clock, progress)?;
        progress.advance();
        // The first look at its room, which the background thread repeats.
        Ok::<_, StoreError>((opened, disk.space().ok()))
    })
    .map_err(system(NO_THREAD))?;
    let mut sound = Vec::new();
    for (candidate, opened) in candidates.into_iter().zip(opened) {
        match opened {
            Some(Ok((opened, space))) => {
                sound.push(Sound { index: candidate.index, disk: candidate.disk, opened, space });
            }
            Some(Err(error)) if error.blame() == Blame::Operator => return Err(error.into()),
            Some(Err(error)) => left_out.push(candidate.left_out(|_| error.into())),
            None => left_out.push(candidate.left_out(|place| hangs(place, stall))),
        }
    }
    Ok(sound)
}

/// The one cause there is, or all of them.
fn none_left(left_out: Vec<LeftOut>) -> OpenError {
    let mut causes: Vec<String> = left_out.iter().map(|one| one.error.to_string()).collect();
    causes.dedup();
    match (causes.len(), left_out.into_iter().next()) {
        (1, Some(only)) => only.error,
        _ => OpenError::NoneLeft(causes.join("; ")),
    }
}
