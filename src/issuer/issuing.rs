//! Signing tokens with keys that are replaced when they are due, and shared between processes.

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
    /// Where keys survive the process; `None` when they are generated at every start.
    stored: Option<StoredKeys>,
    is_rotating: AtomicBool,
    /// The earliest time of the next rotation, in seconds: a failed one is not repeated at once.
    next_rotation: AtomicU64,
    /// When the records of the keys are written again, in seconds.
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
    /// When it expires.
    pub(crate) fn end(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.claims.exp)
    }
}

/// A rotation that failed; nothing has changed.
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
        // The start has just refreshed the records.
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

    /// Signs claims of any other form.
    pub(crate) fn sign(
        &self,
        claims: &impl Serialize,
        now: Timestamp,
    ) -> Result<String, SigningError> {
        self.keys.sign(claims, now)
    }

    /// The key set's JSON text, as it is published.
    pub(crate) fn key_set_json(&self, now: Timestamp) -> Bytes {
        self.keys.key_set_json(now)
    }

    /// The keys that this deployment's tokens verify with.
    pub(crate) fn keys(&self, now: Timestamp) -> KeySet {
        self.keys.current(now).unwrap_or_default()
    }

    /// The id of the key that signs at this moment.
    pub(crate) fn key_id(&self, now: Timestamp) -> String {
        self.keys.key_id(now)
    }

    pub(crate) fn rotation_state(&self, now: Timestamp) -> KeyRotationState {
        self.keys.rotation_state(now)
    }

    /// Keeps up with other processes, as long as somebody holds the issuer.
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

    /// Starts what is due beside the requests: a rotation, or writing stored keys again. Needs a
    /// Tokio runtime then.
    pub(crate) fn rotate_if_due(self: &Arc<Self>, now: Timestamp) {
        if self.keys.is_rotation_due(now) {
            self.begin(&self.next_rotation, now, |issuer| async move {
                if let Err(error) = issuer.rotate_unless_locked(now).await {
                    tracing::error!(%error, "the signing key could not be replaced");
                }
            });
        } else if self.stored.is_some() {
            self.begin(&self.next_refresh, now, |issuer| async move {
                if let Err(error) = issuer.sync(true).await {
                    tracing::error!(%error, "the kept signing keys could not be written anew");
                }
            });
        }
    }

    /// Starts a task once, by one of the requests that find it due.
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

    /// Replaces the key. The new one signs as soon as every verifier can know it: at once where keys
    /// are not stored, else when the other processes have been notified.
    pub(crate) async fn rotate(&self, now: Timestamp) -> Result<(), RotationError> {
        let _done = self.begin_rotation()?;
        self.announce(now, MIN_ANNOUNCEMENT, Duration::ZERO).await
    }

    /// Replaces a key that is due, unless another process does.
    async fn rotate_unless_locked(&self, now: Timestamp) -> Result<(), RotationError> {
        let _done = self.begin_rotation()?;
        if let Some(stored) = &self.stored {
            if !stored.lock_rotation().await.map_err(StoredKeysError::from)? {
                return Ok(());
            }
            // Perhaps it was replaced before, and nobody could tell.
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
        // What was written after all, or could not be told, is made up for soon.
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

    /// Takes over what other processes have written, and writes what the store lacks; with `rewrite`
    /// all of it. Then the store has the ends of keys that are known here.
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
            // Perhaps of a key that was replaced by another process.
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

    /// See [`SigningKeys::set_rotation`](crate::issuer::SigningKeys::set_rotation). Keys that end
    /// earlier by this do so in the store as well, as soon as it can be written.
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
    /// Whatever has happened: both sides get what the other one has.
    fn reload(&self, _: ReloadCause) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            match self.sync(false).await {
                Err(StoredKeysError::Store(error)) => Err(error),
                Err(error @ StoredKeysError::Contended) => Err(StoreError::new(error)),
                Err(error) => {
                    // Reading it again would not help; it goes on with what is known.
                    tracing::error!(%error, "the signing keys of other processes are not known");
                    Ok(())
                }
                Ok(()) => Ok(()),
            }
        })
    }
}

/// When the records of keys are written anew at the latest: a key that ends before leaves the store.
fn refresh_at(now: Timestamp, next_end: Option<Timestamp>) -> Timestamp {
    let usual = now.plus(REFRESH_INTERVAL);
    next_end.map_or(usual, |end| usual.min(end))
}

/// Lowers a flag however a function ends.
struct ClearOnDrop<'a>(&'a AtomicBool);

impl Drop for ClearOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

const RETRY_AFTER: Duration = Duration::from_secs(60);
/// How often records are written again: they do not expire under a process that runs, and a missed
/// notice is made up for.
const REFRESH_INTERVAL: Duration = Duration::from_secs(86_400);
/// How often a process that nobody logs in at looks whether something is due.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);
