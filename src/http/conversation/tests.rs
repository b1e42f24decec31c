//! What a conversation tells the reactor, step by step: orders of events that a whole node meets only now and then.

use super::*;
use crate::base::clock::SystemClock;
use crate::base::ids::{ContentHash, Cookie, ObjectId, Sequence, VolumeId};
use crate::http::OriginParts;
use crate::metrics::ProcessorMetrics;
use crate::net::Guest;
use crate::request::{
    Attributes, Content, Entry, Meta, NameAnswer, NameFacts, NameKind, NameOperation, Operation, Piece, UploadSession,
    UploadSessions,
};
use bytes::Bytes;

fn begun() -> Box<dyn Protocol> {
    begun_with(Arc::default())
}

fn begun_with(metrics: Arc<ProcessorMetrics>) -> Box<dyn Protocol> {
    let uploads = Arc::new(UploadSessions::default());
    uploads.replace(Some(Arc::new(UploadSession::new(1))));
    let origin = crate::http::Http::new(OriginParts {
        clock: SystemClock::shared(),
        uploads,
        cache_control: String::new(),
        read_only: false,
        access_log: None,
        stamps: Arc::default(),
        hot_bytes: 0,
    });
    let address = ([127, 0, 0, 1], 1).into();
    origin.begin(Peer { address, metrics })
}

/// A head that is taken; nothing of what it leads to is asked for yet.
fn take(http: &mut dyn Protocol, head: &str) {
    let decoded = http.decode(head.as_bytes());
    let Decoded::Whole { head_bytes, arrival: Arrival::Taken } = decoded else { panic!("{decoded:?}") };
    assert_eq!(head_bytes, head.len());
}

fn asked(http: &mut dyn Protocol) -> (Tag, Operation) {
    match http.next() {
        Some(Arrival::Request { tag, operation, .. }) => (tag, operation),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_body_is_not_taken_before_its_client_was_told_to_send_it() {
    // A connection whose output is full asks later what is said, but only a protocol that takes no more.
    for framing in ["Content-Length: 3", "Transfer-Encoding: chunked"] {
        let mut http = begun();
        take(&mut *http, &format!("PUT /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n{framing}\r\n\r\n"));
        assert!(!http.takes_more(), "{framing}");
        assert!(matches!(http.next(), Some(Arrival::Reply(said)) if said.starts_with(b"HTTP/1.1 100 ")));
        assert!(http.next().is_none() && http.takes_more(), "{framing}");
    }
}

#[test]
fn a_broken_body_is_answered_before_anything_is_read_again() {
    let mut http = begun();
    take(&mut *http, "PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert!(http.next().is_none() && http.takes_more());
    assert!(matches!(http.decode(b"x\r\n"), Decoded::Open { head_bytes: 0, .. }));
    assert!(matches!(http.decode(b"x\r\n"), Decoded::Whole { head_bytes: 3, arrival: Arrival::Taken }));
    assert!(!http.takes_more());
    assert!(matches!(http.next(), Some(Arrival::End(said)) if said.starts_with(b"HTTP/1.1 400 ")));
}

#[test]
fn content_that_is_not_what_its_name_says_never_meets_another_request() {
    let id = ObjectId { volume: VolumeId(1), sequence: Sequence(2), cookie: Cookie(3) };
    let hash = ContentHash(9);
    for last in [true, false] {
        let mut http = begun();
        take(&mut *http, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
        let (tag, operation) = asked(&mut *http);
        assert!(matches!(operation, Operation::Name(NameOperation::Lookup(_))));
        let facts =
            NameFacts { kind: NameKind::File, version: 1, size: 5, created_ms: 1, modified_ms: 1, hash, chunks: 1 };
        let entry = Entry { facts, attributes: Attributes::default(), chunk_first: 0, chunks: vec![id] };
        let mut output = Output::default();
        http.encode(tag, Answer::Name(NameAnswer::Entry(Box::new(entry))), true, &mut output);
        let (tag, operation) = asked(&mut *http);
        assert!(matches!(operation, Operation::Get { .. }));
        let meta = Arc::new(Meta { size: 9, hash, stored_ms: 1, attributes: Attributes::default() });
        let first = Piece { parts: vec![Bytes::from_static(b"wrong")].into(), room: None, known: None };
        let content = Content { meta, range: 0..9, first, rest: None };
        http.encode(tag, Answer::Content(content), last, &mut output);
        let refused = output.waiting();
        assert!(refused > 0, "it is answered");
        // While pieces of it may still come the connection takes no other request.
        assert_eq!(http.takes_more(), last);
        assert_eq!(matches!(http.next(), Some(Arrival::Close)), !last);
        http.encode(
            tag,
            Answer::More(Piece { parts: vec![Bytes::from_static(b"more")].into(), room: None, known: None }),
            true,
            &mut output,
        );
        assert_eq!(output.waiting(), refused, "nothing of it is sent");
    }
}

#[test]
fn what_a_head_is_answered_counts_no_content() {
    for (method, work, sent) in [("GET", HttpMethod::Get, 5), ("HEAD", HttpMethod::Head, 0)] {
        let metrics = Arc::<ProcessorMetrics>::default();
        let (mut http, mut output) = (begun_with(Arc::clone(&metrics)), Output::default());
        take(&mut *http, &format!("{method} /.ready HTTP/1.1\r\nHost: a\r\n\r\n"));
        let (tag, _) = asked(&mut *http);
        http.encode(tag, Answer::Status(Bytes::from_static(b"ready")), true, &mut output);
        assert_eq!(metrics.http.sent_bytes(work), sent, "{method}");
    }
}
