//! Puts a compacted segment in the place of what it was made of.
//!
//! Owned by the append lane, which alone deletes: so nothing is deleted between the last look at the old segments and the
//! swap. Always: the manifest says so durably before any reader sees it; a copy of what has changed meanwhile is refused.

use super::room::Purpose;
use super::{AppendError, Appender};
use crate::base::ids::VolumeId;
use crate::base::planted::{self, Bug};
use crate::store::compaction::Compacted;
use crate::store::manifest::Record;
use std::sync::Arc;

impl Appender {
    /// Publishes a compacted segment; false if the segments that it was made of are not the current ones any more.
    ///
    /// # Errors
    /// [`AppendError::Full`] if the manifest has no room, [`AppendError::Failed`]; then nothing has changed for readers.
    pub fn publish_compacted(&mut self, compacted: &Compacted) -> Result<bool, AppendError> {
        self.guarded(|appender| appender.on_the_reserve(Purpose::Compaction, |appender| appender.swap(compacted)))
    }

    /// Closes the open segment of a volume, if it has one: from then on it can be rewritten.
    ///
    /// # Errors
    /// [`AppendError`].
    pub fn roll(&mut self, volume: VolumeId) -> Result<(), AppendError> {
        self.guarded(|appender| {
            let open = appender.writers.get(&volume).and_then(|writer| writer.tail.as_ref());
            if open.is_none_or(|tail| tail.pending || tail.segment.next() == tail.segment.base()) {
                return Ok(());
            }
            appender.begin_run()?;
            appender.on_the_reserve(Purpose::Compaction, |appender| appender.close_tail(volume))
        })
    }

    fn swap(&mut self, compacted: &Compacted) -> Result<bool, AppendError> {
        let (segment, closed) = (&compacted.segment, compacted.closed);
        let (volume, base) = (segment.volume(), segment.base());
        let view = self.catalog.view();
        let range = base..closed.next;
        let current: Vec<_> = view.segments(volume).iter().filter(|other| range.contains(&other.base())).collect();
        let same = current.len() == compacted.sources.len()
            && current.iter().zip(&compacted.sources).all(|(now, then)| Arc::ptr_eq(now, then));
        if !same || compacted.sources.iter().any(|source| source.closed().is_none()) {
            return Ok(false);
        }
        for source in &compacted.sources {
            for (sequence, slot) in source.entries(source.base()) {
                // What was deleted before it was copied is not in the copy.
                if slot.is_deleted() && !planted::on(Bug::ForgetLateDeletes) {
                    segment.delete(sequence);
                }
                if slot.is_damaged() && !slot.is_deleted() && !segment.slot(sequence).is_absent() {
                    segment.damage(sequence);
                }
            }
        }
        self.begin_run()?;
        self.record(&[Record::Swap { volume, base, closed }])?;
        let before: u64 = compacted.sources.iter().map(|source| source.end()).sum();
        if let Some(writer) = self.writers.get_mut(&volume) {
            writer.closed_bytes = (writer.closed_bytes + closed.end).saturating_sub(before);
        }
        self.catalog.replace(Arc::clone(segment));
        Ok(true)
    }
}
