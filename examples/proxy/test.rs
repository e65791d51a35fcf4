//! `proxy test`: runs the `tests` of a file.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use tower_access::clock::{Clock, SystemClock};
use tower_access::inspect::Deployment;

use crate::format::{Format, print, unusable};
use crate::output;

/// The `tests` of a configuration.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The configuration.
    file: PathBuf,
    /// Output format.
    #[arg(long, value_enum, default_value_t)]
    format: SuiteFormat,
}

/// The output format.
#[derive(Clone, Copy, Default, ValueEnum)]
enum SuiteFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// For continuous integration.
    Junit,
}

/// Runs the tests, and prints the results.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let report = match Deployment::load(&arguments.file) {
        Ok(deployment) => deployment.run_tests(SystemClock.now()),
        Err(errors) => return unusable(&errors),
    };
    match arguments.format {
        SuiteFormat::Text => print(Format::Text, &report),
        SuiteFormat::Json => print(Format::Json, &report),
        SuiteFormat::Junit => output::print(report.to_junit()),
    }
    if report.is_passed() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
