//! Signing keys in the store, sealed: they outlive the process.
//!
//! One record for each key, under its id, and one that lists them. A rotation writes the new key
//! first and the list second, so that whatever happens in between, the list names keys that are
//! there. A store that is read by others shows them nothing but key ids.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::random::Random;
use crate::secret::{MasterSecret, Seal, SealError};
use crate::store::{Store, StoreError};
use crate::token::{RingKey, SigningKey};

/// Where signing keys are kept.
#[derive(Debug)]
pub(crate) struct KeptKeys {
    store: Arc<dyn Store>,
    random: Arc<dyn Random>,
    seal: Seal,
}

#[derive(Debug, Deserialize, Serialize)]
struct List {
    newest: Entry,
    earlier: Vec<Entry>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Entry {
    key_id: String,
    made_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retired_at: Option<u64>,
}

/// Keys that could not be kept, or not be read back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeptKeysError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "the signing keys in the store were sealed with another master secret, or have been \
         changed: set the secret they were sealed with, or remove the records `signing-keys/…` \
         to log everybody out and begin anew"
    )]
    Sealed(#[from] SealError),
    #[error("a signing key in the store is malformed or missing: {0}")]
    Malformed(String),
}

impl KeptKeys {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        random: Arc<dyn Random>,
        master: &MasterSecret,
    ) -> Result<Self, KeptKeysError> {
        Ok(Self { store, random, seal: master.seal("signing keys")? })
    }

    /// The newest key and those before it; `None` when none were ever kept.
    pub(crate) async fn load(&self) -> Result<Option<(RingKey, Vec<RingKey>)>, KeptKeysError> {
        let Some(record) = self.store.get(LIST).await? else { return Ok(None) };
        let text = self.seal.open(LIST, &record)?;
        let list: List = serde_json::from_slice(&text).map_err(|_| malformed(LIST))?;
        let newest = self.load_key(&list.newest).await?;
        let mut earlier = Vec::new();
        for entry in &list.earlier {
            earlier.push(self.load_key(entry).await?);
        }
        Ok(Some((newest, earlier)))
    }

    /// Keeps the keys as they are from now on.
    pub(crate) async fn save(
        &self,
        newest: &RingKey,
        earlier: &[RingKey],
    ) -> Result<(), KeptKeysError> {
        // Earlier ones are written again as well: their lifetime in the store begins anew.
        for kept in std::iter::once(newest).chain(earlier) {
            let der = kept.key.to_pkcs8_der().map_err(|_| malformed(kept.key.key_id()))?;
            self.put(&record_name(kept.key.key_id()), &der).await?;
        }
        let list =
            List { newest: Entry::of(newest), earlier: earlier.iter().map(Entry::of).collect() };
        let text = serde_json::to_vec(&list).map_err(|_| malformed(LIST))?;
        // A key whose list could not be written stays: the write may have happened all the same.
        self.put(LIST, &text).await
    }

    async fn put(&self, name: &str, text: &[u8]) -> Result<(), KeptKeysError> {
        let record = self.seal.close(name, text, &*self.random)?;
        Ok(self.store.put(name, Bytes::from(record), KEPT_FOR).await?)
    }

    async fn load_key(&self, entry: &Entry) -> Result<RingKey, KeptKeysError> {
        let name = record_name(&entry.key_id);
        let record = self.store.get(&name).await?.ok_or_else(|| malformed(&name))?;
        let der = self.seal.open(&name, &record)?;
        let key = SigningKey::from_pkcs8_der(&der).map_err(|_| malformed(&name))?;
        Ok(RingKey {
            key: Arc::new(key),
            made_at: Timestamp::from_unix_seconds(entry.made_at),
            retired_at: entry.retired_at.map(Timestamp::from_unix_seconds),
        })
    }
}

impl Entry {
    fn of(kept: &RingKey) -> Self {
        Self {
            key_id: kept.key.key_id().to_owned(),
            made_at: kept.made_at.as_unix_seconds(),
            retired_at: kept.retired_at.map(Timestamp::as_unix_seconds),
        }
    }
}

fn record_name(key_id: &str) -> String {
    format!("signing-keys/{key_id}")
}

fn malformed(name: &str) -> KeptKeysError {
    KeptKeysError::Malformed(name.to_owned())
}

const LIST: &str = "signing-keys/list";
/// Longer than any key signs and verifies; every rotation begins it anew.
const KEPT_FOR: Duration = Duration::from_secs(2 * 366 * 86_400);
