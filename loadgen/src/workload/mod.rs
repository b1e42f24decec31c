//! What is asked for: which request comes next, for which object, with which content.
//!
//! A worker's thread. Always: the same plan, seed and share give the same requests in the same order, as far as answers
//! come in the same order; each content is that of its key, so whoever knows the key can check it.

pub mod keys;
mod known;
pub mod mix;
pub mod name;
pub mod objects;
pub mod payload;
pub mod random;
pub mod sizes;
mod stream;

use larder::base::ids::ObjectId;
pub use name::name;
use std::fmt;
use std::str::FromStr;
pub use stream::{Next, Share, Verdict, Workload, WorkloadPlan};

/// The key of a content: seed of the run that made it, and number of the object in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Seed of the run.
    pub seed: u64,
    /// Number of the object, from 0.
    pub number: u64,
}

/// An object, and what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object {
    /// What its content is made from. Stores that name objects themselves know it by [`name()`].
    pub key: Key,
    /// Bytes of its content.
    pub bytes: u64,
    /// What the store calls it; `None` for stores that take our name.
    pub id: Option<ObjectId>,
}

/// Kinds of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// Stores a new object.
    Put,
    /// Reads a whole object.
    Get,
    /// Reads a part of one.
    Range,
    /// Asks what is known of one.
    Head,
    /// Removes one.
    Delete,
    /// Makes a name without content.
    Create,
    /// Asks for a name.
    Lookup,
}

impl Verb {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 7] =
        [Self::Put, Self::Get, Self::Range, Self::Head, Self::Delete, Self::Create, Self::Lookup];

    /// As it is written in arguments and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Range => "range",
            Self::Head => "head",
            Self::Delete => "delete",
            Self::Create => "create",
            Self::Lookup => "lookup",
        }
    }

    /// Whether it makes an object that was not there.
    #[must_use]
    pub fn makes(self) -> bool {
        matches!(self, Self::Put | Self::Create)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Verb {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|verb| verb.name() == text)
            .ok_or_else(|| format!("{text}: no such request: {}", all()))
    }
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What is asked for.
    pub verb: Verb,
    /// Of which object.
    pub object: Object,
    /// Of [`Verb::Range`]: its first byte and how many.
    pub range: Option<(u64, u64)>,
    /// Where the workload keeps the object, if it knew it before.
    pub place: u32,
}

impl Step {
    /// Bytes of content that a good answer brings.
    #[must_use]
    pub fn expected_bytes(&self) -> u64 {
        match self.verb {
            Verb::Get => self.object.bytes,
            Verb::Range => self.range.map_or(0, |(_, bytes)| bytes),
            _ => 0,
        }
    }
}

#[test]
fn names_are_of_one_width() {
    let mut text = Vec::new();
    name(Key { seed: 0xC0FFEE, number: u64::MAX }, &mut text);
    assert_eq!(text, b"k0000000000c0ffee-ffffffffffffffff");
}
