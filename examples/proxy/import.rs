//! `proxy import`: from Cloudflare's API to a configuration.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use tower_access::inspect::import::{Import, import};

use crate::format::unusable;
use crate::{Error, output};

/// What Cloudflare's API answered.
///
/// Applications, policies, groups, lists and their entries, service tokens, identity providers, the
/// organization: answers of the API, lists or single objects. Entries of a list stand in a file that
/// is named after the list's id.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Answers of the API (JSON).
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Where to write the configuration; printed when left out. A file that is there stays as it is.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Prints or writes the configuration, and what could not be carried over to standard error. Exit
/// code 0: all of it was; 1: not all of it; 2: there is no configuration.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match carry_over(&arguments.files, arguments.output.as_deref()) {
        Ok(import) => {
            for note in import.notes() {
                output::warn(note);
            }
            if import.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => unusable(&error),
    }
}

fn carry_over(files: &[PathBuf], output: Option<&Path>) -> Result<Import, Error> {
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
    File::open(file)?.take(LARGEST_ANSWER + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len())? > LARGEST_ANSWER {
        return Err("larger than 64 mebibytes".into());
    }
    Ok(String::from_utf8(bytes).map_err(|_| "no UTF-8 text")?)
}

/// Nobody's work is written over.
fn write_new(file: &Path, text: &str) -> Result<(), Error> {
    use std::io::Write;
    File::create_new(file)?.write_all(text.as_bytes())?;
    Ok(())
}

const LARGEST_ANSWER: u64 = 64 << 20;
