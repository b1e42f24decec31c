//! An interval for a median, by resampling.
//!
//! Any thread; pure: the same values and seed give the same interval.
//!
//! The percentile interval of Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13. Values in time
//! resemble their neighbours; then blocks of neighbours are drawn and not single ones (Kunsch, The Jackknife and the
//! Bootstrap for General Stationary Observations, Annals of Statistics 17, 1989).

use crate::workload::random::Numbers;

/// How often a median is drawn anew.
pub const RESAMPLES: usize = 2_000;
/// The share of intervals that hold what is true.
pub const CONFIDENCE: f64 = 0.95;

/// The median; `None` of nothing. Of an even count, the mean of the two in the middle.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    median_of(&mut values.to_vec())
}

/// The interval of the median of values that stand in the order of time; `None` of nothing.
///
/// `block` neighbours are drawn together; 1 if the values are independent.
#[must_use]
pub fn interval(values: &[f64], block: usize, seed: u64) -> Option<[f64; 2]> {
    let block = block.clamp(1, values.len().max(1));
    let starts = u64::try_from((values.len() + 1).checked_sub(block)?).ok().filter(|_| !values.is_empty())?;
    let mut numbers = Numbers::of(seed, 0);
    let mut drawn = Vec::with_capacity(values.len() + block);
    let mut medians = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        drawn.clear();
        while drawn.len() < values.len() {
            let start = usize::try_from(numbers.below(starts)).expect("an index of values that are there");
            drawn.extend(values.iter().skip(start).take(block));
        }
        drawn.truncate(values.len());
        medians.extend(median_of(&mut drawn));
    }
    medians.sort_unstable_by(f64::total_cmp);
    let tail = (RESAMPLES as f64 * (1.0 - CONFIDENCE) / 2.0).floor() as usize;
    Some([*medians.get(tail)?, *medians.get(medians.len().checked_sub(tail + 1)?)?])
}

/// How many neighbours to draw together of so many values in time: their cube root, the rate at which Kunsch's blocks grow,
/// but no fewer than 4, as what disturbs a machine for a second often does so for a few.
#[must_use]
pub fn block(count: usize) -> usize {
    ((count as f64).cbrt().ceil() as usize).max(4)
}

fn median_of(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    let is_even = values.len().is_multiple_of(2);
    if values.is_empty() {
        return None;
    }
    let (below, value, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let value = *value;
    let before = below.iter().copied().max_by(f64::total_cmp).filter(|_| is_even);
    Some(before.map_or(value, |before| f64::midpoint(before, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 4.0]), Some(4.0));
        assert_eq!(median(&[9.0, 1.0, 4.0, 5.0]), Some(4.5));
    }

    #[test]
    fn intervals_are_of_the_values() {
        assert_eq!(interval(&[], 4, 1), None);
        assert_eq!(interval(&[2.0], 4, 1), Some([2.0, 2.0]));
        assert_eq!(interval(&[1.0; 30], 4, 1), Some([1.0, 1.0]));
        // Of five values, a resampled median is an end with a probability of 0.058: more than the 0.025 that are cut.
        assert_eq!(interval(&[1.0, 2.0, 3.0, 4.0, 5.0], 1, 1), Some([1.0, 5.0]));
        let values: Vec<f64> = (0..101).map(f64::from).collect();
        let [low, high] = interval(&values, 1, 7).unwrap();
        // The order statistics that hold a median of 101 values with 95 %: 50 less and more 9.8.
        assert!((37.0..44.0).contains(&low) && (57.0..64.0).contains(&high), "{low} {high}");
        assert_eq!(interval(&values, 1, 7), Some([low, high]), "the same seed gives the same");
    }
}
