//! Measures what bounds any server and generator here.

use super::exit::Exit;
use super::load::LoadArguments;
use super::output;
use crate::driver::target::{BadTarget, DriverOptions, Target};
use crate::echo::Server;
use crate::floor::{codec, disk};
use crate::scenario::Scenario;
use crate::session;
use clap::{Args, FromArgMatches};
use larder::base::size::Size;
use larder::request::Durability;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of a floor.
#[derive(Debug, clap::Args)]
pub(super) struct Floor {
    /// Which
    #[arg(value_enum)]
    which: Which,

    /// Bytes of an object
    #[arg(long, default_value = "4KiB", value_name = "BYTES")]
    size: Size,

    /// disk: objects of a group
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=4096))]
    group: u64,

    /// disk: how the file is where a group goes
    #[arg(long, value_enum, default_value_t = disk::Mode::Zeros)]
    mode: disk::Mode,

    /// disk: where
    #[arg(long, default_value = ".", value_name = "DIR")]
    directory: PathBuf,

    /// net: connections
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=16_000))]
    connections: u32,

    /// net: requests of each that may be unanswered
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    depth: u32,

    /// How long
    #[arg(long, default_value_t = 3, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Which {
    /// Sockets: an echo server with the frames of a GET, and the generator that asks it, a thread each
    Net,
    /// The generator alone: requests encoded, answers decoded, compared and counted, without a socket
    Codec,
    /// Durable writes: a bare loop that appends groups and syncs each
    Disk,
}

/// Measures and prints.
pub(super) fn floor(floor: &Floor) -> Result<Exit, String> {
    let figures = match floor.which {
        Which::Net => net(floor)?,
        Which::Codec => generator(floor)?,
        Which::Disk => lane(floor)?,
    };
    if floor.json {
        output::print(&format!("{figures:#}\n"))?;
    } else if let Value::Object(fields) = &figures {
        for (name, value) in fields {
            output::print(&format!("{name:28}{value:>16}\n"))?;
        }
    }
    Ok(Exit::Done)
}

fn rounded(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}

fn lane(floor: &Floor) -> Result<Value, String> {
    let time = Duration::from_secs(floor.seconds);
    let groups = disk::Groups { object_bytes: floor.size.0, objects: floor.group, time, mode: floor.mode };
    let taken =
        disk::measure(&floor.directory, &groups).map_err(|error| format!("{}: {error}", floor.directory.display()))?;
    let seconds = taken.time.as_secs_f64();
    let us = |quantile: f64| rounded(taken.latency.value_at_quantile(quantile) as f64 / 1e3);
    Ok(json!({
        "groups_per_second": rounded(taken.groups as f64 / seconds),
        "objects_per_second": rounded((taken.groups * floor.group) as f64 / seconds),
        "group_p50_us": us(0.5),
        "group_p99_us": us(0.99),
    }))
}

fn generator(floor: &Floor) -> Result<Value, String> {
    // The port of a name that nobody asks.
    let target: Target = "redis://127.0.0.1:1".parse().map_err(|error: BadTarget| error.to_string())?;
    let mut driver = target.driver(&DriverOptions {
        depth: 16,
        durability: Durability::Disk,
        deadline_ms: 0,
        creates: false,
        directory: String::new(),
    });
    let taken = codec::measure(driver.as_mut(), floor.size.0, Duration::from_secs(floor.seconds))?;
    let us = taken.time.as_secs_f64() * 1e6 / taken.requests as f64;
    Ok(json!({ "requests": taken.requests, "us_per_request": rounded(us) }))
}

fn net(floor: &Floor) -> Result<Value, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| format!("cannot listen: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let server = Server::new(listener).map_err(|error| format!("{address}: {error}"))?;
    let stopper = server.stopper();
    let server = larder::base::thread::spawn("echo", move || {
        if let Err(error) = server.run() {
            output::error(&format!("echo: {error}"));
        }
    });
    let server = server.map_err(|error| format!("no thread can be had: {error}"))?;
    let texts = [
        format!("--target=echo://{address}"),
        format!("--connections={}", floor.connections),
        format!("--depth={}", floor.depth),
        format!("--size={}B", floor.size.0),
        format!("--seconds={}", floor.seconds),
    ];
    let given = ["floor"].into_iter().chain(texts.iter().map(String::as_str));
    let given = given.chain(["--objects=1000", "--warm-up=1", "--quiet"]);
    let matches = LoadArguments::augment_args(clap::Command::new("floor")).try_get_matches_from(given);
    let load =
        matches.and_then(|matches| LoadArguments::from_arg_matches(&matches)).map_err(|error| error.to_string())?;
    let outcome = session::run(&load.plan(Scenario::of("run").expect("it is in the table"))?, &[]);
    stopper.stop().map_err(|error| format!("the echo server cannot be ended: {error}"))?;
    server.join().map_err(|_| "the echo server panicked".to_string())?;
    let outcome = outcome?;
    let round = outcome.records.first().and_then(|record| record.rounds.first()).ok_or("nothing was measured")?;
    let ok: u64 = round.requests.values().map(|requests| requests.ok).sum();
    let us = |thread: &str| {
        let seconds: f64 =
            round.generator.threads.iter().filter(|(name, _)| name.starts_with(thread)).map(|(_, cpu)| cpu).sum();
        rounded(seconds * 1e6 / ok.max(1) as f64)
    };
    Ok(json!({
        "requests_per_second": rounded(ok as f64 / round.seconds.max(1e-9)),
        "server_us_per_request": us("echo"),
        "generator_us_per_request": us("load"),
    }))
}
