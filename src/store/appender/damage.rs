//! Marks needles as damaged that the scrub found so, in the index and in the manifest.
//!
//! Owned by the append lane.

use super::{AppendError, Appender};
use crate::base::ids::{Sequence, VolumeId};
use crate::store::manifest::Record;

/// Needles that one call marks.
const COUNT_MAX: u64 = 1 << 20;

impl Appender {
    /// Marks `count` needles from `first` on as damaged: from now on they are answered so, and the manifest remembers
    /// it. Those that are not there, or marked already, are passed over. Returns how many were marked.
    ///
    /// # Errors
    /// [`AppendError`], when the manifest could not take it: they are marked all the same, until the next start.
    pub fn damage(&mut self, volume: VolumeId, first: Sequence, count: u64) -> Result<u64, AppendError> {
        let view = self.catalog.view();
        let past = first.0.saturating_add(count.min(COUNT_MAX));
        let mut marked: Vec<Sequence> = Vec::new();
        for segment in view.segments(volume) {
            let range = segment.base().max(first).0..segment.next().0.min(past);
            marked.extend(range.map(Sequence).filter(|&sequence| segment.damage(sequence)));
        }
        let runs = marked.chunk_by(|one, next| one.0 + 1 == next.0);
        let run = |run: &[Sequence]| Record::DamageFound { volume, first: run[0], count: run.len() as u64 };
        let records: Vec<Record> = runs.map(run).collect();
        if !records.is_empty() {
            self.guarded(|appender| appender.record(&records))?;
        }
        Ok(marked.len() as u64)
    }
}
