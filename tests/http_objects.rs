//! Goal: an object that HTTP stores is all of the body that came, and what its digest says, or nothing.
//!
//! Method: a whole node; bodies that end late, go on behind the largest size, or are not what their digests say.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod support;

use support::content;
use support::process::Process;
use support::web::Web;

const CHUNK_BYTES: usize = 8 << 20;
/// Of no bytes.
const MD5_OF_NOTHING: &str = "1B2M2Y8AsgTpgAmY7PhCfg==";

fn node() -> (tempfile::TempDir, Process, Web) {
    let place = tempfile::tempdir().unwrap();
    let node = Process::serve(&[place.path()]);
    let web = Web::connect(node.http.expect("it has an origin"));
    (place, node, web)
}

#[test]
fn a_body_of_the_largest_size_is_answered_when_it_has_ended() {
    let (_place, node, mut web) = node();
    let content = content(1, CHUNK_BYTES);
    let head = format!("POST /.id/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNK_BYTES:x}\r\n");
    for (end, status) in [("0\r\n\r\n", 201), ("5\r\nhello\r\n0\r\n\r\n", 413)] {
        web.send(head.as_bytes());
        web.send(&content);
        web.send(b"\r\n");
        // Meanwhile the node does other things, so that it does not get both at once.
        let mut other = Web::connect(node.http.unwrap());
        for _ in 0..30 {
            let stored = other.ask(b"POST /.id/ HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
            assert_eq!(stored.status, 201);
        }
        web.send(end.as_bytes());
        let answer = web.answer(false).unwrap().expect("an answer");
        assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(&answer.body));
        match status {
            201 => {
                // The end of the body is no other request.
                let place = answer.field("location").unwrap();
                let read = web.ask(format!("GET {place} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
                assert!((read.status, &read.body) == (200, &content));
            }
            _ => assert!(web.has_ended()),
        }
    }
}

#[test]
fn an_object_is_what_its_digest_says_or_is_not_stored() {
    let (_place, _node, mut web) = node();
    for (body, status) in [("hi", 400), ("", 201)] {
        let length = body.len();
        let whole = format!("Content-Length: {length}\r\n\r\n{body}");
        let chunked = match body {
            "" => "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
            _ => format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"),
        };
        for rest in [whole, chunked] {
            for place in ["POST /.id/", "PUT /a"] {
                let request = format!("{place} HTTP/1.1\r\nHost: h\r\nContent-MD5: {MD5_OF_NOTHING}\r\n{rest}");
                let answer = web.ask(request.as_bytes());
                // The second PUT of nothing finds the first.
                let right = answer.status == status || (status, answer.status) == (201, 204);
                assert!(right, "{request:?}: {}", answer.status);
                assert_eq!(answer.field("etag").is_some(), status == 201);
            }
        }
    }
}
