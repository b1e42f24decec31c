//! Goal: scrapers and probes get what the node knows, in a form that they all read, and the dashboard and the alerts ask for
//! what is there. Method: nodes on disks in memory do some work; their text goes through a strict parser, and through that of
//! Python where it is present.
#![allow(clippy::unwrap_used, reason = "what is not as it should be fails the test")]

#[path = "exposition/openmetrics.rs"]
mod openmetrics;
#[path = "exposition/queries.rs"]
mod queries;
mod support;

use larder::base::ids::{ObjectId, Sequence};
use larder::base::path::NamePath;
use larder::client::{PutOptions, UploadOptions};
use larder::disk::{Call, Disk, Fault, FaultPlan, FaultyDisk, MemoryDisk};
use larder::io::Directory;
use larder::node::{MetaDirectory, Node};
use openmetrics::{Family, Kind, Labels, Sample, parse};
use queries::{Use, uses};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use support::node::{assert_at_rest, client, configuration, in_memory, start};
use support::raw::{Raw, put};
use support::{content, eventually};

fn path(text: &str) -> NamePath {
    NamePath::parse(text.as_bytes()).unwrap()
}

/// A node with names on two disks.
fn started() -> Node {
    let disks = (0..2).map(|_| Directory::of(Arc::new(MemoryDisk::new()))).collect();
    let meta: MetaDirectory = Box::new(|| Ok(Arc::new(MemoryDisk::new())));
    Node::start_in(&configuration(), disks, Some(meta), Arc::default()).unwrap()
}

fn scrape(node: &Node) -> Vec<Family> {
    let text = String::from_utf8(node.metrics().to_vec()).unwrap();
    parse(&text).unwrap_or_else(|what| panic!("{what}, in\n{text}"))
}

fn samples(families: &[Family]) -> impl Iterator<Item = &Sample> {
    families.iter().flat_map(|family| &family.samples)
}

/// The sum of the series of a name that have these labels.
fn value(families: &[Family], name: &str, labels: &[(&str, &str)]) -> f64 {
    let fits = |sample: &&Sample| {
        sample.name == name
            && labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|has| has == value))
    };
    let found: Vec<f64> = samples(families).filter(fits).map(|sample| sample.value).collect();
    assert!(!found.is_empty(), "there is no {name} {labels:?}");
    found.into_iter().sum()
}

/// 20 objects and a file: put, read, asked for what is not there.
fn work(node: &Node) {
    let client = client(node);
    let ids: Vec<ObjectId> =
        (0..20).map(|seed| client.put(content(seed, 4096), PutOptions::default()).unwrap().id).collect();
    for id in &ids {
        client.get(*id).unwrap();
        client.get(*id).unwrap();
    }
    let absent = ObjectId { sequence: Sequence(ids[0].sequence.0 + 1000), ..ids[0] };
    assert!(client.get(absent).is_err());
    client.delete(ids[0]).unwrap();
    let session = client.open_session().unwrap();
    session.upload(&path("/a"), &mut &content(7, 10_000)[..], &UploadOptions::default()).unwrap();
    for _ in 0..3 {
        client.lookup(&path("/a")).unwrap();
    }
    session.close().unwrap();
}

#[test]
fn what_moved_is_told() {
    let node = started();
    let before = scrape(&node);
    assert_eq!(value(&before, "larder_answers_total", &[("status", "ok")]), 0.0);
    work(&node);
    assert_at_rest(&node);
    let after = scrape(&node);
    let moved = |name: &str, labels: &[(&str, &str)]| value(&after, name, labels) - value(&before, name, labels);
    assert!(moved("larder_answers_total", &[("status", "ok")]) >= 65.0);
    assert_eq!(moved("larder_answers_total", &[("status", "not_found")]), 1.0);
    assert_eq!(moved("larder_requests_accepted_total", &[]), moved("larder_requests_ended_total", &[]));
    assert!(moved("larder_requests_ended_total", &[("end", "answered")]) >= 66.0);
    assert_eq!(value(&after, "larder_requests_in_flight", &[]), 0.0);
    assert!(moved("larder_connections_accepted_total", &[]) >= 1.0);
    assert!(moved("larder_received_bytes_total", &[]) > 90_000.0 && moved("larder_sent_bytes_total", &[]) > 160_000.0);
    assert!(moved("larder_turn_seconds_count", &[]) > 0.0 && moved("larder_turn_seconds_sum", &[]) > 0.0);
    assert!(moved("larder_stage_seconds_count", &[("stage", "whole")]) >= 66.0);
    assert!(moved("larder_stage_seconds_count", &[("stage", "disk")]) > 0.0);
    assert!(moved("larder_disk_reads_total", &[]) >= 40.0);
    // Both disks: told apart, and each has its share.
    for disk in ["memory", "memory#1"] {
        let disk = [("disk", disk)];
        assert_eq!(value(&after, "larder_disk_state", &[disk[0], ("state", "healthy")]), 1.0);
        assert!(moved("larder_disk_appended_objects_total", &disk) > 5.0);
        assert!(moved("larder_disk_append_groups_total", &disk) > 0.0 && moved("larder_disk_syncs_total", &disk) > 0.0);
        assert!(moved("larder_disk_jobs_total", &[disk[0], ("job", "append")]) > 0.0);
        assert!(moved("larder_disk_job_seconds_total", &[disk[0], ("job", "append")]) > 0.0);
        assert!(value(&after, "larder_disk_free_bytes", &disk) < value(&after, "larder_disk_total_bytes", &disk));
    }
    assert_eq!(value(&after, "larder_disk_objects", &[]), 20.0);
    assert_eq!(value(&after, "larder_disk_deleted_objects", &[]), 1.0);
    assert_eq!(value(&after, "larder_budget_capacity_bytes", &[("budget", "in")]), (64 << 20) as f64);
    assert_eq!(value(&after, "larder_names_state", &[("state", "serving")]), 1.0);
    assert_eq!(value(&after, "larder_names_role", &[("role", "leader")]), 1.0);
    assert_eq!(value(&after, "larder_names_files", &[]), 1.0);
    assert_eq!(value(&after, "larder_names_content_bytes", &[]), 10_000.0);
    assert!(moved("larder_names_lookups_total", &[]) >= 3.0 && moved("larder_names_commands_total", &[]) >= 2.0);
    assert!(moved("larder_names_stage_seconds_count", &[("stage", "log")]) > 0.0);
    only_grew(&before, &after);
    node.stop();
}

/// A scraper takes a counter that falls for a restart; and a series that goes away cannot be alerted on.
fn only_grew(before: &[Family], after: &[Family]) {
    assert_eq!(
        before.iter().map(|family| &family.name).collect::<Vec<_>>(),
        after.iter().map(|family| &family.name).collect::<Vec<_>>()
    );
    for (before, after) in before.iter().zip(after) {
        for (old, new) in before.samples.iter().zip(&after.samples) {
            assert_eq!((&old.name, &old.labels), (&new.name, &new.labels));
            assert!(before.kind == Kind::Gauge || new.value >= old.value, "{old:?} became {new:?}");
        }
        assert_eq!(before.samples.len(), after.samples.len(), "{}", before.name);
    }
}

#[test]
fn what_is_not_well_is_told_to_scrapers_and_probes() {
    let (node, _) = in_memory();
    let ready = serde_json::from_slice::<Value>(&node.ready().unwrap()).unwrap();
    assert_eq!(
        (&ready["ready"], &ready["names"]),
        (&true.into(), &"none".into()),
        "names that nobody asked for are not missed"
    );
    assert_eq!(value(&scrape(&node), "larder_names_state", &[("state", "none")]), 1.0);
    node.stop();

    // Of two disks one fails: the node is ready still. Then the other.
    let disks: Vec<FaultyDisk> =
        (0..2).map(|_| FaultyDisk::new(Arc::new(MemoryDisk::new()), FaultPlan::default())).collect();
    let faults: Vec<_> = disks.iter().map(FaultyDisk::faults).collect();
    let node = start(&configuration(), disks.into_iter().map(|disk| Arc::new(disk) as Arc<dyn Disk>).collect());
    let mut raw = Raw::connect(node.address());
    for failed in 1..=2 {
        assert!(node.ready().is_ok());
        faults[failed - 1].add(Fault::error(Call::SyncData, 5).for_good());
        eventually("the disk fails", || {
            // It may go to the other, so what is answered is not the question here.
            raw.ask(&put("x"));
            value(&scrape(&node), "larder_disk_state", &[("state", "failed")]) == failed as f64
        });
    }
    assert_eq!(node.ready().unwrap_err(), "disks: none is in service (2 failed)");
    assert_eq!(value(&scrape(&node), "larder_disk_entered_total", &[("state", "failed")]), 2.0);
    drop(raw);
    node.stop();

    let meta: MetaDirectory = Box::new(|| Err(std::io::Error::other("it is gone")));
    let disks = vec![Directory::of(Arc::new(MemoryDisk::new()))];
    let node = Node::start_in(&configuration(), disks, Some(meta), Arc::default()).unwrap();
    assert_eq!(node.ready().unwrap_err(), "names: out of service");
    assert_eq!(value(&scrape(&node), "larder_names_state", &[("state", "out")]), 1.0);
    node.stop();
}

#[test]
fn python_reads_it_too() {
    let program = "import sys; from prometheus_client.openmetrics.parser import text_string_to_metric_families as read\n\
                   print(len(list(read(sys.stdin.read()))))";
    let known = Command::new("python3").args(["-c", "import prometheus_client"]).output();
    if !known.is_ok_and(|known| known.status.success()) {
        eprintln!("skipped: there is no python3 with prometheus_client on this machine");
        return;
    }
    let node = started();
    work(&node);
    let text = node.metrics();
    let mut python =
        Command::new("python3").args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(&text).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "its message is above");
    let families = parse(std::str::from_utf8(&text).unwrap()).unwrap().len();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), families.to_string());
    node.stop();
}

/// The label sets of the series of each name, and the kind of their family.
type Series = BTreeMap<String, (Kind, Vec<Labels>)>;

fn series(families: &[Family]) -> Series {
    let mut series = Series::new();
    for family in families {
        for Sample { name, labels, .. } in &family.samples {
            series.entry(name.clone()).or_insert((family.kind, Vec::new())).1.push(labels.clone());
        }
    }
    series
}

/// What an expression asks for that is not there, or is of another kind.
fn misfits(expression: &str, series: &Series) -> Vec<String> {
    // Prometheus adds these two when it scrapes.
    let added = |label: &str| matches!(label, "job" | "instance");
    let (uses, labels) = uses(expression);
    let mut misfits = Vec::new();
    let mut known = BTreeSet::new();
    for Use { metric, matchers, ranged_by } in uses {
        let Some((kind, sets)) = series.get(&metric) else {
            misfits.push(format!("{metric} is not there"));
            continue;
        };
        known.extend(sets.iter().flat_map(Labels::keys));
        let fits = match (kind, ranged_by.as_deref()) {
            (Kind::Gauge, by) => !matches!(by, Some("rate" | "irate" | "increase")),
            (Kind::Counter | Kind::Histogram, by) => matches!(by, Some("rate" | "irate" | "increase")),
        };
        if !fits {
            misfits.push(format!("{metric} is a {kind:?}, and is ranged by {ranged_by:?}"));
        }
        for (label, operator, value) in matchers.iter().filter(|(label, ..)| !added(label)) {
            // A pattern of alternatives; one of another kind has to fit nothing here.
            let plain = value.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"_|".contains(&letter));
            let is_there = |one: &str| sets.iter().any(|set| set.get(label).is_some_and(|has| has == one || !plain));
            for one in value.split('|').filter(|one| !is_there(one)) {
                misfits.push(format!("{metric} has no {label}{operator}{one}"));
            }
        }
    }
    let lacking = labels.iter().filter(|label| !added(label) && !known.contains(label));
    misfits.extend(lacking.map(|label| format!("nothing here has a label {label}")));
    misfits
}

/// The values under a key, wherever it is.
fn all_under<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(key).and_then(Value::as_str));
            fields.values().for_each(|inside| all_under(inside, key, found));
        }
        Value::Array(values) => values.iter().for_each(|inside| all_under(inside, key, found)),
        _ => {}
    }
}

#[test]
fn dashboard_and_alerts_ask_for_what_is_there() {
    let node = started();
    let series = series(&scrape(&node));
    node.stop();
    let dashboard: Value = serde_json::from_str(include_str!("../examples/grafana/larder.json")).unwrap();
    let mut expressions = Vec::new();
    all_under(&dashboard, "expr", &mut expressions);
    all_under(&dashboard["templating"], "query", &mut expressions);
    assert!(expressions.len() > 50);
    let alerts = include_str!("../examples/prometheus/alerts.yml");
    let lines = || alerts.lines().map(str::trim);
    let count = lines().filter(|line| line.starts_with("- alert: ")).count();
    expressions.extend(lines().filter_map(|line| line.strip_prefix("expr: ")));
    assert_eq!(
        lines().filter(|line| line.starts_with("expr: ")).count(),
        count,
        "each alert has its expression on one line"
    );
    let misfits: Vec<_> = expressions
        .into_iter()
        .flat_map(|expression| {
            misfits(expression, &series).into_iter().map(move |misfit| format!("{misfit}, in {expression}"))
        })
        .collect();
    assert!(misfits.is_empty(), "{}", misfits.join("\n"));
}

#[test]
fn what_does_not_fit_is_seen() {
    let text = "# HELP larder_a b\n# TYPE larder_a counter\nlarder_a_total{x=\"1\"} 1\n\
                # HELP larder_g b\n# TYPE larder_g gauge\nlarder_g 1\n# EOF\n";
    let series = series(&parse(text).unwrap());
    for (expression, want) in [
        ("rate(larder_b_total[5m])", "is not there"),
        ("rate(larder_a[5m])", "is not there"),
        ("larder_a_total > 1", "is a Counter"),
        ("rate(larder_g[5m])", "is a Gauge"),
        ("rate(larder_a_total{x=\"2\"}[5m])", "has no x=2"),
        ("rate(larder_a_total{x=~\"1|3\"}[5m])", "has no x=~3"),
        ("rate(larder_a_total{y=~\".\"}[5m])", "has no y=~."),
        ("sum by (y) (rate(larder_a_total[5m]))", "a label y"),
    ] {
        let found = misfits(expression, &series);
        assert!(found.len() == 1 && found[0].contains(want), "{expression}: {found:?}");
    }
    let fitting =
        "sum by (x, job) (rate(larder_a_total{x=\"1\",instance=~\"$instance\"}[5m])) / max_over_time(larder_g[1h])";
    assert_eq!(misfits(fitting, &series), [""; 0]);
}

#[test]
fn the_parser_is_strict() {
    let counter = "# HELP a b\n# TYPE a counter\n";
    let histogram = "# HELP a b\n# TYPE a histogram\na_sum 1\na_count 2\n";
    for (text, want) in [
        (format!("{counter}a_total 1\n"), "EOF"),
        (format!("{counter}a 1\n# EOF\n"), "does not fit"),
        (format!("{counter}a_total -1\n# EOF\n"), "does not fit"),
        (format!("{counter}a_total{{x=\"1\"}} 1\na_total{{x=\"1\"}} 1\n# EOF\n"), "twice"),
        (format!("{counter}b_total 1\n# EOF\n"), "another family"),
        (format!("{counter}{counter}# EOF\n"), "twice"),
        (format!("{counter}a_total{{x=\"\\q\"}} 1\n# EOF\n"), "escape"),
        (format!("{counter}a_total{{x=\"1\",x=\"2\"}} 1\n# EOF\n"), "twice"),
        (format!("{counter}\na_total 1\n# EOF\n"), "no value"),
        ("# TYPE a counter\na_total 1\n# EOF\n".to_string(), "no HELP"),
        ("# HELP a b\n# TYPE a counter\n# UNIT a seconds\n# EOF\n".to_string(), "unit"),
        (format!("{histogram}a_bucket{{le=\"1.0\"}} 2\n# EOF\n"), "not its count"),
        (format!("{histogram}a_bucket{{le=\"1.0\"}} 3\na_bucket{{le=\"+Inf\"}} 2\n# EOF\n"), "holds less"),
        (format!("{histogram}a_bucket{{le=\"+Inf\"}} 1\n# EOF\n"), "not its count"),
    ] {
        let found = parse(&text).unwrap_err();
        assert!(found.contains(want), "{text}: {found}");
    }
    parse(&format!("{histogram}a_bucket{{le=\"1.0\"}} 1\na_bucket{{le=\"+Inf\"}} 2\n# EOF\n")).unwrap();
}
