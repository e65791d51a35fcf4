//! The file with the master secret: 64 hexadecimal digits, for the eyes of its owner.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use zeroize::Zeroizing;

use crate::secret::{MasterSecret, from_hex};

/// Reads a master secret; `None` where there is no file.
pub(super) fn read(path: &Path) -> Result<Option<MasterSecret>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = match read_text(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    let secret = from_hex(text.trim_end()).map(MasterSecret::from_bytes);
    let secret = secret.ok_or_else(|| failed(&NO_SECRET))?;
    warn_if_open(path);
    Ok(Some(secret))
}

/// Reads a short text that is a secret.
pub(super) fn read_text(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(LONGEST_TEXT));
    let most = u64::try_from(LONGEST_TEXT).unwrap_or(u64::MAX);
    File::open(path)?.take(most).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(unix)]
fn warn_if_open(path: &Path) {
    use std::os::unix::fs::PermissionsExt;

    if std::fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o077 != 0) {
        tracing::warn!(
            path = %path.display(),
            "others on this machine may read the master secret; `chmod 600` it"
        );
    }
}

#[cfg(not(unix))]
fn warn_if_open(_: &Path) {}

/// Draws a master secret and writes it down, whole or not at all. Where another process is faster,
/// its secret is the one.
#[cfg(feature = "redb")]
pub(super) fn make(path: &Path) -> Result<MasterSecret, String> {
    use std::io::Write;

    use crate::random::{SystemRandom, hex};
    use crate::store::new_file;

    let failed = |error: &dyn std::fmt::Display| {
        format!("{}: the master secret cannot be written: {error}", path.display())
    };
    let made = new_file::create(path, |_, mut file| {
        let text = Zeroizing::new(hex::<32>(&SystemRandom).map_err(io::Error::other)?);
        writeln!(file, "{}", *text)?;
        file.sync_all()
    });
    made.map_err(|error| failed(&error))?;
    read(path)?.ok_or_else(|| failed(&"it is gone again"))
}

const NO_SECRET: &str = "no master secret; it is 64 hexadecimal digits and nothing else, as \
                         `openssl rand -hex 32` makes them";
const LONGEST_TEXT: usize = 4_096;
