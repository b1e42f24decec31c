//! Preconditions of a request, and what comes of them: RFC 9110, section 13.
//!
//! Any thread; pure. [`Conditions`] are read once from the head and evaluated when the state of what is named is known.
//! Always: the order is that of 13.2.2, and a date that is none is as if it were not there.

use super::date;
use super::etag::{self, Tag, Tags};
use crate::base::ids::ContentHash;

/// The lines of a head that make conditions; one `Option` each, or all values of the field.
#[derive(Debug, Clone, Default)]
pub struct ConditionLines<T, D> {
    /// If-Match.
    pub if_match: T,
    /// If-None-Match.
    pub if_none_match: T,
    /// If-Modified-Since.
    pub if_modified_since: D,
    /// If-Unmodified-Since.
    pub if_unmodified_since: D,
    /// If-Range.
    pub if_range: D,
}

/// The preconditions of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conditions {
    if_match: Tags,
    if_none_match: Tags,
    /// Seconds since 1970; `None` when there is no valid date.
    if_modified_since: Option<i64>,
    if_unmodified_since: Option<i64>,
    if_range: IfRange,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum IfRange {
    #[default]
    Absent,
    Tag(Tag),
    Date(i64),
    /// A tag that cannot be ours, or nonsense: it never holds.
    Never,
}

/// What the current representation is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validators {
    /// The hash of the content, which is the entity tag.
    pub hash: ContentHash,
    /// Last-Modified, in seconds since 1970.
    pub modified_s: u64,
}

impl Validators {
    /// Last-Modified as dates are compared.
    fn modified(&self) -> i64 {
        i64::try_from(self.modified_s).unwrap_or(i64::MAX)
    }
}

/// What the preconditions say about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Do it.
    Go,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// What a write must know before it may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteCondition {
    /// Nothing.
    Any,
    /// That nothing is there: `If-None-Match: *` and nothing else.
    Absent,
    /// What is there: [`Conditions::evaluate`] decides.
    Look,
}

impl Conditions {
    /// Reads the lines of a head.
    pub fn of<'a, T, D>(lines: ConditionLines<T, D>) -> Self
    where
        T: IntoIterator<Item = &'a [u8]>,
        D: IntoIterator<Item = &'a [u8]>,
    {
        Self {
            if_match: Tags::parse(lines.if_match),
            if_none_match: Tags::parse(lines.if_none_match),
            if_modified_since: only(lines.if_modified_since).flatten().and_then(date_of),
            if_unmodified_since: only(lines.if_unmodified_since).flatten().and_then(date_of),
            if_range: match only(lines.if_range) {
                Some(None) => IfRange::Absent,
                Some(Some(value)) => IfRange::of(value),
                None => IfRange::Never,
            },
        }
    }

    /// Whether nothing can come of them but [`Verdict::Go`]: there is none, or only dates that are none. If-Range is no
    /// precondition of the request.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.if_match.is_absent()
            && self.if_none_match.is_absent()
            && self.if_modified_since.is_none()
            && self.if_unmodified_since.is_none()
    }

    /// RFC 9110, 13.2.2, steps 1 to 4. `current` is `None` when there is no representation; `safe` is GET or HEAD.
    ///
    /// 13.2.1: ask only for a request that would succeed without conditions: a GET of what is not there stays 404.
    #[must_use]
    pub fn evaluate(&self, current: Option<&Validators>, safe: bool) -> Verdict {
        if !self.holds_for_the_current(current) {
            return Verdict::Failed;
        }
        if self.holds_for_another(current, safe) {
            return Verdict::Go;
        }
        if safe { Verdict::NotModified } else { Verdict::Failed }
    }

    /// Steps 1 and 2: If-Match, and only without it If-Unmodified-Since.
    fn holds_for_the_current(&self, current: Option<&Validators>) -> bool {
        if !self.if_match.is_absent() {
            // 13.1.1: a star asks for any representation; a tag for one that it equals in the strong comparison.
            return current.is_some_and(|current| self.if_match.match_strongly(current.hash));
        }
        match (self.if_unmodified_since, current) {
            // 13.1.4: it holds if the modification is not later than the date.
            (Some(since), Some(current)) => current.modified() <= since,
            // 13.1.4: ignored where there is no date of modification.
            _ => true,
        }
    }

    /// Steps 3 and 4: If-None-Match, and only without it If-Modified-Since.
    fn holds_for_another(&self, current: Option<&Validators>, safe: bool) -> bool {
        // Whoever meant to protect what is there must not lose it by a slip of the pen.
        if self.if_none_match == Tags::Malformed && !safe {
            return false;
        }
        let Some(current) = current else {
            // 13.1.2: where nothing is, a star holds, and no tag is equal. 13.1.3: there is no date to compare.
            return true;
        };
        if !self.if_none_match.is_absent() {
            // 13.1.2: the weak comparison.
            return !self.if_none_match.match_weakly(current.hash);
        }
        match self.if_modified_since {
            // 13.1.3: it holds if the modification is later than the date; ignored in other methods than GET and HEAD.
            Some(since) if safe => current.modified() > since,
            _ => true,
        }
    }

    /// RFC 9110, 13.1.5: whether Range may be followed. Where If-Range does not hold, Range is as if it were not there.
    #[must_use]
    pub fn range_holds(&self, current: &Validators, now_s: u64) -> bool {
        match self.if_range {
            IfRange::Absent => true,
            // The strong comparison, so a weak tag never holds.
            IfRange::Tag(tag) => tag.is_strongly(current.hash),
            // An exact match, not an earlier or later date; and 8.8.2.2: the date is weak while the second that it names
            // may still see another modification.
            IfRange::Date(date) => current.modified_s < now_s && current.modified() == date,
            IfRange::Never => false,
        }
    }

    /// What a write must know before it may be done. If-Modified-Since is not for writes.
    #[must_use]
    pub fn write_condition(&self) -> WriteCondition {
        match (&self.if_match, &self.if_none_match, self.if_unmodified_since) {
            (Tags::Absent, Tags::Absent, None) => WriteCondition::Any,
            (Tags::Absent, Tags::Any, None) => WriteCondition::Absent,
            _ => WriteCondition::Look,
        }
    }
}

impl IfRange {
    fn of(value: &[u8]) -> Self {
        // 13.1.5: a quote among the first three characters tells a tag from a date.
        if value.trim_ascii_start().iter().take(3).any(|byte| *byte == b'"') {
            return etag::single(value).flatten().map_or(Self::Never, Self::Tag);
        }
        date_of(value).map_or(Self::Never, Self::Date)
    }
}

fn date_of(value: &[u8]) -> Option<i64> {
    date::parse(value.trim_ascii())
}

/// The value of a field that may be there once: `Some(None)` without it, `None` when it is there more often (13.1.3,
/// 13.1.4: such a date is ignored).
fn only<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Option<Option<&'a [u8]>> {
    let mut values = values.into_iter();
    let first = values.next();
    values.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests;
