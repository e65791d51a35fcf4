//! The service tokens that files list, as the store knows them: so that a token which is removed from
//! a file while nothing runs is revoked like one that is removed by a reload.
//!
//! Several processes may share a store and not all have the same file at the same moment. There a
//! token counts as removed when no process has listed it for an hour; or at once where a process
//! that listed it puts a file in force which does not.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::kept::{CHANNEL, FOR_GOOD, Kept};
use super::revoked::{Fingerprint, ListingError, Problem, Reason, RevokedSecret};
use super::{LiveServiceTokens, ServiceToken, ServiceTokens};
use crate::clock::Timestamp;
use crate::store::StoreError;

/// A token that a file lists.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Listed {
    client_id: Box<str>,
    expires_at: Option<u64>,
    /// When a process that runs with it said so last.
    listed_at: u64,
}

impl Listed {
    fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now.as_unix_seconds())
    }
}

/// What a file that is put in force revokes: by comparison with the one before.
pub(super) fn revoked_by(
    next: &ServiceTokens,
    before: &ServiceTokens,
    now: Timestamp,
) -> Vec<(Fingerprint, RevokedSecret)> {
    let listed: HashSet<Fingerprint> = fingerprints(next).collect();
    let gone = before.all().filter(|known| !listed.contains(&Fingerprint::of(&known.token)));
    gone.map(|known| {
        let token = &known.token;
        (Fingerprint::of(token), RevokedSecret::new(&token.client_id, now, Reason::Unlisted))
    })
    .collect()
}

fn fingerprints(tokens: &ServiceTokens) -> impl Iterator<Item = Fingerprint> {
    tokens.all().map(|known| Fingerprint::of(&known.token))
}

fn is_over(token: &ServiceToken, now: Timestamp) -> bool {
    token.expires_at.is_some_and(|end| end <= now)
}

/// How a store is used, which says when a token counts as removed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sharing {
    /// By this process alone: at once.
    Exclusive,
    Shared,
}

impl LiveServiceTokens {
    /// Whether a file may be put in force in place of the one before.
    pub(crate) fn check_next(
        &self,
        next: &ServiceTokens,
        now: Timestamp,
    ) -> Result<(), ListingError> {
        let Some(kept) = &self.kept else { return Ok(()) };
        kept.check(next, &fingerprints(&kept.in_file).collect())?;
        for known in next.all() {
            let before = kept.in_file.shared(&known.token.client_id).map(|known| &known.token);
            let has_ended = before.is_some_and(|before| {
                Fingerprint::of(before) == Fingerprint::of(&known.token) && is_over(before, now)
            });
            if let Some(end) = before.and_then(|before| before.expires_at)
                && has_ended
                && !is_over(&known.token, now)
            {
                return Err(refused(&known.token, Reason::Expired, end.as_unix_seconds()));
            }
        }
        Ok(())
    }

    /// From now on these tokens are in force: what the file before listed and this one does not is
    /// revoked, here at once, and in the store as soon as it can be written.
    pub(crate) fn put_in_force(self: &std::sync::Arc<Self>) {
        let Some(kept) = &self.kept else { return };
        {
            let mut state = kept.state();
            let revoked = std::mem::take(&mut state.unlisted);
            for (fingerprint, revoked) in revoked {
                state.revoke(fingerprint, revoked);
            }
            self.rebuild(kept, &mut state);
        }
        if !kept.is_listing.load(std::sync::atomic::Ordering::Relaxed) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let me = std::sync::Arc::clone(self);
        runtime.spawn(async move {
            if let Err(error) = me.record_listing(Sharing::Shared).await {
                tracing::warn!(%error, "what the file lists is not recorded yet: tried again in a minute");
            }
        });
    }

    /// Waits until the store has all that was revoked.
    #[cfg(all(feature = "config", feature = "proxy"))]
    pub(crate) async fn write_ends(&self) -> Result<(), StoreError> {
        match &self.kept {
            Some(kept) => kept.write_revoked().await,
            None => Ok(()),
        }
    }

    /// Compares the file with what was listed when a process ran last, and records what is listed
    /// now.
    ///
    /// # Errors
    ///
    /// When the file lists what was revoked, or the store does not serve.
    pub(crate) async fn begin_listing(&self, sharing: Sharing) -> Result<(), ListingFailure> {
        let Some(kept) = &self.kept else { return Ok(()) };
        let now = kept.clock.now();
        let recorded = kept.read_listed().await?;
        for known in kept.in_file.all() {
            let token = &known.token;
            let before = recorded.get(&Fingerprint::of(token));
            if let Some(end) = before.and_then(|before| before.expires_at)
                && end <= now.as_unix_seconds()
                && !is_over(token, now)
            {
                return Err(refused(token, Reason::Expired, end).into());
            }
        }
        kept.check(&kept.in_file, &recorded.keys().cloned().collect())?;
        self.record_listing(sharing).await?;
        kept.is_listing.store(true, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }

    /// Records what is listed, writes what is not written yet, and revokes what nobody lists any
    /// longer.
    pub(super) async fn record_listing(&self, sharing: Sharing) -> Result<(), StoreError> {
        let Some(kept) = &self.kept else { return Ok(()) };
        let now = kept.clock.now();
        let recorded = kept.read_listed().await?;
        let in_file: HashSet<Fingerprint> = fingerprints(&kept.in_file).collect();
        let is_unlisted = |fingerprint: &Fingerprint, listed: &Listed| {
            let unseen_for = now.as_unix_seconds().saturating_sub(listed.listed_at);
            let is_gone = sharing == Sharing::Exclusive || unseen_for >= UNLISTED_AFTER.as_secs();
            is_gone && !in_file.contains(fingerprint)
        };
        {
            let mut state = kept.state();
            for (fingerprint, listed) in &recorded {
                if is_unlisted(fingerprint, listed) {
                    let reason =
                        if listed.is_over(now) { Reason::Expired } else { Reason::Unlisted };
                    let revoked = RevokedSecret::new(&listed.client_id, now, reason);
                    state.revoke(fingerprint.clone(), revoked);
                }
            }
            self.rebuild(kept, &mut state);
        }
        kept.write_revoked().await?;
        for (fingerprint, listed) in &recorded {
            let is_revoked = kept.state().revoked.get(fingerprint).is_some();
            if is_revoked || is_unlisted(fingerprint, listed) {
                kept.store.take_member(LISTED, fingerprint.as_str()).await?;
            }
        }
        for known in kept.in_file.all() {
            let token = &known.token;
            let fingerprint = Fingerprint::of(token);
            if kept.state().revoked.get(&fingerprint).is_some() {
                continue;
            }
            let listed = Listed {
                client_id: token.client_id.clone(),
                expires_at: token.expires_at.map(Timestamp::as_unix_seconds),
                listed_at: now.as_unix_seconds(),
            };
            let bytes = serde_json::to_vec(&listed).map_err(StoreError::new)?;
            kept.store.put_member(LISTED, fingerprint.as_str(), bytes.into(), FOR_GOOD).await?;
        }
        Ok(())
    }
}

impl Kept {
    async fn read_listed(&self) -> Result<HashMap<Fingerprint, Listed>, StoreError> {
        let members = self.store.members(LISTED).await?;
        let read = |(member, bytes): (String, Bytes)| {
            Some((Fingerprint::from(member), serde_json::from_slice(&bytes).ok()?))
        };
        Ok(members.into_iter().filter_map(read).collect())
    }

    /// Whether none of these was revoked, nor is in the store and not good there.
    fn check(
        &self,
        tokens: &ServiceTokens,
        listed: &HashSet<Fingerprint>,
    ) -> Result<(), ListingError> {
        let now = self.clock.now();
        let state = self.state();
        for known in tokens.all() {
            let token = &known.token;
            state.revoked.check(token, listed)?;
            let in_store = state.records.values().find(|record| {
                record.client_id == token.client_id && record.secret.is_same(&token.secret_hash)
            });
            match in_store {
                Some(record) if record.end().is_some_and(|end| end <= now) => {
                    let end = record.end().unwrap_or(now).as_unix_seconds();
                    return Err(refused(token, Reason::Expired, end));
                }
                Some(record) if !record.enabled => {
                    let (name, client_id) = (token.name.clone(), token.client_id.clone());
                    return Err(ListingError { name, client_id, problem: Problem::Disabled });
                }
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    /// All that were revoked and are not in the store yet.
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
        self.store.put_member(REVOKED, fingerprint.as_str(), bytes, FOR_GOOD).await
    }

    pub(super) async fn read_revoked(
        &self,
    ) -> Result<Vec<(Fingerprint, RevokedSecret)>, StoreError> {
        let members = self.store.members(REVOKED).await?;
        let read = |(member, bytes): (String, Bytes)| {
            (Fingerprint::from(member), RevokedSecret::read(&bytes))
        };
        Ok(members.into_iter().map(read).collect())
    }
}

fn refused(token: &ServiceToken, reason: Reason, at: u64) -> ListingError {
    let (name, client_id) = (token.name.clone(), token.client_id.clone());
    ListingError { name, client_id, problem: Problem::Revoked(reason, at) }
}

/// A file whose tokens are not put in force.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListingFailure {
    #[error(transparent)]
    Listing(#[from] ListingError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

const LISTED: &str = "service-tokens-listed/all";
pub(super) const REVOKED: &str = "service-tokens-revoked/all";
/// A process says every minute what it lists. Long enough for one that is restarted, and for files
/// that are changed on one machine after the other.
const UNLISTED_AFTER: Duration = Duration::from_secs(3_600);
