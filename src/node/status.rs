//! The node at a glance, as JSON: counters, gauges, the histogram of each stage, memory, disks.
//!
//! Made on a processor thread when a client asks: copies of histograms and loads of atomics, no file and no wait.

use crate::base::budget::Budget;
use crate::base::buffers::BufferPool;
use crate::base::ids::{ClusterId, NodeId};
use crate::handler::StatusSource;
use crate::io::{DiskReport, Disks};
use crate::master::Master;
use crate::metrics::{Counter, Gauge, Histogram, NodeMetrics, ProcessorMetrics, Stage, Summary};
use crate::net::{Inbox, Quota};
use crate::request::Status;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) struct NodeStatus {
    address: SocketAddr,
    cluster: ClusterId,
    node: NodeId,
    started: Instant,
    metrics: Arc<NodeMetrics>,
    budgets: [Arc<Budget>; 2],
    pool: Arc<BufferPool>,
    quota: Arc<Quota>,
    log_dropped: Arc<Counter>,
    master: Arc<Master>,
    inboxes: Mutex<Vec<Inbox>>,
    /// What was told last, and when. The lock is held over the copying of histograms, never over a wait.
    told: Mutex<Option<(Instant, Bytes)>>,
}

/// A description costs about a millisecond of a processor, so clients that ask more often are told the same again.
const TOLD_AGAIN_FOR: Duration = Duration::from_millis(50);

impl StatusSource for NodeStatus {
    fn describe(&self, disks: &Disks) -> Bytes {
        let now = Instant::now();
        let mut told = self.told.lock();
        match &*told {
            Some((at, text)) if now < *at + TOLD_AGAIN_FOR => text.clone(),
            _ => {
                let text = Bytes::from(self.value(disks).to_string());
                *told = Some((now, text.clone()));
                text
            }
        }
    }
}

impl NodeStatus {
    pub(super) fn new(
        address: SocketAddr,
        (cluster, node): (ClusterId, NodeId),
        metrics: Arc<NodeMetrics>,
        (budgets, pool): ([Arc<Budget>; 2], Arc<BufferPool>),
        quota: Arc<Quota>,
        log_dropped: Arc<Counter>,
        master: Arc<Master>,
    ) -> Self {
        let started = Instant::now();
        let inboxes = Mutex::default();
        Self {
            address,
            cluster,
            node,
            started,
            metrics,
            budgets,
            pool,
            quota,
            log_dropped,
            master,
            inboxes,
            told: Mutex::default(),
        }
    }

    /// Also describes what waits for these processors.
    pub(super) fn watch(&self, inboxes: Vec<Inbox>) {
        *self.inboxes.lock() = inboxes;
    }

    pub(super) fn value(&self, disks: &Disks) -> Value {
        let reports = disks.reports();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "cluster": self.cluster.to_string(),
            "node": self.node.to_string(),
            "listen": self.address.to_string(),
            "uptime_s": self.started.elapsed().as_secs(),
            "processors": self.metrics.processors.len(),
            "requests": self.requests(),
            "answers": self.answers(),
            "connections": self.connections(),
            "queues": self.queues(&reports),
            "stages": self.stages(),
            "turns": self.merged(|processor| &processor.turn),
            "memory": self.memory(disks),
            "log_lines_dropped": self.log_dropped.value(),
            "access_log_lines_dropped": self.metrics.access_log_dropped.value(),
            "disks": reports,
            "master": self.master.report(),
        })
    }

    fn sum(&self, counter: impl Fn(&ProcessorMetrics) -> &Counter) -> u64 {
        self.metrics.processors.iter().map(|processor| counter(processor).value()).sum()
    }

    fn total(&self, gauge: impl Fn(&ProcessorMetrics) -> &Gauge) -> i64 {
        self.metrics.processors.iter().map(|processor| gauge(processor).value()).sum()
    }

    fn merged(&self, histogram: impl Fn(&ProcessorMetrics) -> &Histogram) -> Summary {
        Histogram::merged(self.metrics.processors.iter().map(|processor| histogram(processor)))
    }

    fn requests(&self) -> Value {
        json!({
            "accepted": self.sum(|processor| &processor.accepted),
            "answered": self.sum(|processor| &processor.answered),
            "rejected": self.sum(|processor| &processor.rejected),
            "abandoned": self.sum(|processor| &processor.abandoned),
            "in_flight": self.total(|processor| &processor.in_flight),
            "received_bytes": self.sum(|processor| &processor.received_bytes),
            "sent_bytes": self.sum(|processor| &processor.sent_bytes),
        })
    }

    fn answers(&self) -> Value {
        let count = |status: Status| self.sum(|processor| processor.by_status.of(status.code()));
        Value::Object(
            Status::ALL.into_iter().map(|status| (status.name().to_lowercase(), count(status).into())).collect(),
        )
    }

    fn connections(&self) -> Value {
        json!({
            "open": self.quota.total(),
            "registered": self.total(|processor| &processor.connections),
            "muted": self.total(|processor| &processor.muted),
            "accepted": self.metrics.connections_accepted.value(),
            "refused": self.metrics.connections_refused.value(),
            "accept_pauses": self.metrics.accept_pauses.value(),
            "protocol_errors": self.sum(|processor| &processor.protocol_errors),
            "ended_idle": self.sum(|processor| &processor.timed_out_idle),
            "ended_slow_head": self.sum(|processor| &processor.timed_out_head),
            "ended_slow_body": self.sum(|processor| &processor.timed_out_body),
            "ended_slow_reader": self.sum(|processor| &processor.timed_out_reader),
        })
    }

    /// The gauge of each stage: what is in it now.
    fn queues(&self, disks: &[DiskReport]) -> Value {
        let depths: Vec<_> = self.inboxes.lock().iter().map(Inbox::depths).collect();
        let waiting: usize = disks.iter().map(|disk| disk.read_queue + disk.append_queue).sum();
        let outstanding: i64 = disks.iter().map(|disk| disk.reads_outstanding + disk.appends_outstanding).sum();
        json!({
            "inbox": depths.iter().map(|(inbox, _, _)| inbox).sum::<usize>(),
            "parse": self.total(|processor| &processor.parsing),
            "disk_queue": waiting,
            "disk": (outstanding - i64::try_from(waiting).unwrap_or(0)).max(0),
            "completion": depths.iter().map(|(_, waiting, _)| waiting).sum::<usize>(),
            "outside": depths.iter().map(|(_, _, taken)| taken).sum::<usize>(),
            "send": self.total(|processor| &processor.sending),
        })
    }

    fn stages(&self) -> Value {
        let disks = |a: fn(&crate::metrics::DiskMetrics) -> [&Histogram; 2]| {
            Histogram::merged(self.metrics.disks.iter().flat_map(|disk| a(disk)))
        };
        let summary = |stage| match stage {
            Stage::Inbox => self.merged(|processor| &processor.inbox),
            Stage::Parse => self.merged(|processor| &processor.parse),
            Stage::DiskQueue => disks(|disk| [&disk.read_wait, &disk.append_wait]),
            Stage::Disk => disks(|disk| [&disk.read, &disk.append]),
            Stage::Completion => self.merged(|processor| &processor.completion),
            Stage::Send => self.merged(|processor| &processor.send),
            Stage::Whole => self.merged(|processor| &processor.whole),
        };
        let stages = Stage::ALL.into_iter().map(|stage| (stage.name().to_string(), json!(summary(stage))));
        Value::Object(stages.collect::<Map<_, _>>())
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
            "budget_in": budget(&self.budgets[0]),
            "budget_out": budget(&self.budgets[1]),
            "pool_kept_bytes": self.pool.kept(),
            "cache_bytes": disks.cache_bytes(),
        })
    }
}
