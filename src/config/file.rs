//! Reads the configuration file, and files with a secret that it names.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::engine::ConfigError;
use crate::secret::SecretText;

use super::error::ConfigErrors;
use super::tree::MAX_FILE_BYTES;

/// Returns the name of a file and its text.
pub(super) fn named_text(path: &Path) -> Result<(String, String), ConfigErrors> {
    let name = path.display().to_string();
    let text = read_file(path).map_err(|problem| ConfigErrors::for_file(&name, problem))?;
    Ok((name, text))
}

fn read_file(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            "file not found; create it or name another one; without it nothing is started"
                .to_owned()
        }
        _ => format!("cannot be opened: {error}"),
    })?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(TOO_LARGE.to_owned());
    }
    match String::from_utf8(bytes) {
        // UTF-16 without a byte order mark is UTF-8 with NUL characters, which YAML never contains.
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err("is not UTF-8 text; save it as UTF-8".to_owned()),
    }
}

/// Reads a short text from a file that the configuration names.
pub(super) fn read_text_file(path: &Path, max_bytes: usize) -> Result<String, std::io::Error> {
    let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = String::new();
    File::open(path)?.take(limit).read_to_string(&mut text)?;
    if text.len() > max_bytes {
        return Err(std::io::Error::other(format!("larger than {} KiB", max_bytes >> 10)));
    }
    Ok(strip_byte_order_mark(&text).to_owned())
}

/// Removes the byte order mark.
pub(super) fn strip_byte_order_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Reads a secret from a file, without the line end.
pub(super) fn read_secret(path: &Path, key: &str) -> Result<SecretText, ConfigError> {
    let read = || {
        let mut text = String::new();
        File::open(path)?.take(MAX_SECRET_BYTES).read_to_string(&mut text)?;
        Ok::<_, std::io::Error>(SecretText::from(text.trim_end_matches(['\r', '\n']).to_owned()))
    };
    read().map_err(|error| ConfigError::new(format!("{key}: {}: {error}", path.display())))
}

/// Reads a file of certificates.
#[cfg(any(feature = "github", feature = "oidc", feature = "saml"))]
pub(super) fn read_certificates(path: &Path, key: &str) -> Result<Vec<u8>, ConfigError> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_CERTIFICATES_BYTES).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    read().map_err(|error| ConfigError::new(format!("{key}: {}: {error}", path.display())))
}

pub(super) const TOO_LARGE: &str = "larger than 16 mebibytes; make the file smaller";

/// Longer secrets are cut.
const MAX_SECRET_BYTES: u64 = 64 << 10;
/// More than all public authorities together.
#[cfg(any(feature = "github", feature = "oidc", feature = "saml"))]
const MAX_CERTIFICATES_BYTES: u64 = 1 << 20;
