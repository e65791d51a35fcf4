//! State in a file: opening it, and replacing it by a backup.

use std::path::Path;
use std::sync::Arc;

use crate::clock::SystemClock;
use crate::engine::ConfigError;
use crate::store::RedbStore;

use super::open::{OpenState, in_state};
use super::secret_file;
use super::state::FileStateConfig;

impl FileStateConfig {
    pub(super) const CAN_OPEN: bool = true;

    pub(super) fn open(&self) -> Result<OpenState, ConfigError> {
        let path = self.secret_file();
        require_folder(&self.file)?;
        require_folder(&path)?;
        let secret = match secret_file::read(&path).map_err(in_state)? {
            Some(secret) => secret,
            // Created before the state: a process that stops in between leaves a secret without state,
            // which is fine, and never a state without its secret.
            None if !self.file.exists() => secret_file::create(&path).map_err(in_state)?,
            None => {
                return Err(in_state(format_args!(
                    "{}: the master secret of {} is missing; restore it, or move the state file away: \
                     then everybody logs in again",
                    path.display(),
                    self.file.display()
                )));
            }
        };
        let store = RedbStore::open(&self.file, SystemClock);
        Ok((Arc::new(store.map_err(in_state)?), secret))
    }

    pub(super) fn replace_by(&self, backup: &Path) -> Result<(), ConfigError> {
        if self.file.exists() {
            // Fails if a process has it open.
            let present = RedbStore::open(&self.file, SystemClock);
            match present.map(drop) {
                Err(error) if error.to_string().contains("another process") => {
                    return Err(in_state(error));
                }
                // It may be damaged, which may be why it is restored.
                Ok(()) | Err(_) => {}
            }
        }
        RedbStore::restore_copy(backup, &self.file).map_err(in_state)
    }
}

/// Refuses a file whose directory does not exist.
fn require_folder(file: &Path) -> Result<(), ConfigError> {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.exists() => {
            Err(in_state(format_args!(
                "the directory {} does not exist; create it, writable by this program's user",
                folder.display()
            )))
        }
        _ => Ok(()),
    }
}
