//! Question: what becomes of a node that is asked for twice what it can do? The node is bounded by a disk of 5 ms a read,
//! whose pages are all cold, because a generator on the same machine costs as much as the node. Prints a table.
//!
//! cargo bench --bench overload
//! cargo bench --bench overload -- node     only the bounded node, until its input ends, for a generator of your choice
#![allow(clippy::unwrap_used, reason = "a bench stops where it is surprised")]

#[path = "../tests/support/mod.rs"]
mod support;

use larder::client::PutOptions;
use larder::disk::{Call, FaultPlan, FaultyDisk, MemoryDisk};
use larder::node::Node;
use larder::wire::{ChecksumKind, Request};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use support::content;
use support::load::{Kind, Outcome, open_loop, pin, saturation};
use support::node::{assert_at_rest, client, configuration, number, start};
use support::raw::{Raw, put};

fn bounded_node() -> (Node, Vec<Request>) {
    let faulty = FaultyDisk::new(Arc::new(MemoryDisk::new()), FaultPlan::default());
    let faults = faulty.faults();
    let mut configuration = configuration();
    configuration.cache_bytes = 0;
    pin(0);
    let node = start(&configuration, vec![Arc::new(faulty)]);
    pin(1);
    let client = client(&node);
    let tickets: Vec<_> = (0..500).map(|n| client.submit_put(content(n, 4096), PutOptions::default())).collect();
    let gets = tickets.into_iter().map(|ticket| Request::Get { id: ticket.wait().unwrap().id, range: None }).collect();
    faults.set_cold(true);
    faults.delay(&[Call::Read], Duration::from_millis(5));
    (node, gets)
}

fn row(title: &str, seconds: f64, outcome: &Outcome) -> f64 {
    let goodput = outcome.ok() as f64 / seconds;
    println!(
        "{title:40} sent {:6} ok {:6} ({goodput:6.0}/s, p99 {:7} us) turned away {:6} (p99 {:6} us)",
        outcome.sent,
        outcome.ok(),
        outcome.latency.value_at_quantile(0.99),
        outcome.ended() - outcome.ok(),
        outcome.refused.value_at_quantile(0.99),
    );
    goodput
}

fn accounts(node: &Node) {
    assert_at_rest(node);
    let at = |path| number(node, path);
    println!(
        "accounts: accepted {} = answered {} + rejected {} + abandoned {}; peak of the budgets {} KiB in, {} KiB out; all gauges zero",
        at("/requests/accepted"),
        at("/requests/answered"),
        at("/requests/rejected"),
        at("/requests/abandoned"),
        at("/memory/budget_in/peak_bytes") >> 10,
        at("/memory/budget_out/peak_bytes") >> 10,
    );
}

/// Serves until standard input ends, then tells the accounts.
fn serve() {
    let (node, _) = bounded_node();
    println!("listening on {}", node.address());
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
    accounts(&node);
    node.stop();
}

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    if std::env::args().any(|argument| argument == "node") {
        return serve();
    }
    let (node, gets) = bounded_node();
    let peak = saturation(node.address(), &gets, 8, 4, Duration::from_secs(3));
    println!("closed loop, 8 connections of 4 in flight: {peak:.0} GET/s is the peak");
    for (times, deadline_ms) in [(0.9, 1000), (2.0, 1000), (2.0, 100), (3.0, 1000)] {
        let kinds = [Kind { name: "cold GET", share: 1, requests: gets.clone() }];
        let outcome = &open_loop(node.address(), &kinds, peak * times, Duration::from_secs(5), 64, deadline_ms)[0];
        let goodput = row(&format!("{times} of the peak, deadline {deadline_ms} ms"), 5.0, outcome);
        println!("{:40} goodput to peak: {:.2}", "", goodput / peak);
    }
    accounts(&node);
    node.stop();

    let (node, gets) = bounded_node();
    let frame = put(content(1, 8 << 20)).encode(ChecksumKind::Crc32c, 2, 0).concat();
    let mut stopped: Vec<Raw> = (0..64).map(|_| Raw::connect(node.address())).collect();
    for raw in &mut stopped {
        raw.socket.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while sent < 7 << 20 {
            match raw.socket.write(&frame[sent..7 << 20]) {
                Ok(count) => sent += count,
                // The node has no room for it, and leaves it in the socket.
                Err(_) => break,
            }
        }
    }
    let kinds = [
        Kind { name: "cold GET", share: 1, requests: gets },
        Kind { name: "PUT 4 KiB", share: 1, requests: vec![put(content(7, 4096))] },
    ];
    let outcomes = open_loop(node.address(), &kinds, peak, Duration::from_secs(4), 16, 1000);
    for outcome in &outcomes {
        row(&format!("beside 64 stopped bodies: {}", outcome.name), 4.0, outcome);
    }
    drop(stopped);
    accounts(&node);
    node.stop();
}
