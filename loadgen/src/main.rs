//! The program: see `loadgen --help`.

use loadgen::cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    ExitCode::from(cli::main(&arguments).code())
}
