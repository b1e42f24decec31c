//! What a scrub finds. Plain values.

use serde::Serialize;

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A needle that does not verify, or is not where the index has it: to be marked as damaged.
    Needle,
    /// The same, marked before.
    Known,
    /// Bytes that belong to no needle: frames, gaps, small files, index.
    Place,
    /// The device did not give the bytes.
    Unreadable,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing is wrong.
    pub kind: Kind,
    /// The file.
    pub file: String,
    /// The byte in the file.
    pub offset: u64,
    /// The volume, if it is in one.
    pub volume: Option<u32>,
    /// The first sequence that it hurts, if it hurts any.
    pub sequence: Option<u64>,
    /// How many it hurts, without a gap.
    pub count: u64,
    /// What is wrong.
    pub what: String,
}
