//! The head of a request: bytes to the facts that the origin needs, or a refusal.
//!
//! Runs on the processor's thread; pure. Always: there is one way to read what was accepted. `scan` checks the ends of the
//! lines and the request line, `httparse` splits the fields, and what both would let through is refused here. A refusal
//! ends the connection. Nothing is allocated.

mod field;
mod line;
mod scan;
mod values;

pub(super) use line::{Method, Version};
pub(super) use values::Values;

use super::bad::Bad;
use super::framing::{Announced, Framing, Persistence, is_framing_name};
use super::grammar::is_authority;
use field::Field;
use line::RequestLine;
use scan::{FIELDS_MAX, Scanned, scan};
use std::mem::MaybeUninit;
use values::Lines;

/// What the front of the input is.
#[derive(Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "it is taken apart where it is returned; a box would cost an allocation")]
pub(super) enum Parsed<'a> {
    /// Not yet a whole head; it may still become one.
    More,
    /// A whole head.
    Head {
        /// Its bytes, with the empty lines before it: the body begins after them.
        head_bytes: usize,
        /// What it says.
        head: Head<'a>,
    },
    /// No head; the connection ends.
    Bad(Bad),
}

/// What a head says. Values are without the blanks around them, and may hold bytes that are not ASCII.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    /// The method.
    pub(super) method: Method,
    /// The method as it was sent; a token.
    pub(super) method_name: &'a [u8],
    /// The target as it was sent: visible ASCII.
    pub(super) target: &'a [u8],
    /// The version.
    pub(super) version: Version,
    /// Whether the connection goes on after the answer.
    pub(super) keep_alive: bool,
    /// Where the body ends.
    pub(super) framing: Framing,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub(super) expects_continue: bool,
    pub(super) host: Option<&'a [u8]>,
    pub(super) if_match: Values<'a>,
    pub(super) if_none_match: Values<'a>,
    pub(super) if_modified_since: Option<&'a [u8]>,
    pub(super) if_unmodified_since: Option<&'a [u8]>,
    pub(super) if_range: Option<&'a [u8]>,
    pub(super) range: Option<&'a [u8]>,
    pub(super) cache_control: Values<'a>,
    pub(super) content_type: Option<&'a [u8]>,
    pub(super) content_disposition: Option<&'a [u8]>,
    pub(super) content_encoding: Option<&'a [u8]>,
    pub(super) content_range: Option<&'a [u8]>,
    pub(super) content_md5: Option<&'a [u8]>,
    pub(super) content_digest: Values<'a>,
    /// For the access log; the first, if there are several.
    pub(super) referer: Option<&'a [u8]>,
    /// For the access log; the first, if there are several.
    pub(super) user_agent: Option<&'a [u8]>,
    lines: &'a [u8],
    has_meta: bool,
}

/// What the names of an object's own attributes begin with.
const META: &[u8] = b"x-larder-meta-";

/// Reads the head at the front of what has come so far.
pub(super) fn parse(input: &[u8]) -> Parsed<'_> {
    match scan(input) {
        Ok(None) => Parsed::More,
        Ok(Some(scanned)) => match head_of(&scanned) {
            Ok(head) => Parsed::Head { head_bytes: scanned.head_bytes, head },
            Err(bad) => Parsed::Bad(bad),
        },
        Err(bad) => Parsed::Bad(bad),
    }
}

fn head_of<'a>(scanned: &Scanned<'a>) -> Result<Head<'a>, Bad> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut []);
    let end = request.parse_with_uninit_headers(scanned.head, &mut fields);
    let RequestLine { method_name, target, .. } = scanned.line;
    let same = |text: Option<&str>, bytes: &[u8]| text.map(str::as_bytes) == Some(bytes);
    // Two parsers that have to agree are harder to mislead than one.
    if end != Ok(httparse::Status::Complete(scanned.head.len()))
        || !same(request.method, method_name)
        || !same(request.path, target)
    {
        return Err(refused_fields(end));
    }
    let mut reading = Reading::begin(scanned);
    for field in request.headers.iter() {
        reading.field(field.name.as_bytes(), field.value)?;
    }
    reading.finish()
}

/// RFC 9112, 5.1 and 5.2: a blank between name and colon, and a line that goes on in the next one (obs-fold), are 400.
fn refused_fields(end: httparse::Result<usize>) -> Bad {
    Bad::request(match end {
        Err(httparse::Error::HeaderName) => "a field has no name, a blank in or around it, or no colon",
        Err(httparse::Error::HeaderValue) => "a field has a value with a control character",
        _ => "the head cannot be read in one way only",
    })
}

/// A head while its fields are read, each once.
struct Reading<'a> {
    head: Head<'a>,
    announced: Announced,
    persistence: Persistence,
    expect: Option<&'a [u8]>,
}

impl<'a> Reading<'a> {
    fn begin(scanned: &Scanned<'a>) -> Self {
        let RequestLine { method, method_name, target, version } = scanned.line;
        let head = Head {
            method,
            method_name,
            target,
            version,
            keep_alive: false,
            framing: Framing::None,
            expects_continue: false,
            host: None,
            if_match: Values::default(),
            if_none_match: Values::default(),
            if_modified_since: None,
            if_unmodified_since: None,
            if_range: None,
            range: None,
            cache_control: Values::default(),
            content_type: None,
            content_disposition: None,
            content_encoding: None,
            content_range: None,
            content_md5: None,
            content_digest: Values::default(),
            referer: None,
            user_agent: None,
            lines: scanned.fields,
            has_meta: false,
        };
        Self { head, announced: Announced::default(), persistence: Persistence::default(), expect: None }
    }

    fn field(&mut self, name: &'a [u8], value: &'a [u8]) -> Result<(), Bad> {
        let Some(field) = Field::of(name) else {
            return self.unknown_field(name);
        };
        let head = &mut self.head;
        match field {
            Field::ContentLength => self.announced.length(value),
            Field::TransferEncoding => self.announced.codings(value),
            Field::Connection => self.persistence.options(value),
            Field::Expect => once(&mut self.expect, value, "Expect is repeated"),
            // RFC 9112, 3.2: more than one Host is 400.
            Field::Host => once(&mut head.host, value, "Host is repeated"),
            Field::Range => once(&mut head.range, value, "Range is repeated"),
            Field::IfRange => once(&mut head.if_range, value, "If-Range is repeated"),
            Field::IfModifiedSince => once(&mut head.if_modified_since, value, "If-Modified-Since is repeated"),
            Field::IfUnmodifiedSince => once(&mut head.if_unmodified_since, value, "If-Unmodified-Since is repeated"),
            Field::ContentType => once(&mut head.content_type, value, "Content-Type is repeated"),
            Field::ContentDisposition => once(&mut head.content_disposition, value, "Content-Disposition is repeated"),
            Field::ContentEncoding => once(&mut head.content_encoding, value, "Content-Encoding is repeated"),
            Field::ContentRange => once(&mut head.content_range, value, "Content-Range is repeated"),
            Field::ContentMd5 => once(&mut head.content_md5, value, "Content-MD5 is repeated"),
            Field::IfMatch => list(&mut head.if_match, "if-match", value, head.lines),
            Field::IfNoneMatch => list(&mut head.if_none_match, "if-none-match", value, head.lines),
            Field::CacheControl => list(&mut head.cache_control, "cache-control", value, head.lines),
            Field::ContentDigest => list(&mut head.content_digest, "content-digest", value, head.lines),
            Field::Referer => first(&mut head.referer, value),
            Field::UserAgent => first(&mut head.user_agent, value),
        }
    }

    fn unknown_field(&mut self, name: &[u8]) -> Result<(), Bad> {
        // A proxy that takes `_` for `-` would see a length or a coding where this node sees none.
        if is_framing_name(name) {
            return Err(Bad::request("a field is named like one of framing, with _ for -"));
        }
        match meta_name(name) {
            Some(b"") => return Err(Bad::request("X-Larder-Meta- without a name")),
            Some(_) => self.head.has_meta = true,
            None => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Head<'a>, Bad> {
        let version = self.head.version;
        let framing = self.announced.framing(version)?;
        let keep_alive = self.persistence.keeps_alive(version);
        check_host(self.head.host, version)?;
        let expects_continue = expects_continue(self.expect, version)?;
        Ok(Head { framing, keep_alive, expects_continue, ..self.head })
    }
}

/// A field that may be there once: which of two was meant is not for this node to say (RFC 9110, 5.3).
fn once<'a>(place: &mut Option<&'a [u8]>, value: &'a [u8], repeated: &'static str) -> Result<(), Bad> {
    match place.replace(value) {
        Some(_) => Err(Bad::request(repeated)),
        None => Ok(()),
    }
}

#[allow(clippy::unnecessary_wraps, reason = "an arm like its neighbours")]
fn list<'a>(values: &mut Values<'a>, name: &'static str, value: &'a [u8], lines: &'a [u8]) -> Result<(), Bad> {
    values.push(name, value, lines);
    Ok(())
}

#[allow(clippy::unnecessary_wraps, reason = "an arm like its neighbours")]
fn first<'a>(place: &mut Option<&'a [u8]>, value: &'a [u8]) -> Result<(), Bad> {
    place.get_or_insert(value);
    Ok(())
}

/// RFC 9112, 3.2: a request of HTTP/1.1 has a Host; one with an invalid value is 400. It is empty where the target has no
/// host.
fn check_host(host: Option<&[u8]>, version: Version) -> Result<(), Bad> {
    match host {
        None if version == Version::Http11 => Err(Bad::request("no Host")),
        Some(host) if !host.is_empty() && !is_authority(host) => Err(Bad::request("Host is not a host and a port")),
        _ => Ok(()),
    }
}

/// RFC 9110, 10.1.1: any other expectation is answered 417; in HTTP/1.0 nobody waits for `100 Continue`.
fn expects_continue(expect: Option<&[u8]>, version: Version) -> Result<bool, Bad> {
    match expect {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case(b"100-continue") => Ok(version == Version::Http11),
        Some(_) => Err(Bad::expectation("the only expectation that can be met is 100-continue")),
    }
}

/// What follows the prefix of an object's own attributes.
fn meta_name(name: &[u8]) -> Option<&[u8]> {
    let (prefix, rest) = name.split_at_checked(META.len())?;
    prefix.eq_ignore_ascii_case(META).then_some(rest)
}

impl<'a> Head<'a> {
    /// The lines `X-Larder-Meta-<name>`: their names without the prefix, as sent, and values, in order.
    pub(super) fn meta(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let lines = if self.has_meta { self.lines } else { &[] };
        Lines(lines).filter_map(|(name, value)| meta_name(name).map(|name| (name, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(input: &str) -> Head<'_> {
        match parse(input.as_bytes()) {
            Parsed::Head { head, .. } => head,
            other => panic!("{input:?}: {other:?}"),
        }
    }

    #[test]
    fn a_head_of_a_browser_is_taken_apart() {
        let input = "GET /pictures/a%20b.jpg?x=1 HTTP/1.1\r\nHost: shop.example:7480\r\nConnection: keep-alive\r\n\
            User-Agent: Mozilla/5.0 (\u{e4})\r\nAccept: image/avif,*/*;q=0.8\r\nReferer: http://shop.example/\r\n\
            Accept-Encoding: gzip, deflate, br\r\nRange: bytes=0-\r\nif-none-match: \"a\"\r\nIF-NONE-MATCH: W/\"b\"\r\n\
            If-Modified-Since:Sun, 06 Nov 1994 08:49:37 GMT \r\nCookie: a=b\r\nEmpty:\r\n\r\nrest";
        let Parsed::Head { head_bytes, head } = parse(input.as_bytes()) else { panic!("refused") };
        assert_eq!(head_bytes, input.len() - 4);
        assert_eq!((head.method, head.method_name, head.version), (Method::Get, &b"GET"[..], Version::Http11));
        assert_eq!(head.target, b"/pictures/a%20b.jpg?x=1");
        assert!(head.keep_alive && !head.expects_continue);
        assert_eq!(head.framing, Framing::None);
        assert_eq!(head.host, Some(&b"shop.example:7480"[..]));
        assert_eq!(head.user_agent, Some("Mozilla/5.0 (\u{e4})".as_bytes()));
        assert_eq!(head.referer, Some(&b"http://shop.example/"[..]));
        assert_eq!(head.range, Some(&b"bytes=0-"[..]));
        assert_eq!(head.if_modified_since, Some(&b"Sun, 06 Nov 1994 08:49:37 GMT"[..]));
        assert_eq!(head.if_none_match.iter().collect::<Vec<_>>(), [&b"\"a\""[..], b"W/\"b\""]);
        assert!(head.if_match.is_empty() && head.meta().next().is_none());
    }

    #[test]
    fn an_upload_is_taken_apart() {
        let input = "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\nExpect: 100-Continue\r\nContent-Type: a/b\r\n\
            Cache-Control: no-cache\r\nX-Larder-Meta-Color:  red \r\nContent-MD5: x\r\nContent-Digest: a=:b:\r\n\
            Content-Disposition: inline\r\nContent-Encoding: gzip\r\nContent-Range: bytes 0-1/2\r\nIf-Match: *\r\n\
            If-Unmodified-Since: then\r\nIf-Range: \"x\"\r\nCache-Control: private\r\nx-larder-meta-B:\r\n\r\n";
        let head = head(input);
        assert_eq!((head.framing, head.expects_continue), (Framing::Length(12), true));
        assert_eq!(head.content_type, Some(&b"a/b"[..]));
        assert_eq!(head.content_md5, Some(&b"x"[..]));
        assert_eq!(head.content_disposition, Some(&b"inline"[..]));
        assert_eq!(head.content_encoding, Some(&b"gzip"[..]));
        assert_eq!(head.content_range, Some(&b"bytes 0-1/2"[..]));
        assert_eq!(head.if_unmodified_since, Some(&b"then"[..]));
        assert_eq!(head.if_range, Some(&b"\"x\""[..]));
        assert_eq!(head.if_match.iter().collect::<Vec<_>>(), [b"*"]);
        assert_eq!(head.content_digest.iter().collect::<Vec<_>>(), [b"a=:b:"]);
        assert_eq!(head.cache_control.iter().collect::<Vec<_>>(), [&b"no-cache"[..], b"private"]);
        assert_eq!(head.meta().collect::<Vec<_>>(), [(&b"Color"[..], &b"red"[..]), (b"B", b"")]);
    }

    #[test]
    fn an_old_client_is_served_without_a_host() {
        let old = head("GET / HTTP/1.0\r\n\r\n");
        assert!(!old.keep_alive && old.host.is_none());
        assert!(head("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
        assert!(!head("PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").expects_continue);
        assert_eq!(head("\r\n\r\nGET / HTTP/1.1\r\nHost:\r\n\r\n").host, Some(&b""[..]));
    }
}
