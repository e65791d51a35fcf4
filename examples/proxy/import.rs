//! `proxy import`: makes a configuration from responses of Cloudflare's API.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use tower_access::inspect::import::{Import, import};

use crate::format::unusable;
use crate::{Error, output};

/// Responses of Cloudflare's API.
///
/// Applications, policies, groups, lists and their entries, service tokens, identity providers, the
/// organization: responses with a list or a single object. The file with the entries of a list has the
/// list's id as its name.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Responses of the API (JSON).
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The configuration file to write. Default: standard output. An existing file is not overwritten.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Prints or writes the configuration, and to standard error what could not be imported. Exit code 0:
/// everything was imported; 1: not everything; 2: nothing.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match convert(&arguments.files, arguments.output.as_deref()) {
        Ok(import) => {
            for note in import.notes() {
                output::warn(note);
            }
            if import.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => unusable(&error),
    }
}

fn convert(files: &[PathBuf], output: Option<&Path>) -> Result<Import, Error> {
    let mut texts = Vec::with_capacity(files.len());
    for file in files {
        let text = read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        texts.push((file.display().to_string(), text));
    }
    let import = import(&texts)?;
    match output {
        None => output::print(import.yaml()),
        Some(file) => write_new(file, import.yaml())
            .map_err(|error| format!("{}: {error}", file.display()))?,
    }
    Ok(import)
}

fn read(file: &Path) -> Result<String, Error> {
    let mut bytes = Vec::new();
    File::open(file)?.take(MAX_RESPONSE + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len())? > MAX_RESPONSE {
        return Err("larger than 64 mebibytes".into());
    }
    Ok(String::from_utf8(bytes).map_err(|_| "not UTF-8 text")?)
}

/// Writes a new file, and fails if it exists.
fn write_new(file: &Path, text: &str) -> Result<(), Error> {
    use std::io::Write;
    File::create_new(file)?.write_all(text.as_bytes())?;
    Ok(())
}

const MAX_RESPONSE: u64 = 64 << 20;
