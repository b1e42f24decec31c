//! Records for tests: of runs that could have been.

use super::histogram::{Encoded, latencies};
use super::{Cost, DeviceWork, Doubt, Event, FORMAT, Machine, Point, Record, Requests, Round, Second, Target};
use crate::workload::random::Numbers;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// Seconds of a round.
const SECONDS: u32 = 60;

/// An open loop of gets with puts in the background: as many rounds, a curve, two events, a remark.
pub fn record(rounds: u64) -> Record {
    Record {
        format: FORMAT,
        loadgen: "0.1.0".into(),
        began: "2026-11-22T20:18:01Z".into(),
        arguments: ["get-hot", "--server", "127.0.0.1:7420", "--rate", "40000", "--seed", "7"].map(String::from).into(),
        scenario: "get-hot".into(),
        question: "How long does a reader of small hot objects wait, and what does each read cost the server?".into(),
        seed: 7,
        target: Target {
            driver: "larder".into(),
            address: "127.0.0.1:7420".into(),
            software: "larder 0.1.0".into(),
            durability: "disk".into(),
            is_local: true,
        },
        machine: Machine {
            kernel: "Linux 6.18.1".into(),
            processor: "Intel(R) Xeon(R) Processor".into(),
            processors: 2,
            memory_bytes: 25_200_000_000,
            is_virtual: true,
            generator_processors: "1".into(),
            server_processors: "0".into(),
        },
        plan: plan(),
        rounds: (0..rounds).map(round).collect(),
        curve: curve(),
        doubts: vec![Doubt {
            name: "contended".into(),
            detail: "the server's threads were ready and waited for 1.1 % of the time".into(),
            spoils: Vec::new(),
        }],
        events: vec![
            Event { at_seconds: 20.0, what: "stop the server for 100 ms".into() },
            Event { at_seconds: 41.5, what: "2 connections lost".into() },
        ],
    }
}

fn plan() -> BTreeMap<String, String> {
    [
        ("connections", "64"),
        ("depth", "1"),
        ("rate", "40000/s, Poisson"),
        ("sizes", "fixed 4096"),
        ("keys", "zipf 0.99 of 100000"),
    ]
    .map(|(name, value)| (name.to_string(), value.to_string()))
    .into()
}

fn round(number: u64) -> Round {
    let mut numbers = Numbers::of(7, number);
    let mut service = latencies();
    let mut response = latencies();
    let mut lag = latencies();
    let mut background = latencies();
    let mut series = Vec::new();
    for second in 1..=SECONDS {
        let mut of_second = latencies();
        let stopped = second == 21;
        for request in 0..500u64 {
            let quiet = skewed(&mut numbers, 62_000.0, 0.22);
            let late = skewed(&mut numbers, 9_000.0, 0.3);
            let stall = if stopped && request < 50 { 100_000_000 - request * 2_000_000 } else { 0 };
            service.saturating_record(quiet + stall);
            response.saturating_record(quiet + late + stall);
            of_second.saturating_record(quiet + late + stall);
            lag.saturating_record(late);
        }
        background.saturating_record(skewed(&mut numbers, 1_900_000.0, 0.4));
        series.push(Second {
            at_seconds: f64::from(second),
            seconds: 1.0,
            ok: of_second.len(),
            not_ok: if second == 42 { 3 } else { 0 },
            shed: 0,
            p50_us: at(&of_second, 0.5),
            p99_us: at(&of_second, 0.99),
            max_us: of_second.max() as f64 / 1e3,
            server_cpu_us: Some(500.0 * (7.0 + 0.2 * numbers.unit())),
        });
    }
    let ok = service.len();
    let get = Requests {
        ok,
        bytes: ok * 4_096,
        verified: ok,
        lost: 3,
        refused: [("BUSY".to_string(), 17)].into(),
        service: Encoded::of(&service),
        response: Encoded::of(&response),
        lag: Encoded::of(&lag),
        ..Requests::default()
    };
    let put = Requests {
        ok: background.len(),
        bytes: background.len() * 4_096,
        service: Encoded::of(&background),
        ..Requests::default()
    };
    let cpu_seconds = ok as f64 * 7.1e-6;
    Round {
        seconds: f64::from(SECONDS),
        warm_up_seconds: 6.0,
        requests: [("get".to_string(), get), ("background put".to_string(), put)].into(),
        broken: 0,
        connections_min: Some(80),
        longest_silence_seconds: 0.02,
        series,
        server: Some(server(cpu_seconds)),
        generator: Cost { cpu_seconds: 0.9, busiest_thread_seconds: 0.9, ..Cost::default() },
    }
}

fn server(cpu_seconds: f64) -> Cost {
    let threads = [("processor-0", 0.81), ("disk-0", 0.11), ("disk-1", 0.05), ("acceptor", 0.002), ("main", 0.028)];
    Cost {
        cpu_seconds,
        wait_seconds: 0.66,
        busiest_thread_seconds: cpu_seconds * 0.81,
        threads: threads.map(|(name, share)| (name.to_string(), share * cpu_seconds)).into(),
        cpu_us_per_request: 7.1,
        read_bytes: 0,
        dirtied_bytes: 5_400_000,
        device: Some(DeviceWork { reads: 12, read_bytes: 49_152, writes: 1_300, written_bytes: 5_900_000 }),
        switches: 180_123,
        resident_bytes: 212_000_000,
        resident_bytes_max: 230_000_000,
        syncs: Some(1_210),
    }
}

fn curve() -> Vec<Point> {
    let rates = [10e3, 20e3, 40e3, 60e3, 80e3, 90e3, 95e3, 100e3, 110e3];
    let point = |offered: f64| {
        let room = 1.0 - offered / 101e3;
        let is_kept = offered < 96e3;
        let stretch = if room > 0.0 { 1.0 / room } else { 900.0 };
        Point {
            offered,
            achieved: offered.min(98e3),
            p50_us: 60.0 + 4.0 * stretch,
            p99_us: 110.0 + 30.0 * stretch,
            p999_us: 240.0 + 90.0 * stretch,
            server_cpu_us: Some(7.5 - offered / 1e5),
            is_kept,
            why: if is_kept { String::new() } else { "p99 above 1 ms".into() },
        }
    };
    rates.into_iter().map(point).collect()
}

/// A latency in nanoseconds with this median: mostly near it, at times far above.
fn skewed(numbers: &mut Numbers, median: f64, spread: f64) -> u64 {
    let normal = (0..12).map(|_| numbers.unit()).sum::<f64>() - 6.0;
    let tail = if numbers.below(400) == 0 { 1.0 + 6.0 * numbers.unit() } else { 1.0 };
    (median * (normal * spread).exp() * tail).round() as u64
}

fn at(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1e3
}
