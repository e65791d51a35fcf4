//! The output formats and exit codes of commands.
//!
//! 0: nothing to report. 1: findings, differences, failed tests. 2: the command cannot be carried
//! out as it was given.

use std::fmt::Display;
use std::process::ExitCode;

use clap::ValueEnum;
use serde::Serialize;

use crate::output;

/// Output format.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Prints the result of a command.
pub(crate) fn print<T: Display + Serialize>(format: Format, result: &T) {
    match format {
        Format::Text => output::print(result),
        Format::Json => match serde_json::to_string_pretty(result) {
            Ok(json) => output::line(json),
            Err(error) => output::warn(error),
        },
    }
}

/// Reports why a command cannot be carried out.
pub(crate) fn unusable(error: &dyn Display) -> ExitCode {
    output::warn(error);
    ExitCode::from(2)
}
