//! The query of a target: the few keys that mean something here.
//!
//! Runs on the processor's thread; pure. Always: keys that are not known are passed over, since people and tools add their
//! own; a known key is there once, or the request is refused.

use super::check_escapes;
use crate::base::limits::COMPONENT_BYTES_MAX;
use crate::http::bad::Bad;
use percent_encoding::percent_decode;
use std::borrow::Cow;

/// What a query asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::http) struct Query {
    /// `disposition`: how a browser is to treat the content.
    pub(in crate::http) disposition: Option<Disposition>,
    /// `filename`: under which name it is to save it; without control characters, at most 255 bytes.
    pub(in crate::http) filename: Option<String>,
    /// `cursor`: where a listing goes on; absent when it is empty.
    pub(in crate::http) cursor: Option<String>,
    /// `limit`: entries of a listing, at least 1.
    pub(in crate::http) limit: Option<u32>,
}

/// The type of Content-Disposition (RFC 6266, 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Disposition {
    /// To be saved.
    Attachment,
    /// To be shown.
    Inline,
}

impl Query {
    /// Reads what stands behind the `?`, in the encoding of forms: `&` between pairs, `+` for a space.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Bad> {
        // RFC 9112, 3.2: a fragment is never sent.
        if text.contains(&b'#') {
            return Err(Bad::request("a # in the target"));
        }
        let mut query = Self::default();
        let mut seen = [false; 4];
        for pair in text.split(|byte| *byte == b'&') {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let (key, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
            let Some(key) = decode(key) else { continue };
            let (seen, take): (_, fn(&mut Self, String) -> Option<()>) = match &*key {
                b"disposition" => (&mut seen[0], Self::take_disposition),
                b"filename" => (&mut seen[1], Self::take_filename),
                b"cursor" => (&mut seen[2], Self::take_cursor),
                b"limit" => (&mut seen[3], Self::take_limit),
                _ => continue,
            };
            if std::mem::replace(seen, true) {
                return Err(Bad::request("a key of the query is repeated"));
            }
            let value = decode(value).and_then(|value| String::from_utf8(value.into_owned()).ok());
            value
                .and_then(|value| take(&mut query, value))
                .ok_or(Bad::request("disposition, filename, cursor or limit of the query is malformed"))?;
        }
        Ok(query)
    }

    fn take_disposition(&mut self, value: String) -> Option<()> {
        self.disposition = Some(match value.as_str() {
            "attachment" => Disposition::Attachment,
            "inline" => Disposition::Inline,
            _ => return None,
        });
        Some(())
    }

    /// It goes into a header field of the answer, so it must not be able to begin another one.
    fn take_filename(&mut self, value: String) -> Option<()> {
        let sound = !value.is_empty() && value.len() <= COMPONENT_BYTES_MAX && !value.contains(char::is_control);
        sound.then(|| self.filename = Some(value))
    }

    fn take_cursor(&mut self, value: String) -> Option<()> {
        self.cursor = Some(value).filter(|value| !value.is_empty());
        Some(())
    }

    fn take_limit(&mut self, value: String) -> Option<()> {
        // `parse` alone would take a sign.
        let digits = value.bytes().all(|byte| byte.is_ascii_digit());
        let limit = value.parse().ok().filter(|limit| digits && *limit > 0)?;
        self.limit = Some(limit);
        Some(())
    }
}

/// Without its escapes; `None` when one is malformed.
fn decode(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(Cow::Borrowed(text));
    }
    check_escapes(text).ok()?;
    // A `+` first, so that an escaped one stays.
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    Some(Cow::Owned(percent_decode(&spaced).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_keys_are_read_and_others_passed_over() {
        let query = |text: &str| Query::parse(text.as_bytes()).unwrap();
        assert_eq!(query(""), Query::default());
        assert_eq!(query("a=%zz&&=&%&limits=x&Limit=0&w=1/2?3"), Query::default());
        assert_eq!(query("disposition=attachment").disposition, Some(Disposition::Attachment));
        assert_eq!(query("x&disposition=inline&y").disposition, Some(Disposition::Inline));
        assert_eq!(query("file%6Eame=a+b%2B%C3%A4%22%3d=").filename.as_deref(), Some("a b+\u{e4}\"=="));
        assert_eq!(
            query("cursor=a%3D%3d&limit=0010"),
            Query { cursor: Some("a==".into()), limit: Some(10), ..Query::default() }
        );
        assert_eq!(query("cursor="), Query::default());
    }

    #[test]
    fn a_known_key_that_is_wrong_is_refused() {
        let long = format!("filename={}", "x".repeat(256));
        for text in [
            "disposition",
            "disposition=",
            "disposition=Inline",
            "disposition=inline&disposition=inline",
            "filename=",
            "filename=%0d%0aX:y",
            "filename=%C2%85",
            "filename=%ff",
            "filename=%4",
            &long,
            "cursor=%",
            "cursor=&cursor=a",
            "limit",
            "limit=0",
            "limit=-1",
            "limit=+1",
            "limit=%2B1",
            "limit=1.5",
            "limit=4294967296",
            "limit=1&limit=1",
            "a#b",
            "#",
        ] {
            assert_eq!(Query::parse(text.as_bytes()).map_err(|bad| bad.status), Err(400), "{text:?}");
        }
    }
}
