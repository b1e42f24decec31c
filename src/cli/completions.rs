//! `larder completions`: a script that completes command lines.

use super::failure::Failure;
use super::{CommandLine, output};
use clap::CommandFactory;
use clap_complete::Shell;

/// Prints a script that makes a shell complete the arguments of larder
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  larder completions bash > /etc/bash_completion.d/larder
  larder completions zsh > ~/.zfunc/_larder")]
pub struct Completions {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    pub fn run(self) -> Result<(), Failure> {
        output::print(&script(self.shell))
    }
}

fn script(shell: Shell) -> Vec<u8> {
    // Into memory first: the generator panics when its output fails.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "larder", &mut script);
    script
}

#[test]
fn every_shell_has_a_script() {
    for shell in <Shell as clap::ValueEnum>::value_variants() {
        let script = String::from_utf8(script(*shell)).unwrap();
        assert!(script.contains("larder") && script.contains("status"), "{shell}");
    }
}
