//! Measures a Larder node.
//!
//! Each connection has two threads: one sends, one receives, so that neither end can wait for the other for ever.
//! Always: every payload is made from its key, and every byte that is read back is compared with it.

mod arguments;
mod connection;
mod hold;
mod objects;
mod payload;
mod print;
mod run;
mod tally;
mod work;

use arguments::{Arguments, Command};
use clap::Parser;
use std::process::ExitCode;

/// What was read back is not what was stored.
const EXIT_WRONG: u8 = 3;

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Put(load) => run::put(&load),
        Command::Get(load) => run::get(&load),
        Command::Mixed(load) => run::mixed(&load),
        Command::Hold(hold) => hold::hold(&hold),
    };
    match outcome {
        Ok(verdict) if verdict.wrong > 0 => ExitCode::from(EXIT_WRONG),
        Ok(verdict) if verdict.failed > 0 => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(line) => {
            use std::io::Write;
            // If nobody reads it, there is nobody left to tell.
            let _ = writeln!(std::io::stderr(), "loadgen: {line}");
            ExitCode::FAILURE
        }
    }
}

/// How it went, as far as the exit code says.
#[derive(Debug, Default, Clone, Copy)]
pub struct Verdict {
    /// Objects whose content was not that of their key.
    pub wrong: u64,
    /// Requests that ended in another status than OK or BUSY, or were lost with their connection.
    pub failed: u64,
}
