//! What a test knows of a store: which objects were asked for and acknowledged, and so what may be found after a fault.

use super::world::*;
use crate::base::ids::ObjectId;
use crate::store::{AppendError, Appended, Entry, Opened, VolumeNumbers};
use std::collections::HashMap;
use std::sync::Arc;

/// How sure we are of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sure {
    No,
    /// Asked for, or acknowledged without a sync: may be or not.
    Perhaps,
    /// Acknowledged after its sync.
    Yes,
}

#[derive(Debug, Clone)]
pub struct Known {
    /// Shared, for facts are copied before each group.
    pub content: Arc<[u8]>,
    pub stored: Sure,
    pub deleted: Sure,
}

impl Known {
    /// An object that is there for sure.
    pub fn stored(content: &[u8]) -> Self {
        Self { content: content.into(), stored: Sure::Yes, deleted: Sure::No }
    }
}

/// All objects that ever had an id and may still be there.
#[derive(Debug, Clone, Default)]
pub struct Facts(pub HashMap<ObjectId, Known>);

impl Facts {
    /// Their ids, in an order that the seed alone decides: a map has its own in each process.
    pub fn ids(&self) -> Vec<ObjectId> {
        let mut ids: Vec<ObjectId> = self.0.keys().copied().collect();
        ids.sort_by_key(|id| (id.volume, id.sequence, id.cookie.0));
        ids
    }

    /// Those of objects that nobody asked to delete.
    pub fn living(&self) -> Vec<ObjectId> {
        let mut ids = self.ids();
        ids.retain(|id| self.0[id].deleted == Sure::No);
        ids
    }

    /// Every fact that was perhaps is sure after a sync.
    pub fn all_synced(&mut self) {
        for known in self.0.values_mut() {
            for fact in [&mut known.stored, &mut known.deleted] {
                if *fact == Sure::Perhaps {
                    *fact = Sure::Yes;
                }
            }
        }
    }

    /// Appends a group and learns from its outcome.
    pub fn append(
        &mut self,
        opened: &mut Opened,
        entries: &[Entry],
        sync: bool,
        numbers: &dyn VolumeNumbers,
    ) -> Result<(), AppendError> {
        let before = self.0.clone();
        // Until it is answered, any of it may happen.
        for entry in entries {
            if let Entry::Delete { id } = entry
                && let Some(known) = self.0.get_mut(id)
                && known.deleted == Sure::No
            {
                known.deleted = Sure::Perhaps;
            }
        }
        let outcomes = match opened.appender.append(entries, 5, sync, numbers) {
            Ok(outcomes) => outcomes,
            Err(error) => {
                if !matches!(error, AppendError::Failed(_)) {
                    // Nothing of a group that was not written can be read.
                    self.0 = before;
                }
                return Err(error);
            }
        };
        let sure = if sync { Sure::Yes } else { Sure::Perhaps };
        for (entry, outcome) in entries.iter().zip(outcomes) {
            match (entry, outcome) {
                (Entry::Put { payload, .. }, Appended::Stored(id)) => {
                    if opened.superblock.raise(id.volume).is_err() {
                        continue;
                    }
                    let content = payload.bytes[..].into();
                    let before = self.0.insert(id, Known { content, stored: sure, deleted: Sure::No });
                    assert!(before.is_none(), "{id} was given out twice");
                }
                (Entry::Delete { id }, Appended::Deleted { .. }) => {
                    let known = self.0.get_mut(id).unwrap();
                    known.deleted = if known.deleted == Sure::Yes { Sure::Yes } else { sure };
                }
                // What was lost in an earlier crash is not found, nor what was deleted and is compacted away.
                (Entry::Delete { id }, Appended::NotFound) => {
                    let known = &self.0[id];
                    assert!(known.stored != Sure::Yes || known.deleted != Sure::No, "{id} was stored");
                }
                other => panic!("{other:?}"),
            }
        }
        if sync {
            self.all_synced();
        }
        Ok(())
    }

    /// What can be read agrees with what is sure; what was perhaps is settled now.
    pub fn settle(&mut self, opened: &Opened) {
        let view = opened.catalog.view();
        self.0.retain(|id, known| {
            match read(&view, *id).unwrap_or_else(|error| panic!("{id}: {error}")) {
                Some(content) => {
                    assert!(content[..] == known.content[..], "{id} has other bytes");
                    assert_ne!(known.deleted, Sure::Yes, "{id} was deleted and is back");
                    known.stored = Sure::Yes;
                    known.deleted = Sure::No;
                    true
                }
                None => {
                    let lost = known.deleted == Sure::No && known.stored == Sure::Yes;
                    assert!(!lost, "{id} was acknowledged and is gone");
                    // It is gone for good if it was deleted; an unsynced one's place may be used again under another cookie.
                    known.deleted = Sure::Yes;
                    known.stored == Sure::Yes
                }
            }
        });
    }
}

/// What a start could not read is kept, and the volume goes on behind all that may lie there: the next start tells of
/// sequences that were never given out, and of a digest that went on without them. None that was is among them.
pub fn assert_no_object_damaged(opened: &Opened, facts: &Facts) {
    let report = &opened.report;
    for found in &report.damages {
        let range = found.first..found.first + found.count;
        let hurt = facts.0.keys().find(|id| id.volume.0 == found.volume && range.contains(&id.sequence.0));
        assert!(hurt.is_none(), "{hurt:?} was given out: {found:?}");
    }
    assert!(report.missing_segments.is_empty(), "{:?}", report.missing_segments);
    assert_eq!((report.headers_damaged, report.manifest_damaged), (0, 0));
}

/// A power cut, a dead process or a failed call is no damage.
pub fn assert_no_damage(opened: &Opened) {
    let report = &opened.report;
    assert!(report.damages.is_empty(), "a power cut is no damage: {:?}", report.damages);
    assert!(report.missing_segments.is_empty(), "{:?}", report.missing_segments);
    assert_eq!((report.chain_breaks, report.headers_damaged, report.manifest_damaged), (0, 0, 0));
}
