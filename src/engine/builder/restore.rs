//! Revoking all that an older copy of the state could open.

use std::sync::Arc;

use crate::audit::{self, Event, EventKind};
use crate::clock::Clock;
use crate::issuer::{RsaKeySize, StoredKeys};
use crate::login::PENDING_ERA;
use crate::service_token::delete_all;
use crate::session::{Ended, Revocations};
use crate::store::Store;
use crate::util::changes::Changes;

use super::super::ConfigError;
use super::AccessBuilder;

/// What of a restored state stays valid.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Restore {
    keeps_service_tokens: bool,
}

impl Restore {
    /// Revokes everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps the service tokens that the store defines. **One that was deleted, disabled or given
    /// another secret after the backup was made is valid again as it was then.**
    #[must_use]
    pub fn insecure_keep_service_tokens(mut self) -> Self {
        self.keeps_service_tokens = true;
        self
    }
}

impl AccessBuilder {
    /// Revokes what the store of these settings has after it was restored from a backup, because it may
    /// have been revoked since: every session, every signing key, and every service token that the
    /// store defines. A new signing key takes their place. Service tokens of a file stay.
    ///
    /// With a store that notices it by itself, [`build_with_kept_keys`](Self::build_with_kept_keys)
    /// does this. A Redis server cannot notice: call this before any process uses it, or while they
    /// run, which logs everybody out in all of them. May be called again where it failed.
    ///
    /// # Errors
    ///
    /// When no [`master_secret`](Self::master_secret) is set, the store is unavailable, or its keys
    /// were sealed with another secret.
    pub async fn restore(mut self, restore: Restore) -> Result<(), ConfigError> {
        let kept = self.stored_keys()?;
        let store = self.store_or_memory();
        end_everything(&store, &self.options.clock, (&kept, self.key_rotation.size), restore).await
    }
}

/// Revokes everything. Every step may be done twice, and the last one records that all are done.
pub(super) async fn end_everything(
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    (kept, size): (&StoredKeys, RsaKeySize),
    restore: Restore,
) -> Result<(), ConfigError> {
    let changes = Arc::<Changes>::default();
    let revocations = Revocations::kept(Arc::clone(store), Arc::clone(clock), changes);
    revocations.end(Ended::Everything, clock.now()).await.map_err(ConfigError::new)?;
    let service_tokens = if restore.keeps_service_tokens {
        0
    } else {
        delete_all(&**store, clock.now()).await.map_err(ConfigError::new)?
    };
    // Codes that were used after the backup was made are good for no login any more.
    store.take(PENDING_ERA).await.map_err(ConfigError::new)?;
    kept.replace_all(size).await.map_err(ConfigError::new)?;
    store.accept_rollback().await.map_err(ConfigError::new)?;
    audit::record(&Event::new(EventKind::StateRestored { service_tokens }));
    Ok(())
}
