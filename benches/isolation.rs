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
use std::time::{Duration, Instant};
use support::load::{Kind, Outcome, open_loop, pin, saturation};
use support::node::{client, configuration, start};
use support::{content, eventually};

const OBJECTS: u64 = 2000;
const ROUNDS: usize = 7;

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
            "{title:28} {:16} {:8} sent {:8} ok   p50 {:7} us  p90 {:7} us  p95 {:7} us  p99 {:7} us   turned away p99 {:7} us",
            outcome.name,
            outcome.sent,
            outcome.ok(),
            at(0.5),
            at(0.9),
            at(0.95),
            at(0.99),
            outcome.refused.value_at_quantile(0.99),
        );
        assert_eq!(outcome.sent, outcome.ended(), "each request was answered");
    }
    let turns = &node.status()["turns"];
    println!("{title:28} longest turn of a processor: {} us (p99 {} us)", turns["max_us"], turns["p99_us"]);
}

/// One run beside a healthy or a slow disk: p50, p90, p95 and p99 of the GETs of the other disk.
fn beside(slow: bool, round: usize, rate: f64) -> [u64; 4] {
    let bench = bench();
    if slow {
        bench.faults.set_cold(true);
        bench.faults.delay(&Call::ALL, Duration::from_millis(500));
    }
    // The first two seconds are not counted: the node learns how slow the disk is, and the first requests time out.
    load(&bench, rate, 2);
    let outcomes = load(&bench, rate, 4);
    let title = if slow { "one delayed by 500 ms" } else { "both healthy" };
    rows(&format!("{round}: {title}"), &bench.node, &outcomes);
    bench.faults.heal();
    bench.node.stop();
    [0.5, 0.9, 0.95, 0.99].map(|quantile| outcomes[0].latency.value_at_quantile(quantile))
}

/// What the machine itself takes: a loop on core 0 that does nothing but look at the clock. Percent of a second that it
/// stood still for over 100 microseconds, and the longest in milliseconds.
fn floor() -> (f64, f64) {
    std::thread::spawn(|| {
        pin(0);
        let start = Instant::now();
        let (mut last, mut lost, mut longest) = (start, Duration::ZERO, Duration::ZERO);
        while last.duration_since(start) < Duration::from_secs(1) {
            let now = Instant::now();
            let gap = now.duration_since(last);
            if gap > Duration::from_micros(100) {
                lost += gap;
                longest = longest.max(gap);
            }
            last = now;
        }
        (lost.as_secs_f64() * 100.0, longest.as_secs_f64() * 1000.0)
    })
    .join()
    .expect("it only looks at the clock")
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

    // One part alone: cargo bench --bench isolation -- hung
    let wanted = |part: &str| std::env::args().skip(1).filter(|word| word != "--bench").all(|word| word == part);
    if wanted("slow") {
        slow_beside_healthy(rate);
    }
    if wanted("cold") {
        many_cold_reads();
    }
    if wanted("hung") {
        hung_for_good(rate);
    }
}

fn slow_beside_healthy(rate: f64) {
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        let (percent, longest) = floor();
        println!(
            "{round}: a bare loop on core 0 stood still for {percent:.2} % of a second, for {longest:.1} ms at most"
        );
        // In turn first and second, so that what the machine does over time falls on both.
        let pair = if round % 2 == 0 { [false, true] } else { [true, false] };
        let mut quantiles = [[0; 4]; 2];
        for slow in pair {
            quantiles[usize::from(slow)] = beside(slow, round, rate);
        }
        let [alone, beside] = quantiles;
        ratios.push(std::array::from_fn::<f64, 4, _>(|n| beside[n] as f64 / alone[n] as f64));
    }
    for (n, name) in ["p50", "p90", "p95", "p99"].into_iter().enumerate() {
        let mut of: Vec<f64> = ratios.iter().map(|ratio| ratio[n]).collect();
        of.sort_by(f64::total_cmp);
        println!(
            "GET of the other disk, beside the slow disk to alone: {name} {:.2} (median of {ROUNDS} rounds; {:.2} to {:.2})",
            of[of.len() / 2],
            of[0],
            of[of.len() - 1]
        );
    }
}

fn many_cold_reads() {
    let cold = bench();
    cold.faults.set_cold(true);
    cold.faults.delay(&[Call::Read], Duration::from_millis(500));
    let kinds = [Kind { name: "cold GET", share: 1, requests: cold.slow.clone() }];
    // 64 connections of 16 in flight: all at once.
    let outcomes = open_loop(cold.node.address(), &kinds, 1024.0 * 100.0, Duration::from_millis(10), 64, 30_000);
    rows("64 times 16 cold GETs", &cold.node, &outcomes);
    cold.faults.heal();
    cold.node.stop();
}

fn hung_for_good(rate: f64) {
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
