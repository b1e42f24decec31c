//! What a disk's background thread does, for tests that are that thread: steps of compaction and of index files, with what
//! the io layer does about each outcome.

use crate::store::snapshot::SnapshotError;
use crate::store::{AppendError, CompactionStep, Obstacle, Opened};
use std::io;

/// The disk takes no more writes, as io has it after a failure of the background thread's.
fn fail(opened: &mut Opened, why: &dyn std::fmt::Display) -> AppendError {
    opened.appender.fail("work in the background", io::Error::other(why.to_string()));
    opened.appender.sync().expect_err("it has failed")
}

/// One step; false when nothing is worth doing now. No room for it is [`AppendError::Full`].
pub fn compact(opened: &mut Opened, tight: bool) -> Result<bool, AppendError> {
    match opened.compaction.step(20, 1 << 30, tight) {
        CompactionStep::Rest => Ok(false),
        CompactionStep::Worked(_) => Ok(true),
        CompactionStep::Publish(compacted) => {
            let published = opened.appender.publish_compacted(&compacted);
            // After a failure nobody knows what the manifest names, so no file may go.
            if !matches!(published, Err(AppendError::Failed(_))) {
                opened.compaction.published(&compacted, matches!(published, Ok(true)));
            }
            published.map(|_| true)
        }
        CompactionStep::Roll(volume) => opened.appender.roll(volume).map(|()| true),
        CompactionStep::GaveUp(obstacle) if obstacle.is_write_failure() => Err(fail(opened, &obstacle)),
        CompactionStep::GaveUp(Obstacle::Full { place }) => Err(AppendError::Full { place }),
        CompactionStep::GaveUp(Obstacle::Damaged { volume, sequence, position }) => {
            panic!("nothing is damaged: {volume:?} {sequence:?} at {position}")
        }
        CompactionStep::GaveUp(Obstacle::Io { .. } | Obstacle::Stale) => Ok(false),
    }
}

/// Up to so many steps.
pub fn compact_some(opened: &mut Opened, steps: u64, tight: bool) -> Result<(), AppendError> {
    for _ in 0..steps {
        if !compact(opened, tight)? {
            break;
        }
    }
    Ok(())
}

/// Writes up to so many index files, of open segments too.
pub fn index_some(opened: &mut Opened, files: u64) -> Result<(), AppendError> {
    for _ in 0..files {
        match opened.snapshots.step_after(0) {
            Ok(true) => {}
            Ok(false) | Err(SnapshotError::Read(_)) => break,
            Err(SnapshotError::Full(error)) => return Err(AppendError::Full { place: error.to_string() }),
            Err(error @ SnapshotError::Write(_)) => return Err(fail(opened, &error)),
        }
    }
    Ok(())
}
