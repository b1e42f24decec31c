//! A search for the highest rate that is kept, by measurements that may err.
//!
//! Pure. Steps up by a quarter from a tenth of what a closed loop gets until a rate is missed, then halves the distance down
//! to 3 %, and looks again at what it found: once there, it must hold in two of three more. A rate is missed when it is
//! missed twice before it is kept twice: a machine that stands still for a moment is no bound.

const STEP: f64 = 1.25;
const FIRST: f64 = 0.1;
const CLOSE: f64 = 0.03;
const STEPS_MAX: usize = 40;
/// So many measurements of the same kind decide.
const ENOUGH: usize = 2;

/// What a search found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found {
    /// The highest rate that was kept, or 0.
    pub(super) rate: f64,
    /// It held when it was looked at again.
    pub(super) is_confirmed: bool,
}

/// Searches. `closed` is what a closed loop gets; `measure` says whether a rate is kept, or nothing if it was cut off, which
/// ends the search.
///
/// # Errors
/// Those of `measure`.
pub(super) fn highest<E>(closed: f64, mut measure: impl FnMut(f64) -> Result<Option<bool>, E>) -> Result<Found, E> {
    let mut found = Found { rate: 0.0, is_confirmed: false };
    let mut missed = f64::INFINITY;
    let mut rate = (closed * FIRST).max(1.0);
    for _ in 0..STEPS_MAX {
        let is_kept = match measure(rate)? {
            Some(false) => holds(rate, 1, &mut measure)?,
            other => other,
        };
        match is_kept {
            None => break,
            Some(true) => found.rate = rate,
            Some(false) => missed = rate,
        }
        if missed.is_finite() && (missed - found.rate) / missed <= CLOSE {
            if found.rate <= 0.0 {
                break;
            }
            match holds(found.rate, 0, &mut measure)? {
                None => break,
                Some(true) => {
                    found.is_confirmed = true;
                    break;
                }
                // What held once by luck is missed.
                Some(false) => (missed, found.rate) = (found.rate, found.rate * (1.0 - 2.0 * CLOSE)),
            }
        }
        rate = match (found.rate > 0.0, missed.is_finite()) {
            (_, false) => rate * STEP,
            (true, true) => f64::midpoint(found.rate, missed),
            (false, true) if missed > 1.0 => (missed / 2.0).max(1.0),
            (false, true) => break,
        };
    }
    Ok(found)
}

/// Whether a rate is kept in most of three measurements, `missed` of which are behind and missed it.
fn holds<E>(
    rate: f64,
    mut missed: usize,
    measure: &mut impl FnMut(f64) -> Result<Option<bool>, E>,
) -> Result<Option<bool>, E> {
    let mut kept = 0;
    while kept < ENOUGH && missed < ENOUGH {
        match measure(rate)? {
            None => return Ok(None),
            Some(true) => kept += 1,
            Some(false) => missed += 1,
        }
    }
    Ok(Some(kept >= ENOUGH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn search(closed: f64, mut is_kept: impl FnMut(f64) -> bool) -> Found {
        let Ok(found) = highest::<Infallible>(closed, |rate| Ok(Some(is_kept(rate))));
        found
    }

    #[test]
    fn the_knee_is_found_wherever_it_is() {
        for knee in [1.5, 30.0, 900.0, 5_000.0, 80_000.0, 300_000.0] {
            for closed in [1_000.0, 100_000.0] {
                let found = search(closed, |rate| rate <= knee);
                assert!(found.is_confirmed, "{knee} {closed}: {found:?}");
                assert!(found.rate <= knee && found.rate >= 0.96 * knee, "{knee} {closed}: {found:?}");
            }
        }
    }

    #[test]
    fn a_measurement_in_twelve_that_misses_by_chance_bounds_nothing() {
        let (mut low, mut total) = (0, 0);
        for seed in 0..200u64 {
            let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let found = search(100_000.0, |rate| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                rate <= 80_000.0 && !random.is_multiple_of(12)
            });
            assert!(found.rate <= 80_000.0, "seed {seed}: {found:?}");
            total += 1;
            low += usize::from(found.rate < 0.9 * 80_000.0);
        }
        // 23; where one miss decides there are 117.
        assert!(low * 4 <= total, "{low} of {total} searches ended more than a tenth too low");
    }

    #[test]
    fn what_is_never_kept_is_nothing_and_what_always_is_ends() {
        assert_eq!(search(1e6, |_| false), Found { rate: 0.0, is_confirmed: false });
        let all = search(1e6, |_| true);
        assert!(all.rate > 1e6 && !all.is_confirmed, "{all:?}");
    }

    #[test]
    fn a_cut_ends_it_with_what_was_kept() {
        let mut left = 5;
        let Ok(found) = highest::<Infallible>(1000.0, |_| {
            left -= 1;
            Ok((left > 0).then_some(true))
        });
        assert_eq!(found, Found { rate: 100.0 * STEP.powi(3), is_confirmed: false });
    }
}
