//! Two sides, A and B, compared by ratios of pairs.
//!
//! Any thread; pure functions. Always: a ratio is B over A; the same records give the same comparison, to the last digit;
//! runs that are not alike are refused unless that was asked for, and then their differences stand in the result.

pub mod alike;
pub mod bootstrap;
pub mod figure;
pub mod pairs;

use crate::record::Record;
use alike::Difference;
use figure::{Figure, Verdict};
use serde::Serialize;
use std::fmt;

/// How to compare.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// What matters, as a share: a ratio whose interval is within 1 less and 1 more this is the same.
    pub threshold: f64,
    /// Whether runs that are not alike are compared all the same.
    pub is_unlike_allowed: bool,
    /// Seed of the resampling.
    pub seed: u64,
}

impl Default for Terms {
    fn default() -> Self {
        Self { threshold: 0.02, is_unlike_allowed: false, seed: 1 }
    }
}

/// What came out.
///
/// Its exit code, the first line that holds:
///
/// | code | when |
/// |---|---|
/// | 1 | there is no comparison: a file is unreadable, a side is empty, the runs are not alike ([`Refusal`]) |
/// | 2 | a figure that no doubt spoils is worse, or B brought wrong contents and A none |
/// | 0 | a figure that no doubt spoils is the same or better, and none is worse |
/// | 3 | nothing can be said: every figure is unclear, spoiled, or of too few pairs |
///
/// With nine figures and intervals of 95 %, one of them misses 1 by chance in up to a third of comparisons of equals; the
/// threshold is what keeps that from being a verdict, so it should not be below the noise of the machine.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// What A is: software and when it ran.
    pub a: String,
    /// What B is.
    pub b: String,
    /// The scenario of both.
    pub scenario: String,
    /// How figures were paired.
    pub pairing: Pairing,
    /// As in [`Terms`].
    pub threshold: f64,
    /// Figure by figure.
    pub figures: Vec<Figure>,
    /// Figures that could not be paired, and why.
    pub left_out: Vec<String>,
    /// In what the runs are not alike; empty unless that was allowed.
    pub differences: Vec<Difference>,
    /// What a reader should know: doubts of either side, how it was paired.
    pub remarks: Vec<String>,
    /// Contents that were wrong in A and in B.
    pub wrong: [u64; 2],
}

/// How figures were paired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pairing {
    /// Round by round: each pair ran within a short time, so the drift of the machine is in both.
    Rounds,
    /// Second by second of runs that were not interleaved: the drift of the machine is in the ratios.
    Seconds,
}

/// Why there is no comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// A side has no record, or none with a round.
    Empty(&'static str),
    /// The threshold is no share: below zero, 1 or more, or no number.
    Threshold(f64),
    /// The runs are not alike.
    Unlike(Vec<Difference>),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty(side) => write!(f, "side {side} has no rounds to compare"),
            Self::Threshold(threshold) => write!(f, "a threshold of {threshold}: it is a share from 0 to below 1"),
            Self::Unlike(differences) => {
                write!(f, "the runs are not alike, so ratios of them say nothing:")?;
                differences.iter().try_for_each(|difference| write!(f, "\n  {difference}"))
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// Compares B with A. Each side is one record or several of the same run, in the order in which they ran.
///
/// # Errors
///
/// A side is empty, the threshold is none, or the runs are not alike and that was not allowed.
pub fn compare(a: &[Record], b: &[Record], terms: &Terms) -> Result<Comparison, Refusal> {
    if !(0.0..1.0).contains(&terms.threshold) {
        return Err(Refusal::Threshold(terms.threshold));
    }
    let (first_a, first_b) = match (a.first(), b.first()) {
        (None, _) => return Err(Refusal::Empty("A")),
        (_, None) => return Err(Refusal::Empty("B")),
        (Some(first_a), Some(first_b)) => (first_a, first_b),
    };
    for (side, records) in [("A", a), ("B", b)] {
        if records.iter().all(|record| record.rounds.is_empty()) {
            return Err(Refusal::Empty(side));
        }
    }
    let differences = alike::differences(a, b);
    if !differences.is_empty() && !terms.is_unlike_allowed {
        return Err(Refusal::Unlike(differences));
    }
    let paired = pairs::of(a, b);
    let figures = paired.series.iter().map(|series| Figure::of(series, paired.pairing, [a, b], terms)).collect();
    Ok(Comparison {
        a: title(first_a),
        b: title(first_b),
        scenario: first_a.scenario.clone(),
        pairing: paired.pairing,
        threshold: terms.threshold,
        figures,
        left_out: paired.left_out,
        differences,
        remarks: remarks(a, b, paired.pairing),
        wrong: [wrong(a), wrong(b)],
    })
}

impl Comparison {
    /// The code to exit with; see the table above.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let believed = |verdict: Verdict| self.figures.iter().any(|figure| figure.believed() == Some(verdict));
        if believed(Verdict::Worse) || self.is_newly_wrong() {
            2
        } else if believed(Verdict::Same) || believed(Verdict::Better) {
            0
        } else {
            3
        }
    }

    /// Whether B brought wrong contents and A none.
    #[must_use]
    pub fn is_newly_wrong(&self) -> bool {
        self.wrong[0] == 0 && self.wrong[1] > 0
    }

    /// The result in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let named = |verdict: Verdict| {
            let figures = self.figures.iter().filter(|figure| figure.believed() == Some(verdict));
            figures.map(|figure| figure.name.clone()).collect::<Vec<_>>().join(", ")
        };
        match self.exit_code() {
            2 if self.is_newly_wrong() => format!("B is worse: {} of its contents were wrong.", self.wrong[1]),
            2 => format!("B is worse in: {}.", named(Verdict::Worse)),
            0 if named(Verdict::Better).is_empty() => "Nothing is worse.".to_string(),
            0 => format!("Nothing is worse; B is better in: {}.", named(Verdict::Better)),
            _ => "Nothing can be said.".to_string(),
        }
    }

    /// The comparison as JSON, with its exit code and its sentence.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let mut value = serde_json::to_value(self).expect("plain values with texts as keys");
        if let Some(object) = value.as_object_mut() {
            object.insert("exit_code".to_string(), self.exit_code().into());
            object.insert("sentence".to_string(), self.sentence().into());
        }
        value
    }
}

fn title(record: &Record) -> String {
    let target = &record.target;
    let name = if target.software.is_empty() { &target.driver } else { &target.software };
    format!("{name}, {}", record.began)
}

fn wrong(records: &[Record]) -> u64 {
    let rounds = records.iter().flat_map(|record| &record.rounds);
    rounds.flat_map(|round| round.requests.values()).fold(0, |sum, requests| sum.saturating_add(requests.wrong))
}

fn remarks(a: &[Record], b: &[Record], pairing: Pairing) -> Vec<String> {
    let mut remarks = Vec::new();
    if pairing == Pairing::Seconds {
        remarks.push(
            "Paired second by second: the runs were not interleaved, so the drift of the machine between them is in the \
             ratios, and no interval shows it. Neighbouring seconds resemble each other: blocks of them were resampled."
                .to_string(),
        );
    }
    for (side, records) in [("A", a), ("B", b)] {
        for doubt in records.iter().flat_map(|record| &record.doubts) {
            let remark = match doubt.spoils.is_empty() {
                true => format!("{side}: {}: {}", doubt.name, doubt.detail),
                false => format!("{side}: {}: {}; spoils {}", doubt.name, doubt.detail, doubt.spoils.join(", ")),
            };
            if !remarks.contains(&remark) {
                remarks.push(remark);
            }
        }
    }
    remarks
}

#[cfg(test)]
mod tests;
