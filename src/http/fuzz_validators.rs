//! The body of the fuzz target of conditions, ranges and stored header values: plain functions, fed by the tests with random
//! bytes and by a fuzzer with cleverer ones.

use super::conditions::{ConditionLines, Conditions, Validators, Verdict, WriteCondition};
use super::content_type::content_type;
use super::disposition::{Wish, disposition};
use super::field_value::{is_field_value, stored};
use super::multipart::Multipart;
use super::range::{PARTS_MAX, Ranges, Resolved};
use super::target::route;
use super::{date, etag, metadata};
use crate::base::ids::ContentHash;
use crate::request::Attributes;

/// Reads bytes as lines, of which the first byte says which field each belongs to, and holds what comes of them against
/// what must be so whatever the lines are.
///
/// # Panics
/// When reading or evaluating panics, or one of those rules is broken. Neither may happen.
pub fn fuzz_conditions(bytes: &[u8]) {
    let values = |field: u8| {
        let lines = bytes.split(|byte| *byte == b'\n').filter_map(<[u8]>::split_first);
        lines.filter(move |(first, _)| **first == field).map(|(_, value)| value)
    };
    // The hash is in the bytes, so that a fuzzer finds tags that are equal to it.
    let hash = values(b'h').next().and_then(|value| Some(u128::from_le_bytes(*value.first_chunk::<16>()?)));
    let current = Validators { hash: ContentHash(hash.unwrap_or(0)), modified_s: 784_111_777 };
    let conditions = Conditions::of(ConditionLines {
        if_match: values(b'm'),
        if_none_match: values(b'n'),
        if_modified_since: values(b's'),
        if_unmodified_since: values(b'u'),
        if_range: values(b'r'),
    });
    check_verdicts(&conditions, &current);
    check_tag(current.hash);
    values(b'b').for_each(check_ranges);
    values(b's').for_each(check_date);
    values(b'q').for_each(|query| check_heads(bytes, query));
    check_metadata(bytes);
}

fn check_verdicts(conditions: &Conditions, current: &Validators) {
    for representation in [None, Some(current)] {
        let [read, write] = [true, false].map(|safe| conditions.evaluate(representation, safe));
        assert_ne!(write, Verdict::NotModified, "304 is for GET and HEAD");
        assert!(read != Verdict::NotModified || representation.is_some(), "nothing is not unmodified");
        assert!(read != Verdict::Failed || write == Verdict::Failed, "what fails a read fails a write");
        if conditions.is_empty() {
            assert_eq!((read, write), (Verdict::Go, Verdict::Go));
        }
        match conditions.write_condition() {
            WriteCondition::Any => assert_eq!(write, Verdict::Go),
            WriteCondition::Absent => assert_eq!(write == Verdict::Go, representation.is_none()),
            WriteCondition::Look => {}
        }
    }
    let early = conditions.range_holds(current, current.modified_s);
    assert!(!early || conditions.range_holds(current, u64::MAX), "a validator does not weaken");
}

/// A read that names what it has is told that it has it, and a write that names what is there is done.
fn check_tag(hash: ContentHash) {
    let mut tag = Vec::new();
    etag::write(hash, &mut tag);
    assert!(tag.len() == etag::ETAG_BYTES && is_field_value(&tag));
    let current = Validators { hash, modified_s: 0 };
    let none = None::<&[u8]>;
    let lines = ConditionLines { if_none_match: Some(&tag[..]), if_modified_since: none, ..ConditionLines::default() };
    assert_eq!(Conditions::of(lines).evaluate(Some(&current), true), Verdict::NotModified);
    let lines = ConditionLines { if_match: Some(&tag[..]), if_range: Some(&tag[..]), ..ConditionLines::default() };
    let conditions = Conditions::of(lines);
    assert_eq!(conditions.evaluate(Some(&current), false), Verdict::Go);
    assert!(conditions.range_holds(&current, 0));
}

fn check_ranges(value: &[u8]) {
    let Some(ranges) = Ranges::parse(value) else {
        return;
    };
    for size in [0, 1, 1000, 5 << 30, u64::MAX] {
        match ranges.resolve(size) {
            Resolved::Whole => {}
            Resolved::Unsatisfiable => assert!(!value.ends_with(b"=0-") || size == 0),
            Resolved::One(range) => assert!(range.start < range.end && range.end <= size),
            Resolved::Several(parts) => {
                assert!((2..=PARTS_MAX).contains(&parts.len()));
                assert!(parts.iter().all(|part| part.start < part.end && part.end <= size));
                let mut sorted = parts.clone();
                sorted.sort_by_key(|part| part.start);
                assert!(sorted.is_sorted_by(|one, next| one.end < next.start), "parts neither overlap nor touch");
                let content = parts.iter().fold(0u64, |sum, part| sum + (part.end - part.start));
                assert!(content <= size, "parts are no more than the whole");
                let multipart = Multipart::new(1, b"a/b", size, parts);
                assert!(multipart.content_length() > content || content > u64::MAX / 2);
            }
        }
    }
}

fn check_date(value: &[u8]) {
    if let Some(second) = date::parse(value).and_then(|second| u64::try_from(second).ok()) {
        let text = date::last_modified(second * 1000, u64::MAX);
        assert_eq!(date::parse(&text).map(i64::unsigned_abs), Some(second), "a date is read as it is written");
    }
}

/// What the binary protocol stored, and what a query wishes, stays in its line.
fn check_heads(run: &[u8], query: &[u8]) {
    let query = [b"/?", query].concat();
    let target = route(&query);
    let wish = target.as_ref().ok().and_then(|target| Wish::of(&target.query));
    for tag in [Attributes::CONTENT_TYPE, Attributes::CONTENT_DISPOSITION, Attributes::FILE_NAME] {
        let Ok(attributes) = Attributes::of(&[(tag, run)]) else {
            continue;
        };
        assert!(is_field_value(content_type(&attributes, None)));
        for wish in [None, wish.as_ref()] {
            let value = disposition(&attributes, wish, std::str::from_utf8(&query).ok());
            assert!(value.is_none_or(|value| !value.is_empty() && is_field_value(&value)));
        }
        assert!(stored(&attributes, tag).is_none_or(is_field_value));
    }
}

fn check_metadata(run: &[u8]) {
    let mut sent = Vec::new();
    metadata::write_lines(run, &mut sent);
    let lines = sent.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\r\n"));
    let fields: Vec<(&[u8], &[u8])> = lines
        .filter_map(|line| {
            let (name, value) = line.split_at_checked(line.iter().position(|byte| *byte == b':')?)?;
            Some((name.strip_prefix(b"X-Larder-Meta-")?, value.strip_prefix(b": ")?))
        })
        .collect();
    let Ok(again) = metadata::encode(fields) else {
        assert!(run.len() > crate::base::limits::ATTRIBUTE_BYTES_MAX / 2, "what was sent can be stored");
        return;
    };
    let mut sent_again = Vec::new();
    metadata::write_lines(&again, &mut sent_again);
    assert_eq!(sent_again, sent, "what was sent is stored and sent as it was");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Lines near to real ones.
    fn line() -> impl Strategy<Value = Vec<u8>> {
        let tag = prop_oneof![
            Just("*".to_owned()),
            Just(format!("\"{:032x}\"", 0)),
            Just(format!("W/\"{:032x}\"", 0)),
            "(W/)?\"[a-f,0-9]{0,33}\"?",
        ];
        let tags = proptest::collection::vec(tag, 0..4).prop_map(|tags| tags.join(", "));
        let second = prop_oneof![784_111_774u64..784_111_780, 0..253_402_300_799u64];
        let date = second.prop_map(|second| String::from_utf8_lossy(&date::date(second * 1000)).into_owned());
        let range = "bytes=([0-9]{0,4}-[0-9]{0,4}, ?){0,9}[0-9]{0,3}-[0-9]{0,20}";
        let query = "(attachment&|inline&)?(filename=)?[a-z+%&=\"0-9]{0,20}";
        prop_oneof![
            (prop_oneof![Just('m'), Just('n'), Just('r')], tags).prop_map(|(field, value)| format!("{field}{value}")),
            (prop_oneof![Just('s'), Just('u'), Just('r')], date).prop_map(|(field, value)| format!("{field}{value}")),
            range.prop_map(|value| format!("b{value}")),
            query.prop_map(|value| format!("q{value}")),
            "[a-z]{1,3}:? [a-z\r]{0,5}\r?",
        ]
        .prop_map(String::into_bytes)
    }

    proptest! {
        #[test]
        fn random_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..1000)) {
            fuzz_conditions(&bytes);
        }

        #[test]
        fn lines_near_to_real_ones_keep_the_rules(
            lines in proptest::collection::vec(line(), 0..10),
            flip in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
        ) {
            let mut bytes = lines.join(&b'\n');
            if let Some((at, byte)) = flip && !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            fuzz_conditions(&bytes);
        }
    }
}
