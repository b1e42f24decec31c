//! Opens a log: looks, reads, plans, and only then changes anything.
//!
//! Runs once, on a thread that may wait. Always: a torn tail is copied aside before it is cut; damage below a mark is
//! never cut, and is an error unless the durable state has all that may have been there; doing it again changes nothing.

use super::content::{Applied, Content};
use super::cut::remove_below;
use super::files::make_segment;
use super::look::{Found, Look, MarkFile, PIECE_BYTES, look};
use super::mark::{MARK_MAGIC, MARK_SLOT_BYTES, MARK_VERSION, Mark};
use super::rebuild::{Beyond, Gap, Known, Rebuild};
use super::record::{RECORD_HEAD_BYTES, Record, Records};
use super::segment_header::{LOG_HEADER_BYTES, LogHeader};
use super::writer::{GENERATION, NO_VOLUME};
use super::{HardState, Log, LogCounts, LogOptions, Segment, StateError, Tail, broken, names};
use crate::base::clock::SystemClock;
use crate::base::ids::{Epoch, Sequence};
use crate::base::random::Random;
use crate::disk::{Disk, Open};
use crate::journal::{
    Bounds, CHAIN_START, Case, Pair, Plan, Proof, SECTOR_BYTES, Seen, Sight, Window, failed_sync, plan, scan,
    sector_end,
};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// A torn tail that was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDamage {
    /// The file, and where in it.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

/// What was found and done when a log was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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

struct Opening {
    disk: Arc<dyn Disk>,
    owner: u128,
    applied: Applied,
    options: LogOptions,
}

/// What came of reading all segments.
struct Read {
    content: Content,
    segments: VecDeque<Segment>,
    epoch: Epoch,
    plan: Plan,
    used: u64,
}

/// One segment, read.
struct Scanned {
    sight: Sight,
    /// Position and sequence of each whole record.
    records: Vec<(u64, Sequence, Record)>,
    file_bytes: u64,
    unreadable: u64,
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

    /// Reads all segments, oldest first, and decides what they come to. Changes nothing.
    fn read(&self, look: &Look, salt: u64, mark: Option<&Mark>, report: &mut LogReport) -> Result<Read, StateError> {
        let mut rebuild = Rebuild::new(self.applied);
        let mut segments = VecDeque::new();
        let mut epoch = mark.map_or(Epoch(0), |mark| mark.epoch);
        let mut before: Option<(Plan, u64)> = None;
        for (at, found) in look.files.iter().enumerate() {
            let successor = look.files.get(at + 1);
            self.enter(found, before.as_ref().map(|(plan, _)| plan), &mut rebuild, report);
            let chain = found.header.map(|header| header.chain).or(before.as_ref().map(|(plan, _)| plan.chain));
            let mut proven = mark.map_or(Sequence(0), |mark| mark.mark);
            if let Some(successor) = successor {
                proven = successor.first;
            }
            let past = successor.map(|successor| successor.first);
            let mut scanned = self.scan(found, salt, chain, past, proven)?;
            if !scanned.sight.runs.is_empty() && scanned.sight.mark > proven {
                // Later frames prove more: records of which only the frame is damaged are found with that.
                scanned = self.scan(found, salt, chain, past, scanned.sight.mark)?;
            }
            let unknown = scanned.unreadable > 0 || (found.header.is_none() && scanned.sight.groups == 0);
            let keep = unknown.then_some(RECORD_HEAD_BYTES as u64);
            let proof = Proof { synced: proven, closed: successor.is_some(), keep };
            let plan = plan(&scanned.sight, &proof);
            if plan.cases.contains(&Case::U) {
                let what = "its tail may be torn, but could not be read as a whole, or nothing says whose it is: check the \
                            device, or put the file back";
                return Err(StateError::damaged(self.place_of(found), what));
            }
            report.segments += 1;
            report.bytes += scanned.file_bytes;
            report.stray += scanned.sight.stray.len() as u64;
            epoch = epoch.max(scanned.sight.epoch).max(found.header.map_or(Epoch(0), |header| header.epoch));
            let used = scanned.sight.used;
            let (bytes, records) = (scanned.file_bytes, scanned.records.len() as u64);
            // A hole before a segment that needs nothing of it: files below it were removed, and this one came back.
            let needless = successor.and_then(|successor| successor.header);
            let needless = needless.is_some_and(|header| header.before.index <= self.applied.index);
            let hole_is_fine = needless && scanned.sight.runs.is_empty();
            self.replay(found, scanned, &plan, hole_is_fine, &mut rebuild, report)?;
            segments.push_back(Segment {
                first: found.first,
                before: found.header.map(|header| header.before),
                records,
                bytes,
            });
            before = Some((plan, used));
        }
        let Some((plan, used)) = before else { return Err(StateError::damaged(self.disk.place(), "no segment")) };
        report.state_is_ahead = rebuild.last_seen() < self.applied.index && segments.iter().any(|one| one.records > 0);
        let known = mark.map(|mark| Known { mark: mark.mark, last: mark.last, hard: mark.hard });
        let content = rebuild.finish(known.as_ref()).map_err(|beyond| self.beyond(beyond))?;
        Ok(Read { content, segments, epoch, plan, used })
    }

    /// What the beginning of a segment says of what lies before it.
    fn enter(&self, found: &Found, before: Option<&Plan>, rebuild: &mut Rebuild, report: &mut LogReport) {
        let gap = |what: String| Gap { place: self.place_of(found), what, past: found.first };
        let mut lose = |gap: Gap, is_damage: bool| {
            if is_damage {
                report.damages.push(LogDamage { place: gap.place.clone(), what: gap.what.clone() });
            }
            rebuild.lose(gap);
        };
        match (found.header, before) {
            (None, None) => {
                lose(gap("its first sector does not verify, and nothing else says what was before it".into()), false)
            }
            (Some(header), None) if header.before.index > self.applied.index => {
                let index = header.before.index;
                lose(gap(format!("the segments before it are missing, with entries up to {index}")), false);
            }
            (Some(header), Some(plan)) if is_clean(plan) && header.chain != plan.chain => {
                lose(gap("it does not continue the segment before it".into()), true);
            }
            _ => {}
        }
        match found.header {
            Some(header) => rebuild.begin(header.before),
            None => report.headers_damaged += 1,
        }
    }

    fn scan(
        &self,
        found: &Found,
        salt: u64,
        chain: Option<u128>,
        past: Option<Sequence>,
        proven_to: Sequence,
    ) -> Result<Scanned, StateError> {
        let file_bytes = found.file.len().map_err(|error| broken(self.place_of(found), error))?;
        let mut window = Window::new(&*found.file, file_bytes, PIECE_BYTES);
        let bounds = Bounds {
            volume: NO_VOLUME,
            salt,
            generation: GENERATION,
            start: LOG_HEADER_BYTES as u64,
            first: found.first,
            past: past.unwrap_or(Sequence(found.first.0.saturating_add(file_bytes / SECTOR_BYTES + 1))),
            chain,
            proven_to,
            verify_from: Sequence(0),
        };
        let format = Records { salt };
        let mut records = Vec::new();
        let mut unknown = None;
        let sight = scan(&mut window, &bounds, &format, &mut |seen: Seen<'_, _>| match Record::parse(
            &seen.measured.record,
            seen.bytes,
        ) {
            Some(record) => records.push((seen.position, seen.measured.sequence, record)),
            None => unknown = unknown.or(Some(seen.position)),
        });
        let sight = sight.map_err(|error| broken(self.place_of(found), error))?;
        if let Some(position) = unknown {
            let place = format!("{} at byte {position}", self.place_of(found));
            return Err(StateError::damaged(
                place,
                "a whole record says what this program does not know: use a later one",
            ));
        }
        Ok(Scanned { sight, records, file_bytes, unreadable: window.unreadable() })
    }

    /// Feeds what was read to the rebuild: records and losses in the order of the log.
    fn replay(
        &self,
        found: &Found,
        scanned: Scanned,
        plan: &Plan,
        hole_is_fine: bool,
        rebuild: &mut Rebuild,
        report: &mut LogReport,
    ) -> Result<(), StateError> {
        let mut losses: Vec<(Sequence, u64, String)> = Vec::new();
        for (range, position) in plan.damaged.iter().filter(|(range, _)| !range.is_empty()) {
            let (first, last) = (range.start, range.end - 1);
            let what = format!("records {first} to {last} are missing or do not verify, though they were durable");
            losses.push((Sequence(range.start), *position, what));
        }
        for &position in &scanned.sight.chain_breaks {
            let first = scanned.records.iter().find(|(at, _, _)| *at > position).map_or(plan.next, |(_, at, _)| *at);
            losses.push((
                first,
                position,
                "a frame contradicts the records before it, though all of them verify".into(),
            ));
        }
        losses.sort_by_key(|(first, _, _)| *first);
        let mut losses = losses.into_iter().peekable();
        let mut lose = |loss: (Sequence, u64, String), rebuild: &mut Rebuild| {
            let (first, position, what) = loss;
            let place = format!("{} at byte {position}", self.place_of(found));
            if !hole_is_fine {
                report.damages.push(LogDamage { place: place.clone(), what: what.clone() });
            }
            let range = plan.damaged.iter().find(|(range, _)| range.start == first.0);
            let past = range.map_or(first, |(range, _)| Sequence(range.end));
            rebuild.lose(Gap { place, what, past });
        };
        for (position, sequence, record) in scanned.records {
            while let Some(loss) = losses.next_if(|(first, _, _)| *first <= sequence) {
                lose(loss, rebuild);
            }
            // What lies behind a torn record goes with it.
            if plan.cut.is_some() && sequence >= plan.next {
                break;
            }
            let place = format!("{} at byte {position}", self.place_of(found));
            rebuild.take(record, &place).map_err(|beyond| self.beyond(beyond))?;
            report.records += 1;
        }
        losses.for_each(|loss| lose(loss, rebuild));
        Ok(())
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
        Ok((copy, at - from))
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

    fn place_of(&self, found: &Found) -> String {
        format!("{}/{}", self.disk.place(), found.name)
    }

    fn beyond(&self, Beyond(place, what): Beyond) -> StateError {
        let way_out = "put the right file back, or restore state and log from a backup; nothing was changed";
        StateError::damaged(place, format!("{what}: {way_out}"))
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

fn is_clean(plan: &Plan) -> bool {
    plan.cases.iter().all(|case| matches!(case, Case::A | Case::V))
}
