//! The disks, each by its directory. Pure.
//!
//! A disk that was left out at start tells its state, and zeros.

use super::{Facts, Families, Family, seconds};
use crate::io::{DiskReport, DiskState, Entered, ScrubState};
use crate::metrics::DiskMetrics;
use prometheus_client::encoding::{EncodeCounterValue, EncodeGaugeValue};
use std::fmt;

const STATES: [&str; 4] = ["healthy", "full", "suspect", "failed"];
const SCRUB_STATES: [&str; 4] = ["off", "resting", "running", "now"];

pub(super) fn tell(facts: &Facts, families: &mut Families<'_>) -> fmt::Result {
    let disks = &told(facts);
    let mut disks = Disks { disks, families };
    disks.tell_state()?;
    disks.tell_room()?;
    disks.tell_reads()?;
    disks.tell_appends()?;
    disks.tell_queues()?;
    disks.tell_trouble()?;
    disks.tell_scrub()?;
    disks.tell_compaction()
}

/// A disk, and where its numbers are.
struct Told<'a> {
    /// Its directory. Two disks in one place, as tests have them, are told apart by their number.
    label: String,
    report: &'a DiskReport,
    metrics: &'a DiskMetrics,
}

fn told(facts: &Facts) -> Vec<Told<'_>> {
    let mut disks: Vec<Told<'_>> = Vec::with_capacity(facts.disks.len());
    for (number, (report, metrics)) in facts.disks.iter().zip(&facts.metrics.disks).enumerate() {
        let taken = disks.iter().any(|disk| disk.label == report.place);
        let label = if taken { format!("{}#{number}", report.place) } else { report.place.clone() };
        disks.push(Told { label, report, metrics });
    }
    disks
}

struct Disks<'a, 'f, 'e> {
    disks: &'a [Told<'a>],
    families: &'f mut Families<'e>,
}

impl Disks<'_, '_, '_> {
    fn gauge<V: EncodeGaugeValue>(&mut self, family: Family, value: impl Fn(&Told<'_>) -> V) -> fmt::Result {
        self.families.gauges(family, self.disks.iter().map(|disk| ([("disk", disk.label.as_str())], value(disk))))
    }

    fn counter<V: EncodeCounterValue>(&mut self, family: Family, value: impl Fn(&Told<'_>) -> V) -> fmt::Result {
        self.families.counters(family, self.disks.iter().map(|disk| ([("disk", disk.label.as_str())], value(disk))))
    }

    /// One gauge for each value of a further label.
    fn gauges<const N: usize, V: EncodeGaugeValue>(
        &mut self,
        family: Family,
        label: &'static str,
        values: impl Fn(&Told<'_>) -> [(&'static str, V); N],
    ) -> fmt::Result {
        let of = |disk| values(disk).map(|(value, number)| ([("disk", disk.label.as_str()), (label, value)], number));
        self.families.gauges(family, self.disks.iter().flat_map(of))
    }

    /// One counter for each value of a further label.
    fn counters<const N: usize, V: EncodeCounterValue>(
        &mut self,
        family: Family,
        label: &'static str,
        values: impl Fn(&Told<'_>) -> [(&'static str, V); N],
    ) -> fmt::Result {
        let of = |disk| values(disk).map(|(value, number)| ([("disk", disk.label.as_str()), (label, value)], number));
        self.families.counters(family, self.disks.iter().flat_map(of))
    }

    fn tell_state(&mut self) -> fmt::Result {
        self.gauges(("disk_state", "1 at the state of the disk"), "state", |disk| {
            STATES.map(|state| (state, u64::from(state == state_name(disk.report.state))))
        })?;
        self.counters(("disk_entered", "Times that the disk came into a state"), "state", |disk| {
            let Entered { healthy, full, suspect, failed } = disk.report.entered;
            [("healthy", healthy), ("full", full), ("suspect", suspect), ("failed", failed)]
        })?;
        self.gauge(("disk_left_out", "1 when the disk could not be opened at start"), |disk| {
            u64::from(disk.report.left_out)
        })
    }

    fn tell_room(&mut self) -> fmt::Result {
        self.gauge(("disk_total_bytes", "Room of the file system"), |disk| disk.report.total_bytes)?;
        self.gauge(("disk_free_bytes", "Free room of the file system that objects may take"), |disk| {
            disk.report.free_bytes
        })?;
        self.gauge(("disk_reserve_bytes", "Room that is kept for compaction and deletes"), |disk| {
            disk.report.reserve_bytes
        })?;
        self.gauge(("disk_volumes", "Volumes"), |disk| disk.report.store.volumes)?;
        self.gauge(("disk_segments", "Segments"), |disk| disk.report.store.segments)?;
        self.gauge(("disk_segment_bytes", "Bytes of all segments up to their ends"), |disk| {
            disk.report.store.segment_bytes
        })?;
        self.gauge(("disk_objects", "Objects that can be read"), |disk| disk.report.store.objects)?;
        self.gauge(("disk_object_bytes", "Bytes that they take"), |disk| disk.report.store.object_bytes)?;
        self.gauge(("disk_deleted_objects", "Objects that are deleted and still take room"), |disk| {
            disk.report.store.deleted
        })?;
        self.gauge(("disk_deleted_bytes", "Bytes that they take"), |disk| disk.report.store.deleted_bytes)?;
        self.gauge(("disk_index_bytes", "Memory of the index"), |disk| disk.report.store.index_bytes)
    }

    fn tell_reads(&mut self) -> fmt::Result {
        let family = (
            "disk_reads",
            "Reads by where they were answered: from the cache of verified blocks, from the page cache at once, or by a job",
        );
        self.counters(family, "way", |disk| {
            [
                ("cache", disk.report.cache_hits),
                ("inline", disk.report.inline_hits),
                ("job", disk.report.inline_misses + disk.report.inline_skips),
            ]
        })?;
        self.counter(("disk_inline_misses", "Reads that were tried at once and found a page missing"), |disk| {
            disk.report.inline_misses
        })
    }

    fn tell_appends(&mut self) -> fmt::Result {
        self.counter(("disk_append_groups", "Groups of appends, each written at once"), |disk| disk.report.groups)?;
        self.counter(("disk_appended_objects", "Objects in them"), |disk| disk.report.needles)?;
        self.counter(("disk_appended_bytes", "Bytes of their content"), |disk| disk.report.appended_bytes)?;
        self.counter(("disk_syncs", "Syncs of segments"), |disk| disk.report.syncs)
    }

    fn tell_queues(&mut self) -> fmt::Result {
        self.gauges(("disk_queue_depth", "Jobs that wait"), "queue", |disk| {
            [("read", disk.report.read_queue as u64), ("append", disk.report.append_queue as u64)]
        })?;
        self.gauges(("disk_outstanding", "Jobs that wait or are under way"), "queue", |disk| {
            let count = |gauge: i64| u64::try_from(gauge).unwrap_or(0);
            [("read", count(disk.report.reads_outstanding)), ("append", count(disk.report.appends_outstanding))]
        })?;
        self.gauges(("disk_held_bytes", "What its jobs hold of the budgets"), "budget", |disk| {
            [("in", disk.report.held_in_bytes as u64), ("out", disk.report.held_out_bytes as u64)]
        })?;
        self.gauge(("disk_oldest_read_seconds", "How long the oldest read has been worked on"), |disk| {
            disk.report.oldest_read_us as f64 / 1e6
        })?;
        self.counters(("disk_jobs", "Jobs that were done"), "job", |disk| {
            [("read", disk.metrics.read.buckets().count()), ("append", disk.metrics.append.buckets().count())]
        })?;
        self.counters(("disk_job_seconds", "Time that was spent on jobs"), "job", |disk| {
            [("read", disk.metrics.read.buckets().sum_s()), ("append", disk.metrics.append.buckets().sum_s())]
        })?;
        self.counters(("disk_job_wait_seconds", "Time that jobs waited before"), "job", |disk| {
            [("read", disk.metrics.read_wait.buckets().sum_s()), ("append", disk.metrics.append_wait.buckets().sum_s())]
        })
    }

    fn tell_trouble(&mut self) -> fmt::Result {
        self.counter(("disk_errors", "Errors that the disk reported"), |disk| disk.report.errors)?;
        self.counter(("disk_damaged_reads", "Reads that failed their checksum"), |disk| disk.report.damaged)?;
        self.gauge(("disk_damaged_objects", "Objects that do not verify"), |disk| disk.report.store.damaged)?;
        self.gauge(("disk_findings", "Files that opening found wrong, at most 32 of them"), |disk| {
            disk.report.findings.len() as u64
        })?;
        self.counter(("disk_refused", "Jobs that found a full queue"), |disk| disk.report.refused_full)?;
        self.counter(("disk_expired", "Jobs whose deadline passed before they were begun"), |disk| disk.report.expired)
    }

    fn tell_scrub(&mut self) -> fmt::Result {
        self.gauges(("disk_scrub_state", "1 at what the scrub does"), "state", |disk| {
            SCRUB_STATES.map(|state| (state, u64::from(state == scrub_name(disk.report.scrub.state))))
        })?;
        self.gauge(("disk_scrub_checked_bytes", "Bytes that the current pass has checked"), |disk| {
            disk.report.scrub.checked_bytes
        })?;
        self.gauge(("disk_scrub_pass_bytes", "Bytes that the current pass is to check"), |disk| {
            disk.report.scrub.pass_bytes
        })?;
        self.gauge(("disk_scrub_begun_timestamp_seconds", "When the current pass began; 0 is never"), |disk| {
            seconds(disk.report.scrub.begun_ms)
        })?;
        self.gauge(("disk_scrub_completed_timestamp_seconds", "When the last pass ended; 0 is never"), |disk| {
            seconds(disk.report.scrub.completed_ms)
        })?;
        self.gauge(("disk_scrub_last_findings", "What the last pass that ended has found"), |disk| {
            disk.report.scrub.completed_findings
        })?;
        self.counter(("disk_scrub_findings", "What the scrub has found"), |disk| disk.metrics.scrub_findings.value())?;
        self.counter(("disk_scrub_marked_objects", "Objects that the scrub marked damaged"), |disk| {
            disk.report.scrub.needles_marked
        })?;
        self.counter(("disk_scrub_read_bytes", "Bytes that the scrub has read"), |disk| disk.report.scrub.read_bytes)?;
        self.counter(("disk_collected_objects", "Chunks of uploads that never ended, deleted"), |disk| {
            disk.report.scrub.collected
        })?;
        self.counter(("disk_collected_bytes", "Bytes of their content"), |disk| disk.report.scrub.collected_bytes)
    }

    fn tell_compaction(&mut self) -> fmt::Result {
        self.counter(("disk_compaction_segments", "Segments that compaction replaced"), |disk| {
            disk.report.compaction.segments_replaced
        })?;
        self.counter(("disk_compaction_copied_bytes", "Bytes that it copied"), |disk| {
            disk.report.compaction.copied_bytes
        })?;
        self.counter(("disk_compaction_replaced_bytes", "Bytes of what it replaced"), |disk| {
            disk.report.compaction.replaced_bytes
        })?;
        self.counter(("disk_compaction_given_up", "Pieces of its work that were given up"), |disk| {
            disk.report.compaction.given_up
        })
    }
}

fn state_name(state: DiskState) -> &'static str {
    match state {
        DiskState::Healthy => "healthy",
        DiskState::Full => "full",
        DiskState::Suspect => "suspect",
        DiskState::Failed => "failed",
    }
}

fn scrub_name(state: ScrubState) -> &'static str {
    match state {
        ScrubState::Off => "off",
        ScrubState::Resting => "resting",
        ScrubState::Running => "running",
        ScrubState::Now => "now",
    }
}
