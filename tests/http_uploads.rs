//! Goal: what is written over HTTP is there whole or not at all, under the conditions that its client set, and whoever was
//! refused knows why. Method: a whole node in this process, and a client that reads answers strictly.
#![allow(clippy::unwrap_used, reason = "what is not as it should be fails the test")]

mod support;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use larder::node::Node;
use md5::Md5;
use sha2::{Digest, Sha256, Sha512};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use support::http::{Answer, Http, chunked, head};
use support::node::{assert_at_rest, configuration, http, number, with_names_in_memory};
use support::{content, eventually};

const CHUNK: usize = 8 << 20;

fn started() -> (Node, Http) {
    let node = with_names_in_memory(&configuration());
    let http = http(&node);
    (node, http)
}

fn stop(node: Node, http: Http) {
    drop(http);
    assert_at_rest(&node);
    node.stop();
}

/// The head of a request with a body in chunks.
fn chunked_head(method: &str, target: &str, fields: &[(&str, &str)]) -> String {
    head(method, target, &[fields, &[("Transfer-Encoding", "chunked")]].concat())
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    let mut text = vec![0; 100];
    let length = STANDARD.encode_slice(bytes, &mut text).unwrap();
    text.truncate(length);
    String::from_utf8(text).unwrap()
}

fn assert_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{answer:?}");
}

#[test]
fn a_body_of_any_size_is_stored_as_it_is() {
    let (node, mut http) = started();
    for bytes in [0, 1, 4096, 70_000, CHUNK, CHUNK + 1, 20 << 20] {
        let body = content(bytes as u64 + 1, bytes);
        let put = http.put("/by/length", &body);
        assert_eq!(put.status, if bytes == 0 { 201 } else { 204 }, "{bytes}: {put:?}");
        let got = http.get("/by/length");
        assert!(got.body == body && got.must("ETag") == put.must("ETag"), "{bytes}");

        http.send(chunked_head("PUT", "/in/chunks", &[]));
        http.send(chunked(&body, &[65_537, 1, 999, 1 << 20, 16]));
        let put = http.answer("PUT");
        assert_eq!(put.status, if bytes == 0 { 201 } else { 204 }, "{bytes}: {put:?}");
        let got_in_chunks = http.get("/in/chunks");
        assert!(got_in_chunks.body == body, "{bytes}");
        assert_eq!(got_in_chunks.must("ETag"), got.must("ETag"), "the same content has the same tag");
    }
    stop(node, http);
}

#[test]
fn a_chunked_body_may_be_cut_anywhere() {
    let (node, mut http) = started();
    let request = chunked_head("PUT", "/cut", &[("Content-Type", "text/plain"), ("Trailer", "X-Sum")])
        + "4\r\nWiki\r\n6;a=b;c=\"d;\\\"\"\r\npedia \r\n00e\r\n in\r\n\r\nchunks.\r\n000\r\nX-Sum: 9\r\n\r\n";
    let want = b"Wikipedia  in\r\n\r\nchunks.";
    let behind = head("GET", "/cut", &[]);
    let all = request + &behind;
    for cut in 0..all.len() {
        let (first, second) = all.split_at(cut);
        http.send(first);
        http.send(second);
        let put = http.answer("PUT");
        assert!(matches!(put.status, 201 | 204), "{cut}: {put:?}");
        let got = http.answer("GET");
        assert_eq!((got.status, &got.body[..]), (200, &want[..]), "{cut}");
    }
    for byte in all.as_bytes() {
        http.send([*byte]);
    }
    assert_eq!(http.answer("PUT").status, 204);
    assert_eq!(http.answer("GET").body, want);
    stop(node, http);
}

#[test]
fn a_broken_chunked_body_ends_the_connection_and_leaves_nothing() {
    let (node, _) = started();
    for broken in [
        "x\r\n",
        "4\r\nWikiX",
        "4\nWiki",
        "-1\r\n",
        "4\r\nWiki\r\n0\r\nContent-Length: 3\r\n\r\n",
        "fffffffffffffffff\r\n",
    ] {
        let mut http = http(&node);
        http.send(chunked_head("PUT", "/broken", &[]) + broken);
        let refused = http.answer("PUT");
        assert_eq!(refused.status, 400, "{broken:?}: {refused:?}");
        refused.code();
        assert!(!refused.keeps_alive() && http.has_ended(), "{broken:?}");
    }
    let mut http = http(&node);
    assert_eq!(http.get("/broken").status, 404);
    stop(node, http);
}

#[test]
fn a_reader_sees_the_old_or_the_new_content_and_no_mix() {
    const REPLACED: u64 = 200;
    let (node, mut writer) = started();
    let version = |n: u64| content(n, 60_000 + usize::try_from(n).unwrap());
    writer.put("/changing", &version(0));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for kind in 0..3 {
            let (node, done) = (&node, &done);
            scope.spawn(move || {
                let mut http = http(node);
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    let got = match kind {
                        0 => http.get("/changing"),
                        1 => http.get_with("/changing", &[("Range", "bytes=0-")]),
                        _ => http.ask("HEAD", "/changing", &[], b""),
                    };
                    assert!(matches!(got.status, 200 | 206), "{got:?}");
                    let length: u64 = got.must("Content-Length").parse().unwrap();
                    let n = length - 60_000;
                    assert!(n >= last, "no step back: {n} after {last}");
                    last = n;
                    assert!(kind == 2 || got.body == version(n), "version {n} is mixed");
                }
            });
        }
        for n in 1..=REPLACED {
            assert_eq!(writer.put("/changing", &version(n)).status, 204);
        }
        done.store(true, Ordering::Relaxed);
    });
    stop(node, writer);
}

#[test]
fn of_many_who_create_a_name_exactly_one_does() {
    const CLIENTS: u64 = 16;
    let (node, mut http_after) = started();
    for round in 0..10 {
        let begin = Barrier::new(CLIENTS as usize);
        let target = format!("/race/{round}");
        let statuses: Vec<_> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..CLIENTS)
                .map(|n| {
                    let (node, begin, target) = (&node, &begin, &target);
                    scope.spawn(move || {
                        let mut http = http(node);
                        begin.wait();
                        http.ask("PUT", target, &[("If-None-Match", "*")], &content(n, 1000)).status
                    })
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        let winners: Vec<_> = (0..CLIENTS).filter(|n| statuses[*n as usize] == 201).collect();
        assert_eq!(winners.len(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| matches!(status, 201 | 412)), "{statuses:?}");
        assert!(http_after.get(&target).body == content(winners[0], 1000));
    }
    stop(node, http_after);
}

#[test]
fn no_update_is_lost_that_says_what_it_is_based_on() {
    const CLIENTS: usize = 8;
    const STEPS: usize = 5;
    let (node, mut http_after) = started();
    http_after.put("/counter", b"0");
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let node = &node;
            scope.spawn(move || {
                let mut http = http(node);
                let mut done = 0;
                while done < STEPS {
                    let got = http.get("/counter");
                    let value: usize = std::str::from_utf8(&got.body).unwrap().parse().unwrap();
                    let tag = got.must("ETag").to_owned();
                    let put = http.ask("PUT", "/counter", &[("If-Match", &tag)], (value + 1).to_string().as_bytes());
                    match put.status {
                        204 => done += 1,
                        _ => assert_refused(&put, 412, "PRECONDITION_FAILED"),
                    }
                }
            });
        }
    });
    assert_eq!(http_after.get("/counter").body, (CLIENTS * STEPS).to_string().as_bytes());
    stop(node, http_after);
}

#[test]
fn conditions_of_writes_are_those_of_what_is_there() {
    let (node, mut http) = started();
    let tag = http.put("/a", b"first").must("ETag").to_owned();
    let past = "Thu, 01 Jan 2015 00:00:00 GMT";
    for fields in [
        [("If-None-Match", "*")],
        [("If-None-Match", &tag)],
        [("If-Match", "\"x\"")],
        [("If-Match", &format!("W/{tag}"))],
        [("If-Unmodified-Since", past)],
    ] {
        for method in ["PUT", "DELETE"] {
            let refused = http.ask(method, "/a", &fields, b"second");
            assert_eq!(refused.status, 412, "{method} {fields:?}");
            assert!(refused.keeps_alive());
        }
    }
    assert_eq!(http.ask("PUT", "/none", &[("If-Match", "*")], b"x").status, 412);
    assert_eq!(http.get("/none").status, 404);
    assert_eq!(http.get("/a").body, b"first");
    assert_eq!(http.ask("PUT", "/a", &[("If-Match", &tag)], b"second").status, 204);
    assert_eq!(http.ask("PUT", "/a", &[("If-Match", "*")], b"third").status, 204);
    assert_eq!(http.ask("PUT", "/b", &[("If-None-Match", "\"x\"")], b"x").status, 201);
    assert_eq!(http.ask("DELETE", "/b", &[("If-Match", "*")], b"").status, 204);
    stop(node, http);
}

#[test]
fn a_wrong_digest_leaves_nothing() {
    let (node, mut http) = started();
    for bytes in [0, 3, 100_000, CHUNK, CHUNK + 5] {
        let (body, other) = (content(1, bytes), content(2, bytes + 1));
        let fields = |body: &[u8]| {
            [
                ("Content-MD5", base64(Md5::digest(body))),
                ("Content-Digest", format!("sha-256=:{}:", base64(Sha256::digest(body)))),
                ("Content-Digest", format!("unknown=:AAAA:, sha-512=:{}:", base64(Sha512::digest(body)))),
            ]
        };
        // The slow ones of a large body are like the quick one.
        let kinds = if bytes < CHUNK { 3 } else { 1 };
        for (name, value) in fields(&other).into_iter().take(kinds) {
            for (method, target) in [("PUT", "/digest"), ("POST", "/.id/")] {
                let refused = if method == "POST" && bytes > CHUNK {
                    continue;
                } else {
                    http.ask(method, target, &[(name, &value)], &body)
                };
                assert_refused(&refused, 400, "DIGEST_MISMATCH");
                http.send(chunked_head(method, target, &[(name, &value)]));
                http.send(chunked(&body, &[50_000]));
                assert_refused(&http.answer(method), 400, "DIGEST_MISMATCH");
            }
            assert_eq!(http.get("/digest").status, 404, "{bytes} {name}");
        }
        for (name, value) in fields(&body).into_iter().take(kinds) {
            assert_eq!(http.ask("PUT", "/digest", &[(name, &value)], &body).status, 201, "{bytes} {name}");
            assert!(http.get("/digest").body == body);
            assert_eq!(http.ask("DELETE", "/digest", &[], b"").status, 204);
        }
    }
    for bad in ["sha-256=:AAAA:", "sha-256=AAAA", "sha-256"] {
        let mut http = support::node::http(&node);
        assert_eq!(http.ask("PUT", "/digest", &[("Content-Digest", bad)], b"x").status, 400, "{bad}");
    }
    stop(node, http);
}

#[test]
fn who_asks_before_sending_is_told_to_go_on_or_why_not() {
    let (node, mut http) = started();
    let expects =
        |target: &str, length: &str| head("PUT", target, &[("Expect", "100-continue"), ("Content-Length", length)]);
    for body in [&b"content"[..], &content(5, CHUNK + 9)] {
        http.send(expects("/a", &body.len().to_string()));
        http.must_continue();
        http.send(body);
        assert!(matches!(http.answer("PUT").status, 201 | 204));
        assert!(http.get("/a").body == body);
    }
    http.send(chunked_head("PUT", "/a", &[("Expect", "100-continue")]));
    http.must_continue();
    http.send("3\r\nabc\r\n0\r\n\r\n");
    assert_eq!(http.answer("PUT").status, 204);
    // Nothing to wait for.
    http.send(expects("/a", "0"));
    assert_eq!(http.answer("PUT").status, 204);
    // A body that is sent without waiting is a body.
    http.send(expects("/a", "2") + "xy");
    http.must_continue();
    assert_eq!(http.answer("PUT").status, 204);
    assert_eq!(http.get("/a").body, b"xy");
    for (target, length, status) in [("/a/", "5", 409), ("/.live", "5", 405), ("/a", "999999999999999", 413)] {
        let mut http = support::node::http(&node);
        http.send(expects(target, length));
        let refused = http.answer("PUT");
        assert_eq!(refused.status, status, "{target}: {refused:?}");
        assert!(!refused.keeps_alive() && http.has_ended(), "whether the body comes is not known");
    }
    let mut other = support::node::http(&node);
    assert_eq!(other.ask("PUT", "/a", &[("Expect", "200-ok")], b"x").status, 417);
    stop(node, http);
}

#[test]
fn a_place_that_cannot_hold_a_file_refuses_it() {
    let (node, mut http) = started();
    http.put("/d/file", b"x");
    for (method, target, status, code) in [
        ("PUT", "/d", 409, "IS_A_DIRECTORY"),
        ("PUT", "/d/file/below", 409, "NOT_A_DIRECTORY"),
        ("DELETE", "/d", 409, "IS_A_DIRECTORY"),
        ("DELETE", "/d/", 409, "DIRECTORY_NOT_EMPTY"),
        ("DELETE", "/d/file/", 404, "NOT_FOUND"),
        ("DELETE", "/none", 404, "NOT_FOUND"),
        ("DELETE", "/none/", 404, "NOT_FOUND"),
        ("DELETE", "/d/file/below", 404, "NOT_A_DIRECTORY"),
    ] {
        let refused = http.ask(method, target, &[], b"y");
        assert_refused(&refused, status, code);
        assert!(refused.keeps_alive(), "{method} {target}");
    }
    assert_eq!(http.get("/d/file").body, b"x");
    for target in ["/d/file", "/d/"] {
        let removed = http.ask("DELETE", target, &[], b"");
        assert_eq!((removed.status, removed.body.len()), (204, 0), "{target}");
    }
    assert_eq!(http.get("/d/").status, 404);
    let refused = http.ask("DELETE", "/", &[], b"");
    assert_eq!(refused.status, 409, "{refused:?}");
    stop(node, http);
}

#[test]
fn what_cannot_be_taken_is_refused_before_it_comes() {
    let (node, mut http_after) = started();
    let over = (128u64 << 30) + 1;
    let over_head = format!("Content-Length: {over}\r\n");
    let long = format!("X-Larder-Meta-Long: {}\r\nContent-Length: 1\r\n", "x".repeat(4096));
    let over_object = format!("Content-Length: {}\r\n", CHUNK + 1);
    for (method, target, fields, status) in [
        ("PUT", "/a", "", 411),
        ("POST", "/.id/", "", 411),
        ("PUT", "/a", "Content-Length: 1\r\nContent-Encoding: gzip\r\n", 415),
        ("PUT", "/a", "Content-Length: 1\r\nContent-Range: bytes 0-0/2\r\n", 400),
        ("PUT", "/a", "Content-Length: 1\r\nContent-Length: 1\r\n", 400),
        ("PUT", "/a", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400),
        ("PUT", "/a", "Transfer-Encoding: gzip, chunked\r\n", 501),
        ("PUT", "/a", &over_head, 413),
        ("POST", "/.id/", &over_object, 413),
        ("PUT", "/a", &long, 431),
        ("GET", "/a", "Content-Length: 1\r\n", 400),
        ("PATCH", "/a", "Content-Length: 1\r\n", 405),
        ("POST", "/a", "Content-Length: 1\r\n", 405),
    ] {
        let mut http = http(&node);
        http.send(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        let refused = http.answer(method);
        assert_eq!(refused.status, status, "{method} {fields}: {refused:?}");
        refused.code();
        assert!(status == 411 || !refused.keeps_alive() && http.has_ended(), "{method} {fields}");
    }
    assert_eq!(http_after.get("/a").status, 404);
    stop(node, http_after);
}

#[test]
fn an_object_is_at_most_one_chunk_however_it_comes() {
    let (node, mut http) = started();
    let largest = content(4, CHUNK);
    let place = |answer: Answer| {
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.must("Location").to_owned()
    };
    let by_length = place(http.ask("POST", "/.id/", &[], &largest));
    http.send(chunked_head("POST", "/.id/", &[]));
    // The end comes on its own: the content is not taken for whole before it.
    let body = chunked(&largest, &[CHUNK]);
    let (data, end) = body.split_at(body.len() - 5);
    let before = number(&node, "/requests/received_bytes");
    http.send(data);
    eventually("all of it is here", || number(&node, "/requests/received_bytes") - before >= CHUNK as i64);
    assert_eq!(support::node::http(&node).ask("POST", "/.id/", &[], b"another").status, 201);
    http.send(end);
    let in_chunks = place(http.answer("POST"));
    for place in [by_length, in_chunks] {
        assert!(http.get(&place).body == largest);
    }
    http.send(chunked_head("POST", "/.id/", &[]) + "0\r\n\r\n");
    let empty = place(http.answer("POST"));
    assert_eq!(http.get(&empty).body, b"");
    for sizes in [&[CHUNK][..], &[1 << 20], &[70_001]] {
        let mut other = support::node::http(&node);
        other.send(chunked_head("POST", "/.id/", &[]));
        other.send(chunked(&content(4, CHUNK + 1), sizes));
        assert_refused(&other.answer("POST"), 413, "TOO_LARGE");
        assert!(other.has_ended());
    }
    stop(node, http);
}
