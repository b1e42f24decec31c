//! How large objects are.
//!
//! Any thread. Always: the size of an object is a pure function of its key, so whoever knows the key knows the size.
//! (Logarithms of another system's library may round a log-normal size otherwise; ledgers have the sizes in them.)

mod histogram;

use super::Key;
use super::random::{Numbers, mix};
pub use histogram::Histogram;
use larder::base::size::Size;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

/// The largest object that can be asked for. Two bits of 32 are left for marks where objects are kept.
pub const OBJECT_BYTES_MAX: u64 = 512 << 20;

/// The pictures of a shop; its head says where the figures are from.
const PICTURES: &str = include_str!("pictures.txt");

/// Keeps sizes apart from contents, which are made from the same keys.
const SALT: u64 = 0x7369_7a65_735f_6f66;

/// A law of sizes.
#[derive(Debug, Clone, PartialEq)]
pub enum Sizes {
    /// All the same.
    Fixed(u64),
    /// All from the first to the second alike.
    Uniform(u64, u64),
    /// Log-normal; what is out of bounds becomes the bound.
    LogNormal {
        /// Half of them are larger, in bytes.
        median: u64,
        /// Standard deviation of the natural logarithm.
        sigma: f64,
        /// The smallest, in bytes.
        low: u64,
        /// The largest, in bytes.
        high: u64,
    },
    /// Those of a histogram, by weight.
    Histogram(Arc<Histogram>),
}

impl Sizes {
    /// Bytes of the object of this key.
    #[must_use]
    pub fn of(&self, key: Key) -> u64 {
        let mut numbers = Numbers::of(mix(key.seed ^ SALT), key.number);
        match self {
            Self::Fixed(bytes) => *bytes,
            Self::Uniform(low, high) => low + numbers.below(high - low + 1),
            Self::LogNormal { median, sigma, low, high } => {
                let bytes = *median as f64 * (sigma * normal(&mut numbers)).exp();
                // From a float it saturates, so that no draw is out of the bounds.
                (bytes.round() as u64).clamp(*low, *high)
            }
            Self::Histogram(histogram) => histogram.at(numbers.unit()),
        }
    }

    /// The most bytes that an object can have.
    #[must_use]
    pub fn largest(&self) -> u64 {
        match self {
            Self::Fixed(bytes) | Self::Uniform(_, bytes) | Self::LogNormal { high: bytes, .. } => *bytes,
            Self::Histogram(histogram) => histogram.largest(),
        }
    }
}

/// Box and Muller, A Note on the Generation of Random Normal Deviates, 1958.
fn normal(numbers: &mut Numbers) -> f64 {
    // Without 0, which has no logarithm.
    let radius = (-2.0 * (1.0 - numbers.unit()).ln()).sqrt();
    radius * (std::f64::consts::TAU * numbers.unit()).cos()
}

impl FromStr for Sizes {
    type Err = String;

    /// `4KiB`, `1KiB..64KiB`, `lognormal:MEDIAN:SIGMA[:LO..HI]`, `file:PATH`, `pictures`. Reads the file.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "pictures" {
            let histogram = Histogram::parse("pictures", PICTURES)?;
            return Ok(Self::Histogram(Arc::new(histogram)));
        }
        if let Some(path) = text.strip_prefix("file:") {
            return Histogram::read(Path::new(path)).map(|histogram| Self::Histogram(Arc::new(histogram)));
        }
        if let Some(law) = text.strip_prefix("lognormal:") {
            return log_normal(law).map_err(|error| format!("{text}: {error}"));
        }
        Ok(match bounds(text)? {
            (low, high) if low == high => Self::Fixed(low),
            (low, high) => Self::Uniform(low, high),
        })
    }
}

fn log_normal(law: &str) -> Result<Sizes, String> {
    let mut parts = law.splitn(3, ':');
    let (Some(median), Some(sigma)) = (parts.next(), parts.next()) else {
        return Err("want lognormal:MEDIAN:SIGMA or lognormal:MEDIAN:SIGMA:LO..HI, as lognormal:16KiB:1.2".to_string());
    };
    let median = bytes(median)?;
    let sigma = sigma
        .parse()
        .ok()
        .filter(|sigma| (0.0..=10.0).contains(sigma))
        .ok_or_else(|| format!("{sigma}: sigma is a number from 0 to 10"))?;
    let (low, high) = parts.next().map_or(Ok((1, OBJECT_BYTES_MAX)), bounds)?;
    if !(low..=high).contains(&median) {
        return Err(format!("the median is not from {} to {}", Size(low), Size(high)));
    }
    if median == 0 {
        return Err("a median of 0 has no logarithm".to_string());
    }
    Ok(Sizes::LogNormal { median, sigma, low, high })
}

/// `LO..HI`, or one size for both.
fn bounds(text: &str) -> Result<(u64, u64), String> {
    let (low, high) = text.split_once("..").unwrap_or((text, text));
    let (low, high) = (bytes(low)?, bytes(high)?);
    if low > high {
        return Err(format!("{} is over {}: the smaller comes first", Size(low), Size(high)));
    }
    Ok((low, high))
}

fn bytes(text: &str) -> Result<u64, String> {
    let Size(bytes) = text.trim().parse::<Size>().map_err(|error| error.to_string())?;
    if bytes > OBJECT_BYTES_MAX {
        return Err(format!("{} is over {}, the largest object", text.trim(), Size(OBJECT_BYTES_MAX)));
    }
    Ok(bytes)
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(bytes) => Size(*bytes).fmt(f),
            Self::Uniform(low, high) => write!(f, "{}..{}", Size(*low), Size(*high)),
            Self::LogNormal { median, sigma, low, high } => {
                write!(f, "lognormal:{}:{sigma}:{}..{}", Size(*median), Size(*low), Size(*high))
            }
            Self::Histogram(histogram) if histogram.name() == "pictures" => f.write_str("pictures"),
            Self::Histogram(histogram) => write!(f, "file:{}", histogram.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(law: &str) -> Vec<u64> {
        let sizes: Sizes = law.parse().unwrap();
        let mut drawn: Vec<u64> = (0..100_000).map(|number| sizes.of(Key { seed: 3, number })).collect();
        drawn.sort_unstable();
        assert!(drawn[99_999] <= sizes.largest(), "{law}");
        drawn
    }

    fn mean(drawn: &[u64]) -> f64 {
        drawn.iter().sum::<u64>() as f64 / drawn.len() as f64
    }

    fn assert_near(is: f64, want: f64) {
        assert!((is / want - 1.0).abs() < 0.03, "{is} is not near {want}");
    }

    #[test]
    fn sizes_follow_their_laws() {
        assert_eq!(drawn("4KiB"), vec![4096; 100_000]);

        let uniform = drawn("10..19");
        assert_eq!((uniform[0], uniform[99_999]), (10, 19));
        for bytes in 10..20 {
            assert_near(uniform.iter().filter(|drawn| **drawn == bytes).count() as f64, 10_000.0);
        }

        let law = drawn("lognormal:16KiB:1.2");
        assert_near(law[50_000] as f64, 16384.0);
        assert_near(law[84_134] as f64, 16384.0 * 1.2f64.exp());
        let bound = drawn("lognormal:16KiB:1.2:8KiB..32KiB");
        assert_eq!((bound[0], bound[99_999]), (8192, 32768));
        assert_near(bound[50_000] as f64, 16384.0);

        let pictures = drawn("pictures");
        assert_near(mean(&pictures), 57.54 * 1024.0);
        assert!((17_891..=21_272).contains(&pictures[50_000]), "{}", pictures[50_000]);
        assert!((100_970..=120_255).contains(&pictures[90_000]), "{}", pictures[90_000]);
    }

    #[test]
    fn a_size_is_a_function_of_the_key() {
        // Objects of earlier versions must stay verifiable.
        for (law, golden) in [("1KiB..64KiB", (22924, 42299, 25438)), ("pictures", (10646, 30068, 12657))] {
            let sizes: Sizes = law.parse().unwrap();
            let of = |seed, number| sizes.of(Key { seed, number });
            assert_eq!((of(1, 0), of(1, 1), of(2, 0)), golden, "{law}");
        }
    }

    #[test]
    fn what_is_printed_reads_back() {
        for (text, printed) in [
            ("4096", "4 KiB"),
            ("0", "0 B"),
            ("4KiB..4KiB", "4 KiB"),
            ("1KiB..64KiB", "1 KiB..64 KiB"),
            ("lognormal:16KiB:1.25", "lognormal:16 KiB:1.25:1 B..512 MiB"),
            ("lognormal:1KiB:0.5:512..1MiB", "lognormal:1 KiB:0.5:512 B..1 MiB"),
            ("pictures", "pictures"),
        ] {
            let sizes: Sizes = text.parse().unwrap();
            assert_eq!(sizes.to_string(), printed);
            assert_eq!(printed.parse(), Ok(sizes));
        }
    }

    #[test]
    fn nonsense_is_told() {
        for (text, error) in [
            ("", "is no size"),
            ("4 MB", "is no size"),
            ("1KiB..", "is no size"),
            ("2..1", "2 B is over 1 B: the smaller comes first"),
            ("1GiB", "1GiB is over 512 MiB, the largest object"),
            ("lognormal:4KiB", "want lognormal:MEDIAN:SIGMA"),
            ("lognormal:4KiB:-1", "-1: sigma is a number from 0 to 10"),
            ("lognormal:4KiB:NaN", "NaN: sigma is"),
            ("lognormal:0:1", "the median is not from 1 B"),
            ("lognormal:0:1:0..5", "no logarithm"),
            ("lognormal:4KiB:1:8KiB..9KiB", "the median is not from 8 KiB to 9 KiB"),
            ("file:/nowhere/sizes", "/nowhere/sizes: cannot read"),
            ("photos", "is no size"),
        ] {
            let told = text.parse::<Sizes>().unwrap_err();
            assert!(told.contains(error), "{text}: {told}");
        }
    }
}
