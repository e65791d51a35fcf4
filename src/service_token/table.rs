//! All service tokens of a deployment, by client id. Immutable: a change creates a new table, so that
//! requests read without a lock.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::ServiceToken;
use super::revoked::RevokedSecrets;
use super::usage::Usage;
use crate::clock::Timestamp;
use crate::policy::ServiceTokenFacts;
use crate::secret::{SecretHash, sha256};

/// All service tokens of a deployment.
#[derive(Clone, Debug)]
pub(crate) struct ServiceTokens {
    by_client_id: HashMap<Box<str>, Arc<TokenEntry>>,
    /// All ids, names and client ids in use.
    names: HashSet<Box<str>>,
    /// Compared if there is no hash to compare with, so that every case takes the same time.
    decoy: SecretHash,
}

/// A service token in the table.
#[derive(Debug)]
pub(crate) struct TokenEntry {
    pub(crate) token: ServiceToken,
    /// The previous secret, and the time until which it is valid.
    pub(super) previous: Option<(SecretHash, Timestamp)>,
    /// Whether the store, not the file, defines it.
    pub(super) is_in_store: bool,
    /// Tokens issued from an earlier token with this client id, up to this time, are revoked.
    pub(super) void_until: Option<Timestamp>,
    pub(super) usage: Arc<Usage>,
}

impl TokenEntry {
    fn in_file(token: ServiceToken) -> Self {
        Self { token, previous: None, is_in_store: false, void_until: None, usage: Arc::default() }
    }

    /// Returns whether a token issued from it at this time is valid while it is.
    pub(crate) fn covers_issued_at(&self, made_at: Timestamp) -> bool {
        self.void_until.is_none_or(|until| made_at > until)
    }

    /// Returns whether a response that started with the earlier token may continue with this one. A
    /// changed secret in a file revokes the earlier token; a rotation in the store does not.
    pub(crate) fn is_continued_from(&self, before: &Self) -> bool {
        self.is_in_store || self.token.secret_hash.is_same(&before.token.secret_hash)
    }

    /// Returns the facts for policies.
    pub(crate) fn facts(&self) -> ServiceTokenFacts<'_> {
        ServiceTokenFacts {
            id: self.token.token_id(),
            client_id: &self.token.client_id,
            // Two tokens of a file may have one name.
            name: self.is_in_store.then_some(&*self.token.name),
        }
    }

    /// Returns the names that no other token may have.
    fn names(&self) -> [&str; 3] {
        [self.token.token_id(), &self.token.name, &self.token.client_id]
    }
}

impl ServiceTokens {
    /// Collects tokens.
    ///
    /// # Errors
    ///
    /// If two have the same client id or id: policies could not distinguish them.
    pub(crate) fn new(
        tokens: impl IntoIterator<Item = ServiceToken>,
    ) -> Result<Self, ServiceTokenError> {
        let mut by_client_id = HashMap::new();
        let mut ids = HashSet::new();
        let mut names = HashSet::new();
        for token in tokens {
            if !ids.insert(Box::<str>::from(token.token_id())) {
                return Err(ServiceTokenError { id: token.token_id().into() });
            }
            let known = TokenEntry::in_file(token);
            names.extend(known.names().map(Box::from));
            let client_id = known.token.client_id.clone();
            if let Some(earlier) = by_client_id.insert(client_id, Arc::new(known)) {
                return Err(ServiceTokenError { id: earlier.token.client_id.clone() });
            }
        }
        Ok(Self { by_client_id, names, decoy: SecretHash::new("") })
    }

    /// Returns this table with more tokens. Tokens whose name is already taken are left out; their ids
    /// are returned.
    pub(super) fn with_stored(
        &self,
        stored: impl IntoIterator<Item = TokenEntry>,
    ) -> (Self, Vec<Box<str>>) {
        let mut table = self.clone();
        let mut shadowed = Vec::new();
        for known in stored {
            if known.names().iter().any(|name| table.names.contains(*name)) {
                shadowed.push(known.token.token_id().into());
                continue;
            }
            table.names.extend(known.names().map(Box::from));
            table.by_client_id.insert(known.token.client_id.clone(), Arc::new(known));
        }
        (table, shadowed)
    }

    /// Returns this table without tokens whose secret was revoked. Their names stay taken.
    pub(super) fn without_revoked(&self, revoked: &RevokedSecrets) -> Self {
        let mut table = self.clone();
        for known in self.by_client_id.values() {
            let token = &known.token;
            if revoked.find(token).is_some() {
                table.by_client_id.remove(&token.client_id);
            } else if let Some(until) = revoked.void_until(&token.client_id) {
                let known = TokenEntry {
                    token: token.clone(),
                    previous: known.previous.clone(),
                    is_in_store: known.is_in_store,
                    void_until: Some(until),
                    usage: Arc::clone(&known.usage),
                };
                table.by_client_id.insert(token.client_id.clone(), Arc::new(known));
            }
        }
        table
    }

    /// Authenticates a client id and secret. Returns the token if it is enabled and has not expired.
    ///
    /// One hash and two comparisons for any input, so that it takes the same time whether the client id
    /// is unknown or the secret is wrong.
    pub(super) fn authenticate(
        &self,
        client_id: &str,
        secret: &str,
        now: Timestamp,
    ) -> Option<&Arc<TokenEntry>> {
        let known = self.by_client_id.get(client_id);
        let present = known.map_or(&self.decoy, |known| &known.token.secret_hash);
        let previous = known.and_then(|known| known.previous.as_ref());
        let (previous, end) = match previous {
            Some((hash, end)) => (hash, *end),
            None => (&self.decoy, Timestamp::default()),
        };
        let shown = sha256(secret.as_bytes());
        let is_present = present.equals_hash(&shown);
        let is_previous = previous.equals_hash(&shown);
        let proved = (is_present | (is_previous & (now < end))) && !secret.is_empty();
        known.filter(|known| proved && known.token.is_valid(now))
    }

    /// Returns the token with this id, name or client id, valid or not.
    #[cfg(feature = "config")]
    #[must_use]
    pub(crate) fn find(&self, name: &str) -> Option<&ServiceToken> {
        self.find_entry(name).map(|known| &known.token)
    }

    /// Returns the entry of the token with this id, name or client id, valid or not.
    pub(crate) fn find_entry(&self, name: &str) -> Option<&Arc<TokenEntry>> {
        let mut all = self.by_client_id.values();
        let by_id = all.find(|known| {
            let token = &known.token;
            token.token_id() == name || *token.name == *name
        });
        by_id.or_else(|| self.by_client_id.get(name))
    }

    /// Returns the token with this client id, valid or not.
    pub(super) fn entry(&self, client_id: &str) -> Option<&Arc<TokenEntry>> {
        self.by_client_id.get(client_id)
    }

    /// Returns whether a token has this id, name or client id.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<TokenEntry>> {
        self.by_client_id.values()
    }
}

/// Two service tokens have the same id or client id.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("two service tokens have the id `{id}`")]
pub(crate) struct ServiceTokenError {
    id: Box<str>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::comparisons;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);

    fn token(name: &str, secret: &str) -> ServiceToken {
        ServiceToken::new(name, format!("{name}.access"), SecretHash::new(secret))
    }

    fn tokens() -> ServiceTokens {
        let mut off = token("off", "four");
        off.enabled = false;
        ServiceTokens::new([
            token("ci", "one"),
            token("backup", "two"),
            token("old", "three").expires_at(NOW),
            off,
        ])
        .unwrap()
    }

    #[test]
    fn svc_01_svc_03_only_the_right_pair_of_a_good_token_counts() {
        let tokens = tokens();
        let proves = |id, secret| tokens.authenticate(id, secret, NOW).is_some();
        assert!(proves("ci.access", "one"));
        assert!(!proves("ci.access", "two"));
        assert!(!proves("ci.access", ""));
        assert!(!proves("nobody.access", "one"));
        assert!(!proves("nobody.access", ""));
        assert!(!proves("old.access", "three"));
        assert!(!proves("off.access", "four"));
    }

    #[test]
    fn two_tokens_with_one_id_are_refused() {
        let token = |id: &str| ServiceToken::new("x", id, SecretHash::new("s"));
        assert!(
            ServiceTokens::new([token("a.access").id("1"), token("a.access").id("2")]).is_err()
        );
        assert!(ServiceTokens::new([token("a.access"), token("b.access")]).is_err());
    }

    fn stored(id: &str, name: &str, previous: Option<(SecretHash, Timestamp)>) -> TokenEntry {
        let token = ServiceToken::new(name, format!("{id}.access"), SecretHash::new("new")).id(id);
        TokenEntry { token, previous, is_in_store: true, void_until: None, usage: Arc::default() }
    }

    #[test]
    fn svc_02_every_case_costs_the_same_comparisons() {
        let rotated = stored("1", "deploy", Some((SecretHash::new("old"), NOW)));
        let (tokens, shadowed) = tokens().with_stored([rotated]);
        assert!(shadowed.is_empty());
        let before = Timestamp::from_unix_seconds(NOW.as_unix_seconds() - 1);
        for (client_id, secret, now, is_good) in [
            ("ci.access", "one", NOW, true),
            ("ci.access", "wrong", NOW, false),
            ("ci.access", "", NOW, false),
            ("nobody.access", "one", NOW, false),
            ("nobody.access", "", NOW, false),
            ("old.access", "three", NOW, false),
            ("off.access", "four", NOW, false),
            ("1.access", "new", NOW, true),
            ("1.access", "old", before, true),
            ("1.access", "old", NOW, false),
            ("1.access", "wrong", before, false),
            ("1.access", "", before, false),
        ] {
            let done = comparisons();
            let proved = tokens.authenticate(client_id, secret, now).is_some();
            assert_eq!(proved, is_good, "{client_id} {secret}");
            assert_eq!(comparisons() - done, 2, "{client_id} {secret}");
        }
    }

    #[test]
    fn the_file_comes_first_and_then_whoever_was_there_before() {
        let (table, shadowed) = tokens().with_stored([
            stored("1", "ci", None),
            stored("backup", "other", None),
            stored("2", "old.access", None),
            stored("3", "deploy", None),
            stored("4", "deploy", None),
            stored("5", "3", None),
            stored("6", "fine", None),
        ]);
        assert_eq!(shadowed, ["1", "backup", "2", "4", "5"].map(Box::from));
        assert!(table.entry("3.access").is_some() && table.entry("6.access").is_some());
        assert!(table.entry("1.access").is_none());
        assert!(table.authenticate("ci.access", "one", NOW).is_some());
    }
}
