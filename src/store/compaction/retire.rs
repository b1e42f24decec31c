//! Takes the file of a segment that was replaced off the disk, step by step.
//!
//! Runs on the background thread. Always: the name goes first, and the manifest had dropped it before; the file is cut only
//! when no reader has it any more, in pieces, for freeing a gibibyte at once holds up everybody's syncs (seen: 0.4 s), and
//! closed last, when there is nothing left to free.

use super::Obstacle;
use crate::base::planted::{self, Bug};
use crate::disk::{Disk, File, Open};
use crate::store::handles::Given;
use crate::store::names;
use crate::store::segment::Segment;
use std::io;
use std::sync::Arc;

/// What is cut off at once.
const CUT_BYTES: u64 = 64 << 20;

/// A file on its way out.
#[derive(Debug)]
pub(super) struct Retiring {
    name: String,
    /// Its index file.
    index: String,
    /// What readers had; some may be in the middle of a read.
    given: Given,
    own: Option<Arc<dyn File>>,
    begun: bool,
}

/// How a step went.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RetireStep {
    /// So many bytes came back.
    Cut(u64),
    /// A reader has it still.
    Waits,
    /// It is gone.
    Gone,
}

impl Retiring {
    pub fn new(segment: &Segment) -> Self {
        let edition = segment.closed().map_or(0, |closed| closed.edition);
        let index = names::index(segment.volume(), segment.base(), edition);
        Self { name: segment.name().to_string(), index, given: segment.handle().retire(), own: None, begun: false }
    }

    pub fn step(&mut self, disk: &dyn Disk) -> Result<RetireStep, Obstacle> {
        let failed = |action| {
            let place = format!("{}/{}", disk.place(), self.name);
            move |error| Obstacle::of(place, action, error)
        };
        if !self.begun {
            self.own = match disk.open(&self.name, Open::Write) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(RetireStep::Gone),
                opened => Some(opened.map_err(failed("open"))?),
            };
            disk.remove(&self.name).map_err(failed("remove"))?;
            match disk.remove(&self.index) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove")(error)),
                _ => {}
            }
            disk.sync_directory().map_err(failed("sync"))?;
            self.begun = true;
        }
        if self.given.is_in_use() && !planted::on(Bug::CutUnderReader) {
            return Ok(RetireStep::Waits);
        }
        let Some(own) = &self.own else { return Ok(RetireStep::Gone) };
        let bytes = own.len().map_err(failed("stat"))?;
        if bytes == 0 {
            return Ok(RetireStep::Gone);
        }
        let to = bytes.saturating_sub(CUT_BYTES);
        own.set_len(to).map_err(failed("cut"))?;
        Ok(RetireStep::Cut(bytes - to))
    }
}
