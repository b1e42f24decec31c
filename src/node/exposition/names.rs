//! Names: what the master holds, and where its time goes. Pure.
//!
//! A node whose master never ran tells its state alone.

use super::{Facts, Families};
use crate::metrics::MasterMetrics;
use std::fmt;

const STATES: [&str; 5] = ["serving", "full", "ended", "out", "none"];
const ROLES: [&str; 5] = ["leader", "elected", "candidate", "follower", "none"];

pub(super) fn tell(facts: &Facts, families: &mut Families<'_>) -> fmt::Result {
    let names = &facts.names;
    families.gauges(
        (
            "names_state",
            "1 at the state of the names; none is a node that is to keep no names, out one that could not open them",
        ),
        STATES.map(|state| ([("state", state)], u64::from(state == names.state))),
    )?;
    if matches!(names.state, "out" | "none") {
        return Ok(());
    }
    families.gauges(
        ("names_role", "1 at the role in consensus"),
        ROLES.map(|role| ([("role", role)], u64::from(role == names.role))),
    )?;
    tell_content(facts, families)?;
    tell_log(facts, families)?;
    tell_work(facts, families)
}

fn tell_content(facts: &Facts, families: &mut Families<'_>) -> fmt::Result {
    let names = &facts.names;
    families.gauge(("names_files", "Files"), names.files)?;
    families.gauge(("names_directories", "Directories"), names.directories)?;
    families.gauge(("names_content_bytes", "Bytes of the content of all files"), names.bytes)?;
    families.counter(("names_changes", "Changes of names, ever"), names.version)?;
    families.gauge(("names_sessions", "Sessions that are open"), names.sessions)?;
    families.gauge(("names_removals", "Removals of directories that go on in the background"), names.removals)?;
    families.gauge(("names_tombstones", "Objects without a name that are to be deleted"), names.tombstones)?;
    families.gauge(("names_hot", "Names in the cache of hot names"), names.hot_names)?;
    families.gauge(("names_hot_bytes", "Memory of the cache of hot names"), names.hot_bytes)?;
    families.counters(
        ("names_lookups", "Lookups by where they were answered: from the hot names, or by a metadata reader"),
        [([("way", "hot")], names.hot_hits), ([("way", "reader")], names.hot_misses)],
    )
}

fn tell_log(facts: &Facts, families: &mut Families<'_>) -> fmt::Result {
    let names = &facts.names;
    families.gauge(("names_term", "The term of consensus"), names.term)?;
    families.gauges(
        ("names_index", "The last entry of the log, the last committed, the last applied, the last in the store"),
        [
            ([("of", "log")], names.log_index),
            ([("of", "committed")], names.committed_index),
            ([("of", "applied")], names.applied_index),
            ([("of", "durable")], names.durable_index),
        ],
    )?;
    families.gauge(("names_log_bytes", "Bytes of the log's files"), names.log_bytes)?;
    families.gauge(("names_state_bytes", "Bytes of the store"), names.state_bytes)?;
    families.gauge(("names_layer_bytes", "Changes in memory that the store does not have yet"), names.layer_bytes)
}

fn tell_work(facts: &Facts, families: &mut Families<'_>) -> fmt::Result {
    let (names, metrics) = (&facts.names, &facts.metrics.master);
    families.counter(("names_commands", "Commands that were proposed"), names.commands)?;
    families.counter(("names_groups", "Groups of commands: entries of the log"), names.groups)?;
    families.counter(("names_syncs", "Syncs of the log"), names.syncs)?;
    families.counter(("names_refused", "Commands and questions that found a full queue"), names.refused_full)?;
    families.gauges(
        ("names_queue_depth", "What waits for the log, and what for a metadata reader"),
        [([("queue", "commands")], names.commands_waiting), ([("queue", "questions")], names.questions_waiting)],
    )?;
    let MasterMetrics { wait, log, apply, checkpoint, read_wait, read, .. } = &**metrics;
    let stages = [
        ("wait", wait),
        ("log", log),
        ("apply", apply),
        ("checkpoint", checkpoint),
        ("read_wait", read_wait),
        ("read", read),
    ];
    families.histograms(
        ("names_stage_seconds", "Time that work on names spends: waiting for the log, in it, being applied, taken to the store; waiting for a reader, read"),
        stages.map(|(stage, histogram)| ([("stage", stage)], histogram.buckets())),
    )
}
