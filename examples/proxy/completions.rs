//! `proxy completions`: the completion script of a shell.

use std::process::ExitCode;

use clap::Args;
use clap_complete::Shell;

use crate::output;

/// The shell.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The shell that reads the script.
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(mut program: clap::Command, arguments: &Arguments) -> ExitCode {
    let name = program.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut program, name, &mut script);
    output::print(String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}
