//! How the files of the log are called.
//!
//! Any thread; pure. Always: a segment has exactly one spelling.

use crate::base::ids::Sequence;

/// The mark file.
pub const MARK: &str = "log-mark";

const PREFIX: &str = "log-";

/// The segment that begins with this record.
#[must_use]
pub fn segment(first: Sequence) -> String {
    format!("{PREFIX}{:016x}", first.0)
}

/// The sequence in the name of a segment.
#[must_use]
pub fn parse_segment(name: &str) -> Option<Sequence> {
    let digits = name.strip_prefix(PREFIX).filter(|digits| digits.len() == 16)?;
    let first = Sequence(u64::from_str_radix(digits, 16).ok()?);
    (segment(first) == name).then_some(first)
}

/// Whether the log has files of this name.
#[must_use]
pub fn is_log_file(name: &str) -> bool {
    name == MARK || parse_segment(name).is_some()
}

/// A torn tail that was cut from a segment.
#[must_use]
pub fn torn(segment: &str, number: u32) -> String {
    format!("{segment}.torn-{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_spelling_is_a_segment() {
        assert_eq!(parse_segment(&segment(Sequence(0x1f))), Some(Sequence(0x1f)));
        for name in
            ["log-", "log-1f", MARK, "log-000000000000001F", "log-+00000000000001f", "log-000000000000001f.torn-0"]
        {
            assert_eq!(parse_segment(name), None, "{name}");
        }
    }
}
