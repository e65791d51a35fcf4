//! From `state` to an open store and its master secret.

use std::path::Path;
use std::sync::Arc;

use crate::engine::ConfigError;
use crate::secret::MasterSecret;
use crate::store::Store;

use super::state::{FileStateConfig, RedisStateConfig, StateConfig};

/// An open store, and its master secret.
pub(super) type OpenState = (Arc<dyn Store>, MasterSecret);

impl StateConfig {
    /// Opens the store, and reads or creates its master secret. Blocks.
    pub(super) fn open(&self) -> Result<OpenState, ConfigError> {
        match self {
            Self::File(state) => state.open(),
            Self::Redis(state) => state.open(),
        }
    }

    /// Replaces a state file that no process has open by a backup.
    pub(super) fn replace_by(&self, backup: &Path) -> Result<(), ConfigError> {
        match self {
            Self::File(state) => state.replace_by(backup),
            Self::Redis(_) => Err(in_state(
                "it is in Redis: load the backup with the tools of the server, then restore without a \
                 file",
            )),
        }
    }

    /// Checks whether this program was built with the feature for this store.
    pub(super) fn check_feature(&self) -> Result<(), ConfigError> {
        match self {
            Self::File(_) if !FileStateConfig::CAN_OPEN => Err(in_state(WITHOUT_REDB)),
            Self::Redis(_) if !RedisStateConfig::CAN_OPEN => Err(in_state(WITHOUT_REDIS)),
            Self::File(_) | Self::Redis(_) => Ok(()),
        }
    }
}

#[cfg(not(feature = "redb"))]
impl FileStateConfig {
    const CAN_OPEN: bool = false;

    #[allow(clippy::unused_self, reason = "as with the feature")]
    fn open(&self) -> Result<OpenState, ConfigError> {
        Err(in_state(WITHOUT_REDB))
    }

    #[allow(clippy::unused_self, reason = "as with the feature")]
    fn replace_by(&self, _: &Path) -> Result<(), ConfigError> {
        Err(in_state(WITHOUT_REDB))
    }
}

#[cfg(not(feature = "redis"))]
impl RedisStateConfig {
    const CAN_OPEN: bool = false;

    #[allow(clippy::unused_self, reason = "as with the feature")]
    fn open(&self) -> Result<OpenState, ConfigError> {
        Err(in_state(WITHOUT_REDIS))
    }
}

pub(super) fn in_state(error: impl std::fmt::Display) -> ConfigError {
    ConfigError::new(format!("state: {error}"))
}

const WITHOUT_REDB: &str =
    "this program is built without the feature `redb`; build it with `redb` as well";
const WITHOUT_REDIS: &str =
    "this program is built without the feature `redis`; build it with `redis` as well";
