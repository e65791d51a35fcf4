//! Revoked secrets of service tokens, which never become valid again: of tokens that were deleted,
//! removed from a file, rotated, or that have expired.
//!
//! The record is a hash over the client id and the hash of the secret. It is checked whenever a file is
//! loaded, so that a token which is listed again needs a new secret, and with every record of the
//! store, so that a process with an old record cannot restore it.

use std::collections::{HashMap, HashSet};
use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::ServiceToken;
use crate::clock::Timestamp;
use crate::random::to_hex;
use crate::secret::{SecretHash, sha256};

/// The key under which a secret is recorded. It reveals nothing about the secret.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Fingerprint(Box<str>);

impl Fingerprint {
    pub(super) fn new(client_id: &str, secret: &SecretHash) -> Self {
        Self(to_hex(&sha256(format!("{client_id}\n{secret}").as_bytes())).into())
    }

    pub(super) fn for_token(token: &ServiceToken) -> Self {
        Self::new(&token.client_id, &token.secret_hash)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Fingerprint {
    fn from(member: String) -> Self {
        Self(member.into())
    }
}

/// Why a secret was revoked.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reason {
    Deleted,
    /// It was removed from the file, or its secret was changed there.
    Unlisted,
    /// By a rotation. Tokens issued from it before stay valid while the service token is.
    Rotated,
    Expired,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deleted => "deleted",
            Self::Unlisted => "removed from the file",
            Self::Rotated => "secret rotated",
            Self::Expired => "expired",
        })
    }
}

/// A stored revocation.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct RevokedSecret {
    pub(super) client_id: Box<str>,
    pub(super) at: u64,
    pub(super) reason: Reason,
}

impl RevokedSecret {
    pub(super) fn new(client_id: &str, at: Timestamp, reason: Reason) -> Self {
        Self { client_id: client_id.into(), at: at.as_unix_seconds(), reason }
    }

    /// Parses a record. An unreadable one, for example of a later version, counts as a revocation.
    pub(super) fn read(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_else(|_| Self {
            client_id: Box::default(),
            at: 0,
            reason: Reason::Deleted,
        })
    }

    pub(super) fn write(&self) -> Result<Bytes, serde_json::Error> {
        serde_json::to_vec(self).map(Bytes::from)
    }
}

/// All known revocations.
#[derive(Clone, Debug, Default)]
pub(super) struct RevokedSecrets {
    all: HashMap<Fingerprint, RevokedSecret>,
    /// By client id: tokens that were issued from it up to this time are revoked.
    void_until: HashMap<Box<str>, Timestamp>,
}

impl RevokedSecrets {
    /// Adds a revocation. Returns whether it was new and there was room for it.
    pub(super) fn add(&mut self, fingerprint: Fingerprint, revoked: RevokedSecret) -> bool {
        if revoked.reason != Reason::Rotated {
            let at = Timestamp::from_unix_seconds(revoked.at);
            let until = self.void_until.entry(revoked.client_id.clone()).or_insert(at);
            *until = at.max(*until);
        }
        if self.all.contains_key(&fingerprint) || self.is_full() {
            return false;
        }
        self.all.insert(fingerprint, revoked);
        true
    }

    /// Returns whether the limit is reached. No entry is dropped to make room; a file may then list no
    /// token that it did not list before.
    pub(super) fn is_full(&self) -> bool {
        self.all.len() >= MAX_REVOKED
    }

    pub(super) fn find(&self, token: &ServiceToken) -> Option<&RevokedSecret> {
        if self.all.is_empty() { None } else { self.all.get(&Fingerprint::for_token(token)) }
    }

    pub(super) fn get(&self, fingerprint: &Fingerprint) -> Option<&RevokedSecret> {
        self.all.get(fingerprint)
    }

    pub(super) fn void_until(&self, client_id: &str) -> Option<Timestamp> {
        self.void_until.get(client_id).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Fingerprint, &RevokedSecret)> {
        self.all.iter()
    }

    /// Checks whether a file may list this token; `listed` are the tokens that it listed before.
    pub(super) fn check(
        &self,
        token: &ServiceToken,
        listed: &HashSet<Fingerprint>,
    ) -> Result<(), ListingError> {
        let refused = |problem| ListingError {
            name: token.name.clone(),
            client_id: token.client_id.clone(),
            problem,
        };
        let fingerprint = Fingerprint::for_token(token);
        match self.all.get(&fingerprint) {
            Some(revoked) => Err(refused(Problem::Revoked(revoked.reason, revoked.at))),
            None if self.is_full() && !listed.contains(&fingerprint) => Err(refused(Problem::Full)),
            None => Ok(()),
        }
    }
}

/// A file lists a token that it may not list.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("service token `{name}`: client_id `{client_id}` {problem}")]
pub(crate) struct ListingError {
    pub(super) name: Box<str>,
    pub(super) client_id: Box<str>,
    pub(super) problem: Problem,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Problem {
    Revoked(Reason, u64),
    /// The store has the token as well, disabled.
    Disabled,
    Full,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoked(reason, at) => {
                let at = i64::try_from(*at).ok();
                let at = at.and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
                let date = at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default();
                write!(
                    f,
                    "was revoked on {date} ({reason}) and cannot be used again with this \
                     secret; generate a new secret for it"
                )
            }
            Self::Disabled => f.write_str(
                "is disabled in the store and cannot be enabled by the file with the same secret; \
                 generate a new secret for it, or enable it in the store",
            ),
            Self::Full => write!(
                f,
                "is new, and the limit of {MAX_REVOKED} recorded revocations is reached, so it is \
                 unknown whether it was revoked before; create it with `proxy service-token create` \
                 instead of listing it"
            ),
        }
    }
}

const MAX_REVOKED: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);

    fn token(client_id: &str, secret: &str) -> ServiceToken {
        ServiceToken::new("ci", client_id, SecretHash::new(secret))
    }

    #[test]
    fn svc_03_a_revoked_secret_is_refused_by_name_and_another_one_is_not() {
        let mut revoked = RevokedSecrets::default();
        let old = token("ci.access", "old");
        let listed = HashSet::new();
        assert!(revoked.check(&old, &listed).is_ok());
        let record = RevokedSecret::new("ci.access", NOW, Reason::Unlisted);
        assert!(revoked.add(Fingerprint::for_token(&old), record.clone()));
        assert!(!revoked.add(Fingerprint::for_token(&old), record));
        let error = revoked.check(&old, &listed).unwrap_err().to_string();
        assert_eq!(
            error,
            "service token `ci`: client_id `ci.access` was revoked on 2026-09-21T14:13:20Z (removed \
             from the file) and cannot be used again with this secret; generate a new secret for it"
        );
        assert!(revoked.check(&token("ci.access", "new"), &listed).is_ok());
        assert!(revoked.check(&token("other.access", "old"), &listed).is_ok());
        assert_eq!(revoked.void_until("ci.access"), Some(NOW));
    }

    #[test]
    fn svc_03_where_no_more_can_be_recorded_the_file_takes_nothing_new() {
        let mut revoked = RevokedSecrets::default();
        for number in 0..=MAX_REVOKED {
            let record = RevokedSecret::new("x.access", NOW, Reason::Deleted);
            let is_new = revoked.add(Fingerprint::from(number.to_string()), record);
            assert_eq!(is_new, number < MAX_REVOKED);
        }
        let fresh = token("ci.access", "new");
        let error = revoked.check(&fresh, &HashSet::new()).unwrap_err().to_string();
        assert!(error.contains("service-token create"), "{error}");
        assert!(revoked.check(&fresh, &HashSet::from([Fingerprint::for_token(&fresh)])).is_ok());
    }

    #[test]
    fn svc_03_a_record_that_cannot_be_read_has_revoked_a_secret() {
        let mut revoked = RevokedSecrets::default();
        let old = token("ci.access", "old");
        revoked.add(Fingerprint::for_token(&old), RevokedSecret::read(b"\0"));
        assert!(revoked.find(&old).is_some());
    }
}
