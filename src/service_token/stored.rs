//! The service tokens of the store, as mirrored by this process.
//!
//! | in the store | content |
//! | --- | --- |
//! | `service-token/ID` | the record of one token, changed by compare-and-set |
//! | set `service-tokens/all` | the index: ids without a record are ignored |
//! | set `service-tokens-listed/all` | the tokens that files list: see `listed` |
//! | set `service-tokens-revoked/all` | revoked secrets: see `revoked` |
//! | `service-token-name/HASH` | the reservation of a name, for a minute |
//! | set `service-token-uses/all` | when tokens were last used, by the hash of the client id |
//! | `service-token-warned/HASH-DAY` | the expiry warning of this day was logged |
//! | channel `service-tokens` | notifies of changes |
//!
//! Only a record defines a token: the index is written before a record and deleted after it, so that a
//! crash between the two leaves an unused id and never an unlisted token. Each record is read by
//! itself; there are 1,000 at most. While the store is unavailable, the tokens read last stay in force.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::record::Record;
use super::revoked::{Fingerprint, Reason, RevokedSecret};
use super::state::State;
use super::usage::{day, expires_soon};
use super::{ServiceTokens, TokenEntry};
use crate::audit::{self, Event, EventKind};
use crate::clock::{Clock, Timestamp};
use crate::random::{Random, to_hex};
use crate::secret::sha256;
use crate::store::{BackgroundTasks, ReloadCause, Store, StoreError};
use crate::util::changes::Changes;

/// The store's tokens in a process that issues.
#[derive(Debug)]
pub(super) struct StoredTokens {
    pub(super) in_file: ServiceTokens,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    /// Notified when the tokens in force change.
    pub(super) changes: Arc<Changes>,
    state: Mutex<State>,
    pub(super) is_following: AtomicBool,
    /// Whether this process records in the store what its file lists; one with persistent keys does.
    pub(super) is_listing: AtomicBool,
    pub(super) background_tasks: BackgroundTasks,
}

impl StoredTokens {
    /// Creates the mirror, with the state of an earlier one if there is one.
    pub(super) fn new(
        in_file: ServiceTokens,
        store: &Arc<dyn Store>,
        (clock, random, changes): (&Arc<dyn Clock>, &Arc<dyn Random>, &Arc<Changes>),
        earlier: Option<&Self>,
    ) -> Self {
        let mut state = earlier.map(|earlier| earlier.state().clone()).unwrap_or_default();
        let unlisted = earlier.map(|earlier| unlisted(&in_file, &earlier.in_file, clock.now()));
        state.unlisted = unlisted.unwrap_or_default();
        Self {
            in_file,
            store: Arc::clone(store),
            clock: Arc::clone(clock),
            random: Arc::clone(random),
            changes: Arc::clone(changes),
            state: state.into(),
            is_following: AtomicBool::new(false),
            is_listing: AtomicBool::new(
                earlier.is_some_and(|earlier| earlier.is_listing.load(Ordering::Relaxed)),
            ),
            background_tasks: BackgroundTasks::default(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads all records.
    pub(super) async fn read_all(&self) -> Result<BTreeMap<Box<str>, Record>, StoreError> {
        let mut records = BTreeMap::new();
        for (id, _) in self.store.members(INDEX).await? {
            let Some(bytes) = self.store.get(&key(&id)).await? else { continue };
            match Record::read(&id, &bytes) {
                Some(record) => drop(records.insert(id.into(), record)),
                None => tracing::error!(id, "a service token in the store cannot be read"),
            }
        }
        Ok(records)
    }

    /// Reads the record with this id, and its bytes.
    pub(super) async fn read(&self, id: &str) -> Result<Option<(Bytes, Record)>, StoreError> {
        let bytes = self.store.get(&key(id)).await?;
        Ok(bytes.and_then(|bytes| Some((bytes.clone(), Record::read(id, &bytes)?))))
    }

    /// Reads when tokens were last used, by member name.
    pub(super) async fn read_uses(&self) -> Result<HashMap<String, Timestamp>, StoreError> {
        let uses = self.store.members(USES).await?;
        let read = |(member, bytes): (String, Bytes)| {
            let seconds = std::str::from_utf8(&bytes).ok()?.parse().ok()?;
            Some((member, Timestamp::from_unix_seconds(seconds)))
        };
        Ok(uses.into_iter().filter_map(read).collect())
    }

    /// Deletes again what this process deleted, if another process restored it to a store that had lost
    /// its data.
    async fn delete_again(
        &self,
        records: &mut BTreeMap<Box<str>, Record>,
    ) -> Result<(), StoreError> {
        let ids = self.state().deleted_among(records);
        let mut any = false;
        for id in &ids {
            records.remove(id);
            any |= self.delete(id).await?;
        }
        if any { self.store.notify(CHANNEL).await } else { Ok(()) }
    }

    /// Deletes a record. Returns whether it existed.
    pub(super) async fn delete(&self, id: &str) -> Result<bool, StoreError> {
        let was_there = self.store.take(&key(id)).await?.is_some();
        self.store.take_member(INDEX, id).await?;
        Ok(was_there)
    }

    /// Restores a store that has lost all or its latest data, from this process.
    async fn restore(&self) -> Result<(), StoreError> {
        let (records, revoked) = {
            let state = self.state();
            let records: Vec<Record> = state.records.values().cloned().collect();
            (records, state.revoked.clone())
        };
        for (fingerprint, revoked) in revoked.iter() {
            self.write_one_revoked(fingerprint, revoked).await?;
        }
        for record in &records {
            self.store.put_member(INDEX, &record.id, Bytes::new(), STORED_FOR).await?;
            self.write_back(record).await?;
        }
        let is_nothing = records.is_empty() && revoked.iter().next().is_none();
        if is_nothing { Ok(()) } else { self.store.notify(CHANNEL).await }
    }

    /// Writes a record, unless the store has the same version or a later one.
    async fn write_back(&self, record: &Record) -> Result<(), StoreError> {
        let bytes = record.write().map_err(StoreError::new)?;
        for _ in 0..MAX_ATTEMPTS {
            let done = match self.read(&record.id).await? {
                None => self.store.insert(&key(&record.id), bytes.clone(), STORED_FOR).await?,
                Some((_, present)) if present.version >= record.version => true,
                Some((present, _)) => {
                    self.store
                        .replace(&key(&record.id), &present, bytes.clone(), STORED_FOR)
                        .await?
                }
            };
            if done {
                break;
            }
        }
        Ok(())
    }

    /// Reads everything again, after writing what the store does not have yet.
    pub(super) async fn reload(&self, cause: ReloadCause) -> Result<(), StoreError> {
        if cause == ReloadCause::Forgotten {
            self.restore().await?;
        }
        self.write_revoked().await?;
        let revoked = self.read_revoked().await?;
        {
            let mut state = self.state();
            for (fingerprint, revoked) in revoked {
                state.revoked.add(fingerprint, revoked);
            }
        }
        for _ in 0..MAX_ATTEMPTS {
            let before = self.state().changes;
            let mut records = self.read_all().await?;
            self.delete_again(&mut records).await?;
            let mut state = self.state();
            // The read may miss a concurrent change of this process.
            if state.changes == before {
                state.records = records;
                return Ok(());
            }
        }
        Err(StoreError::new("service tokens change faster than they can be read"))
    }

    /// Writes the revoked secrets that are not in the store yet.
    pub(super) async fn write_revoked(&self) -> Result<(), StoreError> {
        let unwritten = self.state().unwritten.clone();
        for (fingerprint, revoked) in &unwritten {
            self.write_one_revoked(fingerprint, revoked).await?;
            self.state().unwritten.remove(fingerprint);
        }
        if unwritten.is_empty() { Ok(()) } else { self.store.notify(CHANNEL).await }
    }

    pub(super) async fn write_one_revoked(
        &self,
        fingerprint: &Fingerprint,
        revoked: &RevokedSecret,
    ) -> Result<(), StoreError> {
        let bytes = revoked.write().map_err(StoreError::new)?;
        self.store.put_member(REVOKED, fingerprint.as_str(), bytes, STORED_FOR).await
    }

    async fn read_revoked(&self) -> Result<Vec<(Fingerprint, RevokedSecret)>, StoreError> {
        let members = self.store.members(REVOKED).await?;
        let read = |(member, bytes): (String, Bytes)| {
            (Fingerprint::from(member), RevokedSecret::read(&bytes))
        };
        Ok(members.into_iter().map(read).collect())
    }

    /// Records in the background when a token was last used.
    pub(super) fn write_use(&self, known: &TokenEntry, now: Timestamp) {
        let Ok(runtime) = Handle::try_current() else { return };
        let (store, member) = (Arc::clone(&self.store), member(&known.token.client_id));
        runtime.spawn(async move {
            let seconds = Bytes::from(now.as_unix_seconds().to_string());
            if let Err(error) = store.put_member(USES, &member, seconds, USES_STORED_FOR).await {
                tracing::warn!(%error, "the last use of a service token could not be written");
            }
        });
    }

    /// Warns of tokens that expire within a week: once a day over all processes, if the store is
    /// available. Returns their names.
    pub(super) async fn warn_of_expiry(
        &self,
        table: &ServiceTokens,
        now: Timestamp,
    ) -> Vec<Box<str>> {
        let ends = |known: &&Arc<TokenEntry>| {
            let token = &known.token;
            token.enabled && token.expires_at.is_some_and(|end| expires_soon(end, now))
        };
        let due: Vec<&Arc<TokenEntry>> = table.all().filter(ends).collect();
        let mut warned = Vec::new();
        for known in due.into_iter().filter(|known| known.usage.is_first_warning(now)) {
            let token = &known.token;
            let key = format!("service-token-warned/{}-{}", member(&token.client_id), day(now));
            let is_first = self.store.insert(&key, Bytes::new(), WARNINGS_STORED_FOR).await;
            if matches!(is_first, Ok(false)) {
                continue;
            }
            let left = token.expires_at.map_or(0, |end| end.since(now).as_secs() / 3_600);
            let kind = EventKind::ServiceTokenExpiring { id: token.token_id(), hours_left: left };
            audit::record(&Event::new(kind).service_token(&token.name));
            warned.push(token.name.clone());
        }
        warned
    }
}

/// Returns the tokens that the next file revokes: those that the previous one lists and it does not.
fn unlisted(
    next: &ServiceTokens,
    before: &ServiceTokens,
    now: Timestamp,
) -> Vec<(Fingerprint, RevokedSecret)> {
    let listed: HashSet<Fingerprint> = fingerprints(next).collect();
    let gone = before.all().filter(|known| !listed.contains(&Fingerprint::for_token(&known.token)));
    gone.map(|known| {
        let token = &known.token;
        (Fingerprint::for_token(token), RevokedSecret::new(&token.client_id, now, Reason::Unlisted))
    })
    .collect()
}

/// Returns the fingerprints of all tokens of a table.
pub(super) fn fingerprints(tokens: &ServiceTokens) -> impl Iterator<Item = Fingerprint> {
    tokens.all().map(|known| Fingerprint::for_token(&known.token))
}

/// Deletes every token of a store, and revokes its secrets.
pub(crate) async fn delete_all(store: &dyn Store, now: Timestamp) -> Result<usize, StoreError> {
    let ids = store.members(INDEX).await?;
    for (id, _) in &ids {
        if let Some(record) = store.get(&key(id)).await?.and_then(|it| Record::read(id, &it)) {
            let revoked = RevokedSecret::new(&record.client_id, now, Reason::Deleted);
            let bytes = revoked.write().map_err(StoreError::new)?;
            let fingerprint = record.fingerprint();
            store.put_member(REVOKED, fingerprint.as_str(), bytes, STORED_FOR).await?;
        }
        store.take(&key(id)).await?;
        store.take_member(INDEX, id).await?;
    }
    store.notify(CHANNEL).await?;
    Ok(ids.len())
}

pub(super) fn key(id: &str) -> String {
    format!("service-token/{id}")
}

/// Returns the member name of a token's last use. Hashed: client ids of a file may have any form.
pub(super) fn member(client_id: &str) -> String {
    to_hex(&sha256(client_id.as_bytes()))
}

pub(super) const INDEX: &str = "service-tokens/all";
pub(super) const CHANNEL: &str = "service-tokens";
const REVOKED: &str = "service-tokens-revoked/all";
const USES: &str = "service-token-uses/all";
/// A hundred years: tokens stay until they are deleted.
pub(super) const STORED_FOR: Duration = Duration::from_secs(100 * 365 * 86_400);
const USES_STORED_FOR: Duration = Duration::from_secs(400 * 86_400);
const WARNINGS_STORED_FOR: Duration = Duration::from_secs(2 * 86_400);
pub(super) const MAX_ATTEMPTS: usize = 8;
