//! `proxy check`: reports errors in a file, what it opens, and probable mistakes.

use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use tower_access::clock::{Clock, SystemClock};
use tower_access::config::{Config, ConfigErrors, StateConfig};
use tower_access::inspect::check;
use tower_access::proxy::ReverseProxy;

use crate::format::{Format, print, unusable};
use crate::{Error, output};

/// The file.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The configuration.
    file: PathBuf,
    /// Output format.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Loads the file and the files that it names, as the proxy would, and prints the findings.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let Arguments { file, format } = arguments;
    if let Err(error) = File::open(file) {
        return unusable(&format_args!("{}: {error}", file.display()));
    }
    let report = match check(file, SystemClock.now()) {
        Ok(report) => report,
        Err(errors) => {
            print(*format, &InvalidFile(errors));
            return ExitCode::from(1);
        }
    };
    let report = match can_be_run(report.config()) {
        Ok(()) => report,
        Err(error) => report.with_build_error(error),
    };
    warn_about_state(report.config());
    print(*format, &report);
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// An invalid file, with a line for each error.
#[derive(Serialize)]
struct InvalidFile(ConfigErrors);

impl fmt::Display for InvalidFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.findings().iter().try_for_each(|error| writeln!(f, "{error}"))
    }
}

/// Warns if the directory of the state file does not exist. This is not a finding: the file may be
/// checked on another machine.
fn warn_about_state(config: &Config) {
    let Some(StateConfig::File(state)) = &config.state else { return };
    if let Some(folder) = state.file.parent()
        && !folder.as_os_str().is_empty()
        && !folder.exists()
    {
        output::warn(format_args!(
            "warning: state: the directory {} does not exist on this machine; create it where the proxy \
             runs, writable by its user",
            folder.display()
        ));
    }
}

fn can_be_run(config: &Config) -> Result<(), Error> {
    config.try_build()?;
    if let Some(admin) = &config.admin {
        admin.token()?;
    }
    // Without ingress rules the file is for a program that embeds the crate.
    if !config.ingress.is_empty() {
        ReverseProxy::from_config(config)?;
    }
    Ok(())
}
