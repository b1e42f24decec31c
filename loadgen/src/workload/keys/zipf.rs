//! Ranks by Zipf's law, in constant time.
//!
//! Rejection-inversion (Hörmann and Derflinger, Rejection-inversion to generate variates from monotone discrete
//! distributions, ACM TOMACS 6(3), 1996): a number is drawn from the area under x^-s, which can be inverted, and refused
//! where that lies outside the bar of its rank. A worker's thread. Always: no table, so another count costs a few logarithms.

use crate::workload::random::Numbers;

/// Draws ranks.
#[derive(Debug, Clone)]
pub struct Zipf {
    exponent: f64,
    /// The area up to the left side of the first bar, which is taken whole.
    area_low: f64,
    /// How far left of its rank a number is taken without a look at the area.
    near: f64,
    count: u64,
    /// The area up to the right side of the last bar.
    area_high: f64,
}

impl Zipf {
    /// With this exponent, which is over 0.
    #[must_use]
    pub fn new(exponent: f64) -> Self {
        let mut zipf = Self { exponent, area_low: 0.0, near: 0.0, count: 0, area_high: 0.0 };
        zipf.area_low = zipf.area(1.5) - 1.0;
        zipf.near = 2.0 - zipf.area_inverse(zipf.area(2.5) - zipf.height(2.0));
        zipf
    }

    /// A rank from 0 to `count` - 1; `count` is not zero.
    pub fn draw(&mut self, count: u64, numbers: &mut Numbers) -> u64 {
        if count != self.count {
            self.count = count;
            self.area_high = self.area(count as f64 + 0.5);
        }
        loop {
            let area = self.area_high + numbers.unit() * (self.area_low - self.area_high);
            let x = self.area_inverse(area);
            let rank = x.round().clamp(1.0, count as f64);
            if rank - x <= self.near || area >= self.area(rank + 0.5) - self.height(rank) {
                // Floats of large counts round up.
                return (rank as u64).min(count) - 1;
            }
        }
    }

    fn height(&self, x: f64) -> f64 {
        (-self.exponent * x.ln()).exp()
    }

    /// The area under the curve from 1 to x: (x^(1-s) - 1) / (1-s), and ln x where s is 1.
    fn area(&self, x: f64) -> f64 {
        let ln = x.ln();
        ln * exp_m1_ratio((1.0 - self.exponent) * ln)
    }

    fn area_inverse(&self, area: f64) -> f64 {
        let scaled = ((1.0 - self.exponent) * area).max(-1.0);
        (area * ln_1p_ratio(scaled)).exp()
    }
}

/// (e^x - 1) / x, also near 0.
fn exp_m1_ratio(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.exp_m1() / x } else { 1.0 + x / 2.0 }
}

/// ln(1 + x) / x, also near 0.
fn ln_1p_ratio(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.ln_1p() / x } else { 1.0 - x / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The sum of squared deviations in units of their variance; its mean is the number of ranks less one.
    fn chi_squared(exponent: f64, count: u64, draws: u32, seed: u64) -> f64 {
        let (mut zipf, mut numbers) = (Zipf::new(exponent), Numbers::of(seed, 0));
        let mut counts = vec![0u32; usize::try_from(count).unwrap()];
        for _ in 0..draws {
            counts[usize::try_from(zipf.draw(count, &mut numbers)).unwrap()] += 1;
        }
        let weight = |rank: usize| (rank as f64 + 1.0).powf(-exponent);
        let sum: f64 = (0..counts.len()).map(weight).sum();
        let deviation = |(rank, count): (usize, &u32)| {
            let want = f64::from(draws) * weight(rank) / sum;
            (f64::from(*count) - want).powi(2) / want
        };
        counts.iter().enumerate().map(deviation).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn ranks_follow_the_law(exponent in 0.05f64..1.6, count in 2u64..60, seed: u64) {
            let freedom = (count - 1) as f64;
            let sum = chi_squared(exponent, count, 50_000, seed);
            // Seven standard deviations of a wide tail: chance fails about one run in a million.
            prop_assert!(sum < freedom + 7.0 * (2.0 * freedom).sqrt() + 14.0, "{} for {}", sum, freedom);
        }

        #[test]
        fn ranks_are_below_the_count(exponent in 0.01f64..10.0, count in 1u64.., seed: u64) {
            let (mut zipf, mut numbers) = (Zipf::new(exponent), Numbers::of(seed, 1));
            for count in [count, 1, 2, count] {
                prop_assert!(zipf.draw(count, &mut numbers) < count);
            }
        }
    }

    #[test]
    fn the_usual_exponents_are_exact() {
        for exponent in [0.99, 1.0, 0.5, 1.2] {
            let sum = chi_squared(exponent, 100, 1_000_000, 1);
            assert!(sum < 99.0 + 7.0 * 14.1, "{exponent}: {sum}");
        }
    }
}
