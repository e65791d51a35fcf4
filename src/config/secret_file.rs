//! The file with the master secret: 64 hexadecimal digits, readable by its owner only.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use zeroize::Zeroizing;

use crate::secret::{MasterSecret, from_hex};

/// Reads a master secret; `None` if the file does not exist.
pub(super) fn read(path: &Path) -> Result<Option<MasterSecret>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = match read_text(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    let secret = from_hex(text.trim_end()).map(MasterSecret::from_bytes);
    let secret = secret.ok_or_else(|| failed(&INVALID_SECRET))?;
    warn_if_others_can_read(path);
    Ok(Some(secret))
}

/// Reads a short secret text.
pub(super) fn read_text(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES));
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    File::open(path)?.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(unix)]
fn warn_if_others_can_read(path: &Path) {
    use std::os::unix::fs::PermissionsExt;

    if std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0) {
        tracing::warn!(
            path = %path.display(),
            "other users of this machine can read the master secret; run `chmod 600` on it"
        );
    }
}

#[cfg(not(unix))]
fn warn_if_others_can_read(_: &Path) {}

/// Generates a master secret and writes it to a file, completely or not at all. If another process is
/// faster, its secret is used.
#[cfg(feature = "redb")]
pub(super) fn create(path: &Path) -> Result<MasterSecret, String> {
    use std::io::Write;

    use crate::random::{SystemRandom, hex};
    use crate::store::new_file;

    let failed = |error: &dyn std::fmt::Display| {
        format!("{}: the master secret cannot be written: {error}", path.display())
    };
    let created = new_file::create(path, |_, mut file| {
        let text = Zeroizing::new(hex::<32>(&SystemRandom).map_err(io::Error::other)?);
        writeln!(file, "{}", *text)?;
        file.sync_all()
    });
    created.map_err(|error| failed(&error))?;
    read(path)?.ok_or_else(|| failed(&"the file was removed"))
}

const INVALID_SECRET: &str = "invalid master secret; write 64 hexadecimal digits and nothing else, \
                         as `openssl rand -hex 32` prints them";
const MAX_BYTES: usize = 4_096;
