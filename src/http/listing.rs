//! GET of a directory: its names, a page at a time, as JSON.
//!
//! Processor thread; pure. A page is one answer of the service, which is bounded.

use super::exchange::{Say, Step};
use super::refused::Failure;
use super::reply::ReplyHead;
use crate::base::path::NamePath;
use crate::request::{Answer, List, Listing, NameAnswer, NameFacts, NameKind, NameOperation, Operation};
use bytes::Bytes;
use serde::Serialize;

pub(super) struct Listed {
    /// Taken when it is asked for.
    list: Option<List>,
}

#[derive(Serialize)]
struct Page<'a> {
    entries: Vec<Row<'a>>,
    /// What the next page is asked for with; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    modified_ms: u64,
    created_ms: u64,
}

impl Listed {
    /// A page of a directory. The cursor is that of the page before, in hexadecimal digits as it was told.
    pub(super) fn new(path: NamePath, cursor: Option<&str>, limit: u32) -> Result<Self, Failure> {
        let cursor = match cursor {
            None => Bytes::new(),
            Some(text) => bytes_of(text.as_bytes())
                .ok_or_else(|| Failure::new(400, "BAD_CURSOR", "the cursor is not one of this directory"))?,
        };
        Ok(Self { list: Some(List { path, cursor, limit }) })
    }

    pub(super) fn next(&mut self) -> Option<Step> {
        self.list.take().map(|list| Step::Ask(0, Operation::Name(NameOperation::List(list))))
    }

    pub(super) fn answer(&mut self, answer: Answer, say: &mut Say<'_>) {
        let listing = match answer {
            Answer::Name(NameAnswer::Listing(listing)) => listing,
            Answer::Refused(refusal) => return say.fail(Failure::of(&refusal, false)),
            _ => return say.fail(Failure::internal()),
        };
        let text = text_of(&listing);
        let mut head = ReplyHead::begin(200, say.line, say.now_ms());
        head.field("Content-Type", b"application/json").field("Cache-Control", b"no-cache");
        say.text(200, head, &text);
    }
}

fn text_of(listing: &Listing) -> Vec<u8> {
    let page = Page {
        entries: listing.entries.iter().map(|(name, facts)| row(name, facts)).collect(),
        cursor: (!listing.cursor.is_empty()).then(|| hex(&listing.cursor)),
    };
    let mut text = serde_json::to_vec(&page).expect("texts and numbers are JSON");
    text.push(b'\n');
    text
}

fn row<'a>(name: &'a str, facts: &NameFacts) -> Row<'a> {
    let is_file = facts.kind == NameKind::File;
    Row {
        name,
        kind: if is_file { "file" } else { "directory" },
        size: is_file.then_some(facts.size),
        etag: is_file.then(|| facts.hash.to_string()),
        modified_ms: facts.modified_ms,
        created_ms: facts.created_ms,
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |half: u8| DIGITS.get(usize::from(half)).copied().unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn bytes_of(text: &[u8]) -> Option<Bytes> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let pairs = text.chunks_exact(2);
    pairs
        .map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.last()?)?))
        .collect::<Option<Vec<u8>>>()
        .map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::ContentHash;

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        for bytes in [&b""[..], b"\0\xff\x10 name", "ü".as_bytes()] {
            assert_eq!(bytes_of(hex(bytes).as_bytes()).unwrap(), bytes);
        }
        for bad in ["0", "0g", "0A", "+1", " 1"] {
            assert!(bytes_of(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_page_is_json_whatever_the_names() {
        let facts = |kind| NameFacts {
            kind,
            version: 1,
            size: 5,
            created_ms: 2,
            modified_ms: 3,
            hash: ContentHash(9),
            chunks: 1,
        };
        let entries = vec![("a\"\\ü".to_owned(), facts(NameKind::File)), ("d".to_owned(), facts(NameKind::Directory))];
        let text = text_of(&Listing { entries, cursor: Bytes::from_static(b"\x01z") });
        let page: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(page["entries"][0]["name"], "a\"\\ü");
        assert_eq!(page["entries"][0]["etag"], ContentHash(9).to_string());
        assert_eq!(
            page["entries"][1],
            serde_json::json!({"name": "d", "type": "directory", "modified_ms": 3, "created_ms": 2})
        );
        assert_eq!(page["cursor"], "017a");
    }
}
