//! Service tokens: credentials for machines.
//!
//! A machine sends `CF-Access-Client-Id` and `CF-Access-Client-Secret`. Only a hash of the secret is
//! stored (section 11 of the Access contract).
//!
//! A token is defined in one of two places. The file (or the builder) defines a [`ServiceToken`],
//! which only a new file changes. An issuer also has tokens in the store: `Access::service_tokens`
//! creates, rotates and deletes them while the program runs, and a change is in force within a second
//! in every process that shares the store. If both define the same name, the file wins.
//!
//! # Revoked secrets
//!
//! A secret that is no longer valid never becomes valid again: that of a deleted token, a replaced
//! secret, that of a token which was removed from a file, or of an expired one. A file that lists it
//! again, at a reload, after a restart, or in another process that shares the store, is rejected with
//! the name of the token: the token needs a new secret, and may keep its client id. Tokens that were
//! issued from a service token before it was deleted, removed or expired stay revoked as well. Without
//! a store this holds until the process ends. 10,000 secrets are recorded; beyond that a file may not
//! list a token that it did not list before.
//!
//! A disabled token can be enabled again, in the place where it was disabled. And
//! `ServiceTokenAdmin::refresh` extends a token of the store by a year, even an expired one.
//!
//! # Modes
//!
//! In *strict* mode, the default, a request with a service token is decided by it alone: cookies are
//! ignored, none is set, and a rejection is 401 or 403, never a redirect. In *default* mode, the name
//! that Cloudflare uses for its older organizations, a valid token that a Service Auth policy admits is
//! exchanged: the response sets `CF_Authorization`, which is valid by itself while the service token
//! is. An invalid token, or one that no such policy admits, is ignored; the other credentials of the
//! request decide, and it may be redirected to the login. See
//! `AccessBuilder::strict_service_token_auth`.
//!
//! # Failed attempts
//!
//! A secret has far too many bits to be guessed. The cost of wrong secrets is bounded as well: over 60
//! a minute for one client id, or 300 from one network, the response is 429 without a log line. The
//! secret is checked first, so the right one always works, whatever attempts others make from the same
//! network or for the same client id.

mod admin;
mod claims;
mod failed_attempts;
mod listed;
mod live;
mod record;
mod revoked;
mod secret;
mod state;
mod stored;
mod table;
#[cfg(test)]
mod tests;
mod usage;

use serde::Deserialize;

pub use self::admin::{
    ServiceTokenAdmin, ServiceTokenAdminError, ServiceTokenAdminErrorKind, ServiceTokenRecord,
};
pub(crate) use self::claims::service_claims;
pub(crate) use self::failed_attempts::FailedAttempt;
pub(crate) use self::listed::Sharing;
pub(crate) use self::live::LiveServiceTokens;
pub use self::record::{ServiceTokenDuration, ServiceTokenDurationError};
pub use self::secret::ServiceTokenSecret;
pub(crate) use self::stored::delete_all;
pub(crate) use self::table::{ServiceTokens, TokenEntry};

use crate::clock::Timestamp;
use crate::secret::SecretHash;

/// A service token as the file or the builder defines it.
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
#[non_exhaustive]
pub struct ServiceToken {
    /// The id that policies refer to. Default: the name.
    #[serde(default)]
    pub id: Option<Box<str>>,
    /// The name.
    pub name: Box<str>,
    /// The client id, `….access`: the public half of the credential.
    pub client_id: Box<str>,
    /// The hash of the client secret.
    #[serde(rename = "client_secret_hash")]
    pub secret_hash: SecretHash,
    /// Whether the token is enabled. A disabled token grants no access.
    #[serde(default = "enabled_by_default")]
    pub enabled: bool,
    /// The token is valid before this time. Default: without an end.
    #[serde(default, deserialize_with = "rfc_3339")]
    pub expires_at: Option<Timestamp>,
}

impl ServiceToken {
    /// Creates an enabled token that does not expire.
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

    /// Sets the id that policies refer to.
    #[must_use]
    pub fn id(mut self, id: impl Into<Box<str>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets when the token expires.
    #[must_use]
    pub fn expires_at(mut self, time: Timestamp) -> Self {
        self.expires_at = Some(time);
        self
    }

    /// Returns whether the token is enabled and has not expired.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.enabled && self.expires_at.is_none_or(|end| now < end)
    }

    /// Returns the id that policies refer to.
    #[must_use]
    pub fn token_id(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.name)
    }
}

fn enabled_by_default() -> bool {
    true
}

fn rfc_3339<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    use serde::de::Error;
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let moment = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| {
        D::Error::custom("invalid time; write a time such as `2027-01-31T00:00:00Z`")
    })?;
    let seconds = u64::try_from(moment.unix_timestamp())
        .map_err(|_| D::Error::custom("invalid time; write a time after 1970"))?;
    Ok(Some(Timestamp::from_unix_seconds(seconds)))
}
