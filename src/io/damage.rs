//! What a reader does about a needle that does not verify: looks at the device once more, and has it marked.
//!
//! Reader thread. Always: only what the device itself gives wrong is marked, for the page cache may be wrong alone; the
//! append lane marks it, durably, so that it is answered at once from then on, counted, and known to the next start.

use super::append;
use super::job::{LaneJob, LaneWork};
use super::read::Target;
use crate::base::clock::Moment;
use crate::base::completion::Completion;
use crate::base::limits::{ATTRIBUTE_BYTES_MAX, CHUNK_BYTES_MAX};
use crate::disk::{DIRECT_BYTES, DirectBuffer};
use crate::store::Head;
use std::io;

/// The largest needle, and what lies before it in its first page.
const NEEDLE_BYTES_MAX: usize = CHUNK_BYTES_MAX + ATTRIBUTE_BYTES_MAX + 2 * DIRECT_BYTES;

/// Marks a needle as damaged, unless the device has it whole.
pub(super) fn mark(target: &Target) {
    let unit = &target.unit;
    match is_whole(target) {
        Ok(true) => {
            log::warn!(
                "disk {}: volume {:x} sequence {:x}: the device has it whole, only the page cache has not",
                unit.place,
                target.id.volume.0,
                target.id.sequence.0
            );
            return;
        }
        Ok(false) => {}
        // Its segment was replaced a moment ago: whoever asks again finds it in another.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        // Who cannot read it cannot say that it is damaged.
        Err(error) => return unit.read_error(&error),
    }
    let work = LaneWork::Damage {
        volume: target.id.volume,
        first: target.id.sequence,
        count: 1,
        done: Completion::new(|_marked: u64| ()),
    };
    // A lane that has no place for it is asked again at the next read.
    drop(append::submit(unit, LaneJob { work, queued: unit.clock.now(), deadline: Moment(u64::MAX) }));
}

/// Whether the device has a needle there whose every byte verifies.
fn is_whole(target: &Target) -> io::Result<bool> {
    let place = &target.place;
    let file = place.segment.open_direct()?;
    let from = place.position / DIRECT_BYTES as u64 * DIRECT_BYTES as u64;
    // No needle is larger, whatever the index says of its place.
    let bytes = usize::try_from(place.bound.saturating_sub(from)).unwrap_or(usize::MAX).min(NEEDLE_BYTES_MAX);
    let mut buffer = DirectBuffer::new(bytes);
    let filled = file.read_at(buffer.bytes_mut(), from)?;
    let skipped = usize::try_from(place.position - from).unwrap_or(0);
    let needle = buffer.bytes().get(skipped..filled).unwrap_or_default();
    let Ok(head) = Head::parse(needle, place.segment.salt(), target.id.volume, target.id.sequence) else {
        return Ok(false);
    };
    let payload = needle.get(head.payload_offset()..).unwrap_or_default();
    let payload = payload.get(..head.payload_bytes as usize).unwrap_or_default();
    Ok(head.verify_payload(payload).is_ok())
}
