//! Numbers of bytes as people write them: `4096`, `256 MiB`, `1GiB`.
//!
//! Any thread. Always: what [`Size`] prints, it reads back as the same number. Only powers of 1,024 are units: a "MB"
//! means two things, so it is refused.

use std::fmt;
use std::str::FromStr;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

const UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no size: want a whole number of bytes, or one with a unit, such as 256 MiB (B, KiB, MiB, GiB, TiB)")]
pub struct BadSize(String);

impl FromStr for Size {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        let bad = || BadSize(text.to_string());
        let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(digits_end);
        let unit = match unit.trim() {
            "" => 1,
            name => UNITS.iter().find(|(unit, _)| unit.eq_ignore_ascii_case(name)).ok_or_else(bad)?.1,
        };
        let count: u64 = digits.parse().map_err(|_| bad())?;
        count.checked_mul(unit).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for Size {
    /// The largest unit that divides it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let divides = |(_, unit): &&(&str, u64)| self.0 != 0 && self.0.is_multiple_of(*unit);
        let (name, unit) = UNITS.iter().find(divides).copied().unwrap_or(("B", 1));
        write!(f, "{} {name}", self.0 / unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_are_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("1 B", 1),
            ("256 MiB", 256 << 20),
            ("1GiB", 1 << 30),
            ("5 kib", 5 << 10),
            ("2  TiB", 2 << 40),
        ] {
            assert_eq!(text.parse::<Size>(), Ok(Size(bytes)), "{text}");
        }
        for bad in [
            "",
            " ",
            "MiB",
            "-1",
            "+1",
            "1.5 GiB",
            "1 MB",
            "1 M",
            "1 MiB x",
            "0x10",
            "99999999999999999999",
            "16777216 TiB",
        ] {
            assert_eq!(bad.parse::<Size>(), Err(BadSize(bad.to_string())));
        }
        assert_eq!(Size(0).to_string(), "0 B");
        assert_eq!(Size(1536).to_string(), "1536 B");
        assert_eq!(Size(3 << 20).to_string(), "3 MiB");
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(count: u32, shift in 0u32..32) {
            let size = Size(u64::from(count) << shift);
            prop_assert_eq!(size.to_string().parse::<Size>(), Ok(size));
        }
    }
}
