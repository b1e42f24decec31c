//! Arguments of a load, and what they come to together with a scenario.

use crate::driver::target::Target;
use crate::engine::arrivals::Arrivals;
use crate::engine::plan::{Patience, Verify};
use crate::scenario::Scenario;
use crate::session::hooks::Hook;
use crate::session::plan::{Load, Plan};
use crate::session::steady::WarmUp;
use crate::workload::keys::Keys;
use crate::workload::mix::Mix;
use crate::workload::sizes::Sizes;
use larder::base::size::Size;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Times of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// At random, as independent users come
    Poisson,
    /// At even distances
    Constant,
}

/// When a put counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Class {
    /// It is on the disk
    Disk,
    /// It is in the server's memory
    Memory,
}

/// What a load is made of. What is not given comes from the scenario.
#[derive(Debug, Clone, clap::Args)]
pub struct LoadArguments {
    /// Whom to ask: larder://HOST:PORT, http://HOST:PORT/prefix, redis://, memcached://, echo://; without scheme: larder
    #[arg(long, visible_alias = "server", env = "LARDER_SERVER", default_value = "127.0.0.1:7400", value_name = "URL")]
    pub target: String,

    /// Another server, asked in turns with the first: round by round, ABBA
    #[arg(long, value_name = "URL")]
    pub against: Option<String>,

    /// Rounds of each server
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,

    /// Connections
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub connections: Option<u32>,

    /// Requests of each connection that may be unanswered
    #[arg(long, visible_alias = "in-flight", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub depth: Option<u32>,

    /// Threads of the generator
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: u32,

    /// Requests a second, at intended times (open loop); without it the next request follows an answer (closed loop)
    #[arg(long, value_name = "R")]
    pub rate: Option<f64>,

    /// How the times of an open loop are spread
    #[arg(long, value_enum, default_value_t = Kind::Poisson)]
    pub arrivals: Kind,

    /// Open loop: requests that may wait or be under way; more are shed, and counted [default: 64 for each place, and what comes within --patience]
    #[arg(long, value_name = "N")]
    pub outstanding: Option<u32>,

    /// Requests and their parts, as get=70,put=20,delete=5,head=5; also range, create, lookup
    #[arg(long, value_name = "MIX")]
    pub mix: Option<Mix>,

    /// Bytes of an object: 4KiB, 1KiB..64KiB, lognormal:MEDIAN:SIGMA, pictures, file:PATH
    #[arg(long, value_name = "SIZES")]
    pub size: Option<Sizes>,

    /// Which object is asked for: uniform, zipf, zipf:EXPONENT, latest, once
    #[arg(long, value_name = "KEYS")]
    pub keys: Option<Keys>,

    /// Objects that are stored before
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=1_000_000_000))]
    pub objects: Option<u64>,

    /// Read objects of this ledger, instead of storing some before
    #[arg(long, value_name = "FILE")]
    pub ids: Option<PathBuf>,

    /// Write a line for each object that was acknowledged, for `loadgen audit` and --ids
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,

    /// Bytes of a range request
    #[arg(long, default_value = "64KiB", value_name = "BYTES")]
    pub range_bytes: Size,

    /// Which contents are compared with what they must be: all, none, or one of so many as 1/16
    #[arg(long, default_value = "all", value_name = "PART")]
    pub verify: Verify,

    /// How long to measure [default: 10, unless --count is given]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: Option<u64>,

    /// Requests in all, instead of a time; there is no warm-up then
    #[arg(long, value_name = "N", conflicts_with = "seconds", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// Seconds before measuring, or auto: until two windows of 2 s are alike, at most 20 s [default: auto; of get-cold 0]
    #[arg(long, value_name = "S")]
    pub warm_up: Option<WarmUpArgument>,

    /// Seed of contents, choices and times: the same seed is the same work
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// When a put counts as done
    #[arg(long, value_enum)]
    pub durability: Option<Class>,

    /// How long each request may take, in milliseconds, for servers that are told; also, with --patience, how long none
    /// of those may be answered that are stored before or counted by --count
    #[arg(long, default_value_t = 30_000, value_name = "MS", value_parser = clap::value_parser!(u32).range(1..=86_400_000))]
    pub deadline_ms: u32,

    /// Connections that do nothing
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=20_000))]
    pub idle: Option<u32>,

    /// Come from as many addresses of this machine, from 127.0.0.2 on, for servers that count connections by address
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=250))]
    pub sources: u32,

    /// A second load beside the first: its mix
    #[arg(long, value_name = "MIX")]
    pub background: Option<Mix>,

    /// Its rate; without it a closed loop
    #[arg(long, value_name = "R")]
    pub background_rate: Option<f64>,

    /// Its connections
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub background_connections: u32,

    /// Its requests in flight on each connection
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub background_depth: u32,

    /// Its objects
    #[arg(long, value_name = "FILE")]
    pub background_ids: Option<PathBuf>,

    /// Run a command so many seconds after measuring began, as 10:'systemctl restart larder'; may be given again
    #[arg(long, value_name = "S:COMMAND")]
    pub at: Vec<Hook>,

    /// The server's processes, for its costs; without it those that listen there
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pub server_pid: Vec<u32>,

    /// A directory of the server, for reads of its device
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Empty the page cache before measuring (as root)
    #[arg(long)]
    pub drop_caches: bool,

    /// Seconds in which a server that went away may come back, and in which answers may come after the end
    #[arg(long, default_value_t = 10, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub patience: u64,

    /// Write the record of the run there; with --against, that of the other server beside it, as FILE.against
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Write a report there: one file, to be opened in a browser
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// Print the record instead of a table
    #[arg(long)]
    pub json: bool,

    /// No line of progress
    #[arg(long)]
    pub quiet: bool,
}

/// Of --warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WarmUpArgument(pub WarmUp);

const WARM_UP_MAX: Duration = Duration::from_secs(20);
const SECONDS_DEFAULT: u64 = 10;
/// Requests of an open loop that may wait at least, for each that may be under way.
const WAITING_PER_PLACE: u32 = 64;

impl FromStr for WarmUpArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self(WarmUp::Steady(WARM_UP_MAX)));
        }
        let seconds: Option<f64> = text.parse().ok();
        let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        time.map(|time| Self(WarmUp::For(time))).ok_or_else(|| format!("{text}: want seconds, or auto"))
    }
}

impl LoadArguments {
    /// What to do, of this scenario, for a search of its rate.
    ///
    /// # Errors
    /// A line that names the argument: also one that a search has no use for.
    pub fn search_plan(&self, scenario: &'static Scenario) -> Result<Plan, String> {
        let useless = [
            ("--rate", self.rate.is_some()),
            ("--against", self.against.is_some()),
            ("--rounds", self.rounds > 1),
            ("--count", self.count.is_some()),
            ("--at", !self.at.is_empty()),
        ];
        if let Some((argument, _)) = useless.into_iter().find(|(_, is_given)| *is_given) {
            return Err(format!("{argument}: a search looks for one rate of one server, each for --seconds"));
        }
        // It begins with a closed loop.
        self.plan_of(scenario)
    }

    /// What to do, of this scenario.
    ///
    /// # Errors
    /// A line that names the argument.
    pub fn plan(&self, scenario: &'static Scenario) -> Result<Plan, String> {
        if self.against.is_some() && self.ledger.is_some() {
            return Err("--ledger and --against: a ledger is of one server".to_string());
        }
        if scenario.needs_rate && self.rate.is_none() {
            let why = "how it behaves at a rate is the question, and `loadgen saturate` finds the highest";
            return Err(format!("{}: --rate is missing: {why}", scenario.name));
        }
        self.plan_of(scenario)
    }

    fn plan_of(&self, scenario: &'static Scenario) -> Result<Plan, String> {
        let rate = self.rate;
        let targets = std::iter::once(&self.target).chain(&self.against);
        let targets = targets
            .map(|text| text.parse::<Target>().map_err(|error| error.to_string()))
            .collect::<Result<Vec<_>, _>>()?;
        let connections = self.connections.unwrap_or(scenario.connections);
        let depth = self.depth.unwrap_or(scenario.depth);
        let places = connections.saturating_mul(depth);
        let first = Load {
            name: String::new(),
            connections,
            depth,
            idle: self.idle.unwrap_or(scenario.idle),
            arrivals: arrivals(rate, self.arrivals, "--rate")?,
            outstanding_max: self.outstanding.unwrap_or(waiting_max(places, rate, self.patience)).max(1),
            mix: self.mix.clone().map_or_else(|| preset(scenario.mix), Ok)?,
            sizes: self.size.clone().map_or_else(|| preset(scenario.size), Ok)?,
            keys: self.keys.map_or_else(|| preset(scenario.keys), Ok)?,
            objects: self.objects.unwrap_or(scenario.objects),
            ids: self.ids.clone(),
            is_storm: scenario.storm,
            count: self.count,
        };
        let background = match (&self.background, scenario.background) {
            (Some(mix), _) => Some(mix.clone()),
            (None, Some(mix)) if self.background_ids.is_some() => Some(preset(mix)?),
            (None, Some(_)) => return Err(format!("{}: --background-ids is missing", scenario.name)),
            (None, None) => None,
        };
        let mut loads = vec![first];
        if let Some(mix) = background {
            let places = self.background_connections.saturating_mul(self.background_depth);
            loads.push(Load {
                name: "background".to_string(),
                connections: self.background_connections,
                depth: self.background_depth,
                idle: 0,
                arrivals: arrivals(self.background_rate, self.arrivals, "--background-rate")?,
                outstanding_max: waiting_max(places, self.background_rate, self.patience),
                mix,
                ids: self.background_ids.clone(),
                is_storm: false,
                count: None,
                ..loads[0].clone()
            });
        }
        // What is read once and for the first time has nothing to warm up.
        let warm_up = if scenario.cold { WarmUp::For(Duration::ZERO) } else { WarmUp::Steady(WARM_UP_MAX) };
        Ok(Plan {
            scenario,
            targets,
            rounds: self.rounds,
            threads: self.threads.min(connections),
            arrivals: if self.arrivals == Kind::Constant { Arrivals::Constant } else { Arrivals::Poisson },
            loads,
            range_bytes: self.range_bytes.0.max(1),
            verify: self.verify,
            seconds: self.count.is_none().then(|| Duration::from_secs(self.seconds.unwrap_or(SECONDS_DEFAULT))),
            warm_up: self.warm_up.map_or(warm_up, |given| given.0),
            seed: self.seed,
            in_memory: self.durability.map_or(scenario.memory, |class| class == Class::Memory),
            deadline_ms: self.deadline_ms,
            sources: self.sources,
            hooks: self.at.clone(),
            server_pids: self.server_pid.clone(),
            data: self.data.clone(),
            drop_caches: self.drop_caches || scenario.cold,
            patience: Patience {
                server: Duration::from_secs(self.patience),
                // Servers that are told of a deadline say so when it is over.
                answer: Duration::from_millis(self.deadline_ms.into()) + Duration::from_secs(self.patience),
                drain: Patience::default().drain.max(Duration::from_secs(self.patience)),
            },
            ledger: self.ledger.clone(),
            quiet: self.quiet,
        })
    }
}

/// Requests that may wait: those that come while a server is away that is waited for.
fn waiting_max(places: u32, rate: Option<f64>, patience: u64) -> u32 {
    let come = rate.unwrap_or(0.0) * patience as f64;
    // A number out of range is bounded by the conversion.
    places.saturating_mul(WAITING_PER_PLACE).max(come as u32)
}

fn preset<T: FromStr<Err = E>, E: std::fmt::Display>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: E| error.to_string())
}

fn arrivals(rate: Option<f64>, kind: Kind, argument: &str) -> Result<Arrivals, String> {
    match rate {
        None => Ok(Arrivals::Closed),
        Some(rate) if !(rate.is_finite() && rate > 0.0 && rate <= 1e7) => {
            Err(format!("{argument} {rate}: want requests a second, above 0 and at most 10,000,000"))
        }
        Some(rate) if kind == Kind::Constant => Ok(Arrivals::Constant(rate)),
        Some(rate) => Ok(Arrivals::Poisson(rate)),
    }
}
