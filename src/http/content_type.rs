//! The content type of an answer: as stored, else by the ending of the name.
//!
//! Any thread; pure. Always: the value is fit for a header line, and finding it takes no memory.

use super::field_value::stored;
use crate::request::Attributes;

/// What is sent when nothing is known: browsers then show nothing and guess little.
const UNKNOWN: &[u8] = b"application/octet-stream";

/// The value of Content-Type. `name` is the last component of the path; an object that is read by its id has none, and
/// the name that its file had at its owner's stands in.
#[must_use]
pub fn content_type<'a>(attributes: &'a Attributes, name: Option<&str>) -> &'a [u8] {
    stored(attributes, Attributes::CONTENT_TYPE)
        .or_else(|| by_ending(name.or_else(|| owners_name(attributes))?))
        .unwrap_or(UNKNOWN)
}

/// The name that the file had at its owner's.
pub fn owners_name(attributes: &Attributes) -> Option<&str> {
    std::str::from_utf8(attributes.value(Attributes::FILE_NAME)?).ok()
}

fn by_ending(name: &str) -> Option<&'static [u8]> {
    // A name such as `.png` is a hidden file without an ending, as elsewhere on Unix.
    let (_, ending) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty())?;
    usual(ending).or_else(|| mime_guess::from_ext(ending).first_raw()).map(str::as_bytes)
}

/// The endings that most names of a store for pictures and documents have: the search of the library's whole list cost a
/// fiftieth of a small GET.
fn usual(ending: &str) -> Option<&'static str> {
    Some(match ending {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "avif" => "image/avif",
        "pdf" => "application/pdf",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::field_value::is_field_value;
    use proptest::prelude::*;

    #[test]
    fn the_usual_endings_are_as_the_library_has_them() {
        for ending in ["jpg", "jpeg", "png", "webp", "gif", "avif", "pdf"] {
            assert_eq!(usual(ending), mime_guess::from_ext(ending).first_raw(), "{ending}");
        }
    }

    #[test]
    fn stored_goes_before_the_name() {
        let none = Attributes::default();
        for (name, want) in [
            ("a.jpg", "image/jpeg"),
            ("a.JPG", "image/jpeg"),
            ("a.tar.gz", "application/gzip"),
            ("\u{e9}.webp", "image/webp"),
            ("a.html", "text/html"),
            ("a", "application/octet-stream"),
            ("a.", "application/octet-stream"),
            (".png", "application/octet-stream"),
            ("a.jpg.zzzz", "application/octet-stream"),
            ("", "application/octet-stream"),
        ] {
            assert_eq!(content_type(&none, Some(name)), want.as_bytes(), "{name}");
        }
        assert_eq!(content_type(&none, None), UNKNOWN);
        let of = |list: &[(u8, &[u8])]| Attributes::of(list).unwrap();
        let typed = of(&[(1, b"text/x-own; charset=utf-8"), (4, b"b.png")]);
        assert_eq!(content_type(&typed, Some("a.jpg")), b"text/x-own; charset=utf-8");
        let named = of(&[(4, b"b.png")]);
        assert_eq!(content_type(&named, None), b"image/png");
        assert_eq!(content_type(&named, Some("a.jpg")), b"image/jpeg");
        assert_eq!(content_type(&named, Some("a")), UNKNOWN);
        let tricky = of(&[(1, b"text/html\r\nSet-Cookie: a=b")]);
        assert_eq!(content_type(&tricky, Some("a.jpg")), b"image/jpeg");
    }

    proptest! {
        #[test]
        fn it_always_fits_a_header_line(
            stored in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
            name in proptest::option::of("\\PC{0,10}\\.[a-z0-9]{1,4}"),
        ) {
            let list: Vec<_> = stored.iter().map(|value| (Attributes::CONTENT_TYPE, &value[..])).collect();
            let attributes = Attributes::of(&list).unwrap();
            let value = content_type(&attributes, name.as_deref());
            prop_assert!(!value.is_empty() && is_field_value(value));
        }
    }
}
