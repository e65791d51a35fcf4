//! Reads the configuration file, and files with a secret that it names.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::engine::ConfigError;
use crate::secret::SecretText;

use super::error::ConfigErrors;
use super::tree::LARGEST_FILE;

/// Returns the name of a file, and its text.
pub(super) fn named_text(path: &Path) -> Result<(String, String), ConfigErrors> {
    let name = path.display().to_string();
    let text = read_file(path).map_err(|problem| ConfigErrors::of_file(&name, problem))?;
    Ok((name, text))
}

fn read_file(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            "there is no such file; write one, or name another; without it nothing is started"
                .to_owned()
        }
        _ => format!("cannot be opened: {error}"),
    })?;
    let mut bytes = Vec::new();
    let most = u64::try_from(LARGEST_FILE).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() > LARGEST_FILE {
        return Err(TOO_LARGE.to_owned());
    }
    match String::from_utf8(bytes) {
        // UTF-16 without its mark is UTF-8 with NUL characters, which YAML never holds.
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err("is no UTF-8 text; save it as UTF-8".to_owned()),
    }
}

/// Leaves out the byte order mark.
pub(super) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Returns the secret in a file, without the end of its line.
pub(super) fn read_secret(path: &Path, key: &str) -> Result<SecretText, ConfigError> {
    let read = || {
        let mut text = String::new();
        File::open(path)?.take(LONGEST_SECRET).read_to_string(&mut text)?;
        Ok::<_, std::io::Error>(SecretText::from(text.trim_end_matches(['\r', '\n']).to_owned()))
    };
    read().map_err(|error| ConfigError::new(format!("{key}: {}: {error}", path.display())))
}

pub(super) const TOO_LARGE: &str =
    "larger than 16 mebibytes; that is more than can be read at once";

/// Bytes: no secret is longer.
const LONGEST_SECRET: u64 = 64 << 10;
