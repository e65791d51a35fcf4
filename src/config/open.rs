//! From `state` to an open store and its master secret.

use std::path::Path;
use std::sync::Arc;

use crate::engine::ConfigError;
use crate::secret::MasterSecret;
use crate::store::Store;

#[cfg(any(feature = "redb", feature = "redis"))]
use super::secret_file;
use super::state::{FileStateConfig, RedisStateConfig, StateConfig};

/// Opens the store, and reads or makes the secret that goes with it. Waits for the disk.
pub(super) fn open(state: &StateConfig) -> Result<(Arc<dyn Store>, MasterSecret), ConfigError> {
    match state {
        StateConfig::File(state) => open_file(state),
        StateConfig::Redis(state) => open_redis(state),
    }
}

/// Puts a backup in the place of a state file that no process has open.
#[cfg(feature = "redb")]
pub(super) fn put_copy(state: &StateConfig, backup: &Path) -> Result<(), ConfigError> {
    use crate::store::RedbStore;

    let StateConfig::File(state) = state else { return Err(in_state(NO_FILE)) };
    if state.file.exists() {
        // Locked by whoever runs with it: then this fails.
        let present = RedbStore::open(&state.file, crate::clock::SystemClock);
        match present.map(drop) {
            Err(error) if error.to_string().contains("another process") => {
                return Err(in_state(error));
            }
            // Perhaps it is damaged, and that is why there is a backup.
            Ok(()) | Err(_) => {}
        }
    }
    RedbStore::put_copy(backup, &state.file).map_err(in_state)
}

#[cfg(not(feature = "redb"))]
pub(super) fn put_copy(_: &StateConfig, _: &Path) -> Result<(), ConfigError> {
    Err(in_state(WITHOUT_REDB))
}

/// Whether this program can open such a store at all.
pub(super) fn check(state: &StateConfig) -> Result<(), ConfigError> {
    match state {
        StateConfig::File(_) if cfg!(not(feature = "redb")) => Err(in_state(WITHOUT_REDB)),
        StateConfig::Redis(_) if cfg!(not(feature = "redis")) => Err(in_state(WITHOUT_REDIS)),
        StateConfig::File(_) | StateConfig::Redis(_) => Ok(()),
    }
}

#[cfg(feature = "redb")]
fn open_file(state: &FileStateConfig) -> Result<(Arc<dyn Store>, MasterSecret), ConfigError> {
    let path = state.secret_file();
    let secret = match secret_file::read(&path).map_err(in_state)? {
        Some(secret) => secret,
        // Made before the state: whoever is stopped in between finds a secret without state, which
        // is good, and never a state without its secret.
        None if !state.file.exists() => secret_file::make(&path).map_err(in_state)?,
        None => {
            return Err(in_state(format_args!(
                "{}: the master secret of {} is missing; put it back, or move the state away: then \
                 everybody logs in anew",
                path.display(),
                state.file.display()
            )));
        }
    };
    let store = crate::store::RedbStore::open(&state.file, crate::clock::SystemClock);
    Ok((Arc::new(store.map_err(in_state)?), secret))
}

#[cfg(not(feature = "redb"))]
fn open_file(_: &FileStateConfig) -> Result<(Arc<dyn Store>, MasterSecret), ConfigError> {
    Err(in_state(WITHOUT_REDB))
}

#[cfg(feature = "redis")]
fn open_redis(state: &RedisStateConfig) -> Result<(Arc<dyn Store>, MasterSecret), ConfigError> {
    use crate::store::{RedisPassword, RedisStore};

    let path = &state.secret_file;
    let secret = secret_file::read(path).map_err(in_state)?.ok_or_else(|| {
        in_state(format_args!(
            "{path}: there is no master secret; make it once, with `openssl rand -hex 32 > {path}`, \
             and give it to all processes",
            path = path.display()
        ))
    })?;
    let mut builder = RedisStore::connect(state.url.clone());
    if let Some(path) = &state.password_file {
        let text = secret_file::read_text(path)
            .map_err(|error| in_state(format_args!("{}: {error}", path.display())))?;
        let password = RedisPassword::new(text.trim_end_matches(['\r', '\n']));
        builder = match &state.username {
            Some(username) => builder.login(username, password),
            None => builder.password(password),
        };
    }
    if let Some(path) = &state.ca_file {
        builder = builder.ca_file(path);
    }
    if let Some(prefix) = &state.prefix {
        builder = builder.prefix(prefix);
    }
    if let Some(timeout) = state.timeout {
        builder = builder.timeout(timeout);
    }
    if let Some(members) = state.members_per_set {
        builder = builder.members_per_set(members);
    }
    Ok((Arc::new(builder.build().map_err(in_state)?), secret))
}

#[cfg(not(feature = "redis"))]
fn open_redis(_: &RedisStateConfig) -> Result<(Arc<dyn Store>, MasterSecret), ConfigError> {
    Err(in_state(WITHOUT_REDIS))
}

fn in_state(error: impl std::fmt::Display) -> ConfigError {
    ConfigError::new(format!("state: {error}"))
}

#[cfg(feature = "redb")]
const NO_FILE: &str = "it is in Redis, where a backup is loaded by the server's own means; after that \
                       restore without a file";
const WITHOUT_REDB: &str = "this program is built without the feature `redb`";
const WITHOUT_REDIS: &str = "this program is built without the feature `redis`";
