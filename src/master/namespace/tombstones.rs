//! The to-do list of tombstones: contents that were replaced or removed.
//!
//! Written by the apply thread, read by whoever writes tombstones. Always: an id is on the list once, from the change that
//! took it out of the namespace until its tombstone is on its disk; the oldest come first.
//!
//! ```text
//! value:  object ids, to the end: volume varint | sequence varint | cookie u64 LE
//! ```

use super::entry::{chunk, push_chunk};
use super::keys;
use super::state::Namespace;
use crate::base::ids::ObjectId;
use crate::base::limits::TOMBSTONE_IDS_MAX;
use crate::base::planted::{self, Bug};
use crate::master::StateError;
use crate::master::command::TombstoneKey;
use crate::master::fields::Fields;
use crate::master::table::{Table, TableMut};
use std::ops::ControlFlow;

impl Namespace {
    /// Puts chunks on the list.
    pub(super) fn bury(&mut self, table: &mut dyn TableMut, chunks: &[ObjectId], version: u64) {
        if planted::on(Bug::ForgetOldContent) {
            return;
        }
        let since_ms = self.meta.time_ms;
        for (part, ids) in (0..).zip(chunks.chunks(TOMBSTONE_IDS_MAX)) {
            let mut value = Vec::with_capacity(16 * ids.len());
            ids.iter().for_each(|id| push_chunk(&mut value, *id));
            self.put(table, keys::tombstone_key(TombstoneKey { since_ms, version, part }), value);
        }
        self.meta.tombstones += chunks.len() as u64;
    }

    /// Takes entries off the list; those that are not on it are left out.
    pub(super) fn tombstones_written(
        &mut self,
        table: &mut dyn TableMut,
        written: &[TombstoneKey],
    ) -> Result<(), StateError> {
        let mut written = written.to_vec();
        written.sort_unstable();
        written.dedup();
        let mut there = Vec::with_capacity(written.len());
        let mut ids = 0;
        for key in written {
            let bytes = keys::tombstone_key(key);
            if let Some(value) = table.value(&bytes)? {
                ids += parse(&value)?.len() as u64;
                there.push(bytes);
            }
        }
        there.into_iter().for_each(|key| self.remove(table, key));
        self.meta.tombstones = self.meta.tombstones.saturating_sub(ids);
        Ok(())
    }
}

/// Entries of the list behind `after` that waited long enough, the oldest first, with their ids: up to `ids_max` of them, or
/// one entry.
///
/// # Errors
/// [`StateError`], of reading the table.
pub fn tombstones_due(
    table: &dyn Table,
    after: Option<TombstoneKey>,
    now_ms: u64,
    wait_ms: u64,
    ids_max: usize,
) -> Result<Vec<(TombstoneKey, Vec<ObjectId>)>, StateError> {
    let (mut due, mut ids, mut failed) = (Vec::new(), 0, None);
    let Some(until_ms) = now_ms.checked_sub(wait_ms) else {
        return Ok(due);
    };
    let (first, to) = keys::tombstones_until(until_ms);
    // Nothing lies between a key and the same with a zero behind it.
    let from = after.map_or(first.to_vec(), |after| [&keys::tombstone_key(after)[..], &[0]].concat());
    table.scan(&from, &to, &mut |key, value| {
        let entry = keys::tombstone_of(key).ok_or_else(|| damaged("its key is none")).and_then(|key| {
            let chunks = parse(value)?;
            Ok((key, chunks))
        });
        match entry {
            Ok((_, chunks)) if !due.is_empty() && ids + chunks.len() > ids_max => return ControlFlow::Break(()),
            Ok((key, chunks)) => {
                ids += chunks.len();
                due.push((key, chunks));
            }
            Err(error) => {
                failed = Some(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    failed.map_or(Ok(due), Err)
}

fn parse(value: &[u8]) -> Result<Vec<ObjectId>, StateError> {
    let (mut fields, mut ids) = (Fields(value), Vec::new());
    while !fields.is_empty() {
        ids.push(chunk(&mut fields).ok_or_else(|| damaged("its ids are none"))?);
    }
    Ok(ids)
}

fn damaged(what: &str) -> StateError {
    StateError::damaged("the list of tombstones in the metadata state", what)
}
