//! Goal: what is read over HTTP is what was stored, told with the statuses and fields of RFC 9110, on connections that go on
//! as RFC 9112 says. Method: a whole node in this process, and a client that reads answers strictly.
#![allow(clippy::unwrap_used, reason = "what is not as it should be fails the test")]

mod support;

use larder::node::{Configuration, Node};
use std::collections::BTreeSet;
use support::content;
use support::http::{Answer, Http, head};
use support::node::{assert_at_rest, configuration, http, with_names_in_memory};

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

fn stored(http: &mut Http, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
    let answer = http.ask("PUT", target, fields, body);
    assert!(matches!(answer.status, 201 | 204), "{answer:?}");
    answer
}

/// The id of an object that was posted.
fn posted(http: &mut Http, body: &[u8]) -> String {
    let answer = http.ask("POST", "/.id/", &[], body);
    assert_eq!(answer.status, 201, "{answer:?}");
    let told = answer.json();
    assert_eq!(told["size"], body.len());
    assert_eq!(format!("\"{}\"", told["hash"].as_str().unwrap()), answer.must("ETag"));
    let place = answer.must("Location").to_owned();
    assert_eq!(place, format!("/.id/{}", told["id"].as_str().unwrap()));
    place
}

/// What HEAD says is what GET says, but for the moment.
fn assert_head_is_get(http: &mut Http, target: &str, fields: &[(&str, &str)]) -> Answer {
    let get = http.get_with(target, fields);
    let head = http.ask("HEAD", target, fields, b"");
    let told = |answer: &Answer| {
        let told = answer.fields.iter().filter(|(name, _)| name != "Date").cloned();
        (answer.status, told.collect::<Vec<_>>())
    };
    assert_eq!(told(&get), told(&head), "{target} {fields:?}");
    get
}

#[test]
fn a_name_is_told_with_all_that_a_cache_needs() {
    let (node, mut http) = started();
    let put = stored(&mut http, "/pictures/a%20b.jpg", &[], b"a picture");
    assert_eq!((put.status, put.body.len(), put.keeps_alive()), (201, 0, true));
    let got = assert_head_is_get(&mut http, "/pictures/a%20b.jpg", &[]);
    assert_eq!((got.status, &got.body[..]), (200, &b"a picture"[..]));
    let names: BTreeSet<_> = got.fields.iter().map(|(name, _)| name.as_str()).collect();
    let all =
        ["Accept-Ranges", "Cache-Control", "Content-Length", "Content-Type", "Date", "ETag", "Last-Modified", "Server"];
    assert_eq!(names, BTreeSet::from(all));
    assert_eq!(got.must("Content-Type"), "image/jpeg");
    assert_eq!(got.must("Cache-Control"), "public, max-age=300");
    assert_eq!(got.must("Accept-Ranges"), "bytes");
    assert_eq!(got.must("ETag"), put.must("ETag"));
    assert!(got.must("ETag").starts_with('"') && got.must("ETag").len() >= 34, "128 bits: {}", got.must("ETag"));
    let again = stored(&mut http, "/pictures/a%20b.jpg", &[], b"another");
    assert_eq!(again.status, 204);
    assert_ne!(again.must("ETag"), put.must("ETag"));
    assert_eq!(http.get("/pictures/a b.jpg".replace(' ', "%20").as_str()).body, b"another");
    for (target, status, code) in [
        ("/pictures/none.jpg", 404, "NOT_FOUND"),
        ("/none/at/all", 404, "NOT_FOUND"),
        ("/pictures/a%20b.jpg/below", 404, "NOT_A_DIRECTORY"),
        ("/.none", 404, "NOT_FOUND"),
        ("/.id/0", 404, "NOT_FOUND"),
    ] {
        let refused = http.get(target);
        assert_eq!(refused.status, status, "{target}: {refused:?}");
        assert!(refused.code() == code || target.starts_with("/."), "{target}: {}", refused.code());
        assert!(refused.keeps_alive());
        assert_eq!(http.ask("HEAD", target, &[], b"").status, status);
    }
    stop(node, http);
}

#[test]
fn an_object_is_immutable() {
    let (node, mut http) = started();
    for bytes in [0, 1, 5000, 300_000, CHUNK] {
        let body = content(bytes as u64, bytes);
        let place = posted(&mut http, &body);
        let got = assert_head_is_get(&mut http, &place, &[]);
        assert!(got.status == 200 && got.body == body, "{bytes}");
        assert_eq!(got.must("Cache-Control"), "public, max-age=31536000, immutable");
        assert_eq!(got.must("Content-Type"), "application/octet-stream");
        let etag = got.must("ETag").to_owned();
        assert_eq!(http.get_with(&place, &[("If-None-Match", &etag)]).status, 304);
        if bytes > 1 {
            let part = http.get_with(&place, &[("Range", "bytes=1-"), ("If-Range", &etag)]);
            assert!(part.status == 206 && part.body == body[1..]);
        }
        assert_eq!(http.ask("DELETE", &place, &[], b"").status, 204);
        assert_eq!(http.get(&place).status, 404);
        assert_eq!(http.ask("DELETE", &place, &[], b"").status, 204, "what is gone already is gone");
    }
    let refused = http.ask("PUT", "/.id/0", &[], b"");
    assert_eq!(refused.status, 404, "{refused:?}");
    let refused = http.get("/.id/");
    assert_eq!((refused.status, refused.must("Allow")), (405, "POST"));
    stop(node, http);
}

#[test]
fn conditions_hold_or_do_not() {
    let (node, mut http) = started();
    stored(&mut http, "/a", &[], b"content");
    let got = http.get("/a");
    let (tag, date) = (got.must("ETag").to_owned(), got.must("Last-Modified").to_owned());
    let weak = format!("W/{tag}");
    let list = format!("\"x\", {weak} , \"y\"");
    let past = "Thu, 01 Jan 2015 00:00:00 GMT";
    for (fields, status) in [
        (vec![("If-None-Match", &tag[..])], 304),
        (vec![("If-None-Match", &list)], 304),
        (vec![("If-None-Match", "*")], 304),
        (vec![("If-None-Match", "\"x\"")], 200),
        (vec![("If-Modified-Since", &date)], 304),
        (vec![("If-Modified-Since", past)], 200),
        (vec![("If-Modified-Since", "yesterday")], 200),
        // RFC 9110, 13.1.3: with If-None-Match the date is not looked at.
        (vec![("If-None-Match", "\"x\""), ("If-Modified-Since", &date)], 200),
        (vec![("If-Match", &tag)], 200),
        (vec![("If-Match", "*")], 200),
        (vec![("If-Match", &weak)], 412),
        (vec![("If-Match", "\"x\"")], 412),
        (vec![("If-Unmodified-Since", &date)], 200),
        (vec![("If-Unmodified-Since", past)], 412),
        (vec![("If-Match", &tag), ("If-Unmodified-Since", past)], 200),
        (vec![("If-Match", "\"x\""), ("If-None-Match", &tag)], 412),
        (vec![("Range", "bytes=0-1"), ("If-None-Match", &tag)], 304),
        (vec![("Range", "bytes=0-1"), ("If-Match", "\"x\"")], 412),
    ] {
        let answer = assert_head_is_get_but_for_ranges(&mut http, &fields);
        assert_eq!(answer.status, status, "{fields:?}");
        assert!(answer.keeps_alive());
        match status {
            304 => {
                assert_eq!((answer.must("ETag"), answer.must("Last-Modified")), (&tag[..], &date[..]));
                assert_eq!(answer.must("Cache-Control"), "public, max-age=300");
                assert_eq!(answer.field("Content-Type"), None);
            }
            412 => assert_eq!(answer.code(), "PRECONDITION_FAILED"),
            _ => assert_eq!(answer.body, b"content"),
        }
    }
    stop(node, http);
}

fn assert_head_is_get_but_for_ranges(http: &mut Http, fields: &[(&str, &str)]) -> Answer {
    match fields.iter().any(|(name, _)| *name == "Range") {
        true => http.get_with("/a", fields),
        false => assert_head_is_get(http, "/a", fields),
    }
}

#[test]
fn ranges_are_sent_as_they_are_asked_for() {
    let (node, mut http) = started();
    let body = content(7, 1000);
    stored(&mut http, "/a", &[("Content-Type", "video/mp4")], &body);
    let tag = http.get("/a").must("ETag").to_owned();
    for (range, want) in [
        ("bytes=0-0", 0..1),
        ("bytes=0-999", 0..1000),
        ("bytes=0-", 0..1000),
        ("bytes=10-19", 10..20),
        ("BYTES=10-19", 10..20),
        ("bytes=990-5000", 990..1000),
        ("bytes=-5", 995..1000),
        ("bytes=-5000", 0..1000),
        ("bytes=10-19,15-29", 10..30),
        ("bytes= , 10-19 ,", 10..20),
        ("bytes=10-19,2000-", 10..20),
    ] {
        let part = http.get_with("/a", &[("Range", range)]);
        assert_eq!(part.status, 206, "{range}");
        assert_eq!(part.must("Content-Range"), format!("bytes {}-{}/1000", want.start, want.end - 1), "{range}");
        assert!(part.body == body[want], "{range}");
        assert_eq!((part.must("Content-Type"), part.must("ETag")), ("video/mp4", &tag[..]));
    }
    for range in ["bytes=1000-", "bytes=-0", "bytes=2000-3000,5000-"] {
        let refused = http.get_with("/a", &[("Range", range)]);
        assert_eq!((refused.status, refused.must("Content-Range")), (416, "bytes */1000"), "{range}");
        assert_eq!(refused.code(), "RANGE_NOT_SATISFIABLE");
    }
    // What is no range, or an absurd set of them, is no range at all (RFC 9110, 14.2).
    for range in ["bytes=5-2", "bytes=x-", "lines=1-2", "bytes=", "bytes=0-900,0-900"] {
        let whole = http.get_with("/a", &[("Range", range)]);
        assert!(whole.status == 200 && whole.body == body, "{range}");
    }
    let wide = content(9, 100_000);
    stored(&mut http, "/wide", &[], &wide);
    let absurd = (0..9).map(|at| format!("{}-{}", at * 10_000, at * 10_000)).collect::<Vec<_>>().join(",");
    let whole = http.get_with("/wide", &[("Range", &format!("bytes={absurd}"))]);
    assert!(whole.status == 200 && whole.body == wide, "{absurd}");
    for (validator, status) in [(&tag[..], 206), ("\"x\"", 200), (&format!("W/{tag}"), 200)] {
        let answer = http.get_with("/a", &[("Range", "bytes=0-9"), ("If-Range", validator)]);
        assert_eq!(answer.status, status, "{validator}");
    }
    let whole = http.ask("HEAD", "/a", &[("Range", "bytes=0-9")], b"");
    assert_eq!((whole.status, whole.must("Content-Length")), (200, "1000"), "a range is for GET");
    stop(node, http);
}

/// The parts of a multipart body: what each says of its place, and its bytes.
fn parts(answer: &Answer) -> Vec<(String, Vec<u8>)> {
    let boundary =
        answer.must("Content-Type").strip_prefix("multipart/byteranges; boundary=").unwrap().trim_matches('"');
    let delimiter = format!("--{boundary}");
    let mut rest = &answer.body[..];
    let mut parts = Vec::new();
    loop {
        let at = rest.windows(delimiter.len()).position(|window| window == delimiter.as_bytes()).unwrap();
        assert!(at == 0 || &rest[..at] == b"\r\n", "nothing stands between the parts");
        rest = &rest[at + delimiter.len()..];
        if rest.starts_with(b"--") {
            assert!(rest == b"--\r\n", "nothing stands behind the last");
            return parts;
        }
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&rest[..end]).unwrap();
        let range = head.lines().find_map(|line| line.strip_prefix("Content-Range: bytes ")).unwrap();
        let (place, _) = range.split_once('/').unwrap();
        let (first, last) = place.split_once('-').unwrap();
        let bytes = last.parse::<usize>().unwrap() - first.parse::<usize>().unwrap() + 1;
        parts.push((range.to_owned(), rest[end + 4..end + 4 + bytes].to_vec()));
        rest = &rest[end + 4 + bytes..];
    }
}

#[test]
fn several_ranges_come_in_parts_across_chunks() {
    let (node, mut http) = started();
    let bytes = 2 * CHUNK + 5000;
    let body = content(8, bytes);
    stored(&mut http, "/large", &[], &body);
    let whole = http.get("/large");
    assert!(whole.status == 200 && whole.body == body);
    assert_eq!(whole.must("Content-Length"), bytes.to_string());
    for (first, last) in [
        (CHUNK - 1, CHUNK - 1),
        (CHUNK, CHUNK),
        (CHUNK - 1, CHUNK),
        (CHUNK - 70_000, CHUNK + 70_000),
        (5, 2 * CHUNK + 4),
        (2 * CHUNK, bytes - 1),
        (CHUNK, 2 * CHUNK - 1),
        (0, bytes - 1),
    ] {
        let part = http.get_with("/large", &[("Range", &format!("bytes={first}-{last}"))]);
        assert!(part.status == 206 && part.body == body[first..=last], "{first}-{last}");
        assert_eq!(part.must("Content-Range"), format!("bytes {first}-{last}/{bytes}"));
    }
    let asked = [(2 * CHUNK - 3, 2 * CHUNK + 3), (0, 9), (CHUNK - 100_000, CHUNK + 100_000), (bytes - 1, bytes - 1)];
    let range = asked.iter().map(|(first, last)| format!("{first}-{last}")).collect::<Vec<_>>().join(", ");
    let answer = http.get_with("/large", &[("Range", &format!("bytes={range}"))]);
    assert_eq!((answer.status, answer.field("Content-Range")), (206, None));
    let got = parts(&answer);
    assert_eq!(got.len(), asked.len());
    for ((told, bytes_got), (first, last)) in got.iter().zip(asked) {
        assert_eq!(*told, format!("{first}-{last}/{bytes}"), "in the order that was asked for");
        assert!(bytes_got[..] == body[first..=last], "{told}");
    }
    assert!(http.get("/large").body.len() == bytes, "the connection goes on");
    stop(node, http);
}

#[test]
fn an_empty_file_is_a_whole_answer() {
    let (node, mut http) = started();
    stored(&mut http, "/empty.txt", &[], b"");
    let got = assert_head_is_get(&mut http, "/empty.txt", &[]);
    assert_eq!((got.status, got.must("Content-Length"), got.must("Content-Type")), (200, "0", "text/plain"));
    let ranged = http.get_with("/empty.txt", &[("Range", "bytes=0-")]);
    assert_eq!((ranged.status, ranged.body.len()), (200, 0), "slice caches begin with a range");
    let tag = got.must("ETag").to_owned();
    assert_eq!(http.get_with("/empty.txt", &[("If-None-Match", &tag)]).status, 304);
    stop(node, http);
}

#[test]
fn a_directory_is_redirected_to_and_listed() {
    let (node, mut http) = started();
    stored(&mut http, "/d%C3%A9/sub/x", &[], b"123");
    stored(&mut http, "/d%C3%A9/%22quoted%22", &[], b"");
    let moved = http.get("/d%C3%A9");
    assert_eq!((moved.status, moved.must("Location"), moved.body.len()), (301, "/d%C3%A9/", 0));
    assert_head_is_get(&mut http, "/d%C3%A9", &[]);
    let page = assert_head_is_get(&mut http, "/d%C3%A9/", &[]);
    assert_eq!((page.status, page.must("Content-Type")), (200, "application/json"));
    let told = page.json();
    assert_eq!(told.get("cursor"), None);
    let rows = told["entries"].as_array().unwrap();
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name}: {told}"));
    assert_eq!((rows.len(), &row("sub")["type"]), (2, &"directory".into()));
    assert_eq!((&row("\"quoted\"")["type"], &row("\"quoted\"")["size"]), (&"file".into(), &0.into()));
    let root = http.get("/");
    assert_eq!((root.status, root.json()["entries"][0]["name"].as_str()), (200, Some("d\u{e9}")));
    for (target, status) in [("/none/", 404), ("/d%C3%A9/sub/x/", 404), ("/?cursor=zz", 400), ("/?cursor=00ff", 400)] {
        let refused = http.get(target);
        assert_eq!(refused.status, status, "{target}: {refused:?}");
        refused.code();
    }
    stop(node, http);
}

#[test]
fn a_directory_of_5000_names_is_walked_page_by_page() {
    const NAMES: usize = 5000;
    let (node, mut http) = started();
    // Pipelined in groups: one durable put after another would take the disk's time.
    for group in 0..NAMES / 100 {
        let requests: String = (0..100)
            .map(|n| format!("PUT /many/name-{:05} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", group * 100 + n))
            .collect();
        http.send(requests);
        for _ in 0..100 {
            assert_eq!(http.answer("PUT").status, 201);
        }
    }
    let walk = |http: &mut Http, limit: &str| {
        let (mut names, mut pages, mut cursor) = (Vec::new(), 0, String::new());
        loop {
            let page = http.get(&format!("/many/?{limit}{cursor}"));
            assert_eq!(page.status, 200, "{page:?}");
            let told = page.json();
            let rows = told["entries"].as_array().unwrap();
            names.extend(rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()));
            pages += 1;
            match told["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return (names, pages),
            }
        }
    };
    let want: Vec<_> = (0..NAMES).map(|n| format!("name-{n:05}")).collect();
    let (names, pages) = walk(&mut http, "");
    assert!(names == want && pages > 1, "{} names on {pages} pages", names.len());
    let (names, pages) = walk(&mut http, "limit=999");
    assert!(names == want && pages >= 6, "{} names on {pages} pages", names.len());
    let one = http.get("/many/?limit=1").json();
    assert_eq!(one["entries"].as_array().unwrap().len(), 1);
    stop(node, http);
}

#[test]
fn what_was_stored_with_the_content_comes_back_with_it() {
    let (node, mut http) = started();
    let fields = [
        ("Content-Type", "text/plain; charset=\"utf-8\""),
        ("Cache-Control", "private, max-age=7"),
        ("Content-Disposition", "attachment; filename=\"stored.txt\""),
        ("X-Larder-Meta-Author", "Ren\u{e9}, and others"),
        ("x-larder-meta-b.2", ""),
    ];
    stored(&mut http, "/named.txt", &fields, b"x");
    for answer in [http.get("/named.txt"), http.get_with("/named.txt", &[("Range", "bytes=0-0")])] {
        for (name, value) in fields {
            assert_eq!(answer.must(name), value, "{}", answer.status);
        }
    }
    let head = http.ask("HEAD", "/named.txt", &[], b"");
    assert_eq!(head.must("X-Larder-Meta-Author"), "Ren\u{e9}, and others");
    let tag = head.must("ETag").to_owned();
    let not_modified = http.get_with("/named.txt", &[("If-None-Match", &tag)]);
    assert_eq!((not_modified.status, not_modified.must("Cache-Control")), (304, "private, max-age=7"));
    stored(&mut http, "/named.txt", &[], b"y");
    let bare = http.get("/named.txt");
    assert_eq!(bare.must("Cache-Control"), "public, max-age=300", "what was stored went with what it was stored with");
    assert_eq!((bare.field("X-Larder-Meta-Author"), bare.field("Content-Disposition")), (None, None));
    stop(node, http);
}

#[test]
fn a_query_wishes_for_a_disposition() {
    let (node, mut http) = started();
    stored(&mut http, "/a.txt", &[("Content-Disposition", "inline; filename=\"stored.txt\"")], b"x");
    for (query, want) in [
        ("", "inline; filename=\"stored.txt\""),
        ("?v=3", "inline; filename=\"stored.txt\""),
        ("?disposition=attachment", "attachment; filename=\"a.txt\""),
        ("?disposition=inline&filename=b.txt", "inline; filename=\"b.txt\""),
    ] {
        let answer = assert_head_is_get(&mut http, &format!("/a.txt{query}"), &[]);
        assert_eq!(answer.status, 200, "{query}");
        assert!(answer.must("Content-Disposition").starts_with(want), "{query}: {answer:?}");
    }
    let answer = http.get("/a.txt?disposition=attachment&filename=%22%0d%0aSet-Cookie:%20a=b");
    assert!(answer.field("Set-Cookie").is_none(), "{answer:?}");
    stop(node, http);
}

#[test]
fn requests_that_are_sent_ahead_are_answered_in_order() {
    let (node, mut http) = started();
    for n in 0..5 {
        stored(&mut http, &format!("/f{n}"), &[], &content(n, 3000 * n as usize));
    }
    let mut all = Vec::new();
    let mut want = Vec::new();
    for n in 0..20u64 {
        let file = n % 5;
        let (method, target, status) = match n % 4 {
            0 => ("GET", format!("/f{file}"), 200),
            1 => ("GET", format!("/none{n}"), 404),
            2 => ("HEAD", format!("/f{file}"), 200),
            _ => ("PUT", format!("/f{file}/below"), 409),
        };
        let length = if method == "PUT" { &[("Content-Length", "4")][..] } else { &[] };
        all.extend_from_slice(head(method, &target, length).as_bytes());
        all.extend_from_slice(if method == "PUT" { b"body" } else { b"" });
        want.push((method, status, file));
    }
    // In one write, and a byte at a time.
    for cut in [all.len(), 1] {
        for part in all.chunks(cut) {
            http.send(part);
        }
        for (n, (method, status, file)) in want.iter().enumerate() {
            let answer = http.answer(method);
            assert_eq!(answer.status, *status, "{n}: {answer:?}");
            if (*method, *status) == ("GET", 200) {
                assert!(answer.body == content(*file, 3000 * *file as usize), "{n}");
            }
        }
    }
    // Nothing is answered behind what ends the connection.
    http.send("GET /f1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /f2 HTTP/1.1\r\nHost: a\r\n\r\n");
    let last = http.answer("GET");
    assert!(last.status == 200 && !last.keeps_alive() && http.has_ended());
    stop(node, http);
}

#[test]
fn an_old_client_is_answered_and_left() {
    let (node, mut http) = started();
    stored(&mut http, "/a", &[], b"content");
    let ask = |request: &str| {
        let mut http = support::node::http(&node);
        http.send(request);
        let answer = http.answer("GET");
        assert_eq!((answer.status, &answer.body[..]), (200, &b"content"[..]), "{request}");
        let ended = answer.field("Connection") != Some("keep-alive");
        assert!(!ended || http.has_ended());
        ended
    };
    assert!(ask("GET /a HTTP/1.0\r\n\r\n"));
    assert!(!ask("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    assert!(ask("GET /a HTTP/1.0\r\nConnection: close\r\n\r\n"));
    assert!(ask("GET http://larder/a HTTP/1.1\r\nHost: larder\r\nConnection: close\r\n\r\n"));
    stop(node, http);
}

#[test]
fn a_client_that_has_said_all_is_still_answered() {
    let (node, mut http) = started();
    let body = content(3, CHUNK + 100_000);
    stored(&mut http, "/a", &[], &body);
    http.send(head("GET", "/a", &[]));
    http.half_close();
    assert!(http.answer("GET").body == body);
    assert!(http.has_ended());
    stop(node, http);
}

#[test]
fn an_origin_that_only_reads_says_which_methods_it_has() {
    let configuration = Configuration { http_read_only: true, ..configuration() };
    let node = with_names_in_memory(&configuration);
    for (method, target) in [("PUT", "/a"), ("POST", "/.id/"), ("DELETE", "/a")] {
        let mut http = http(&node);
        let refused = http.ask(method, target, &[], b"x");
        assert_eq!((refused.status, refused.must("Allow")), (405, "GET, HEAD"), "{method}");
        assert_eq!(refused.code(), "METHOD_NOT_ALLOWED");
    }
    let mut http = http(&node);
    assert_eq!(http.get("/a").status, 404);
    assert_eq!(http.get("/").status, 200);
    stop(node, http);
}
