//! Signing keys in the store, sealed: they outlive the process, and all processes that share the
//! store share them.
//!
//! One record for each key, under its id, and one that lists them. Keys are written first and the
//! list second, so that whatever happens in between, the list names keys that are there; the list is
//! changed only in place of the one that was read, so that of two processes neither undoes what the
//! other did; and then everybody is told. A store that is read by others shows them nothing but key
//! ids.
//!
//! The list records when each key verifies no more, and up to which key all were removed. Both move
//! in one direction only (see `token::ring`), so that no process, whatever it is configured with or
//! remembers, brings back a key whose time is over. The record of a removed key leaves the store
//! after the list that no longer names it is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Timestamp};
use crate::issuer::{
    KeyRing, KeyRotation, Position, PublishError, RingKey, RsaKeySize, SigningError, SigningKey,
    first_turn, next_turn,
};
use crate::random::Random;
use crate::secret::{MasterSecret, Seal, SealError};
use crate::store::{Store, StoreError};

/// Where signing keys are kept.
#[derive(Debug)]
pub(crate) struct KeptKeys {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    seal: Seal,
    issuer: Box<str>,
    /// Whether something was changed that others could not be told of.
    is_untold: AtomicBool,
}

/// The list as it was read, and the keys that it names.
struct Kept {
    record: Bytes,
    ring: KeyRing,
}

#[derive(Debug, Deserialize, Serialize)]
struct List {
    keys: Vec<Entry>,
    /// Up to which key all were removed; earlier versions did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    removed_up_to: Option<Removed>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Removed {
    turn: u64,
    key_id: Box<str>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Entry {
    key_id: String,
    made_at: u64,
    signs_from: u64,
    turn: u64,
    /// From when on it verifies no more; earlier versions did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verifies_until: Option<u64>,
}

/// Keys that could not be kept, or not be read back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeptKeysError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "the signing keys in the store were sealed with another master secret, or have been \
         changed: set the secret they were sealed with, or stop all processes and remove the \
         records `signing-keys/…` to log everybody out and begin anew"
    )]
    Sealed(#[from] SealError),
    #[error("a signing key in the store is malformed or missing: {0}")]
    Malformed(String),
    #[error(
        "the store has signing keys, and `signing_key` is none of them: leave it out, and replace \
         the key with `Access::rotate_keys`"
    )]
    AnotherKey,
    #[error("other processes change the signing keys all the time")]
    Contended,
    #[error("too many keys are announced already: wait until they sign")]
    TooMany,
    #[error(transparent)]
    Signing(#[from] SigningError),
    #[error(transparent)]
    Publishing(#[from] PublishError),
}

impl KeptKeys {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        random: Arc<dyn Random>,
        clock: Arc<dyn Clock>,
        master: &MasterSecret,
        issuer: &str,
    ) -> Result<Self, KeptKeysError> {
        let seal = master.seal("signing keys")?;
        let is_untold = AtomicBool::new(false);
        Ok(Self { store, clock, random, seal, issuer: issuer.into(), is_untold })
    }

    /// The keys that are kept. Where there are none, a first one, which is kept: of several
    /// processes that begin at once one makes it, and the others take it over.
    pub(crate) async fn open(
        &self,
        given: Option<SigningKey>,
        rotation: KeyRotation,
    ) -> Result<KeyRing, KeptKeysError> {
        let given_id = given.as_ref().map(|key| key.key_id().to_owned());
        let kept = match self.read(None).await? {
            Some(kept) => kept,
            None => match self.begin(given, rotation.size()).await? {
                Ok(ring) => return Ok(ring),
                Err(of_another) => of_another,
            },
        };
        if given_id.is_some_and(|id| kept.ring.find(&id).is_none()) {
            return Err(KeptKeysError::AnotherKey);
        }
        // Good for as long as records are kept; if not now, then when they are looked after next.
        match self.sync(&kept.ring, rotation.overlap_of_keys(), true).await {
            Ok(ring) => Ok(ring),
            Err(error) => {
                tracing::warn!(%error, "the kept signing keys could not be written anew");
                Ok(kept.ring)
            }
        }
    }

    /// One new key in place of all there are: nothing that was signed before verifies, wherever the
    /// keys before it are still known.
    pub(crate) async fn replace_all(&self, size: RsaKeySize) -> Result<(), KeptKeysError> {
        let key = new_key(size).await?;
        let now = self.clock.now();
        let mut key = RingKey::new(key, &self.issuer, (now, now), first_turn(now))?;
        for _ in 0..MOST_TRIES {
            let kept = self.read(None).await?;
            let next = match &kept {
                Some(kept) => {
                    key.turn = next_turn(&kept.ring, now);
                    kept.ring.replaced_by(key.clone())
                }
                None => KeyRing::of_one(key.clone()),
            };
            if self.write(&next, kept.as_ref().map(|kept| &kept.record)).await? {
                if let Some(kept) = kept {
                    self.remove_all(kept.ring.iter(), &next).await?;
                }
                return Ok(());
            }
        }
        self.remove(&key).await?;
        Err(KeptKeysError::Contended)
    }

    /// Writes a first key, unless another process is quicker.
    async fn begin(
        &self,
        given: Option<SigningKey>,
        size: RsaKeySize,
    ) -> Result<Result<KeyRing, Kept>, KeptKeysError> {
        let key = match given {
            Some(key) => key,
            None => new_key(size).await?,
        };
        let now = self.clock.now();
        let ring = KeyRing::of_one(RingKey::new(key, &self.issuer, (now, now), first_turn(now))?);
        if self.write(&ring, None).await? {
            return Ok(Ok(ring));
        }
        let kept = self.read(None).await?.ok_or(KeptKeysError::Contended)?;
        if !kept.ring.has_all_of(&ring) {
            self.remove(ring.newest()).await?;
        }
        Ok(Err(kept))
    }

    /// What is kept and what is known here, together: whatever the store has not is written.
    /// `anew`: all of it is, so that its lifetime in the store begins anew.
    pub(super) async fn sync(
        &self,
        known: &KeyRing,
        overlap: Duration,
        anew: bool,
    ) -> Result<KeyRing, KeptKeysError> {
        for _ in 0..MOST_TRIES {
            let kept = self.read(Some(known)).await?;
            let all = self.together(known, kept.as_ref(), overlap);
            let is_complete = kept.as_ref().is_some_and(|kept| kept.ring.covers(&all));
            if is_complete && !anew {
                if self.is_untold() {
                    self.tell().await;
                }
                return Ok(all);
            }
            if kept.as_ref().is_none_or(|kept| !kept.ring.has_all_of(&all)) {
                tracing::warn!("the store has lost signing keys: they are written again");
            }
            if self.write(&all, kept.as_ref().map(|kept| &kept.record)).await? {
                let of_store = kept.iter().flat_map(|kept| kept.ring.iter());
                self.remove_all(known.iter().chain(of_store), &all).await?;
                return Ok(all);
            }
        }
        Err(KeptKeysError::Contended)
    }

    /// Keeps a new key, which signs a while after everybody can know of it: the keys with it.
    pub(super) async fn announce(
        &self,
        known: &KeyRing,
        overlap: Duration,
        key: SigningKey,
        lead: Duration,
    ) -> Result<KeyRing, KeptKeysError> {
        let made_at = self.clock.now();
        let mut key = RingKey::new(key, &self.issuer, (made_at, made_at), 0)?;
        for _ in 0..MOST_TRIES {
            let kept = self.read(Some(known)).await?;
            let all = self.together(known, kept.as_ref(), overlap);
            key.turn = next_turn(&all, made_at);
            let mut next = |now: Timestamp| {
                key.signs_from = now.plus(lead);
                let next = all.clone().announced(key.clone(), now).ok_or(KeptKeysError::TooMany)?;
                // The list says from its first moment on when the keys before this one end.
                Ok::<_, KeptKeysError>(next.without_ended(overlap, now))
            };
            self.write_keys(&next(self.clock.now())?).await?;
            // From here on time counts: what is read late must not be signed with already.
            let next = next(self.clock.now())?;
            let listed = self.write_list(&next, kept.as_ref().map(|kept| &kept.record));
            let listed = tokio::time::timeout(LONGEST_WRITE, listed).await;
            if listed.map_err(|_| StoreError::new("it takes too long"))?? {
                self.tell().await;
                let of_store = kept.iter().flat_map(|kept| kept.ring.iter());
                let removed = self.remove_all(known.iter().chain(of_store), &next).await;
                if let Err(error) = removed {
                    tracing::warn!(%error, "a signing key that has ended is still in the store");
                }
                return Ok(next);
            }
        }
        self.remove(&key).await?;
        Err(KeptKeysError::Contended)
    }

    /// Whether it is this process that makes the next key. Nobody else does for a minute.
    pub(super) async fn takes_turn(&self) -> Result<bool, StoreError> {
        self.store.insert(LOCK, Bytes::from_static(b"1"), LOCKED_FOR).await
    }

    fn together(&self, known: &KeyRing, kept: Option<&Kept>, overlap: Duration) -> KeyRing {
        let now = self.clock.now();
        let all = match kept {
            Some(kept) => known.clone().merged(&kept.ring, now),
            None => known.clone(),
        };
        all.without_ended(overlap, now)
    }

    /// The list and the keys it names; those that are known need not be read. `None` when none were
    /// ever kept, or the store has forgotten them.
    async fn read(&self, known: Option<&KeyRing>) -> Result<Option<Kept>, KeptKeysError> {
        let mut record = self.store.get(LIST).await?;
        loop {
            let Some(present) = record else { return Ok(None) };
            match self.read_listed(known, &present).await {
                Ok(ring) => return Ok(Some(Kept { record: present, ring })),
                Err(error) => {
                    // A key may have been removed since the list was read, but then from the list
                    // first.
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
    ) -> Result<KeyRing, KeptKeysError> {
        let text = self.seal.open(LIST, record)?;
        let list: List = serde_json::from_slice(&text).map_err(|_| malformed(LIST))?;
        let mut keys = Vec::new();
        for entry in &list.keys {
            let known = known.and_then(|known| known.find(&entry.key_id));
            let mut key = match known.filter(|known| known.turn == entry.turn) {
                Some(key) => key.clone(),
                None => self.read_key(entry).await?,
            };
            // What the store says, which may be less than what is known here.
            key.verifies_until = entry.verifies_until.map(Timestamp::from_unix_seconds);
            keys.push(key);
        }
        let removed = list.removed_up_to;
        let watermark = removed.map(|Removed { turn, key_id }| Position { turn, key_id });
        KeyRing::of(keys, watermark).ok_or_else(|| malformed(LIST))
    }

    async fn read_key(&self, entry: &Entry) -> Result<RingKey, KeptKeysError> {
        let name = record_name(&entry.key_id);
        let record = self.store.get(&name).await?.ok_or_else(|| malformed(&name))?;
        let der = self.seal.open(&name, &record)?;
        let key = SigningKey::from_pkcs8_der(&der).map_err(|_| malformed(&name))?;
        let at = Timestamp::from_unix_seconds;
        let times = (at(entry.made_at), at(entry.signs_from));
        Ok(RingKey::new(key, &self.issuer, times, entry.turn)?)
    }

    /// Writes keys and list, and tells everybody; whether the list was still the one that was read.
    async fn write(&self, ring: &KeyRing, present: Option<&Bytes>) -> Result<bool, KeptKeysError> {
        self.write_keys(ring).await?;
        let is_written = self.write_list(ring, present).await?;
        if is_written {
            self.tell().await;
        }
        Ok(is_written)
    }

    /// Those that were there are written again as well: their lifetime in the store begins anew.
    async fn write_keys(&self, ring: &KeyRing) -> Result<(), KeptKeysError> {
        for kept in ring.iter() {
            let name = record_name(kept.key.key_id());
            let der = kept.key.to_pkcs8_der()?;
            let record = self.seal.close(&name, &der, &*self.random)?;
            self.store.put(&name, record.into(), KEPT_FOR).await?;
        }
        Ok(())
    }

    /// A key whose list could not be written stays: the write may have happened all the same.
    async fn write_list(
        &self,
        ring: &KeyRing,
        present: Option<&Bytes>,
    ) -> Result<bool, KeptKeysError> {
        let removed = |last: &Position| Removed { turn: last.turn, key_id: last.key_id.clone() };
        let removed_up_to = ring.watermark().map(removed);
        let list = List { keys: ring.iter().map(Entry::of).collect(), removed_up_to };
        let text = serde_json::to_vec(&list).map_err(|_| malformed(LIST))?;
        let record = self.seal.close(LIST, &text, &*self.random)?.into();
        Ok(match present {
            Some(present) => self.store.replace(LIST, present, record, KEPT_FOR).await?,
            None => self.store.insert(LIST, record, KEPT_FOR).await?,
        })
    }

    /// Whether others may not know yet of what was changed.
    pub(super) fn is_untold(&self) -> bool {
        self.is_untold.load(Ordering::Relaxed)
    }

    /// What could not be told is told when the keys are looked at next.
    async fn tell(&self) {
        self.is_untold.store(true, Ordering::Relaxed);
        for _ in 0..MOST_TELLINGS {
            let told = tokio::time::timeout(LONGEST_TELLING, self.store.notify(CHANNEL)).await;
            match told.map_err(StoreError::new).flatten() {
                Ok(()) => return self.is_untold.store(false, Ordering::Relaxed),
                Err(error) => tracing::warn!(%error, "others do not hear of a change of keys"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Takes the records out of the store of those keys that this ring knows to be removed.
    async fn remove_all<'a>(
        &self,
        keys: impl Iterator<Item = &'a RingKey>,
        from: &KeyRing,
    ) -> Result<(), StoreError> {
        for key in keys.filter(|key| from.has_removed(key)) {
            if from.find(key.key.key_id()).is_none() {
                self.remove(key).await?;
            }
        }
        Ok(())
    }

    async fn remove(&self, key: &RingKey) -> Result<(), StoreError> {
        self.store.take(&record_name(key.key.key_id())).await.map(drop)
    }
}

impl Entry {
    fn of(kept: &RingKey) -> Self {
        Self {
            key_id: kept.key.key_id().to_owned(),
            made_at: kept.made_at.as_unix_seconds(),
            signs_from: kept.signs_from.as_unix_seconds(),
            turn: kept.turn,
            verifies_until: kept.verifies_until.map(Timestamp::as_unix_seconds),
        }
    }
}

/// Makes a key beside other tasks: it takes long enough to hold them up.
pub(super) async fn new_key(size: RsaKeySize) -> Result<SigningKey, SigningError> {
    let key = tokio::task::spawn_blocking(move || SigningKey::generate_of(size)).await;
    key.map_err(|_| SigningError)?
}

fn record_name(key_id: &str) -> String {
    format!("signing-keys/{key_id}")
}

fn malformed(name: &str) -> KeptKeysError {
    KeptKeysError::Malformed(name.to_owned())
}

/// Where changes are told.
pub(super) const CHANNEL: &str = "signing-keys";
const LIST: &str = "signing-keys/list";
const LOCK: &str = "signing-keys/lock";
/// Longer than making a key takes, and no longer than a rotation that was begun and not ended may
/// hold up the next one.
const LOCKED_FOR: Duration = Duration::from_secs(60);
/// Longer than any key signs and verifies. Every process that has them begins it anew, once a day.
const KEPT_FOR: Duration = Duration::from_secs(2 * 366 * 86_400);
/// Of the time between a key's announcement and its first token: the rest is for hearing of it.
const LONGEST_WRITE: Duration = Duration::from_secs(2);
const LONGEST_TELLING: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(250);
/// Others change the list a few times a year.
const MOST_TRIES: usize = 8;
const MOST_TELLINGS: usize = 3;
