//! What other threads see of the scrub of a disk, and what they may ask of it.
//!
//! Any thread. The lock is held over copies only.

use crate::store::ScrubFinding;
use parking_lot::Mutex;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// How the disks are scrubbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrubSettings {
    /// A pass is spread over this long, and the next begins this long after it; zero: only by hand.
    pub period: Duration,
    /// The fastest that a pass may go.
    pub bytes_per_s: u64,
}

impl ScrubSettings {
    pub(super) fn resting(&self) -> ScrubState {
        if self.period.is_zero() { ScrubState::Off } else { ScrubState::Resting }
    }
}

/// What the scrub of a disk does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ScrubState {
    /// No pass is ever due.
    #[default]
    Off,
    /// The next pass is not due yet.
    Resting,
    /// A pass is spread over its period.
    Running,
    /// A pass that was asked for goes as fast as it may.
    Now,
}

/// The scrub of a disk at a glance. Times are milliseconds since 1970, UTC; 0 is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ScrubReport {
    /// What it does now.
    pub state: ScrubState,
    /// A pass at full speed was asked for, and has not ended.
    pub requested: bool,
    /// Of the current pass.
    pub percent: u64,
    /// Bytes of segments that the current pass has checked.
    pub checked_bytes: u64,
    /// Bytes of all segments of the current pass.
    pub pass_bytes: u64,
    /// What the current pass has found.
    pub findings: u64,
    /// When the current pass began.
    pub begun_ms: u64,
    /// When the last pass ended.
    pub completed_ms: u64,
    /// What the last pass had found.
    pub completed_findings: u64,
    /// When the last pass began that ended and left no chunk of an upload that was dead then.
    pub searched_ms: u64,
    /// Chunks of uploads that never ended, deleted since the start of the node.
    pub collected: u64,
    /// Bytes of their content.
    pub collected_bytes: u64,
    /// Needles marked damaged since the start of the node.
    pub needles_marked: u64,
    /// Bytes read since the start of the node.
    pub read_bytes: u64,
}

/// The scrub of a disk, with what it found.
#[derive(Debug, Clone, Serialize)]
pub struct DiskScrub {
    /// Where the disk is.
    pub place: String,
    /// Its id.
    pub disk: String,
    /// How far it is.
    pub scrub: ScrubReport,
    /// What the current pass has found, or the last one when there is none; at most 256. Not kept over a restart.
    pub found: Vec<ScrubFinding>,
}

/// What other threads see and say.
#[derive(Debug, Default)]
pub(in crate::io) struct ScrubCell {
    pub(super) requested: AtomicBool,
    /// Jobs of the lane that mark needles and have not ended.
    pub(super) marking: Arc<AtomicUsize>,
    pub(super) told: Mutex<(ScrubReport, Vec<ScrubFinding>)>,
}

impl ScrubCell {
    /// Before the background thread has looked.
    pub(in crate::io) fn new(settings: &ScrubSettings) -> Self {
        let report = ScrubReport { state: settings.resting(), ..ScrubReport::default() };
        Self { told: Mutex::new((report, Vec::new())), ..Self::default() }
    }

    /// Asks for a pass at full speed; one that was asked for before goes on.
    pub(in crate::io) fn request(&self) {
        self.requested.store(true, Ordering::Release);
    }

    pub(in crate::io) fn report(&self) -> ScrubReport {
        // In this order: a pass that ends between the two is still told as asked for.
        let requested = self.requested.load(Ordering::Acquire);
        ScrubReport { requested, ..self.told.lock().0 }
    }

    pub(in crate::io) fn found(&self) -> Vec<ScrubFinding> {
        self.told.lock().1.clone()
    }
}
