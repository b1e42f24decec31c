//! Reads all segments of a log and decides what they come to.
//!
//! Runs where the log is opened. Always: nothing is changed here; what was lost below a mark and may hold what the durable
//! state lacks is an error that names the place.

use super::content::Content;
use super::look::{Found, Look, PIECE_BYTES};
use super::mark::Mark;
use super::open::{LogDamage, LogReport, Opening};
use super::rebuild::{Beyond, Gap, Known, Rebuild};
use super::record::{RECORD_HEAD_BYTES, Record, Records};
use super::segment_header::LOG_HEADER_BYTES;
use super::writer::{GENERATION, NO_VOLUME};
use super::{Segment, StateError, broken};
use crate::base::ids::{Epoch, Sequence};
use crate::journal::{Bounds, Case, Plan, Proof, SECTOR_BYTES, Seen, Sight, Window, plan, scan};
use std::collections::VecDeque;

/// What came of reading all segments.
pub(super) struct Read {
    pub content: Content,
    pub segments: VecDeque<Segment>,
    pub epoch: Epoch,
    /// What to do with the newest segment.
    pub plan: Plan,
    /// Where its zeros begin.
    pub used: u64,
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
    /// Reads all segments, oldest first, and decides what they come to. Changes nothing.
    pub(super) fn read(
        &self,
        look: &Look,
        salt: u64,
        mark: Option<&Mark>,
        report: &mut LogReport,
    ) -> Result<Read, StateError> {
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

    pub(super) fn place_of(&self, found: &Found) -> String {
        format!("{}/{}", self.disk.place(), found.name)
    }

    fn beyond(&self, Beyond(place, what): Beyond) -> StateError {
        let way_out = "put the right file back, or restore state and log from a backup; nothing was changed";
        StateError::damaged(place, format!("{what}: {way_out}"))
    }
}

fn is_clean(plan: &Plan) -> bool {
    plan.cases.iter().all(|case| matches!(case, Case::A | Case::V))
}
