//! Goal: no request that a proxy in front forwards is read differently by Larder.
//!
//! Method: nginx, and HAProxy, forward to a node over kept connections, as `examples/nginx/larder.conf` does. Attacks go to
//! them over raw connections, each followed by a marker on the same connection and by a victim's request on another. The log
//! of the proxy says what it forwarded, and Larder's access log what it read: the same requests, and no other. What is
//! hidden in a body takes no effect. Skipped where the proxy is not installed.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "http_smuggling/attacks.rs"]
mod attacks;
mod support;

use attacks::attacks;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use support::front::{Front, HAPROXY_LOG};
use support::process::Process;
use support::web::Web;

/// How long an answer is waited for that may never come.
const PATIENCE: Duration = Duration::from_millis(250);

/// A node that logs, and has what the attacks are after.
struct Target {
    node: Process,
    place: tempfile::TempDir,
    attacks: Vec<Vec<u8>>,
}

impl Target {
    fn new(fronts: usize) -> Self {
        let place = tempfile::tempdir().unwrap();
        let log = place.path().join("larder.log");
        let node = Process::serve_with(&[&place.path().join("data")], &["--access-log", log.to_str().unwrap()]);
        let count = attacks(0).len();
        let mut web = Web::connect(node.http.unwrap());
        let mut put = |name: &str| {
            let put = format!("PUT /{name} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{name}", name.len());
            assert_eq!(web.ask(put.as_bytes()).status, 201);
        };
        put("victim");
        (0..count * fronts).for_each(|number| put(&format!("canary-{number}")));
        let attacks = (0..fronts).flat_map(|front| attacks(front * count)).collect();
        Self { node, place, attacks }
    }

    fn http(&self) -> SocketAddr {
        self.node.http.unwrap()
    }

    /// Every front is attacked by its share, all at the same time; then its last request is sent.
    fn attack(&self, fronts: &[SocketAddr]) {
        let share = self.attacks.len() / fronts.len();
        std::thread::scope(|scope| {
            for (front, attacks) in fronts.iter().zip(self.attacks.chunks(share)) {
                scope.spawn(move || attacks.iter().for_each(|attack| attack_one(*front, attack)));
            }
        });
        for front in fronts {
            ask_victim(*front, "GET /victim?last HTTP/1.1\r\nHost: h\r\n\r\n");
        }
    }

    /// What Larder has logged of what it read through the proxies: method and target.
    fn read(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.place.path().join("larder.log")).unwrap();
        let requests = text.lines().filter_map(|line| line.split('"').nth(1)?.rsplit_once(' '));
        // HAProxy logs a backslash as it is. The first are the preparation.
        let requests = requests.map(|(request, _version)| request.replace("\\x5C", "\\"));
        requests.skip(self.attacks.len() + 1).collect()
    }

    /// Compares what the proxies say that they forwarded, each with the status that they got, with what Larder read. A
    /// request is logged at its end, which may come after that of the last one.
    fn compare(&self, fronts: usize, forwarded: impl Fn() -> Vec<(String, String)>) {
        let ends = Instant::now() + Duration::from_secs(60);
        let (forwarded, different) = loop {
            let (forwarded, read) = (forwarded(), self.read());
            let has_last = |requests: usize| requests == fronts;
            let is_over =
                has_last(forwarded.iter().filter(|(request, status)| request == LAST && status == "200").count())
                    && has_last(read.iter().filter(|request| *request == LAST).count());
            let different = Different::between(&forwarded, &read);
            if is_over && different.more.is_empty() && different.missing.is_empty() || Instant::now() > ends {
                assert!(is_over, "the last requests were never logged");
                break (forwarded, different);
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let Different { refused, more, missing } = different;
        println!("{} attacks: {} requests forwarded, {refused} of them refused", self.attacks.len(), forwarded.len());
        assert!(more.is_empty(), "read by Larder, and forwarded by nobody: {more:?}");
        assert!(missing.is_empty(), "forwarded, and not read so by Larder: {missing:?}");
        let mut web = Web::connect(self.http());
        for number in 0..self.attacks.len() {
            let canary = web.ask(format!("HEAD /canary-{number} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).status;
            let removed = forwarded.iter().any(|(request, _)| *request == format!("DELETE /canary-{number}"));
            assert_eq!(canary, if removed { 404 } else { 200 }, "canary {number}");
        }
    }
}

/// In what two logs are not the same.
struct Different {
    /// Requests that Larder refused for their heads, and so did not log.
    refused: usize,
    /// Read by Larder alone.
    more: Vec<String>,
    /// Forwarded, and not read.
    missing: Vec<(String, String)>,
}

impl Different {
    fn between(forwarded: &[(String, String)], read: &[String]) -> Self {
        let mut counts: HashMap<&str, i32> = HashMap::new();
        read.iter().for_each(|request| *counts.entry(request).or_default() += 1);
        let (mut refused, mut missing) = (0, Vec::new());
        for (request, status) in forwarded {
            match counts.get_mut(&request[..]) {
                Some(count) if *count > 0 => *count -= 1,
                // A head that cannot be read has no line in Larder's log.
                _ if ["400", "417", "431", "501", "502", "505"].contains(&&status[..]) => refused += 1,
                _ => missing.push((request.clone(), status.clone())),
            }
        }
        let more = counts.iter().filter(|(_, count)| **count > 0).map(|(request, _)| (*request).to_owned()).collect();
        Self { refused, more, missing }
    }
}

const LAST: &str = "GET /victim?last";

/// An attack, a marker behind it, and a victim who asks for something else meanwhile.
fn attack_one(front: SocketAddr, attack: &[u8]) {
    let mut web = Web::connect(front);
    web.send(attack);
    web.send(b"GET /victim?marker HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    web.wait_at_most(PATIENCE);
    // Whatever is answered: the logs tell.
    let _patience = web.ends();
    ask_victim(front, "GET /victim?victim HTTP/1.1\r\nHost: h\r\n\r\n");
}

fn ask_victim(front: SocketAddr, request: &str) {
    let mut answer = Web::connect(front).ask(request.as_bytes());
    // The node ended the kept connection as the proxy took it: such a request is not asked twice by the proxy.
    for _ in 0..10 {
        if answer.status != 502 {
            break;
        }
        answer = Web::connect(front).ask(request.as_bytes());
    }
    assert_eq!((answer.status, &answer.body[..]), (200, &b"victim"[..]), "another's answer, or none: {request}");
}

#[test]
fn what_nginx_forwards_is_what_larder_reads() {
    const FRONTS: usize = 3;
    let place = tempfile::tempdir().unwrap();
    let target = Target::new(FRONTS);
    let Some(nginx) = Front::nginx(place.path(), FRONTS, |addresses| nginx(target.http(), addresses)) else { return };
    target.attack(&nginx.addresses);
    let path = place.path().join("access.log");
    target.compare(FRONTS, || {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        // RFC 9112, 3.2.1: who forwards an empty path sends `/`; nginx logs it empty.
        let lines = lines.map(|(status, request)| (status, request.replace(" ?", " /?").replace("\\x5C", "\\")));
        let all = lines.filter(|(status, _)| *status != "-").map(|(status, request)| (request, status.to_owned()));
        all.collect()
    });
}

/// As the example: for readers, and for writers; and for writers with the body read first.
fn nginx(node: SocketAddr, addresses: &[SocketAddr]) -> String {
    let server = |address: &SocketAddr, more: &str| {
        format!(
            "server {{ listen {address}; merge_slashes off; location / {{ {more} proxy_pass http://larder;\n\
             proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host;\n\
             proxy_next_upstream off; }} }}\n"
        )
    };
    let read = "limit_except GET { deny all; } proxy_pass_request_body off; proxy_set_header Content-Length \"\";";
    format!(
        "log_format forwarded escape=default '$upstream_status $request_method $request_uri';\n\
         access_log access.log forwarded; upstream larder {{ server {node}; keepalive 8; }}\n\
         client_body_timeout 200ms; client_header_timeout 200ms; lingering_time 1s; lingering_timeout 200ms;\n{}{}{}",
        server(&addresses[0], read),
        server(&addresses[1], "proxy_request_buffering off; proxy_buffering off;"),
        server(&addresses[2], "")
    )
}

#[test]
fn what_haproxy_forwards_is_what_larder_reads() {
    let place = tempfile::tempdir().unwrap();
    let target = Target::new(1);
    let Some(haproxy) = Front::haproxy(place.path(), |address| haproxy(target.http(), address)) else { return };
    target.attack(&haproxy.addresses);
    target.compare(1, || {
        let text = std::fs::read(place.path().join(HAPROXY_LOG)).unwrap();
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter_map(|line| line.split_once(' ')).filter(|(server, _)| *server == "node");
        let requests = lines.map(|(_, line)| line.split_once(' ').unwrap_or_default());
        requests.map(|(status, request)| (request.to_owned(), status.to_owned())).collect()
    });
}

/// It logs to its output, a file: a socket would lose lines when nobody reads for a moment.
fn haproxy(node: SocketAddr, address: SocketAddr) -> String {
    format!(
        "global\n log stdout len 8192 format raw local0\n\
         defaults\n mode http\n timeout connect 2s\n timeout client 300ms\n timeout server 5s\n\
         timeout http-request 300ms\n option http-keep-alive\n http-reuse always\n\
         frontend front\n bind {address}\n log global\n log-format \"%s %ST %HM %HU\"\n default_backend nodes\n\
         backend nodes\n retries 0\n server node {node}\n"
    )
}
