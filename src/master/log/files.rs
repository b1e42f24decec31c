//! Makes segment files.
//!
//! Owned by the master thread. Always: header and name are durable before the file is used; one that finds no room is gone
//! again, durably, before anything else is written.

use super::content::Applied;
use super::segment_header::{LOG_HEADER_BYTES, LogHeader};
use super::{Segment, StateError, Tail, broken, names};
use crate::disk::{Disk, File, Open, is_full};
use crate::journal::failed_sync;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// Makes the segment that `header` describes, with room for `bytes`, and for `needed` at least.
///
/// # Errors
/// [`StateError::Full`]: nothing is left of it.
pub(super) fn make_segment(
    disk: &dyn Disk,
    header: &LogHeader,
    bytes: u64,
    needed: u64,
) -> Result<(Segment, Tail), StateError> {
    let name = names::segment(header.first);
    let place = format!("{}/{name}", disk.place());
    let made = reserve(disk, &name, bytes.max(needed)).or_else(|error| {
        if !is_full(&error) {
            return Err(error);
        }
        remove_made(disk, &name)?;
        reserve(disk, &name, needed)
    });
    let made = made.and_then(|file| {
        file.write_all_at(&mut [IoSlice::new(&header.encode())], 0)?;
        Ok(file)
    });
    let file = match made {
        Ok(file) => file,
        Err(error) if is_full(&error) => {
            remove_made(disk, &name).map_err(|error| broken(&place, error))?;
            return Err(StateError::Full { place });
        }
        Err(error) => return Err(broken(place, error)),
    };
    file.sync_all().map_err(|error| broken(&place, failed_sync(error)))?;
    disk.sync_directory().map_err(|error| broken(&place, failed_sync(error)))?;
    let allocated = file.len().map_err(|error| broken(&place, error))?;
    let before = Some(Applied { ..header.before });
    let segment = Segment { first: header.first, before, records: 0, bytes: allocated };
    let end = LOG_HEADER_BYTES as u64;
    Ok((segment, Tail { name, file, end, filled: end, allocated, closing_at: None }))
}

fn reserve(disk: &dyn Disk, name: &str, bytes: u64) -> io::Result<Arc<dyn File>> {
    let file = disk.open(name, Open::Create)?;
    file.allocate(0, bytes)?;
    Ok(file)
}

/// Takes away what could not be finished: left there, it might come back as a segment where none belongs.
fn remove_made(disk: &dyn Disk, name: &str) -> io::Result<()> {
    match disk.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(not_room(error)),
        _ => disk.sync_directory().map_err(failed_sync),
    }
}

/// An error that is not to be read as want of room.
fn not_room(error: io::Error) -> io::Error {
    if is_full(&error) { io::Error::other(error.to_string()) } else { error }
}
