//! The node's metrics as OpenMetrics text, for scrapers.
//!
//! Made on a processor's thread from numbers that were copied before: no file and no wait. Always: names and units are by the
//! conventions of Prometheus, a counter never falls while the process lives, and no label has more values than the node has
//! disks, methods or statuses. `info` is told as a gauge, which scrapers that know the older text format read as well.

mod disks;
mod families;
mod names;
mod node;
mod requests;

use crate::base::budget::Budget;
use crate::base::ids::{ClusterId, NodeId};
use crate::io::DiskReport;
use crate::master::MasterReport;
use crate::metrics::NodeMetrics;
use bytes::Bytes;
use families::{Families, Family};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What a text of a node with one disk takes, about: the first allocation.
const TEXT_BYTES: usize = 64 << 10;

/// Milliseconds as the seconds of Prometheus.
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1e3
}

/// What is told: copies, and groups of atomics.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) identity: (ClusterId, NodeId),
    /// Milliseconds since 1970, UTC.
    pub(super) started_ms: u64,
    pub(super) scrub_period: Duration,
    pub(super) metrics: Arc<NodeMetrics>,
    /// Of bodies coming in, and of replies going out.
    pub(super) budgets: [Arc<Budget>; 2],
    pub(super) pool_kept_bytes: usize,
    pub(super) cache_bytes: u64,
    pub(super) connections_open: usize,
    /// What is in each stage now.
    pub(super) depths: [(&'static str, u64); 7],
    /// In the order of the directories, as the disks of `metrics` are.
    pub(super) disks: Vec<DiskReport>,
    pub(super) names: MasterReport,
    pub(super) log_lines_dropped: u64,
}

/// The text.
pub(super) fn render(facts: Facts) -> Bytes {
    let mut registry = Registry::with_prefix("larder");
    registry.register_collector(Box::new(Exposition(facts)));
    let mut told = String::with_capacity(TEXT_BYTES);
    text::encode(&mut told, &registry).expect("a string takes what is written to it");
    told.into()
}

#[derive(Debug)]
struct Exposition(Facts);

impl Collector for Exposition {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(facts) = self;
        let mut families = Families::new(encoder);
        node::tell(facts, &mut families)?;
        requests::tell(facts, &mut families)?;
        disks::tell(facts, &mut families)?;
        names::tell(facts, &mut families)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::budget::Budget;
    use crate::metrics::{DiskMetrics, HttpMethod, HttpWork, ProcessorMetrics};

    fn facts(disks: Vec<DiskReport>) -> Facts {
        let metrics = NodeMetrics {
            processors: (0..2).map(|_| Arc::<ProcessorMetrics>::default()).collect(),
            disks: disks.iter().map(|_| Arc::<DiskMetrics>::default()).collect(),
            ..NodeMetrics::default()
        };
        Facts {
            identity: (ClusterId(1), NodeId(2)),
            started_ms: 1_700_000_000_500,
            scrub_period: Duration::from_secs(14 * 86_400),
            metrics: Arc::new(metrics),
            budgets: [Budget::new(1 << 20), Budget::new(2 << 20)],
            pool_kept_bytes: 3,
            cache_bytes: 4,
            connections_open: 5,
            depths: ["inbox", "parse", "disk_queue", "disk", "completion", "outside", "send"].map(|stage| (stage, 6)),
            disks,
            names: MasterReport { state: "serving", role: "leader", files: 7, ..MasterReport::default() },
            log_lines_dropped: 8,
        }
    }

    fn disk(place: &str) -> DiskReport {
        DiskReport { place: place.to_string(), ..DiskReport::default() }
    }

    fn told(facts: Facts) -> String {
        String::from_utf8(render(facts).to_vec()).unwrap()
    }

    #[test]
    fn processors_are_summed() {
        let facts = facts(vec![disk("/data/1")]);
        for processor in &facts.metrics.processors {
            processor.http.request(HttpMethod::Get, 206);
            processor.http.request(HttpMethod::Other, 418);
            processor.http.sent(HttpMethod::Get, 1000);
            processor.http.received(HttpMethod::Put, 10);
            processor.http.whole(HttpWork::Write).record(70_000);
            processor.turn.record(20_000_000_000);
        }
        let told = told(facts);
        for line in [
            "larder_http_requests_total{method=\"GET\",status=\"206\"} 2",
            "larder_http_requests_total{method=\"other\",status=\"other\"} 2",
            "larder_http_requests_total{method=\"HEAD\",status=\"200\"} 0",
            "larder_http_sent_bytes_total{method=\"GET\"} 2000",
            "larder_http_received_bytes_total{method=\"PUT\"} 20",
            "larder_http_request_seconds_bucket{le=\"0.00005\",work=\"write\"} 0",
            "larder_http_request_seconds_bucket{le=\"0.0001\",work=\"write\"} 2",
            "larder_http_request_seconds_bucket{le=\"+Inf\",work=\"write\"} 2",
            "larder_http_request_seconds_count{work=\"write\"} 2",
            "larder_http_request_seconds_sum{work=\"write\"} 0.00014",
            "larder_turn_seconds_bucket{le=\"10.0\"} 0",
            "larder_turn_seconds_bucket{le=\"+Inf\"} 2",
            "larder_start_time_seconds 1700000000.5",
            "larder_names_state{state=\"serving\"} 1",
            "larder_names_state{state=\"out\"} 0",
            "larder_names_files 7",
        ] {
            assert!(told.lines().any(|found| found == line), "{line} is not in\n{told}");
        }
        assert!(told.ends_with("\n# EOF\n"));
    }

    #[test]
    fn places_are_escaped_and_told_apart() {
        let told = told(facts(vec![disk("memory"), disk("memory"), disk("/a \"b\"\\\n")]));
        for line in [
            "larder_disk_free_bytes{disk=\"memory\"} 0",
            "larder_disk_free_bytes{disk=\"memory#1\"} 0",
            "larder_disk_free_bytes{disk=\"/a \\\"b\\\"\\\\\\n\"} 0",
        ] {
            assert!(told.lines().any(|found| found == line), "{line} is not in\n{told}");
        }
    }

    #[test]
    fn a_node_without_names_tells_no_numbers_of_them() {
        let names = MasterReport { state: "none", ..MasterReport::default() };
        let told = told(Facts { names, ..facts(vec![disk("/data/1")]) });
        let names: Vec<_> = told.lines().filter(|line| line.starts_with("larder_names_")).collect();
        assert_eq!(names.len(), 5, "{names:?}");
        assert!(names.contains(&"larder_names_state{state=\"none\"} 1"));
    }
}
