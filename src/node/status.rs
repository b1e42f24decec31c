//! The node at a glance, as JSON: counters, gauges, the histogram of each stage, memory, disks.
//!
//! Made on a processor thread when a client asks: copies of histograms and loads of atomics, no file and no wait.

use super::exposition::{self, Facts};
use super::readiness;
use crate::base::budget::Budget;
use crate::base::buffers::BufferPool;
use crate::base::clock::Clock;
use crate::base::ids::{ClusterId, NodeId};
use crate::handler::StatusSource;
use crate::io::{DiskReport, Disks};
use crate::master::Master;
use crate::metrics::{Counter, Histogram, NodeMetrics, Stage};
use crate::net::{Inbox, Quota};
use crate::request::Status;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What the description is made of.
pub(super) struct Parts {
    pub(super) address: SocketAddr,
    pub(super) identity: (ClusterId, NodeId),
    pub(super) metrics: Arc<NodeMetrics>,
    /// Of bodies coming in, and of replies going out.
    pub(super) budgets: [Arc<Budget>; 2],
    pub(super) pool: Arc<BufferPool>,
    pub(super) quota: Arc<Quota>,
    pub(super) log_dropped: Arc<Counter>,
    pub(super) master: Arc<Master>,
    /// Zero: only by hand.
    pub(super) scrub_period: Duration,
}

pub(super) struct NodeStatus {
    parts: Parts,
    started: Instant,
    /// The same in milliseconds since 1970, UTC.
    started_ms: u64,
    stopping: AtomicBool,
    inboxes: Mutex<Vec<Inbox>>,
    described: Told,
    exposed: Told,
}

/// A description costs about a millisecond of a processor, so clients that ask more often are told the same again.
const DESCRIBED_AGAIN_FOR: Duration = Duration::from_millis(50);

/// Metrics are more, and no scraper asks for them more often.
const EXPOSED_AGAIN_FOR: Duration = Duration::from_secs(1);

/// What was told last, and when. The lock is held over the copying of numbers, never over a wait.
#[derive(Default)]
struct Told(Mutex<Option<(Instant, Bytes)>>);

impl Told {
    fn again(&self, fresh_for: Duration, make: impl FnOnce() -> Bytes) -> Bytes {
        let now = Instant::now();
        let mut told = self.0.lock();
        match &*told {
            Some((at, text)) if now < *at + fresh_for => text.clone(),
            _ => {
                let text = make();
                *told = Some((now, text.clone()));
                text
            }
        }
    }
}

impl StatusSource for NodeStatus {
    fn describe(&self, disks: &Disks) -> Bytes {
        self.described.again(DESCRIBED_AGAIN_FOR, || Bytes::from(self.value(disks).to_string()))
    }

    fn metrics(&self, disks: &Disks) -> Bytes {
        self.exposed.again(EXPOSED_AGAIN_FOR, || self.exposition(disks))
    }

    fn ready(&self, disks: &Disks) -> Result<Bytes, String> {
        let master = &self.parts.master;
        let names = master.is_kept().then(|| master.is_well());
        readiness::judge(self.stopping.load(Ordering::Acquire), disks.states(), names)
    }
}

impl NodeStatus {
    pub(super) fn new(parts: Parts, clock: &dyn Clock) -> Self {
        Self {
            parts,
            started: Instant::now(),
            started_ms: clock.wall_ms(),
            stopping: AtomicBool::new(false),
            inboxes: Mutex::default(),
            described: Told::default(),
            exposed: Told::default(),
        }
    }

    /// Also describes what waits for these processors.
    pub(super) fn watch(&self, inboxes: Vec<Inbox>) {
        *self.inboxes.lock() = inboxes;
    }

    /// From now on the node is not ready.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// The metrics as they are now.
    pub(super) fn exposition(&self, disks: &Disks) -> Bytes {
        let parts = &self.parts;
        let reports = disks.reports();
        exposition::render(Facts {
            identity: parts.identity,
            started_ms: self.started_ms,
            scrub_period: parts.scrub_period,
            metrics: Arc::clone(&parts.metrics),
            budgets: parts.budgets.clone(),
            pool_kept_bytes: parts.pool.kept(),
            cache_bytes: disks.cache_bytes(),
            connections_open: parts.quota.total(),
            depths: self.depths(&reports),
            disks: reports,
            names: parts.master.report(),
            log_lines_dropped: parts.log_dropped.value(),
        })
    }

    pub(super) fn value(&self, disks: &Disks) -> Value {
        let reports = disks.reports();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "cluster": self.parts.identity.0.to_string(),
            "node": self.parts.identity.1.to_string(),
            "listen": self.parts.address.to_string(),
            "uptime_s": self.started.elapsed().as_secs(),
            "processors": self.parts.metrics.processors.len(),
            "requests": self.requests(),
            "answers": self.answers(),
            "connections": self.connections(),
            "queues": self.queues(&reports),
            "stages": self.stages(),
            "turns": Histogram::merged(self.parts.metrics.processors.iter().map(|processor| &processor.turn)),
            "memory": self.memory(disks),
            "access_log_lines_dropped": self.parts.metrics.access_log_dropped.value(),
            "log_lines_dropped": self.parts.log_dropped.value(),
            "disks": reports,
            "master": self.parts.master.report(),
        })
    }

    fn requests(&self) -> Value {
        let metrics = &self.parts.metrics;
        json!({
            "accepted": metrics.sum(|processor| &processor.accepted),
            "answered": metrics.sum(|processor| &processor.answered),
            "rejected": metrics.sum(|processor| &processor.rejected),
            "abandoned": metrics.sum(|processor| &processor.abandoned),
            "in_flight": metrics.total(|processor| &processor.in_flight),
            "received_bytes": metrics.sum(|processor| &processor.received_bytes),
            "sent_bytes": metrics.sum(|processor| &processor.sent_bytes),
        })
    }

    fn answers(&self) -> Value {
        let metrics = &self.parts.metrics;
        let count = |status: Status| metrics.sum(|processor| processor.by_status.of(status.code()));
        Value::Object(
            Status::ALL.into_iter().map(|status| (status.name().to_lowercase(), count(status).into())).collect(),
        )
    }

    fn connections(&self) -> Value {
        let metrics = &self.parts.metrics;
        json!({
            "open": self.parts.quota.total(),
            "registered": metrics.total(|processor| &processor.connections),
            "muted": metrics.total(|processor| &processor.muted),
            "accepted": metrics.connections_accepted.value(),
            "refused": metrics.connections_refused.value(),
            "accept_pauses": metrics.accept_pauses.value(),
            "protocol_errors": metrics.sum(|processor| &processor.protocol_errors),
            "ended_idle": metrics.sum(|processor| &processor.timed_out_idle),
            "ended_slow_head": metrics.sum(|processor| &processor.timed_out_head),
            "ended_slow_body": metrics.sum(|processor| &processor.timed_out_body),
            "ended_slow_reader": metrics.sum(|processor| &processor.timed_out_reader),
        })
    }

    /// The gauge of each stage: what is in it now.
    fn depths(&self, disks: &[DiskReport]) -> [(&'static str, u64); 7] {
        let count = |count: usize| count as u64;
        let gauge = |gauge: i64| u64::try_from(gauge).unwrap_or(0);
        let depths: Vec<_> = self.inboxes.lock().iter().map(Inbox::depths).collect();
        let waiting = count(disks.iter().map(|disk| disk.read_queue + disk.append_queue).sum());
        let outstanding = gauge(disks.iter().map(|disk| disk.reads_outstanding + disk.appends_outstanding).sum());
        let metrics = &self.parts.metrics;
        [
            ("inbox", count(depths.iter().map(|(inbox, _, _)| inbox).sum())),
            ("parse", gauge(metrics.total(|processor| &processor.parsing))),
            ("disk_queue", waiting),
            ("disk", outstanding.saturating_sub(waiting)),
            ("completion", count(depths.iter().map(|(_, waiting, _)| waiting).sum())),
            ("outside", count(depths.iter().map(|(_, _, taken)| taken).sum())),
            ("send", gauge(metrics.total(|processor| &processor.sending))),
        ]
    }

    fn queues(&self, disks: &[DiskReport]) -> Value {
        Value::Object(self.depths(disks).into_iter().map(|(stage, depth)| (stage.to_string(), depth.into())).collect())
    }

    fn stages(&self) -> Value {
        let stage =
            |stage: Stage| (stage.name().to_string(), json!(Histogram::merged(self.parts.metrics.of_stage(stage))));
        Value::Object(Stage::ALL.into_iter().map(stage).collect::<Map<_, _>>())
    }

    fn memory(&self, disks: &Disks) -> Value {
        let budget = |budget: &Budget| {
            json!({
                "capacity_bytes": budget.capacity(),
                "used_bytes": budget.used(),
                "peak_bytes": budget.peak(),
                "waiting": budget.waiting(),
            })
        };
        json!({
            "budget_in": budget(&self.parts.budgets[0]),
            "budget_out": budget(&self.parts.budgets[1]),
            "pool_kept_bytes": self.parts.pool.kept(),
            "cache_bytes": disks.cache_bytes(),
        })
    }
}
