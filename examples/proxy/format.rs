//! How commands answer: for people or for programs, and with which exit code.
//!
//! 0: nothing to report. 1: findings, differences, failed tests. 2: the command cannot be carried
//! out as it was given.

use std::fmt::Display;
use std::process::ExitCode;

use clap::ValueEnum;
use serde::Serialize;

use crate::output;

/// What to print.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Prints an answer.
pub(crate) fn print<T: Display + Serialize>(format: Format, answer: &T) {
    match format {
        Format::Text => output::print(answer),
        Format::Json => match serde_json::to_string_pretty(answer) {
            Ok(json) => output::line(json),
            Err(error) => output::warn(error),
        },
    }
}

/// Says why a command cannot be carried out.
pub(crate) fn unusable(error: &dyn Display) -> ExitCode {
    output::warn(error);
    ExitCode::from(2)
}
