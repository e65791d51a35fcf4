//! Replacing the keys of an issuer when they are due, and keeping up with processes that share them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::audit::{self, Event, EventKind};
use crate::clock::Timestamp;
use crate::issuer::{AnnounceError, KeyRotation, SHORTEST_ANNOUNCEMENT, SigningError, SigningKey};
use crate::store::{Change, Companions, Follow, StoreError, StoreFuture, follow};

use super::issue::Issuer;
use super::stored_keys::{CHANNEL, KeptKeys, KeptKeysError, new_key};

/// What is under way with the keys of an issuer.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    is_rotating: AtomicBool,
    /// After a rotation that failed, the next one is not tried at once. In seconds.
    next_rotation: AtomicU64,
    /// When the records of the keys are written anew.
    next_refresh: AtomicU64,
    companions: Companions,
}

/// A rotation that did not happen; the keys are as they were.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RotationError {
    #[error("another rotation is under way")]
    UnderWay,
    #[error(transparent)]
    Signing(#[from] SigningError),
    #[error(transparent)]
    Announcing(#[from] AnnounceError),
    #[error(transparent)]
    Kept(#[from] KeptKeysError),
}

impl Upkeep {
    /// The first refresh is due a while after a start, which is one itself.
    pub(super) fn new(now: Timestamp, next_end: Option<Timestamp>) -> Self {
        let next_refresh = AtomicU64::new(refresh_at(now, next_end).as_unix_seconds());
        Self { next_refresh, ..Self::default() }
    }
}

impl Issuer {
    /// Keeps up with other processes, as long as somebody holds the issuer.
    pub(crate) fn keep_up(self: &Arc<Self>, runtime: &Handle) {
        let Some(kept) = &self.kept else { return };
        let following = follow(Arc::clone(&kept.store), CHANNEL, Arc::downgrade(self));
        self.upkeep.companions.spawn(runtime, following);
        let issuer = Arc::downgrade(self);
        self.upkeep.companions.spawn(runtime, async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let Some(issuer) = issuer.upgrade() else { return };
                if let Some(kept) = &issuer.kept {
                    issuer.rotate_if_due(kept.clock.now());
                }
            }
        });
    }

    /// Begins what is due beside the requests: a rotation, or writing kept keys anew. Needs a Tokio
    /// runtime then.
    pub(crate) fn rotate_if_due(self: &Arc<Self>, now: Timestamp) {
        if self.keys.is_rotation_due(now) {
            self.begin(&self.upkeep.next_rotation, now, |issuer| async move {
                if let Err(error) = issuer.rotate_in_turn(now).await {
                    tracing::error!(%error, "the signing key could not be replaced");
                }
            });
        } else if self.kept.is_some() {
            self.begin(&self.upkeep.next_refresh, now, |issuer| async move {
                if let Err(error) = issuer.sync(true).await {
                    tracing::error!(%error, "the kept signing keys could not be written anew");
                }
            });
        }
    }

    /// One of the requests that find it due begins it.
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

    /// Makes a new key, which signs as soon as everybody can know of it: at once where keys are not
    /// kept, else when the other processes have heard of it. Where keys are kept it is kept first.
    pub(crate) async fn rotate(&self, now: Timestamp) -> Result<(), RotationError> {
        let _done = self.only_rotation()?;
        self.announce(now, SHORTEST_ANNOUNCEMENT, Duration::ZERO).await
    }

    /// Replaces a key that is due, unless another process does.
    async fn rotate_in_turn(&self, now: Timestamp) -> Result<(), RotationError> {
        let _done = self.only_rotation()?;
        if let Some(kept) = &self.kept {
            if !kept.takes_turn().await.map_err(KeptKeysError::from)? {
                return Ok(());
            }
            // Perhaps it was replaced before, and nobody could tell.
            self.sync(false).await?;
            if !self.keys.is_rotation_due(now) {
                return Ok(());
            }
        }
        let lead = self.keys.rotation().lead();
        self.announce(now, lead.max(SHORTEST_ANNOUNCEMENT), lead).await
    }

    fn only_rotation(&self) -> Result<OnDrop<'_>, RotationError> {
        let flag = &self.upkeep.is_rotating;
        if flag.swap(true, Ordering::AcqRel) {
            return Err(RotationError::UnderWay);
        }
        Ok(OnDrop(flag))
    }

    async fn announce(
        &self,
        now: Timestamp,
        kept_lead: Duration,
        lead: Duration,
    ) -> Result<(), RotationError> {
        let key = new_key(self.keys.rotation().size()).await?;
        let key_id = key.key_id().to_owned();
        let signs_from = match &self.kept {
            Some(kept) => self.announce_to_others(kept, key, kept_lead).await?,
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

    async fn announce_to_others(
        &self,
        kept: &KeptKeys,
        key: SigningKey,
        lead: Duration,
    ) -> Result<Timestamp, KeptKeysError> {
        let overlap = self.keys.rotation().overlap_of_keys();
        let announced = kept.announce(&self.keys.ring(), overlap, key, lead).await;
        // What was written after all, or could not be told, is made up for soon.
        let is_done = announced.is_ok() && !kept.is_untold();
        let ring = match announced {
            Ok(ring) => ring,
            Err(error) => {
                self.refresh_now(kept);
                return Err(error);
            }
        };
        self.keys.adopt(&ring, kept.clock.now());
        if is_done {
            self.refresh_later(kept);
        } else {
            self.refresh_now(kept);
        }
        Ok(ring.newest().signs_from)
    }

    /// Takes over what others have written, and writes what the store has lost.
    async fn sync(&self, anew: bool) -> Result<(), KeptKeysError> {
        let Some(kept) = &self.kept else { return Ok(()) };
        let overlap = self.keys.rotation().overlap_of_keys();
        let ring = kept.sync(&self.keys.ring(), overlap, anew).await?;
        if self.keys.adopt(&ring, kept.clock.now()) {
            let newest = ring.newest();
            let (key_id, signs_from) = (newest.key.key_id(), newest.signs_from.as_unix_seconds());
            tracing::info!(key_id, signs_from, "another process has replaced the signing key");
        }
        if anew && !kept.is_untold() {
            self.refresh_later(kept);
        } else if let Some(end) = self.keys.ring().next_end() {
            // Perhaps of a key that was replaced by another process.
            self.upkeep.next_refresh.fetch_min(end.as_unix_seconds(), Ordering::Relaxed);
        }
        Ok(())
    }

    fn refresh_later(&self, kept: &KeptKeys) {
        let next = refresh_at(kept.clock.now(), self.keys.ring().next_end());
        self.upkeep.next_refresh.store(next.as_unix_seconds(), Ordering::Relaxed);
    }

    fn refresh_now(&self, kept: &KeptKeys) {
        let now = kept.clock.now().as_unix_seconds();
        self.upkeep.next_refresh.store(now, Ordering::Relaxed);
    }

    /// See [`SigningKeys::set_rotation`](crate::issuer::SigningKeys::set_rotation). Keys that end
    /// earlier by this do so in the store as well, as soon as it can be written.
    pub(crate) fn set_rotation(self: &Arc<Self>, rotation: KeyRotation, now: Timestamp) {
        let ends_earlier = self.keys.set_rotation(rotation, now);
        if let Some(kept) = self.kept.as_ref().filter(|_| ends_earlier) {
            self.refresh_now(kept);
            self.rotate_if_due(now);
        }
    }

    /// Waits until the store has what is known here of the ends of keys.
    #[cfg(all(feature = "config", feature = "proxy"))]
    pub(crate) async fn record_ends(&self) -> Result<(), StoreError> {
        self.sync(false).await.map_err(StoreError::new)
    }
}

impl Follow for Issuer {
    /// Whatever has happened: both sides get what the other one has.
    fn reload(&self, _: Change) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            match self.sync(false).await {
                Err(KeptKeysError::Store(error)) => Err(error),
                Err(error @ KeptKeysError::Contended) => Err(StoreError::new(error)),
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
    let usual = now.plus(REFRESH_EVERY);
    next_end.map_or(usual, |end| usual.min(end))
}

/// Lowers a flag however a function ends.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

const RETRY_AFTER: Duration = Duration::from_secs(60);
/// A record that is kept for years does not end under a process that runs, and what was not heard
/// of is heard of then.
const REFRESH_EVERY: Duration = Duration::from_secs(86_400);
/// How often a process that nobody logs in at looks whether something is due.
const LOOK_EVERY: Duration = Duration::from_secs(60);
