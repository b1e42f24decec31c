//! Conditions by table, and against the numbered steps of RFC 9110, 13.2.2, written down as they stand there.

use super::*;
use proptest::prelude::*;

const HASH: ContentHash = ContentHash(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
const OURS: &str = "\"0123456789abcdef0011223344556677\"";
const WEAK: &str = "W/\"0123456789abcdef0011223344556677\"";
const OTHER: &str = "\"0123456789abcdef0011223344556678\"";
const MODIFIED_S: u64 = 784_111_777;
const CURRENT: Validators = Validators { hash: HASH, modified_s: MODIFIED_S };
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const SAME: &str = "Sunday, 06-Nov-94 08:49:37 GMT";
const AFTER: &str = "Sun Nov  6 08:49:38 1994";

/// The values that one test gives to If-Match, If-None-Match, If-Modified-Since and If-Unmodified-Since.
type Four<'a> = [&'a [&'a str]; 4];

fn conditions(
    [if_match, if_none_match, if_modified_since, if_unmodified_since]: Four,
    if_range: &[&str],
) -> Conditions {
    fn bytes<'a>(values: &'a [&'a str]) -> Vec<&'a [u8]> {
        values.iter().map(|value| value.as_bytes()).collect()
    }
    Conditions::of(ConditionLines {
        if_match: bytes(if_match),
        if_none_match: bytes(if_none_match),
        if_modified_since: bytes(if_modified_since),
        if_unmodified_since: bytes(if_unmodified_since),
        if_range: bytes(if_range),
    })
}

#[test]
fn each_condition_alone_and_in_its_order() {
    use Verdict::{Failed, Go, NotModified};
    // If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since: verdict for GET, for PUT, where nothing is.
    let table: &[(Four, [Verdict; 3])] = &[
        ([&[], &[], &[], &[]], [Go, Go, Go]),
        ([&["*"], &[], &[], &[]], [Go, Go, Failed]),
        ([&[OURS], &[], &[], &[]], [Go, Go, Failed]),
        ([&[WEAK], &[], &[], &[]], [Failed, Failed, Failed]),
        ([&[OTHER], &[], &[], &[]], [Failed, Failed, Failed]),
        ([&[OTHER, OURS], &[], &[], &[]], [Go, Go, Failed]),
        ([&["nonsense"], &[], &[], &[]], [Failed, Failed, Failed]),
        ([&[""], &[], &[], &[]], [Failed, Failed, Failed]),
        ([&[], &["*"], &[], &[]], [NotModified, Failed, Go]),
        ([&[], &[OURS], &[], &[]], [NotModified, Failed, Go]),
        ([&[], &[WEAK], &[], &[]], [NotModified, Failed, Go]),
        ([&[], &[OTHER], &[], &[]], [Go, Go, Go]),
        ([&[], &["\"a\", W/\"b\"", OURS], &[], &[]], [NotModified, Failed, Go]),
        ([&[], &["nonsense"], &[], &[]], [Go, Failed, Failed]),
        ([&[], &[], &[BEFORE], &[]], [Go, Go, Go]),
        ([&[], &[], &[SAME], &[]], [NotModified, Go, Go]),
        ([&[], &[], &[AFTER], &[]], [NotModified, Go, Go]),
        ([&[], &[], &["nonsense"], &[]], [Go, Go, Go]),
        ([&[], &[], &[SAME, SAME], &[]], [Go, Go, Go]),
        ([&[], &[], &[], &[BEFORE]], [Failed, Failed, Go]),
        ([&[], &[], &[], &[SAME]], [Go, Go, Go]),
        ([&[], &[], &[], &[AFTER]], [Go, Go, Go]),
        ([&[], &[], &[], &["Mon, 01 Jan 1900 00:00:00 GMT"]], [Failed, Failed, Go]),
        ([&[], &[], &[], &["nonsense"]], [Go, Go, Go]),
        ([&[], &[], &[], &[BEFORE, BEFORE]], [Go, Go, Go]),
        // If-Unmodified-Since counts only without If-Match; If-Modified-Since only without If-None-Match.
        ([&[OURS], &[], &[], &[BEFORE]], [Go, Go, Failed]),
        ([&[OTHER], &[], &[], &[AFTER]], [Failed, Failed, Failed]),
        ([&[], &[OTHER], &[AFTER], &[]], [Go, Go, Go]),
        ([&[], &["nonsense"], &[AFTER], &[]], [Go, Failed, Failed]),
        ([&[], &[OURS], &[BEFORE], &[]], [NotModified, Failed, Go]),
        // The first pair goes before the second.
        ([&[OTHER], &[OURS], &[], &[]], [Failed, Failed, Failed]),
        ([&[OURS], &[OURS], &[], &[]], [NotModified, Failed, Failed]),
        ([&[OURS], &[], &[SAME], &[]], [NotModified, Go, Failed]),
        ([&[], &[], &[SAME], &[SAME]], [NotModified, Go, Go]),
        ([&[], &[OURS], &[], &[BEFORE]], [Failed, Failed, Go]),
    ];
    for (lines, want) in table {
        let conditions = conditions(*lines, &[]);
        let verdicts = [
            conditions.evaluate(Some(&CURRENT), true),
            conditions.evaluate(Some(&CURRENT), false),
            conditions.evaluate(None, false),
        ];
        assert_eq!(verdicts, *want, "{lines:?}");
    }
}

#[test]
fn a_range_is_followed_only_while_the_content_is_surely_the_same() {
    for (lines, modified_s, now_s, want) in [
        (&[][..], MODIFIED_S, MODIFIED_S, true),
        (&[OURS], MODIFIED_S, MODIFIED_S, true),
        (&[WEAK], MODIFIED_S, MODIFIED_S + 99, false),
        (&[OTHER], MODIFIED_S, MODIFIED_S + 99, false),
        (&["\"0123456789abcdef0011223344556677\", \"x\""], MODIFIED_S, MODIFIED_S + 99, false),
        (&["*"], MODIFIED_S, MODIFIED_S + 99, false),
        (&["\""], MODIFIED_S, MODIFIED_S + 99, false),
        (&["nonsense"], MODIFIED_S, MODIFIED_S + 99, false),
        (&[OURS, OURS], MODIFIED_S, MODIFIED_S + 99, false),
        (&[BEFORE], MODIFIED_S, MODIFIED_S + 99, false),
        (&[AFTER], MODIFIED_S, MODIFIED_S + 99, false),
        (&[SAME], MODIFIED_S, MODIFIED_S + 1, true),
        (&[SAME], MODIFIED_S, MODIFIED_S, false),
        (&[SAME], MODIFIED_S, MODIFIED_S - 1, false),
        (&[SAME], u64::MAX, u64::MAX, false),
    ] {
        let conditions = conditions([&[], &[], &[], &[]], lines);
        let current = Validators { hash: HASH, modified_s };
        assert_eq!(conditions.range_holds(&current, now_s), want, "{lines:?} at {now_s}");
        assert!(conditions.is_empty(), "If-Range is no precondition");
    }
}

#[test]
fn a_write_looks_only_when_it_must() {
    use WriteCondition::{Absent, Any, Look};
    let table: &[(Four, WriteCondition)] = &[
        ([&[], &[], &[], &[]], Any),
        ([&[], &[], &[SAME], &["nonsense"]], Any),
        ([&[], &["*"], &[], &[]], Absent),
        ([&[], &["*"], &[SAME], &[]], Absent),
        ([&[], &["*"], &[], &[SAME]], Look),
        ([&["*"], &["*"], &[], &[]], Look),
        ([&[], &[OURS], &[], &[]], Look),
        ([&[], &["*", "*"], &[], &[]], Look),
        ([&[OURS], &[], &[], &[]], Look),
        ([&[], &[], &[], &[SAME]], Look),
    ];
    for (lines, want) in table {
        assert_eq!(conditions(*lines, &[]).write_condition(), *want, "{lines:?}");
    }
}

#[test]
fn options_are_taken_as_lines() {
    let lines = ConditionLines { if_none_match: Some(&b"*"[..]), if_modified_since: None, ..ConditionLines::default() };
    let conditions = Conditions::of(lines);
    assert!(!conditions.is_empty());
    assert_eq!(conditions.write_condition(), WriteCondition::Absent);
}

/// A field as the generator makes it, before it is written as text.
#[derive(Debug, Clone)]
enum Field {
    Star,
    /// The tags 0 to 3, of which 0 is current; whether each is weak.
    Tags(Vec<(u8, bool)>),
    Bad,
}

fn field() -> impl Strategy<Value = Option<Field>> {
    prop_oneof![
        2 => Just(None),
        1 => Just(Some(Field::Star)),
        3 => proptest::collection::vec((0u8..4, any::<bool>()), 0..4).prop_map(|tags| Some(Field::Tags(tags))),
        1 => Just(Some(Field::Bad)),
    ]
}

fn text(field: &Field) -> String {
    match field {
        Field::Star => "*".to_owned(),
        Field::Bad => "\"unclosed".to_owned(),
        Field::Tags(tags) => {
            let tags = tags.iter().map(|(tag, weak)| match (tag, weak) {
                (3, _) => "\"of-another-store\"".to_owned(),
                (_, true) => format!("W/\"{:032x}\"", HASH.0 + u128::from(*tag)),
                (_, false) => format!("\"{:032x}\"", HASH.0 + u128::from(*tag)),
            });
            tags.collect::<Vec<_>>().join(", ")
        }
    }
}

/// RFC 9110, 13.2.2: "When conditional request header fields are present, they are evaluated in this order".
fn model(fields: &[Option<Field>; 2], dates: [Option<i64>; 2], exists: bool, safe: bool) -> Verdict {
    let [if_match, if_none_match] = fields;
    let [if_modified_since, if_unmodified_since] = dates;
    let mut step = 1;
    loop {
        match step {
            1 => match if_match {
                Some(Field::Star) if exists => step = 3,
                Some(Field::Tags(tags)) if exists && tags.contains(&(0, false)) => step = 3,
                Some(_) => return Verdict::Failed,
                None => step = 2,
            },
            2 => match if_unmodified_since {
                Some(days) if exists && days < 0 => return Verdict::Failed,
                _ => step = 3,
            },
            3 => match if_none_match {
                None => step = 4,
                Some(field) => {
                    let holds = match field {
                        Field::Star => !exists,
                        Field::Tags(tags) => !exists || !tags.iter().any(|(tag, _)| *tag == 0),
                        Field::Bad => safe,
                    };
                    match (holds, safe) {
                        (true, _) => step = 5,
                        (false, true) => return Verdict::NotModified,
                        (false, false) => return Verdict::Failed,
                    }
                }
            },
            4 => match if_modified_since {
                Some(days) if safe && exists && days >= 0 => return Verdict::NotModified,
                _ => step = 5,
            },
            _ => return Verdict::Go,
        }
    }
}

proptest! {
    #[test]
    fn verdicts_are_those_of_the_numbered_steps(
        fields in [field(), field()],
        dates in [proptest::option::of(-3i64..4), proptest::option::of(-3i64..4)],
        exists: bool,
        safe: bool,
    ) {
        let texts = fields.each_ref().map(|field| field.as_ref().map(text));
        let days = dates.map(|days| days.map(|days| date::date((MODIFIED_S * 1000).saturating_add_signed(days * 86_400_000))));
        let conditions = Conditions::of(ConditionLines {
            if_match: texts[0].as_ref().map(|text| text.as_bytes()),
            if_none_match: texts[1].as_ref().map(|text| text.as_bytes()),
            if_modified_since: days[0].as_ref().map(|text| &text[..]),
            if_unmodified_since: days[1].as_ref().map(|text| &text[..]),
            if_range: None,
        });
        let verdict = conditions.evaluate(exists.then_some(&CURRENT), safe);
        prop_assert_eq!(verdict, model(&fields, dates, exists, safe), "{:?}", texts);
        if conditions.is_empty() {
            prop_assert_eq!(verdict, Verdict::Go);
        }
        match conditions.write_condition() {
            WriteCondition::Any if !safe => prop_assert_eq!(verdict, Verdict::Go),
            WriteCondition::Absent if !safe => prop_assert_eq!(verdict == Verdict::Go, !exists),
            _ => {}
        }
    }
}
