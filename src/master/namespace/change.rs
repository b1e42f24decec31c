//! Changes that clients asked for: made once, and what they must find before.
//!
//! Owned by the apply thread. Always: a number gets one answer, also when it comes again; only a refusal for want of room
//! is no answer, and the number may come again.

use super::entry::NameEntry;
use super::session::Ending;
use super::state::{Namespace, Touched};
use super::stop::{Stop, refused};
use crate::base::ids::{ObjectId, Origin};
use crate::base::path::NamePath;
use crate::base::planted::{self, Bug};
use crate::master::command::Checked;
use crate::master::table::TableMut;
use crate::request::{Changed, Condition, NameAnswer, Refusal, Status};

impl Namespace {
    pub(super) fn change(
        &mut self,
        table: &mut dyn TableMut,
        id: Origin,
        change: &Checked,
        touched: &mut Touched,
    ) -> Result<NameAnswer, Stop> {
        if let Some(ending) = self.sessions.answered(id, self.meta.time_ms)?
            && !planted::on(Bug::MakeTwice)
        {
            return Ok(ending.again()?);
        }
        self.sessions.check_room(id.session, &[id.number])?;
        match self.make(table, id, change, touched) {
            Ok(changed) => {
                self.finish(id, change, Ending::Changed(changed));
                Ok(NameAnswer::Changed(changed))
            }
            Err(Stop::Refused(refusal)) if refusal.status != Status::Busy => {
                self.finish(id, change, Ending::Refused(refusal.status));
                Err(Stop::Refused(refusal))
            }
            Err(stop) => Err(stop),
        }
    }

    fn make(
        &mut self,
        table: &mut dyn TableMut,
        id: Origin,
        change: &Checked,
        touched: &mut Touched,
    ) -> Result<Changed, Stop> {
        match change {
            Checked::Commit { chunks, .. } => {
                self.check_chunks(id, chunks)?;
                self.commit(table, change, touched)
            }
            Checked::MakeDirectory { path, parents } => self.make_directory(table, path, *parents, touched),
            Checked::Rename { from, to, replace, condition } => {
                self.rename(table, (from, to), *replace, *condition, touched)
            }
            Checked::Remove { path, tree, condition } => self.remove_name(table, path, *tree, *condition, touched),
            Checked::SetAttributes { path, condition, attributes } => {
                self.set_attributes(table, path, *condition, attributes, touched)
            }
        }
    }

    /// Each chunk has a number of its own, which no commit had before.
    fn check_chunks(&self, id: Origin, chunks: &[(ObjectId, u64)]) -> Result<(), Stop> {
        if planted::on(Bug::CommitChunkTwice) {
            return Ok(());
        }
        let mut numbers = Vec::with_capacity(chunks.len() + 1);
        numbers.push(id.number);
        numbers.extend(chunks.iter().map(|(_, number)| *number));
        numbers.sort_unstable();
        let finished = self.sessions.finished(id.session)?;
        let twice = numbers.array_windows().find(|[a, b]| a == b).map(|[a, _]| *a);
        if let Some(number) = twice.or_else(|| numbers.iter().copied().find(|number| finished.contains(*number))) {
            let detail = format!("number {number} of session {} was used before", id.session);
            return Err(refused(Status::ForeignChunk, detail));
        }
        Ok(self.sessions.check_room(id.session, &numbers)?)
    }

    fn finish(&mut self, id: Origin, change: &Checked, ending: Ending) {
        match (change, ending) {
            (Checked::Commit { chunks, .. }, Ending::Changed(_)) => {
                let numbers: Vec<u64> = chunks.iter().map(|(_, number)| *number).collect();
                self.sessions.finish(id, &numbers, ending);
            }
            _ => self.sessions.finish(id, &[], ending),
        }
        let (status, version) = match ending {
            Ending::Changed(changed) => (Status::Ok, changed.version),
            Ending::Refused(status) => (status, 0),
        };
        let (session, number) = (id.session.to_le_bytes(), id.number.to_le_bytes());
        self.digest(&[b"finished", &session, &number, &[status.code()], &version.to_le_bytes()]);
    }
}

/// Whether what is there is what a change must find.
pub(super) fn check_condition(
    path: &NamePath,
    condition: Condition,
    found: Option<&NameEntry<'_>>,
) -> Result<(), Refusal> {
    let (status, detail) = match (condition, found) {
        (Condition::Any, _) | (Condition::Absent, None) => return Ok(()),
        (Condition::Absent, Some(_)) => (Status::AlreadyExists, format!("{path}: the name is taken")),
        (Condition::Version(_), None) => (Status::NotFound, format!("{path}: there is no such name")),
        (Condition::Version(want), Some(entry)) if entry.version() == want => return Ok(()),
        (Condition::Version(want), Some(entry)) => {
            (Status::VersionMismatch, format!("{path}: its version is {}, not {want}", entry.version()))
        }
    };
    Err(Refusal::new(status, detail))
}
