//! Service tokens: how machines prove who they are.
//!
//! A machine sends `CF-Access-Client-Id` and `CF-Access-Client-Secret`. We keep a hash of the
//! secret, never the secret (section 11 of the Access contract).

use std::collections::HashMap;

use serde::Deserialize;

use crate::clock::Timestamp;
use crate::secret::SecretHash;

/// A service token that exists.
///
/// ```
/// use tower_access::secret::SecretHash;
/// use tower_access::service_token::ServiceToken;
///
/// let ci = ServiceToken::new(
///     "ci",
///     "9c0d5f8b7e6a41d2b3c4d5e6f7a8b9c0.access",
///     "sha256:2d4dbe2a87baf61d2d460f2639a88a5799418db5c3adb3ad511b18b138605971".parse()?,
/// );
/// # Ok::<(), tower_access::secret::SecretHashError>(())
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename = "a service token")]
pub struct ServiceToken {
    /// What policies refer to; the name when left out.
    #[serde(default)]
    pub id: Option<Box<str>>,
    /// What people call it.
    pub name: Box<str>,
    /// The public half, `….access`.
    pub client_id: Box<str>,
    /// The hash of the other half.
    #[serde(rename = "client_secret_hash")]
    pub secret_hash: SecretHash,
    /// A token that is switched off opens nothing.
    #[serde(default = "switched_on")]
    pub enabled: bool,
    /// The token is good before this moment; for ever when left out.
    #[serde(default, deserialize_with = "rfc_3339")]
    pub expires_at: Option<Timestamp>,
}

impl ServiceToken {
    /// A token that is switched on and does not expire.
    #[must_use]
    pub fn new(
        name: impl Into<Box<str>>,
        client_id: impl Into<Box<str>>,
        secret_hash: SecretHash,
    ) -> Self {
        Self {
            id: None,
            name: name.into(),
            client_id: client_id.into(),
            secret_hash,
            enabled: true,
            expires_at: None,
        }
    }

    /// Sets the id policies refer to.
    #[must_use]
    pub fn id(mut self, id: impl Into<Box<str>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets when the token ends.
    #[must_use]
    pub fn expires_at(mut self, moment: Timestamp) -> Self {
        self.expires_at = Some(moment);
        self
    }

    /// Whether the token is switched on and has not expired.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.enabled && self.expires_at.is_none_or(|end| now < end)
    }

    /// What policies refer to.
    #[must_use]
    pub fn token_id(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.name)
    }
}

/// All service tokens of a deployment.
#[derive(Clone, Debug)]
pub struct ServiceTokens {
    by_client_id: HashMap<Box<str>, ServiceToken>,
    /// Compared where the client id is unknown, so that both cases cost the same.
    decoy: SecretHash,
}

impl ServiceTokens {
    /// Collects tokens.
    ///
    /// # Errors
    ///
    /// When two have one client id or one id: policies could not tell them apart.
    pub fn new(tokens: impl IntoIterator<Item = ServiceToken>) -> Result<Self, ServiceTokenError> {
        let mut by_client_id = HashMap::new();
        let mut ids = std::collections::HashSet::new();
        for token in tokens {
            if !ids.insert(Box::<str>::from(token.token_id())) {
                return Err(ServiceTokenError { id: token.token_id().into() });
            }
            if let Some(earlier) = by_client_id.insert(token.client_id.clone(), token) {
                return Err(ServiceTokenError { id: earlier.client_id });
            }
        }
        Ok(Self { by_client_id, decoy: SecretHash::of("") })
    }

    /// The token that these two prove, if it is switched on and has not expired.
    ///
    /// Takes the same time whether the client id is unknown or the secret is wrong.
    #[must_use]
    pub fn authenticate(
        &self,
        client_id: &str,
        secret: &str,
        now: Timestamp,
    ) -> Option<&ServiceToken> {
        let token = self.by_client_id.get(client_id);
        let hash = token.map_or(&self.decoy, |token| &token.secret_hash);
        let proved = hash.matches(secret) && !secret.is_empty();
        token.filter(|token| proved && token.is_good(now))
    }

    /// The token with this id, name or client id, good or not.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&ServiceToken> {
        let mut all = self.by_client_id.values();
        let by_id = all.find(|token| token.token_id() == name || *token.name == *name);
        by_id.or_else(|| self.known(name))
    }

    /// The token with this client id, good or not.
    #[must_use]
    pub fn known(&self, client_id: &str) -> Option<&ServiceToken> {
        self.by_client_id.get(client_id)
    }
}

/// Two service tokens that cannot be told apart.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("two service tokens have the id `{id}`")]
pub struct ServiceTokenError {
    id: Box<str>,
}

fn switched_on() -> bool {
    true
}

fn rfc_3339<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    use serde::de::Error;
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let moment = OffsetDateTime::parse(&text, &Rfc3339)
        .map_err(|_| D::Error::custom("no moment: write `2027-01-31T00:00:00Z`"))?;
    let seconds = u64::try_from(moment.unix_timestamp())
        .map_err(|_| D::Error::custom("a moment before 1970"))?;
    Ok(Some(Timestamp::from_unix_seconds(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);

    fn tokens() -> ServiceTokens {
        let token = |name: &str, secret| {
            ServiceToken::new(name, format!("{name}.access"), SecretHash::of(secret))
        };
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
        let token = |id: &str| ServiceToken::new("x", id, SecretHash::of("s"));
        assert!(
            ServiceTokens::new([token("a.access").id("1"), token("a.access").id("2")]).is_err()
        );
        assert!(ServiceTokens::new([token("a.access"), token("b.access")]).is_err());
    }
}
