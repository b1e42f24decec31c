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
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;
use support::front::Front;
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

    /// What Larder read through the proxies, when it has logged the last requests of `fronts`: method and target.
    fn read(&self, fronts: usize) -> Vec<String> {
        let path = self.place.path().join("larder.log");
        let mut read = Vec::new();
        support::eventually("Larder logs the last requests", || {
            let text = std::fs::read_to_string(&path).unwrap();
            let requests = text.lines().filter_map(|line| line.split('"').nth(1)?.rsplit_once(' '));
            // HAProxy logs a backslash as it is.
            read = requests.map(|(request, _version)| request.replace("\\x5C", "\\")).collect();
            read.iter().filter(|request| *request == LAST).count() == fronts
        });
        // The first are the preparation.
        read.split_off(self.attacks.len() + 1)
    }

    /// Compares what the proxies forwarded, each with the status that they got, with what Larder read.
    fn compare(&self, forwarded: &[(String, String)], read: &[String]) {
        let mut counts: HashMap<&str, i32> = HashMap::new();
        read.iter().for_each(|request| *counts.entry(request).or_default() += 1);
        let (mut refused, mut missing) = (0, Vec::new());
        for (request, status) in forwarded {
            match counts.get_mut(&request[..]) {
                Some(count) if *count > 0 => *count -= 1,
                // A head that cannot be read has no line in Larder's log.
                _ if ["400", "417", "431", "501", "502", "505"].contains(&&status[..]) => refused += 1,
                _ => missing.push((request, status)),
            }
        }
        let more: Vec<_> = counts.iter().filter(|(_, count)| **count > 0).collect();
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
    let read = target.read(FRONTS);
    let path = place.path().join("access.log");
    let mut forwarded = Vec::new();
    support::eventually("nginx logs the last requests", || {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        // RFC 9112, 3.2.1: who forwards an empty path sends `/`; nginx logs it empty.
        let lines = lines.map(|(status, request)| (status, request.replace(" ?", " /?").replace("\\x5C", "\\")));
        let all = lines.filter(|(status, _)| *status != "-").map(|(status, request)| (request, status.to_owned()));
        forwarded = all.collect();
        forwarded.iter().filter(|(request, status)| request == LAST && status == "200").count() == FRONTS
    });
    target.compare(&forwarded, &read);
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
    let socket = place.path().join("log");
    let log = UnixDatagram::bind(&socket).unwrap();
    log.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let target = Target::new(1);
    let configuration = |address| haproxy(target.http(), address, &socket);
    let Some(haproxy) = Front::haproxy(place.path(), configuration) else { return };
    let reader = std::thread::spawn(move || {
        let (mut forwarded, mut line) = (Vec::new(), [0; 1 << 14]);
        loop {
            let bytes = log.recv(&mut line).expect("HAProxy logs the last request");
            let text = String::from_utf8_lossy(&line[..bytes]).trim_end().to_owned();
            let Some((server, request)) = text.split_once(' ') else { continue };
            let (status, request) = request.split_once(' ').unwrap_or_default();
            if server == "node" {
                forwarded.push((request.to_owned(), status.to_owned()));
            }
            if request == LAST && status == "200" {
                return forwarded;
            }
        }
    });
    target.attack(&haproxy.addresses);
    let read = target.read(1);
    target.compare(&reader.join().unwrap(), &read);
}

fn haproxy(node: SocketAddr, address: SocketAddr, log: &Path) -> String {
    format!(
        "global\n log {} len 8192 format raw local0\n\
         defaults\n mode http\n timeout connect 2s\n timeout client 300ms\n timeout server 5s\n\
         timeout http-request 300ms\n option http-keep-alive\n http-reuse always\n\
         frontend front\n bind {address}\n log global\n log-format \"%s %ST %HM %HU\"\n default_backend nodes\n\
         backend nodes\n retries 0\n server node {node}\n",
        log.display()
    )
}
