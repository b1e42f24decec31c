//! What kinds of request there are, and how often.
//!
//! Any thread. Always: each verb stands at most once and weighs something; contents and names are not mixed, because what
//! is known as one cannot be asked for as the other.

use super::Verb;
use super::random::Numbers;
use std::fmt;
use std::str::FromStr;

/// So that sums of weights stay far from their ends.
const WEIGHT_MAX: u32 = 1_000_000;

/// Parts of verbs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix {
    parts: Vec<(Verb, u32)>,
    sum: u64,
}

impl Mix {
    /// One verb only.
    #[must_use]
    pub fn only(verb: Verb) -> Self {
        Self { parts: vec![(verb, 1)], sum: 1 }
    }

    /// Parts by weight.
    ///
    /// # Errors
    /// What is wrong with them: none, one twice, a weight of zero or over a million, contents beside names.
    pub fn of(parts: &[(Verb, u32)]) -> Result<Self, String> {
        if parts.is_empty() {
            return Err("no request: want parts, as get=90,put=10".to_string());
        }
        for (index, (verb, weight)) in parts.iter().enumerate() {
            if *weight == 0 || *weight > WEIGHT_MAX {
                return Err(format!("{verb}={weight}: a weight is from 1 to {WEIGHT_MAX}"));
            }
            if parts.iter().take(index).any(|(other, _)| other == verb) {
                return Err(format!("{verb} is there twice"));
            }
        }
        let mix = Self { parts: parts.to_vec(), sum: parts.iter().map(|(_, weight)| u64::from(*weight)).sum() };
        let of_names = mix.verbs().find(|verb| matches!(verb, Verb::Create | Verb::Lookup));
        let of_contents = mix.verbs().find(|verb| matches!(verb, Verb::Put | Verb::Get | Verb::Range));
        match (of_names, of_contents) {
            (Some(name), Some(content)) => {
                Err(format!("{name} is of names and {content} of contents: measure them in two runs"))
            }
            _ => Ok(mix),
        }
    }

    /// A verb, each as often as it weighs.
    pub fn draw(&self, numbers: &mut Numbers) -> Verb {
        let mut left = numbers.below(self.sum);
        for (verb, weight) in &self.parts {
            match left.checked_sub(u64::from(*weight)) {
                Some(less) => left = less,
                None => return *verb,
            }
        }
        unreachable!("a number below the sum of the weights is within one of them")
    }

    /// The verbs that can be drawn.
    pub fn verbs(&self) -> impl Iterator<Item = Verb> + '_ {
        self.parts.iter().map(|(verb, _)| *verb)
    }

    /// Whether a verb can be drawn.
    #[must_use]
    pub fn has(&self, verb: Verb) -> bool {
        self.verbs().any(|other| other == verb)
    }

    /// What makes the objects that it asks for.
    #[must_use]
    pub fn maker(&self) -> Verb {
        if self.has(Verb::Create) || self.has(Verb::Lookup) { Verb::Create } else { Verb::Put }
    }
}

impl FromStr for Mix {
    type Err = String;

    /// `get=70,put=20,delete=5,head=5`; a verb without a weight weighs 1.
    fn from_str(text: &str) -> Result<Self, String> {
        let part = |part: &str| {
            let (verb, weight) = part.split_once('=').unwrap_or((part, "1"));
            let weight = weight.trim();
            let weight: u32 =
                weight.parse().map_err(|_| format!("{part}: {weight:?} is no weight: 1 to {WEIGHT_MAX}"))?;
            Ok((verb.trim().parse()?, weight))
        };
        let parts: Vec<(Verb, u32)> = text.split(',').map(part).collect::<Result<_, String>>()?;
        Self::of(&parts)
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (verb, weight)) in self.parts.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{verb}={weight}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_come_as_often_as_they_weigh() {
        let mix: Mix = "get=70,put=20,delete=5,head=5".parse().unwrap();
        let mut numbers = Numbers::of(1, 1);
        let mut counts = [0u32; Verb::ALL.len()];
        for _ in 0..100_000 {
            counts[mix.draw(&mut numbers) as usize] += 1;
        }
        for (verb, want) in [(Verb::Get, 70_000u32), (Verb::Put, 20_000), (Verb::Delete, 5_000), (Verb::Head, 5_000)] {
            assert!(counts[verb as usize].abs_diff(want) < 500, "{verb}: {}", counts[verb as usize]);
        }
        assert_eq!(counts.iter().sum::<u32>(), 100_000);
    }

    #[test]
    fn what_is_printed_reads_back() {
        for (text, printed) in
            [("get", "get=1"), (" get = 9 , put=1", "get=9,put=1"), ("lookup,create", "lookup=1,create=1")]
        {
            let mix: Mix = text.parse().unwrap();
            assert_eq!(mix.to_string(), printed);
            assert_eq!(printed.parse(), Ok(mix));
        }
        assert_eq!("get=1".parse(), Ok(Mix::only(Verb::Get)));
    }

    #[test]
    fn nonsense_is_told() {
        for (text, error) in [
            ("", "no such request: put, get"),
            ("fetch=1", "fetch: no such request"),
            ("get=0", "get=0: a weight is from 1"),
            ("get=-1", "\"-1\" is no weight"),
            ("get=0.5", "\"0.5\" is no weight"),
            ("get=", "\"\" is no weight"),
            ("get=1000001", "a weight is from 1 to 1000000"),
            ("get=99999999999", "is no weight"),
            ("get=1,get=2", "get is there twice"),
            ("get=1,", "no such request"),
            ("get=1,lookup=1", "lookup is of names and get of contents"),
        ] {
            let told = text.parse::<Mix>().unwrap_err();
            assert!(told.contains(error), "{text}: {told}");
        }
        assert!(Mix::of(&[]).unwrap_err().contains("no request"));
    }
}
