//! Keeps the tokens that are in force up with the store, with changes made here, and with the file.

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
        // A runtime may end before we do: then another one takes over.
        let following = Following(Weak::clone(&me));
        stored.background_tasks.spawn(&runtime, async move {
            let _following = following;
            if let Some(tokens) = me.upgrade()
                && let Err(error) = tokens.reload(ReloadCause::Unknown).await
            {
                tracing::error!(%error, "service tokens of the store are not read yet");
            }
            follow(store, CHANNEL, me).await;
        });
        stored.background_tasks.spawn(&runtime, watch(Arc::downgrade(self)));
    }

    /// Puts in force what is known of the store's tokens.
    pub(super) fn refresh(&self) {
        let Some(stored) = &self.stored else { return };
        let mut state = stored.state();
        // Under the lock, so that a table made earlier does not replace a later one.
        self.table.store(Arc::new(state.table(&stored.in_file)));
        stored.changes.tell();
    }

    /// Takes over a change that was made here, unless a later one is known already.
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

    /// Takes over that a token was deleted here.
    pub(in crate::service_token) fn forget(&self, stored: &StoredTokens, id: &str) {
        stored.state().forget(id);
        self.refresh();
    }

    /// Checks whether a file may be put in force in place of the one before.
    pub(crate) fn check_replacement(
        &self,
        next: &ServiceTokens,
        now: Timestamp,
    ) -> Result<(), ListingError> {
        self.stored.as_ref().map_or(Ok(()), |stored| stored.check_replacement(next, now))
    }

    /// Puts these tokens in force: what the file before listed and this one does not is revoked, here
    /// at once, and in the store as soon as it can be written.
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
                tracing::warn!(%error, "what the file lists is not recorded yet: tried again in a minute");
            }
        });
    }

    /// Waits until the store has all that was revoked.
    #[cfg(all(feature = "config", feature = "proxy"))]
    pub(crate) async fn write_revocations(&self) -> Result<(), StoreError> {
        match &self.stored {
            Some(stored) => stored.write_revoked().await,
            None => Ok(()),
        }
    }

    /// Compares the file with what was listed when a process ran last, and records what is listed
    /// now.
    ///
    /// # Errors
    ///
    /// When the file lists what was revoked, or the store is unavailable.
    pub(crate) async fn begin_listing(&self, sharing: Sharing) -> Result<(), ListingFailure> {
        let Some(stored) = &self.stored else { return Ok(()) };
        stored.check_file().await?;
        self.record_listing(sharing).await?;
        stored.is_listing.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Records what is listed, writes what is not written yet, and revokes what nobody lists any
    /// longer.
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

/// Notes that nobody follows any more, however a task ends.
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

/// Looks for tokens that end soon, as long as somebody holds them.
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
            tracing::warn!(%error, "what the file lists is not recorded: tried again in a minute");
        }
    }
}

const WATCH_INTERVAL: Duration = Duration::from_secs(60);
