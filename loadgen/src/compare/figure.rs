//! One figure of a comparison, and its verdict.
//!
//! Any thread; pure. Always: a verdict follows from the interval and the threshold alone.

use super::{Pairing, Terms, bootstrap, pairs::Pairs};
use crate::record::Record;
use serde::Serialize;

/// With fewer pairs no verdict is given: of four, no interval of a median reaches 95 %.
pub const PAIRS_MIN: usize = 5;

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// As "get, response p99".
    pub name: String,
    /// Unit of the medians.
    pub unit: &'static str,
    /// Whether more is better.
    pub is_more_better: bool,
    /// Median of A.
    pub a: f64,
    /// Median of B.
    pub b: f64,
    /// Median of the ratios B/A.
    pub ratio: f64,
    /// The 95 % interval of that.
    pub interval: [f64; 2],
    /// Pairs with a ratio.
    pub pairs: usize,
    /// Pairs without one.
    pub pairs_left_out: usize,
    /// What follows.
    pub verdict: Verdict,
    /// Doubts that spoil it: the verdict is not to be believed if there are any.
    pub spoiled_by: Vec<String>,
}

/// What follows from an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The interval is within the threshold around 1.
    Same,
    /// It is wholly on the good side of 1.
    Better,
    /// It is wholly on the bad side of 1.
    Worse,
    /// It holds 1, and is wider than the threshold.
    Unclear,
    /// There are fewer than [`PAIRS_MIN`] pairs.
    TooFew,
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Unclear => "unclear",
            Self::TooFew => "too few pairs",
        }
    }

    /// The verdict of an interval of ratios.
    #[must_use]
    pub fn of([low, high]: [f64; 2], threshold: f64, is_more_better: bool) -> Self {
        let good = |is_more: bool| if is_more == is_more_better { Self::Better } else { Self::Worse };
        if low >= 1.0 - threshold && high <= 1.0 + threshold {
            Self::Same
        } else if low > 1.0 {
            good(true)
        } else if high < 1.0 {
            good(false)
        } else {
            Self::Unclear
        }
    }
}

impl Figure {
    /// The figure of pairs, of which there is at least one.
    #[must_use]
    pub fn of(pairs: &Pairs, pairing: Pairing, sides: [&[Record]; 2], terms: &Terms) -> Self {
        let ratios: Vec<f64> = pairs.values.iter().map(|(a, b)| b / a).collect();
        let of = |value: fn(&(f64, f64)) -> f64| {
            let values: Vec<f64> = pairs.values.iter().map(value).collect();
            bootstrap::median(&values).unwrap_or(0.0)
        };
        let block = match pairing {
            Pairing::Rounds => 1,
            Pairing::Seconds => bootstrap::block(ratios.len()),
        };
        let interval = bootstrap::interval(&ratios, block, terms.seed).unwrap_or([0.0, 0.0]);
        Self {
            name: pairs.name.clone(),
            unit: pairs.unit,
            is_more_better: pairs.is_more_better,
            a: of(|pair| pair.0),
            b: of(|pair| pair.1),
            ratio: bootstrap::median(&ratios).unwrap_or(0.0),
            interval,
            pairs: ratios.len(),
            pairs_left_out: pairs.left_out,
            verdict: match ratios.len() {
                0..PAIRS_MIN => Verdict::TooFew,
                _ => Verdict::of(interval, terms.threshold, pairs.is_more_better),
            },
            spoiled_by: spoilers(pairs.kind, sides),
        }
    }

    /// The verdict, if nothing spoils it.
    #[must_use]
    pub fn believed(&self) -> Option<Verdict> {
        self.spoiled_by.is_empty().then_some(self.verdict)
    }
}

/// Doubts of either side that spoil figures of a kind.
fn spoilers(kind: &str, [a, b]: [&[Record]; 2]) -> Vec<String> {
    let mut found = Vec::new();
    for (side, records) in [("A", a), ("B", b)] {
        for doubt in records.iter().flat_map(|record| &record.doubts) {
            let name = format!("{side}: {}", doubt.name);
            if doubt.spoils.iter().any(|spoiled| spoiled == kind) && !found.contains(&name) {
                found.push(name);
            }
        }
    }
    found
}
