//! `proxy schema`: the JSON Schema of the configuration, for editors.

use std::process::ExitCode;

use tower_access::config::Config;

use crate::output;

/// Prints the schema.
pub(crate) fn run() -> ExitCode {
    output::line(Config::json_schema());
    ExitCode::SUCCESS
}
