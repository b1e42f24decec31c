//! Goal: what loadgen reports is what happened, and it says so when something was wrong.
//!
//! Method: the program as a child, against a node on a disk in memory in the test's own process, whose counters tell the
//! same story from the other side; and against servers that misbehave.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use larder::disk::MemoryDisk;
use larder::io::Directory;
use larder::node::{Configuration, MetaDirectory, Node};
use loadgen::record::{Record, Requests, file};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

fn node() -> Node {
    let configuration = Configuration {
        listen: "127.0.0.1:0".parse().unwrap(),
        http: "127.0.0.1:0".parse().unwrap(),
        processors: 1,
        segment_bytes: Some(64 << 20),
        reserve_bytes: Some(1 << 20),
        budget_in_bytes: 64 << 20,
        budget_out_bytes: 64 << 20,
        connections_per_address_max: 50,
        ..Configuration::default()
    };
    let names: MetaDirectory = Box::new(|| Ok(Arc::new(MemoryDisk::new())));
    let disk = Directory::of(Arc::new(MemoryDisk::new()));
    Node::start_in(&configuration, vec![disk], Some(names), Arc::default()).unwrap()
}

/// What a run of the program gave.
struct Ran {
    code: i32,
    record: Option<Record>,
    told: String,
}

impl Ran {
    fn requests(&self, name: &str) -> Requests {
        let record = self.record.as_ref().unwrap_or_else(|| panic!("no record: {}", self.told));
        record.rounds[0].requests.get(name).cloned().unwrap_or_default()
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> Ran {
    let ended = command(arguments).output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    Ran { code: ended.status.code().expect("no signal"), record: serde_json::from_slice(&ended.stdout).ok(), told }
}

fn run_on(node: &Node, arguments: &[&str]) -> Ran {
    let target = node.address().to_string();
    // The node takes so many connections of an address.
    run(&[
        arguments,
        &["--json", "--target", &target],
        if arguments.contains(&"audit") { &[] } else { &["--sources", "4"] },
    ]
    .concat())
}

fn at(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {path} in {value}"))
}

#[test]
fn every_request_is_counted_once() {
    let node = node();
    let puts = run_on(&node, &["put-disk", "--count", "500", "--connections", "3", "--size", "0..20KiB"]);
    let put = puts.requests("put");
    assert_eq!((puts.code, put.ok, put.lost, put.service.decode().unwrap().len()), (0, 500, 0, 500), "{}", puts.told);
    // What it asks of the node before and after a round is answered too.
    let answers = at(&node.status(), "/answers/ok");
    assert!((500..510).contains(&answers), "{answers}");

    let mix = ["mixed", "--objects", "20", "--count", "600", "--size", "1..600KiB", "--threads", "2"];
    let mixed = run_on(&node, &[&mix[..], &["--mix", "put=3,get=3,range=2,head=1,delete=1"]].concat());
    assert_eq!(mixed.code, 0, "{}", mixed.told);
    let answered = |name: &str| {
        let requests = mixed.requests(name);
        assert_eq!((requests.wrong, requests.lost), (0, 0), "{name}");
        requests.ok + requests.refused.values().sum::<u64>()
    };
    let all = ["put", "get", "range", "head", "delete"].map(answered);
    assert!(all.iter().all(|count| *count > 0), "{all:?}");
    assert_eq!(all.iter().sum::<u64>(), 600);
    assert_eq!(mixed.requests("get").verified, mixed.requests("get").ok);
    node.stop();
}

#[test]
fn an_open_loop_times_from_the_intended_moment() {
    let node = node();
    let arguments = ["get-hot", "--objects", "10", "--count", "200", "--connections", "2"];
    let gets = run_on(&node, &[&arguments[..], &["--rate", "1000", "--arrivals", "constant"]].concat());
    let get = gets.requests("get");
    assert_eq!((gets.code, get.ok, get.shed), (0, 200, 0), "{}", gets.told);
    // The last request is meant for 199 ms after the first, and none leaves before it is meant to.
    assert!(gets.record.as_ref().unwrap().rounds[0].seconds >= 0.199);
    let (service, response, lag) = (get.service.decode(), get.response.decode(), get.lag.decode());
    let (service, response, lag) = (service.unwrap(), response.unwrap(), lag.unwrap());
    assert_eq!((service.len(), response.len()), (200, 200));
    assert!(lag.len() >= 200, "the time of a request that the count leaves out may have come");
    for quantile in [0.5, 0.99, 1.0] {
        assert!(response.value_at_quantile(quantile) >= service.value_at_quantile(quantile), "{quantile}");
    }
    node.stop();
}

#[test]
fn a_ledger_is_audited_and_wrong_content_is_seen() {
    let node = node();
    let place = tempfile::tempdir().unwrap();
    let ledger = place.path().join("ledger");
    let ids = ledger.display().to_string();
    let puts = run_on(&node, &["put-disk", "--count", "10", "--connections", "2", "--ledger", &ids]);
    assert_eq!(puts.code, 0, "{}", puts.told);
    let audited = run_on(&node, &["audit", "--ids", &ids, "--connections", "2"]);
    assert_eq!((audited.code, audited.requests("get").verified), (0, 10), "{}", audited.told);

    // Object 7 is said to hold the content of object 8.
    let text = std::fs::read_to_string(&ledger).unwrap();
    let wrong: String = text.lines().map(|line| line.replace("\t1\t7", "\t1\t8") + "\n").collect();
    assert_ne!(text, wrong);
    std::fs::write(&ledger, &wrong).unwrap();
    let audited = run_on(&node, &["audit", "--ids", &ids]);
    assert_eq!(
        (audited.code, audited.requests("get").wrong, audited.requests("get").ok),
        (3, 1, 9),
        "{}",
        audited.told
    );

    // One that is not there is wrong too.
    std::fs::write(&ledger, text + "1-ffff-0000000000000000\t5\t1\t99\n").unwrap();
    let audited = run_on(&node, &["audit", "--ids", &ids]);
    assert_eq!(
        (audited.code, audited.requests("get").wrong, audited.requests("get").ok),
        (3, 1, 10),
        "{}",
        audited.told
    );
    node.stop();
}

#[test]
fn idle_connections_are_held_beside_those_that_work() {
    let node = node();
    let arguments = ["many-connections", "--idle", "90", "--connections", "2", "--objects", "5", "--seconds", "1"];
    let gets = run_on(&node, &[&arguments[..], &["--warm-up", "1", "--at", "0.1:true"]].concat());
    assert_eq!(gets.code % 4, 0, "{}", gets.told);
    // Two that store, two that work, and those that ask for the status.
    assert!(at(&node.status(), "/connections/accepted") >= 92, "{}", node.status());
    let what: Vec<_> = gets.record.unwrap().events.into_iter().map(|event| event.what).collect();
    assert!(what.iter().any(|what| what == "begun: true"), "{what:?}");
    node.stop();
}

#[test]
fn a_connection_for_each_request() {
    let node = node();
    let gets = run_on(&node, &["connect-storm", "--connections", "4", "--objects", "5", "--count", "100"]);
    assert_eq!((gets.code, gets.requests("get").ok), (0, 100), "{}", gets.told);
    assert!(at(&node.status(), "/connections/accepted") >= 100, "{}", node.status());
    node.stop();
}

#[test]
fn names_are_made_and_found() {
    let node = node();
    let made = run_on(&node, &["create", "--count", "100", "--connections", "2"]);
    assert_eq!((made.code, made.requests("create").ok), (0, 100), "{}", made.told);
    let found = run_on(&node, &["lookup", "--objects", "50", "--count", "200", "--connections", "2", "--seed", "2"]);
    assert_eq!((found.code, found.requests("lookup").ok), (0, 200), "{}", found.told);
    node.stop();
}

#[test]
fn records_are_written_compared_and_shown() {
    let node = node();
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).display().to_string();
    let (out, html, target) = (path("run.json"), path("run.html"), node.address().to_string());
    let ended = run_on(
        &node,
        &[
            "get-hot",
            "--objects",
            "5",
            "--connections",
            "2",
            "--count",
            "2000",
            "--rounds",
            "3",
            "--against",
            &target,
            "--out",
            &out,
            "--html",
            &html,
        ],
    );
    assert_eq!(ended.code % 4, 0, "{}", ended.told);
    let against = format!("{out}.against");
    for written in [&out, &against] {
        let record = file::read(Path::new(written)).unwrap();
        assert_eq!((record.rounds.len(), record.scenario.as_str()), (3, "get-hot"));
        assert!(record.rounds.iter().all(|round| round.server.is_some()), "the node is in this very process");
    }
    assert!(std::fs::read_to_string(&html).unwrap().starts_with("<!doctype html>"));
    let compared = command(&["compare", &out, &against, "--json", "--html", &path("both.html")]).output().unwrap();
    let comparison: Value = serde_json::from_slice(&compared.stdout).unwrap();
    assert_eq!(comparison["pairing"], "rounds");
    assert_eq!(compared.status.code(), Some(3), "three pairs are too few for a verdict: {comparison}");
    let shown = command(&["report", &out, "--html", &path("again.html")]).output().unwrap();
    assert!(shown.status.success() && place.path().join("again.html").exists());
    node.stop();
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_is_asked() {
    let place = tempfile::tempdir().unwrap();
    let nonsense = place.path().join("sizes");
    std::fs::write(&nonsense, "4096 many\n").unwrap();
    let sizes = format!("file:{}", nonsense.display());
    for (arguments, code, line) in [
        (&["get-warm"][..], 2, "unrecognized subcommand"),
        (&["get-hot", "--mix", "gets=1"], 2, "no such request"),
        (&["put-disk", "--size", &sizes], 2, "sizes:1"),
        (&["overload"], 2, "--rate is missing"),
        (&["saturate", "nothing"], 2, "no such scenario"),
        (&["saturate", "overload", "--rate", "5"], 2, "--rate: a search"),
        (&["saturate", "overload", "--target", "127.0.0.1:1"], 1, "cannot connect"),
        (&["put-disk", "--ledger", "/x", "--against", "127.0.0.1:2"], 2, "a ledger is of one server"),
        (&["put-disk", "--ledger", "/nowhere/x"], 1, "/nowhere/x: cannot write"),
        (&["get-hot", "--target", "127.0.0.1:1", "--quiet"], 1, "cannot connect"),
        (&["get-hot", "--target", "gopher://127.0.0.1:1"], 2, "no such protocol"),
        (&["audit", "--ids", "/nowhere/ledger", "--target", "127.0.0.1:1"], 1, "127.0.0.1:1"),
        (&["compare", "/nowhere/a.json", "/nowhere/b.json"], 1, "/nowhere/a.json"),
    ] {
        let ran = run(arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.told);
        assert!(ran.told.contains(line), "{arguments:?}: {}", ran.told);
    }
}

#[test]
fn a_server_of_another_kind_is_told_from_a_slow_one() {
    for words in ["220 mail.example ESMTP\r\n", ""] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap().to_string();
        let serving = std::thread::spawn(move || {
            // Those that only look at it, and the loads' until they give up.
            while let Ok((mut stream, _)) = listener.accept() {
                let mut byte = [0];
                if words.is_empty() {
                    continue;
                }
                if stream.write_all(words.as_bytes()).is_err() || stream.read(&mut byte).is_err() {
                    continue;
                }
                if byte == *b"Q" {
                    break;
                }
            }
        });
        let ran = run(&[
            "get-hot",
            "--target",
            &target,
            "--connections",
            "2",
            "--objects",
            "5",
            "--patience",
            "1",
            "--quiet",
        ]);
        assert_eq!(ran.code, 1, "{}", ran.told);
        assert!(ran.told.contains(&target), "{}", ran.told);
        if !words.is_empty() {
            std::net::TcpStream::connect(&target).unwrap().write_all(b"Q").unwrap();
            serving.join().unwrap();
        }
    }
}

#[test]
fn too_few_descriptors_are_told() {
    let node = node();
    let line = "ulimit -n 20; exec \"$0\" \"$@\"";
    let ended = Command::new("sh")
        .args(["-c", line, env!("CARGO_BIN_EXE_loadgen"), "get-hot", "--connections", "40", "--objects", "5"])
        .args(["--patience", "1", "--count", "100", "--sources", "4", "--target", &node.address().to_string()])
        .output()
        .unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_ne!(ended.status.code(), Some(0), "{told}");
    assert!(told.contains("open files"), "{told}");
    node.stop();
}

/// An echo server, which ends with its test.
struct Echo {
    child: Child,
    target: String,
}

fn echo() -> Echo {
    let mut child = command(&["echo", "--listen", "127.0.0.1:0"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let target = format!("echo://{}", line.trim().rsplit(' ').next().unwrap());
    Echo { child, target }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // It may have been killed by then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_that_stands_still_is_seen_by_those_who_would_have_come() {
    let server = echo();
    let stop = format!("0.2:kill -STOP {0}; sleep 0.5; kill -CONT {0}", server.child.id());
    let arguments =
        ["get-hot", "--target", &server.target, "--objects", "10", "--connections", "4", "--depth", "4", "--json"];
    let open = ["--rate", "2000", "--arrivals", "constant", "--seconds", "3", "--warm-up", "0.1", "--at", &stop];
    let ran = run(&[&arguments[..], &open].concat());
    let response = ran.requests("get").response.decode().unwrap();
    // A sixth of the requests came while it stood still; hooks run once a second, so it may be a second late.
    assert!(response.value_at_quantile(0.999) > 300_000_000, "{} ns", response.value_at_quantile(0.999));
    let service = ran.requests("get").service.decode().unwrap();
    assert!(service.value_at_quantile(0.5) < response.max(), "{}", ran.told);
}

#[test]
fn a_run_that_loses_its_server_tells_what_it_had() {
    let server = echo();
    let kill = format!("0.5:kill -KILL {}", server.child.id());
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("run.json").display().to_string();
    let arguments = ["get-hot", "--target", &server.target, "--objects", "10", "--connections", "4", "--patience", "1"];
    let ran =
        run(&[&arguments[..], &["--seconds", "30", "--warm-up", "0.1", "--at", &kill, "--json", "--out", &out]]
            .concat());
    assert_eq!(ran.code, 1, "{}", ran.told);
    assert!(ran.told.contains("no connection for 1s"), "{}", ran.told);
    let get = ran.requests("get");
    assert!(get.ok > 0 && get.lost <= 4, "{} and {}", get.ok, get.lost);
    let record = file::read(Path::new(&out)).unwrap();
    assert!(record.events.iter().any(|event| event.what.contains("connection lost")), "{:?}", record.events);
}

/// Answers each GET of HTTP by an empty object and the end of the connection, which it announces in the head; takes each PUT.
fn closing_origin() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            std::thread::spawn(move || serve_until_closed(stream));
        }
    });
    address
}

fn serve_until_closed(stream: std::net::TcpStream) -> std::io::Result<()> {
    let mut from = BufReader::new(stream.try_clone()?);
    let mut to = stream;
    loop {
        let (mut head, mut line) = (String::new(), String::new());
        while line != "\r\n" {
            line.clear();
            if from.read_line(&mut line)? == 0 {
                return Ok(());
            }
            head += &line;
        }
        if !head.starts_with("PUT") {
            to.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
            // What was sent behind is read by nobody; reading it away keeps the kernel from answering it with a reset.
            to.shutdown(std::net::Shutdown::Write)?;
            return std::io::copy(&mut from, &mut std::io::sink()).map(|_| ());
        }
        to.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")?;
    }
}

#[test]
fn nothing_is_sent_behind_an_answer_that_ends_the_connection() {
    let target = format!("http://{}/x", closing_origin());
    let arguments = ["get-hot", "--objects", "5", "--size", "0", "--connections", "3", "--count", "200", "--json"];
    let ran = run(&[&arguments[..], &["--target", &target]].concat());
    let get = ran.requests("get");
    assert_eq!((ran.code, get.ok, get.lost), (0, 200, 0), "{}", ran.told);
}

#[test]
fn what_was_pipelined_behind_such_an_answer_goes_out_again() {
    let target = format!("http://{}/x", closing_origin());
    let arguments = ["get-hot", "--objects", "5", "--size", "0", "--connections", "3", "--depth", "4", "--json"];
    let closed = run(&[&arguments[..], &["--count", "200", "--target", &target]].concat());
    let open = ["--rate", "500", "--seconds", "1", "--warm-up", "0", "--target", &target];
    let open = run(&[&arguments[..], &open].concat());
    for ran in [closed, open] {
        let get = ran.requests("get");
        assert!(ran.code == 0 && get.ok >= 200 && get.lost == 0, "{}: {} and {}", ran.told, get.ok, get.lost);
        assert_eq!(ran.record.unwrap().rounds[0].broken, 0);
    }
}

#[test]
fn a_server_that_never_answers_ends_a_run_without_a_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("http://{}/x", listener.local_addr().unwrap());
    // The kernel takes the connections, and nobody reads from them.
    let arguments = ["put-disk", "--count", "50", "--connections", "2", "--deadline-ms", "1", "--patience", "1"];
    let ran = run(&[&arguments[..], &["--json", "--target", &target]].concat());
    assert_eq!((ran.code, ran.requests("put").ok, ran.requests("put").lost), (1, 0, 2), "{}", ran.told);
    assert!(ran.told.contains("no answer for"), "{}", ran.told);
}

#[test]
fn what_runs_beside_a_load_ends_with_it() {
    let server = echo();
    let arguments = ["get-hot", "--count", "100", "--objects", "5", "--connections", "2", "--background", "get=1"];
    let ran = run(&[&arguments[..], &["--json", "--target", &server.target]].concat());
    assert_eq!((ran.code % 4, ran.requests("get").ok), (0, 100), "{}", ran.told);
}

#[test]
fn answers_that_come_after_the_end_are_in_the_latency() {
    let server = echo();
    let id = server.child.id();
    // It stands still at the end of measuring, and goes on when the run waits for what is open.
    let stop = format!("1.5:kill -STOP {id}; sleep 3; kill -CONT {id}");
    let arguments =
        ["get-hot", "--target", &server.target, "--objects", "10", "--connections", "4", "--json", "--patience", "60"];
    let open = ["--rate", "500", "--arrivals", "constant", "--seconds", "3", "--warm-up", "0.1", "--at", &stop];
    let ran = run(&[&arguments[..], &open, &["--outstanding", "256"]].concat());
    let get = ran.requests("get");
    // There are places for four, and 252 may wait: they are sent yet, and what came after them is told as never sent.
    assert!(get.response.decode().unwrap().len() >= get.ok + 256, "{}", ran.told);
    assert!(get.shed > 0 && get.lost == 0, "{} and {}", get.shed, get.lost);
    let record = ran.record.unwrap();
    assert!(!record.is_valid_for("latency"), "{:?}", record.doubts);
}

#[test]
fn an_interrupted_run_tells_what_it_had() {
    let server = echo();
    let arguments =
        ["get-hot", "--target", &server.target, "--objects", "10", "--connections", "4", "--seconds", "600"];
    // It asks for its end itself: the parent of a command is the program.
    let ran = run(&[&arguments[..], &["--warm-up", "0.1", "--json", "--at", "0.1:kill -INT $PPID"]].concat());
    assert_eq!(ran.code, 1, "{}", ran.told);
    assert!(ran.told.contains("interrupted"), "{}", ran.told);
    let get = ran.requests("get");
    assert!(get.ok > 0 && get.lost == 0, "{} and {}", get.ok, get.lost);
}

#[test]
fn figures_are_told_though_nothing_can_be_written() {
    let server = echo();
    let place = tempfile::tempdir().unwrap();
    let html = place.path().join("run.html");
    let arguments =
        ["get-hot", "--target", &server.target, "--objects", "5", "--connections", "2", "--count", "50", "--json"];
    let out = ["--out", "/nowhere/run.json", "--html", html.to_str().unwrap()];
    let ran = run(&[&arguments[..], &out].concat());
    assert_eq!((ran.code, ran.requests("get").ok), (1, 50), "{}", ran.told);
    assert!(ran.told.contains("/nowhere/run.json: not written") && html.exists(), "{}", ran.told);
}

#[test]
fn a_run_that_measured_nothing_failed() {
    let server = echo();
    let arguments = ["get-hot", "--keys", "once", "--objects", "5", "--warm-up", "9", "--seconds", "9", "--json"];
    let ran = run(&[&arguments[..], &["--target", &server.target, "--connections", "2"]].concat());
    assert_eq!(ran.code, 1, "{}", ran.told);
    let doubts = ran.record.unwrap().doubts;
    assert!(doubts.iter().any(|doubt| doubt.detail.contains("before its warm-up")), "{doubts:?}");
}
