//! Signing keys in the store, sealed: they survive a restart, and all processes that share the store
//! share them.
//!
//! Each key has a record under its id; one more record lists them. Keys are written before the list, so
//! that the list only names existing keys. The list replaces only the version that was read, so that a
//! process does not undo a change of another. Then all processes are notified. Readers of the store see
//! key ids only.
//!
//! The list records when each key stops to verify, and up to which key all were removed. Both move in
//! one direction only (see `issuer::ring`), so that no process, whatever its configuration or memory,
//! restores an expired key. The record of a removed key is deleted after the list without it is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Timestamp};
use crate::random::Random;
use crate::secret::{MasterSecret, Seal, SealError};
use crate::store::{Store, StoreError};

use super::publication::PublishError;
use super::ring::{KeyRing, Position, RingKey};
use super::rotation::KeyRotation;
use super::signer::{RsaKeySize, SigningError, SigningKey};

/// Reads and writes the signing keys of a store.
#[derive(Debug)]
pub(crate) struct StoredKeys {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    seal: Seal,
    issuer: Box<str>,
    /// Whether a change was written that other processes could not be notified of.
    has_unsent_notice: AtomicBool,
}

/// The ring in the store, and the record of its list: a write replaces this record only.
struct Stored {
    record: Bytes,
    ring: KeyRing,
}

/// The list as it is stored. Its field names are those of earlier versions.
#[derive(Debug, Deserialize, Serialize)]
struct List {
    keys: Vec<ListedKey>,
    /// Up to which key all were removed; earlier versions did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    removed_up_to: Option<Removed>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Removed {
    #[serde(rename = "turn")]
    sequence: u64,
    key_id: Box<str>,
}

#[derive(Debug, Deserialize, Serialize)]
struct ListedKey {
    key_id: String,
    #[serde(rename = "made_at")]
    created_at: u64,
    signs_from: u64,
    #[serde(rename = "turn")]
    sequence: u64,
    /// When it stops to verify; earlier versions did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verifies_until: Option<u64>,
}

/// The keys could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoredKeysError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "the signing keys in the store were sealed with another master secret, or have been \
         changed: set the secret they were sealed with, or stop all processes and remove the \
         records `signing-keys/…` to log everybody out and start with new keys"
    )]
    Sealed(#[from] SealError),
    #[error("a signing key in the store is malformed or missing: {0}")]
    Malformed(String),
    #[error(
        "the store has signing keys, and `signing_key` is not one of them: omit it, and rotate the \
         key with `Access::rotate_keys`"
    )]
    AnotherKey,
    #[error("other processes keep changing the signing keys; try again")]
    Contended,
    #[error("too many keys are announced already: wait until they sign")]
    TooMany,
    #[error(transparent)]
    Signing(#[from] SigningError),
    #[error(transparent)]
    Publishing(#[from] PublishError),
}

impl StoredKeys {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        random: Arc<dyn Random>,
        clock: Arc<dyn Clock>,
        master: &MasterSecret,
        issuer: &str,
    ) -> Result<Self, StoredKeysError> {
        let seal = master.seal("signing keys")?;
        let has_unsent_notice = AtomicBool::new(false);
        Ok(Self { store, clock, random, seal, issuer: issuer.into(), has_unsent_notice })
    }

    /// Returns the stored keys, or stores a first one: of several processes that start at once, one
    /// creates it and the others use it.
    pub(crate) async fn open(
        &self,
        given: Option<SigningKey>,
        rotation: KeyRotation,
    ) -> Result<KeyRing, StoredKeysError> {
        let given_id = given.as_ref().map(|key| key.key_id().to_owned());
        let ring = match self.read(None).await? {
            Some(stored) => stored.ring,
            None => match self.create_first(given, rotation.size).await? {
                First::Created(ring) => return Ok(ring),
                First::Existing(ring) => ring,
            },
        };
        if given_id.is_some_and(|id| ring.find(&id).is_none()) {
            return Err(StoredKeysError::AnotherKey);
        }
        // Extends the records' lifetime; if this fails, the next refresh does.
        match self.sync(&ring, rotation.overlap, true).await {
            Ok(ring) => Ok(ring),
            Err(error) => {
                tracing::warn!(%error, "the stored signing keys could not be rewritten");
                Ok(ring)
            }
        }
    }

    /// Replaces all keys with a new one. Tokens of earlier keys no longer verify, even in processes that
    /// still have these keys.
    pub(crate) async fn replace_all(&self, size: RsaKeySize) -> Result<(), StoredKeysError> {
        let key = generate_key(size).await?;
        let now = self.clock.now();
        let mut key = self.ring_key(key, now, KeyRing::first_sequence(now))?;
        for _ in 0..MAX_TRIES {
            let stored = self.read(None).await?;
            let next = match &stored {
                Some(Stored { ring, .. }) => {
                    key.sequence = ring.next_sequence(now);
                    ring.replaced_by(key.clone())
                }
                None => KeyRing::new(key.clone()),
            };
            if self.write(&next, stored.as_ref()).await? {
                return Ok(self.remove_records(Stored::keys(stored.as_ref()), &next).await?);
            }
        }
        self.remove_record(&key).await?;
        Err(StoredKeysError::Contended)
    }

    /// Writes a first key, unless another process does so first.
    async fn create_first(
        &self,
        given: Option<SigningKey>,
        size: RsaKeySize,
    ) -> Result<First, StoredKeysError> {
        let key = match given {
            Some(key) => key,
            None => generate_key(size).await?,
        };
        let now = self.clock.now();
        let ring = KeyRing::new(self.ring_key(key, now, KeyRing::first_sequence(now))?);
        if self.write(&ring, None).await? {
            return Ok(First::Created(ring));
        }
        let existing = self.read(None).await?.ok_or(StoredKeysError::Contended)?.ring;
        if !existing.contains_all(&ring) {
            self.remove_record(ring.newest()).await?;
        }
        Ok(First::Existing(existing))
    }

    /// Merges the stored keys with those known here, and writes whatever the store lacks. `rewrite`
    /// writes all of it, which restarts its lifetime in the store.
    pub(super) async fn sync(
        &self,
        known: &KeyRing,
        overlap: Duration,
        rewrite: bool,
    ) -> Result<KeyRing, StoredKeysError> {
        for _ in 0..MAX_TRIES {
            let stored = self.read(Some(known)).await?;
            let all = self.merged(known, stored.as_ref(), overlap);
            let is_complete = stored.as_ref().is_some_and(|stored| stored.ring.covers(&all));
            if is_complete && !rewrite {
                if self.has_unsent_notice() {
                    self.notify().await;
                }
                return Ok(all);
            }
            if stored.as_ref().is_none_or(|stored| !stored.ring.contains_all(&all)) {
                tracing::warn!("the store has lost signing keys; writing them again");
            }
            if self.write(&all, stored.as_ref()).await? {
                let before = known.iter().chain(Stored::keys(stored.as_ref()));
                self.remove_records(before, &all).await?;
                return Ok(all);
            }
        }
        Err(StoredKeysError::Contended)
    }

    /// Stores a new key, which signs a lead time after all processes can know it. Returns all keys.
    pub(super) async fn announce(
        &self,
        known: &KeyRing,
        overlap: Duration,
        key: SigningKey,
        lead: Duration,
    ) -> Result<KeyRing, StoredKeysError> {
        let created_at = self.clock.now();
        let mut key = self.ring_key(key, created_at, 0)?;
        for _ in 0..MAX_TRIES {
            let stored = self.read(Some(known)).await?;
            let all = self.merged(known, stored.as_ref(), overlap);
            key.sequence = all.next_sequence(created_at);
            let mut next = |now: Timestamp| -> Result<KeyRing, StoredKeysError> {
                key.signs_from = now.plus(lead);
                let next = all.clone().with_announced(key.clone(), now);
                // The list includes the ends of the previous keys from its first version on.
                Ok(next.ok_or(StoredKeysError::TooMany)?.without_expired(overlap, now))
            };
            self.write_keys(&next(self.clock.now())?).await?;
            // Time-critical from here: every process must read the list before the key signs.
            let next = next(self.clock.now())?;
            let written = self.write_list(&next, stored.as_ref());
            let written = tokio::time::timeout(MAX_WRITE_TIME, written).await;
            if written.map_err(|_| StoreError::new("the write timed out"))?? {
                self.notify().await;
                let before = known.iter().chain(Stored::keys(stored.as_ref()));
                if let Err(error) = self.remove_records(before, &next).await {
                    tracing::warn!(%error, "an expired signing key could not be removed from the store");
                }
                return Ok(next);
            }
        }
        self.remove_record(&key).await?;
        Err(StoredKeysError::Contended)
    }

    /// Returns whether this process may create the next key. No other one may for a minute.
    pub(super) async fn lock_rotation(&self) -> Result<bool, StoreError> {
        self.store.insert(LOCK, Bytes::from_static(b"1"), LOCKED_FOR).await
    }

    fn ring_key(
        &self,
        key: SigningKey,
        now: Timestamp,
        sequence: u64,
    ) -> Result<RingKey, PublishError> {
        RingKey::new(key, &self.issuer, (now, now), sequence)
    }

    fn merged(&self, known: &KeyRing, stored: Option<&Stored>, overlap: Duration) -> KeyRing {
        let now = self.clock.now();
        let all = match stored {
            Some(stored) => known.clone().merged(&stored.ring, now),
            None => known.clone(),
        };
        all.without_expired(overlap, now)
    }

    /// Reads the list and its keys, except known ones. Returns `None` if no keys were ever stored, or the
    /// store has lost them.
    async fn read(&self, known: Option<&KeyRing>) -> Result<Option<Stored>, StoredKeysError> {
        let mut record = self.store.get(LIST).await?;
        loop {
            let Some(present) = record else { return Ok(None) };
            match self.read_listed(known, &present).await {
                Ok(ring) => return Ok(Some(Stored { record: present, ring })),
                Err(error) => {
                    // A key may have been removed since the list was read; then the list has changed.
                    record = self.store.get(LIST).await?;
                    if record.as_ref() == Some(&present) {
                        return Err(error);
                    }
                }
            }
        }
    }

    async fn read_listed(
        &self,
        known: Option<&KeyRing>,
        record: &[u8],
    ) -> Result<KeyRing, StoredKeysError> {
        let text = self.seal.open(LIST, record)?;
        let list: List = serde_json::from_slice(&text).map_err(|_| malformed(LIST))?;
        let mut keys = Vec::new();
        for listed in &list.keys {
            let known = known.and_then(|known| known.find(&listed.key_id));
            let mut key = match known.filter(|known| known.sequence == listed.sequence) {
                Some(key) => key.clone(),
                None => self.read_key(listed).await?,
            };
            // As stored; this process may know an earlier end.
            key.verifies_until = listed.verifies_until.map(Timestamp::from_unix_seconds);
            keys.push(key);
        }
        let removed = list.removed_up_to;
        let watermark = removed.map(|Removed { sequence, key_id }| Position { sequence, key_id });
        KeyRing::from_keys(keys, watermark).ok_or_else(|| malformed(LIST))
    }

    async fn read_key(&self, listed: &ListedKey) -> Result<RingKey, StoredKeysError> {
        let name = record_name(&listed.key_id);
        let record = self.store.get(&name).await?.ok_or_else(|| malformed(&name))?;
        let der = self.seal.open(&name, &record)?;
        let key = SigningKey::from_pkcs8_der(&der).map_err(|_| malformed(&name))?;
        let at = Timestamp::from_unix_seconds;
        let times = (at(listed.created_at), at(listed.signs_from));
        Ok(RingKey::new(key, &self.issuer, times, listed.sequence)?)
    }

    /// Writes keys and list, and notifies all processes. Returns whether the list was still the one
    /// that was read.
    async fn write(
        &self,
        ring: &KeyRing,
        present: Option<&Stored>,
    ) -> Result<bool, StoredKeysError> {
        self.write_keys(ring).await?;
        let is_written = self.write_list(ring, present).await?;
        if is_written {
            self.notify().await;
        }
        Ok(is_written)
    }

    /// Writes all keys, including existing ones, which restarts their lifetime in the store.
    async fn write_keys(&self, ring: &KeyRing) -> Result<(), StoredKeysError> {
        for RingKey { key, .. } in ring.iter() {
            let name = record_name(key.key_id());
            let record = self.seal.close(&name, &key.to_pkcs8_der()?, &*self.random)?;
            self.store.put(&name, record.into(), STORED_FOR).await?;
        }
        Ok(())
    }

    /// Writes the list. On failure the keys stay in the store, because the write may have succeeded.
    async fn write_list(
        &self,
        ring: &KeyRing,
        present: Option<&Stored>,
    ) -> Result<bool, StoredKeysError> {
        let text = serde_json::to_vec(&List::from(ring)).map_err(|_| malformed(LIST))?;
        let record = self.seal.close(LIST, &text, &*self.random)?.into();
        Ok(match present {
            Some(present) => self.store.replace(LIST, &present.record, record, STORED_FOR).await?,
            None => self.store.insert(LIST, record, STORED_FOR).await?,
        })
    }

    /// Returns whether other processes may not have been notified of a change.
    pub(super) fn has_unsent_notice(&self) -> bool {
        self.has_unsent_notice.load(Ordering::Relaxed)
    }

    /// Notifies all processes. A notice that cannot be sent is sent at the next synchronisation.
    async fn notify(&self) {
        self.has_unsent_notice.store(true, Ordering::Relaxed);
        for _ in 0..MAX_NOTICES {
            let sent = tokio::time::timeout(MAX_NOTICE_TIME, self.store.notify(CHANNEL)).await;
            match sent.map_err(StoreError::new).flatten() {
                Ok(()) => return self.has_unsent_notice.store(false, Ordering::Relaxed),
                Err(error) => {
                    tracing::warn!(%error, "other processes could not be notified of a change of signing keys")
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Deletes the records of keys that are removed from this ring.
    async fn remove_records<'a>(
        &self,
        keys: impl Iterator<Item = &'a RingKey>,
        ring: &KeyRing,
    ) -> Result<(), StoreError> {
        for key in keys.filter(|key| ring.is_removed(key)) {
            if ring.find(key.key.key_id()).is_none() {
                self.remove_record(key).await?;
            }
        }
        Ok(())
    }

    async fn remove_record(&self, key: &RingKey) -> Result<(), StoreError> {
        self.store.take(&record_name(key.key.key_id())).await.map(drop)
    }
}

/// The first key of a store.
enum First {
    Created(KeyRing),
    /// Another process created it first.
    Existing(KeyRing),
}

impl Stored {
    fn keys(stored: Option<&Self>) -> impl Iterator<Item = &RingKey> {
        stored.into_iter().flat_map(|stored| stored.ring.iter())
    }
}

impl From<&KeyRing> for List {
    fn from(ring: &KeyRing) -> Self {
        let removed_up_to = ring
            .watermark()
            .map(|last| Removed { sequence: last.sequence, key_id: last.key_id.clone() });
        Self { keys: ring.iter().map(ListedKey::from).collect(), removed_up_to }
    }
}

impl From<&RingKey> for ListedKey {
    fn from(key: &RingKey) -> Self {
        Self {
            key_id: key.key.key_id().to_owned(),
            created_at: key.created_at.as_unix_seconds(),
            signs_from: key.signs_from.as_unix_seconds(),
            sequence: key.sequence,
            verifies_until: key.verifies_until.map(Timestamp::as_unix_seconds),
        }
    }
}

/// Generates a key on a blocking thread.
pub(super) async fn generate_key(size: RsaKeySize) -> Result<SigningKey, SigningError> {
    let key = tokio::task::spawn_blocking(move || SigningKey::generate_with_size(size)).await;
    key.map_err(|_| SigningError)?
}

fn record_name(key_id: &str) -> String {
    format!("signing-keys/{key_id}")
}

fn malformed(name: &str) -> StoredKeysError {
    StoredKeysError::Malformed(name.to_owned())
}

/// The channel of notices about changes.
pub(super) const CHANNEL: &str = "signing-keys";
const LIST: &str = "signing-keys/list";
const LOCK: &str = "signing-keys/lock";
/// Longer than generating a key takes. An interrupted rotation delays the next one by this long.
const LOCKED_FOR: Duration = Duration::from_secs(60);
/// Longer than any key signs and verifies. Every process restarts it once a day.
const STORED_FOR: Duration = Duration::from_secs(2 * 366 * 86_400);
/// Part of the time between a key's announcement and its first token; the rest is for the notice.
const MAX_WRITE_TIME: Duration = Duration::from_secs(2);
const MAX_NOTICE_TIME: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(250);
/// Other processes change the list a few times a year.
const MAX_TRIES: usize = 8;
const MAX_NOTICES: usize = 3;
