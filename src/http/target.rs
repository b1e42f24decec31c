//! The target of a request: where it leads, and what its query asks.
//!
//! Runs on the processor's thread; pure. Always: what is refused here never reaches the namespace, and what could be taken
//! for another path by a cache in front is refused: escaped slashes, dots as names, empty names. A path takes one
//! allocation, escapes one more, an absent query none.

mod query;

pub(super) use query::{Disposition, Query};

use super::bad::Bad;
use super::grammar::is_authority;
use crate::base::ids::ObjectId;
use crate::base::limits::PATH_BYTES_MAX;
use crate::base::path::{BadPath, NamePath, ROOT_NAMES_KEPT};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use std::borrow::Cow;

/// What a target says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Where it leads.
    pub(super) place: Place,
    /// What its query asks.
    pub(super) query: Query,
}

/// Where a target leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `/a/b`: a name.
    Name(NamePath),
    /// `/` and `/a/`: a directory.
    Directory(NamePath),
    /// `/.id/<id>`: an object.
    Id(ObjectId),
    /// `/.id/`: where objects are stored without a name.
    Ids,
    /// `/.live`.
    Live,
    /// `/.ready`.
    Ready,
    /// `/.metrics`.
    Metrics,
    /// Below a name that is the node's own, but nothing is there: 404.
    Nothing,
}

/// Reads a target of visible ASCII, as a head has it.
///
/// # Errors
/// 400, or 414 for a path or a name in it that is too long. The authority-form and `*` belong to methods that this node
/// does not offer, and are 400 (RFC 9112, 3.2.3 and 3.2.4).
pub(super) fn route(target: &[u8]) -> Result<Target, Bad> {
    let target = origin_form(target)?;
    let (path, query) = match target.iter().position(|byte| *byte == b'?') {
        Some(at) => (target.get(..at).unwrap_or_default(), target.get(at + 1..)),
        None => (target, None),
    };
    // RFC 9110, 4.2.3: the empty path of an address is the root.
    let place = place(if path.is_empty() { b"/" } else { path })?;
    let query = query.map_or(Ok(Query::default()), Query::parse)?;
    Ok(Target { place, query })
}

/// The path and query of a target. RFC 9112, 3.2.2: a server takes the absolute form too, which proxies are sent.
fn origin_form(target: &[u8]) -> Result<&[u8], Bad> {
    if target.first() == Some(&b'/') {
        return Ok(target);
    }
    const SCHEME: &[u8] = b"http://";
    let (scheme, rest) = target.split_at_checked(SCHEME.len()).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(Bad::request("the target is neither a path nor an address of http"));
    }
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    // RFC 9110, 4.2.1 and 4.2.4: an empty host is invalid, and a user's name before the host an error.
    if !is_authority(authority) {
        return Err(Bad::request("the target's address is not a host and a port"));
    }
    match rest.first() {
        None => Ok(b"/"),
        Some(_) => Ok(rest),
    }
}

fn place(path: &[u8]) -> Result<Place, Bad> {
    check_bytes(path)?;
    let text = unescape(path)?;
    check_names(&text)?;
    if let Some(own) = own_name(&text) {
        // An escape would be a second spelling, and a second entry of a cache.
        let escaped = text.len() != path.len();
        return Ok(if escaped { Place::Nothing } else { own_place(own, &text) });
    }
    match text.strip_suffix(b"/") {
        None => Ok(Place::Name(name_path(&text)?)),
        Some(b"") => Ok(Place::Directory(NamePath::root())),
        Some(directory) => Ok(Place::Directory(name_path(directory)?)),
    }
}

/// RFC 3986, 3.3, says what may be in a path; `|`, `^` and brackets too, which browsers send as they are.
fn check_bytes(path: &[u8]) -> Result<(), Bad> {
    // RFC 9112, 3.2: a fragment is never sent, and quotes, angle brackets and backslashes are read as other things by some.
    match path.iter().all(|byte| IN_PATH[usize::from(*byte)]) {
        true => Ok(()),
        false => Err(Bad::request("the path holds a byte that must be escaped")),
    }
}

/// A path as it is written in an address.
pub(super) fn escaped(path: &str) -> String {
    utf8_percent_encode(path, ESCAPED).to_string()
}

/// All but the letters of RFC 3986's `pchar` that no reader takes for something else, and the slash.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'@')
    .remove(b'=');

/// Whether a byte may stand in a path as it is, or begins an escape.
static IN_PATH: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 0x80 {
        table[byte as usize] =
            byte.is_ascii_graphic() && !matches!(byte, b'"' | b'#' | b'<' | b'>' | b'?' | b'\\' | b'`' | b'{' | b'}');
        byte += 1;
    }
    table
};

/// The path without its escapes. RFC 3986, 2.1: `%` and two hex digits. 2.2: an escaped slash is not a slash, but many
/// servers take it for one.
fn unescape(path: &[u8]) -> Result<Cow<'_, [u8]>, Bad> {
    if !path.contains(&b'%') {
        return Ok(Cow::Borrowed(path));
    }
    check_escapes(path)?;
    let text: Vec<u8> = percent_decode(path).collect();
    if text.iter().filter(|byte| **byte == b'/').count() != path.iter().filter(|byte| **byte == b'/').count() {
        return Err(Bad::request("an escaped slash in the path"));
    }
    if text.iter().any(u8::is_ascii_control) {
        return Err(Bad::request("an escaped control character in the path"));
    }
    Ok(Cow::Owned(text))
}

/// Each `%` begins an escape.
fn check_escapes(text: &[u8]) -> Result<(), Bad> {
    let mut parts = text.split(|byte| *byte == b'%');
    parts.next();
    for part in parts {
        if !matches!(part, [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit()) {
            return Err(Bad::request("% is not followed by two hexadecimal digits"));
        }
    }
    Ok(())
}

/// No name is empty, `.` or `..`. RFC 3986, 5.2.4 would take such names out of the path: then who did so and who did not
/// would keep one thing under two names.
fn check_names(text: &[u8]) -> Result<(), Bad> {
    if text.len() > PATH_BYTES_MAX {
        return Err(Bad::target_too_long("the path is over 4,096 bytes"));
    }
    let names = text.strip_prefix(b"/").unwrap_or(text);
    let names = names.strip_suffix(b"/").unwrap_or(names);
    if names.is_empty() && text.len() < 2 {
        return Ok(());
    }
    match names.split(|byte| *byte == b'/').any(|name| matches!(name, b"" | b"." | b"..")) {
        true => Err(Bad::request("a name in the path is empty, . or ..")),
        false => Ok(()),
    }
}

/// The first name, if it is one of the node's own.
fn own_name(text: &[u8]) -> Option<&'static str> {
    let [b'/', b'.', ..] = text else { return None };
    let first = text.split(|byte| *byte == b'/').nth(1)?;
    ROOT_NAMES_KEPT.into_iter().find(|kept| kept.as_bytes() == first)
}

fn own_place(own: &'static str, text: &[u8]) -> Place {
    let rest = text.get(1 + own.len()..).unwrap_or_default();
    match (own, rest) {
        (".live", b"") => Place::Live,
        (".ready", b"") => Place::Ready,
        (".metrics", b"") => Place::Metrics,
        (".id", b"/") => Place::Ids,
        (".id", [b'/', id @ ..]) => {
            let id = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok());
            id.map_or(Place::Nothing, Place::Id)
        }
        _ => Place::Nothing,
    }
}

fn name_path(text: &[u8]) -> Result<NamePath, Bad> {
    NamePath::parse(text).map_err(|bad| match bad {
        _ if bad.is_too_long() => Bad::target_too_long("the path is over 4,096 bytes, or a name in it over 255"),
        BadPath::NotText(_) => Bad::request("the path is not UTF-8"),
        BadPath::Control { .. } => Bad::request("an escaped control character in the path"),
        _ => Bad::request("not a path"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3-1f-00c0ffee00c0ffee";

    fn place_of(target: &str) -> Result<Place, u16> {
        route(target.as_bytes()).map(|target| target.place).map_err(|bad| bad.status)
    }

    fn path(text: &str) -> NamePath {
        NamePath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_path_leads_to_a_name_or_a_directory() {
        for (target, name) in [
            ("/a", "/a"),
            ("/a%20b", "/a b"),
            ("/%C3%A4/%e2%82%ac", "/\u{e4}/\u{20ac}"),
            ("/~a!$&'()*+,;=:@|^[]", "/~a!$&'()*+,;=:@|^[]"),
            ("/%61%25%3f%23%5c", "/a%?#\\"),
            ("/...", "/..."),
            ("/.a", "/.a"),
            ("/.ids", "/.ids"),
            ("/a/.id/x", "/a/.id/x"),
            ("HTTP://h:80/a", "/a"),
            ("http://[::1]/a?b", "/a"),
        ] {
            assert_eq!(place_of(target), Ok(Place::Name(path(name))), "{target}");
        }
        for (target, name) in [
            ("/", "/"),
            ("/?limit=1", "/"),
            ("/a/", "/a"),
            ("/a/b%20/", "/a/b "),
            ("http://h", "/"),
            ("http://h?a", "/"),
        ] {
            assert_eq!(place_of(target), Ok(Place::Directory(path(name))), "{target}");
        }
    }

    #[test]
    fn the_nodes_own_names_have_one_spelling() {
        let id = ID.parse().unwrap();
        for (target, want) in [
            ("/.live", Place::Live),
            ("/.ready?x", Place::Ready),
            ("/.metrics", Place::Metrics),
            ("/.id/", Place::Ids),
            ("/.id/3-1f-00c0ffee00c0ffee", Place::Id(id)),
            ("/.id/3-1F-00c0ffee00c0ffee", Place::Nothing),
            ("/.id/03-1f-00c0ffee00c0ffee", Place::Nothing),
            ("/.id/3-1f-00c0ffee00c0ffee/", Place::Nothing),
            ("/.id/%33-1f-00c0ffee00c0ffee", Place::Nothing),
            ("/%2eid/3-1f-00c0ffee00c0ffee", Place::Nothing),
            ("/.%69d/", Place::Nothing),
            ("/.id", Place::Nothing),
            ("/.live/", Place::Nothing),
            ("/.live/x", Place::Nothing),
            ("/%2elive", Place::Nothing),
        ] {
            assert_eq!(place_of(target), Ok(want), "{target}");
        }
    }

    #[test]
    fn nothing_leaves_the_namespace() {
        for target in [
            "",
            "*",
            "a",
            "a/b",
            "h:80",
            "//",
            "//a",
            "/a//b",
            "/a//",
            "/.",
            "/..",
            "/./",
            "/../",
            "/a/../b",
            "/a/.",
            "/a/..",
            "/%2e",
            "/%2E%2e/x",
            "/a/.%2e",
            "/a/%2e%2e/",
            "/a%2fb",
            "/a%2Fb",
            "/%2f",
            "/a%5c..%2fb",
            "/a%00",
            "/a%0a",
            "/a%7f",
            "/a%1b",
            "/%c2%85",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%+1",
            "/a%%30",
            "/%ff",
            "/%c3",
            "/%c0%ae%c0%ae",
            "/a#b",
            "/a?b#c",
            "/a//?",
            "http://h?a#b",
            "/#",
            "/a\"b",
            "/a<b>",
            "/a\\b",
            "/a`b",
            "/a{b}",
            "/.id//",
            "/.id/../a",
            "/.id/%00",
            "https://h/a",
            "ftp://h/a",
            "http:/a",
            "http:///a",
            "http://",
            "http://u@h/a",
            "http://u:p@h/a",
            "http://h:x/a",
            "http://h\\@i/a",
            "http://h#/a",
            "http://h/../a",
            "http://[::1/a",
            "javascript:x",
            "file:///etc/passwd",
        ] {
            assert_eq!(place_of(target), Err(400), "{target:?}");
        }
    }

    #[test]
    fn a_path_has_its_longest() {
        let long = format!("/{}", "x".repeat(256));
        assert_eq!(place_of(&long), Err(414));
        assert!(place_of(&long[..256]).is_ok());
        assert!(place_of(&"/%78".repeat(2048)).is_ok());
        assert_eq!(place_of(&"/x".repeat(2049)), Err(414));
        assert!(place_of(&format!("/{}", "%78".repeat(255))).is_ok());
    }
}
