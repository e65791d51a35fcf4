//! Records in the store which service tokens files list, so that a token which is removed from a file
//! while no process runs is revoked like one that is removed by a reload.
//!
//! Processes that share a store may have different files for a while. A token counts as removed when no
//! process has listed it for an hour; or immediately, when a process that listed it loads a file
//! without it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::revoked::{Fingerprint, ListingError, Problem, Reason, RevokedSecret};
use super::stored::{STORED_FOR, StoredTokens, fingerprints};
use super::{ServiceToken, ServiceTokens};
use crate::clock::Timestamp;
use crate::store::StoreError;

/// A token that a file lists.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct ListedToken {
    client_id: Box<str>,
    expires_at: Option<u64>,
    /// When a process last listed it.
    listed_at: u64,
}

impl ListedToken {
    fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now.as_unix_seconds())
    }
}

fn is_expired(token: &ServiceToken, now: Timestamp) -> bool {
    token.expires_at.is_some_and(|end| end <= now)
}

/// How a store is used, which decides when a token counts as removed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sharing {
    /// By this process only: immediately.
    Exclusive,
    Shared,
}

/// The listing in the store, compared with the file of this process.
pub(super) struct Listing {
    recorded: HashMap<Fingerprint, ListedToken>,
    /// The recorded tokens that count as removed.
    unlisted: HashSet<Fingerprint>,
    now: Timestamp,
}

impl StoredTokens {
    /// Checks whether a file may replace this one.
    pub(super) fn check_replacement(
        &self,
        next: &ServiceTokens,
        now: Timestamp,
    ) -> Result<(), ListingError> {
        self.check(next, &fingerprints(&self.in_file).collect())?;
        for known in next.all() {
            let before = self.in_file.entry(&known.token.client_id).map(|known| &known.token);
            let has_ended = before.is_some_and(|before| {
                Fingerprint::for_token(before) == Fingerprint::for_token(&known.token)
                    && is_expired(before, now)
            });
            if let Some(end) = before.and_then(|before| before.expires_at)
                && has_ended
                && !is_expired(&known.token, now)
            {
                return Err(listing_error(&known.token, Reason::Expired, end.as_unix_seconds()));
            }
        }
        Ok(())
    }

    /// Checks the file against the listing in the store.
    pub(super) async fn check_file(&self) -> Result<(), ListingFailure> {
        let now = self.clock.now();
        let recorded = self.read_listed().await?;
        for known in self.in_file.all() {
            let token = &known.token;
            let before = recorded.get(&Fingerprint::for_token(token));
            if let Some(end) = before.and_then(|before| before.expires_at)
                && end <= now.as_unix_seconds()
                && !is_expired(token, now)
            {
                return Err(listing_error(token, Reason::Expired, end).into());
            }
        }
        Ok(self.check(&self.in_file, &recorded.keys().cloned().collect())?)
    }

    /// Revokes, in this process, the tokens that were removed from the file.
    pub(super) fn revoke_removed(&self) {
        let mut state = self.state();
        for (fingerprint, revoked) in std::mem::take(&mut state.unlisted) {
            state.revoke(fingerprint, revoked);
        }
    }

    /// Reads the listing, and revokes, in this process, the tokens that no process lists any longer.
    pub(super) async fn revoke_unlisted(&self, sharing: Sharing) -> Result<Listing, StoreError> {
        let now = self.clock.now();
        let recorded = self.read_listed().await?;
        let in_file: HashSet<Fingerprint> = fingerprints(&self.in_file).collect();
        let is_unlisted = |(fingerprint, listed): &(&Fingerprint, &ListedToken)| {
            let unseen_for = now.as_unix_seconds().saturating_sub(listed.listed_at);
            let is_gone = sharing == Sharing::Exclusive || unseen_for >= UNLISTED_AFTER.as_secs();
            is_gone && !in_file.contains(*fingerprint)
        };
        let mut unlisted = HashSet::new();
        let mut state = self.state();
        for (fingerprint, listed) in recorded.iter().filter(is_unlisted) {
            let reason = if listed.is_expired(now) { Reason::Expired } else { Reason::Unlisted };
            let revoked = RevokedSecret::new(&listed.client_id, now, reason);
            state.revoke(fingerprint.clone(), revoked);
            unlisted.insert(fingerprint.clone());
        }
        drop(state);
        Ok(Listing { recorded, unlisted, now })
    }

    /// Writes the listing and the revocations.
    pub(super) async fn write_listing(&self, listing: &Listing) -> Result<(), StoreError> {
        let Listing { recorded, unlisted, now } = listing;
        self.write_revoked().await?;
        for fingerprint in recorded.keys() {
            let is_revoked = self.state().revoked.get(fingerprint).is_some();
            if is_revoked || unlisted.contains(fingerprint) {
                self.store.take_member(LISTED, fingerprint.as_str()).await?;
            }
        }
        for known in self.in_file.all() {
            let token = &known.token;
            let fingerprint = Fingerprint::for_token(token);
            if self.state().revoked.get(&fingerprint).is_some() {
                continue;
            }
            let listed = ListedToken {
                client_id: token.client_id.clone(),
                expires_at: token.expires_at.map(Timestamp::as_unix_seconds),
                listed_at: now.as_unix_seconds(),
            };
            let bytes = serde_json::to_vec(&listed).map_err(StoreError::new)?;
            self.store.put_member(LISTED, fingerprint.as_str(), bytes.into(), STORED_FOR).await?;
        }
        Ok(())
    }

    async fn read_listed(&self) -> Result<HashMap<Fingerprint, ListedToken>, StoreError> {
        let members = self.store.members(LISTED).await?;
        let read = |(member, bytes): (String, Bytes)| {
            Some((Fingerprint::from(member), serde_json::from_slice(&bytes).ok()?))
        };
        Ok(members.into_iter().filter_map(read).collect())
    }

    /// Checks that none of these tokens was revoked, or is expired or disabled in the store.
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
                    return Err(listing_error(token, Reason::Expired, end));
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
}

fn listing_error(token: &ServiceToken, reason: Reason, at: u64) -> ListingError {
    let (name, client_id) = (token.name.clone(), token.client_id.clone());
    ListingError { name, client_id, problem: Problem::Revoked(reason, at) }
}

/// The tokens of a file were rejected or could not be checked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListingFailure {
    #[error(transparent)]
    Listing(#[from] ListingError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

const LISTED: &str = "service-tokens-listed/all";
/// Processes record what they list every minute. Long enough for a restart, and for changing files on
/// one machine after another.
const UNLISTED_AFTER: Duration = Duration::from_secs(3_600);
