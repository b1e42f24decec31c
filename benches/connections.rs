//! Question: what does an idle connection cost? 10,000 idle connections and 64 active ones on a node in a process of its
//! own; user memory by /proc/PID/status (RssAnon), before and after. Prints a table.
//!
//! cargo bench --bench connections
#![allow(clippy::unwrap_used, reason = "a bench stops where it is surprised")]

#[path = "../tests/support/mod.rs"]
mod support;

use larder::client::{Client, PutOptions};
use larder::wire::Request;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::load::{Kind, open_loop};
use support::raw::Raw;
use support::{content, eventually};

const IDLE: usize = 10_000;

struct Served {
    child: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

fn serve() -> Served {
    let directory = tempfile::tempdir().unwrap();
    let configuration = directory.path().join("larder.toml");
    std::fs::write(&configuration, "connections_per_address_max = 15000\nreserve_bytes = \"1 MiB\"\n").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_larder"))
        .args(["serve", "--listen", "127.0.0.1:0", "--no-http", "--processors", "1", "--config"])
        .arg(&configuration)
        .arg("--data")
        .arg(directory.path().join("data"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.split([' ', ',']).nth(3).expect("the ready line names the address").parse().unwrap();
    Served { child, address, _directory: directory }
}

impl Served {
    fn anonymous_bytes(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
    }

    fn cpu_ns(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        tasks
            .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("schedstat")).ok())
            .map(|line| line.split_whitespace().next().unwrap().parse::<u64>().unwrap())
            .sum()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum },
    )
    .unwrap();
    let served = serve();
    let client = Client::connect(served.address.to_string()).unwrap();
    let ids: Vec<_> = (0..1000).map(|n| client.put(content(n, 4096), PutOptions::default()).unwrap().id).collect();
    let gets: Vec<_> = ids.iter().map(|id| Request::Get { id: *id, range: None }).collect();

    let active = |title: &str| {
        let kinds = [Kind { name: "GET 4 KiB", share: 1, requests: gets.clone() }];
        let before = served.cpu_ns();
        let outcome = &open_loop(served.address, &kinds, 20_000.0, Duration::from_secs(5), 64, 10_000)[0];
        let cost = (served.cpu_ns() - before) as f64 / 1000.0 / outcome.ended() as f64;
        println!(
            "{title:34} 64 active: {} sent, {} ok, p99 {} us, {cost:.2} us of server CPU a GET",
            outcome.sent,
            outcome.ok(),
            outcome.latency.value_at_quantile(0.99)
        );
    };
    active("no idle connections");
    let before = served.anonymous_bytes();
    let mut idle = Vec::with_capacity(IDLE);
    for n in 0..IDLE {
        let mut raw = Raw::connect(served.address);
        // Each has been used: it has sent a request and had its answer.
        raw.send(1, &gets[n % gets.len()]);
        assert!(raw.receive().0.is_last());
        idle.push(raw);
    }
    let after = served.anonymous_bytes();
    println!(
        "{IDLE} idle connections, each used once: {} bytes of user memory each (RssAnon {} to {} KiB)",
        (after - before) / IDLE,
        before >> 10,
        after >> 10
    );
    active("10,000 idle connections");
    eventually("all are open", || client.status().unwrap()["connections"]["open"].as_u64() >= Some(IDLE as u64));
    for raw in &mut idle {
        raw.send(2, &gets[0]);
    }
    for raw in &mut idle {
        assert!(raw.receive().0.is_last());
    }
    println!("all {IDLE} idle connections were then served once more");
}
