//! A scattered order of the numbers below any count.
//!
//! Any thread. Always: a bijection of 0..count for every seed and count. Steps that can each be undone (add, multiply by
//! an odd number, fold the high half onto the low one) permute 0..2^b; what falls out of 0..count is sent on until it
//! falls in (Black and Rogaway, Ciphers with Arbitrary Finite Domains, 2002). So when the count grows by one within the
//! same power of two, one number at most goes elsewhere: what was hot stays so.

use crate::workload::random::mix;

const ROUNDS: u64 = 3;

/// An order of numbers.
#[derive(Debug, Clone, Copy)]
pub struct Permutation {
    seed: u64,
}

impl Permutation {
    /// That of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self { seed: mix(seed ^ 0x7065_726d_7574_6573) }
    }

    /// Which number stands at `rank`; both are below `count`.
    #[must_use]
    pub fn at(&self, rank: u64, count: u64) -> u64 {
        assert!(rank < count, "rank {rank} of {count}");
        // Half of the domain is below the count at least, so that two steps suffice in the mean.
        let bits = 64 - (count - 1).leading_zeros();
        let mut number = self.step(rank, bits);
        while number >= count {
            number = self.step(number, bits);
        }
        number
    }

    fn step(&self, mut number: u64, bits: u32) -> u64 {
        if bits == 0 {
            return number;
        }
        let mask = u64::MAX >> (64 - bits);
        let half = bits.div_ceil(2);
        for round in 0..ROUNDS {
            let word = mix(self.seed.wrapping_add(round));
            number = number.wrapping_add(word) & mask;
            number = number.wrapping_mul((word >> 1) | 1) & mask;
            number ^= number >> half;
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order(seed: u64, count: u64) -> Vec<u64> {
        (0..count).map(|rank| Permutation::of(seed).at(rank, count)).collect()
    }

    proptest! {
        #[test]
        fn each_number_stands_at_one_rank(seed: u64, count in 1u64..3000) {
            let mut order = order(seed, count);
            order.sort_unstable();
            prop_assert!(order.into_iter().eq(0..count));
        }

        #[test]
        fn one_more_moves_one_at_most(seed: u64, count in 2u64..2000) {
            prop_assume!(!count.is_power_of_two());
            let (before, after) = (order(seed, count), order(seed, count + 1));
            let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
            prop_assert!(moved <= 1, "{} moved", moved);
        }

        #[test]
        fn large_counts_are_kept_to(seed: u64, count in 1u64.., rank: u64) {
            prop_assert!(Permutation::of(seed).at(rank % count, count) < count);
        }
    }

    #[test]
    fn neighbours_are_scattered() {
        let order = order(9, 10_000);
        let near = order.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 100).count();
        // One in fifty, by chance.
        assert!(near < 600, "{near}");
        let low = order[..100].iter().filter(|number| **number < 5000).count();
        assert!((30..=70).contains(&low), "{low}");
    }
}
