//! Goal: what the HTTP origin answers from whole answers in memory is never older than what anybody was told, whatever changed
//! the name: another PUT, other attributes, a move of the file or of a directory above it, a removal.
//! Method: a whole node; each GET is repeated until it is answered without a read of a disk, then the name is changed.
#![allow(clippy::unwrap_used, reason = "what is not as it should be fails the test")]

mod support;

use larder::base::path::NamePath;
use larder::node::Node;
use larder::request::{Attributes, Condition};
use std::sync::atomic::{AtomicU64, Ordering};
use support::node::{client, http, number, with_names_in_memory};
use support::{content, eventually};

fn reads(node: &Node) -> i64 {
    ["cache_hits", "inline_hits"]
        .iter()
        .map(|way| node.status().pointer(&format!("/disks/0/{way}")).map_or(0, |reads| reads.as_i64().unwrap()))
        .sum()
}

fn path(text: &str) -> NamePath {
    NamePath::parse(text.as_bytes()).unwrap()
}

/// Asks until the answer comes from memory alone.
fn heat(node: &Node, target: &str, body: &[u8]) {
    let mut http = http(node);
    eventually("the answer is kept", || {
        let before = number(node, "/requests/accepted");
        assert!(http.get(target).body == body);
        // A lookup and a read are two operations; an answer that is kept is one request.
        number(node, "/requests/accepted") == before + 1
    });
}

#[test]
fn an_answer_that_is_kept_goes_with_the_name() {
    let node = with_names_in_memory(&support::node::configuration());
    let (mut http, client) = (http(&node), client(&node));
    let session = client.open_session().unwrap();
    let [one, two] = [1, 2].map(|seed| content(seed, 5000));
    assert_eq!(http.put("/d/e/a.jpg", &one).status, 201);
    heat(&node, "/d/e/a.jpg", &one);

    // Other content.
    assert_eq!(http.put("/d/e/a.jpg", &two).status, 204);
    assert!(http.get("/d/e/a.jpg").body == two);
    heat(&node, "/d/e/a.jpg", &two);

    // Other attributes.
    let attributes = Attributes::of(&[(Attributes::CONTENT_TYPE, b"x/y")]).unwrap();
    session.set_attributes(&path("/d/e/a.jpg"), attributes, Condition::Any).unwrap();
    assert_eq!(http.get("/d/e/a.jpg").field("content-type"), Some("x/y"));
    heat(&node, "/d/e/a.jpg", &two);

    // Another directory above it.
    session.rename(&path("/d/e"), &path("/d/f"), false, Condition::Any).unwrap();
    assert_eq!(http.get("/d/e/a.jpg").status, 404);
    assert_eq!(http.put("/d/e/a.jpg", &one).status, 201);
    assert!(http.get("/d/e/a.jpg").body == one && http.get("/d/f/a.jpg").body == two);
    heat(&node, "/d/e/a.jpg", &one);

    // The file itself moved, and another in its place.
    session.rename(&path("/d/f/a.jpg"), &path("/d/e/a.jpg"), true, Condition::Any).unwrap();
    assert!(http.get("/d/e/a.jpg").body == two);
    heat(&node, "/d/e/a.jpg", &two);

    // Removed, and removed with its tree.
    assert_eq!(http.ask("DELETE", "/d/e/a.jpg", &[], b"").status, 204);
    assert_eq!(http.get("/d/e/a.jpg").status, 404);
    assert_eq!(http.put("/d/e/a.jpg", &one).status, 201);
    heat(&node, "/d/e/a.jpg", &one);
    session.remove(&path("/d"), true, Condition::Any).unwrap();
    assert_eq!(http.get("/d/e/a.jpg").status, 404);
    drop(session);
    node.stop();
}

#[test]
fn a_kept_answer_says_what_the_first_said() {
    let node = with_names_in_memory(&support::node::configuration());
    let mut http = http(&node);
    let body = content(3, 3000);
    let fields = [("Content-Type", "image/x"), ("Cache-Control", "max-age=7"), ("X-Larder-Meta-A", "b")];
    assert_eq!(http.ask("PUT", "/a", &fields, &body).status, 201);
    let first = http.get("/a");
    heat(&node, "/a", &body);
    let before = reads(&node);
    let kept = http.get("/a");
    assert_eq!(reads(&node), before, "no disk was asked");
    let rest = |answer: &support::http::Answer| {
        let fields = answer.fields.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("date")).cloned();
        fields.collect::<Vec<_>>()
    };
    assert_eq!(rest(&kept), rest(&first));
    // What is no plain GET goes its own way.
    let etag = first.field("etag").unwrap().to_owned();
    assert_eq!(http.get_with("/a", &[("If-None-Match", &etag)]).status, 304);
    assert_eq!(http.get_with("/a", &[("Range", "bytes=0-9")]).status, 206);
    assert_eq!(http.ask("HEAD", "/a", &[], b"").status, 200);
    assert_eq!(
        http.get("/a?disposition=attachment").field("content-disposition").unwrap().split(';').next(),
        Some("attachment")
    );
    node.stop();
}

#[test]
fn no_reader_sees_what_was_before_an_acknowledged_write() {
    const WRITES: u64 = 300;
    let node = with_names_in_memory(&support::node::configuration());
    assert_eq!(http(&node).put("/counter", b"0").status, 201);
    let acknowledged = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut http = http(&node);
                loop {
                    let least = acknowledged.load(Ordering::SeqCst);
                    let told: u64 = String::from_utf8(http.get("/counter").body).unwrap().parse().unwrap();
                    assert!(told >= least, "{told} was told after {least} was acknowledged");
                    if least == WRITES {
                        break;
                    }
                }
            });
        }
        let mut http = http(&node);
        for number in 1..=WRITES {
            assert_eq!(http.put("/counter", number.to_string().as_bytes()).status, 204);
            acknowledged.store(number, Ordering::SeqCst);
            // Time for the readers to have it kept.
            for _ in 0..6 {
                http.get("/counter");
            }
        }
    });
    node.stop();
}
