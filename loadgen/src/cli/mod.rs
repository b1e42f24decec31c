//! The command line: what can be asked for, and what becomes of it.
//!
//! The main thread.

mod audit;
mod compare;
mod echo;
mod exit;
mod floor;
mod load;
mod output;

use crate::scenario::{SCENARIOS, Scenario};
use clap::{Args, Command, FromArgMatches};
pub use exit::Exit;
use load::LoadArguments;

const AFTER: &str = "Without --rate the next request follows an answer (closed loop): that finds the highest rate and the \
cost of a request, and hides the waits of those who would have come meanwhile. With --rate requests have intended times \
(open loop): response time counts from there, also for what had to wait, and is the number to quote.

Exit codes: 0 all was done (BUSY is an answer); 1 something failed or was lost, or nothing was measured; 2 wrong arguments; 3 content \
was wrong; 4 the generator was the bottleneck, so rate and latency are not the server's

Examples:
  loadgen get-hot --target larder://127.0.0.1:7400
  loadgen mixed --rate 5000 --seconds 60 --out run.json --html run.html
  loadgen get-hot --target http://127.0.0.1:7480/bench --against http://127.0.0.1:8080 --rounds 10 --out larder.json
  loadgen compare before.json after.json";

const COMPARED: &str = "Exit codes: 0 something is the same or better, and nothing is worse; 1 there is no comparison, as \
files cannot be read or the runs are not alike; 2 something is worse; 3 nothing can be said";

/// All that can be asked for.
#[must_use]
pub fn command() -> Command {
    let mut command = Command::new("loadgen")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Measures stores of objects: closed and open loops, verified contents, honest latencies, costs of the server")
        .max_term_width(100)
        .after_help(AFTER)
        .subcommand_required(true)
        .arg_required_else_help(true);
    for scenario in &SCENARIOS {
        let mind = scenario.mind.split_whitespace().collect::<Vec<_>>().join(" ");
        let about = Command::new(scenario.name).about(scenario.question).after_help(format!("Mind: {mind}."));
        command = command.subcommand(LoadArguments::augment_args(about));
    }
    command
        .subcommand(saturate())
        .subcommand(Command::new("scenarios").about("Lists the scenarios: what they ask and answer"))
        .subcommand(audit::Audit::augment_args(
            Command::new("audit").about("Reads all objects of a ledger back, and compares each byte"),
        ))
        .subcommand(compare::Compare::augment_args(
            Command::new("compare")
                .about("Says whether one run is better than another, and how sure that is")
                .after_help(COMPARED),
        ))
        .subcommand(compare::Report::augment_args(
            Command::new("report").about("Makes a report of one or more records: one file for a browser"),
        ))
        .subcommand(echo::Echo::augment_args(
            Command::new("echo").about("Serves the echo protocol: the least that a server with such frames can cost"),
        ))
        .subcommand(floor::Floor::augment_args(
            Command::new("floor")
                .about("Measures what bounds any server and generator here: sockets, memory, the disk"),
        ))
}

fn saturate() -> Command {
    let objective = clap::Arg::new("objective")
        .long("objective-us")
        .value_name("US")
        .default_value("1000")
        .value_parser(clap::value_parser!(u64).range(1..=60_000_000))
        .help("What the 99th percentile of response times may be, in microseconds");
    let load =
        clap::Arg::new("scenario").value_name("SCENARIO").default_value("get-hot").help("Whose load is searched with");
    let about = "Finds the highest rate at which the 99th percentile keeps an objective";
    LoadArguments::augment_args(Command::new("saturate").about(about).arg(load).arg(objective))
}

/// Does what is asked for. `arguments` are those of the process, the first is its name.
#[must_use]
pub fn main(arguments: &[String]) -> Exit {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            // A closed standard output leaves nobody to tell.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    let Some((name, matches)) = matches.subcommand() else {
        return Exit::Usage;
    };
    run(name, matches, arguments).unwrap_or_else(|line| {
        output::error(&line);
        Exit::Failed
    })
}

fn run(name: &str, matches: &clap::ArgMatches, arguments: &[String]) -> Result<Exit, String> {
    fn parsed<T: FromArgMatches>(matches: &clap::ArgMatches) -> Result<T, String> {
        T::from_arg_matches(matches).map_err(|error| error.to_string())
    }
    raise_open_files();
    if let Some(scenario) = Scenario::of(name) {
        let load: LoadArguments = parsed(matches)?;
        let plan = match load.plan(scenario) {
            Ok(plan) => plan,
            Err(line) => return Ok(output::usage(&line)),
        };
        return output::session(&load, &crate::session::run(&plan, arguments)?);
    }
    match name {
        "scenarios" => output::print(&crate::scenario::list()).map(|()| Exit::Done),
        "saturate" => {
            let load: LoadArguments = parsed(matches)?;
            let named = matches.get_one::<String>("scenario").map_or("get-hot", String::as_str);
            let Some(scenario) = Scenario::of(named) else {
                return Ok(output::usage(&format!("{named}: no such scenario; `loadgen scenarios` lists them")));
            };
            let plan = match load.search_plan(scenario) {
                Ok(plan) => plan,
                Err(line) => return Ok(output::usage(&line)),
            };
            let objective = matches.get_one::<u64>("objective").copied().unwrap_or(1000);
            output::session(&load, &crate::session::saturate::saturate(&plan, objective as f64, arguments)?)
        }
        "audit" => audit::audit(&parsed(matches)?, arguments),
        "compare" => compare::compare(&parsed(matches)?),
        "report" => compare::report(&parsed(matches)?),
        "echo" => echo::echo(&parsed(matches)?),
        "floor" => floor::floor(&parsed(matches)?),
        other => Err(format!("{other}: no such command")),
    }
}

/// Each connection takes a descriptor; the soft limit is often 1,024.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Without it the connection that has none says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_sound() {
        command().debug_assert();
        let parse = |arguments: &[&str]| command().try_get_matches_from(["loadgen"].iter().chain(arguments)).is_ok();
        assert!(parse(&["get-hot", "--count", "5", "--size", "1KiB..2KiB"]));
        assert!(parse(&["mixed", "--rate", "5000", "--at", "3:true"]));
        assert!(parse(&["saturate", "put-disk", "--objective-us", "5000"]));
        for wrong in [
            &["get-warm"][..],
            &["get-hot", "--count", "5", "--seconds", "5"],
            &["get-hot", "--depth", "0"],
            &["get-hot", "--mix", "gets=1"],
            &["get-hot", "--warm-up", "soon"],
            &[],
        ] {
            assert!(!parse(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn every_scenario_has_a_plan() {
        for scenario in &SCENARIOS {
            let arguments = ["loadgen", scenario.name, "--rate", "100", "--background-ids", "/nowhere"];
            let matches = command().try_get_matches_from(arguments).unwrap();
            let (_, matches) = matches.subcommand().unwrap();
            let load = LoadArguments::from_arg_matches(matches).unwrap();
            let plan = load.plan(scenario).unwrap();
            assert_eq!(plan.loads.len(), 1 + usize::from(scenario.background.is_some()), "{}", scenario.name);
            let without = LoadArguments { rate: None, ..load };
            assert_eq!(without.plan(scenario).is_err(), scenario.needs_rate, "{}", scenario.name);
        }
    }
}
