//! What is known of a run: the contents of `run.json`.
//!
//! Any thread; plain values. Always: everything that is needed to repeat the run is in it, and every figure names its unit.

pub mod file;
pub mod histogram;
#[cfg(test)]
pub mod made_up;
pub mod summary;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the file. A reader refuses files of a later one.
pub const FORMAT: u32 = 1;

/// A run, or two interleaved ones' half.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of loadgen.
    pub loadgen: String,
    /// When it began, as 2026-11-22T20:18:01Z.
    pub began: String,
    /// The arguments as they were given.
    pub arguments: Vec<String>,
    /// Name of the scenario, and the question that it answers.
    pub scenario: String,
    /// The question that the scenario answers.
    pub question: String,
    /// Seed of contents, choices and arrivals.
    pub seed: u64,
    /// What was asked.
    pub target: Target,
    /// On what machine.
    pub machine: Machine,
    /// What was asked for, a line each: connections, depth, rate, sizes, keys.
    pub plan: BTreeMap<String, String>,
    /// What was seen, round by round; one unless rounds were asked for.
    pub rounds: Vec<Round>,
    /// Of a search: what was seen at each rate.
    pub curve: Vec<Point>,
    /// What of this is not to be believed, and why.
    pub doubts: Vec<Doubt>,
    /// What happened on the way, by time: events of --at, connections lost.
    pub events: Vec<Event>,
}

/// What was asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// larder, http, resp, memcached, echo.
    pub driver: String,
    /// Where it listens.
    pub address: String,
    /// What it says of itself (software and version), as far as it does.
    pub software: String,
    /// When a put counts as done: disk, memory, or unknown.
    pub durability: String,
    /// Whether it runs on this machine, so that its costs can be read.
    pub is_local: bool,
}

/// The machine of the generator.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Name and version of the kernel.
    pub kernel: String,
    /// Model of the processors.
    pub processor: String,
    /// Processors that the generator may use.
    pub processors: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Whether it says that it is a virtual one.
    pub is_virtual: bool,
    /// Processors that the generator was held on, as taskset writes them.
    pub generator_processors: String,
    /// Processors that the server was held on, if it is local.
    pub server_processors: String,
}

/// What was seen in one round.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Round {
    /// How long was measured, in seconds; the warm-up came before.
    pub seconds: f64,
    /// How long it took to become steady.
    pub warm_up_seconds: f64,
    /// Requests by stream and name, as "get" or "background put".
    pub requests: BTreeMap<String, Requests>,
    /// Connections that were lost or could not be had.
    pub broken: u64,
    /// Connections that were open at the ends of its seconds, idle ones too: the fewest.
    pub connections_min: Option<u32>,
    /// The longest time in which no request of the first stream was answered as asked.
    pub longest_silence_seconds: f64,
    /// Second by second.
    pub series: Vec<Second>,
    /// What the server took, if it is local.
    pub server: Option<Cost>,
    /// What the generator took.
    pub generator: Cost,
}

/// Requests of one kind.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requests {
    /// Answered as asked.
    pub ok: u64,
    /// Bytes of content in those.
    pub bytes: u64,
    /// Contents that were not those of their keys.
    pub wrong: u64,
    /// Contents that were compared with their keys.
    pub verified: u64,
    /// Unanswered when their connection was lost, or at the end.
    pub lost: u64,
    /// Due in an open loop and never sent: the bound on what may be outstanding was reached, or they waited until the end.
    pub shed: u64,
    /// Answers of other kinds, by the protocol's name.
    pub refused: BTreeMap<String, u64>,
    /// From sending to the whole answer; answered as asked only. HDR V2, base64, nanoseconds. Answers that came after the
    /// end of measuring are in here and not in `ok`: they are those that took longest.
    pub service: histogram::Encoded,
    /// From the intended time to the whole answer, of the same answers; empty in a closed loop.
    pub response: histogram::Encoded,
    /// From the intended time to sending: the generator's own lateness; empty in a closed loop.
    pub lag: histogram::Encoded,
    /// From sending to answers that were refused (busy ones too).
    pub refusal: histogram::Encoded,
}

/// One second.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Second {
    /// Its end, from the start of the round.
    pub at_seconds: f64,
    /// How long it was.
    pub seconds: f64,
    /// Answered as asked, of the first stream.
    pub ok: u64,
    /// Refused, wrong or lost.
    pub not_ok: u64,
    /// Never sent.
    pub shed: u64,
    /// Latency in microseconds: response in an open loop, service in a closed one.
    pub p50_us: f64,
    /// The same.
    pub p99_us: f64,
    /// The same.
    pub max_us: f64,
    /// CPU time of the server in microseconds, if it is local.
    pub server_cpu_us: Option<f64>,
}

/// What a process took while a round was measured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// CPU time of all threads, in seconds (schedstat).
    pub cpu_seconds: f64,
    /// How long its threads were ready and did not run.
    pub wait_seconds: f64,
    /// The busiest thread's CPU time.
    pub busiest_thread_seconds: f64,
    /// CPU seconds by name of thread.
    pub threads: BTreeMap<String, f64>,
    /// CPU time of all threads for each request that was answered as asked, in microseconds.
    pub cpu_us_per_request: f64,
    /// Bytes that its reads took from devices.
    pub read_bytes: u64,
    /// Bytes of pages that it made dirty: an upper bound of what it had written. Kernels that keep files in large folios
    /// count a whole one for a byte.
    pub dirtied_bytes: u64,
    /// What the device did under --data, if that was given.
    pub device: Option<DeviceWork>,
    /// Context switches, of its own will and not.
    pub switches: u64,
    /// Resident memory at the end, in bytes, and at most.
    pub resident_bytes: u64,
    /// The most that was resident.
    pub resident_bytes_max: u64,
    /// Syncs of data that the server counted itself, if it tells.
    pub syncs: Option<u64>,
}

/// What a device did, for all processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceWork {
    /// Reads.
    pub reads: u64,
    /// Bytes in them.
    pub read_bytes: u64,
    /// Writes.
    pub writes: u64,
    /// Bytes in them.
    pub written_bytes: u64,
}

impl DeviceWork {
    /// Both, one after the other.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    /// What was done since.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        self.with(earlier, u64::saturating_sub)
    }

    fn with(self, other: Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            reads: of(self.reads, other.reads),
            read_bytes: of(self.read_bytes, other.read_bytes),
            writes: of(self.writes, other.writes),
            written_bytes: of(self.written_bytes, other.written_bytes),
        }
    }
}

/// What was seen at one rate.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Requests a second that were meant to be sent.
    pub offered: f64,
    /// Requests a second that were answered as asked.
    pub achieved: f64,
    /// Response time in microseconds.
    pub p50_us: f64,
    /// The same.
    pub p99_us: f64,
    /// The same.
    pub p999_us: f64,
    /// CPU time of the server for a request, in microseconds.
    pub server_cpu_us: Option<f64>,
    /// Whether the objective was kept.
    pub is_kept: bool,
    /// Why not.
    pub why: String,
}

/// What is not to be believed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doubt {
    /// A word for it: "generator-bound", "lag", "lost", "wrong", "short", "contended".
    pub name: String,
    /// What was seen, with figures.
    pub detail: String,
    /// Which figures it spoils: rate, latency, cost. Empty for a remark.
    pub spoils: Vec<String>,
}

/// Something that happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Seconds from the start of its round's measuring; below zero in the warm-up.
    pub at_seconds: f64,
    /// What.
    pub what: String,
}

impl Requests {
    /// Its histograms by name.
    #[must_use]
    pub fn histograms(&self) -> [(&'static str, &histogram::Encoded); 4] {
        [("service", &self.service), ("response", &self.response), ("lag", &self.lag), ("refusal", &self.refusal)]
    }
}

impl Record {
    /// Whether a figure ("rate", "latency", "cost") may be believed.
    #[must_use]
    pub fn is_valid_for(&self, figure: &str) -> bool {
        self.doubts.iter().all(|doubt| doubt.spoils.iter().all(|spoiled| spoiled != figure))
    }
}
