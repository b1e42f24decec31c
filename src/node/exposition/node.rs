//! The node itself: what it is, its memory, its log. Pure.

use super::{Facts, Families, seconds};
use crate::base::budget::Budget;
use std::fmt;

pub(super) fn tell(facts: &Facts, families: &mut Families<'_>) -> fmt::Result {
    let (cluster, node) = (facts.identity.0.to_string(), facts.identity.1.to_string());
    families
        .gauges(("build_info", "The program, by its version"), [([("version", env!("CARGO_PKG_VERSION"))], 1_u64)])?;
    families.gauges(
        ("node_info", "The node, by the ids of its cluster and its own"),
        [([("cluster", cluster.as_str()), ("node", node.as_str())], 1_u64)],
    )?;
    families.gauge(("start_time_seconds", "When the node started, since 1970 in UTC"), seconds(facts.started_ms))?;
    families.gauge(("processors", "Threads that own connections"), facts.metrics.processors.len())?;
    families.gauge(
        ("scrub_period_seconds", "Time within which each disk is to be scrubbed; 0 when only by hand"),
        facts.scrub_period.as_secs_f64(),
    )?;
    families.counter(("log_lines_dropped", "Log lines that found no room in the queue"), facts.log_lines_dropped)?;
    families.gauge(("pool_kept_bytes", "Buffers that are kept for reuse"), facts.pool_kept_bytes)?;
    families.gauge(("cache_bytes", "Content in the cache of verified blocks"), facts.cache_bytes)?;
    tell_budgets(facts, families)
}

fn tell_budgets(facts: &Facts, families: &mut Families<'_>) -> fmt::Result {
    let [input, output] = &facts.budgets;
    let each = |of: fn(&Budget) -> usize| [([("budget", "in")], of(input)), ([("budget", "out")], of(output))];
    families.gauges(
        ("budget_capacity_bytes", "Bytes that may be held at once, of bodies or replies"),
        each(Budget::capacity),
    )?;
    families.gauges(("budget_used_bytes", "Bytes that are held"), each(Budget::used))?;
    families.gauges(("budget_peak_bytes", "The most that was held since the start"), each(Budget::peak))?;
    families.gauges(("budget_waiting", "Connections that wait for room"), each(Budget::waiting))
}
