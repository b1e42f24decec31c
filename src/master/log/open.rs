//! Opens a log: looks, reads, plans, and only then changes anything.
//!
//! Runs once, on a thread that may wait. Always: a torn tail is copied aside before it is cut; damage below a mark is
//! never cut, and is an error unless the durable state has all that may have been there; doing it again changes nothing.

use super::content::{Applied, Content};
use super::cut::remove_below;
use super::files::make_segment;
use super::look::{Found, Look, MarkFile, PIECE_BYTES, look};
use super::mark::{MARK_MAGIC, MARK_SLOT_BYTES, MARK_VERSION, Mark};
use super::read::Read;
use super::segment_header::{LOG_HEADER_BYTES, LogHeader};
use super::{HardState, Log, LogCounts, LogOptions, Segment, StateError, Tail, broken, names};
use crate::base::clock::SystemClock;
use crate::base::ids::{Epoch, Sequence};
use crate::base::random::Random;
use crate::disk::{Disk, File, Open};
use crate::journal::{CHAIN_START, Pair, SECTOR_BYTES, failed_sync, sector_end};
use serde::Serialize;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;

/// A torn tail that was cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TornTail {
    /// The segment's file.
    pub file: String,
    /// Where it was cut.
    pub position: u64,
    /// Bytes that were copied aside.
    pub bytes: u64,
    /// The file that has them now.
    pub copy: String,
}

/// Something durable that does not verify. The state has all that may have been there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogDamage {
    /// The file, and where in it.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

/// What was found and done when a log was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct LogReport {
    /// There was none: it is new.
    pub created: bool,
    /// The last run stopped cleanly.
    pub clean: bool,
    /// Segments that were read.
    pub segments: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Whole records.
    pub records: u64,
    /// Entries that the state does not have durably.
    pub entries: u64,
    /// The state has entries behind the end of the log.
    pub state_is_ahead: bool,
    /// A torn tail.
    pub torn: Option<TornTail>,
    /// Damage that costs nothing, for the state has it all.
    pub damages: Vec<LogDamage>,
    /// Segments whose first sector does not verify; what is in it follows from the others.
    pub headers_damaged: u64,
    /// Both slots of the mark file are damaged: it proved nothing.
    pub mark_damaged: bool,
    /// Segments that were removed: they had been before, or were never written to.
    pub removed: Vec<String>,
    /// Sectors whose end is not zero though it should be.
    pub stray: u64,
}

impl Log {
    /// Opens the log in this directory, or makes one. `owner` is the directory's id; `applied` is how far the durable
    /// state reaches.
    ///
    /// # Errors
    /// [`StateError::Damaged`] names the file, the place and the way out, and nothing was changed; [`StateError::Full`]
    /// may be tried again.
    pub fn open(
        disk: Arc<dyn Disk>,
        owner: u128,
        applied: Applied,
        options: &LogOptions,
    ) -> Result<(Self, LogReport), StateError> {
        let look = look(&*disk, owner)?;
        let opening = Opening { disk, owner, applied, options: *options };
        if look.files.is_empty() { opening.create(look) } else { opening.recover(look) }
    }
}

pub(super) struct Opening {
    pub disk: Arc<dyn Disk>,
    pub owner: u128,
    pub applied: Applied,
    pub options: LogOptions,
}

impl Opening {
    fn create(self, look: Look) -> Result<(Log, LogReport), StateError> {
        let mark = look.mark.as_ref().and_then(|mark| mark.mark);
        let proven = mark.is_some_and(|mark| mark.mark > Sequence(0));
        if proven || (self.applied.index > 0 && !self.options.restored) {
            let what = format!(
                "the log is gone, and the state reaches to entry {}: what was acknowledged after that is in the log alone. \
                 Put its files back, or restore state and log from a backup",
                self.applied.index
            );
            return Err(StateError::damaged(self.disk.place(), what));
        }
        let salt = Random::default().number().map_err(|error| broken("getrandom", error))?;
        let pair = self.mark_pair(look.mark)?;
        let hard = HardState { term: self.applied.term, vote: 0, commit: self.applied.index };
        let mut content = Content::new(self.applied);
        content.set_hard(hard);
        let (owner, before) = (self.owner, self.applied);
        let header = LogHeader { epoch: Epoch(1), owner, first: Sequence(0), salt, chain: CHAIN_START, before };
        let needed = LOG_HEADER_BYTES as u64 + 8 * SECTOR_BYTES;
        let (segment, tail) = make_segment(&*self.disk, &header, self.options.segment_bytes, needed)?;
        let read = Ready { salt, epoch: Epoch(1), next: Sequence(0), chain: CHAIN_START, content, tail };
        let log = self.begin(read, VecDeque::from([segment]), pair)?;
        let report = LogReport { created: true, clean: true, removed: look.removed, ..LogReport::default() };
        Ok((log, report))
    }

    fn recover(self, mut look: Look) -> Result<(Log, LogReport), StateError> {
        let mut report = LogReport { removed: std::mem::take(&mut look.removed), ..LogReport::default() };
        let Some(salt) = look.salt else {
            let first = look.files.first().map_or_else(String::new, |found| format!("/{}", found.name));
            let what =
                "neither a header of the log nor its mark file verifies, so none of it can be read: put the file back";
            return Err(StateError::damaged(format!("{}{first}", self.disk.place()), what));
        };
        let mark = look.mark.as_ref().and_then(|mark| mark.mark);
        report.mark_damaged = look.mark.as_ref().is_some_and(|mark| mark.damaged);
        let read = self.read(&look, salt, mark.as_ref(), &mut report)?;
        let Read { content, mut segments, epoch, plan, used } = read;
        let Some(last) = look.files.pop() else { return Err(StateError::damaged(self.disk.place(), "no segment")) };

        // All is planned, nothing is changed yet.
        if let Some(position) = plan.cut {
            report.torn = Some(self.cut(&last, position, used)?);
        }
        report.removed.extend(remove_below(&*self.disk, &mut segments, self.applied.index)?);
        report.clean = mark.is_some_and(|mark| mark.clean) && report.torn.is_none();
        report.entries = content.last().index - content.cut_at().index;
        let epoch = if report.clean { epoch } else { Epoch(epoch.0.saturating_add(1)) };
        let allocated = last.file.len().map_err(|error| broken(self.place_of(&last), error))?;
        if let Some(segment) = segments.back_mut() {
            segment.bytes = allocated;
        }
        let filled = sector_end(plan.end);
        let tail = Tail { name: last.name, file: last.file, end: plan.end, filled, allocated, closing_at: None };
        let pair = self.mark_pair(look.mark)?;
        let ready = Ready { salt, epoch, next: plan.next, chain: plan.chain, content, tail };
        let needed = LOG_HEADER_BYTES as u64 + 8 * SECTOR_BYTES;
        let mut log = self.begin(ready, segments, pair)?;
        if plan.close {
            // Nothing may be written behind damage that has no end.
            log.guarded(|log| log.roll(needed))?;
        }
        Ok((log, report))
    }

    /// Copies a torn tail aside, then cuts it.
    fn cut(&self, found: &Found, position: u64, used: u64) -> Result<TornTail, StateError> {
        let place = self.place_of(found);
        let (copy, bytes) =
            self.copy_aside(found, position, used).map_err(|error| StateError::io(place.clone(), error))?;
        found.file.set_len(position).map_err(|error| broken(&place, error))?;
        found.file.sync_all().map_err(|error| broken(&place, failed_sync(error)))?;
        Ok(TornTail { file: found.name.clone(), position, bytes, copy })
    }

    fn copy_aside(&self, found: &Found, from: u64, to: u64) -> io::Result<(String, u64)> {
        let mut number = 0;
        let (copy, into) = loop {
            let copy = names::torn(&found.name, number);
            match self.disk.open(&copy, Open::Create) {
                Ok(into) => break (copy, into),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error),
            }
        };
        match self.copy(found, from..to, &*into) {
            Ok(bytes) => Ok((copy, bytes)),
            Err(error) => {
                // A copy that found no room is of no use; if it stays, it is only in the way.
                let _gone = self.disk.remove(&copy);
                Err(error)
            }
        }
    }

    fn copy(&self, found: &Found, range: Range<u64>, into: &dyn File) -> io::Result<u64> {
        let (from, to) = (range.start, range.end);
        let mut piece = vec![0; PIECE_BYTES];
        let mut at = from;
        while at < to {
            let want = usize::try_from(to - at).unwrap_or(usize::MAX).min(piece.len());
            let read = found.file.read_at(piece.get_mut(..want).unwrap_or_default(), at)?;
            let bytes = piece.get(..read).filter(|bytes| !bytes.is_empty());
            let Some(bytes) = bytes else { break };
            into.write_all_at(&mut [IoSlice::new(bytes)], at - from)?;
            at += read as u64;
        }
        into.sync_all().map_err(failed_sync)?;
        self.disk.sync_directory().map_err(failed_sync)?;
        Ok(at - from)
    }

    /// The mark file for writing, made if there is none; its room is taken at once.
    fn mark_pair(&self, found: Option<MarkFile>) -> Result<Pair, StateError> {
        let place = format!("{}/{}", self.disk.place(), names::MARK);
        let room = 2 * MARK_SLOT_BYTES as u64;
        let (file, held) = match found {
            Some(found) => (found.file, found.held),
            None => (self.disk.open(names::MARK, Open::Create).map_err(|error| StateError::io(&*place, error))?, None),
        };
        if file.len().map_err(|error| broken(&place, error))? < room {
            file.allocate(0, room).map_err(|error| StateError::io(&*place, error))?;
            file.sync_all().map_err(|error| broken(&place, failed_sync(error)))?;
            self.disk.sync_directory().map_err(|error| broken(&place, failed_sync(error)))?;
        }
        Ok(Pair::resume(file, MARK_MAGIC, MARK_VERSION, MARK_SLOT_BYTES, held))
    }

    /// The open log; the mark file says so before anything is appended.
    fn begin(self, ready: Ready, segments: VecDeque<Segment>, mark: Pair) -> Result<Log, StateError> {
        let Ready { salt, epoch, next, chain, content, tail } = ready;
        let marked = Mark {
            clean: false,
            epoch,
            mark: next,
            last: content.last(),
            hard: content.hard(),
            salt,
            owner: self.owner,
        };
        let place = format!("{}/{}", self.disk.place(), names::MARK);
        let mut log = Log {
            disk: self.disk,
            clock: SystemClock::shared(),
            options: self.options,
            owner: self.owner,
            salt,
            epoch,
            next,
            chain,
            segments,
            tail,
            mark,
            marked,
            content,
            scratch: Vec::new(),
            zeros: Vec::new(),
            counts: LogCounts::default(),
            failed: false,
        };
        log.mark.write(&marked.encode()).map_err(|error| StateError::io(place, error))?;
        Ok(log)
    }
}

/// Where the log goes on.
struct Ready {
    salt: u64,
    epoch: Epoch,
    next: Sequence,
    chain: u128,
    content: Content,
    tail: Tail,
}
