//! Which of the known objects is asked for: uniform, zipf, latest, once.
//!
//! A worker's thread. Always: a draw takes constant time and allocates nothing, also while the objects become more.

mod permutation;
mod zipf;

use super::random::Numbers;
pub use permutation::Permutation;
use std::fmt;
use std::str::FromStr;
pub use zipf::Zipf;

/// That of YCSB, and near to what caches of the web see.
const EXPONENT: f64 = 0.99;

/// A law of choice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Keys {
    /// All alike.
    Uniform,
    /// The object of rank r as often as r to the power of minus this; ranks are scattered over the objects.
    Zipf(f64),
    /// The same, and the newest object has the first rank.
    Latest(f64),
    /// Each object at most once, in a scattered order; those that become known meanwhile come after all others.
    Once,
}

impl FromStr for Keys {
    type Err = String;

    /// `uniform`, `zipf`, `zipf:1.2`, `latest`, `latest:0.8`, `once`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, exponent) = text.split_once(':').map_or((text, None), |(name, exponent)| (name, Some(exponent)));
        let law = match name {
            "zipf" => Self::Zipf,
            "latest" => Self::Latest,
            "uniform" if exponent.is_none() => return Ok(Self::Uniform),
            "once" if exponent.is_none() => return Ok(Self::Once),
            _ => {
                return Err(format!(
                    "{text}: no such choice: uniform, zipf, zipf:EXPONENT, latest, latest:EXPONENT, once"
                ));
            }
        };
        let exponent = exponent.map_or(Ok(EXPONENT), |exponent| {
            let number = exponent.parse().ok().filter(|exponent| *exponent > 0.0 && *exponent <= 10.0);
            number.ok_or_else(|| format!("{text}: {exponent:?} is no exponent: want a number over 0, at most 10"))
        })?;
        Ok(law(exponent))
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform => f.write_str("uniform"),
            Self::Zipf(exponent) => write!(f, "zipf:{exponent}"),
            Self::Latest(exponent) => write!(f, "latest:{exponent}"),
            Self::Once => f.write_str("once"),
        }
    }
}

/// Draws places of objects.
#[derive(Debug, Clone)]
pub struct Choice(Law);

#[derive(Debug, Clone)]
enum Law {
    Uniform,
    Zipf(Zipf, Permutation),
    Latest(Zipf),
    Once(Pass),
}

/// One time through a part of the objects.
#[derive(Debug, Clone)]
struct Pass {
    seed: u64,
    order: Permutation,
    start: u64,
    count: u64,
    done: u64,
}

impl Choice {
    /// What draws by this law; the seed scatters ranks and orders.
    #[must_use]
    pub fn new(keys: Keys, seed: u64) -> Self {
        let order = Permutation::of(seed);
        Self(match keys {
            Keys::Uniform => Law::Uniform,
            Keys::Zipf(exponent) => Law::Zipf(Zipf::new(exponent), order),
            Keys::Latest(exponent) => Law::Latest(Zipf::new(exponent)),
            Keys::Once => Law::Once(Pass { seed, order, start: 0, count: 0, done: 0 }),
        })
    }

    /// A place below `count`. `None`: there is none, or each has been drawn once and that is all there should be.
    pub fn draw(&mut self, count: u64, numbers: &mut Numbers) -> Option<u64> {
        if count == 0 {
            return None;
        }
        match &mut self.0 {
            Law::Uniform => Some(numbers.below(count)),
            Law::Zipf(zipf, order) => Some(order.at(zipf.draw(count, numbers), count)),
            Law::Latest(zipf) => Some(count - 1 - zipf.draw(count, numbers)),
            Law::Once(pass) => pass.next(count),
        }
    }

    /// Whether places that are drawn once must stay where they are.
    #[must_use]
    pub fn is_once(&self) -> bool {
        matches!(self.0, Law::Once(_))
    }
}

impl Pass {
    fn next(&mut self, count: u64) -> Option<u64> {
        if self.done == self.count {
            self.start += self.count;
            self.count = count.saturating_sub(self.start);
            self.done = 0;
            self.order = Permutation::of(self.seed ^ self.start);
        }
        let rank = (self.done < self.count).then_some(self.done)?;
        self.done += 1;
        Some(self.start + self.order.at(rank, self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back() {
        for (text, keys) in [
            ("uniform", Keys::Uniform),
            ("zipf", Keys::Zipf(0.99)),
            ("zipf:1", Keys::Zipf(1.0)),
            ("latest:0.5", Keys::Latest(0.5)),
            ("once", Keys::Once),
        ] {
            assert_eq!(text.parse(), Ok(keys));
            assert_eq!(keys.to_string().parse(), Ok(keys));
        }
        for bad in ["", "hot", "zipf:", "zipf:0", "zipf:-1", "zipf:NaN", "zipf:inf", "zipf:11", "uniform:1", "once:2"] {
            assert!(bad.parse::<Keys>().unwrap_err().starts_with(&format!("{bad}: ")), "{bad}");
        }
    }

    fn counts(keys: Keys, count: u64, draws: u32) -> Vec<u32> {
        let (mut choice, mut numbers) = (Choice::new(keys, 5), Numbers::of(5, 5));
        let mut counts = vec![0; usize::try_from(count).unwrap()];
        for _ in 0..draws {
            counts[usize::try_from(choice.draw(count, &mut numbers).unwrap()).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn uniform_is_even_and_hot_ranks_are_scattered() {
        assert!(counts(Keys::Uniform, 10, 100_000).iter().all(|count| count.abs_diff(10_000) < 500));

        let zipf = counts(Keys::Zipf(0.99), 1000, 200_000);
        let mut places: Vec<usize> = (0..1000).collect();
        places.sort_unstable_by_key(|place| std::cmp::Reverse(zipf[*place]));
        let hot = &places[..20];
        assert!((4..=16).contains(&hot.iter().filter(|place| **place < 500).count()), "{hot:?}");
        assert!(hot.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 1).count() < 5, "{hot:?}");
    }

    #[test]
    fn latest_asks_for_the_newest_most() {
        let counts = counts(Keys::Latest(0.99), 100, 200_000);
        assert!(counts[99] > counts[98] && counts[98] > counts[96] && counts[96] > 2 * counts[50], "{counts:?}");
    }

    #[test]
    fn once_is_once_also_for_what_comes_later() {
        let (mut choice, mut numbers) = (Choice::new(Keys::Once, 5), Numbers::of(5, 5));
        assert_eq!(choice.draw(0, &mut numbers), None);
        let mut first = vec![choice.draw(100, &mut numbers).unwrap()];
        first.extend((1..100).map(|_| choice.draw(130, &mut numbers).unwrap()));
        assert_ne!(first, (0..100).collect::<Vec<_>>());
        first.sort_unstable();
        assert_eq!(first, (0..100).collect::<Vec<_>>());
        let mut second: Vec<u64> = std::iter::from_fn(|| choice.draw(130, &mut numbers)).collect();
        second.sort_unstable();
        assert_eq!(second, (100..130).collect::<Vec<_>>());
        assert_eq!(choice.draw(130, &mut numbers), None);
        assert_eq!(choice.draw(131, &mut numbers), Some(130));
    }
}
