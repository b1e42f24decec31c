use super::*;
use crate::driver::cuts::{Seen, everywhere, feed, garbage, sent, step, survives};
use ::larder::base::ids::ObjectId;

const OK: Reply = Reply::Ok { id: None };

fn asked(verbs: &[Verb]) -> Http {
    let mut driver = driver(NameStyle::Keyed { prefix: "/a/".to_owned(), suffix: String::new() });
    let mut output = Output::default();
    driver.open(&mut output);
    for (slot, verb) in verbs.iter().enumerate() {
        driver.encode(&step(*verb, 5, 20, None), Slot(u32::try_from(slot).unwrap()), &mut output);
    }
    driver
}

fn driver(names: NameStyle) -> Http {
    Http::new(HttpOptions { depth: 8, host: "here:80".to_owned(), names })
}

fn encoded(names: &NameStyle, step: &Step) -> String {
    let mut driver = driver(names.clone());
    let mut output = Output::default();
    driver.encode(step, Slot(0), &mut output);
    String::from_utf8_lossy(&sent(&mut output)).into_owned()
}

#[test]
fn requests_name_their_object() {
    let keyed = NameStyle::Keyed { prefix: "/a/".to_owned(), suffix: ".jpg".to_owned() };
    let numbered = NameStyle::Numbered { prefix: "/3,01637037d6_".to_owned(), suffix: String::new() };
    let id: ObjectId = "3-1f-00c0ffee00c0ffee".parse().unwrap();
    let name = "/a/k0000000000000007-0000000000000005.jpg HTTP/1.1\r\nHost: here:80\r\n";
    for (verb, expected) in [
        (Verb::Get, format!("GET {name}\r\n")),
        (Verb::Range, format!("GET {name}Range: bytes=3-7\r\n\r\n")),
        (Verb::Head, format!("HEAD {name}\r\n")),
        (Verb::Lookup, format!("HEAD {name}\r\n")),
        (Verb::Delete, format!("DELETE {name}\r\n")),
        (Verb::Create, format!("PUT {name}Content-Length: 0\r\n\r\n")),
    ] {
        assert_eq!(encoded(&keyed, &step(verb, 5, 20, None)), expected);
    }
    let put = encoded(&numbered, &step(Verb::Put, 5, 20, None));
    assert!(put.starts_with("PUT /3,01637037d6_5 HTTP/1.1\r\nHost: here:80\r\nContent-Length: 20\r\n\r\n"), "{put}");
    let get = encoded(&keyed, &step(Verb::Get, 5, 20, Some(id)));
    assert!(get.starts_with("GET /.id/3-1f-00c0ffee00c0ffee HTTP/1.1\r\n"), "{get}");
}

#[test]
fn answers_come_in_order_however_they_are_cut() {
    let verbs = [Verb::Put, Verb::Get, Verb::Head, Verb::Get, Verb::Delete, Verb::Range, Verb::Get];
    let answers = b"HTTP/1.1 100 Continue\r\n\r\n\
        HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok\
        HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\r\n\r\n\
        HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\
        HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n\
        HTTP/1.1 204 No Content\r\n\r\n\
        HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n\r\n34567\
        HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone";
    let seen = everywhere(|| asked(&verbs), answers);
    survives(|| asked(&verbs), answers);
    let expected = [OK, OK, OK, OK, OK, OK, Reply::Missing];
    assert_eq!(seen.done, (0..).zip(expected).collect::<Vec<_>>());
    assert_eq!((seen.content(1), seen.content(3), seen.content(5)), (&b"\r\n\r\n"[..], &b"abcde"[..], &b"34567"[..]));
    assert_eq!(seen.content(6), b"", "what a refusal says is no content");
}

#[test]
fn statuses_are_told_apart() {
    for (verb, code, expected) in [
        (Verb::Put, 200, OK),
        (Verb::Put, 507, Reply::Refused("507")),
        (Verb::Get, 410, Reply::Missing),
        (Verb::Get, 206, Reply::Refused("206")),
        (Verb::Range, 200, Reply::Refused("200")),
        (Verb::Range, 416, Reply::Refused("416")),
        (Verb::Delete, 202, OK),
        (Verb::Head, 500, Reply::Refused("500")),
        (Verb::Get, 429, Reply::Busy),
        (Verb::Get, 503, Reply::Busy),
        (Verb::Get, 418, Reply::Refused("other")),
        (Verb::Get, 304, Reply::Refused("304")),
    ] {
        let body = if code == 304 || verb == Verb::Head { "" } else { "text" };
        let answer = format!("HTTP/1.1 {code} X\r\nContent-Length: 4\r\n\r\n{body}");
        let seen = everywhere(|| asked(&[verb]), answer.as_bytes());
        assert_eq!(seen.done, [(0, expected)], "{verb} {code}");
        assert_eq!(seen.content(0).is_empty(), expected != OK || verb != Verb::Get);
    }
}

#[test]
fn what_is_pipelined_behind_the_last_answer_is_not_answered() {
    let make = || asked(&[Verb::Get, Verb::Get]);
    let last = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\na";
    everywhere(make, last);
    let mut driver = make();
    assert_eq!(feed(&mut driver, &[last]).unwrap().done, [(0, OK)]);
    assert!(!driver.is_ready(), "nothing more can be sent");
    assert!(!driver.closed(&mut Seen::default()), "one request is left");
    garbage(make, &[&last[..], b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"].concat());

    let mut driver = asked(&[Verb::Get]);
    feed(&mut driver, &[last]).unwrap();
    assert!(driver.closed(&mut Seen::default()));
    driver.open(&mut Output::default());
    assert!(driver.is_ready());
}

#[test]
fn a_body_may_end_with_its_connection() {
    let answer = b"HTTP/1.1 200 OK\r\n\r\nabc";
    let seen = everywhere(|| asked(&[Verb::Get]), answer);
    assert_eq!((seen.content(0), seen.done.len()), (&b"abc"[..], 0));
    for (verbs, is_whole) in [(&[Verb::Get][..], true), (&[Verb::Get, Verb::Get], false)] {
        let mut driver = asked(verbs);
        feed(&mut driver, &[answer]).unwrap();
        let mut seen = Seen::default();
        assert_eq!(driver.closed(&mut seen), is_whole);
        assert_eq!(seen.done, [(0, OK)]);
    }
    let mut driver = asked(&[Verb::Get]);
    feed(&mut driver, &[b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc"]).unwrap();
    let mut seen = Seen::default();
    assert!(!driver.closed(&mut seen) && seen.done.is_empty(), "a byte is missing");
}

#[test]
fn what_is_no_answer_is_garbage() {
    for answer in [
        &b"LARD\x01\x01\x00\x01"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
    ] {
        garbage(|| asked(&[Verb::Get]), answer);
    }
    garbage(|| asked(&[]), b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
}
