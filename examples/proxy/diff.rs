//! `proxy diff`: reports who gains or loses access by a change of a configuration.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tower_access::clock::{Clock, SystemClock};
use tower_access::inspect::{Deployment, diff};

use crate::format::{Format, print, unusable};

/// Two configurations.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The old configuration.
    old: PathBuf,
    /// The new configuration.
    new: PathBuf,
    /// Output format.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Compares the configurations, and prints who gains or loses access, and where.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let load = |file| Deployment::load(file).map_err(|errors| unusable(&errors));
    let (old, new) = match (load(&arguments.old), load(&arguments.new)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(code), _) | (_, Err(code)) => return code,
    };
    let report = diff(&old, &new, SystemClock.now());
    print(arguments.format, &report);
    if report.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
