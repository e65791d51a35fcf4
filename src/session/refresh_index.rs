//! The sessions that the provider is asked about again, by their next time.
//!
//! Sixteen sets of session ids, which every node reads in turn. An entry says when its session is due;
//! what the session's record says takes precedence. A node claims a session before it asks, so that a
//! refresh token is used once.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::secret::sha256;
use crate::store::{Store, StoreError};

use super::account::RefreshTimes;

/// An entry of the index.
#[derive(Debug)]
pub(crate) struct ScheduledRefresh {
    pub(crate) session: String,
    /// The id of the login method.
    pub(crate) method: Box<str>,
    due_at: u64,
    expires_at: u64,
}

/// The stored form.
#[derive(Debug, Deserialize, Serialize)]
struct Entry<'a> {
    #[serde(borrow)]
    method: std::borrow::Cow<'a, str>,
    due_at: u64,
    expires_at: u64,
}

impl ScheduledRefresh {
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.due_at <= now.as_unix_seconds()
    }

    /// Returns whether the provider has not confirmed the user for too long.
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now.as_unix_seconds()
    }
}

/// Sets when a session is due.
pub(super) async fn put(
    store: &dyn Store,
    session: &str,
    (method, times): (&str, RefreshTimes),
    lifetime: Duration,
) -> Result<(), StoreError> {
    let RefreshTimes { due_at, expires_at, .. } = times;
    let entry = Entry { method: method.into(), due_at, expires_at };
    let entry = serde_json::to_vec(&entry).map_err(StoreError::new)?;
    store.put_member(&set(shard_of(session)), session, entry.into(), lifetime).await
}

pub(super) async fn remove(store: &dyn Store, session: &str) -> Result<(), StoreError> {
    store.take_member(&set(shard_of(session)), session).await.map(drop)
}

/// Returns the entries of a shard. An unreadable one is due, and has no method.
pub(super) async fn read(
    store: &dyn Store,
    shard: u8,
) -> Result<Vec<ScheduledRefresh>, StoreError> {
    let members = store.members(&set(shard)).await?;
    let read = |(session, entry): (String, Bytes)| {
        let unreadable = Entry { method: "".into(), due_at: 0, expires_at: u64::MAX };
        let entry = serde_json::from_slice::<Entry<'_>>(&entry).unwrap_or(unreadable);
        let Entry { method, due_at, expires_at } = entry;
        ScheduledRefresh { session, method: method.into(), due_at, expires_at }
    };
    Ok(members.into_iter().map(read).collect())
}

/// Claims a session. Returns `false` if another node has.
pub(super) async fn claim(store: &dyn Store, session: &str) -> Result<bool, StoreError> {
    store.insert(&claim_key(session), Bytes::new(), CLAIM_LIFETIME).await
}

pub(super) async fn release(store: &dyn Store, session: &str) -> Result<(), StoreError> {
    store.take(&claim_key(session)).await.map(drop)
}

fn shard_of(session: &str) -> u8 {
    let [first, ..] = sha256(session.as_bytes());
    first % SHARDS
}

fn set(shard: u8) -> String {
    format!("session-refresh/{shard}")
}

fn claim_key(session: &str) -> String {
    format!("session-refresh-claim/{session}")
}

/// The number of shards.
pub(crate) const SHARDS: u8 = 16;
/// Longer than a provider and the store take to respond or to fail.
const CLAIM_LIFETIME: Duration = Duration::from_secs(120);
