//! Whether every byte of a data directory verifies.
//!
//! Runs in the command line's process; writes nothing. Always: what was durable and does not verify is damage; what the
//! next start would cut is torn, and no damage.

use super::Look;
use crate::base::ids::Sequence;
use crate::disk::{Disk, File};
use crate::journal::{Case, FRAME_BYTES, plan, sector_end};
use crate::store::damage::Damage;
use crate::store::error::StoreError;
use crate::store::manifest::Closed;
use crate::store::names;
use crate::store::needle::{Head, TOMBSTONE_BYTES};
use crate::store::recovery::behind;
use crate::store::recovery_copy::{CopySight, read_copy};
use crate::store::replay::{Found, Which, replay};
use serde::Serialize;
use std::io;

/// The outcome of a full check.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Verification {
    /// Needles whose every byte verified.
    pub needles: u64,
    /// Blocks of their payloads.
    pub blocks: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// What does not verify and was durable.
    pub damages: Vec<DamageAt>,
    /// Torn tails that the next start will cut; nothing in them was acknowledged as synced.
    pub torn: Vec<DamageAt>,
    /// Index files that do not fit, which is no damage: the next start walks their segments and writes them anew.
    pub indexes_unfit: Vec<String>,
}

/// One thing that does not verify.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DamageAt {
    /// The volume, if it is in one.
    pub volume: Option<u32>,
    /// The file.
    pub file: String,
    /// The sequence, if it is known.
    pub sequence: Option<u64>,
    /// How many needles from there on.
    pub count: u64,
    /// The byte in the file.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
}

/// Reads every needle and every block of a data directory. `progress` is told bytes done and bytes in all.
///
/// # Errors
/// As for [`inspect`](super::inspect); damage is in the outcome.
pub fn verify(disk: &dyn Disk, progress: &mut dyn FnMut(u64, u64)) -> Result<Verification, StoreError> {
    let look = Look::at(disk)?;
    let mut outcome = Verification::default();
    note_files(&look, &mut outcome);
    outcome.indexes_unfit = look.indexes_unfit()?;
    let mut total = 0;
    let mut work = Vec::new();
    for (&volume, state) in &look.state.volumes {
        for (&base, &(_, closed)) in &state.segments {
            let which = look.which(volume, state, base, closed);
            // Why a file is not there to be read is among the findings.
            if let Some(file) = look.file(&which)? {
                total += file.len().map_err(StoreError::io(disk, &which.name(), "stat"))?;
                work.push(which);
            }
        }
    }
    let mut done = 0;
    progress(done, total);
    for which in &work {
        done += verify_segment(&look, which, &mut outcome, &mut |within| progress(done + within, total))?;
        progress(done, total);
    }
    outcome.bytes = done;
    Ok(outcome)
}

/// What is wrong with whole files. One that was made before a crash and holds nothing is no damage.
fn note_files(look: &Look<'_>, outcome: &mut Verification) {
    for finding in &look.directory.findings {
        let file = finding.file.clone();
        let volume = names::parse_segment(&file).map(|(volume, _)| volume.0);
        let what = finding.what.clone();
        outcome.damages.push(DamageAt { volume, file, sequence: None, count: 0, offset: 0, what });
    }
    for &(file, offset, what) in &look.torn {
        let (file, what) = (file.to_string(), what.to_string());
        outcome.torn.push(DamageAt { volume: None, file, sequence: None, count: 0, offset, what });
    }
}

fn at(which: &Which<'_>, sequence: Option<u64>, offset: u64, what: String) -> DamageAt {
    let count = u64::from(sequence.is_some());
    DamageAt { volume: Some(which.volume.0), file: which.name(), sequence, count, offset, what }
}

fn verify_segment(
    look: &Look<'_>,
    which: &Which<'_>,
    outcome: &mut Verification,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, StoreError> {
    let Some(file) = look.file(which)? else { return Ok(0) };
    let failed = |error| StoreError::io(look.disk, &which.name(), "read")(error);
    if let Some(closed) = which.closed.filter(|closed| closed.edition > 0) {
        let sight = read_copy(&*file, which, &closed, true, progress).map_err(failed)?;
        return Ok(verify_copy(which, &closed, &sight, outcome));
    }
    let replayed = replay(&*file, which, Sequence(0), progress).map_err(failed)?;
    let sight = &replayed.sight;
    for &position in &sight.stray {
        outcome.damages.push(at(which, None, position, "the bytes behind a group are not zero".to_string()));
    }
    // Nothing is missing there; zeros up to the next sector are what a cut leaves, other bytes were a frame.
    for run in sight.runs.iter().filter(|run| run.next == Some(run.first)) {
        let mut frame = [0; FRAME_BYTES];
        let read = file.read_at(&mut frame, run.position).map_err(failed)?;
        let up_to = usize::try_from(sector_end(run.position) - run.position).unwrap_or(0);
        let shown = if up_to == 0 { read } else { read.min(up_to) };
        if frame.iter().take(shown).any(|&byte| byte != 0) {
            let what = "the group's frame does not verify; the needles behind it are whole".to_string();
            outcome.damages.push(at(which, None, run.position, what));
        }
    }
    if let Some(position) = sight.behind {
        outcome.damages.push(at(which, None, position, behind(position)));
    }
    for &position in &sight.chain_breaks {
        outcome.damages.push(at(which, None, position, "the chain digest contradicts the needles before".to_string()));
    }
    let plan = plan(sight, &replayed.proof(which));
    for (range, position) in plan.damaged.iter().filter(|(range, _)| !range.is_empty()) {
        let what = explain(&*file, which, *position);
        let count = range.end - range.start;
        outcome.damages.push(DamageAt { count, ..at(which, Some(range.start), *position, what) });
    }
    if let Some(cut) = plan.cut {
        let what = explain(&*file, which, cut);
        outcome.torn.push(at(which, Some(plan.next.0), cut, what));
    }
    if plan.cases.contains(&Case::A)
        && which.closed.is_some_and(|closed| closed.chain != plan.chain)
        && plan.damaged.is_empty()
    {
        outcome.damages.push(at(which, None, sight.end, "the chain digest contradicts the manifest".to_string()));
    }
    for found in &replayed.found {
        if let Some(damage) = check_padding(&*file, which, found, outcome).map_err(failed)? {
            outcome.damages.push(at(which, Some(found.sequence.0), found.position, damage.to_string()));
        } else {
            outcome.needles += 1;
        }
    }
    Ok(replayed.file_bytes)
}

fn verify_copy(which: &Which<'_>, closed: &Closed, sight: &CopySight, outcome: &mut Verification) -> u64 {
    if !sight.header_whole {
        outcome.damages.push(at(which, None, 0, "the segment's header does not verify".to_string()));
    }
    for (range, position) in &sight.doubts {
        let what = format!("does not verify; sequences {:x} to {:x} may have been here", range.start, range.end);
        outcome.damages.push(at(which, Some(range.start), *position, what));
    }
    if sight.doubts.is_empty() && !sight.digest_fits {
        outcome.damages.push(at(which, None, closed.end, "the needles are not those that were copied".to_string()));
    }
    if sight.file_bytes != closed.end {
        let what = format!("the file has {} bytes, the manifest says {}", sight.file_bytes, closed.end);
        outcome.damages.push(at(which, None, closed.end, what));
    }
    outcome.needles += sight.found.len() as u64;
    outcome.blocks += sight.blocks;
    sight.file_bytes
}

/// Counts a whole needle's blocks, and looks at the zeros behind its payload, which no checksum covers.
fn check_padding(
    file: &dyn File,
    which: &Which<'_>,
    found: &Found,
    outcome: &mut Verification,
) -> io::Result<Option<Damage>> {
    let mut head = vec![0; usize::try_from(found.bytes).unwrap_or(usize::MAX).min(8192)];
    let read = file.read_at(&mut head, found.position)?;
    head.truncate(read);
    let Ok(head) = Head::parse(&head, which.state.salt, which.volume, found.sequence) else {
        return Ok(Some(Damage::Checksum));
    };
    outcome.blocks += head.block_count() as u64;
    let unpadded = head.payload_offset() as u64 + u64::from(head.payload_bytes);
    let mut padding = vec![0; usize::try_from(found.bytes - unpadded).unwrap_or(0).min(TOMBSTONE_BYTES)];
    let read = file.read_at(&mut padding, found.position + unpadded)?;
    Ok(padding.iter().take(read).any(|&byte| byte != 0).then_some(Damage::Padding))
}

/// What is wrong at a place, as far as its bytes tell.
fn explain(file: &dyn File, which: &Which<'_>, position: u64) -> String {
    let mut bytes = vec![0; 8192];
    let read = match file.read_at(&mut bytes, position) {
        Ok(read) => read,
        Err(error) => return format!("cannot be read: {error}"),
    };
    bytes.truncate(read);
    match Head::parse_any(&bytes, which.state.salt) {
        Ok(_) => "the payload does not verify".to_string(),
        Err(damage) => damage.to_string(),
    }
}
