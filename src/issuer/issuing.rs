//! Signs tokens with keys that are rotated when due and shared between processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::runtime::Handle;

use crate::audit::{self, Event, EventKind};
use crate::clock::Timestamp;
use crate::store::{BackgroundTasks, ReloadCause, StoreError, StoreFuture, StoreMirror, follow};
use crate::token::Claims;
use crate::token::keys::{KeySet, KeySetId, KeySource};

use super::rotation::{KeyRotation, KeyRotationState, MIN_ANNOUNCEMENT};
use super::signer::{SigningError, SigningKey};
use super::signing_keys::{AnnounceError, SigningKeys};
use super::stored_keys::{CHANNEL, StoredKeys, StoredKeysError, generate_key};

/// Signs the tokens of a deployment.
#[derive(Debug)]
pub(crate) struct Issuer {
    keys: SigningKeys,
    /// The persistent keys; `None` if keys are generated at every start.
    stored: Option<StoredKeys>,
    is_rotating: AtomicBool,
    /// The earliest time of the next rotation, in seconds: a failed one is not retried immediately.
    next_rotation: AtomicU64,
    /// When the key records are rewritten, in seconds.
    next_refresh: AtomicU64,
    background_tasks: BackgroundTasks,
}

/// A signed token and its claims.
#[derive(Debug)]
pub(crate) struct IssuedToken {
    pub(crate) token: String,
    pub(crate) claims: Claims,
}

impl IssuedToken {
    /// Returns when it expires.
    pub(crate) fn end(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.claims.exp)
    }
}

/// A failed rotation; nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RotationError {
    #[error("another rotation is under way")]
    UnderWay,
    #[error(transparent)]
    Signing(#[from] SigningError),
    #[error(transparent)]
    Announcing(#[from] AnnounceError),
    #[error(transparent)]
    Stored(#[from] StoredKeysError),
}

impl Issuer {
    pub(crate) fn new(keys: SigningKeys, stored: Option<StoredKeys>) -> Self {
        let started_at = stored.as_ref().map_or_else(Timestamp::default, |it| it.clock.now());
        // The records were rewritten at startup.
        let next_refresh = refresh_at(started_at, keys.ring().next_end());
        Self {
            keys,
            stored,
            is_rotating: AtomicBool::default(),
            next_rotation: AtomicU64::default(),
            next_refresh: AtomicU64::new(next_refresh.as_unix_seconds()),
            background_tasks: BackgroundTasks::default(),
        }
    }

    /// Signs a token's claims.
    pub(crate) fn issue(
        &self,
        claims: Claims,
        now: Timestamp,
    ) -> Result<IssuedToken, SigningError> {
        Ok(IssuedToken { token: self.sign(&claims, now)?, claims })
    }

    /// Signs any claims.
    pub(crate) fn sign(
        &self,
        claims: &impl Serialize,
        now: Timestamp,
    ) -> Result<String, SigningError> {
        self.keys.sign(claims, now)
    }

    /// Returns the published key set as JSON.
    pub(crate) fn key_set_json(&self, now: Timestamp) -> Bytes {
        self.keys.key_set_json(now)
    }

    /// Returns the keys that verify this deployment's tokens.
    pub(crate) fn keys(&self, now: Timestamp) -> KeySet {
        self.keys.current(now).unwrap_or_default()
    }

    /// Returns the id of the key that signs at `now`.
    pub(crate) fn key_id(&self, now: Timestamp) -> String {
        self.keys.key_id(now)
    }

    pub(crate) fn rotation_state(&self, now: Timestamp) -> KeyRotationState {
        self.keys.rotation_state(now)
    }

    /// Follows key changes of other processes, until the issuer is dropped.
    pub(crate) fn follow_store(self: &Arc<Self>, runtime: &Handle) {
        let Some(stored) = &self.stored else { return };
        let following = follow(Arc::clone(&stored.store), CHANNEL, Arc::downgrade(self));
        self.background_tasks.spawn(runtime, following);
        let issuer = Arc::downgrade(self);
        self.background_tasks.spawn(runtime, async move {
            loop {
                tokio::time::sleep(CHECK_INTERVAL).await;
                let Some(issuer) = issuer.upgrade() else { return };
                if let Some(stored) = &issuer.stored {
                    issuer.rotate_if_due(stored.clock.now());
                }
            }
        });
    }

    /// Starts in the background what is due: a rotation, or rewriting the stored keys. Does nothing
    /// without a Tokio runtime.
    pub(crate) fn rotate_if_due(self: &Arc<Self>, now: Timestamp) {
        if self.keys.is_rotation_due(now) {
            self.begin(&self.next_rotation, now, |issuer| async move {
                if let Err(error) = issuer.rotate_unless_locked(now).await {
                    tracing::error!(%error, "the signing key could not be rotated");
                }
            });
        } else if self.stored.is_some() {
            self.begin(&self.next_refresh, now, |issuer| async move {
                if let Err(error) = issuer.sync(true).await {
                    tracing::error!(%error, "the stored signing keys could not be rewritten");
                }
            });
        }
    }

    /// Starts a task once, even if several requests find it due.
    fn begin<F>(
        self: &Arc<Self>,
        next: &AtomicU64,
        now: Timestamp,
        run: impl FnOnce(Arc<Self>) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let earliest = next.load(Ordering::Relaxed);
        if now.as_unix_seconds() < earliest {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        let after = now.plus(RETRY_AFTER).as_unix_seconds();
        if next.compare_exchange(earliest, after, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            runtime.spawn(run(Arc::clone(self)));
        }
    }

    /// Rotates the key. The new one signs as soon as every verifier can know it: immediately if keys are
    /// not stored, else when the other processes have been notified.
    pub(crate) async fn rotate(&self, now: Timestamp) -> Result<(), RotationError> {
        let _done = self.begin_rotation()?;
        self.announce(now, MIN_ANNOUNCEMENT, Duration::ZERO).await
    }

    /// Rotates a key that is due, unless another process does.
    async fn rotate_unless_locked(&self, now: Timestamp) -> Result<(), RotationError> {
        let _done = self.begin_rotation()?;
        if let Some(stored) = &self.stored {
            if !stored.lock_rotation().await.map_err(StoredKeysError::from)? {
                return Ok(());
            }
            // Another process may have rotated it without a notice.
            self.sync(false).await?;
            if !self.keys.is_rotation_due(now) {
                return Ok(());
            }
        }
        let lead = self.keys.rotation().lead();
        self.announce(now, lead.max(MIN_ANNOUNCEMENT), lead).await
    }

    fn begin_rotation(&self) -> Result<ClearOnDrop<'_>, RotationError> {
        let flag = &self.is_rotating;
        if flag.swap(true, Ordering::AcqRel) {
            return Err(RotationError::UnderWay);
        }
        Ok(ClearOnDrop(flag))
    }

    async fn announce(
        &self,
        now: Timestamp,
        stored_lead: Duration,
        lead: Duration,
    ) -> Result<(), RotationError> {
        let key = generate_key(self.keys.rotation().size).await?;
        let key_id = key.key_id().to_owned();
        let signs_from = match &self.stored {
            Some(stored) => self.announce_stored(stored, key, stored_lead).await?,
            None => {
                let signs_from = now.plus(lead);
                self.keys.announce(key, signs_from, now)?;
                signs_from
            }
        };
        let signs_from = signs_from.as_unix_seconds();
        audit::record(&Event::new(EventKind::SigningKeyReplaced { key_id: &key_id, signs_from }));
        Ok(())
    }

    async fn announce_stored(
        &self,
        stored: &StoredKeys,
        key: SigningKey,
        lead: Duration,
    ) -> Result<Timestamp, StoredKeysError> {
        let overlap = self.keys.rotation().overlap;
        let announced = stored.announce(&self.keys.ring(), overlap, key, lead).await;
        // If the write may have happened, or the notice was not sent, synchronise again soon.
        let is_done = announced.is_ok() && !stored.has_unsent_notice();
        let ring = match announced {
            Ok(ring) => ring,
            Err(error) => {
                self.refresh_now(stored);
                return Err(error);
            }
        };
        self.keys.adopt(&ring, stored.clock.now());
        if is_done {
            self.refresh_later(stored);
        } else {
            self.refresh_now(stored);
        }
        Ok(ring.newest().signs_from)
    }

    /// Merges what other processes have written, and writes what the store lacks; with `rewrite` all of
    /// it. Afterwards the store has the key ends that this process knows.
    pub(crate) async fn sync(&self, rewrite: bool) -> Result<(), StoredKeysError> {
        let Some(stored) = &self.stored else { return Ok(()) };
        let overlap = self.keys.rotation().overlap;
        let ring = stored.sync(&self.keys.ring(), overlap, rewrite).await?;
        if self.keys.adopt(&ring, stored.clock.now()) {
            let newest = ring.newest();
            let (key_id, signs_from) = (newest.key.key_id(), newest.signs_from.as_unix_seconds());
            tracing::info!(key_id, signs_from, "another process has replaced the signing key");
        }
        if rewrite && !stored.has_unsent_notice() {
            self.refresh_later(stored);
        } else if let Some(end) = self.keys.ring().next_end() {
            // It may be of a key that another process has replaced.
            self.next_refresh.fetch_min(end.as_unix_seconds(), Ordering::Relaxed);
        }
        Ok(())
    }

    fn refresh_later(&self, stored: &StoredKeys) {
        let next = refresh_at(stored.clock.now(), self.keys.ring().next_end());
        self.next_refresh.store(next.as_unix_seconds(), Ordering::Relaxed);
    }

    fn refresh_now(&self, stored: &StoredKeys) {
        let now = stored.clock.now().as_unix_seconds();
        self.next_refresh.store(now, Ordering::Relaxed);
    }

    /// See [`SigningKeys::set_rotation`](crate::issuer::SigningKeys::set_rotation). Earlier key ends
    /// are also written to the store.
    pub(crate) fn set_rotation(self: &Arc<Self>, rotation: KeyRotation, now: Timestamp) {
        let ends_earlier = self.keys.set_rotation(rotation, now);
        if let Some(stored) = self.stored.as_ref().filter(|_| ends_earlier) {
            self.refresh_now(stored);
            self.rotate_if_due(now);
        }
    }
}

impl KeySource for Issuer {
    fn current(&self, now: Timestamp) -> Option<KeySet> {
        self.keys.current(now)
    }

    fn is_current(&self, id: KeySetId, now: Timestamp) -> bool {
        self.keys.is_current(id, now)
    }
}

impl StoreMirror for Issuer {
    /// Synchronises in both directions, whatever the cause.
    fn reload(&self, _: ReloadCause) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            match self.sync(false).await {
                Err(StoredKeysError::Store(error)) => Err(error),
                Err(error @ StoredKeysError::Contended) => Err(StoreError::new(error)),
                Err(error) => {
                    // Retrying would not help; continue with the known keys.
                    tracing::error!(%error, "the signing keys in the store could not be read; continuing with the known keys");
                    Ok(())
                }
                Ok(()) => Ok(()),
            }
        })
    }
}

/// Returns when key records are rewritten: at the refresh interval, or earlier when a key ends.
fn refresh_at(now: Timestamp, next_end: Option<Timestamp>) -> Timestamp {
    let usual = now.plus(REFRESH_INTERVAL);
    next_end.map_or(usual, |end| usual.min(end))
}

/// Clears a flag however a function ends.
struct ClearOnDrop<'a>(&'a AtomicBool);

impl Drop for ClearOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

const RETRY_AFTER: Duration = Duration::from_secs(60);
/// How often records are rewritten, so that they do not expire while a process runs, and a missed
/// notice is repaired.
const REFRESH_INTERVAL: Duration = Duration::from_secs(86_400);
/// How often a process without logins checks whether something is due.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);
