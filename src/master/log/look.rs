//! Looks at the files of a log before anything of it is believed: names, headers, the mark.
//!
//! Runs where the log is opened. Always: names are durable and dirty pages of what may still be written are on the disk
//! before it is read, and it is read from the disk; a file that is not of this log, or of a later version, ends the
//! opening, and nothing is changed; only a segment in which nothing was ever written is removed.

use super::mark::{MARK_MAGIC, MARK_SLOT_BYTES, MARK_VERSION, Mark};
use super::names;
use super::segment_header::{BadHeader, LOG_HEADER_BYTES, LOG_VERSION, LogHeader};
use super::{StateError, broken};
use crate::base::ids::Sequence;
use crate::disk::{Disk, EntryKind, File, Open};
use crate::journal::{Pair, SECTOR_BYTES, Window, failed_sync};
use std::io;
use std::sync::Arc;

/// What a scan reads at once.
pub(super) const PIECE_BYTES: usize = 1 << 20;

/// A segment file.
#[derive(Debug)]
pub(super) struct Found {
    pub first: Sequence,
    pub name: String,
    pub file: Arc<dyn File>,
    /// None: its first sector does not verify.
    pub header: Option<LogHeader>,
}

/// The mark file.
#[derive(Debug)]
pub(super) struct MarkFile {
    pub file: Arc<dyn File>,
    pub mark: Option<Mark>,
    /// Counter and slot of what it holds.
    pub held: Option<(u64, u64)>,
    /// It holds something, and no slot is whole.
    pub damaged: bool,
}

/// What lies in the directory.
#[derive(Debug)]
pub(super) struct Look {
    /// The segments, oldest first.
    pub files: Vec<Found>,
    pub mark: Option<MarkFile>,
    /// The key of the log, if anything says it.
    pub salt: Option<u64>,
    /// Segments that were begun and never written to.
    pub removed: Vec<String>,
}

/// Looks at all of it.
pub(super) fn look(disk: &dyn Disk, owner: u128) -> Result<Look, StateError> {
    // A name that only the page cache has would take everything that is written under it along.
    disk.sync_directory().map_err(|error| broken(disk.place(), failed_sync(error)))?;
    let entries = disk.list().map_err(|error| broken(disk.place(), error))?;
    let mut firsts = Vec::new();
    let mut has_mark = false;
    for entry in entries {
        let first = names::parse_segment(&entry.name);
        if first.is_none() && entry.name != names::MARK {
            continue;
        }
        if entry.kind != EntryKind::File {
            let place = format!("{}/{}", disk.place(), entry.name);
            return Err(StateError::damaged(place, "it is no file, and a file of the log has this name: move it away"));
        }
        has_mark |= first.is_none();
        firsts.extend(first);
    }
    firsts.sort_unstable();
    let mark = if has_mark { Some(read_mark(disk, owner)?) } else { None };
    let mut look = Look {
        files: Vec::new(),
        salt: mark.as_ref().and_then(|mark| mark.mark).map(|mark| mark.salt),
        mark,
        removed: Vec::new(),
    };
    let newest = firsts.last().copied();
    for first in firsts {
        let found = look_at(disk, first, Some(first) == newest)?;
        check_header(disk, owner, &mut look.salt, &found)?;
        look.files.push(found);
    }
    remove_unfinished(disk, &mut look)?;
    Ok(look)
}

fn read_mark(disk: &dyn Disk, owner: u128) -> Result<MarkFile, StateError> {
    let place = format!("{}/{}", disk.place(), names::MARK);
    let broken = |error| broken(&place, error);
    let file = disk.open(names::MARK, Open::Write).map_err(broken)?;
    from_the_disk(&*file).map_err(broken)?;
    let held = Pair::read(&file, MARK_MAGIC, MARK_SLOT_BYTES).map_err(broken)?;
    let Some((content, slot)) = held else {
        let damaged = !Pair::is_blank(&*file, MARK_SLOT_BYTES).map_err(broken)?;
        return Ok(MarkFile { file, mark: None, held: None, damaged });
    };
    if content.version != MARK_VERSION {
        return Err(later(place, u64::from(content.version), u64::from(MARK_VERSION)));
    }
    let mark = Mark::parse(&content.body);
    if mark.is_some_and(|mark| mark.owner != owner) {
        return Err(StateError::damaged(place, "it belongs to another directory: move it away"));
    }
    Ok(MarkFile { file, mark, held: Some((content.counter, slot)), damaged: mark.is_none() })
}

/// After a failed sync the page cache shows what the disk lacks: what is dirty is written, then the disk is read.
fn from_the_disk(file: &dyn File) -> io::Result<()> {
    file.sync_all().map_err(failed_sync)?;
    file.drop_pages()
}

fn look_at(disk: &dyn Disk, first: Sequence, newest: bool) -> Result<Found, StateError> {
    let name = names::segment(first);
    let place = format!("{}/{name}", disk.place());
    let broken = |error| broken(&place, error);
    let file = disk.open(&name, if newest { Open::Write } else { Open::Read }).map_err(broken)?;
    if newest {
        from_the_disk(&*file).map_err(broken)?;
    }
    let mut window = Window::new(&*file, file.len().map_err(broken)?, LOG_HEADER_BYTES);
    let header = match LogHeader::parse(window.bytes(0, LOG_HEADER_BYTES).map_err(broken)?) {
        Ok(header) => Some(header),
        Err(BadHeader::Damaged) => None,
        Err(BadHeader::Version(version)) => return Err(later(place, u64::from(version), u64::from(LOG_VERSION))),
    };
    drop(window);
    Ok(Found { first, name, file, header })
}

fn later(place: String, found: u64, known: u64) -> StateError {
    StateError::damaged(
        place,
        format!("its format has version {found}, this program knows {known}: use a later program"),
    )
}

/// A whole header must say what the name says, and whose log it is.
fn check_header(disk: &dyn Disk, owner: u128, salt: &mut Option<u64>, found: &Found) -> Result<(), StateError> {
    let Some(header) = found.header else { return Ok(()) };
    let wrong = if header.owner != owner {
        Some("it belongs to another directory: move it away, and put the right one in its place".to_owned())
    } else if header.first != found.first {
        let name = names::segment(header.first);
        Some(format!("it is what should be called {name}: files were swapped or renamed; name them as they were"))
    } else if salt.is_some_and(|salt| salt != header.salt) {
        Some("it belongs to another log of this directory: move it away, and put the right one in its place".to_owned())
    } else {
        None
    };
    match wrong {
        Some(wrong) => Err(StateError::damaged(format!("{}/{}", disk.place(), found.name), wrong)),
        None => {
            *salt = Some(header.salt);
            Ok(())
        }
    }
}

/// A newest segment without a header and with nothing behind it was being made when power went: header and name are
/// durable before the first record.
fn remove_unfinished(disk: &dyn Disk, look: &mut Look) -> Result<(), StateError> {
    let mark = look.mark.as_ref().and_then(|mark| mark.mark);
    while let Some(last) = look.files.last() {
        let place = format!("{}/{}", disk.place(), last.name);
        let proven = mark.is_some_and(|mark| mark.mark > last.first);
        if last.header.is_some() || proven || !is_zero(&*last.file).map_err(|error| broken(&place, error))? {
            return Ok(());
        }
        disk.remove(&last.name).map_err(|error| broken(&place, error))?;
        disk.sync_directory().map_err(|error| broken(&place, failed_sync(error)))?;
        look.removed.push(last.name.clone());
        look.files.pop();
        if let Some(last) = look.files.last_mut() {
            // It is the one that is written to.
            *last = look_at(disk, last.first, true)?;
        }
    }
    Ok(())
}

/// Whether nothing lies behind the first sector.
fn is_zero(file: &dyn File) -> io::Result<bool> {
    let bytes = file.len()?;
    if bytes <= LOG_HEADER_BYTES as u64 {
        return Ok(true);
    }
    let mut window = Window::new(file, bytes, PIECE_BYTES);
    let zeros = window.skip_zeros(LOG_HEADER_BYTES as u64, SECTOR_BYTES)? >= bytes;
    Ok(zeros && window.unreadable() == 0)
}
