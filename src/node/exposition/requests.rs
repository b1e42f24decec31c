//! Requests of both protocols, connections, and the time that is spent on them. Pure.

use super::{Facts, Families};
use crate::metrics::{Histogram, HttpMethod, HttpMetrics, HttpWork, NodeMetrics, Stage};
use crate::request::Status;
use std::borrow::Cow;
use std::fmt;

pub(super) fn tell(facts: &Facts, families: &mut Families<'_>) -> fmt::Result {
    tell_http(&facts.metrics, families)?;
    tell_requests(&facts.metrics, families)?;
    tell_connections(facts, families)?;
    tell_time(facts, families)
}

fn tell_http(metrics: &NodeMetrics, families: &mut Families<'_>) -> fmt::Result {
    let http = || metrics.processors.iter().map(|processor| &processor.http);
    let mut requests = Vec::new();
    for method in HttpMethod::ALL {
        let mut sums: Vec<(Option<u16>, u64)> = Vec::new();
        for counts in http().map(|http| http.requests(method)) {
            if sums.is_empty() {
                sums.extend(counts);
            } else {
                sums.iter_mut().zip(counts).for_each(|(sum, (_, count))| sum.1 += count);
            }
        }
        let named = |status: Option<u16>| status.map_or(Cow::Borrowed("other"), |code| code.to_string().into());
        requests.extend(sums.into_iter().map(|(status, sum)| (method, named(status), sum)));
    }
    families.counters(
        ("http_requests", "HTTP requests that have ended, by method and status; 499 is a peer that went away"),
        requests.iter().map(|(method, status, sum)| ([("method", method.name()), ("status", &**status)], *sum)),
    )?;
    let bytes = |of: fn(&HttpMetrics, HttpMethod) -> u64| {
        HttpMethod::ALL.map(|method| ([("method", method.name())], http().map(|http| of(http, method)).sum::<u64>()))
    };
    families.counters(
        ("http_received_bytes", "Bytes of bodies of HTTP requests, without framing"),
        bytes(HttpMetrics::received_bytes),
    )?;
    families.counters(("http_sent_bytes", "Bytes of bodies of HTTP answers"), bytes(HttpMetrics::sent_bytes))?;
    families.histograms(
        (
            "http_request_seconds",
            "From the head of an HTTP request to its answer's last byte in the socket, by what it does",
        ),
        HttpWork::ALL
            .map(|work| ([("work", work.name())], Histogram::merged_buckets(http().map(|http| http.whole(work))))),
    )
}

fn tell_requests(metrics: &NodeMetrics, families: &mut Families<'_>) -> fmt::Result {
    families.counter(
        ("requests_accepted", "Whole requests that were decoded"),
        metrics.sum(|processor| &processor.accepted),
    )?;
    families.counters(
        ("requests_ended", "Requests that have ended: carried out or told a fact, refused, or left by their peer"),
        [
            ([("end", "answered")], metrics.sum(|processor| &processor.answered)),
            ([("end", "rejected")], metrics.sum(|processor| &processor.rejected)),
            ([("end", "abandoned")], metrics.sum(|processor| &processor.abandoned)),
        ],
    )?;
    families.gauge(
        ("requests_in_flight", "Requests that have no answer yet"),
        metrics.total(|processor| &processor.in_flight),
    )?;
    let statuses = Status::ALL.map(|status| (status, status.name().to_lowercase()));
    families.counters(
        ("answers", "Answers by the status of the node's own protocol"),
        statuses.iter().map(|(status, name)| {
            ([("status", name.as_str())], metrics.sum(|processor| processor.by_status.of(status.code())))
        }),
    )?;
    families.counter(
        ("received_bytes", "Bytes that came in on all connections"),
        metrics.sum(|processor| &processor.received_bytes),
    )?;
    families.counter(
        ("sent_bytes", "Bytes that went out on all connections"),
        metrics.sum(|processor| &processor.sent_bytes),
    )
}

fn tell_connections(facts: &Facts, families: &mut Families<'_>) -> fmt::Result {
    let metrics = &facts.metrics;
    families.gauge(("connections_open", "Connections that are open"), facts.connections_open)?;
    families.gauge(
        ("connections_muted", "Connections that are left unread until there is room"),
        metrics.total(|processor| &processor.muted),
    )?;
    families.counter(("connections_accepted", "Connections that were taken"), metrics.connections_accepted.value())?;
    families.counter(
        ("connections_refused", "Connections that were closed at once, over a quota"),
        metrics.connections_refused.value(),
    )?;
    families.counter(
        ("accept_pauses", "Times that accepting paused: processors busy, or no descriptor left"),
        metrics.accept_pauses.value(),
    )?;
    families.counters(
        ("connections_ended", "Connections that the node ended, by reason"),
        [
            ([("reason", "idle")], metrics.sum(|processor| &processor.timed_out_idle)),
            ([("reason", "slow_head")], metrics.sum(|processor| &processor.timed_out_head)),
            ([("reason", "slow_body")], metrics.sum(|processor| &processor.timed_out_body)),
            ([("reason", "slow_reader")], metrics.sum(|processor| &processor.timed_out_reader)),
            ([("reason", "protocol_error")], metrics.sum(|processor| &processor.protocol_errors)),
        ],
    )
}

fn tell_time(facts: &Facts, families: &mut Families<'_>) -> fmt::Result {
    let metrics = &facts.metrics;
    families.histograms(
        ("turn_seconds", "Length of a processor's turn, in which it serves all connections that have something to do"),
        [([], Histogram::merged_buckets(metrics.processors.iter().map(|processor| &processor.turn)))],
    )?;
    families.histograms(
        ("stage_seconds", "Time that a request spends in a stage; whole is all of it"),
        Stage::ALL.map(|stage| ([("stage", stage.name())], Histogram::merged_buckets(metrics.of_stage(stage)))),
    )?;
    families.gauges(
        ("queue_depth", "What is in each stage now; outside is all that the processors wait for"),
        facts.depths.map(|(stage, depth)| ([("stage", stage)], depth)),
    )
}
