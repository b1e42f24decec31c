//! Goal: clients of the HTTP origin share what the node has: with little memory all of them come to their end, whoever goes
//! in the middle leaves nothing behind, and content that is replaced under a reader is never mixed with what replaced it.
//! Method: whole nodes in this process with small budgets.
#![allow(clippy::unwrap_used, reason = "what is not as it should be fails the test")]

mod support;

use larder::disk::{Call, FaultPlan, FaultyDisk, MemoryDisk};
use larder::node::Configuration;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;
use support::http::{Answer, Http, chunked, head};
use support::node::{assert_at_rest, configuration, http, number, with_names, with_names_in_memory};
use support::{content, eventually};

const CHUNK: usize = 8 << 20;

/// One upload, by length or in chunks.
fn upload(http: &mut Http, target: &str, body: &[u8], in_chunks: bool) -> Answer {
    if !in_chunks {
        return http.put(target, body);
    }
    http.send(head("PUT", target, &[("Transfer-Encoding", "chunked")]));
    http.send(chunked(body, &[300_000]));
    http.answer("PUT")
}

/// A client cannot send a piece of an upload again, so a disk whose queue is full is waited for.
#[test]
fn uploads_share_little_room_and_all_end() {
    const CLIENTS: u64 = 10;
    let disk = FaultyDisk::new(Arc::new(MemoryDisk::new()), FaultPlan::default());
    disk.faults().delay(&[Call::SyncData], Duration::from_millis(20));
    let scarce = Configuration { budget_in_bytes: 4 * CHUNK, append_queue_bytes_max: CHUNK + 4096, ..configuration() };
    let node = with_names(&scarce, Arc::new(disk), Arc::new(MemoryDisk::new()));
    std::thread::scope(|scope| {
        for n in 0..CLIENTS {
            let node = &node;
            scope.spawn(move || {
                let body = content(n, CHUNK + 100_000);
                let target = format!("/f{n}");
                let mut http = http(node);
                assert_eq!(upload(&mut http, &target, &body, n % 2 == 0).status, 201);
                assert!(http.get(&target).body == body);
            });
        }
    });
    assert!(number(&node, "/disks/0/refused_full") > 0, "the queue was full");
    assert!(number(&node, "/memory/budget_in/peak_bytes") <= 4 * CHUNK as i64);
    assert_at_rest(&node);
    node.stop();
}

#[test]
fn readers_share_little_room_and_all_end() {
    let scarce = Configuration { budget_out_bytes: 32 << 20, cache_bytes: 0, ..configuration() };
    let node = with_names_in_memory(&scarce);
    let body = content(1, CHUNK + 3_000_000);
    assert_eq!(http(&node).put("/large", &body).status, 201);
    std::thread::scope(|scope| {
        for n in 0..12 {
            let (node, body) = (&node, &body);
            scope.spawn(move || {
                let mut http = http(node);
                let first = n * 100_000;
                let part = http.get_with("/large", &[("Range", &format!("bytes={first}-"))]);
                assert!(part.status == 206 && part.body == body[first..]);
            });
        }
    });
    assert!(number(&node, "/memory/budget_out/peak_bytes") <= 32 << 20);
    assert_at_rest(&node);
    node.stop();
}

#[test]
fn readers_that_go_in_the_middle_leave_nothing_behind() {
    let node = with_names_in_memory(&configuration());
    let body = content(2, 3 * CHUNK);
    assert_eq!(http(&node).put("/large", &body).status, 201);
    for n in 0..40 {
        let mut leaver = http(&node);
        let range = [("Range", "bytes=0-5000000,9000000-")];
        leaver.send(head("GET", "/large", &range[..n % 2]).repeat(1 + n % 3));
        let mut some = vec![0; n * 20_000];
        leaver.socket.read_exact(&mut some).unwrap();
    }
    assert_at_rest(&node);
    eventually("they are gone", || number(&node, "/connections/open") == 0);
    assert!(http(&node).get("/large").body == body);
    node.stop();
}

#[test]
fn content_that_is_replaced_under_a_reader_is_cut_and_never_mixed() {
    let at_once = Configuration { tombstone_wait_ms: 0, cache_bytes: 0, ..configuration() };
    let node = with_names_in_memory(&at_once);
    let (old, new) = (content(3, 3 * CHUNK), content(4, 3 * CHUNK));
    let mut writer = http(&node);
    assert_eq!(writer.put("/a", &old).status, 201);
    let mut reader = http(&node);
    reader.send(head("GET", "/a", &[]));
    assert_eq!(reader.socket.peek(&mut [0]).unwrap(), 1);
    assert_eq!(writer.put("/a", &new).status, 204);
    eventually("the old content is gone", || number(&node, "/master/tombstones") == 0);
    let cut = reader.cut_answer("GET").unwrap();
    assert!(cut.status == 200 && old.starts_with(&cut.body));
    assert!(cut.missing == 0 || reader.has_gone(), "{} are missing", cut.missing);
    assert!(writer.get("/a").body == new);
    drop((reader, writer));
    assert_at_rest(&node);
    node.stop();
}

#[test]
fn who_is_one_too_many_is_told_so() {
    let few = Configuration { connections_max: 8, connections_per_address_max: 8, ..configuration() };
    let node = with_names_in_memory(&few);
    let mut taken: Vec<_> = (0..8).map(|_| http(&node)).collect();
    for http in &mut taken {
        assert_eq!(http.get("/.live").status, 200);
    }
    let mut late = http(&node);
    let refused = late.answer("GET");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.code() == "BUSY" && refused.field("Retry-After").is_some());
    assert!(!refused.keeps_alive() && late.has_ended());
    drop(taken.pop());
    eventually("there is a place again", || {
        let mut http = Http::connect(node.http_address().unwrap());
        let sent = http.socket.write_all(head("GET", "/.live", &[]).as_bytes());
        sent.is_ok() && http.cut_answer("GET").is_some_and(|answer| answer.status == 200)
    });
    drop((taken, late));
    assert_at_rest(&node);
    node.stop();
}
