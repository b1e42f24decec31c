//! Question: does a slow disk slow anything else down? A node on two disks, one of them delayed by 500 ms a call and
//! then hung, under an open loop at half of what both disks saturate at. Prints a table; see `benches/README.md`.
//!
//! cargo bench --bench isolation
#![allow(clippy::unwrap_used, reason = "a bench stops where it is surprised")]

#[path = "../tests/support/mod.rs"]
mod support;

use larder::base::ids::ObjectId;
use larder::client::PutOptions;
use larder::disk::{Call, Disk, FaultPlan, Faults, FaultyDisk, RealDisk};
use larder::node::Node;
use larder::wire::Request;
use std::sync::Arc;
use std::time::Duration;
use support::load::{Kind, Outcome, open_loop, pin, saturation};
use support::node::{client, configuration, start};
use support::{content, eventually};

const OBJECTS: u64 = 2000;

struct Bench {
    node: Node,
    faults: Arc<Faults>,
    slow: Vec<Request>,
    fast: Vec<Request>,
    _directories: [tempfile::TempDir; 2],
}

/// A node on two real directories; the first is behind a faulty disk. Fresh for each row, so that its histograms are.
fn bench() -> Bench {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let real = |n: usize| Arc::new(RealDisk::open(directories[n].path()).unwrap());
    let faulty = FaultyDisk::new(real(0), FaultPlan::default());
    let faults = faulty.faults();
    let mut configuration = configuration();
    configuration.cache_bytes = 0;
    pin(0);
    let node = start(&configuration, vec![Arc::new(faulty) as Arc<dyn Disk>, real(1)]);
    pin(1);
    let client = client(&node);
    let tickets: Vec<_> =
        (0..OBJECTS).map(|seed| client.submit_put(content(seed, 4096), PutOptions::default())).collect();
    let ids: Vec<ObjectId> = tickets.into_iter().map(|ticket| ticket.wait().unwrap().id).collect();
    faults.set_cold(true);
    let before = faults.count(Call::Read);
    client.get(ids[0]).unwrap();
    let first_is_slow = faults.count(Call::Read) > before;
    faults.set_cold(false);
    let (ours, others): (Vec<_>, Vec<_>) = ids.iter().partition(|id| id.volume == ids[0].volume);
    let gets = |ids: Vec<ObjectId>| ids.into_iter().map(|id| Request::Get { id, range: None }).collect::<Vec<_>>();
    let (slow, fast) = if first_is_slow { (gets(ours), gets(others)) } else { (gets(others), gets(ours)) };
    Bench { node, faults, slow, fast, _directories: directories }
}

fn load(bench: &Bench, rate: f64, seconds: u64) -> Vec<Outcome> {
    let kinds = [
        Kind { name: "GET, other disk", share: 45, requests: bench.fast.clone() },
        Kind { name: "GET, this disk", share: 45, requests: bench.slow.clone() },
        Kind { name: "PING", share: 10, requests: vec![Request::Ping("x".into())] },
    ];
    open_loop(bench.node.address(), &kinds, rate, Duration::from_secs(seconds), 16, 1000)
}

fn rows(title: &str, node: &Node, outcomes: &[Outcome]) {
    for outcome in outcomes {
        let at = |quantile| outcome.latency.value_at_quantile(quantile);
        println!(
            "{title:28} {:16} {:8} sent {:8} ok   p50 {:7} us  p99 {:7} us  max {:8} us   turned away p99 {:7} us",
            outcome.name,
            outcome.sent,
            outcome.ok(),
            at(0.5),
            at(0.99),
            outcome.latency.max(),
            outcome.refused.value_at_quantile(0.99),
        );
        assert_eq!(outcome.sent, outcome.ended(), "each request was answered");
    }
    let turns = &node.status()["turns"];
    println!("{title:28} longest turn of a processor: {} us (p99 {} us)", turns["max_us"], turns["p99_us"]);
}

fn main() {
    // `cargo test --benches` only wants to know that this builds.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let first = bench();
    let both: Vec<Request> = first.fast.iter().chain(&first.slow).cloned().collect();
    let most = saturation(first.node.address(), &both, 8, 16, Duration::from_secs(3));
    let rate = most / 2.0;
    println!(
        "both disks, closed loop, 8 connections of 16 in flight: {most:.0} GET/s; the rows below run at half of it"
    );
    first.node.stop();

    let mut p99 = Vec::new();
    for round in 0..3 {
        let healthy = bench();
        let outcomes = load(&healthy, rate, 4);
        rows(&format!("{round}: both healthy"), &healthy.node, &outcomes);
        let baseline = outcomes[0].latency.value_at_quantile(0.99);
        healthy.node.stop();

        let delayed = bench();
        delayed.faults.set_cold(true);
        delayed.faults.delay(&Call::ALL, Duration::from_millis(500));
        let outcomes = load(&delayed, rate, 4);
        rows(&format!("{round}: one delayed by 500 ms"), &delayed.node, &outcomes);
        p99.push((baseline, outcomes[0].latency.value_at_quantile(0.99), outcomes[2].latency.value_at_quantile(0.99)));
        delayed.faults.heal();
        delayed.node.stop();
    }
    for (baseline, beside, ping) in p99 {
        println!(
            "GET p99 of the other disk: {baseline} us alone, {beside} us beside the slow disk: {:.2}; PING p99 {ping} us",
            beside as f64 / baseline as f64
        );
    }

    let cold = bench();
    cold.faults.set_cold(true);
    cold.faults.delay(&[Call::Read], Duration::from_millis(500));
    let kinds = [Kind { name: "cold GET", share: 1, requests: cold.slow.clone() }];
    // 64 connections of 16 in flight: all at once.
    let outcomes = open_loop(cold.node.address(), &kinds, 1024.0 * 100.0, Duration::from_millis(10), 64, 30_000);
    rows("64 times 16 cold GETs", &cold.node, &outcomes);
    cold.faults.heal();
    cold.node.stop();

    let hung = bench();
    hung.faults.set_cold(true);
    hung.faults.hang(&Call::ALL);
    let outcomes = load(&hung, rate, 4);
    rows("one hung for good", &hung.node, &outcomes);
    println!("one hung for good: statuses of its GETs (10 TIMED_OUT, 9 BUSY): {:?}", outcomes[1].statuses);
    hung.faults.release();
    hung.faults.heal();
    eventually("it is at rest", || hung.node.status()["requests"]["in_flight"] == 0);
    hung.node.stop();
}
