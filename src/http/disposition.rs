//! Content-Disposition: what a browser does with a file, and under which name it keeps it (RFC 6266, RFC 8187).
//!
//! Any thread; pure. Without a wish in the query the stored value is sent, or none. Always: the value is fit for a header
//! line, and a name can neither end its quotes nor name a folder.

use super::content_type::owners_name;
use super::field_value::stored;
use super::target::{Disposition, Query};
use crate::base::limits::COMPONENT_BYTES_MAX;
use crate::request::Attributes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::borrow::Cow;

/// What RFC 8187, 3.2.1 lets stand as it is in an extended value: attr-char.
const EXTENDED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// What a query wishes: `disposition=attachment` or `inline`, and `filename=NAME` with either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish<'a> {
    kind: &'static str,
    filename: Option<&'a str>,
}

impl<'a> Wish<'a> {
    /// What a query says, if it says how the content is to be treated.
    pub(super) fn of(query: &'a Query) -> Option<Self> {
        let kind = match query.disposition? {
            Disposition::Attachment => "attachment",
            Disposition::Inline => "inline",
        };
        Some(Self { kind, filename: query.filename.as_deref() })
    }
}

/// The value of Content-Disposition, if there is one. `name` is the last component of the path; an object that is read by
/// its id has none, and the name that its file had at its owner's stands in.
#[must_use]
pub fn disposition<'a>(attributes: &'a Attributes, wish: Option<&Wish>, name: Option<&str>) -> Option<Cow<'a, [u8]>> {
    let Some(wish) = wish else {
        return stored(attributes, Attributes::CONTENT_DISPOSITION).map(Cow::Borrowed);
    };
    let filename = wish.filename.filter(|name| !name.is_empty()).or(name).or_else(|| owners_name(attributes));
    Some(Cow::Owned(written(wish.kind, filename.unwrap_or_default()).into_bytes()))
}

/// RFC 6266, 4.3: both forms, first the one that old programs know.
fn written(kind: &str, filename: &str) -> String {
    let name = harmless(filename);
    if name.is_empty() {
        return kind.to_owned();
    }
    // RFC 6266, appendix D: programs disagree about `\` and `%` within quotes, and about bytes above ASCII.
    let plain = |letter: char| matches!(letter, ' '..='~') && !matches!(letter, '"' | '\\' | '%');
    let fallback: String = name.chars().map(|letter| if plain(letter) { letter } else { '_' }).collect();
    format!("{kind}; filename=\"{fallback}\"; filename*=UTF-8''{}", utf8_percent_encode(&name, EXTENDED))
}

/// A name of at most 255 bytes that leads into no folder (RFC 6266, 4.3), and without control characters.
fn harmless(filename: &str) -> String {
    let kept = filename.get(..filename.floor_char_boundary(COMPONENT_BYTES_MAX)).unwrap_or_default();
    let harm = |letter: char| letter.is_control() || matches!(letter, '/' | '\\');
    kept.chars().map(|letter| if harm(letter) { '_' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::field_value::is_field_value;
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    fn value(wish: Option<Wish<'_>>, name: Option<&str>) -> Option<String> {
        let attributes = Attributes::of(&[(3, b"inline; filename=\"s\""), (4, b"owner.txt")]).unwrap();
        disposition(&attributes, wish.as_ref(), name).map(|value| String::from_utf8(value.into_owned()).unwrap())
    }

    #[test]
    fn wishes_and_what_is_sent() {
        let wish = |kind, filename| Some(Wish { kind, filename });
        for (wish, name, want) in [
            (None, Some("a.txt"), "inline; filename=\"s\""),
            (wish("attachment", None), Some("a.txt"), "attachment; filename=\"a.txt\"; filename*=UTF-8''a.txt"),
            (wish("inline", None), Some("a.txt"), "inline; filename=\"a.txt\"; filename*=UTF-8''a.txt"),
            (wish("attachment", None), None, "attachment; filename=\"owner.txt\"; filename*=UTF-8''owner.txt"),
            (
                wish("attachment", Some("r\u{e9}sum\u{e9} 1 \"a\".pdf")),
                Some("a.txt"),
                "attachment; filename=\"r_sum_ 1 _a_.pdf\"; filename*=UTF-8''r%C3%A9sum%C3%A9%201%20%22a%22.pdf",
            ),
            (
                wish("attachment", Some("a\r\nSet-Cookie: b")),
                None,
                "attachment; filename=\"a__Set-Cookie: b\"; filename*=UTF-8''a__Set-Cookie%3A%20b",
            ),
            (
                wish("inline", Some("../..\\etc\0")),
                None,
                "inline; filename=\".._.._etc_\"; filename*=UTF-8''.._.._etc_",
            ),
            (wish("attachment", Some("")), Some("a'*.t"), "attachment; filename=\"a'*.t\"; filename*=UTF-8''a%27%2A.t"),
        ] {
            assert_eq!(value(wish, name).as_deref(), Some(want));
        }
    }

    #[test]
    fn a_query_that_does_not_say_how_wishes_nothing() {
        let query = |disposition| Query { disposition, filename: Some("b".to_owned()), ..Query::default() };
        assert_eq!(Wish::of(&query(None)), None);
        let query = query(Some(Disposition::Inline));
        assert_eq!(Wish::of(&query), Some(Wish { kind: "inline", filename: Some("b") }));
    }

    #[test]
    fn nothing_stored_and_nothing_wished_is_nothing_sent() {
        let none = Attributes::default();
        assert_eq!(disposition(&none, None, Some("a.txt")), None);
        let bare = Some(Wish { kind: "attachment", filename: None });
        assert_eq!(disposition(&none, bare.as_ref(), None).as_deref(), Some(&b"attachment"[..]));
        let tricky = Attributes::of(&[(3, b"inline\r\nSet-Cookie: a=b")]).unwrap();
        assert_eq!(disposition(&tricky, None, None), None);
    }

    #[test]
    fn long_names_are_cut_between_letters() {
        let filename = "\u{e9}".repeat(200);
        let value = value(Some(Wish { kind: "attachment", filename: Some(&filename) }), None).unwrap();
        assert_eq!(value.matches("%C3%A9").count(), 127);
    }

    proptest! {
            #[test]
            fn no_name_leaves_its_quotes_or_its_line(
                name in proptest::collection::vec(any::<char>(), 0..40).prop_map(String::from_iter),
            ) {
                let wish = Wish { kind: "attachment", filename: Some(&name) };
                let value = disposition(&Attributes::default(), Some(&wish), None).unwrap().into_owned();
                prop_assert!(is_field_value(&value), "{:?}", value);
                let value = String::from_utf8(value).unwrap();
                prop_assert!(value.is_ascii());
                if let Some((fallback, extended)) = value.split_once("\"; filename*=UTF-8''") {
                    let fallback = fallback.strip_prefix("attachment; filename=\"").unwrap();
                    prop_assert!(!fallback.contains(['"', '\\', '/', '%']));
                    prop_assert!(!extended.contains([' ', '"', ';', ',', '\'', '*']));
    let back = percent_decode_str(extended).decode_utf8().unwrap();
                        let want: String = name.chars().map(|c| if c.is_control() || c == '/' || c == '\\' { '_' } else { c }).collect();
                        prop_assert_eq!(back, want);
                } else {
                    prop_assert_eq!(value, "attachment");
                }
            }
        }
}
