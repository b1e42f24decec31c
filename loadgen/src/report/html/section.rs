//! One record as a part of a page.
//!
//! Any thread; pure. Always: in the order in which it is to be read: whether it is valid, figures, plots, how to repeat it.

use super::escape::{escape, table, words};
use super::views;
use crate::record::Record;
use crate::record::summary::{Kind, Summary};
use crate::report::text::QUANTILES;
use crate::report::units::{bytes, count, digits, rate, time};

/// The name of a record among others.
#[must_use]
pub fn title(record: &Record) -> String {
    let target = &record.target;
    if target.software.is_empty() { target.driver.clone() } else { target.software.clone() }
}

/// The record.
#[must_use]
pub fn html(id: &str, name: &str, record: &Record, summary: &Summary) -> String {
    let mut html = verdict(record);
    html += &tiles(summary);
    let runs = [(name.to_string(), summary)];
    html += &views::percentiles(id, &runs).html();
    for plot in views::over_time(id, record) {
        html += &plot.html();
    }
    if !record.curve.is_empty() {
        html += &views::curve(id, &[(name.to_string(), record)]).html();
        html += &curve(record);
    }
    if summary.server.is_some() {
        html += &views::cost(id, &runs).html();
    }
    html += &requests(summary);
    html += &latencies(summary);
    html += &server(summary);
    html += &events(record, summary);
    html + &repeat(record)
}

/// Whether the run is valid, and every doubt.
fn verdict(record: &Record) -> String {
    let figures = ["rate", "latency", "cost"].into_iter().filter(|figure| !record.is_valid_for(figure));
    let spoiled = figures.collect::<Vec<_>>().join(", ");
    let (class, text) = match spoiled.is_empty() {
        true => ("valid", "Valid for rate, latency and cost.".to_string()),
        false => ("invalid", format!("Invalid for {spoiled}.")),
    };
    let mut html = format!("<div class=\"verdict {class}\"><p><b>{}</b></p>", escape(&text));
    if !record.doubts.is_empty() {
        html += "<ul>";
        for doubt in &record.doubts {
            html += &format!("<li><b>{}</b> {}</li>", escape(&doubt.name), escape(&doubt.detail));
        }
        html += "</ul>";
    }
    html + "</div>\n"
}

/// The few figures that are looked for first: of the kind that was asked for most.
fn tiles(summary: &Summary) -> String {
    let mut tiles = Vec::new();
    if let Some(kind) = first(summary) {
        tiles.push((format!("{}/s", rate(summary.per_second(kind.ok))), format!("{} answered as asked", kind.name)));
        let which = if kind.is_open() { "response" } else { "service" };
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            let us = kind.latency().value_at_quantile(quantile) as f64 / 1e3;
            let text = if kind.latency().is_empty() { "-".to_string() } else { time(us) };
            tiles.push((text, format!("{which} {name}")));
        }
    }
    if let Some(server) = &summary.server {
        tiles.push((time(server.cpu_us_per_request), "server CPU a request".to_string()));
    }
    let mut html = String::from("<dl class=\"tiles\">");
    for (value, name) in tiles {
        html += &format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(&name), escape(&value));
    }
    html + "</dl>\n"
}

/// The kind that was asked for most.
#[must_use]
pub fn first(summary: &Summary) -> Option<&Kind> {
    summary.kinds.iter().max_by_key(|kind| kind.ok)
}

fn requests(summary: &Summary) -> String {
    let row = |kind: &Kind| {
        let refused = kind.refused.iter().filter(|(_, number)| **number > 0);
        let refused: Vec<_> = refused.map(|(reason, number)| format!("{reason} {}", count(*number))).collect();
        vec![
            kind.name.clone(),
            count(kind.ok),
            rate(summary.per_second(kind.ok)),
            format!("{}/s", bytes(summary.per_second(kind.bytes))),
            if refused.is_empty() { "0".to_string() } else { refused.join(", ") },
            count(kind.shed),
            count(kind.lost),
            count(kind.wrong),
            count(kind.verified),
        ]
    };
    let names = ["requests", "ok", "ok/s", "content", "refused", "shed", "lost", "wrong", "verified"];
    table("Requests", &names, &summary.kinds.iter().map(row).collect::<Vec<_>>())
}

fn latencies(summary: &Summary) -> String {
    let mut names = vec!["latency"];
    names.extend(QUANTILES.map(|(name, _)| name));
    names.push("max");
    let mut rows = Vec::new();
    for kind in &summary.kinds {
        let all =
            [("service", &kind.service), ("response", &kind.response), ("lag", &kind.lag), ("refusal", &kind.refusal)];
        for (what, histogram) in all.into_iter().filter(|(_, histogram)| !histogram.is_empty()) {
            let us = |ns: u64| time(ns as f64 / 1e3);
            let mut row = vec![format!("{} {what}", kind.name)];
            row.extend(QUANTILES.map(|(_, quantile)| us(histogram.value_at_quantile(quantile))));
            row.push(us(histogram.max()));
            rows.push(row);
        }
    }
    table("Latencies", &names, &rows)
        + "<p class=\"note\">Service: from sending to the whole answer. Response: from the time at which it was due. Lag: from \
           that time to sending, the generator's own lateness.</p>\n"
}

fn server(summary: &Summary) -> String {
    let Some(cost) = &summary.server else { return String::new() };
    let mut rows = vec![
        vec!["CPU time of a request".to_string(), time(cost.cpu_us_per_request)],
        vec!["CPU time in all".to_string(), format!("{} s", digits(cost.cpu_seconds))],
        vec!["ready and waiting for a processor".to_string(), format!("{} s", digits(cost.wait_seconds))],
        vec!["busiest thread".to_string(), format!("{} s", digits(cost.busiest_thread_seconds))],
        vec!["read from devices".to_string(), bytes(cost.read_bytes as f64)],
        vec!["made dirty, at most".to_string(), bytes(cost.dirtied_bytes as f64)],
        vec!["context switches".to_string(), count(cost.switches)],
        vec!["resident at the end".to_string(), bytes(cost.resident_bytes as f64)],
        vec!["resident at most".to_string(), bytes(cost.resident_bytes_max as f64)],
    ];
    if let Some(device) = cost.device {
        let row = |what: &str, number, volume: u64| {
            vec![what.to_string(), format!("{}, {}", count(number), bytes(volume as f64))]
        };
        rows.push(row("reads of the device, for all processes", device.reads, device.read_bytes));
        rows.push(row("writes of the device, for all processes", device.writes, device.written_bytes));
    }
    rows.extend(cost.syncs.map(|syncs| vec!["syncs of data".to_string(), count(syncs)]));
    table("The server", &["what it took", "in all rounds"], &rows)
}

fn curve(record: &Record) -> String {
    let row = |point: &crate::record::Point| {
        vec![
            format!("{}/s", rate(point.offered)),
            format!("{}/s", rate(point.achieved)),
            time(point.p50_us),
            time(point.p99_us),
            time(point.p999_us),
            point.server_cpu_us.map_or_else(|| "-".to_string(), time),
            if point.is_kept { "kept".to_string() } else { point.why.clone() },
        ]
    };
    let names = ["offered", "ok", "p50", "p99", "p99.9", "server CPU", "objective"];
    table("Rates that were tried", &names, &record.curve.iter().map(row).collect::<Vec<_>>())
}

fn events(record: &Record, summary: &Summary) -> String {
    let mut rows: Vec<_> =
        record.events.iter().map(|event| vec![format!("{} s", digits(event.at_seconds)), event.what.clone()]).collect();
    rows.extend(summary.damaged.iter().map(|damage| vec!["damaged".to_string(), damage.clone()]));
    if rows.is_empty() { String::new() } else { words("Events", &["when", "what"], &rows) }
}

/// Machine, plan, arguments and seed.
fn repeat(record: &Record) -> String {
    let machine = &record.machine;
    let target = &record.target;
    let known = |text: &str| if text.is_empty() { "-".to_string() } else { text.to_string() };
    let is_virtual = if machine.is_virtual { ", a virtual machine" } else { "" };
    let rows = [
        ("asked", format!("{} at {}", known(&target.software), target.address)),
        ("driver", target.driver.clone()),
        ("puts are done on", known(&target.durability)),
        ("kernel", known(&machine.kernel)),
        ("processors", format!("{} of {}{is_virtual}", machine.processors, known(&machine.processor))),
        ("memory", bytes(machine.memory_bytes as f64)),
        ("generator on", known(&machine.generator_processors)),
        ("server on", known(&machine.server_processors)),
        ("began", record.began.clone()),
        ("loadgen", record.loadgen.clone()),
        ("seed", record.seed.to_string()),
    ];
    let rows: Vec<_> = rows.into_iter().map(|(name, value)| vec![name.to_string(), value]).collect();
    let plan: Vec<_> = record.plan.iter().map(|(name, value)| vec![name.clone(), value.clone()]).collect();
    let arguments: Vec<_> = record.arguments.iter().map(|argument| quoted(argument)).collect();
    let loopback = if target.is_local {
        "<p class=\"note\">Server and generator share a machine: each does a part of the other's network work.</p>\n"
    } else {
        ""
    };
    format!(
        "<div class=\"pair\">{}{}</div>\n{loopback}<h3>To repeat it</h3><pre>loadgen {}</pre>\n",
        words("Machine and server", &["what", "which"], &rows),
        words("Plan", &["what", "how much"], &plan),
        escape(&arguments.join(" "))
    )
}

/// An argument as a shell takes it.
fn quoted(argument: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,@%+".contains(letter);
    match !argument.is_empty() && argument.chars().all(is_plain) {
        true => argument.to_string(),
        false => format!("'{}'", argument.replace('\'', "'\\''")),
    }
}
