//! Revokes what an older copy of the state would make valid again.

use std::sync::Arc;

use crate::audit::{self, Event, EventKind};
use crate::clock::Clock;
use crate::issuer::{RsaKeySize, StoredKeys};
use crate::login::PENDING_ERA;
use crate::service_token::delete_all;
use crate::session::{Revocation, Revocations};
use crate::store::Store;
use crate::util::changes::Changes;

use super::super::ConfigError;
use super::AccessBuilder;

/// Options of [`AccessBuilder::restore`]: what of a restored state stays valid.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RestoreOptions {
    keeps_service_tokens: bool,
}

impl RestoreOptions {
    /// Revokes everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps the service tokens of the store. **A token that was deleted, disabled or rotated after the
    /// backup was made is valid again as it was then.**
    #[must_use]
    pub fn insecure_keep_service_tokens(mut self) -> Self {
        self.keeps_service_tokens = true;
        self
    }
}

impl AccessBuilder {
    /// Revokes the state of a store that was restored from a backup, because it may have been revoked
    /// since: every session, every signing key, and every service token of the store. Makes a new
    /// signing key. Service tokens of the settings stay.
    ///
    /// With a store that detects the restored backup, [`build_persistent`](Self::build_persistent) does
    /// this. A Redis server cannot detect it: call this before any process uses the store, or while
    /// they run, which logs all users out in all of them. If it failed, call it again.
    ///
    /// # Errors
    ///
    /// If no [`master_secret`](Self::master_secret) is set, the store is unavailable, or its keys were
    /// sealed with another secret.
    pub async fn restore(mut self, restore: RestoreOptions) -> Result<(), ConfigError> {
        let kept = self.stored_keys()?;
        let store = self.store_or_memory();
        end_everything(&store, &self.options.clock, (&kept, self.key_rotation.size), restore).await
    }
}

/// Revokes everything. Every step may be repeated; the last one records that all are done.
pub(super) async fn end_everything(
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    (kept, size): (&StoredKeys, RsaKeySize),
    restore: RestoreOptions,
) -> Result<(), ConfigError> {
    let changes = Arc::<Changes>::default();
    let revocations = Revocations::with_store(Arc::clone(store), Arc::clone(clock), changes);
    revocations.revoke(Revocation::Everything, clock.now()).await.map_err(ConfigError::new)?;
    let service_tokens = if restore.keeps_service_tokens {
        0
    } else {
        delete_all(&**store, clock.now()).await.map_err(ConfigError::new)?
    };
    // One-time PINs that were used after the backup was made must not log in again.
    store.take(PENDING_ERA).await.map_err(ConfigError::new)?;
    kept.replace_all(size).await.map_err(ConfigError::new)?;
    store.accept_rollback().await.map_err(ConfigError::new)?;
    audit::record(&Event::new(EventKind::StateRestored { service_tokens }));
    Ok(())
}
