//! The scrub of one disk as the node runs it: when a pass begins, how fast it goes, and what becomes of what it finds.
//!
//! [`Scrubber`] belongs to the background thread of the disk, which calls [`Scrubber::step`]; [`ScrubCell`] is what other
//! threads see. Always: a pass goes no faster than its period calls for (unless it was asked for by hand), and waits
//! while reads wait; what is found is logged with its place, and a needle is marked damaged by the append lane, which
//! alone writes the manifest; so does it delete chunks of uploads that are dead ([`Uploads`]), before the pass goes on to
//! the next segment.
//!
//! ```text
//! Off ─asked─▶ Now      Resting ─due─▶ Running ─asked─▶ Now      Running, Now ─end─▶ Resting (Off when the period is 0)
//! ```

#[cfg(test)]
mod collection;
mod collector;
mod pace;
mod report;
mod scrubber;
#[cfg(test)]
mod tests;

pub use collector::Uploads;
pub(super) use report::ScrubCell;
pub use report::{DiskScrub, ScrubReport, ScrubSettings, ScrubState};
pub(super) use scrubber::Scrubber;
