//! State in a file: opening it, and putting a backup in its place.

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
        let secret = match secret_file::read(&path).map_err(in_state)? {
            Some(secret) => secret,
            // Made before the state: whoever is stopped in between finds a secret without state, which
            // is good, and never a state without its secret.
            None if !self.file.exists() => secret_file::make(&path).map_err(in_state)?,
            None => {
                return Err(in_state(format_args!(
                    "{}: the master secret of {} is missing; put it back, or move the state away: then \
                     everybody logs in anew",
                    path.display(),
                    self.file.display()
                )));
            }
        };
        let store = RedbStore::open(&self.file, SystemClock);
        Ok((Arc::new(store.map_err(in_state)?), secret))
    }

    pub(super) fn put_copy(&self, backup: &Path) -> Result<(), ConfigError> {
        if self.file.exists() {
            // Locked by whoever runs with it: then this fails.
            let present = RedbStore::open(&self.file, SystemClock);
            match present.map(drop) {
                Err(error) if error.to_string().contains("another process") => {
                    return Err(in_state(error));
                }
                // Perhaps it is damaged, and that is why there is a backup.
                Ok(()) | Err(_) => {}
            }
        }
        RedbStore::put_copy(backup, &self.file).map_err(in_state)
    }
}
