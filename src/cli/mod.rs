//! The command line: one subcommand a file.
//!
//! Runs on the main thread. Always: facts go to standard output, everything else to standard error; a failure is one
//! line and an exit code.

mod completions;
mod du;
mod facts;
mod failure;
mod files;
mod get;
mod get_tree;
mod listing;
mod ls;
mod master;
mod mkdir;
mod mv;
mod output;
mod ping;
mod progress;
mod put;
mod put_objects;
mod report;
mod rm;
mod scrub;
mod serve;
mod server;
mod stat;
mod status;
mod sync;
mod target;
mod thing;
mod tree;
mod upload;
mod volume;
mod workers;

use clap::{Parser, Subcommand};
use failure::{EXIT_CODES, Failure};
use std::process::ExitCode;

/// A storage node for very many small files, and the client to talk to it
///
/// A node is run by `larder serve`. Files are stored under names, which are paths that begin with /, by `larder put` and
/// `larder sync`; `larder get` reads them back. Objects without names are stored by `larder put --id`, which prints the id
/// of each. The node that client commands talk to is named by --server or LARDER_SERVER, and is 127.0.0.1:7400 by default.
#[derive(Debug, Parser)]
#[command(name = "larder", version, after_help = EXIT_CODES, max_term_width = 100, propagate_version = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Put(put::Put),
    Get(get::Get),
    Ls(ls::Ls),
    Stat(stat::Stat),
    Rm(rm::Rm),
    Mv(mv::Mv),
    Mkdir(mkdir::Mkdir),
    Du(du::Du),
    Sync(sync::Sync),
    Status(status::Status),
    Ping(ping::Ping),
    Scrub(scrub::Scrub),
    Volume(volume::Volume),
    Master(master::Master),
    Completions(completions::Completions),
}

/// Runs the program: parses its arguments, does what they say, and gives the exit code.
#[must_use]
pub fn main() -> ExitCode {
    match CommandLine::parse().command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

impl Command {
    fn run(self) -> Result<(), Failure> {
        match self {
            Self::Serve(command) => command.run(),
            Self::Put(command) => command.run(),
            Self::Get(command) => command.run(),
            Self::Ls(command) => command.run(),
            Self::Stat(command) => command.run(),
            Self::Rm(command) => command.run(),
            Self::Mv(command) => command.run(),
            Self::Mkdir(command) => command.run(),
            Self::Du(command) => command.run(),
            Self::Sync(command) => command.run(),
            Self::Status(command) => command.run(),
            Self::Ping(command) => command.run(),
            Self::Scrub(command) => command.run(),
            Self::Volume(command) => command.run(),
            Self::Master(command) => command.run(),
            Self::Completions(command) => command.run(),
        }
    }
}

#[cfg(test)]
mod tests;
