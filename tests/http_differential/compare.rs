//! What of two answers has to agree, and what each has to keep to by itself.

use crate::case::{Case, File, imf};
use crate::support::web::WebAnswer;
use std::ops::Range;

/// An answer, and whether the connection took another request after it.
pub struct Seen {
    pub answer: WebAnswer,
    pub kept: bool,
}

/// What may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aspect {
    Status,
    Connection,
    Body,
    Parts,
    ContentRange,
    ContentLength,
    ETag,
    LastModified,
    AcceptRanges,
}

/// One aspect of two answers that differs.
pub struct Difference<'a> {
    pub case: &'a Case,
    pub file: &'a File,
    pub aspect: Aspect,
    pub nginx: &'a Seen,
    pub larder: &'a Seen,
}

/// All aspects that differ.
pub fn differences<'a>(case: &'a Case, file: &'a File, nginx: &'a Seen, larder: &'a Seen) -> Vec<Difference<'a>> {
    let aspects = [
        Aspect::Status,
        Aspect::Connection,
        Aspect::Body,
        Aspect::Parts,
        Aspect::ContentRange,
        Aspect::ContentLength,
        Aspect::ETag,
        Aspect::LastModified,
        Aspect::AcceptRanges,
    ];
    let same_status = nginx.answer.status == larder.answer.status;
    aspects
        .into_iter()
        // What else two different statuses say is not to be compared; each is checked by itself.
        .filter(|aspect| same_status || matches!(aspect, Aspect::Status | Aspect::Connection))
        .filter(|aspect| shown(*aspect, case, nginx) != shown(*aspect, case, larder))
        .map(|aspect| Difference { case, file, aspect, nginx, larder })
        .collect()
}

/// What an answer says in this aspect.
pub fn shown(aspect: Aspect, case: &Case, seen: &Seen) -> String {
    let Seen { answer, kept } = seen;
    let of_file = matches!(answer.status, 200 | 206);
    let field = |name: &str| answer.field(name).unwrap_or("-").to_owned();
    match aspect {
        Aspect::Status => answer.status.to_string(),
        Aspect::Connection => if *kept { "kept" } else { "closed" }.to_owned(),
        // The texts of errors are everybody's own.
        Aspect::Body if of_file && parts(answer).is_none() => {
            format!("{} bytes, {:?}", answer.body.len(), larder::base::checksum::content_hash(&answer.body))
        }
        Aspect::Parts if of_file && !case.is_head() => {
            let ranges = parts(answer).map(|parts| parts.into_iter().map(|(range, _)| range).collect::<Vec<_>>());
            format!("{ranges:?}")
        }
        Aspect::Body | Aspect::Parts => String::new(),
        Aspect::ContentRange => field("content-range"),
        // That of several parts depends on the words between them.
        Aspect::ContentLength if of_file && !is_multipart(answer) => field("content-length"),
        Aspect::ContentLength => String::new(),
        Aspect::ETag => match answer.field("etag") {
            None => "none",
            Some(tag) if tag.starts_with("W/") => "weak",
            Some(_) => "strong",
        }
        .to_owned(),
        Aspect::LastModified if of_file || answer.status == 304 => field("last-modified"),
        Aspect::LastModified => String::new(),
        Aspect::AcceptRanges => field("accept-ranges"),
    }
}

/// What holds of one answer whatever the other says.
pub fn check(case: &Case, file: &File, seen: &Seen) {
    let answer = &seen.answer;
    let size = file.content.len();
    if case.is_head() {
        assert!(answer.body.is_empty());
    }
    if matches!(answer.status, 200 | 206) && !case.odd.contains("directory") {
        assert_eq!(answer.field("last-modified"), Some(&imf(file.modified_s)[..]));
    }
    let range = answer.field("content-range").map(|text| content_range(text, size));
    match (answer.status, parts(answer)) {
        _ if case.is_head() || case.odd.contains("directory") => {}
        (200, _) => assert!(answer.body == file.content, "all of it"),
        (206, Some(parts)) => {
            assert!(range.is_none() && parts.len() > 1, "RFC 9110, 15.3.7.2");
            for (range, bytes) in parts {
                assert!(file.content[content_range(&range, size).unwrap()] == *bytes, "{range}");
            }
        }
        (206, None) => assert!(file.content[range.flatten().unwrap()] == answer.body, "what Content-Range says"),
        (416, _) => assert_eq!(range, Some(None), "RFC 9110, 15.5.17"),
        (304 | 412, _) => assert!(range.is_none()),
        _ => {}
    }
    // Of nginx this does not hold: see the table.
    if answer.field("server") != Some("larder") {
        return;
    }
    // RFC 9112, 9.6: who ends the connection says so before, but to those who expect nothing else.
    let old = case.version == "HTTP/1.0" && answer.field("connection").is_none();
    assert_eq!(!seen.kept, answer.says_close() || old, "what Connection says is what happens");
}

/// `bytes A-B/SIZE`, or `None` for `bytes */SIZE`.
fn content_range(text: &str, size: usize) -> Option<Range<usize>> {
    let (range, of) = text.strip_prefix("bytes ").and_then(|rest| rest.split_once('/')).expect("RFC 9110, 14.4");
    assert_eq!(of, size.to_string());
    let (first, last) = range.split_once('-')?;
    Some(first.parse().unwrap()..last.parse::<usize>().unwrap() + 1)
}

fn is_multipart(answer: &WebAnswer) -> bool {
    answer.field("content-type").is_some_and(|kind| kind.starts_with("multipart/byteranges"))
}

/// The parts of multipart/byteranges: Content-Range and bytes (RFC 9110, 14.6).
pub fn parts(answer: &WebAnswer) -> Option<Vec<(String, &[u8])>> {
    let kind = answer.field("content-type")?.strip_prefix("multipart/byteranges")?;
    if answer.body.is_empty() {
        return None;
    }
    let boundary = kind.split_once("boundary=").expect("it has a boundary").1.trim_matches('"');
    let delimiter = format!("--{boundary}");
    let mut rest = &answer.body[..];
    let mut parts = Vec::new();
    loop {
        rest = rest.strip_prefix(b"\r\n").unwrap_or(rest);
        rest = rest.strip_prefix(delimiter.as_bytes()).expect("a part begins with the boundary");
        if rest == b"--\r\n" || rest == b"--" {
            return Some(parts);
        }
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n").expect("a part has a head");
        let head = String::from_utf8(rest[..end].to_vec()).unwrap();
        let lines = head.split("\r\n").filter_map(|line| line.split_once(": "));
        let mut ranges = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-range"));
        let range = ranges.next().expect("a part says what it is").1.to_owned();
        let (first, last) = range["bytes ".len()..].split_once('/').unwrap().0.split_once('-').unwrap();
        let bytes = last.parse::<usize>().unwrap() + 1 - first.parse::<usize>().unwrap();
        let content = &rest[end + 4..];
        parts.push((range, &content[..bytes]));
        rest = &content[bytes..];
    }
}
