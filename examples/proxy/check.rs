//! `proxy check`: whether a file is right, what it means, and what in it may not be meant.

use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use tower_access::clock::{Clock, SystemClock};
use tower_access::config::{Config, ConfigErrors};
use tower_access::inspect::check;
use tower_access::proxy::ReverseProxy;

use crate::Error;
use crate::format::{Format, print, unusable};

/// The file.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The configuration.
    file: PathBuf,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Reads the file and all it names, as running it would, and prints what was found.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let Arguments { file, format } = arguments;
    if let Err(error) = File::open(file) {
        return unusable(&format_args!("{}: {error}", file.display()));
    }
    let report = match check(file, SystemClock.now()) {
        Ok(report) => report,
        Err(errors) => {
            print(*format, &Refused(errors));
            return ExitCode::from(1);
        }
    };
    let report = match can_be_run(report.config()) {
        Ok(()) => report,
        Err(error) => report.cannot_be_run(error),
    };
    print(*format, &report);
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// A file that is wrong, with a line for each error.
#[derive(Serialize)]
struct Refused(ConfigErrors);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.findings().iter().try_for_each(|error| writeln!(f, "{error}"))
    }
}

fn can_be_run(config: &Config) -> Result<(), Error> {
    config.try_build()?;
    if let Some(admin) = &config.admin {
        admin.token()?;
    }
    // Without any rules the file is for a program that serves requests itself.
    if !config.ingress.is_empty() {
        ReverseProxy::from_config(config)?;
    }
    Ok(())
}
