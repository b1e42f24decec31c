//! The segment files of a directory: looked at for the plan, and brought in line with it.
//!
//! Runs where a disk is opened, before recovery; the offline checks only look. Always: looking writes nothing; what is
//! moved out of the way keeps every byte and gets a name that nobody has; only what the manifest dropped is deleted.

use super::directory_plan::{
    DirectoryPlan, DirectorySight, SegmentKey, Standing, Stands, is_named, name_of, plan_directory, says_it_is,
    says_its_name,
};
use super::error::StoreError;
use super::manifest::{Closed, ManifestState, VolumeState};
use super::mark::Marks;
use super::open::OpenReport;
use super::recovery_copy::{closed_of, read_copy};
use super::replay::{Which, replay};
use super::segment_header::{SEGMENT_HEADER_BYTES, SEGMENT_VERSION, SegmentHeader};
use super::{Identity, names};
use crate::base::ids::Sequence;
use crate::disk::{Disk, EntryKind, File, Open};
use crate::journal::failed_sync;
use std::collections::BTreeMap;
use std::io;

/// Looks at the directory and decides what to do with its segment files; changes nothing.
///
/// # Errors
/// Those of listing and reading; a file that may not be opened is in the plan instead.
pub(super) fn plan(
    disk: &dyn Disk,
    identity: &Identity,
    state: &ManifestState,
    marks: &Marks,
) -> Result<DirectoryPlan, StoreError> {
    let mut files = BTreeMap::new();
    for entry in disk.list().map_err(StoreError::io(disk, "", "list"))? {
        let Some(key) = names::parse_edition(&entry.name) else { continue };
        let stands = match entry.kind {
            EntryKind::File => stands(disk, &entry.name)?,
            EntryKind::Directory => Stands::NoFile("a directory"),
            EntryKind::Other => Stands::NoFile("a link or a device"),
        };
        files.insert(key, Standing { stands, next: None, copy: None });
    }
    look_inside(disk, identity, state, marks, &mut files)?;
    Ok(plan_directory(&DirectorySight { identity, state, marks, files: &files }))
}

fn stands(disk: &dyn Disk, name: &str) -> Result<Stands, StoreError> {
    let file = match disk.open(name, Open::Read) {
        Ok(file) => file,
        // Others, such as too few descriptors or a device that fails, say nothing of this one file.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(Stands::Shut(error.to_string())),
        Err(error) => return Err(StoreError::io(disk, name, "open")(error)),
    };
    let mut sector = [0; SEGMENT_HEADER_BYTES];
    // A sector that cannot be read does not verify either.
    let read = file.read_at(&mut sector, 0).unwrap_or(0);
    let sector = sector.get(..read).unwrap_or_default();
    Ok(match (SegmentHeader::parse(sector), SegmentHeader::version(sector)) {
        (Some(header), _) => Stands::Headed(header),
        (None, Some(version)) if version > SEGMENT_VERSION => Stands::Newer(version),
        _ => Stands::Headless,
    })
}

/// Finds out what the files that the manifest never named hold, and where the open ones before them end.
fn look_inside(
    disk: &dyn Disk,
    identity: &Identity,
    state: &ManifestState,
    marks: &Marks,
    files: &mut BTreeMap<SegmentKey, Standing>,
) -> Result<(), StoreError> {
    let open = |key: &SegmentKey| {
        let named = state.volumes.get(&key.0).and_then(|volume| volume.segments.get(&key.1));
        key.2 == 0 && matches!(named, Some((_, None)))
    };
    let unknown: Vec<SegmentKey> =
        files.keys().filter(|key| !is_named(state, **key) && !state.dropped.contains(*key)).copied().collect();
    for (key, standing) in files.iter_mut() {
        let Stands::Headed(header) = &standing.stands else { continue };
        let open_before = open(key) && unknown.iter().any(|other| other.0 == key.0);
        if !says_it_is(header, identity, *key) || !(unknown.contains(key) || open_before) {
            continue;
        }
        if key.2 > 0 {
            standing.next = Some(header.next);
            standing.copy = copy_of(disk, identity, header)?;
        } else {
            standing.next = next_of(disk, identity, header, marks)?;
        }
    }
    Ok(())
}

/// What a compacted segment holds that the manifest does not name, by the heads of its needles. `None` if it does not end
/// with a needle: it is cut to that before it is published, so it never was.
fn copy_of(disk: &dyn Disk, identity: &Identity, header: &SegmentHeader) -> Result<Option<Closed>, StoreError> {
    let name = name_of(says_its_name(header));
    let look = || -> io::Result<Option<Closed>> {
        let file = disk.open(&name, Open::Read)?;
        let state = VolumeState { salt: header.salt, generation: header.generation, ..VolumeState::default() };
        let (volume, base) = (header.volume, header.base);
        let all = Closed { end: file.len()?, next: header.next, edition: header.edition, ..Closed::default() };
        let which = Which { identity, volume, state: &state, base, closed: Some(all), mark: None, chain: None };
        let sight = read_copy(&*file, &which, &all, false, &mut |_| ())?;
        let (closed, ends) = closed_of(&sight, &all);
        Ok(ends.then_some(closed))
    };
    look().map_err(StoreError::io(disk, &name, "read"))
}

/// The sequence behind the last whole group of a file, by the heads of its needles.
fn next_of(
    disk: &dyn Disk,
    identity: &Identity,
    header: &SegmentHeader,
    marks: &Marks,
) -> Result<Option<Sequence>, StoreError> {
    let name = names::segment(header.volume, header.base);
    let state = VolumeState { salt: header.salt, generation: header.generation, ..VolumeState::default() };
    let mark = marks.marks.iter().find(|mark| mark.volume == header.volume);
    let (volume, base) = (header.volume, header.base);
    let which = Which { identity, volume, state: &state, base, closed: None, mark, chain: None };
    let file = disk.open(&name, Open::Read).map_err(StoreError::io(disk, &name, "open"))?;
    let replayed =
        replay(&*file, &which, Sequence(u64::MAX), &mut |_| ()).map_err(StoreError::io(disk, &name, "read"))?;
    Ok((replayed.sight.next > base).then_some(replayed.sight.next))
}

/// Does what the plan says, durably, and reports it. The facts that the manifest lacks are left to the caller.
pub(super) fn apply(disk: &dyn Disk, plan: DirectoryPlan, report: &mut OpenReport) -> Result<(), StoreError> {
    let name = |key: &SegmentKey| name_of(*key);
    for name in plan.delete.iter().map(name) {
        disk.remove(&name).map_err(StoreError::io(disk, &name, "remove"))?;
        report.deleted.push(name);
    }
    for name in plan.set_aside.iter().map(name) {
        report.set_aside.push(set_aside(disk, &name)?);
    }
    if !report.deleted.is_empty() || !report.set_aside.is_empty() {
        disk.sync_directory().map_err(StoreError::io(disk, "", "sync"))?;
    }
    report.adopted.extend(plan.adopted.iter().map(name));
    report.missing_segments.extend(plan.lost.iter().map(name));
    report.manifest_is_old = plan.manifest_is_old;
    for (_, case) in &plan.cases {
        *report.file_cases.entry(format!("{case:?}")).or_default() += 1;
    }
    report.findings.extend(plan.findings);
    Ok(())
}

fn set_aside(disk: &dyn Disk, name: &str) -> Result<String, StoreError> {
    let aside = free_name(disk, |number| names::aside(name, number))?;
    disk.rename(name, &aside).map_err(StoreError::io(disk, name, "set aside"))?;
    Ok(aside)
}

fn free_name(disk: &dyn Disk, spell: impl Fn(u32) -> String) -> Result<String, StoreError> {
    let taken = disk.list().map_err(StoreError::io(disk, "", "list"))?;
    let free = (0..u32::MAX).map(spell).find(|free| taken.iter().all(|entry| entry.name != *free));
    Ok(free.expect("a directory holds fewer files than there are numbers"))
}

/// Copies a part of a file to a new one, durably; the name that `spell` gives with the first number that is free.
pub(super) fn copy_aside(
    disk: &dyn Disk,
    file: &dyn File,
    range: std::ops::Range<u64>,
    spell: impl Fn(u32) -> String,
) -> io::Result<(String, u64)> {
    let mut number = 0;
    let (copy, into) = loop {
        let copy = spell(number);
        match disk.open(&copy, Open::Create) {
            Ok(into) => break (copy, into),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    };
    let mut piece = vec![0; 1 << 20];
    let mut at = range.start;
    while at < range.end {
        let want = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(piece.len());
        let read = file.read_at(&mut piece[..want], at)?;
        if read == 0 {
            break;
        }
        into.write_all_at(&mut [io::IoSlice::new(&piece[..read])], at - range.start)?;
        at += read as u64;
    }
    into.sync_all().map_err(failed_sync)?;
    disk.sync_directory().map_err(failed_sync)?;
    Ok((copy, at - range.start))
}
