//! One gathered write out of as many system calls as it takes.
//!
//! Any thread that may wait for a disk. Always: what a call left is taken up where it ended, a call that a signal
//! interrupted is made again, and every other error ends the write.

use super::name;
use crate::base::limits::GATHER_PARTS_MAX;
use std::io::{self, IoSlice};

/// Writes all parts one after another from `offset` on; `write` is `pwritev`, and says how many bytes it took.
pub fn write_all(
    mut parts: &mut [IoSlice<'_>],
    mut offset: u64,
    mut write: impl FnMut(&[IoSlice<'_>], u64) -> io::Result<usize>,
) -> io::Result<()> {
    // Leading empty parts go first, so that 0 below always means a write that moved nothing.
    IoSlice::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        name::end_of(offset, 0)?;
        let taken = parts.len().min(GATHER_PARTS_MAX);
        let written = match write(&parts[..taken], offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        offset = offset.saturating_add(name::length(written));
        IoSlice::advance_slices(&mut parts, written);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Writes through a system that takes so many bytes at each call, and is interrupted where that is 0.
    fn through(goes: &[usize], parts: &[Vec<u8>]) -> (io::Result<()>, Vec<u8>) {
        let mut file = vec![0xee; 7];
        let mut goes = goes.iter();
        let mut slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let outcome = write_all(&mut slices, 7, |parts, at| {
            assert_eq!(at, file.len() as u64, "each call begins where the one before ended");
            assert!(parts.len() <= GATHER_PARTS_MAX);
            let most = match goes.next() {
                Some(0) => return Err(io::ErrorKind::Interrupted.into()),
                Some(most) => *most,
                None => usize::MAX,
            };
            let all = parts.iter().flat_map(|part| part.iter().copied());
            let before = file.len();
            file.extend(all.take(most));
            Ok(file.len() - before)
        });
        (outcome, file.split_off(7))
    }

    proptest! {
        #[test]
        fn short_writes_and_signals_leave_no_gap(
            goes in proptest::collection::vec(0usize..9, 0..30),
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..12), 0..8),
        ) {
            let (outcome, file) = through(&goes, &parts);
            prop_assert!(outcome.is_ok());
            prop_assert_eq!(file, parts.concat());
        }
    }

    #[test]
    fn more_parts_than_a_call_takes_are_several_calls() {
        let parts: Vec<_> = (0..3 * GATHER_PARTS_MAX + 1).map(|n| vec![n as u8]).collect();
        let (outcome, file) = through(&[], &parts);
        outcome.unwrap();
        assert_eq!(file, parts.concat());
    }

    #[test]
    fn an_error_and_a_write_that_moves_nothing_end_it() {
        let mut calls = 0;
        let mut write = |outcome: io::Result<usize>| {
            let mut outcome = Some(outcome);
            write_all(&mut [IoSlice::new(b"abc")], 0, |_, _| {
                calls += 1;
                outcome.take().expect("it is not tried again")
            })
        };
        assert_eq!(write(Ok(0)).unwrap_err().kind(), io::ErrorKind::WriteZero);
        assert_eq!(write(Err(io::ErrorKind::StorageFull.into())).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(calls, 2);
    }
}
