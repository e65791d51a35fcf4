//! Updates the tokens in force from the store, from changes of this process, and from the file.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;

use super::LiveServiceTokens;
use crate::clock::Timestamp;
use crate::service_token::ServiceTokens;
use crate::service_token::listed::{ListingFailure, Sharing};
use crate::service_token::record::Record;
use crate::service_token::revoked::ListingError;
use crate::service_token::stored::{CHANNEL, StoredTokens};
use crate::store::{ReloadCause, StoreError, StoreFuture, StoreMirror, follow};

impl LiveServiceTokens {
    /// Follows the changes of other processes. Needs a Tokio runtime; without one the next request
    /// does it.
    pub(in crate::service_token) fn follow_store(self: &Arc<Self>) {
        let Some(stored) = &self.stored else { return };
        if stored.is_following.load(Ordering::Relaxed) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        if stored.is_following.swap(true, Ordering::AcqRel) {
            return;
        }
        let store = Arc::clone(&stored.store);
        let me = Arc::downgrade(self);
        // If the runtime ends first, the next call spawns on another one.
        let following = Following(Weak::clone(&me));
        stored.background_tasks.spawn(&runtime, async move {
            let _following = following;
            if let Some(tokens) = me.upgrade()
                && let Err(error) = tokens.reload(ReloadCause::Unknown).await
            {
                tracing::error!(%error, "the service tokens of the store could not be read yet");
            }
            follow(store, CHANNEL, me).await;
        });
        stored.background_tasks.spawn(&runtime, watch(Arc::downgrade(self)));
    }

    /// Rebuilds the table from the known tokens.
    pub(super) fn refresh(&self) {
        let Some(stored) = &self.stored else { return };
        let mut state = stored.state();
        // Under the lock, so that a table made earlier does not replace a later one.
        self.table.store(Arc::new(state.table(&stored.in_file)));
        stored.changes.notify();
    }

    /// Applies a change of this process, unless a later one is known.
    pub(in crate::service_token) fn adopt(
        &self,
        stored: &StoredTokens,
        record: Record,
        is_new: bool,
    ) {
        let is_later = stored.state().adopt(record, is_new);
        if is_later {
            self.refresh();
        }
    }

    /// Applies a deletion of this process.
    pub(in crate::service_token) fn forget(&self, stored: &StoredTokens, id: &str) {
        stored.state().forget(id);
        self.refresh();
    }

    /// Checks whether a file may replace this one.
    pub(crate) fn check_replacement(
        &self,
        next: &ServiceTokens,
        now: Timestamp,
    ) -> Result<(), ListingError> {
        self.stored.as_ref().map_or(Ok(()), |stored| stored.check_replacement(next, now))
    }

    /// Puts these tokens in force. Tokens that were removed from the file are revoked: in this process
    /// immediately, in the store as soon as it can be written.
    pub(crate) fn activate(self: &Arc<Self>) {
        let Some(stored) = &self.stored else { return };
        stored.revoke_removed();
        self.refresh();
        if !stored.is_listing.load(Ordering::Relaxed) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        let me = Arc::clone(self);
        runtime.spawn(async move {
            if let Err(error) = me.record_listing(Sharing::Shared).await {
                tracing::warn!(%error, "the listed service tokens could not be written to the store; trying again in a minute");
            }
        });
    }

    /// Writes all revocations to the store.
    #[cfg(all(feature = "config", feature = "proxy"))]
    pub(crate) async fn write_revocations(&self) -> Result<(), StoreError> {
        match &self.stored {
            Some(stored) => stored.write_revoked().await,
            None => Ok(()),
        }
    }

    /// Checks the file against the listing in the store, and records its own tokens there.
    ///
    /// # Errors
    ///
    /// If the file lists a revoked token, or the store is unavailable.
    pub(crate) async fn begin_listing(&self, sharing: Sharing) -> Result<(), ListingFailure> {
        let Some(stored) = &self.stored else { return Ok(()) };
        stored.check_file().await?;
        self.record_listing(sharing).await?;
        stored.is_listing.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Records the listed tokens, writes pending revocations, and revokes tokens that no process lists
    /// any longer.
    async fn record_listing(&self, sharing: Sharing) -> Result<(), StoreError> {
        let Some(stored) = &self.stored else { return Ok(()) };
        let listing = stored.revoke_unlisted(sharing).await?;
        self.refresh();
        stored.write_listing(&listing).await
    }
}

impl StoreMirror for LiveServiceTokens {
    fn reload(&self, cause: ReloadCause) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let Some(stored) = &self.stored else { return Ok(()) };
            stored.reload(cause).await?;
            self.refresh();
            Ok(())
        })
    }
}

/// Clears `is_following` however a task ends.
struct Following(Weak<LiveServiceTokens>);

impl Drop for Following {
    fn drop(&mut self) {
        if let Some(tokens) = self.0.upgrade()
            && let Some(stored) = &tokens.stored
        {
            stored.is_following.store(false, Ordering::Release);
        }
    }
}

/// Warns of tokens that expire soon, until they are dropped.
async fn watch(tokens: Weak<LiveServiceTokens>) {
    loop {
        tokio::time::sleep(WATCH_INTERVAL).await;
        let Some(tokens) = tokens.upgrade() else { return };
        let Some(stored) = &tokens.stored else { return };
        let table = tokens.table.load_full();
        stored.warn_of_expiry(&table, stored.clock.now()).await;
        if stored.is_listing.load(Ordering::Relaxed)
            && let Err(error) = tokens.record_listing(Sharing::Shared).await
        {
            tracing::warn!(%error, "the listed service tokens could not be written to the store; trying again in a minute");
        }
    }
}

const WATCH_INTERVAL: Duration = Duration::from_secs(60);
